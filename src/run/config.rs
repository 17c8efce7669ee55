//! Configurations: a preset's complete value, changed by a TOML file and by `key=value` items, every key checked.
//!
//! A configuration is any type that serde can write and read. Its known keys are those that appear when the preset's
//! value is written, so a type needs no further description; fields must not be skipped in writing
//! (`skip_serializing_if`), and numbers must be finite (an option says "no limit" better than infinity does).
//!
//! An absent option is written as `"none"` and can be set to it, so that a written configuration is complete and says
//! the same whatever preset it is laid over.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use toml::de::{DeTable, DeValue};

use crate::error::{Error, Result, nearest};
use crate::registry::tree;

/// The largest configuration file that is read, in bytes.
pub const LARGEST_FILE: u64 = 1 << 20;
/// How deep a value may be nested.
const DEEPEST: usize = 24;
/// The text that stands for an absent option.
const NONE: &str = "none";

/// Where a change comes from, for errors.
#[derive(Clone, Debug)]
enum Origin {
    File { path: PathBuf, line: usize },
    Item,
}

/// One key and its new value.
#[derive(Clone, Debug)]
struct Change {
    keys: Vec<String>,
    value: Value,
    /// The value as it was typed after `--set key=`, for keys that hold text.
    typed: Option<String>,
    origin: Origin,
}

impl Change {
    fn key(&self) -> String {
        self.keys.join(".")
    }

    fn fault(&self, message: impl std::fmt::Display) -> Error {
        Error::config(
            self.key(),
            match &self.origin {
                Origin::File { path, line } => format!("{message} ({}:{line})", path.display()),
                Origin::Item => message.to_string(),
            },
        )
    }
}

/// Changes to a configuration, later ones over earlier ones.
///
/// ```
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Ppo { clip: f64, epochs: u32 }
/// let mut changes = synod::run::config::Changes::new();
/// changes.item("epochs=3")?;
/// let ppo: Ppo = changes.apply(&Ppo { clip: 0.2, epochs: 10 })?;
/// assert_eq!((ppo.clip, ppo.epochs), (0.2, 3));
/// # Ok::<(), synod::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Changes {
    changes: Vec<Change>,
}

impl Changes {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the content of a TOML file.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be read; [`Error::File`] with the line where it is not TOML, or is too large.
    pub fn file(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        self.text(path, &read_text(path)?)
    }

