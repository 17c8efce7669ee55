//! The command line. It parses words and prints; what they do lives in the library.
//!
//! Exit codes: 0 done (or stopped by ^C with everything saved), 2 for anything wrong, with one line on stderr.

mod command;

use std::process::ExitCode;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::WARN)
        .with_target(false)
        .without_time()
        .init();
    match command::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("synod: {error}");
            ExitCode::from(2)
        }
    }
}
