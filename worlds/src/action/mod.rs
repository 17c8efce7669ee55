//! Actions: what kinds of action there are, arrays of them, and the distributions that a network's numbers stand for.
//!
//! An [`ActionSpace`] says what an agent can do. [`Actions`] are what agents did, as flat arrays that worlds take and
//! replays keep. A [`Distribution`] stands between network and learner: built in a graph from the network's numbers and
//! the masks, it draws actions and knows their log-probabilities. Which network gives the numbers, and what is learned
//! from them, does not live here.

mod actions;
pub mod distribution;
mod space;

pub use actions::Actions;
pub use actions::hold;
pub use distribution::{Action, Bounded, Distribution, allowed};
pub use space::ActionSpace;