    /// Adds the content of a TOML text; `path` is what errors call it.
    ///
    /// # Errors
    /// [`Error::File`] with the line where it is not TOML.
    pub fn text(&mut self, path: &Path, text: &str) -> Result<()> {
        let breaks: Vec<usize> =
            text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i).collect();
        let line_of = |at: usize| 1 + breaks.partition_point(|end| *end < at);
        let table = DeTable::parse(text).map_err(|e| {
            Error::file(path, e.span().map(|s| line_of(s.start)), format!("is not TOML: {}", e.message()))
        })?;
        let origin = |at: usize| Origin::File { path: path.to_path_buf(), line: line_of(at) };
        flatten(&mut Vec::new(), table.get_ref(), &origin, &mut self.changes)
    }

    /// Adds a `key=value` item. The value is read as TOML (`3`, `0.5`, `true`, `[1, 2]`) and otherwise as text.
    ///
    /// # Errors
    /// [`Error::Usage`] where it has no `=` or no key.
    pub fn item(&mut self, item: &str) -> Result<()> {
        let (key, typed) = item
            .split_once('=')
            .map(|(key, typed)| (key.trim(), typed.trim()))
            .filter(|(key, _)| {
                !key.is_empty() && key.len() < 1000 && key.split('.').all(|k| !k.trim().is_empty())
            })
            .ok_or_else(|| Error::Usage(format!("`{item}` is not of the form key=value")))?;
        let keys: Vec<String> = key.split('.').map(|k| k.trim().to_string()).collect();
        let whole = |value: Value| Change {
            keys: keys.clone(),
            value,
            typed: Some(typed.to_string()),
            origin: Origin::Item,
        };
        match DeValue::parse(typed) {
            Ok(value) if value.get_ref().is_table() => {
                let table = value.get_ref().as_table().expect("asked just now");
                flatten(&mut keys.clone(), table, &|_| Origin::Item, &mut self.changes)?;
            }
            Ok(value) => {
                let change = whole(Value::Null);
                let value = to_json(value.get_ref(), 0).map_err(|m| change.fault(m))?;
                self.changes.push(whole(value));
            }
            Err(_) => self.changes.push(whole(Value::from(typed))),
        }
        Ok(())
    }

    /// Takes a text out of the changes: `preset = "mazes"` names the value to start from and is no part of it.
    ///
    /// # Errors
    /// [`Error::Config`] where the key holds something else than text.
    pub fn take_text(&mut self, key: &str) -> Result<Option<String>> {
        let mut found = None;
        for change in &self.changes {
            if change.keys.iter().map(String::as_str).eq(key.split('.')) {
                found = Some(match &change.value {
                    Value::String(text) => text.clone(),
                    other => return Err(change.fault(format!("expected text, found {}", describe(other)))),
                });
            }
        }
        self.changes.retain(|change| !change.keys.iter().map(String::as_str).eq(key.split('.')));
        Ok(found)
    }

    /// Lets a name stand for a table where it begins a longer key: `ppo.rollout` for `learner.rollout`.
    pub fn let_stand(&mut self, name: &str, table: &str) {
        for change in self.changes.iter_mut().filter(|change| change.keys.len() > 1 && change.keys[0] == name)
        {
            change.keys[0] = table.to_string();
        }
    }

    /// The text that a key has, where it has one.
    pub fn text_of(&self, key: &str) -> Option<&str> {
        let has = |change: &&Change| change.keys.iter().map(String::as_str).eq(key.split('.'));
        self.changes.iter().rfind(has).and_then(|change| change.value.as_str())
    }

    /// The changed value. A change of `kind` in a table does away with the table's other keys: the new kind starts from its
    /// defaults. The name of a kind may stand for a table with it (`world=lever` for `world.kind=lever`). Items lie over the file, so an item that changes a kind does away with
    /// what the file says of another one.
    ///
    /// # Errors
    /// [`Error::Config`] with the key, the file and line where it came from one, and either the nearest known key or
    /// what was expected.
    pub fn apply<T: Serialize + DeserializeOwned>(&self, base: &T) -> Result<T> {
        let is_item = |change: &Change| matches!(change.origin, Origin::Item);
        let (items, file): (Vec<Change>, Vec<Change>) = self.changes.iter().cloned().partition(is_item);
        let result = Layer(&file).apply(tree(base)?)?;
        match items.is_empty() {
            true => Ok(result),
            false => Layer(&items).apply(tree(&result)?),
        }
    }
}

/// Changes of which none lies over another.
struct Layer<'a>(&'a [Change]);

