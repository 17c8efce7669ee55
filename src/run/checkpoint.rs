//! Checkpoints on disk, in the safetensors format (<https://huggingface.co/docs/safetensors>): eight bytes of header
//! length, a JSON header, the tensors. Other programs read them.
//!
//! The header is written here, in a fixed order, because the bytes of a checkpoint are part of the promise that a
//! resumed run equals an undisturbed one; and it is read here because every size in it is checked against the file's
//! length before anything is allocated.
//!
//! Format 2 (metadata `synod.format`) has checksums (CRC-32C) in its metadata: `synod.checksums` of the content of every
//! tensor, in the order of the file, and `synod.checksum` of all other texts and of the tensors' names, types and shapes.
//! What they do not agree with is refused. Format 1 had none, and is read with a warning.
//!
//! A save keeps the checkpoint before it as `checkpoint.previous.safetensors`. The latest is never half written (it is
//! renamed into place), so the previous one is there for the other faults: a bad disk, or a run that went wrong before
//! it showed.
//!
//! ```
//! use synod::run::checkpoint;
//! use synod::train::{Checkpoint, TensorData};
//! let folder = tempfile::tempdir().expect("a folder");
//! let path = folder.path().join("checkpoint.safetensors");
//! let mut saved = Checkpoint::new();
//! saved.insert("agent/weight", TensorData::f32(&[2], &[1.0, 2.0])?);
//! checkpoint::write(&path, &saved)?;
//! assert_eq!(checkpoint::read(&path)?.tensor("agent/weight")?, saved.tensor("agent/weight")?);
//! # Ok::<(), synod::Error>(())
//! ```

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::directory::{Directory, How, Staged, parent_of};
use crate::error::{Error, Result};
use crate::train::{Checkpoint, ElementType, TensorData};

/// The version of what synod puts into a checkpoint, as metadata `synod.format`.
pub const FORMAT: &str = "2";
/// The version without checksums.
const UNCHECKED: &str = "1";
/// The checksum of the header, and those of the tensors' contents.
const CHECKSUM: &str = "synod.checksum";
const CHECKSUMS: &str = "synod.checksums";
/// The longest header that is read, in bytes. A header of a thousand tensors takes about 100 KiB.
const LONGEST_HEADER: u64 = 16 << 20;
/// Texts in a header, and axes of a tensor, at most: what is read of a header is bounded by its length.
const MOST_TEXTS: usize = 1 << 16;
const MOST_AXES: usize = 32;

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

/// safetensors' name of a type.
fn name_of(element_type: ElementType) -> &'static str {
    TYPES.iter().find(|(_, t)| *t == element_type).map_or("", |(name, _)| name)
}

/// CRC-32C of a header: its texts without the checksum itself, then the tensors in the order of the file.
fn checksum<'a>(
    texts: &BTreeMap<String, String>,
    tensors: impl Iterator<Item = (&'a str, ElementType, &'a [usize])>,
) -> String {
    let mut crc = 0;
    // With its length before it, no two lists of texts are the same bytes.
    let mut add = |bytes: &[u8]| {
        crc = crc32c::crc32c_append(crc, &(bytes.len() as u64).to_le_bytes());
        crc = crc32c::crc32c_append(crc, bytes);
    };
    for (key, text) in texts.iter().filter(|(key, _)| *key != CHECKSUM) {
        add(key.as_bytes());
        add(text.as_bytes());
    }
    for (name, element_type, shape) in tensors {
        add(name.as_bytes());
        add(name_of(element_type).as_bytes());
        add(format!("{shape:?}").as_bytes());
    }
    hexadecimal(crc)
}

fn hexadecimal(crc: u32) -> String {
    format!("{crc:08x}")
}

/// Writes a checkpoint in place of the one at `path`, which becomes the previous one. The same checkpoint gives the
/// same bytes.
///
/// # Errors
/// [`Error::Io`] with the path; the files that were there are still whole.
pub fn write(path: &Path, checkpoint: &Checkpoint) -> Result<()> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| fault(path, "is no name for a checkpoint"))?;
    write_in(&Directory::open(parent_of(path))?, name, checkpoint)
}

/// As [`write()`], into a folder that is held open.
///
/// # Errors
/// As [`write()`].
pub fn write_in(directory: &Directory, name: &str, checkpoint: &Checkpoint) -> Result<()> {
    let staged = stage(directory, name, checkpoint)?;
    keep_previous(directory, name);
    staged.commit()
}

