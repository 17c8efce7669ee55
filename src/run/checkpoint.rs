//! Checkpoints on disk, in the safetensors format (<https://huggingface.co/docs/safetensors>): eight bytes of header
//! length, a JSON header, the tensors. Other programs read them.
//!
//! The header is written here, in a fixed order, because the bytes of a checkpoint are part of the promise that a
//! resumed run equals an undisturbed one; and it is read here because every size in it is checked against the file's
//! length before anything is allocated.
//!
//! A save keeps the checkpoint before it as `checkpoint.previous.safetensors`. The latest is never half written (it is
//! renamed into place), so the previous one is there for the other faults: a bad disk, or a run that went wrong before
//! it showed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::folder;
use crate::error::{Error, Result};
use crate::train::{Checkpoint, ElementType, TensorData};

/// The version of what synod puts into a checkpoint, as metadata `synod.format`.
pub const FORMAT: &str = "1";
/// The longest header that is read, in bytes. A header of a thousand tensors takes about 100 KiB.
const LONGEST_HEADER: u64 = 16 << 20;

/// The elements of the two formats, under safetensors' names.
const TYPES: [(&str, ElementType); 5] = [
    ("F32", ElementType::F32),
    ("F64", ElementType::F64),
    ("U32", ElementType::U32),
    ("U64", ElementType::U64),
    ("U8", ElementType::U8),
];

fn fault(path: &Path, message: impl Into<String>) -> Error {
    Error::file(path, None, message)
}

/// Where the checkpoint before the one at `path` is kept.
pub fn previous_of(path: &Path) -> PathBuf {
    path.with_extension("previous.safetensors")
}

/// Writes a checkpoint in place of the one at `path`, which becomes the previous one. The same checkpoint gives the
/// same bytes.
///
/// # Errors
/// [`Error::Io`] with the path; the files that were there are still whole.
pub fn write(path: &Path, checkpoint: &Checkpoint) -> Result<()> {
    let mut order: Vec<(&String, &TensorData)> = checkpoint.tensors.iter().collect();
    // Large elements first keeps every tensor aligned to its element, as safetensors asks.
    order.sort_by_key(|(name, tensor)| (std::cmp::Reverse(tensor.element_type().size()), *name));
    let mut metadata = checkpoint.metadata.clone();
    metadata.insert("synod.format".into(), FORMAT.into());
    let quoted = |text: &str| Value::from(text).to_string();
    let pairs: Vec<String> = metadata.iter().map(|(k, v)| format!("{}:{}", quoted(k), quoted(v))).collect();
    let mut header = format!("{{\"__metadata__\":{{{}}}", pairs.join(","));
    let mut offset = 0usize;
    for (name, tensor) in &order {
        if *name == "__metadata__" {
            return Err(fault(path, "a tensor cannot be named `__metadata__`"));
        }
        let end = offset + tensor.bytes().len();
        let dtype = TYPES.iter().find(|(_, t)| *t == tensor.element_type()).map_or("", |(n, _)| n);
        header.push_str(&format!(
            ",{}:{{\"dtype\":\"{dtype}\",\"shape\":{:?},\"data_offsets\":[{offset},{end}]}}",
            quoted(name),
            tensor.shape()
        ));
        offset = end;
    }
    header.push('}');
    while header.len() % 8 != 0 {
        header.push(' ');
    }
    if header.len() as u64 > LONGEST_HEADER {
        return Err(fault(path, format!("the checkpoint's header would take {} bytes", header.len())));
    }
    let staged = folder::stage(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        order.iter().try_for_each(|(_, tensor)| file.write_all(tensor.bytes()))
    })?;
    keep_previous(path);
    staged.commit()
}

/// Gives the present checkpoint a second name. At no moment is there none under the first. A file system without hard
/// links keeps no previous one.
fn keep_previous(path: &Path) {
    let previous = previous_of(path);
    if path.exists() {
        let _ = fs::remove_file(&previous);
        if let Err(error) = fs::hard_link(path, &previous) {
            tracing::debug!("{}: no previous checkpoint is kept: {error}", path.display());
        }
    }
}

/// Where a tensor lies in the file, as its header says and as it was checked.
struct Entry {
    name: String,
    element_type: ElementType,
    shape: Vec<usize>,
    begin: u64,
    end: u64,
}

/// Reads a checkpoint.
///
/// # Errors
/// [`Error::Io`] where it cannot be read; [`Error::File`] where it is not a checkpoint of synod, is cut short, or its
/// header contradicts itself or the file's length. Nothing larger than the file is ever allocated.
pub fn read(path: &Path) -> Result<Checkpoint> {
    read_part(path, "")
}

/// Reads the texts of a checkpoint and the tensors whose names begin with `prefix`: of a learner's those of its agent, say,
/// and not all that it remembers.
///
/// # Errors
/// As [`read`].
pub fn read_part(path: &Path, prefix: &str) -> Result<Checkpoint> {
    let (mut file, metadata, entries) = open(path)?;
    let mut checkpoint = Checkpoint { metadata, ..Checkpoint::new() };
    for entry in entries {
        let length = (entry.end - entry.begin) as usize;
        if !entry.name.starts_with(prefix) {
            file.seek_relative(length as i64).map_err(|e| Error::io(path, e))?;
            continue;
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length).map_err(|_| {
            fault(path, format!("`{}` takes {length} bytes, more than there is memory", entry.name))
        })?;
        let read = (&mut file).take(length as u64).read_to_end(&mut bytes).map_err(|e| Error::io(path, e))?;
        if read != length {
            return Err(fault(path, "became shorter while it was read"));
        }
        let tensor = TensorData::new(&entry.shape, entry.element_type, bytes)
            .map_err(|e| fault(path, format!("`{}`: {e}", entry.name)))?;
        checkpoint.tensors.insert(entry.name, tensor);
    }
    Ok(checkpoint)
}

