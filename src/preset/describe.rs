//! Every setting of a run in words: its value, its default, what it may be, and a line about it.

use serde::Serialize;
use serde_json::Value;

use super::Settings;
use crate::agent::Agents;
use crate::agent::core::Cores;
use crate::comm::Communications;
use crate::env::Worlds;
use crate::error::Result;
use crate::memory::Memories;
use crate::registry::{Family, Table, tree};
use crate::schema::{self, FAMILY, entries, names, range, sentence, variant};
use crate::train::Learners;

/// One setting.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Setting {
    /// Its name, tables before it: `learner.clip`.
    pub key: String,
    /// What it is now; `none` where it is absent.
    pub value: Value,
    /// What it is where nobody says otherwise, in a kind of table that is in use; `None` outside of these.
    pub default: Option<Value>,
    /// What it may be, in words; empty where anything of its type may.
    pub range: String,
    /// What it is for.
    pub about: String,
}

/// Every setting of a run, in the order of its configuration.
///
/// # Errors
/// Settings that cannot be written: a fault of their type.
pub fn describe(settings: &Settings) -> Result<Vec<Setting>> {
    let mut found = Vec::new();
    let fields = Value::Object(settings.fields()?);
    walk("", &schema::of::<Settings>(), &fields, None, &mut |setting| found.push(setting));
    Ok(found)
}

fn walk(at: &str, schema: &Value, value: &Value, default: Option<&Value>, tell: &mut dyn FnMut(Setting)) {
    if let Some(family) = schema.get(FAMILY).and_then(Value::as_str) {
        return walk_family(at, family, schema, value, tell);
    }
    let form = variant(schema, value);
    let about = sentence(schema).or_else(|| sentence(form)).unwrap_or_default();
    match (value.as_object(), form.get("properties")) {
        (Some(fields), Some(properties)) => {
            for (key, value) in fields {
                let path = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                let default = default.and_then(|table| table.get(key));
                if key == "kind" && form["properties"]["kind"].get("const").is_some() {
                    tell(Setting {
                        key: path,
                        value: value.clone(),
                        default: default.cloned(),
                        range: names(schema).join(", "),
                        about: about.clone(),
                    });
                    continue;
                }
                walk(&path, properties.get(key).unwrap_or(&Value::Null), value, default, tell);
            }
        }
        // A table whose keys are anybody's to choose: what stands in it, or that nothing does.
        (Some(fields), None) if entries(form).is_some() && !fields.is_empty() => {
            for (key, value) in fields {
                walk(&format!("{at}.{key}"), entries(form).unwrap_or(&Value::Null), value, None, tell);
            }
        }
        _ => tell(Setting {
            key: at.into(),
            value: if value.is_null() { "none".into() } else { value.clone() },
            default: default.map(|d| if d.is_null() { "none".into() } else { d.clone() }),
            range: range(schema),
            about,
        }),
    }
}

/// A table whose kinds stand in a list.
fn walk_family(at: &str, family: &str, schema: &Value, value: &Value, tell: &mut dyn FnMut(Setting)) {
    fn of<F: Family>(name: &str) -> (Vec<&'static str>, Option<(Value, Value)>) {
        let kinds = F::registry().kinds();
        let own = kinds.iter().find(|kind| kind.name == name).map(|kind| {
            let default = kind.default().ok().and_then(|default| tree(&default).ok());
            ((kind.schema)(), default.unwrap_or_default())
        });
        (kinds.iter().map(|kind| kind.name).collect(), own)
    }
    let name = value.get("kind").and_then(Value::as_str).unwrap_or_default();
    let (kinds, own) = match family {
        "world" => of::<Worlds>(name),
        "agent" => of::<Agents>(name),
        "core" => of::<Cores>(name),
        "communication" => of::<Communications>(name),
        "memory" => of::<Memories>(name),
        "learner" => of::<Learners>(name),
        _ => (Vec::new(), None),
    };
    tell(Setting {
        key: format!("{at}.kind"),
        value: name.into(),
        default: None,
        range: kinds.join(", "),
        about: sentence(schema).unwrap_or_default(),
    });
    let (own, default) = own.unwrap_or_default();
    for (key, value) in value.as_object().into_iter().flatten().filter(|(key, _)| *key != "kind") {
        let of = own.get("properties").and_then(|properties| properties.get(key)).unwrap_or(&Value::Null);
        walk(&format!("{at}.{key}"), of, value, default.get(key), tell);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preset::presets;

    /// What is said of settings is what is true of them.
    #[test]
    fn every_setting_has_a_line_and_is_refused_outside_its_range() -> Result<()> {
        for preset in presets() {
            let settings = Settings::preset(preset.name)?;
            let all = describe(&settings)?;
            for setting in &all {
                assert!(!setting.about.is_empty(), "{}: {} has no line", preset.name, setting.key);
                assert!(
                    !setting.value.is_number() || !setting.range.is_empty(),
                    "{}: {} may be anything",
                    preset.name,
                    setting.key
                );
                // Agents are made for worlds, and these need a library from elsewhere.
                if settings.world.name() == "mujoco" && setting.key.starts_with("agent.") {
                    continue;
                }
                // `LOW to HIGH`, whole numbers or not.
                let Some((_, high)) = setting.range.split_once(" to ") else { continue };
                let beyond: f64 = 2.0 * high.parse::<f64>().expect("a number") + 1.0;
                let item = format!("{}={beyond}", setting.key);
                let Ok(changed) = Settings::with_items(preset.name, &[item]) else { continue };
                let refused = changed
                    .check()
                    .and_then(|()| changed.world.with_worlds(1).build(0).map(drop))
                    .and_then(|()| changed.policy(&crate::Device::cpu()).map(drop));
                let error = refused.expect_err(&setting.key).to_string();
                assert!(error.contains(&setting.key), "{}: {error}", setting.key);
            }
        }
        Ok(())
    }

    #[test]
    fn defaults_are_those_of_the_kind_in_use() -> Result<()> {
        let settings = Settings::with_items("spread-qmix", &["agent.core=srmt".to_string()])?;
        let all = describe(&settings)?;
        let of = |key: &str| all.iter().find(|setting| setting.key == key).expect(key).clone();
        assert_eq!(of("learner.batch").default, Some(64.into()));
        assert_eq!(
            (of("agent.core.history").value, of("agent.core.history").range),
            (8.into(), "1 to 1024".into())
        );
        assert!(of("agent.core.kind").range.contains("lstm") && of("world.kind").range.contains("taxi"));
        assert_eq!(of("learner.mixer.kind").range, "none, vdn, qmix");
        assert!(of("learner.burn_in").about.ends_with("2019)."), "{}", of("learner.burn_in").about);
        Ok(())
    }
}
