//! Presets by their names: those of this crate, and those that others add.

use std::sync::{PoisonError, RwLock};

use super::Settings;
use super::list::PRESETS;
use crate::error::{Error, Result, nearest};

/// A preset: a name, what it trains in a line, and its settings.
#[derive(Clone, Copy)]
pub struct Preset {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it trains.
    pub summary: &'static str,
    /// Its settings; their `preset` is filled in, and where their `eval_every` is 0 a twentieth of their `steps`. Runs that
    /// are not to be evaluated while they train have 0 `eval_episodes`.
    pub settings: fn() -> Settings,
}

/// Evaluations of a run of a preset's own length.
const EVALUATIONS: u64 = 20;

/// Those of other crates.
static MORE: RwLock<Vec<Preset>> = RwLock::new(Vec::new());

/// All presets, those of other crates last.
pub fn presets() -> Vec<Preset> {
    let more = MORE.read().unwrap_or_else(PoisonError::into_inner);
    PRESETS.iter().chain(more.iter()).copied().collect()
}

/// Adds a preset for the rest of the process.
///
/// # Errors
/// The name is taken.
pub fn register(preset: Preset) -> Result<()> {
    let mut more = MORE.write().unwrap_or_else(PoisonError::into_inner);
    let taken = PRESETS.iter().chain(more.iter()).any(|other| other.name == preset.name);
    if taken || preset.name == super::settings::CUSTOM {
        return Err(Error::Usage(format!("there is a preset called `{}` already", preset.name)));
    }
    more.push(preset);
    Ok(())
}

pub(super) fn find(name: &str) -> Result<Settings> {
    let presets = presets();
    if let Some(preset) = presets.iter().find(|preset| preset.name == name) {
        let settings = (preset.settings)();
        let eval_every = match settings.eval_every {
            0 => (settings.steps / EVALUATIONS).max(1),
            every => every,
        };
        return Ok(Settings { preset: preset.name.into(), eval_every, ..settings });
    }
    let names: Vec<&str> = presets.iter().map(|preset| preset.name).collect();
    let hint = nearest(name, names.iter().copied()).map(|n| format!("did you mean `{n}`? "));
    let (hint, names) = (hint.unwrap_or_default(), names.join(", "));
    Err(Error::Usage(format!("unknown preset `{name}`: {hint}There are {names}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_in_range_and_comes_back_from_its_file() -> crate::Result<()> {
        let folder = tempfile::tempdir().expect("a folder");
        for preset in PRESETS {
            let settings = Settings::preset(preset.name)?;
            assert_eq!(settings.preset, preset.name);
            settings.check()?;
            let path = folder.path().join("config.toml");
            std::fs::write(&path, settings.to_toml()?).expect("room on the disk");
            assert_eq!(Settings::load(&path, &[])?, settings, "{}", preset.name);
        }
        Ok(())
    }

    /// Agents of several kinds, and such as see what they did: a run that is taken up again goes on to the bit.
    #[test]
    fn unlike_agents_learn_and_go_on() -> crate::Result<()> {
        let device = crate::Device::cpu();
        for (name, items) in [
            ("tag", &["world.worlds=8"][..]),
            ("adversary", &["world.worlds=8", "show_last_action=true"]),
            ("speaker-listener", &["world.worlds=8"]),
            ("factory-small", &["world.worlds=8", "learner.minibatches=2"]),
            ("switch", &["world.worlds=8", "learner.warmup=8", "learner.batch=8"]),
        ] {
            let items: Vec<String> = items.iter().map(|item| (*item).to_string()).collect();
            let settings = Settings::with_items(name, &items)?;
            let mut first = settings.trainer(&device)?;
            (0..3).try_for_each(|_| first.step().map(|_| ()))?;
            let middle = first.save()?;
            let mut second = settings.trainer(&device)?;
            second.load(&middle)?;
            (0..2).try_for_each(|_| {
                assert_eq!(first.step()?, second.step()?, "{name}");
                Ok::<(), crate::Error>(())
            })?;
            assert_eq!(first.save()?, second.save()?, "{name}");
            assert_ne!(first.save()?, middle, "{name}");
        }
        Ok(())
    }
}
