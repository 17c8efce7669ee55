//! What disturbs the continuous actions of a deterministic policy while it learns: independent Gaussian noise (Fujimoto et
//! al. 2018), or noise that wanders (an Ornstein-Uhlenbeck process: Lillicrap et al. 2016, arXiv 1509.02971, section 7).
//!
//! ```
//! use synod::action::ActionSpace;
//! use synod::train::exploration::{Exploration, Noise};
//! let mut exploration = Exploration::new(Noise::Gaussian { deviation: 0.1 }, &ActionSpace::uniform(1, -1.0, 1.0), 2, 0);
//! let mut actions = [0.0, 0.95];
//! exploration.disturb(&mut actions, &[0.0, 0.0], 7);
//! assert!(actions[0] != 0.0 && actions[1] <= 1.0);
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::action::{ActionSpace, hold};
use crate::nn::initial::Stream;

/// The noise on continuous actions, in units of half the width between the bounds of each.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Noise {
    /// None: what is drawn is the policy's own affair.
    None,
    /// Independent at every step.
    Gaussian {
        /// Its deviation.
        #[schemars(range(min = 0.0, max = 10.0))]
        deviation: f32,
    },
    /// `x <- (1 - rate) x + deviation n` with standard normal `n`, 0 when an episode begins: steps of time 1 of the process
    /// of Ornstein and Uhlenbeck.
    OrnsteinUhlenbeck {
        /// How fast it returns to 0.
        #[schemars(range(min = 0.0, max = 1.0))]
        rate: f32,
        /// The deviation of what is added at each step.
        #[schemars(range(min = 0.0, max = 10.0))]
        deviation: f32,
    },
}

/// Noise with its state, for the actions of `[agents, worlds]`.
pub struct Exploration {
    noise: Noise,
    /// What the noise is multiplied with: schedules change it.
    pub scale: f32,
    /// Actions are drawn evenly between their bounds, whatever the policy says.
    pub even: bool,
    seed: u64,
    bounds: Vec<[f32; 2]>,
    half_widths: Vec<f32>,
    state: Vec<f32>,
}

impl Exploration {
    /// For the floats of such actions of so many agents in all worlds.
    pub fn new(noise: Noise, actions: &ActionSpace, lanes: usize, seed: u64) -> Self {
        Exploration {
            noise,
            scale: 1.0,
            even: false,
            seed: seed ^ 0x6578_706c_6f72_6500,
            bounds: actions.bounds(),
            half_widths: actions.half_widths(),
            state: vec![0.0; lanes * actions.floats()],
        }
    }

    /// What wanders, `[agents, worlds, floats]`.
    pub fn state(&self) -> &[f32] {
        &self.state
    }

    /// Puts a state in place; one of another length is left.
    pub fn set_state(&mut self, state: &[f32]) {
        if state.len() == self.state.len() {
            self.state.copy_from_slice(state);
        }
    }

    /// Adds the noise of step `step` to actions `[agents, worlds, floats]`, and holds them to their bounds. `ages` `[agents,
    /// worlds]` are 0 where an episode begins.
    pub fn disturb(&mut self, actions: &mut [f32], ages: &[f32], step: u64) {
        let size = self.bounds.len().max(1);
        let mut stream = Stream::new(self.seed ^ step.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for (lane, (row, state)) in actions.chunks_mut(size).zip(self.state.chunks_mut(size)).enumerate() {
            let scales = self.bounds.iter().zip(&self.half_widths);
            for ((x, state), ([low, high], half)) in row.iter_mut().zip(state).zip(scales) {
                if self.even && low.is_finite() && high.is_finite() {
                    *x = low + 2.0 * half * stream.uniform() as f32;
                    continue;
                }
                let noise = match self.noise {
                    Noise::None => 0.0,
                    Noise::Gaussian { deviation } => deviation * stream.normal() as f32,
                    Noise::OrnsteinUhlenbeck { rate, deviation } => {
                        let before = if ages.get(lane) == Some(&0.0) { 0.0 } else { *state };
                        *state = (1.0 - rate) * before + deviation * stream.normal() as f32;
                        *state
                    }
                };
                *x += self.scale * half * noise;
            }
        }
        hold(actions, &self.bounds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The stationary deviation of the process is `deviation / sqrt(1 - (1 - rate)^2)`, the correlation of neighbours
    /// `1 - rate`.
    #[test]
    fn wandering_noise_has_the_moments_of_its_process() {
        let (rate, deviation) = (0.15f32, 0.2f32);
        let mut exploration = Exploration::new(
            Noise::OrnsteinUhlenbeck { rate, deviation },
            &ActionSpace::uniform(1, -100.0, 100.0),
            64,
            3,
        );
        let (mut squares, mut products, mut count, mut before) = (0.0f64, 0.0f64, 0.0f64, vec![0.0f32; 64]);
        for step in 0..4_000 {
            let mut actions = vec![0.0f32; 64];
            let age = vec![step as f32; 64];
            exploration.disturb(&mut actions, &age, step);
            if step > 200 {
                for (now, last) in actions.iter().zip(&before) {
                    squares += f64::from(now * now) / 1e4;
                    products += f64::from(now * last) / 1e4;
                    count += 1.0;
                }
            }
            before = actions;
        }
        let expected = f64::from(deviation) / (1.0 - f64::from(1.0 - rate).powi(2)).sqrt();
        let found = (squares / count).sqrt();
        assert!((found / expected - 1.0).abs() < 0.03, "{found} is not {expected}");
        assert!((products / squares - 0.85).abs() < 0.01, "{}", products / squares);
    }

    #[test]
    fn an_episode_begins_without_noise_and_bounds_hold() {
        let noise = Noise::OrnsteinUhlenbeck { rate: 0.0, deviation: 0.0 };
        let mut exploration = Exploration::new(noise, &ActionSpace::uniform(1, -1.0, 1.0), 1, 0);
        exploration.set_state(&[0.5]);
        let mut actions = [0.9];
        exploration.disturb(&mut actions, &[3.0], 0);
        assert_eq!(actions, [1.0]);
        let mut actions = [0.9];
        exploration.disturb(&mut actions, &[0.0], 1);
        assert_eq!(actions, [0.9]);
    }
}
