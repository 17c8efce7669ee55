//! The command line, one file a subcommand. It parses words and prints; what they do lives in the other rooms.

mod collaborate;
mod compare;
mod devices;
mod doctor;
mod emergence;
mod eval;
mod export;
mod inspect;
mod list;
mod output;
mod privacy;
mod render;
mod settings;
mod train;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::env::pathfinding::Collision;
use crate::preset::{Evaluation, Settings};
use crate::run::folder;
use crate::{Device, Error, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};

use output::{note, print, print_json};

/// Multi-agent learning on any GPU, or on none.
#[derive(Parser)]
#[command(
    name = "synod",
    version,
    after_help = "Examples:
  synod train bottleneck                    train, with curves and checkpoints, into runs/
  synod eval runs/bottleneck-0              a table of what was learned
  synod render runs/bottleneck-0 -o a.gif   an episode to look at"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train a preset, or the settings in a config file
    Train(train::Train),
    /// Evaluate a trained run: success rates, costs and throughput on maps, returns and the world's measures elsewhere
    Eval(eval::Eval),
    /// Train several presets with several seeds, and write one measured table
    Compare(compare::Compare),
    /// Have a team of roles learn a preset: a start for all tasks, adaptation, a model of the world
    Collaborate(collaborate::Collaborate),
    /// Measure a team of roles against one agent and an ensemble, with as many agent-steps each
    Emergence(emergence::Emergence),
    /// Draw an episode of a trained run as a GIF or SVG animation
    Render(render::Render),
    /// Look into an episode of a trained team: attention, graphs, messages, values, curiosity
    Inspect(inspect::Inspect),
    /// Write the team of a run as one file, for programs that have it act
    Export(export::Export),
    /// Show the devices of this machine and which one would be chosen
    Devices(devices::Devices),
    /// Say what this machine and this build have: processor, threads, adapters, the MuJoCo library
    Doctor(doctor::Doctor),
    /// List the presets, worlds, agents, cores, ways to communicate and learners
    List(list::List),
    /// What noisy gradients spend of privacy, or the noise that an epsilon takes
    Privacy(privacy::Privacy),
    /// Show every setting of a preset or a config file: value, default, range and what it is for
    Settings(settings::ShowSettings),
}

/// How collisions are settled.
#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum CollisionName {
    /// One after another in index order
    Priority,
    /// Contested and occupied cells are blocked
    BlockBoth,
    /// Following and rotations are allowed, swapping is not
    Soft,
}

impl From<CollisionName> for Collision {
    fn from(name: CollisionName) -> Self {
        match name {
            CollisionName::Priority => Collision::Priority,
            CollisionName::BlockBoth => Collision::BlockBoth,
            CollisionName::Soft => Collision::Soft,
        }
    }
}

/// What `eval` and `render` share.
#[derive(Args)]
struct Where {
    /// The run's folder
    run: PathBuf,
    /// A map (.map or text), a scenario (.scen, beside its map) or a folder of maps; may be given several times
    #[arg(long = "maps", value_name = "FILE|DIR")]
    maps: Vec<PathBuf>,
    /// Numbers of agents, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "N,N")]
    agents: Vec<usize>,
    /// The limit of steps of an episode
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// The seed of starts, targets and actions
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// With --maps: start episode k as POGEMA does with seed N + k (pogema-benchmark: 0)
    #[arg(long, value_name = "N")]
    instance_seed: Option<u64>,
    /// How collisions are settled
    #[arg(long)]
    collision: Option<CollisionName>,
    /// Take the most probable action instead of drawing one
    #[arg(long)]
    greedy: bool,
    /// Change a setting of the run; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Where to compute: auto, cpu or gpu
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    device: String,
    /// Take the agent as it was in the best evaluation of its training, not as it was in the end
    #[arg(long)]
    best: bool,
}

impl Where {
    /// The checkpoint that is meant.
    fn checkpoint(&self) -> Result<PathBuf> {
        checkpoint_of(&self.run, self.best)
    }

    fn settings(&self) -> Result<Settings> {
        folder::require_run(&self.run)?;
        Settings::load(&folder::config_of(&self.run), &self.set)
    }

    fn device(&self) -> Result<Device> {
        device_to_act(&self.device, &self.settings()?)
    }

