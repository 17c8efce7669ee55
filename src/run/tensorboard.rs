//! Event files that TensorBoard reads: scalars only.
//!
//! The format is a sequence of TFRecords (length, masked CRC-32C of the length, content, masked CRC-32C of the
//! content), each of which holds an `Event` protocol buffer; the first says `brain.Event:2`
//! (tensorflow/core/lib/io/record_writer.h, tensorflow/core/util/event.proto).
//!
//! ```
//! use synod::run::directory::Directory;
//! use synod::run::tensorboard::Events;
//! let folder = tempfile::tempdir().expect("a folder");
//! let mut events = Events::create(&Directory::open(folder.path())?, 1.8e9)?;
//! events.scalars(512, 1.8e9, [("return", 0.25)])?;
//! events.sync()?;
//! # Ok::<(), synod::Error>(())
//! ```

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

use super::directory::{Directory, How};
use crate::error::{Error, Result};

/// The longest record that is read, in bytes. One of ours holds a row of metrics.
const LONGEST_RECORD: u64 = 16 << 20;

/// CRC-32C (Castagnoli), masked as TFRecords want it.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Writes scalars to an event file.
#[derive(Debug)]
pub struct Events {
    path: PathBuf,
    file: File,
}

impl Events {
    /// Begins a file in `folder`. `seconds` is the time since 1970, which is part of the name that TensorBoard expects.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn create(folder: &Directory, seconds: f64) -> Result<Events> {
        let name = format!("events.out.tfevents.{:010}.synod", seconds as u64);
        let mut event = double(1, seconds);
        event.extend(text(3, "brain.Event:2"));
        folder.write(&name, |file| file.write_all(&record(&event)))?;
        let path = folder.join(&name);
        let file = folder.file(&name, How::Append).map_err(|e| Error::io(&path, e))?;
        Ok(Events { path, file })
    }

    /// Goes on with the newest file in `folder` after cutting every record past `step` and whatever a killed run left
    /// half written; begins one where there is none.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn resume(folder: &Directory, step: u64, seconds: f64) -> Result<Events> {
        let names = folder.names().map_err(|e| Error::io(folder.path(), e))?;
        let newest = names
            .into_iter()
            .filter_map(|name| name.into_string().ok())
            .filter(|name| name.starts_with("events.out.tfevents."))
            .max();
        let Some(name) = newest else { return Events::create(folder, seconds) };
        let path = folder.join(&name);
        let io = |e| Error::io(&path, e);
        let mut keep = 0;
        each(&path, folder.file(&name, How::Read).map_err(io)?, |record| {
            let kept = record.step <= step;
            keep = if kept { record.end } else { keep };
            kept
        })?;
        if keep == 0 {
            folder.remove(&name).map_err(io)?;
            return Events::create(folder, seconds);
        }
        folder.file(&name, How::Write).and_then(|file| file.set_len(keep)).map_err(io)?;
        let file = folder.file(&name, How::Append).map_err(io)?;
        Ok(Events { path, file })
    }

    /// Writes the values of one step. `seconds` is the time since 1970.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn scalars<'a>(
        &mut self,
        step: u64,
        seconds: f64,
        values: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> Result<()> {
        let mut summary = Vec::new();
        for (tag, value) in values {
            let mut scalar = text(1, tag);
            scalar.push(2 << 3 | 5);
            scalar.extend((value as f32).to_le_bytes());
            summary.extend(bytes(1, &scalar));
        }
        let mut event = double(1, seconds);
        event.push(2 << 3);
        event.extend(varint(step));
        event.extend(bytes(5, &summary));
        self.file.write_all(&record(&event)).map_err(|e| Error::io(&self.path, e))
    }

    /// Flushes to the disk.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|e| Error::io(&self.path, e))
    }
}

/// A TFRecord of this content.
fn record(content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u64).to_le_bytes();
    let mut record = length.to_vec();
    record.extend(masked_crc(&length).to_le_bytes());
    record.extend(content);
    record.extend(masked_crc(content).to_le_bytes());
    record
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 128 {
        out.push(value as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn bytes(field: u8, content: &[u8]) -> Vec<u8> {
    [&[field << 3 | 2][..], &varint(content.len() as u64), content].concat()
}

fn text(field: u8, content: &str) -> Vec<u8> {
    bytes(field, content.as_bytes())
}

fn double(field: u8, value: f64) -> Vec<u8> {
    [&[field << 3 | 1][..], &value.to_le_bytes()].concat()
}

/// One record of an event file, as far as synod writes them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// Where in the file the record ends, in bytes.
    pub end: u64,
    /// Seconds since 1970.
    pub seconds: f64,
    /// The training step.
    pub step: u64,
    /// `brain.Event:2` in the first record.
    pub version: Option<String>,
    /// The scalars, by tag.
    pub scalars: Vec<(String, f32)>,
}

/// Reads an event file up to its end or its first damaged record, checking every CRC.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn read(path: &Path) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    each(path, File::open(path).map_err(|e| Error::io(path, e))?, |record| {
        records.push(record);
        true
    })?;
    Ok(records)
}

