//! A clean stop at ^C and at what else asks a process to end (SIGTERM, SIGHUP).
//!
//! ```no_run
//! let stop = synod::run::signal::stop_on_signal()?;
//! while !stop.load(std::sync::atomic::Ordering::Relaxed) {
//!     // ... one iteration, then look again
//! }
//! synod::run::signal::end_if_stopped(); // as by the signal, once everything is saved
//! # Ok::<(), synod::Error>(())
//! ```

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use crate::error::{Error, Result};

static STOP: AtomicBool = AtomicBool::new(false);
/// The signal that set it; 0 for none.
static SIGNAL: AtomicI32 = AtomicI32::new(0);

/// A flag that ^C, SIGTERM and SIGHUP set. A second signal ends the process at once, which loses nothing but the steps
/// since the last checkpoint.
///
/// # Errors
/// [`Error::Usage`] where one cannot listen for signals.
pub fn stop_on_signal() -> Result<&'static AtomicBool> {
    static SET: OnceLock<Option<String>> = OnceLock::new();
    match SET.get_or_init(|| listen().err()) {
        None => Ok(&STOP),
        Some(message) => Err(Error::Usage(format!("cannot listen for ^C: {message}"))),
    }
}

/// Notes a signal; whether it is the first.
fn first(signal: i32) -> bool {
    if STOP.swap(true, Ordering::Relaxed) {
        return false;
    }
    SIGNAL.store(signal, Ordering::Relaxed);
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "\nstopping after this iteration (once more: at once)");
    true
}

#[cfg(unix)]
fn listen() -> Result<(), String> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals =
        signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(|e| e.to_string())?;
    let listener = move || {
        for signal in signals.forever() {
            if !first(signal) {
                end(signal);
            }
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(listener).map(drop).map_err(|e| e.to_string())
}

#[cfg(not(unix))]
fn listen() -> Result<(), String> {
    const INTERRUPT: i32 = 2;
    let handler = || {
        if !first(INTERRUPT) {
            end(INTERRUPT);
        }
    };
    ctrlc::set_handler(handler).map_err(|e| e.to_string())
}

/// Ends the process as the signal that stopped it would have done, for a shell 128 and the signal's number: a loop of a
/// shell ends with a command that ^C has ended, and goes on after one that has merely left with that code. Returns where
/// there was no signal.
pub fn end_if_stopped() {
    match SIGNAL.load(Ordering::Relaxed) {
        0 => {}
        signal => end(signal),
    }
}

fn end(signal: i32) -> ! {
    #[cfg(unix)]
    let _ = signal_hook::low_level::emulate_default_handler(signal);
    std::process::exit(128 + signal)
}