impl Layer<'_> {
    fn apply<T: Serialize + DeserializeOwned>(&self, known: Value) -> Result<T> {
        let mut changes = self.0.to_vec();
        let mut base = known;
        // Kinds stand in tables of kinds: what a bare name means shows when those around it are known.
        for _ in 0..DEEPEST {
            // A text where a table with a kind stands is the name of another kind.
            let named = |change: &Change| {
                let at = lookup(&base, &change.keys);
                change.value.is_string()
                    && at.and_then(|table| table.get("kind")).is_some_and(Value::is_string)
            };
            changes
                .iter_mut()
                .filter(|change| named(change))
                .for_each(|change| change.keys.push("kind".into()));
            match Layer(&changes).other_kinds::<T>(&base) {
                Some(other) if other != base => base = other,
                _ => break,
            }
        }
        Layer(&changes).apply_to(base)
    }

    /// The base with the changed kinds in place of others: alone, or with the changes to their tables where they have no
    /// defaults for everything. `None` where no kind is changed.
    fn other_kinds<T: Serialize + DeserializeOwned>(&self, known: &Value) -> Option<Value> {
        let mut other = known.clone();
        let mut tables = Vec::new();
        for change in self.0 {
            let Some((last, table)) = change.keys.split_last() else { continue };
            let now = lookup(known, &change.keys);
            if last == "kind" && now.is_some_and(|now| now.is_string() && *now != change.value) {
                let alone = serde_json::Map::from_iter([(last.clone(), change.value.clone())]);
                insert(&mut other, table, Value::Object(alone)).ok()?;
                tables.push(table);
            }
        }
        if tables.is_empty() {
            return None;
        }
        if let Ok(alone) = serde_json::from_value::<T>(other.clone()) {
            return tree(&alone).ok();
        }
        for change in self.0.iter().filter(|change| tables.iter().any(|table| change.keys.starts_with(table)))
        {
            insert(&mut other, &change.keys, change.value.clone()).ok()?;
        }
        tree(&serde_json::from_value::<T>(other).ok()?).ok()
    }

    fn apply_to<T: Serialize + DeserializeOwned>(&self, known: Value) -> Result<T> {
        let mut changed = known.clone();
        let mut unknown = Vec::new();
        for change in self.0 {
            let before = lookup(&known, &change.keys);
            if before.is_none() {
                unknown.push(change);
            }
            let value = fit(change, before)?;
            insert(&mut changed, &change.keys, value).map_err(|m| change.fault(m))?;
        }
        // A key that the base lacks may still be right: another variant of an enum, an entry of a map. It is right if
        // it is still there when the changed value is written.
        let result: T = match serde_json::from_value(changed.clone()) {
            Ok(value) => value,
            Err(error) => {
                // An entry of a table that is there may also be the right one with a wrong value.
                let is_entry = |change: &Change| {
                    let table = &change.keys[..change.keys.len() - 1];
                    lookup(&known, table).is_some_and(Value::is_object)
                };
                let wrong_value = error.to_string().contains("invalid type");
                if let Some(change) = unknown.first().filter(|change| !(wrong_value && is_entry(change))) {
                    return Err(unknown_key(change, &known));
                }
                return Err(self.culprit::<T>(&known, &error));
            }
        };
        let written = tree(&result)?;
        if let Some(change) = unknown.iter().find(|change| lookup(&written, &change.keys).is_none()) {
            return Err(unknown_key(change, &written));
        }
        let overflows = |change: &&Change| {
            let (given, kept) = (lookup(&changed, &change.keys), lookup(&written, &change.keys));
            given.zip(kept).is_some_and(|(given, kept)| overflow(given, kept))
        };
        match self.0.iter().find(overflows) {
            Some(change) => {
                let found = describe(&change.value);
                Err(change.fault(format!("expected numbers of at most {:e}, found {found}", f32::MAX)))
            }
            None => Ok(result),
        }
    }

    /// Which change the type refuses, found by making them one at a time.
    fn culprit<T: DeserializeOwned>(&self, known: &Value, all: &serde_json::Error) -> Error {
        for change in self.0 {
            let mut alone = known.clone();
            let Ok(value) = fit(change, lookup(known, &change.keys)) else { continue };
            if insert(&mut alone, &change.keys, value).is_err() {
                continue;
            }
            if let Err(error) = serde_json::from_value::<T>(alone) {
                return change.fault(explain(&error.to_string(), &change.value));
            }
        }
        Error::config("(several)", format!("they do not go together: {all}"))
    }
}

/// Whether a number became none when it was stored: an f64 that is too large for the f32 of the setting.
fn overflow(given: &Value, kept: &Value) -> bool {
    match (given, kept) {
        (Value::Number(_), Value::Null) => true,
        (Value::Array(given), Value::Array(kept)) => given.iter().zip(kept).any(|(g, k)| overflow(g, k)),
        (Value::Object(given), Value::Object(kept)) => {
            given.iter().any(|(key, g)| kept.get(key).is_some_and(|k| overflow(g, k)))
        }
        _ => false,
    }
}

/// A preset's value with a file and then items laid over it.
///
/// # Errors
/// As [`Changes::file`] and [`Changes::apply`].
pub fn load<T: Serialize + DeserializeOwned>(base: &T, file: Option<&Path>, items: &[String]) -> Result<T> {
    let mut changes = Changes::new();
    if let Some(path) = file {
        changes.file(path)?;
    }
    for item in items {
        changes.item(item)?;
    }
    changes.apply(base)
}

/// A configuration as TOML, complete, in the order of its fields.
///
/// # Errors
/// [`Error::Config`] where it is no structure with named fields.
pub fn to_toml<T: Serialize>(value: &T) -> Result<String> {
    let Value::Object(fields) = tree(value)? else {
        return Err(Error::config("(all)", "a configuration must be a structure with named fields"));
    };
    let mut out = String::new();
    write_table(&mut out, "", &fields);
    Ok(out)
}

/// Writes a table: its values first, then its tables, as TOML wants it.
fn write_table(out: &mut String, prefix: &str, fields: &serde_json::Map<String, Value>) {
    for (key, value) in fields.iter().filter(|(_, v)| !v.is_object()) {
        out.push_str(&format!("{} = ", quoted_key(key)));
        write_value(out, value);
        out.push('\n');
    }
    for (key, value) in fields {
        if let Value::Object(inner) = value {
            let name = format!("{prefix}{}", quoted_key(key));
            out.push_str(&format!("{}[{name}]\n", if out.is_empty() { "" } else { "\n" }));
            write_table(out, &format!("{name}."), inner);
        }
    }
}

