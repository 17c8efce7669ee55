//! MATD3 (Ackermann et al. 2019, arXiv 1910.01465): MADDPG with what TD3 has beside DDPG: two central critics an agent, of
//! which targets take the lesser value, delayed updates of the actor, and noise on the target's continuous actions.
//!
//! ```
//! use synod::preset::Settings;
//! let settings = Settings::with_items("spread-matd3", &["learner.batch=16".to_string()])?;
//! let mut trainer = settings.trainer(&synod::Device::cpu())?;
//! assert!(trainer.step()?.steps > 0);
//! # Ok::<(), synod::Error>(())
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::maddpg::MaddpgConfig;
use super::off_policy::OffPolicyConfig;
use super::off_policy::config::{discrete_or_bounded, off_policy};

/// The settings of MATD3.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Matd3Config(pub OffPolicyConfig);

impl Default for Matd3Config {
    fn default() -> Self {
        Matd3Config(OffPolicyConfig {
            twins: true,
            actor_every: 2,
            target_noise: 0.2,
            target_noise_limit: 0.5,
            ..MaddpgConfig::default().0
        })
    }
}

off_policy!(
    Matd3Config,
    "matd3",
    "MADDPG with twin critics, delayed actors and smoothed targets",
    discrete_or_bounded
);
