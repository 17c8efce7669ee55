//! What settings there are: their names, ranges and a line about each, from the types that hold them and their docstrings.
//! Ranges stand beside the fields (`#[schemars(range(min = 0.0, max = 1.0))]`), once: what is printed is what is checked.
//!
//! ```
//! use schemars::JsonSchema;
//! use serde::Serialize;
//! #[derive(Debug, Serialize, JsonSchema)]
//! struct Settings {
//!     /// How much is kept.
//!     #[schemars(range(min = 0.0, max = 1.0))]
//!     kept: f32,
//! }
//! assert!(synod_worlds::schema::check("mine", &Settings { kept: 0.5 }).is_ok());
//! let error = synod_worlds::schema::check("mine", &Settings { kept: 2.0 }).unwrap_err();
//! assert!(error.to_string().contains("mine.kept"));
//! ```

use std::any::Any;
use std::fmt;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// Settings of any kind, as far as a configuration needs to know them. Every type that serde can write has it.
pub trait Table: Any + fmt::Debug + Send + Sync {
    /// The settings as a table of keys.
    ///
    /// # Errors
    /// They are no structure with named fields.
    fn fields(&self) -> Result<Map<String, Value>>;

    /// The settings, to be asked for their type.
    fn as_any(&self) -> &dyn Any;
}

impl<T: Serialize + fmt::Debug + Any + Send + Sync> Table for T {
    fn fields(&self) -> Result<Map<String, Value>> {
        match tree(self)? {
            Value::Object(fields) => Ok(fields),
            _ => Err(Error::config("(all)", "settings must be a structure with named fields")),
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The value as a tree of keys. Through text, because that writes an f32 of 0.1 as 0.1.
pub fn tree<T: Serialize>(value: &T) -> Result<Value> {
    let text = serde_json::to_string(value).map_err(|e| Error::config("(all)", e.to_string()))?;
    serde_json::from_str(&text).map_err(|e| Error::config("(all)", e.to_string()))
}

/// Marks a table of which a list says what kinds there are.
pub const FAMILY: &str = "x-family";

/// What a type of settings looks like: a JSON schema without references.
pub fn of<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// Checks the numbers of a structure against their ranges; `at` is where it stands in a configuration.
///
/// # Errors
/// The first setting out of range, with what was expected.
pub fn check<T: JsonSchema + Table>(at: &str, value: &T) -> Result<()> {
    let mut fault = None;
    let fields = Value::Object(value.fields()?);
    visit(at, &of::<T>(), &fields, &mut |key, schema, value| {
        let number = schema.get("type").is_some_and(|of| of == "number" || of == "integer");
        let (low, high) = (bound(schema, "minimum"), bound(schema, "maximum"));
        // A number that is not finite is written as nothing.
        let outside = match value.as_f64() {
            Some(x) => low.is_some_and(|low| x < low) || high.is_some_and(|high| x > high),
            None => number && value.is_null(),
        };
        if outside {
            let given =
                if value.is_null() { "a number that is not finite".into() } else { value.to_string() };
            fault.get_or_insert_with(|| {
                Error::config(key, format!("expected {}, got {given}", range(schema)))
            });
        }
    });
    fault.map_or(Ok(()), Err)
}

/// Goes through a value with its schema; tells of leaves only.
fn visit(at: &str, schema: &Value, value: &Value, tell: &mut dyn FnMut(&str, &Value, &Value)) {
    let schema = variant(schema, value);
    match (value.as_object(), schema.get("properties")) {
        (Some(fields), Some(properties)) => {
            for (key, value) in fields {
                let Some(of) = properties.get(key) else { continue };
                let key = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                visit(&key, of, value, tell);
            }
        }
        (Some(fields), None) => match entries(schema) {
            Some(of) => fields.iter().for_each(|(key, value)| visit(&format!("{at}.{key}"), of, value, tell)),
            None => tell(at, schema, value),
        },
        _ => tell(at, schema, value),
    }
}

/// What the entries of a table look like whose keys are anybody's to choose.
pub fn entries(schema: &Value) -> Option<&Value> {
    schema.get("additionalProperties").filter(|of| of.is_object())
}

/// The form that a value has, where there are several: that of its kind, or that of something where it may be nothing.
pub fn variant<'s>(schema: &'s Value, value: &Value) -> &'s Value {
    let forms = schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array);
    let Some(forms) = forms else { return schema };
    let kind = value.get("kind");
    let fits = |form: &&Value| match kind {
        Some(kind) => form["properties"]["kind"].get("const") == Some(kind),
        None => form.get("type").is_some_and(|of| of != "null") && form.get("const").is_none(),
    };
    forms.iter().find(fits).unwrap_or(schema)
}

