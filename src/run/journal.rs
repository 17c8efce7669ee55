//! The log of a team of roles on disk: `messages.jsonl`, a line a message, in their order.
//!
//! A line is a JSON object whose last field, `crc`, is the CRC-32C of the line before it, in hexadecimal: other programs read
//! it as it is, and what is damaged is seen. A kill leaves whole lines and at most the beginning of one, which is cut off.
//!
//! ```
//! use synod::roles::broker::{Broker, Message};
//! use synod::run::{directory::Directory, journal::{self, Journal}};
//! use synod::serde::{Deserialize, Serialize};
//! #[derive(Serialize, Deserialize)]
//! #[serde(crate = "synod::serde")]
//! struct Found(f64);
//! impl Message for Found {
//!     const TOPIC: &'static str = "found";
//! }
//! let folder = tempfile::tempdir().expect("a folder");
//! let journal = Journal::open(&Directory::open(folder.path())?)?;
//! Broker::new(Box::new(journal)).publish("explorer", &Found(0.5))?;
//! let messages = journal::read(&folder.path().join("messages.jsonl"))?;
//! assert_eq!(messages[0].from, "explorer");
//! # Ok::<(), synod::Error>(())
//! ```

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use super::directory::{Directory, How};
use crate::error::{Error, Result};
use crate::roles::broker::{Envelope, Log};

/// The file's name in a run's folder.
pub const NAME: &str = "messages.jsonl";
/// What stands before a line's checksum.
const MARK: &str = ",\"crc\":\"";
/// The longest line, in bytes.
const LONGEST_LINE: u64 = 16 << 20;

/// The log of a run, open for writing.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    directory: Directory,
    file: File,
}

/// A message as a line, with its line break.
fn line_of(envelope: &Envelope) -> Result<String> {
    let json = serde_json::to_string(envelope).map_err(|e| Error::Usage(e.to_string()))?;
    let body = json.strip_suffix('}').unwrap_or(&json);
    Ok(format!("{body}{MARK}{:08x}\"}}\n", crc32c::crc32c(body.as_bytes())))
}

/// The message of a line without its line break.
fn envelope_of(line: &str) -> Result<Envelope, String> {
    let (body, rest) = line.rsplit_once(MARK).ok_or("has no checksum")?;
    let checksum = rest.strip_suffix("\"}").ok_or("has no checksum")?;
    if checksum != format!("{:08x}", crc32c::crc32c(body.as_bytes())) {
        return Err("is damaged: it does not have its checksum".into());
    }
    serde_json::from_str(&format!("{body}}}")).map_err(|e| format!("is no message: {e}"))
}

/// Goes through the whole lines of a log; `show` is given each message and where its line ends, and says whether to go on.
/// A last line without its line break is left out.
fn lines(path: &Path, file: File, mut show: impl FnMut(Envelope, u64) -> bool) -> Result<()> {
    let mut reader = BufReader::new(file);
    let (mut line, mut end, mut expected) = (String::new(), 0, None);
    for number in 1.. {
        line.clear();
        let read = (&mut reader).take(LONGEST_LINE).read_line(&mut line).map_err(|e| Error::io(path, e))?;
        let fault = |message: String| Error::file(path, Some(number), message);
        let Some(text) = line.strip_suffix('\n') else {
            return match read as u64 {
                LONGEST_LINE => Err(fault(format!("is longer than {LONGEST_LINE} bytes"))),
                _ => Ok(()),
            };
        };
        let envelope = envelope_of(text).map_err(fault)?;
        if expected.is_some_and(|expected| envelope.sequence != expected) {
            return Err(fault(format!("message {} stands where {expected:?} is due", envelope.sequence)));
        }
        expected = Some(envelope.sequence + 1);
        end += read as u64;
        if !show(envelope, end) {
            return Ok(());
        }
    }
    Ok(())
}

/// Reads a log.
///
/// # Errors
/// [`Error::Io`] where it cannot be read; [`Error::File`] with the line that is damaged, or that is out of order.
pub fn read(path: &Path) -> Result<Vec<Envelope>> {
    let mut messages = Vec::new();
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    lines(path, file, |envelope, _| {
        messages.push(envelope);
        true
    })?;
    Ok(messages)
}

