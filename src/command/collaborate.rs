//! `synod collaborate`.

use std::path::{Path, PathBuf};

use crate::preset::Settings;
use crate::preset::collaborate::{NAME, Plan};
use crate::preset::family::Family;
use crate::roles::Mode;
use crate::roles::collaboration::Collaboration;
use crate::roles::messages::{Conflict, Done, Restarted};
use crate::roles::workshop::{Workshop, mean_score};
use crate::run::driver::{self, Options};
use crate::run::folder::{self, Folder};
use crate::run::journal::{self, Journal};
use crate::run::table::{Cell, Table};
use crate::run::{progress, signal};
use crate::{Device, Error, Result};
use clap::{Args, ValueEnum};
use std::io::Write;

use super::{note, print, print_json};

/// How work is given to roles.
#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum ModeName {
    /// By what each role's work comes to
    Emergent,
    /// Evenly
    Fixed,
}

impl From<ModeName> for Mode {
    fn from(name: ModeName) -> Self {
        match name {
            ModeName::Emergent => Mode::Emergent,
            ModeName::Fixed => Mode::Fixed,
        }
    }
}

/// What `collaborate` and `emergence` share.
#[derive(Args)]
pub struct Team {
    /// The roles, in the order in which they are heard: meta, adapt, state, and those of your own
    #[arg(long, default_value = "meta,adapt,state", value_delimiter = ',', value_name = "ROLE,ROLE")]
    roles: Vec<String>,
    /// A task beside the preset's own: settings that differ from it; may be given several times [default: for pendulums and
    /// regulators four around the preset's own, else none]
    #[arg(long = "task", value_name = "KEY=VALUE[,KEY=VALUE]")]
    tasks: Vec<String>,
    /// Change a setting of the team (round=4000) or of a role (meta.step_size=0.5); may be given several times
    #[arg(long = "team", value_name = "KEY=VALUE")]
    team: Vec<String>,
}

impl Team {
    /// The plan that was asked for.
    pub fn plan(&self, settings: &Settings, all: bool) -> Result<Plan> {
        let tasks = (!self.tasks.is_empty()).then_some(&self.tasks[..]);
        let mut plan = Plan::new(settings, &self.roles, tasks, all)?;
        self.team.iter().try_for_each(|item| plan.change(item))?;
        Ok(plan)
    }
}

#[derive(Args)]
#[command(after_help = "Examples:
  synod collaborate lqr-ppo --roles meta,adapt,state
  synod collaborate lqr-ppo --roles meta,adapt --mode fixed --steps 200000 --all-tasks --out runs/roles
  synod collaborate pendulum-sac --task world.gravity=8 --task world.gravity=12 --team round=4000
  synod collaborate --resume runs/roles

What the roles said to each other is in messages.jsonl of the run's folder. The team's agent for the preset's own task is
the run's agent: synod eval, render and export take it.")]
pub struct Collaborate {
    /// A preset (see `synod list`) or a config file
    #[arg(required_unless_present = "resume", value_name = "PRESET|CONFIG.toml")]
    what: Option<String>,
    #[command(flatten)]
    team: Team,
    /// How work is given to roles [default: emergent]
    #[arg(long)]
    mode: Option<ModeName>,
    /// Every task counts in the end, and not the preset's own alone
    #[arg(long)]
    all_tasks: bool,
    /// The seed of everything
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Agent-steps of all roles together, evaluations included
    #[arg(long, value_name = "N", value_parser = super::steps)]
    steps: Option<u64>,
    /// Where to compute: auto (the CPU), cpu or gpu
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// The run's folder; must not exist [default: runs/PRESET-team-SEED]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Change a setting of the preset; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Episodes that the team's agents are judged by at the end
    #[arg(long, default_value_t = 100, value_name = "N")]
    episodes: usize,
    /// Print one JSON object instead of tables
    #[arg(long)]
    json: bool,
    /// Go on with a run that was stopped or killed
    #[arg(long, value_name = "DIR", conflicts_with_all = ["what", "out", "seed", "set", "mode", "all_tasks", "steps", "device"])]
    resume: Option<PathBuf>,
}

