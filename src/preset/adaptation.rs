//! A start from which few examples of a task are enough.

use super::Settings;
use crate::agent::encoder::EncoderConfig;
use crate::agent::team::{Gains, TeamConfig};
use crate::env::point_navigation::PointNavigationConfig;
use crate::env::sinusoid::SinusoidConfig;
use crate::optim::Schedule;
use crate::train::meta::{Estimator, MetaConfig, Method, Objective};

/// Two hidden layers.
fn network(features: usize, gains: Gains) -> TeamConfig {
    let encoder = EncoderConfig::Linear { layers: 2 };
    TeamConfig { features, encoder, identity: false, gains, ..TeamConfig::default() }
}

/// Finn et al. 2017, section 5.1: 70,000 batches of 25 waves, ten points to adapt by and ten to be judged by.
pub(super) fn sinusoid(method: Method) -> Settings {
    let learner = MetaConfig {
        method,
        batches: 500,
        schedule: Schedule::Cosine { last: 0.01 },
        ..MetaConfig::default()
    };
    // A last layer near 0 makes those before it learn features so large that ten steps of adaptation run away.
    let gains = Gains { encoder: 1.0, actor: 1.0 };
    Settings {
        steps: 70_000 * 25 * 20,
        checkpoint_every: 10_000_000,
        ..Settings::new(SinusoidConfig::default(), network(40, gains), learner)
    }
}

/// There, section 5.3: twenty episodes of 100 steps to adapt by, and twenty after it.
pub(super) fn navigation(method: Method) -> Settings {
    let learner = MetaConfig {
        method,
        objective: Objective::Reinforcement,
        shots: 20,
        inner_rate: 0.1,
        estimator: Estimator::Lvc,
        max_gradient_norm: 1.0,
        batches: 1,
        judged_tasks: 200,
        ..MetaConfig::default()
    };
    Settings {
        steps: 20_000_000,
        ..Settings::new(PointNavigationConfig::default(), network(100, Gains::default()), learner)
    }
}
