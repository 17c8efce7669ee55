//! Lists of what there is: worlds, agents, cores, ways to communicate, learners. An entry is a name, a line about it and
//! a type of settings; the settings build the thing. One list a family, open to other crates.
//!
//! In a configuration a member of a family is a table told apart by its `kind`: [`Tagged`]. Only the keys of that kind
//! stand in it, so that a setting of another kind is refused and not ignored.
//!
//! ```
//! use synod_worlds::env::{WorldConfig, Worlds};
//! use synod_worlds::registry::Family;
//! let names: Vec<&str> = Worlds::registry().kinds().iter().map(|kind| kind.name).collect();
//! assert!(names.contains(&"taxi"));
//! assert_eq!(WorldConfig::named("taxi")?.name(), "taxi");
//! assert!(WorldConfig::named("taxy").unwrap_err().to_string().contains("did you mean `taxi`"));
//! # Ok::<(), synod_worlds::Error>(())
//! ```

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, PoisonError, RwLock};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

pub use crate::schema::Table;
pub use crate::schema::tree;

use crate::error::{Error, Result, nearest};

/// The key that tells the kinds of a table apart.
const KIND: &str = "kind";

/// What the members of a family have in common.
pub trait Family: Sized + 'static {
    /// What one of them is called in messages.
    const WHAT: &'static str;
    /// Settings of any member: a trait object that says what they build.
    type Settings: Table + ?Sized;
    /// The family's list.
    fn registry() -> &'static Registry<Self>;
}

/// A family takes settings of that type: they do what its members have in common. [`family!`](crate::family) says so of
/// every type that implements the family's trait.
pub trait Holds<C>: Family {
    /// The settings as those of any member.
    fn hold(settings: C) -> Arc<Self::Settings>;
}

/// A type of settings with a place in its family's list.
pub trait Member: Table + Serialize + DeserializeOwned + Default + JsonSchema {
    /// Its name: the `kind` of a table.
    const NAME: &'static str;
    /// What it is, in a line.
    const SUMMARY: &'static str;
}

/// An entry of a list.
pub struct Kind<F: Family> {
    /// Its name: the `kind` of a table.
    pub name: &'static str,
    /// What it is, in a line.
    pub summary: &'static str,
    /// What settings it has, from their docstrings.
    pub schema: fn() -> Value,
    /// Settings from a table in which any key may be missing.
    read: fn(Map<String, Value>) -> Result<Arc<F::Settings>, String>,
}

impl<F: Family> Clone for Kind<F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F: Family> Copy for Kind<F> {}

impl<F: Family> Kind<F> {
    /// The entry of a member of the family.
    pub const fn of<C: Member>() -> Self
    where
        F: Holds<C>,
    {
        let read = |fields| Ok(F::hold(over_defaults::<C>(fields)?));
        Kind { name: C::NAME, summary: C::SUMMARY, schema: crate::schema::of::<C>, read }
    }

    /// The kind with its default settings.
    ///
    /// # Errors
    /// Defaults that cannot be written and read again: a fault of the member.
    pub fn default(&self) -> Result<Tagged<F>> {
        Tagged::read(*self, Map::new()).map_err(|message| Error::config(F::WHAT, message))
    }
}

/// A member's settings from a table in which any key may be missing: those are the defaults.
///
/// # Errors
/// serde's message for a key that there is not, or a value of another type.
pub fn over_defaults<C: Member>(fields: Map<String, Value>) -> Result<C, String> {
    let mut all = C::default().fields().map_err(|e| e.to_string())?;
    lay_over(&mut all, fields);
    serde_json::from_value(Value::Object(all)).map_err(|e| e.to_string())
}

/// Lays keys over a table. A table of another kind takes the place of the old one; any other is gone into.
fn lay_over(all: &mut Map<String, Value>, fields: Map<String, Value>) {
    for (key, value) in fields {
        match (all.get_mut(&key), value) {
            (Some(Value::Object(old)), Value::Object(new))
                if new.get(KIND).is_none_or(|kind| Some(kind) == old.get(KIND)) =>
            {
                lay_over(old, new);
            }
            (_, value) => {
                all.insert(key, value);
            }
        }
    }
}

/// The list of a family.
pub struct Registry<F: Family> {
    own: &'static [Kind<F>],
    /// Those of other crates.
    more: RwLock<Vec<Kind<F>>>,
}

impl<F: Family> Registry<F> {
    /// A list that begins with these.
    pub const fn new(own: &'static [Kind<F>]) -> Self {
        Registry { own, more: RwLock::new(Vec::new()) }
    }

    /// All entries, those of other crates last.
    pub fn kinds(&self) -> Vec<Kind<F>> {
        let more = self.more.read().unwrap_or_else(PoisonError::into_inner);
        self.own.iter().chain(more.iter()).copied().collect()
    }

    /// The entry of that name.
    ///
    /// # Errors
    /// There is none; with the nearest name.
    pub fn find(&self, name: &str) -> Result<Kind<F>> {
        let kinds = self.kinds();
        let found = kinds.iter().find(|kind| kind.name == name);
        found.copied().ok_or_else(|| {
            let names: Vec<&str> = kinds.iter().map(|kind| kind.name).collect();
            let hint = nearest(name, names.iter().copied()).map(|near| format!("; did you mean `{near}`?"));
            let (hint, names) = (hint.unwrap_or_default(), names.join(", "));
            Error::config(F::WHAT, format!("`{name}` is none of {names}{hint}"))
        })
    }

