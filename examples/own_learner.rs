//! A learner of one's own with the whole command line around it: an actor-critic written down from its loss, one step of
//! Adam a rollout. (The crate has this algorithm too, made of PPO's parts: `learner=a2c`.)
//!
//! ```sh
//! cargo run --release --example own_learner -- train lever-commnet --set learner=actor_critic --set learner.rollout=2
//! cargo run --release --example own_learner -- train spread-ippo --set learner=actor_critic --steps 1e6
//! ```

use std::process::ExitCode;

use synod::action::Action;
use synod::agent::{Mode, Policy, Sequence, masks_input, neighbours, state_inputs};
use synod::env::VecEnv;
use synod::optim::{Optimiser, Rule, STEP_INPUT, clip_by_global_norm};
use synod::registry::{Family, Kind, Member};
use synod::schemars::JsonSchema;
use synod::serde::{Deserialize, Serialize};
use synod::tensors::{Checkpoint, TensorData};
use synod::train::rollout::Rollout;
use synod::train::{self, LearnerSettings, Learners, Making, Report, Trainer};
use synod::{Graph, Program, Result, schema};

/// The settings, which are a table `[learner]` with `kind = "actor_critic"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "synod::serde", default, deny_unknown_fields)]
#[schemars(crate = "synod::schemars")]
struct ActorCriticConfig {
    /// Steps of a rollout.
    #[schemars(range(min = 1, max = 1 << 16))]
    rollout: usize,
    /// Adam's learning rate.
    #[schemars(range(min = 0.0, max = 1.0))]
    learning_rate: f32,
    /// Discount of a step.
    #[schemars(range(min = 0.0, max = 1.0))]
    gamma: f32,
    /// Weight of the entropy bonus.
    #[schemars(range(min = 0.0, max = 1e6))]
    entropy: f32,
}

impl Default for ActorCriticConfig {
    fn default() -> Self {
        ActorCriticConfig { rollout: 8, learning_rate: 1e-3, gamma: 0.99, entropy: 0.01 }
    }
}

impl Member for ActorCriticConfig {
    const NAME: &'static str = "actor_critic";
    const SUMMARY: &'static str = "an actor-critic in one file: one step a rollout";
}

impl LearnerSettings for ActorCriticConfig {
    fn check(&self, _worlds: usize) -> Result<()> {
        schema::check("learner", self)
    }

    fn trainer(&self, making: &Making<'_>, world: Box<dyn VecEnv>) -> Result<Box<dyn Trainer>> {
        let (device, config, seed) = (making.device, self.clone(), making.seed);
        let policy = self.policy(making, world.spec())?;
        let spec = world.spec().clone();
        let kind = spec.only_kind("this learner")?;
        let rollout = Rollout::new(device, policy.as_ref(), world, config.rollout, 1, seed)?;
        let optimiser = Optimiser::new(device, policy.parameters(), Rule::adam(1e-5))?;
        // The whole learning step is one graph: loss, gradient, optimiser.
        let graph = Graph::new();
        let lanes = [config.rollout, kind.count, spec.worlds];
        let weights = policy.parameters().weights(&graph);
        let sequence = Sequence::input(&graph, policy.as_ref(), lanes, &kind.observation, Mode::Learning);
        let state = state_inputs(&graph, policy.as_ref(), [kind.count, spec.worlds]);
        let key = sequence.key;
        let unrolled = policy.unroll(&graph, &weights, sequence, &state)?;
        let masks = masks_input(&graph, spec.masked, kind, &lanes);
        let chances = kind.actions.distribution(unrolled.parameters, masks, policy.bounded())?;
        let chosen = chances.log_probability(Action::input(&graph, &kind.actions, &lanes))?;
        let input = |name: &str| graph.input(name, lanes);
        let (advantages, share) = (input("advantages"), input("weights"));
        let gain = chosen * advantages + chances.entropy(key)? * config.entropy;
        let error = (unrolled.values - input("returns")).square() * 0.5;
        let loss = ((error - gain) * share).sum_all();
        let gradient = policy.parameters().gradient(loss, &weights)?;
        let (gradient, norm) = clip_by_global_norm(gradient, graph.scalar(0.5));
        optimiser.update(&graph, gradient);
        let learner = device.compile(&graph, &[loss, norm])?;
        Ok(Box::new(ActorCritic { config, policy, rollout, optimiser, learner, steps: 0 }))
    }
}

struct ActorCritic {
    config: ActorCriticConfig,
    policy: Box<dyn Policy>,
    rollout: Rollout,
    optimiser: Optimiser,
    learner: Program,
    steps: u64,
}

impl Trainer for ActorCritic {
    fn step(&mut self) -> Result<Report> {
        let experience = self.rollout.collect()?;
        let (advantages, returns) = experience.advantages(self.config.gamma, 1.0)?;
        let (time, agents, worlds) = (experience.time, experience.agents, experience.worlds);
        experience.fill(&mut self.learner, &(0..worlds).collect::<Vec<_>>())?;
        neighbours::fill(&mut self.learner, self.policy.as_ref(), [time, agents, worlds])?;
        let lived = experience.weights.iter().sum::<f32>().max(1.0);
        let weights: Vec<f32> = experience.weights.iter().map(|w| w / lived).collect();
        let numbers = self.optimiser.advance(self.config.learning_rate);
        let out = self.learner.run(&[
            ("advantages", &advantages),
            ("returns", &returns),
            ("weights", &weights),
            (STEP_INPUT, &numbers),
        ])?;
        let (loss, norm) = (f64::from(out.scalar(0)), f64::from(out.scalar(1)));
        self.steps += (time * agents * worlds) as u64;
        train::finite("loss", loss, self.steps)?;
        let mut values = train::episodes(&self.rollout.take_reports());
        values.extend([("loss".to_string(), loss), ("gradient_norm".to_string(), norm)]);
        Ok(Report { steps: self.steps, updates: self.optimiser.steps(), values })
    }

    fn save(&self) -> Result<Checkpoint> {
        let mut checkpoint = Checkpoint::new();
        checkpoint.set("architecture", self.policy.architecture());
        self.policy.parameters().save("agent", &mut checkpoint)?;
        self.optimiser.save(&mut checkpoint)?;
        self.rollout.save(&mut checkpoint)?;
        checkpoint.insert("trainer/steps", TensorData::u64(&[1], &[self.steps])?);
        Ok(checkpoint)
    }

    fn load(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        checkpoint.check_architecture(&self.policy.architecture())?;
        train::take_up(self, checkpoint, |trainer, from| {
            trainer.policy.parameters().load("agent", from)?;
            trainer.optimiser.load(from)?;
            trainer.rollout.load(from)?;
            trainer.steps = from.counter("trainer/steps")?;
            Ok(())
        })
    }
}

fn main() -> ExitCode {
    synod::command::main_with(|| Learners::registry().register(Kind::<Learners>::of::<ActorCriticConfig>()))
}