impl Collaborate {
    pub fn run(self) -> Result<()> {
        let stop = signal::stop_on_signal()?;
        if self.episodes == 0 {
            return Err(Error::Usage("--episodes: at least one episode".into()));
        }
        let (settings, plan, folder) = match &self.resume {
            Some(path) => {
                folder::require_run(path)?;
                let plan = Plan::load(path)?;
                let folder = Folder::open(path)?;
                (Settings::load(&folder.config(), &[])?, plan, folder)
            }
            None => self.fresh()?,
        };
        let device = device_of(&settings)?;
        let family = plan.family(&device, &settings)?;
        let journal = Box::new(Journal::open(folder.directory())?);
        let mut team = plan.team(&device, &settings, journal)?;
        let mut options = Options::new(settings.steps, folder.path());
        options.checkpoint_every = settings.checkpoint_every.min(settings.steps.div_ceil(10));
        options.resume = self.resume.is_some();
        options.shown = vec![family.score_name().to_string()];
        let here = folder::shell_quoted(folder.path());
        options.resume_command = format!("synod collaborate --resume {here}");
        let title = format!("{} team seed {}", settings.preset, settings.seed);
        let mut bar = progress::on_stderr(&title);
        let outcome = driver::drive(&mut team, &folder, &options, bar.as_mut(), stop)?;
        if !outcome.done {
            return Ok(());
        }
        let judged = judge(&family, &team, self.episodes, settings.seed)?;
        let said = Said::read(&folder.directory().here().join(journal::NAME), &plan)?;
        match self.json {
            true => print_json(&serde_json::json!({
                "preset": settings.preset,
                "seed": settings.seed,
                "steps": outcome.steps,
                "score": family.score_name(),
                "tasks": judged.to_json_rows(),
                "roles": said.table.to_json_rows(),
                "restarts": said.restarts,
                "conflicts": said.conflicts,
                "messages": said.messages,
            }))?,
            false => print(&format!("{}\n{}", judged.to_text(), said.table.to_text()))?,
        }
        note(format_args!(
            "{} messages, {} conflicts settled, {} roles started again; all of it in {here}/{}",
            said.messages,
            said.conflicts,
            said.restarts,
            journal::NAME
        ));
        Ok(())
    }

    fn fresh(&self) -> Result<(Settings, Plan, Folder)> {
        let what = self.what.as_deref().unwrap_or_default();
        let mut items = self.set.clone();
        items.extend(self.seed.map(|seed| format!("seed={seed}")));
        items.extend(self.steps.map(|steps| format!("steps={steps}")));
        items.extend(self.device.as_ref().map(|device| format!("device={device:?}")));
        let settings = match what.ends_with(".toml") || Path::new(what).is_file() {
            true => Settings::load(Path::new(what), &items)?,
            false => Settings::with_items(what, &items)?,
        };
        let mut plan = self.team.plan(&settings, self.all_tasks)?;
        plan.team.mode = self.mode.map_or(plan.team.mode, Mode::from);
        // Settings that cannot run leave nothing behind.
        plan.family(&device_of(&settings)?, &settings)?;
        let path = match &self.out {
            Some(path) => path.clone(),
            None => {
                super::free_folder(Path::new(&format!("runs/{}-team-{}", settings.preset, settings.seed)))
            }
        };
        folder::require_free(&path)?;
        let folder = Folder::create(&path, &settings.to_toml()?)?;
        let text = plan.to_toml()?;
        folder.directory().write(NAME, |file| file.write_all(text.as_bytes()))?;
        Ok((settings, plan, folder))
    }
}

/// Many small networks that act and learn in turn: `auto` is the CPU.
pub fn device_of(settings: &Settings) -> Result<Device> {
    match settings.device.as_str() {
        "auto" => Ok(Device::cpu()),
        name => Device::by_name(name),
    }
}

/// What the team's agents achieve in the tasks that count, and what an agent did that had learned nothing.
fn judge(family: &Family, team: &Collaboration, episodes: usize, seed: u64) -> Result<Table> {
    let mut workshop = family.workshop();
    let untrained = workshop.initial()?;
    let score = family.score_name();
    let mut table = Table::new(["task", "measure", "untrained", "team", "improvement"]);
    for task in family.targets() {
        let before = mean_score(&workshop.play(*task, &untrained, episodes, seed)?);
        let after = mean_score(&workshop.play(*task, &team.agent(*task)?, episodes, seed)?);
        table.row([
            family.tasks()[*task].clone().into(),
            score.into(),
            Cell::number(before),
            Cell::number(after),
            Cell::number(after - before),
        ]);
    }
    Ok(table)
}

/// What the log says of a run.
struct Said {
    table: Table,
    messages: usize,
    restarts: usize,
    conflicts: usize,
}

impl Said {
    fn read(path: &Path, plan: &Plan) -> Result<Self> {
        let log = journal::read(path)?;
        let (mut done, mut restarts, mut conflicts) = (Vec::new(), Vec::new(), 0);
        for envelope in &log {
            done.extend(envelope.read::<Done>()?);
            restarts.extend(envelope.read::<Restarted>()?);
            conflicts += usize::from(envelope.read::<Conflict>()?.is_some());
        }
        let all: u64 = done.iter().map(|work| work.steps).sum();
        let mut table = Table::new(["role", "slices", "agent-steps", "share", "updates", "restarts"]);
        for role in plan.team.roles.iter().filter(|role| role.works()) {
            let own = || done.iter().filter(|work| work.role == role.name());
            let steps: u64 = own().map(|work| work.steps).sum();
            table.row([
                role.name().into(),
                own().count().into(),
                steps.into(),
                Cell::number(steps as f64 / all.max(1) as f64),
                own().map(|work| work.updates).sum::<u64>().into(),
                restarts.iter().filter(|restart| restart.role == role.name()).count().into(),
            ]);
        }
        Ok(Said { table, messages: log.len(), restarts: restarts.len(), conflicts })
    }
}
