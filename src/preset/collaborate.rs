//! Teams of roles over the settings of a run: which tasks they work on and who they are, as a file of the run's folder.
//!
//! ```
//! use synod::preset::{Settings, collaborate::Plan};
//! use synod::roles::broker::MemoryLog;
//! use synod::train::Trainer;
//! let settings = Settings { steps: 8_000, ..Settings::preset("lqr-ppo")? };
//! let mut plan = Plan::new(&settings, &["adapt".to_string()], None, false)?;
//! plan.change("round=4000")?;
//! let mut team = plan.team(&synod::Device::cpu(), &settings, Box::<MemoryLog>::default())?;
//! println!("{:?}", team.step()?);
//! # Ok::<(), synod::Error>(())
//! ```

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Settings;
use super::family::{Family, variants};
use crate::Device;
use crate::error::{Error, Result};
use crate::registry::Family as _;
use crate::roles::broker::Log;
use crate::roles::collaboration::{Collaboration, CollaborationConfig};
use crate::roles::{RoleConfig, Roles};
use crate::run::config::{self, Changes};

/// The file's name in a run's folder.
pub const NAME: &str = "collaboration.toml";

/// Which tasks, and who works on them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Tasks beside the settings' own: items over them, several with commas between them.
    pub tasks: Vec<String>,
    /// Every task counts in the end, and not the settings' own alone.
    pub all: bool,
    /// The team.
    pub team: CollaborationConfig,
}

impl Plan {
    /// A team of roles of these names. Where `tasks` are not named they lie around the preset's own ([`variants`]).
    ///
    /// # Errors
    /// An unknown role, with the nearest; a role twice; none that works.
    pub fn new(settings: &Settings, roles: &[String], tasks: Option<&[String]>, all: bool) -> Result<Self> {
        let tasks = tasks.map_or_else(|| variants(settings), <[String]>::to_vec);
        Ok(Plan { tasks, all, team: CollaborationConfig::with_roles(roles)? })
    }

    /// Changes a setting of the team (`round=4000`) or of a role (`meta.step_size=0.5`).
    ///
    /// # Errors
    /// An unknown key, or a value of another type.
    pub fn change(&mut self, item: &str) -> Result<()> {
        let role = item.split_once('.').filter(|(role, _)| !role.contains('='));
        let Some((name, rest)) = role else {
            let mut changes = Changes::new();
            changes.item(item)?;
            self.team = changes.apply(&self.team)?;
            return self.team.check();
        };
        let team = &mut self.team.roles;
        let at = match team.iter().position(|role| role.name() == name) {
            Some(at) => at,
            // Those that every team has.
            None => {
                let role = Roles::registry().find(name)?.default()?;
                if role.works() {
                    let message = format!("of a role in the team; `{name}` is none of them (--roles)");
                    return Err(Error::config(name, message));
                }
                team.insert(0, role);
                0
            }
        };
        let mut changes = Changes::new();
        changes.item(rest)?;
        let changed: RoleConfig = changes.apply(&team[at])?;
        if changed.name() != name {
            return Err(Error::config(format!("{name}.kind"), "is chosen by --roles"));
        }
        team[at] = changed;
        self.team.check()
    }

    /// As a file.
    ///
    /// # Errors
    /// A value that TOML has no form for.
    pub fn to_toml(&self) -> Result<String> {
        config::to_toml(self)
    }

    /// From the folder of a run.
    ///
    /// # Errors
    /// There is none, which is told; it is no TOML, or has keys that there are not.
    pub fn load(folder: &Path) -> Result<Self> {
        let path = folder.join(NAME);
        if !path.is_file() {
            return Err(Error::Usage(format!(
                "{} is no run of a team of roles (it has no {NAME}): go on with synod train --resume",
                folder.display()
            )));
        }
        let text = config::read_text(&path)?;
        let plan: Plan = toml::from_str(&text).map_err(|e| {
            let line = e.span().map(|span| 1 + text[..span.start.min(text.len())].matches('\n').count());
            Error::file(&path, line, e.message().to_string())
        })?;
        plan.team.check()?;
        Ok(plan)
    }

    /// The tasks.
    ///
    /// # Errors
    /// As [`Family::new`].
    pub fn family(&self, device: &Device, settings: &Settings) -> Result<Family> {
        Family::new(device, settings, &self.tasks, self.all)
    }

    /// The team at its beginning, for as many agent-steps as the settings have.
    ///
    /// # Errors
    /// As [`Family::new`] and [`Collaboration::new`].
    pub fn team(&self, device: &Device, settings: &Settings, log: Box<dyn Log>) -> Result<Collaboration> {
        let opening = self.family(device, settings)?.opening();
        Collaboration::new(opening, &self.team, settings.seed, settings.steps, log)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roles::Mode;
    use crate::roles::coordinator::CoordinatorConfig;
    use crate::roles::meta_learner::MetaConfig;

    #[test]
    fn a_plan_is_changed_and_comes_back_from_its_file() -> Result<()> {
        let settings = Settings::preset("lqr-ppo")?;
        let roles = ["meta", "adapt"].map(String::from);
        let mut plan = Plan::new(&settings, &roles, None, true)?;
        assert_eq!(plan.tasks.len(), 4);
        for item in ["mode=fixed", "round=500", "meta.step_size=0.25", "coordinator.preferences=[1.0, 0.5]"] {
            plan.change(item)?;
        }
        assert_eq!((plan.team.mode, plan.team.round), (Mode::Fixed, 500));
        let role = |name: &str| plan.team.roles.iter().find(|role| role.name() == name);
        assert_eq!(role("meta").and_then(|role| role.get::<MetaConfig>()).map(|c| c.step_size), Some(0.25));
        let coordinator = role("coordinator").and_then(|role| role.get::<CoordinatorConfig>());
        assert_eq!(coordinator.map(|c| c.preferences.clone()), Some(vec![1.0, 0.5]));
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(NAME), plan.to_toml()?).expect("room on the disk");
        assert_eq!(Plan::load(folder.path())?, plan);
        for (item, part) in [
            ("meta.step=1", "step_size"),
            ("state.features=8", "--roles"),
            ("rounds=3", "round"),
            ("meta.step_size=7", "step_size"),
            ("nobody.x=1", "nobody"),
        ] {
            let error = plan.change(item).unwrap_err().to_string();
            assert!(error.contains(part), "{item}: {error}");
        }
        std::fs::write(folder.path().join(NAME), "tasks = []\nall = 3\n").expect("room on the disk");
        assert!(Plan::load(folder.path()).unwrap_err().to_string().contains(":2:"));
        Ok(())
    }

    #[test]
    fn roles_are_found_by_name_and_some_has_to_work() -> Result<()> {
        let settings = Settings::preset("lqr-ppo")?;
        let plan = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
            Plan::new(&settings, &names, None, false).map(|_| ()).unwrap_err().to_string()
        };
        assert!(plan(&["mete"]).contains("did you mean `meta`"));
        assert!(plan(&["adapt", "adapt"]).contains("twice"));
        assert!(plan(&["coordinator"]).contains("at least one that works"));
        assert!(plan(&[]).contains("at least one that works"));
        Ok(())
    }
}
