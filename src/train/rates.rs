//! Parts of an agent, and learning rates of their own for them.
//!
//! A part is named by how the names of its parameters begin: `encoder` is all of `encoder/0/weight`, `encoder/0/bias` and
//! so on, `encoder/0` what lies in its first layer. What is taken from another run
//! ([`Inherited`](super::Inherited)) is named in the same way.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::Device;
use crate::error::{Error, Result};
use crate::nn::Parameters;
use crate::optim::{Optimiser, Rule};

/// Whether a parameter is of a part.
pub(super) fn belongs(parameter: &str, part: &str) -> bool {
    parameter.starts_with(part)
}

/// That no parameter is of a part, with the parts that there are.
pub(super) fn no_part(part: &str, sets: &[&Parameters]) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in sets.iter().flat_map(|set| set.iter()).filter_map(|(name, _)| name.split('/').next()) {
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    format!("no parameter's name begins with `{part}`; the agent has {}", parts.join(", "))
}

/// Factors of the learning rate for parts of an agent; 0 freezes a part, and what is not named has the whole rate. Of two
/// parts of which one is in the other the inner one counts.
///
/// ```
/// use synod::train::Rates;
/// let rates = Rates::from_iter([("encoder", 0.0), ("actor", 0.1)]);
/// assert_eq!(rates.iter().collect::<Vec<_>>(), [("actor", 0.1), ("encoder", 0.0)]);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rates(BTreeMap<String, f32>);

impl<'a> FromIterator<(&'a str, f32)> for Rates {
    fn from_iter<I: IntoIterator<Item = (&'a str, f32)>>(rates: I) -> Self {
        Rates(rates.into_iter().map(|(part, rate)| (part.to_string(), rate)).collect())
    }
}

impl JsonSchema for Rates {
    fn schema_name() -> Cow<'static, str> {
        "Rates".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "additionalProperties": {
                "type": "number",
                "minimum": 0.0,
                "maximum": 1e3,
                "description": "Factor of the learning rate for the parameters whose names begin so; 0 freezes them.",
            }
        })
    }
}

impl Rates {
    /// Parts and their factors, in the order of their names: a part comes before what is in it.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f32)> {
        self.0.iter().map(|(part, rate)| (part.as_str(), *rate))
    }

    /// An optimiser for each of these sets of parameters, in which the parts are groups; `at` is where the rates stand
    /// among the settings.
    ///
    /// # Errors
    /// A part of which there is no parameter in any set, nothing that learns, or no room on the device.
    pub fn optimisers(
        &self,
        at: &str,
        device: &Device,
        sets: &[&Parameters],
        rule: Rule,
    ) -> Result<Vec<Optimiser>> {
        let any = |is: &dyn Fn(&str) -> bool| sets.iter().any(|set| set.iter().any(|(name, _)| is(name)));
        if let Some((part, _)) = self.iter().find(|(part, _)| !any(&|name| belongs(name, part))) {
            return Err(Error::config(format!("{at}.{part}"), no_part(part, sets)));
        }
        let optimisers = sets
            .iter()
            .map(|set| {
                let all = Optimiser::new(device, set, rule)?;
                // Later groups win, and what is in a part comes after it.
                Ok(self.iter().fold(all, |some, (part, rate)| some.with_group(part, rate, 1.0)))
            })
            .collect::<Result<Vec<_>>>()?;
        match optimisers.iter().all(Optimiser::is_all_frozen) {
            true => Err(Error::config(at, "a factor over 0 for some part: nothing learns")),
            false => Ok(optimisers),
        }
    }
}