    /// Refuses flags that only pathfinding has.
    fn only_general_flags(&self) -> Result<()> {
        let given = [
            ("--maps", !self.maps.is_empty()),
            ("--steps", self.steps.is_some()),
            ("--collision", self.collision.is_some()),
            ("--instance-seed", self.instance_seed.is_some()),
        ];
        if self.agents.contains(&0) {
            return Err(Error::Usage(NO_AGENTS.into()));
        }
        match given.iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(Error::Usage(format!("{flag}: this run is not one of pathfinding"))),
            None => Ok(()),
        }
    }

    fn evaluation(&self, settings: &Settings, episodes: usize) -> Result<Evaluation> {
        if self.steps == Some(0) {
            return Err(Error::Usage("--steps: an episode needs at least one step".into()));
        }
        if self.agents.contains(&0) {
            return Err(Error::Usage(NO_AGENTS.into()));
        }
        Ok(Evaluation {
            maps: self.maps.clone(),
            agents: self.agents.clone(),
            episodes,
            steps: self.steps,
            seed: self.seed,
            instance_seed: self.instance_seed,
            collision: self.collision.map(Collision::from),
            choice: settings.choice(self.greedy),
        })
    }
}

const NO_AGENTS: &str = "--agents: at least one agent";

/// The latest checkpoint of a run, or the best.
fn checkpoint_of(run: &Path, best: bool) -> Result<PathBuf> {
    if best { folder::require_best(run) } else { Ok(folder::checkpoint_of(run)) }
}

/// A number of steps: `20000000`, `20_000_000` or `2e7`.
fn steps(text: &str) -> std::result::Result<u64, String> {
    let plain = text.replace('_', "");
    let number = plain.parse::<u64>().ok().or_else(|| {
        let number = plain.parse::<f64>().ok()?;
        (number.fract() == 0.0 && (0.0..9e15).contains(&number)).then_some(number as u64)
    });
    number.ok_or_else(|| format!("`{text}` is no whole number of steps"))
}

/// A device by name, where `auto` is the one for acting with this trained run.
fn device_to_act(name: &str, settings: &Settings) -> Result<Device> {
    match name {
        "auto" => Ok(crate::preset::choice::to_act(settings)),
        name => Device::by_name(name),
    }
}

/// A folder that no run has yet: `base`, or `base-2`, `base-3` and so on.
fn free_folder(base: &Path) -> PathBuf {
    let mut path = base.to_path_buf();
    let mut number = 2;
    while path.exists() && folder::require_free(&path).is_err() {
        path = PathBuf::from(format!("{}-{number}", base.display()));
        number += 1;
    }
    path
}

/// The whole command line, over the worlds, agents, learners and presets of this crate.
///
/// Exit codes: 0 done, 2 for anything wrong, with one line on stderr. What ^C, SIGTERM or SIGHUP stopped, with everything
/// saved, ends as by that signal: for a shell with 130, 143 or 129.
pub fn main() -> ExitCode {
    main_with(|| Ok(()))
}

/// The whole command line for a program that has worlds, agents or learners of its own: `register` enters them into
/// their lists first, and they can be trained, resumed, evaluated, drawn, compared and looked into like any others.
///
/// ```no_run
/// # fn register() -> synod::Result<()> { Ok(()) }
/// fn main() -> std::process::ExitCode {
///     synod::command::main_with(register)
/// }
/// ```
pub fn main_with(register: impl FnOnce() -> Result<()>) -> ExitCode {
    // A host that has made a subscriber of its own keeps it.
    let _ = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::WARN)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .without_time()
        .log_internal_errors(false)
        .try_init();
    let result = register().and_then(|()| run());
    if let Err(error) = &result {
        note(format_args!("synod: {error}"));
    }
    crate::run::signal::end_if_stopped();
    if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(2) }
}

fn run() -> Result<()> {
    // clap prints its own message and leaves with code 2.
    match Cli::parse().command {
        Command::Train(command) => command.run(),
        Command::Compare(command) => command.run(),
        Command::Eval(command) => command.run(),
        Command::Collaborate(command) => command.run(),
        Command::Emergence(command) => command.run(),
        Command::Render(command) => command.run(),
        Command::Inspect(command) => command.run(),
        Command::Export(command) => command.run(),
        Command::Devices(command) => command.run(),
        Command::Doctor(command) => command.run(),
        Command::List(command) => command.run(),
        Command::Settings(command) => command.run(),
        Command::Privacy(command) => command.run(),
    }
}
