//! FACMAC (Peng et al. 2021, arXiv 2003.06709): critics of single agents whose values a network mixes to the team's, and
//! actors that go up the team's gradient together, each doing what it would do now (the centralised policy gradient of
//! section 4.2). The mixer is QMIX's; the paper finds one that is not monotonic better where tasks are not.
//!
//! ```
//! use synod::preset::Settings;
//! let settings = Settings::with_items("spread-facmac", &["learner.batch=16".to_string()])?;
//! let mut trainer = settings.trainer(&synod::Device::cpu())?;
//! assert!(trainer.step()?.steps > 0);
//! # Ok::<(), synod::Error>(())
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::maddpg::MaddpgConfig;
use super::mixer::{Mixing, QmixConfig};
use super::off_policy::config::{discrete_or_bounded, off_policy};
use super::off_policy::{OffPolicyConfig, View};

/// The settings of FACMAC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct FacmacConfig(pub OffPolicyConfig);

impl Default for FacmacConfig {
    fn default() -> Self {
        FacmacConfig(OffPolicyConfig {
            critic: View::Own,
            mixer: Mixing::Qmix(QmixConfig { scale: 0.01, ..QmixConfig::default() }),
            ..MaddpgConfig::default().0
        })
    }
}

off_policy!(
    FacmacConfig,
    "facmac",
    "deterministic actors, the critics of single agents mixed to the team's",
    discrete_or_bounded
);
