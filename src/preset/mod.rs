//! Presets: complete settings that put an agent, a world and a trainer together, and what is done with a trained one
//! afterwards (evaluation, pictures). The command line only parses words and prints; what they mean is decided here, so
//! that a program which embeds synod can do the same.

pub mod choice;
pub mod compare;
mod describe;
mod episode;
mod evaluate;
mod exploration;
mod filming;
mod games;
mod inspect;
mod list;
mod mazes;
mod measure;
mod particles;
mod settings;
mod traffic;

pub use describe::{Setting, describe};
pub use episode::record;
pub use evaluate::{Evaluation, Row, Watch, evaluate_maps, mean};
pub use filming::{Episode, film_episode};
pub use inspect::{Inspected, Inspection, inspect};
pub use list::{Preset, presets, register};
pub use measure::{Measure, evaluate};
pub use settings::{CUSTOM, Settings};