fn write_value(out: &mut String, value: &Value) {
    let list = |out: &mut String, open, items: &mut dyn Iterator<Item = (String, &Value)>, close| {
        out.push_str(open);
        for (i, (key, item)) in items.enumerate() {
            out.push_str(if i > 0 { ", " } else { "" });
            out.push_str(&key);
            write_value(out, item);
        }
        out.push_str(close);
    };
    match value {
        Value::Null => out.push_str(&format!("{NONE:?}")),
        Value::Array(items) => list(out, "[", &mut items.iter().map(|v| (String::new(), v)), "]"),
        Value::Object(fields) => {
            list(out, "{ ", &mut fields.iter().map(|(k, v)| (format!("{} = ", quoted_key(k)), v)), " }");
        }
        Value::String(text) => out.push_str(&quoted(text)),
        other => out.push_str(&other.to_string()), // numbers and booleans are written alike in JSON and TOML
    }
}

fn quoted_key(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(bare) { key.to_string() } else { quoted(key) }
}

/// A TOML basic string. JSON's is one too, but for the delete character, which TOML wants escaped.
fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// Reads a text file of at most [`LARGEST_FILE`] bytes.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    use std::io::Read;
    let file = std::fs::File::open(path).map_err(|e| Error::io(path, e))?;
    let mut bytes = Vec::new();
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(|e| Error::io(path, e))?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(Error::file(
            path,
            None,
            format!("is larger than {LARGEST_FILE} bytes, too large for settings"),
        ));
    }
    // A byte-order mark is no part of the text.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").map(<[u8]>::to_vec).unwrap_or(bytes);
    String::from_utf8(bytes).map_err(|e| {
        let before = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = 1 + before.iter().filter(|b| **b == b'\n').count();
        Error::file(path, Some(line), "is not UTF-8 text")
    })
}

/// The leaves of a TOML table as changes. Arrays are leaves.
fn flatten(
    keys: &mut Vec<String>,
    table: &DeTable<'_>,
    origin: &dyn Fn(usize) -> Origin,
    changes: &mut Vec<Change>,
) -> Result<()> {
    // In the order of the text, so that the first fault is the first reported.
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    for (key, value) in entries {
        keys.push(key.get_ref().to_string());
        let mut change =
            Change { keys: keys.clone(), value: Value::Null, typed: None, origin: origin(key.span().start) };
        if keys.len() > DEEPEST {
            return Err(change.fault("nested too deep"));
        }
        match value.get_ref() {
            DeValue::Table(inner) => flatten(keys, inner, origin, changes)?,
            leaf => {
                change.value = to_json(leaf, keys.len()).map_err(|m| change.fault(m))?;
                changes.push(change);
            }
        }
        keys.pop();
    }
    Ok(())
}

fn to_json(value: &DeValue<'_>, depth: usize) -> Result<Value, String> {
    if depth > DEEPEST {
        return Err("nested too deep".into());
    }
    Ok(match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Boolean(b) => Value::from(*b),
        DeValue::Integer(i) => {
            let (digits, radix) = (i.as_str(), i.radix());
            let unsigned = u64::from_str_radix(digits, radix).map(Value::from);
            unsigned
                .or_else(|_| i64::from_str_radix(digits, radix).map(Value::from))
                .map_err(|_| format!("{digits} is too large a number"))?
        }
        DeValue::Float(f) => {
            let number: f64 = f.as_str().parse().map_err(|_| format!("{} is not a number", f.as_str()))?;
            if !number.is_finite() {
                return Err(format!("expected a finite number, found {}", f.as_str()));
            }
            Value::from(number)
        }
        DeValue::Datetime(date) => Value::from(date.to_string()),
        DeValue::Array(items) => {
            items.iter().map(|v| to_json(v.get_ref(), depth + 1)).collect::<Result<_, _>>()?
        }
        DeValue::Table(fields) => Value::Object(
            fields
                .iter()
                .map(|(k, v)| Ok((k.get_ref().to_string(), to_json(v.get_ref(), depth + 1)?)))
                .collect::<Result<_, String>>()?,
        ),
    })
}

fn lookup<'v>(tree: &'v Value, keys: &[String]) -> Option<&'v Value> {
    keys.iter().try_fold(tree, |at, key| at.as_object()?.get(key))
}

fn insert(tree: &mut Value, keys: &[String], value: Value) -> Result<(), String> {
    let mut at = tree;
    for (depth, key) in keys.iter().enumerate() {
        if at.is_null() {
            *at = Value::Object(serde_json::Map::new()); // an absent option that becomes a table
        }
        let found = describe(at);
        let fields = at
            .as_object_mut()
            .ok_or_else(|| format!("`{}` is {found} and has no keys of its own", keys[..depth].join(".")))?;
        at = fields.entry(key.clone()).or_insert(Value::Null);
    }
    *at = value;
    Ok(())
}

