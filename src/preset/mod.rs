//! Presets: complete settings that put an agent, a world and a trainer together, and what is done with a trained one
//! afterwards (evaluation, pictures). The command line only parses words and prints; what they mean is decided here, so
//! that a program which embeds synod can do the same.
//!
//! ```
//! use synod::preset::{Settings, evaluate};
//! let device = synod::Device::cpu();
//! let settings = Settings::with_items("two-step-vdn", &["learner.warmup=16".to_string()])?;
//! let policy = settings.policy(&device)?; // with initial parameters; `trained_policy` has those of a run
//! let measures = evaluate(&device, &settings, policy.as_ref(), 8, 0, false, &mut |_, _| Ok(()))?;
//! assert_eq!(measures[0].name, "return");
//! # Ok::<(), synod::Error>(())
//! ```

mod adaptation;
pub mod choice;
mod city;
pub mod collaborate;
pub mod compare;
mod continuous;
mod credit;
mod describe;
mod distance;
pub mod emergence;
mod episode;
mod evaluate;
mod exploration;
mod factory;
pub mod family;
mod filming;
mod foraging;
mod games;
mod inspect;
mod jobshop;
mod judge;
mod language;
mod list;
mod mazes;
mod measure;
mod memory;
mod mujoco;
mod named;
mod particles;
mod platoon;
mod roads;
mod rows;
mod settings;
mod tabular;
mod traffic;
mod warehouse;

pub use describe::{Setting, describe};
pub use episode::record;
pub use evaluate::{Evaluation, Row, Watch, evaluate_maps, mean, play_maps, rows};
pub use filming::{Episode, film_episode};
pub use inspect::{Inspected, Inspection, inspect};
pub use judge::Judge;
pub use measure::{Measure, evaluate, measures, play};
pub use named::{Preset, presets, register};
pub use rows::Provenance;
pub use settings::{CUSTOM, Settings};
