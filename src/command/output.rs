//! What the program says. Results go to stdout, and a result that cannot be written is an error; words about them go to
//! stderr, where nobody may be reading any more.

use std::io::{ErrorKind, Write};

use crate::{Error, Result};

/// Writes a result to stdout. A reader that has gone (`synod list | head -1`) wanted no more.
pub fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(Error::io("stdout", e)),
        _ => Ok(()),
    }
}

/// As [`print`], JSON on lines of its own.
pub fn print_json(value: &serde_json::Value) -> Result<()> {
    print(&format!("{value:#}\n"))
}

/// Writes a line to stderr.
pub fn note(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