/// The value of a change in the type that the key has now, where it has one.
fn fit(change: &Change, before: Option<&Value>) -> Result<Value> {
    let value = &change.value;
    let is_none = value.as_str() == Some(NONE);
    let expected = match before {
        None => return Ok(value.clone()),
        // Text may be an enum of which one variant holds data, so anything but a plain number goes through to serde.
        Some(Value::String(_)) => match (value, &change.typed) {
            (Value::String(_) | Value::Object(_), _) => return Ok(value.clone()),
            (_, Some(typed)) => return Ok(Value::from(typed.as_str())),
            _ => "text",
        },
        _ if is_none => return Ok(Value::Null),
        Some(Value::Null) => return Ok(value.clone()),
        Some(Value::Bool(_)) if value.is_boolean() => return Ok(value.clone()),
        Some(Value::Bool(_)) => "true or false",
        Some(Value::Number(n)) if n.is_f64() => {
            if value.is_number() {
                return Ok(value.clone());
            }
            "a number"
        }
        Some(Value::Number(_)) => match value.as_f64() {
            Some(_) if !value.is_f64() => return Ok(value.clone()),
            // 2e7 is the natural way to write twenty million steps.
            Some(f) if f.fract() == 0.0 && f.abs() < 9e15 => return Ok(Value::from(f as i64)),
            _ => "a whole number",
        },
        Some(Value::Array(_)) if value.is_array() => return Ok(value.clone()),
        Some(Value::Array(_)) => "a list",
        // A whole table over a table comes from an enum's other variant, written in one line.
        Some(Value::Object(_)) if value.is_object() || value.is_string() => return Ok(value.clone()),
        Some(Value::Object(_)) => "a table",
    };
    Err(change.fault(format!("expected {expected}, found {}", describe(value))))
}

fn describe(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::Bool(b) => format!("{b}"),
        Value::Number(n) => format!("the number {n}"),
        Value::String(text) => {
            let short: String = text.chars().take(60).collect();
            format!("the text {short:?}{}", if short.len() < text.len() { "..." } else { "" })
        }
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a table".into(),
    }
}

/// Every dotted key of a tree.
fn paths(tree: &Value, prefix: &str, out: &mut Vec<String>) {
    for (key, value) in tree.as_object().into_iter().flatten() {
        let path = format!("{prefix}{key}");
        paths(value, &format!("{path}."), out);
        out.push(path);
    }
}

fn unknown_key(change: &Change, known: &Value) -> Error {
    let mut all = Vec::new();
    paths(known, "", &mut all);
    let key = change.key();
    // The right name in the wrong table is likelier than a near name elsewhere; so is a near name in the same table.
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_string();
    let table = &change.keys[..change.keys.len() - 1];
    let siblings: Vec<String> = lookup(known, table)
        .and_then(Value::as_object)
        .map(|fields| {
            fields.keys().map(|k| table.iter().chain([k]).cloned().collect::<Vec<_>>().join(".")).collect()
        })
        .unwrap_or_default();
    let near_sibling = nearest(&last(&key), siblings.iter().map(|s| &s[s.len() - last(s).len()..]))
        .and_then(|name| siblings.iter().find(|s| last(s) == name));
    let hint = near_sibling
        .or_else(|| all.iter().find(|path| last(path) == last(&key)))
        .map(String::as_str)
        .or_else(|| nearest(&key, all.iter().map(String::as_str)));
    change.fault(match (hint, siblings.is_empty()) {
        (Some(hint), _) => format!("there is no such setting; did you mean `{hint}`?"),
        (None, false) if siblings.len() <= 20 => {
            format!("there is no such setting; there are {}", siblings.join(", "))
        }
        _ => "there is no such setting".to_string(),
    })
}

/// serde's message, with the nearest variant where it lists them.
fn explain(message: &str, value: &Value) -> String {
    let Some(text) = value.as_str().filter(|_| message.contains("unknown variant")) else {
        return message.to_string();
    };
    let variants: Vec<&str> =
        message.split("expected").nth(1).unwrap_or_default().split('`').skip(1).step_by(2).collect();
    let hint =
        nearest(text, variants.iter().copied()).map(|v| format!("; did you mean `{v}`?")).unwrap_or_default();
    format!("`{text}` is none of {}{hint}", variants.join(", "))
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
