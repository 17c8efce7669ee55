//! Teams of agents that learn: an autodiff engine for CPUs and GPUs, and on it the worlds, agents and learners of
//! multi-agent reinforcement learning. No Python, no CUDA.
//!
//! # Embed: trained agents in a program
//!
//! A [`Team`] is loaded from a run's folder, or from one file that `synod export` writes. It is shown what its agents
//! see, and says what they do.
//!
//! ```no_run
//! fn main() -> synod::Result<()> {
//!     let mut team = synod::Team::load("bottleneck.synod")?;
//!     let mut memory = team.memory(1)?; // what the team remembers of one world
//!     let numbers: usize = team.kind().observation.iter().product();
//!     let mut observations = vec![0.0; team.agents() * numbers];
//!     for _ in 0..100 {
//!         // ... write what the agents see into `observations`
//!         let actions = team.act(&observations, &mut memory)?;
//!         println!("{:?}", actions.discrete); // and do what they say
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # Train: presets, or settings of a program's own
//!
//! On the command line that is `synod train bottleneck`. In a program the same settings are values, and a trainer knows
//! nothing of terminal or disk ([`run::driver`] does):
//!
//! ```
//! use synod::preset::Settings;
//! let settings = Settings::with_items("two-step-qmix", &["learner.warmup=16".to_string()])?;
//! let mut trainer = settings.trainer(&synod::Device::cpu())?;
//! let report = trainer.step()?; // a rollout, and what is learned from it
//! println!("{} agent-steps: {:?}", report.steps, report.values);
//! # Ok::<(), synod::Error>(())
//! ```
//!
//! # Extend: worlds, agents and learners of one's own
//!
//! What there is stands in lists that other crates add to ([`registry`]). A program that does so gets the whole command
//! line for what it added:
//!
//! ```no_run
//! use synod::preset::{Preset, Settings, register};
//!
//! fn main() -> std::process::ExitCode {
//!     synod::command::main_with(|| {
//!         register(Preset {
//!             name: "quick",
//!             summary: "the two-step game for a moment",
//!             settings: || Settings { steps: 2_000, ..Settings::preset("two-step-vdn").expect("a preset") },
//!         })
//!     })
//! }
//! ```
//!
//! # The guide
//!
//! [Install](guide::install), [train](guide::train), [evaluate](guide::evaluate), [embed](guide::embed),
//! [extend](guide::extend), [worlds](guide::worlds), [agents](guide::agents), [roles](guide::roles), the [engine](guide::engine),
//! [results](guide::results), [design](guide::design).
//!
//! # What lives where
//!
//! [`env`](mod@env) has worlds, [`comm`] ways to communicate, [`agent`] networks, [`train`] learners, [`action`] what
//! agents can do, [`roles`] teams of trainers that divide the work, [`preset`] complete settings and what is done with runs, [`run`] their folders, [`picture`] plots and films, [`door`] teams for
//! host programs. Worlds and what agents can do in them are a package of their own, `synod-worlds`;
//! so is the autodiff below ([`graph`], [`op`], [`nn`], [`optim`]), `synod-engine`, and so are the kernels for processors
//! ([`cpu`]), `synod-cpu`.

pub mod agent;
pub mod comm;
pub mod command;
pub mod door;
#[cfg(any(doc, doctest))]
pub mod guide;
pub mod memory;
pub mod picture;
pub mod preset;
pub mod privacy;
pub mod roles;
pub mod run;
pub mod train;

pub use door::Team;
pub use schemars;
pub use serde;
use synod_engine::program;
pub use synod_engine::{
    Adapter, CompileOptions, DType, Data, Device, Error, Graph, HostTime, Outputs, Program, Result, Shape,
    Summary, Tensor, TensorType, Variable, cpu, error, graph, nn, op, optim, shape, tensors,
};
pub use synod_worlds::{action, env, registry, schema};

/// The README's Rust, compiled by the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