/// Shows the records of a file one after another, until `show` has seen enough.
fn each(path: &Path, file: File, mut show: impl FnMut(Record) -> bool) -> Result<()> {
    let length = file.metadata().map_err(|e| Error::io(path, e))?.len();
    let mut file = BufReader::new(file);
    let mut position = 0;
    while length - position >= 16 {
        let mut head = [0u8; 12];
        file.read_exact(&mut head).map_err(|e| Error::io(path, e))?;
        let content_length = u64::from_le_bytes(head[..8].try_into().expect("eight bytes"));
        let whole = masked_crc(&head[..8]).to_le_bytes() == head[8..];
        if !whole || content_length > LONGEST_RECORD || content_length > length - position - 16 {
            break;
        }
        let mut content = vec![0u8; content_length as usize + 4];
        file.read_exact(&mut content).map_err(|e| Error::io(path, e))?;
        let crc = content.split_off(content_length as usize);
        position += 16 + content_length;
        let record = parse_event(&content).filter(|_| masked_crc(&content).to_le_bytes() == crc[..]);
        let Some(record) = record else { break };
        if !show(Record { end: position, ..record }) {
            break;
        }
    }
    Ok(())
}

/// A field of a protocol buffer.
enum Field<'a> {
    Number(u64),
    Eight([u8; 8]),
    Bytes(&'a [u8]),
    Four([u8; 4]),
}

fn next_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= ((byte & 127) as u64) << shift;
        if byte & 128 == 0 {
            return Some(value);
        }
    }
    None
}

fn next_field<'a>(rest: &mut &'a [u8]) -> Option<(u64, Field<'a>)> {
    let key = next_varint(rest)?;
    let field = match key & 7 {
        0 => Field::Number(next_varint(rest)?),
        wire => {
            let length = match wire {
                1 => 8,
                5 => 4,
                2 => usize::try_from(next_varint(rest)?).ok()?,
                _ => return None,
            };
            let (content, after) = rest.split_at_checked(length)?;
            *rest = after;
            match wire {
                1 => Field::Eight(content.try_into().ok()?),
                5 => Field::Four(content.try_into().ok()?),
                _ => Field::Bytes(content),
            }
        }
    };
    Some((key >> 3, field))
}

fn parse_event(mut rest: &[u8]) -> Option<Record> {
    let mut record = Record::default();
    while !rest.is_empty() {
        match next_field(&mut rest)? {
            (1, Field::Eight(seconds)) => record.seconds = f64::from_le_bytes(seconds),
            (2, Field::Number(step)) => record.step = step,
            (3, Field::Bytes(version)) => record.version = Some(String::from_utf8(version.to_vec()).ok()?),
            (5, Field::Bytes(mut summary)) => {
                while !summary.is_empty() {
                    let (1, Field::Bytes(mut value)) = next_field(&mut summary)? else { continue };
                    let mut scalar = (String::new(), 0.0);
                    while !value.is_empty() {
                        match next_field(&mut value)? {
                            (1, Field::Bytes(tag)) => scalar.0 = String::from_utf8(tag.to_vec()).ok()?,
                            (2, Field::Four(number)) => scalar.1 = f32::from_le_bytes(number),
                            _ => {}
                        }
                    }
                    record.scalars.push(scalar);
                }
            }
            _ => {}
        }
    }
    Some(record)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn checksums_are_the_published_ones() {
        // RFC 3720, B.4, unmasked.
        let crc = |b: &[u8]| masked_crc(b).wrapping_sub(0xa282_ead8).rotate_left(15);
        assert_eq!(crc(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc(&[255; 32]), 0x62a8_ab43);
        assert_eq!(crc(&(0..32).collect::<Vec<u8>>()), 0x46dd_794e);
        assert_eq!(crc(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn what_is_written_is_read_and_cut() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Directory::open(folder.path()).unwrap();
        let mut events = Events::create(&folder, 1.75e9).unwrap();
        for step in [0, 127, 128, 1 << 40] {
            events
                .scalars(step, 1.75e9 + 0.5, [("return", step as f64 / 3.0), ("loss/policy", -0.25)])
                .unwrap();
        }
        events.sync().unwrap();
        let path = events.path.clone();
        let records = read(&path).unwrap();
        assert_eq!(records[0].version.as_deref(), Some("brain.Event:2"));
        assert_eq!(records.iter().map(|r| r.step).collect::<Vec<_>>(), [0, 0, 127, 128, 1 << 40]);
        assert_eq!(
            records[3].scalars,
            [("return".to_string(), (128.0f64 / 3.0) as f32), ("loss/policy".to_string(), -0.25)]
        );
        assert_eq!(records[4].seconds, 1.75e9 + 0.5);
        assert_eq!(records[4].end, fs::metadata(&path).unwrap().len());

        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        assert_eq!(read(&path).unwrap(), records[..4]);
        let mut events = Events::resume(&folder, 127, 2e9).unwrap();
        events.scalars(200, 2e9, [("return", 1.0)]).unwrap();
        let after = read(&path).unwrap();
        assert_eq!(after[..3], records[..3]);
        assert_eq!((after.len(), after[3].step), (4, 200));
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            fs::write(&path, damaged).unwrap();
            let kept = read(&path).unwrap();
            assert!(
                kept.len() < records.len() && kept[..] == records[..kept.len()],
                "byte {at} is not protected"
            );
        }
    }
}
