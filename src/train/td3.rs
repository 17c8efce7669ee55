//! TD3 (Fujimoto et al. 2018, arXiv 1802.09477): a deterministic actor with two critics, of which targets take the lesser
//! value, delayed updates of the actor, and noise on the target's actions. Without these three it is DDPG (Lillicrap et al.
//! 2016): `learner.twins=false`, `learner.actor_every=1`, `learner.target_noise=0`.
//!
//! ```
//! use synod::preset::Settings;
//! let settings = Settings::with_items("pendulum-td3", &["learner.batch=16".to_string()])?;
//! let mut trainer = settings.trainer(&synod::Device::cpu())?;
//! assert!(trainer.step()?.steps > 0);
//! # Ok::<(), synod::Error>(())
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::exploration::Noise;
use super::off_policy::OffPolicyConfig;
use super::off_policy::config::{bounded, off_policy};

/// The settings of TD3.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Td3Config(pub OffPolicyConfig);

impl Default for Td3Config {
    fn default() -> Self {
        Td3Config(OffPolicyConfig {
            twins: true,
            actor_every: 2,
            target_noise: 0.2,
            target_noise_limit: 0.5,
            noise: Noise::Gaussian { deviation: 0.1 },
            critic_features: 256,
            ..OffPolicyConfig::common()
        })
    }
}

off_policy!(
    Td3Config,
    "td3",
    "deterministic actor, twin critics, delayed updates: continuous actions",
    bounded
);