fn bound(schema: &Value, name: &str) -> Option<f64> {
    schema.get(name).and_then(Value::as_f64)
}

/// What a value may be, in words.
pub fn range(schema: &Value) -> String {
    let names = names(schema);
    if !names.is_empty() {
        return names.join(", ");
    }
    if let Some(of) = entries(schema) {
        return match range(of) {
            of if of.is_empty() => of,
            of => format!("for each name {of}"),
        };
    }
    // The format's own bounds (0 to 2^64) say nothing.
    let low = bound(schema, "minimum");
    let high = bound(schema, "maximum").filter(|high| *high < 1e30);
    let show = |x: f64| match x.abs() {
        x if x != 0.0 && !(1e-3..1e7).contains(&x) => format!("{:e}", x * x.signum()),
        _ => x.to_string(),
    };
    match (low, high) {
        (Some(low), Some(high)) => format!("{} to {}", show(low), show(high)),
        (Some(low), None) => format!("{} or more", show(low)),
        (None, Some(high)) => format!("at most {}", show(high)),
        (None, None) => match schema.get("type").and_then(Value::as_str) {
            Some("boolean") => "true, false".into(),
            Some("number") => "a finite number".into(),
            _ => String::new(),
        },
    }
}

/// The names between which an enumeration chooses.
pub fn names(schema: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map(str::to_string);
    if let Some(list) = schema.get("enum").and_then(Value::as_array) {
        return list.iter().filter_map(text).collect();
    }
    let forms = schema.get("oneOf").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let name = |form: &Value| {
        let kind = form["properties"]["kind"].get("const");
        form.get("const").or(kind).and_then(text).into_iter().chain(names_of_plain(form)).collect::<Vec<_>>()
    };
    forms.iter().flat_map(name).collect()
}

/// Variants without a docstring of their own stand together in one list.
fn names_of_plain(form: &Value) -> Vec<String> {
    let list = form.get("enum").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(|name| name.as_str().map(str::to_string)).collect()
}

/// The first sentence of a docstring, on one line.
pub fn sentence(schema: &Value) -> Option<String> {
    let text = schema.get("description").and_then(Value::as_str)?;
    let line = text.split("\n\n").next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    // `et al. 2019` ends no sentence.
    let ends = |at: &usize| {
        let next = line[at + 2..].chars().next();
        next.is_some_and(|c| !c.is_ascii_digit()) && !line[..*at].ends_with("al")
    };
    let end = line.match_indices(". ").map(|(at, _)| at).find(ends).map_or(line.len(), |at| at + 1);
    Some(line[..end].replace(['[', ']', '`'], ""))
}

/// Settings that stand within others name their keys as if they stood alone: this puts the right beginning before them.
pub fn moved<T>(result: Result<T>, from: &str, to: &str) -> Result<T> {
    result.map_err(|error| match error {
        Error::Config { key, message } => match key.strip_prefix(from) {
            Some(rest) if !key.starts_with(to) => Error::Config { key: format!("{to}{rest}"), message },
            _ => Error::Config { key, message },
        },
        other => other,
    })
}