/// Reads only the texts of a checkpoint (`synod.step`, `architecture`), after the same checks.
///
/// # Errors
/// As [`read`].
pub fn read_metadata(path: &Path) -> Result<BTreeMap<String, String>> {
    open(path).map(|(_, metadata, _)| metadata)
}

type Opened = (BufReader<File>, BTreeMap<String, String>, Vec<Entry>);

fn open(path: &Path) -> Result<Opened> {
    let file = File::open(path).map_err(|e| match e.kind() {
        ErrorKind::NotFound => fault(path, "there is no checkpoint"),
        _ => Error::io(path, e),
    })?;
    let about = file.metadata().map_err(|e| Error::io(path, e))?;
    if !about.is_file() {
        return Err(fault(path, "is not a file"));
    }
    let length = about.len();
    let mut file = BufReader::new(file);
    let mut word = [0u8; 8];
    if length < 8 {
        return Err(fault(path, format!("is no checkpoint: it has {length} bytes")));
    }
    file.read_exact(&mut word).map_err(|e| Error::io(path, e))?;
    let header_length = u64::from_le_bytes(word);
    if header_length > LONGEST_HEADER {
        return Err(fault(path, "is not a safetensors file (its first eight bytes are no header length)"));
    }
    if header_length > length - 8 {
        return Err(fault(path, "is cut short inside its header"));
    }
    let mut header = vec![0u8; header_length as usize];
    file.read_exact(&mut header).map_err(|e| Error::io(path, e))?;
    let header: serde_json::Map<String, Value> = serde_json::from_slice(&header)
        .map_err(|e| fault(path, format!("is not a safetensors file (its header: {e})")))?;
    let (metadata, entries) = check_header(path, header, length - 8 - header_length)?;
    match metadata.get("synod.format").map(String::as_str) {
        Some(FORMAT) => {}
        Some(other) => {
            return Err(fault(path, format!("has format {other}; this program reads format {FORMAT}")));
        }
        None => return Err(fault(path, "is a safetensors file, but no checkpoint of synod")),
    }
    Ok((file, metadata, entries))
}

/// Checks a header against itself and the `length` of the data after it. The entries come back in file order.
fn check_header(
    path: &Path,
    mut header: serde_json::Map<String, Value>,
    length: u64,
) -> Result<(BTreeMap<String, String>, Vec<Entry>)> {
    let mut metadata = BTreeMap::new();
    if let Some(texts) = header.remove("__metadata__") {
        let Value::Object(texts) = texts else {
            return Err(fault(path, "has a header whose `__metadata__` is no object"));
        };
        for (key, text) in texts {
            let Value::String(text) = text else {
                return Err(fault(path, format!("has a header whose metadata `{key}` is no text")));
            };
            metadata.insert(key, text);
        }
    }
    let mut entries = Vec::with_capacity(header.len());
    for (name, entry) in header {
        entries.push(parse_entry(&name, &entry).map_err(|m| fault(path, format!("tensor `{name}`: {m}")))?);
    }
    entries.sort_by_key(|e| (e.begin, e.end));
    let mut position = 0;
    for entry in &entries {
        if entry.begin != position {
            let what =
                if entry.begin < position { "overlaps the one before it" } else { "leaves a gap before it" };
            return Err(fault(path, format!("tensor `{}` {what}", entry.name)));
        }
        position = entry.end;
    }
    match position.cmp(&length) {
        std::cmp::Ordering::Equal => Ok((metadata, entries)),
        std::cmp::Ordering::Greater => {
            Err(fault(path, format!("is cut short: its tensors take {position} bytes, {length} are there")))
        }
        std::cmp::Ordering::Less => {
            Err(fault(path, format!("has {} bytes after its last tensor", length - position)))
        }
    }
}

fn parse_entry(name: &str, entry: &Value) -> Result<Entry, String> {
    let dtype = entry["dtype"].as_str().ok_or("it has no dtype")?;
    let (_, element_type) = TYPES
        .iter()
        .find(|(n, _)| *n == dtype)
        .ok_or_else(|| format!("its dtype {dtype:?} is none that synod writes"))?;
    let numbers =
        |key: &str| -> Option<Vec<u64>> { entry[key].as_array()?.iter().map(Value::as_u64).collect() };
    let shape: Vec<usize> = numbers("shape")
        .and_then(|s| s.into_iter().map(|n| usize::try_from(n).ok()).collect())
        .ok_or("its shape is no list of sizes")?;
    let [begin, end] = numbers("data_offsets").ok_or("it has no offsets")?[..] else {
        return Err("it needs two offsets".into());
    };
    let bytes = shape
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size))
        .and_then(|elements| elements.checked_mul(element_type.size()))
        .ok_or_else(|| format!("its shape {shape:?} overflows"))?;
    if end.checked_sub(begin) != Some(bytes as u64) {
        return Err(format!("its shape {shape:?} takes {bytes} bytes, its offsets are {begin} and {end}"));
    }
    Ok(Entry { name: name.to_string(), element_type: *element_type, shape, begin, end })
}

#[cfg(test)]
#[path = "checkpoint_tests.rs"]
mod tests;