/// As [`write_in`], without keeping the one that was there.
///
/// # Errors
/// As [`write()`].
pub(super) fn replace_in(directory: &Directory, name: &str, checkpoint: &Checkpoint) -> Result<()> {
    stage(directory, name, checkpoint)?.commit()
}

/// Writes a checkpoint beside the place that it will have.
fn stage<'a>(directory: &'a Directory, name: &str, checkpoint: &Checkpoint) -> Result<Staged<'a>> {
    let path = &directory.join(name);
    let mut order: Vec<(&String, &TensorData)> = checkpoint.tensors.iter().collect();
    // Large elements first keeps every tensor aligned to its element, as safetensors asks.
    order.sort_by_key(|(name, tensor)| (std::cmp::Reverse(tensor.element_type().size()), *name));
    let mut metadata = checkpoint.metadata.clone();
    metadata.insert("synod.format".into(), FORMAT.into());
    let contents: Vec<String> =
        order.iter().map(|(_, tensor)| hexadecimal(crc32c::crc32c(tensor.bytes()))).collect();
    metadata.insert(CHECKSUMS.into(), contents.join(" "));
    let tensors = order.iter().map(|(name, tensor)| (name.as_str(), tensor.element_type(), tensor.shape()));
    metadata.insert(CHECKSUM.into(), checksum(&metadata, tensors));
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let pairs: Vec<String> = metadata.iter().map(|(k, v)| format!("{}:{}", quoted(k), quoted(v))).collect();
    let mut header = format!("{{\"__metadata__\":{{{}}}", pairs.join(","));
    let mut offset = 0usize;
    for (name, tensor) in &order {
        if *name == "__metadata__" {
            return Err(fault(path, "a tensor cannot be named `__metadata__`"));
        }
        let end = offset + tensor.bytes().len();
        let _ = write!(
            header,
            ",{}:{{\"dtype\":\"{}\",\"shape\":{:?},\"data_offsets\":[{offset},{end}]}}",
            quoted(name),
            name_of(tensor.element_type()),
            tensor.shape()
        );
        offset = end;
    }
    header.push('}');
    while header.len() % 8 != 0 {
        header.push(' ');
    }
    if header.len() as u64 > LONGEST_HEADER {
        return Err(fault(path, format!("the checkpoint's header would take {} bytes", header.len())));
    }
    directory.stage(name, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        order.iter().try_for_each(|(_, tensor)| file.write_all(tensor.bytes()))
    })
}

