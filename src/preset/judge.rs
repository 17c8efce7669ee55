//! How a run is evaluated while it trains.

use super::Settings;
use super::measure::{Episodes, measures};
use crate::Device;
use crate::agent::Policy;
use crate::error::Result;
use crate::run::best::Evaluate;
use crate::train::Checkpoint;

/// The seed of evaluations differs by this from that of the run, and by another from those of `synod eval`.
const MARK: u64 = 0x7472_6169_6e65_6420;

/// Plays the same episodes at each evaluation, with an agent of its own that takes the weights of the one that learns:
/// what differs from one to the next is what was learned. [`Settings::judge`] makes one.
pub struct Judge {
    device: Device,
    settings: Settings,
    policy: Box<dyn Policy>,
    /// Made when they are first played.
    episodes: Option<Episodes>,
}

impl Judge {
    pub(super) fn new(device: &Device, settings: &Settings) -> Result<Self> {
        let policy = settings.policy(device)?;
        Ok(Judge { device: device.clone(), settings: settings.clone(), policy, episodes: None })
    }

    /// Takes the weights of an agent.
    pub(super) fn take(&self, agent: &Checkpoint) -> Result<()> {
        agent.check_architecture(&self.policy.architecture())?;
        self.policy.parameters().load("agent", agent)
    }
}

impl Evaluate for Judge {
    fn evaluate(&mut self, agent: &Checkpoint) -> Result<Vec<(String, f64)>> {
        self.take(agent)?;
        let episodes = match &mut self.episodes {
            Some(episodes) => episodes,
            none => {
                let settings = &self.settings;
                let (count, choice) = (settings.eval_episodes, settings.choice(false));
                let seed = settings.seed.rotate_left(32) ^ MARK;
                let policy = self.policy.as_ref();
                none.insert(Episodes::new(&self.device, settings, policy, count, seed, choice)?)
            }
        };
        let reports = episodes.play(self.policy.as_ref(), &mut |_, _| Ok(()))?;
        Ok(measures(&reports).into_iter().map(|measure| (measure.name, measure.mean)).collect())
    }
}