impl Journal {
    /// The log of the run in a folder, which is made where it is missing.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn open(directory: &Directory) -> Result<Journal> {
        let path = directory.join(NAME);
        let io = |e| Error::io(&path, e);
        if !directory.has(NAME) {
            directory.file(NAME, How::Create).map_err(io)?;
        }
        let file = directory.file(NAME, How::Append).map_err(io)?;
        let directory = Directory::open(directory.here())?;
        Ok(Journal { path, directory, file })
    }
}

impl Log for Journal {
    fn append(&mut self, envelope: &Envelope) -> Result<()> {
        // One write, so that a kill leaves a whole line or the beginning of one.
        self.file.write_all(line_of(envelope)?.as_bytes()).map_err(|e| Error::io(&self.path, e))
    }

    fn sync(&mut self) -> Result<()> {
        self.file.sync_data().map_err(|e| Error::io(&self.path, e))
    }

    fn cut(&mut self, next: u64) -> Result<()> {
        let io = |e| Error::io(&self.path, e);
        let (mut kept, mut count) = (0, 0);
        if next > 0 {
            let file = self.directory.file(NAME, How::Read).map_err(io)?;
            lines(&self.path, file, |envelope, end| {
                if envelope.sequence < next {
                    (kept, count) = (end, envelope.sequence + 1);
                }
                envelope.sequence + 1 < next
            })?;
        }
        if count != next {
            let message = format!("ends before message {}: some of it is lost", next.saturating_sub(1));
            return Err(Error::file(&self.path, None, message));
        }
        self.file.set_len(kept).map_err(io)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn envelope(sequence: u64) -> Envelope {
        let body = serde_json::json!({ "text": format!("line\n{sequence},\"crc\":\"x\"") });
        Envelope { sequence, topic: "t".into(), from: "a".into(), answers: None, body }
    }

    #[test]
    fn what_is_appended_is_read_and_what_is_cut_is_gone() -> Result<()> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(NAME);
        let mut journal = Journal::open(&Directory::open(folder.path())?)?;
        (0..5).try_for_each(|i| journal.append(&envelope(i)))?;
        journal.sync()?;
        assert_eq!(read(&path)?, (0..5).map(envelope).collect::<Vec<_>>());
        // A kill in the middle of a line.
        let mut text = fs::read(&path).unwrap();
        text.extend_from_slice(b"{\"sequence\":5,\"to");
        fs::write(&path, &text).unwrap();
        assert_eq!(read(&path)?.len(), 5);
        let mut journal = Journal::open(&Directory::open(folder.path())?)?;
        journal.cut(3)?;
        journal.append(&envelope(3))?;
        assert_eq!(read(&path)?, (0..4).map(envelope).collect::<Vec<_>>());
        assert!(journal.cut(9).unwrap_err().to_string().contains("ends before message 8"));
        journal.cut(0)?;
        assert!(read(&path)?.is_empty());
        Ok(())
    }

    #[test]
    fn a_damaged_line_is_named() -> Result<()> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(NAME);
        let mut journal = Journal::open(&Directory::open(folder.path())?)?;
        (0..3).try_for_each(|i| journal.append(&envelope(i)))?;
        let good = fs::read_to_string(&path).unwrap();
        for (from, to, part) in [
            ("\"from\":\"a\"", "\"from\":\"b\"", "checksum"),
            ("\"sequence\":1", "\"sequence\":7", "checksum"),
            (",\"crc\":\"", ",\"crx\":\"", "checksum"),
        ] {
            fs::write(&path, good.replacen(from, to, 1)).unwrap();
            let error = read(&path).unwrap_err().to_string();
            let line = if from.contains('1') { ":2:" } else { ":1:" };
            assert!(error.contains(part) && error.contains(line), "{error}");
        }
        let lines: Vec<&str> = good.lines().collect();
        fs::write(&path, format!("{}\n{}\n", lines[0], lines[2])).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("message 2"));
        Ok(())
    }
}