/// Gives the present checkpoint a second name. At no moment is there none under the first. A file system without hard
/// links keeps no previous one.
fn keep_previous(directory: &Directory, name: &str) {
    if directory.has(name) {
        let previous = previous_of(Path::new(name));
        let _ = directory.remove(&previous);
        if let Err(error) = directory.link(name, &previous) {
            tracing::debug!("{}: no previous checkpoint is kept: {error}", directory.join(name).display());
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
    /// What the header says of its content; `None` in the format without checksums.
    checksum: Option<String>,
}

/// Reads a checkpoint.
///
/// # Errors
/// [`Error::Io`] where it cannot be read; [`Error::File`] where it is not a checkpoint of synod, is cut short, or its
/// header contradicts itself, the file's length or the checksums. Nothing larger than the file is ever allocated.
pub fn read(path: &Path) -> Result<Checkpoint> {
    read_part(path, "")
}

/// Reads the texts of a checkpoint and the tensors whose names begin with `prefix`: of a learner's those of its agent, say,
/// and not all that it remembers.
///
/// # Errors
/// As [`read`].
pub fn read_part(path: &Path, prefix: &str) -> Result<Checkpoint> {
    read_opened(path, open_file(path, File::open(path))?, prefix)
}

/// As [`read_part`], of a checkpoint that is in memory. `name` is what errors call it.
///
/// # Errors
/// As [`read`].
pub fn read_bytes(name: &str, bytes: &[u8], prefix: &str) -> Result<Checkpoint> {
    let path = Path::new(name);
    read_opened(path, open(path, std::io::Cursor::new(bytes), bytes.len() as u64)?, prefix)
}

/// As [`read`], from a folder that is held open.
///
/// # Errors
/// As [`read`].
pub fn read_in(directory: &Directory, name: impl AsRef<Path>) -> Result<Checkpoint> {
    let (name, path) = (name.as_ref(), directory.join(name.as_ref()));
    read_opened(&path, open_file(&path, directory.file(name, How::Read))?, "")
}

fn read_opened<R: Read + Seek>(
    path: &Path,
    (mut file, metadata, entries): Opened<R>,
    prefix: &str,
) -> Result<Checkpoint> {
    let mut checkpoint = Checkpoint { metadata, ..Checkpoint::new() };
    for entry in entries {
        let length = (entry.end - entry.begin) as usize;
        if !entry.name.starts_with(prefix) {
            file.seek_relative(length as i64).map_err(|e| Error::io(path, e))?;
            continue;
        }
        let mut bytes = reserve(path, &entry.name, length)?;
        let read = (&mut file).take(length as u64).read_to_end(&mut bytes).map_err(|e| Error::io(path, e))?;
        if read != length {
            return Err(fault(path, "became shorter while it was read"));
        }
        if entry.checksum.is_some_and(|checksum| checksum != hexadecimal(crc32c::crc32c(&bytes))) {
            return Err(fault(path, format!("is damaged: `{}` does not have its checksum", entry.name)));
        }
        let tensor = TensorData::new(&entry.shape, entry.element_type, bytes)
            .map_err(|e| fault(path, format!("`{}`: {e}", entry.name)))?;
        checkpoint.tensors.insert(entry.name, tensor);
    }
    Ok(checkpoint)
}

fn reserve(path: &Path, what: &str, length: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match bytes.try_reserve_exact(length) {
        Ok(()) => Ok(bytes),
        Err(_) => Err(fault(path, format!("`{what}` takes {length} bytes, more than there is memory"))),
    }
}

/// Reads only the texts of a checkpoint (`synod.step`, `architecture`), after the same checks.
///
/// # Errors
/// As [`read`].
pub fn read_metadata(path: &Path) -> Result<BTreeMap<String, String>> {
    open_file(path, File::open(path)).map(|(_, metadata, _)| metadata)
}

type Opened<R> = (BufReader<R>, BTreeMap<String, String>, Vec<Entry>);

fn open_file(path: &Path, file: std::io::Result<File>) -> Result<Opened<File>> {
    let file = file.map_err(|e| match e.kind() {
        ErrorKind::NotFound => fault(path, "there is no checkpoint"),
        _ => Error::io(path, e),
    })?;
    let about = file.metadata().map_err(|e| Error::io(path, e))?;
    if !about.is_file() {
        return Err(fault(path, "is not a file"));
    }
    open(path, file, about.len())
}

/// Reads and checks the header of what has `length` bytes.
fn open<R: Read>(path: &Path, from: R, length: u64) -> Result<Opened<R>> {
    let mut file = BufReader::new(from);
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
    let mut header = reserve(path, "header", header_length as usize)?;
    (&mut file).take(header_length).read_to_end(&mut header).map_err(|e| Error::io(path, e))?;
    let header: Header = serde_json::from_slice(&header)
        .map_err(|e| fault(path, format!("is not a safetensors file (its header: {e})")))?;
    let (metadata, entries) = check_header(path, header, length - 8 - header_length)?;
    Ok((file, metadata, entries))
}

/// Checks a header against itself, its checksum and the `length` of the data after it. The entries come back in file
/// order.
fn check_header(
    path: &Path,
    Header { metadata: mut texts, mut entries }: Header,
    length: u64,
) -> Result<(BTreeMap<String, String>, Vec<Entry>)> {
    entries.sort_by_key(|e| (e.begin, e.end));
    let checked = match texts.get("synod.format").map(String::as_str) {
        Some(FORMAT) => true,
        Some(UNCHECKED) => false,
        Some(other) => {
            let known = format!("this program reads formats {UNCHECKED} and {FORMAT}");
            return Err(fault(path, format!("has format {other}; {known}")));
        }
        None => return Err(fault(path, "is a safetensors file, but no checkpoint of synod")),
    };
    let tensors = || entries.iter().map(|e| (e.name.as_str(), e.element_type, &e.shape[..]));
    let (own, contents) = (texts.get(CHECKSUM), texts.get(CHECKSUMS));
    if checked && own != Some(&checksum(&texts, tensors())) {
        return Err(fault(path, "is damaged: its header does not have its checksum"));
    }
    if !checked && (own.is_some() || contents.is_some()) {
        return Err(fault(path, format!("is damaged: format {UNCHECKED} has no checksums, and it has some")));
    }
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
        std::cmp::Ordering::Equal => {}
        std::cmp::Ordering::Greater => {
            let message = format!("is cut short: its tensors take {position} bytes, {length} are there");
            return Err(fault(path, message));
        }
        std::cmp::Ordering::Less => {
            return Err(fault(path, format!("has {} bytes after its last tensor", length - position)));
        }
    }
    if checked {
        let contents = texts.remove(CHECKSUMS).unwrap_or_default();
        let mut contents = contents.split_whitespace();
        for entry in &mut entries {
            entry.checksum = contents.next().map(str::to_string);
        }
        if contents.next().is_some() || entries.iter().any(|entry| entry.checksum.is_none()) {
            return Err(fault(path, "has checksums of another number of tensors"));
        }
        texts.remove(CHECKSUM);
    } else {
        tracing::warn!(
            "{} has format {UNCHECKED}, which has no checksums: damage to it would not be noticed",
            path.display()
        );
    }
    Ok((texts, entries))
}

/// A header as it stands there. It is read without a tree of its values, so that it takes no more memory than its text.
struct Header {
    metadata: BTreeMap<String, String>,
    entries: Vec<Entry>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Header, D::Error> {
        from.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the tensors of a file by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut header = Header { metadata: BTreeMap::new(), entries: Vec::new() };
        let mut seen = false;
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                if std::mem::replace(&mut seen, true) {
                    return Err(de::Error::custom("`__metadata__` stands there twice"));
                }
                header.metadata = map.next_value::<Texts>()?.0;
                continue;
            }
            let entry: Layout = map.next_value()?;
            let entry = entry.check(&name).map_err(|m| de::Error::custom(format!("tensor `{name}`: {m}")))?;
            header.entries.push(entry);
        }
        let mut names: Vec<&str> = header.entries.iter().map(|e| e.name.as_str()).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(de::Error::custom(format!("tensor `{}` stands there twice", pair[0]))),
            None => Ok(header),
        }
    }
}

