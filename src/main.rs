//! The command line. It parses words and prints; what they do lives in the library.
//!
//! Exit codes: 0 done, 2 for anything wrong, with one line on stderr. What ^C, SIGTERM or SIGHUP stopped, with everything
//! saved, ends as by that signal: for a shell with 130, 143 or 129.

mod command;

use std::io::IsTerminal;
use std::process::ExitCode;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::WARN)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .without_time()
        .log_internal_errors(false)
        .init();
    let result = command::run();
    if let Err(error) = &result {
        command::note(format_args!("synod: {error}"));
    }
    synod::run::signal::end_if_stopped();
    if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(2) }
}