    /// Adds an entry for the rest of the process.
    ///
    /// # Errors
    /// The name is taken.
    pub fn register(&self, kind: Kind<F>) -> Result<()> {
        let mut more = self.more.write().unwrap_or_else(PoisonError::into_inner);
        if self.own.iter().chain(more.iter()).any(|other| other.name == kind.name) {
            return Err(Error::Usage(format!("there is a {} called `{}` already", F::WHAT, kind.name)));
        }
        more.push(kind);
        Ok(())
    }
}

/// The settings of one member of a family: in a configuration a table with a `kind`, or the bare name of a kind with its
/// defaults.
pub struct Tagged<F: Family> {
    kind: Kind<F>,
    settings: Arc<F::Settings>,
}

impl<F: Family> Tagged<F> {
    /// These settings, as a table of their kind.
    pub fn new<C: Member>(settings: C) -> Self
    where
        F: Holds<C>,
    {
        Tagged { kind: Kind::of::<C>(), settings: F::hold(settings) }
    }

    /// The default settings of the kind of that name.
    ///
    /// # Errors
    /// There is none; with the nearest name.
    pub fn named(name: &str) -> Result<Self> {
        F::registry().find(name)?.default()
    }

    /// Every kind: its name and a line about it.
    pub fn kinds() -> Vec<(&'static str, &'static str)> {
        F::registry().kinds().iter().map(|kind| (kind.name, kind.summary)).collect()
    }

    /// The kind's name.
    pub fn name(&self) -> &'static str {
        self.kind.name
    }

    /// The settings, where they are of that type.
    pub fn get<C: Any>(&self) -> Option<&C> {
        self.settings.as_any().downcast_ref()
    }

    /// The same kind with some keys changed.
    ///
    /// # Errors
    /// There is no such key, or its value has another type.
    pub fn with(&self, changes: Map<String, Value>) -> Result<Self> {
        let mut fields = self.settings.fields()?;
        lay_over(&mut fields, changes);
        Self::read(self.kind, fields).map_err(|message| Error::config(F::WHAT, message))
    }

    fn read(kind: Kind<F>, fields: Map<String, Value>) -> Result<Self, String> {
        Ok(Tagged { kind, settings: (kind.read)(fields)? })
    }

    fn write(&self) -> Result<Value> {
        let mut fields = Map::new();
        fields.insert(KIND.into(), self.kind.name.into());
        fields.extend(self.settings.fields()?);
        Ok(Value::Object(fields))
    }
}

/// Any table with a kind; what else it holds depends on that ([`crate::schema`]).
impl<F: Family> JsonSchema for Tagged<F> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        F::WHAT.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", crate::schema::FAMILY: F::WHAT })
    }
}

impl<F: Family> Deref for Tagged<F> {
    type Target = F::Settings;

    fn deref(&self) -> &F::Settings {
        &self.settings
    }
}

impl<F: Family> Clone for Tagged<F> {
    fn clone(&self) -> Self {
        Tagged { kind: self.kind, settings: self.settings.clone() }
    }
}

impl<F: Family> fmt::Debug for Tagged<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.kind.name, &*self.settings)
    }
}

impl<F: Family> PartialEq for Tagged<F> {
    fn eq(&self, other: &Self) -> bool {
        let written = |tagged: &Self| tagged.write().ok();
        self.kind.name == other.kind.name && written(self) == written(other)
    }
}

impl<F: Family> Serialize for Tagged<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.write().map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de, F: Family> Deserialize<'de> for Tagged<F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = match Value::deserialize(deserializer)? {
            Value::Object(fields) => fields,
            name => Map::from_iter([(KIND.to_string(), name)]),
        };
        let name = match fields.shift_remove(KIND) {
            Some(Value::String(name)) => name,
            _ => return Err(D::Error::custom(format!("a {} needs a `{KIND}`", F::WHAT))),
        };
        let kinds = F::registry().kinds();
        let Some(kind) = kinds.iter().find(|kind| kind.name == name) else {
            // The form of serde's own message, which configurations explain.
            let names: Vec<String> = kinds.iter().map(|kind| format!("`{}`", kind.name)).collect();
            let names = names.join(", ");
            return Err(D::Error::custom(format!("unknown variant `{name}`, expected one of {names}")));
        };
        Self::read(*kind, fields).map_err(D::Error::custom)
    }
}

/// What a family is made of: its list, the name of its tables, and how its members come into both.
/// `family! { Config, Family = "what one is called", SettingsTrait, OWN_KINDS }`.
#[macro_export]
macro_rules! family {
    ($(#[$doc:meta])* $config:ident, $family:ident = $what:literal, $settings:ident, $own:expr) => {
        /// The family, for [`Registry`]($crate::registry::Registry).
        pub struct $family;

        impl $crate::registry::Family for $family {
            const WHAT: &'static str = $what;
            type Settings = dyn $settings;

            fn registry() -> &'static $crate::registry::Registry<$family> {
                static REGISTRY: $crate::registry::Registry<$family> = $crate::registry::Registry::new($own);
                &REGISTRY
            }
        }

        impl<C: $crate::registry::Member + $settings> $crate::registry::Holds<C> for $family {
            fn hold(settings: C) -> std::sync::Arc<dyn $settings> {
                std::sync::Arc::new(settings)
            }
        }

        $(#[$doc])*
        pub type $config = $crate::registry::Tagged<$family>;
    };
}
pub use crate::family;