/// The texts of a header.
struct Texts(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Texts, D::Error> {
        struct TextsVisitor;
        impl<'de> Visitor<'de> for TextsVisitor {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("texts by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Texts, A::Error> {
                let mut texts = BTreeMap::new();
                while let Some((key, text)) = map.next_entry::<String, String>()? {
                    if texts.len() >= MOST_TEXTS || texts.contains_key(&key) {
                        return Err(de::Error::custom("too many texts, or one twice"));
                    }
                    texts.insert(key, text);
                }
                Ok(Texts(texts))
            }
        }
        from.deserialize_map(TextsVisitor)
    }
}

/// What a header says of a tensor.
#[derive(serde::Deserialize)]
struct Layout {
    dtype: Option<String>,
    shape: Option<Numbers>,
    data_offsets: Option<Numbers>,
}

/// A short list of sizes.
struct Numbers(Vec<u64>);

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Numbers, D::Error> {
        struct NumbersVisitor;
        impl<'de> Visitor<'de> for NumbersVisitor {
            type Value = Numbers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of sizes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Numbers, A::Error> {
                let mut numbers = Vec::new();
                while let Some(number) = seq.next_element::<u64>()? {
                    if numbers.len() >= MOST_AXES {
                        return Err(de::Error::custom(format!("more than {MOST_AXES} sizes")));
                    }
                    numbers.push(number);
                }
                Ok(Numbers(numbers))
            }
        }
        from.deserialize_seq(NumbersVisitor)
    }
}

impl Layout {
    fn check(self, name: &str) -> Result<Entry, String> {
        let dtype = self.dtype.ok_or("it has no dtype")?;
        let (_, element_type) = TYPES
            .iter()
            .find(|(n, _)| *n == dtype)
            .ok_or_else(|| format!("its dtype {dtype:?} is none that synod writes"))?;
        let shape: Vec<usize> = self
            .shape
            .and_then(|shape| shape.0.into_iter().map(|n| usize::try_from(n).ok()).collect())
            .ok_or("its shape is no list of sizes")?;
        let [begin, end] = self.data_offsets.ok_or("it has no offsets")?.0[..] else {
            return Err("it needs two offsets".into());
        };
        let bytes = shape
            .iter()
            .try_fold(1usize, |product, &size| product.checked_mul(size))
            .and_then(|elements| elements.checked_mul(element_type.size()))
            .ok_or_else(|| format!("its shape {shape:?} overflows"))?;
        if end.checked_sub(begin) != Some(bytes as u64) {
            return Err(format!(
                "its shape {shape:?} takes {bytes} bytes, its offsets are {begin} and {end}"
            ));
        }
        Ok(Entry { name: name.to_string(), element_type: *element_type, shape, begin, end, checksum: None })
    }
}

#[cfg(test)]
#[path = "checkpoint_tests.rs"]
mod tests;
