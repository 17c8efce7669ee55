//! MADDPG (Lowe et al. 2017, arXiv 1706.02275): each agent has a deterministic actor that sees what the agent sees, and a
//! critic that sees what all see and do; the actor goes up its critic's gradient while the others do what they did.
//!
//! Choices are relaxed by Gumbel's noise and a softmax, straight through: the worlds here take one option, where the
//! authors' public code gives the relaxed numbers themselves to the world. All target policies act in a target, as in the
//! paper's equation 6. Agents share an actor and a critic that are told whose they are; with `separate_parameters` each has
//! its own, as in the paper. Policies of sub-ensembles and of inferred others (sections 4.2 and 4.3) are not here.
//!
//! ```
//! use synod::preset::Settings;
//! let settings = Settings::with_items("spread-maddpg", &["learner.batch=16".to_string()])?;
//! let mut trainer = settings.trainer(&synod::Device::cpu())?;
//! assert!(trainer.step()?.steps > 0);
//! # Ok::<(), synod::Error>(())
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::exploration::Noise;
use super::off_policy::config::{discrete_or_bounded, off_policy};
use super::off_policy::{OffPolicyConfig, View};

/// The settings of MADDPG.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct MaddpgConfig(pub OffPolicyConfig);

impl Default for MaddpgConfig {
    fn default() -> Self {
        MaddpgConfig(OffPolicyConfig {
            rollout: 25,
            batch: 1024,
            warmup: 25_600,
            learning_rate: 1e-2,
            critic_learning_rate: 1e-2,
            max_gradient_norm: 0.5,
            gamma: 0.95,
            target_rate: 0.01,
            critic: View::Central,
            noise: Noise::OrnsteinUhlenbeck { rate: 0.15, deviation: 0.2 },
            regularisation: 1e-3,
            ..OffPolicyConfig::common()
        })
    }
}

off_policy!(
    MaddpgConfig,
    "maddpg",
    "deterministic actors, a critic that sees what all see and do",
    discrete_or_bounded
);
