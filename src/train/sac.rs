//! Soft actor-critic (Haarnoja et al. 2018, arXiv 1801.01290; with a learned temperature arXiv 1812.05905): actions are
//! drawn, and drawing them is worth something; two critics, of which actor and targets take the lesser value.
//!
//! ```
//! use synod::preset::Settings;
//! let settings = Settings::with_items("pendulum-sac", &["learner.batch=16".to_string()])?;
//! let mut trainer = settings.trainer(&synod::Device::cpu())?;
//! assert!(trainer.step()?.steps > 0);
//! # Ok::<(), synod::Error>(())
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::exploration::Noise;
use super::off_policy::config::{bounded, off_policy};
use super::off_policy::{Entropy, OffPolicyConfig};

/// The settings of soft actor-critic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SacConfig(pub OffPolicyConfig);

impl Default for SacConfig {
    fn default() -> Self {
        SacConfig(OffPolicyConfig {
            twins: true,
            noise: Noise::None,
            entropy: Entropy::Learned { temperature: 1.0, target: -1.0, rate: 1.0 },
            learning_rate: 3e-4,
            critic_features: 256,
            ..OffPolicyConfig::common()
        })
    }
}

off_policy!(
    SacConfig,
    "sac",
    "actions are drawn, and their entropy is worth something: continuous actions",
    bounded
);
