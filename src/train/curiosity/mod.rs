//! Curiosity: rewards that an agent pays itself for what it could not foresee, as an add-on to any trainer. One file a
//! kind, behind `Module`; what they share (running statistics, normalisation, programs, checkpoints) is here.
//!
//! After every rollout the module values each step by what it knew before and then learns from the rollout. A trainer
//! that learns from the rollout itself (PPO) adds these bonuses to the rewards; one that learns from a replay (DQN) has
//! the module value what it draws afresh, so that nothing stays new for ever. Extrinsic rewards are never touched in
//! what is kept or reported.
//!
//! ```
//! use synod::preset::Settings;
//! let settings = Settings::with_items("deep-sea-dqn", &["learner.curiosity=rnd".to_string()])?;
//! let mut trainer = settings.trainer(&synod::Device::cpu())?;
//! let report = trainer.step()?;
//! assert!(report.steps > 0);
//! # Ok::<(), synod::Error>(())
//! ```

mod icm;
mod rnd;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::moments::Moments;
use super::reduce::{Descent, Loss, Reduce};
use super::rollout::Experience;
use super::{Checkpoint, TensorData};
use crate::Device;
use crate::action::distribution::ACTION_INPUTS;
use crate::action::{Action, Actions};
use crate::env::AgentKind;
use crate::error::{Error, Result};
use crate::graph::{Graph, Tensor};
use crate::nn::{Parameters, Weights};
use crate::optim::{Optimiser, Rule};
use crate::program::Program;

/// The settings of curiosity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum CuriosityConfig {
    /// None: agents are paid by their worlds only.
    None,
    /// The intrinsic curiosity module (Pathak et al. 2017).
    Icm(IcmConfig),
    /// Random network distillation (Burda et al. 2019).
    Rnd(RndConfig),
}

/// The settings of the intrinsic curiosity module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IcmConfig {
    /// Width of its networks.
    #[schemars(range(min = 1, max = 8192))]
    pub features: usize,
    /// Layers of the network that makes its features. With one they are linear: what was never seen keeps the features
    /// that it began with, whatever is learned elsewhere.
    #[schemars(range(min = 1, max = 16))]
    pub layers: usize,
    /// What the bonus is multiplied by (eta).
    #[schemars(range(min = 0.0, max = 1e6))]
    pub coefficient: f32,
    /// Divide the bonus by the running deviation of its discounted sums (Burda et al. 2019, section 2.4).
    pub normalise: bool,
    /// The forward model's share of the loss.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub beta: f32,
    /// Adam's learning rate.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub learning_rate: f32,
    /// Passes over each rollout.
    #[schemars(range(min = 1, max = 1 << 16))]
    pub epochs: usize,
}

/// The settings of random network distillation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RndConfig {
    /// Width of its networks.
    #[schemars(range(min = 1, max = 8192))]
    pub features: usize,
    /// What the bonus is multiplied by.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub coefficient: f32,
    /// Divide the bonus by the running deviation of its discounted sums (Burda et al. 2019, section 2.4).
    pub normalise: bool,
    /// Adam's learning rate.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub learning_rate: f32,
    /// Passes over each rollout.
    #[schemars(range(min = 1, max = 1 << 16))]
    pub epochs: usize,
}

impl Default for IcmConfig {
    fn default() -> Self {
        let RndConfig { features, coefficient, normalise, learning_rate, epochs } = RndConfig::default();
        IcmConfig { features, layers: 2, coefficient, normalise, beta: 0.2, learning_rate, epochs }
    }
}

impl Default for RndConfig {
    fn default() -> Self {
        RndConfig { features: 64, coefficient: 1.0, normalise: true, learning_rate: 1e-3, epochs: 1 }
    }
}

impl CuriosityConfig {
    /// What any kind has, as far as it is settings of the other.
    fn shared(&self) -> Option<RndConfig> {
        match self {
            CuriosityConfig::None => None,
            CuriosityConfig::Rnd(config) => Some(config.clone()),
            CuriosityConfig::Icm(config) => {
                let IcmConfig { features, coefficient, normalise, learning_rate, epochs, .. } = *config;
                Some(RndConfig { features, coefficient, normalise, learning_rate, epochs })
            }
        }
    }
}

/// Steps to be valued, `[time, agents, batch, ..]` each.
#[derive(Clone, Copy)]
struct Seen<'g> {
    now: Tensor<'g>,
    next: Tensor<'g>,
    actions: Action<'g>,
    /// The actions as numbers: choices one-hot, floats scaled to their bounds.
    acted: Tensor<'g>,
}

/// What a module makes of steps, `[time, agents, batch]` each.
struct Assessed<'g> {
    bonus: Tensor<'g>,
    loss: Tensor<'g>,
}

/// A kind of curiosity.
trait Module: Send {
    fn parameters(&self) -> &Parameters;

    /// Parameters that never change.
    fn fixed(&self) -> Option<&Parameters> {
        None
    }

    /// Whether it wants observations of mean 0 and deviation 1, held to +-5.
    fn whitens(&self) -> bool;

    fn assess<'g>(&self, weights: &Weights<'g>, seen: Seen<'g>) -> Result<Assessed<'g>>;
}

/// The norm that a module's gradient is clipped to.
const LARGEST_GRADIENT: f32 = 10.0;

/// What one rollout was worth.
pub(super) struct Absorbed {
    /// `[time, agents, worlds]`: the bonus of each step, normalised and with its coefficient; 0 where there is none.
    pub bonuses: Vec<f32>,
    /// The mean bonus, and the module's loss before it learned.
    pub mean: f64,
    pub loss: f64,
}

/// A curiosity at work in the worlds of one trainer.
pub(super) struct Curiosity {
    config: RndConfig,
    module: Box<dyn Module>,
    kind: AgentKind,
    rollout: Lanes,
    learn: Descent,
    /// Values what is drawn from a replay, for trainers that have one.
    assess: Option<Program>,
    gamma: f32,
    /// Of each number in an observation.
    observations: Vec<Moments>,
    /// Of discounted sums of bonuses, and where each lane's stands.
    returns: Moments,
    sums: Vec<f64>,
}

/// Sizes of the steps that a program values: `[time, agents, batch]`, the last of which has no next one.
type Lanes = [usize; 3];

impl Curiosity {
    /// For rollouts `[time, agents, worlds]` and, where given, drawn sequences of other sizes; none for
    /// [`CuriosityConfig::None`].
    pub fn new(
        device: &Device,
        config: &CuriosityConfig,
        kind: &AgentKind,
        rollout: Lanes,
        drawn: Option<Lanes>,
        gamma: f32,
        seed: u64,
    ) -> Result<Option<Self>> {
        let observation: usize = kind.observation.iter().product();
        let Some(shared) = config.shared() else { return Ok(None) };
        let module: Box<dyn Module> = match config {
            CuriosityConfig::None => return Ok(None),
            CuriosityConfig::Icm(icm) => {
                let (features, layers) = (icm.features, icm.layers);
                Box::new(icm::Icm::new(device, observation, &kind.actions, features, layers, icm.beta, seed)?)
            }
            CuriosityConfig::Rnd(rnd) => Box::new(rnd::Rnd::new(device, observation, rnd.features, seed)?),
        };
        if rollout[0] < 2 || drawn.is_some_and(|d| d[0] < 2) {
            return Err(Error::config("learner.curiosity.kind", "rollouts of at least 2 steps"));
        }
        let optimiser = Optimiser::new(device, module.parameters(), Rule::adam(1e-8))?;
        let learn = Descent::new(device, "curiosity", vec![optimiser], 1, |graph, optimisers| {
            learning(graph, module.as_ref(), kind, rollout, &optimisers[0])
        })?;
        let assess = drawn.map(|lanes| assessing(device, module.as_ref(), kind, lanes)).transpose()?;
        Ok(Some(Curiosity {
            config: shared,
            module,
            kind: kind.clone(),
            rollout,
            learn,
            assess,
            gamma,
            observations: vec![Moments::default(); observation],
            returns: Moments::default(),
            sums: vec![0.0; rollout[1] * rollout[2]],
        }))
    }

    /// Puts `reduce` before the module's steps.
    pub fn set_reduce(&mut self, device: &Device, reduce: Arc<dyn Reduce>) -> Result<()> {
        self.learn.set_reduce(device, reduce, |graph, optimisers| {
            learning(graph, self.module.as_ref(), &self.kind, self.rollout, &optimisers[0])
        })
    }

    /// Values the steps of a rollout, and learns from them.
    pub fn absorb(&mut self, experience: &Experience) -> Result<Absorbed> {
        let lanes = experience.agents * experience.worlds;
        let steps = (experience.time - 1) * lanes;
        let size = experience.observation;
        for (column, moments) in self.observations.iter_mut().enumerate() {
            moments.add(experience.observations.iter().skip(column).step_by(size).map(|x| f64::from(*x)));
        }
        self.statistics()?;
        // A step that terminated shows nothing after it.
        let valid: Vec<f32> = (0..steps)
            .map(|i| f32::from(u8::from(experience.weights[i] > 0.0 && !experience.terminated[i])))
            .collect();
        let count = valid.iter().sum::<f32>().max(1.0);
        let fill = |_: usize, learn: &mut Program| -> Result<()> {
            learn.input_mut("observations")?.copy_from_slice(&experience.observations);
            fill_actions(learn, &experience.actions);
            for (to, from) in learn.input_mut("valid")?.iter_mut().zip(&valid) {
                *to = from / count;
            }
            Ok(())
        };
        let mut bonuses = vec![0.0; experience.time * lanes];
        let mut loss = 0.0;
        for epoch in 0..self.config.epochs {
            let look = |learners: &[Program]| {
                if epoch == 0 {
                    let outputs = learners[0].outputs();
                    for i in 0..steps {
                        bonuses[i] = outputs.f32(1)[i] * valid[i];
                    }
                    loss = f64::from(outputs.scalar(2));
                }
                Ok(())
            };
            self.learn.step(self.config.learning_rate, LARGEST_GRADIENT, fill, look)?;
        }
        if self.config.normalise {
            for t in 0..experience.time - 1 {
                for (sum, bonus) in self.sums.iter_mut().zip(&bonuses[t * lanes..]) {
                    *sum = *sum * f64::from(self.gamma) + f64::from(*bonus);
                }
                self.returns.add(self.sums.iter().copied());
            }
        }
        let scale = self.scale();
        bonuses.iter_mut().for_each(|b| *b *= scale);
        let mean = bonuses.iter().map(|b| f64::from(*b)).sum::<f64>() / f64::from(count);
        Ok(Absorbed { bonuses, mean, loss })
    }

    fn scale(&self) -> f32 {
        match self.config.normalise {
            true => (f64::from(self.config.coefficient) / (self.returns.deviation() + 1e-8)) as f32,
            false => self.config.coefficient,
        }
    }

    /// The bonuses of drawn steps, `[time - 1, agents, batch]`. `fill` writes observations and actions.
    pub fn assess(&mut self, fill: impl FnOnce(&mut Program) -> Result<()>) -> Result<Vec<f32>> {
        let scale = self.scale();
        let Some(program) = &mut self.assess else { return Ok(Vec::new()) };
        fill(program)?;
        Ok(program.run(&[])?.f32(0).iter().map(|b| b * scale).collect())
    }

    /// Hands the statistics of observations to the programs.
    fn statistics(&mut self) -> Result<()> {
        if !self.module.whitens() {
            return Ok(());
        }
        for program in self.learn.shards_mut().iter_mut().chain(&mut self.assess) {
            for (to, from) in program.input_mut("mean")?.iter_mut().zip(&self.observations) {
                *to = from.mean as f32;
            }
            for (to, from) in program.input_mut("scale")?.iter_mut().zip(&self.observations) {
                *to = (1.0 / (from.deviation() + 1e-3)) as f32;
            }
        }
        Ok(())
    }

    /// Writes everything into a checkpoint.
    pub fn save(&self, checkpoint: &mut Checkpoint) -> Result<()> {
        let mut own = Checkpoint::new();
        self.module.parameters().save("module", &mut own)?;
        if let Some(fixed) = self.module.fixed() {
            fixed.save("fixed", &mut own)?;
        }
        self.learn.save(&mut own)?;
        let all = self.observations.iter().chain([&self.returns]);
        let moments: Vec<f64> = all.flat_map(Moments::numbers).collect();
        own.insert("moments", TensorData::f64(&[moments.len()], &moments)?);
        own.insert("sums", TensorData::f64(&[self.sums.len()], &self.sums)?);
        checkpoint.nest("curiosity", own);
        Ok(())
    }

    /// Takes up what [`Curiosity::save`] wrote.
    pub fn load(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let own = checkpoint.nested("curiosity");
        let moments = own.tensor("moments")?.to_f64()?;
        let sums = own.tensor("sums")?.to_f64()?;
        if moments.len() != 3 * (self.observations.len() + 1) || sums.len() != self.sums.len() {
            return Err(Error::Usage("the checkpoint's `curiosity/moments` are of other worlds".into()));
        }
        self.module.parameters().load("module", &own)?;
        if let Some(fixed) = self.module.fixed() {
            fixed.load("fixed", &own)?;
        }
        self.learn.load(&own)?;
        let (observations, returns) = moments.split_at(3 * self.observations.len());
        self.observations = observations.chunks_exact(3).map(Moments::of).collect::<Result<_>>()?;
        self.returns = Moments::of(returns)?;
        self.sums = sums;
        self.statistics()
    }
}

/// What the curiosity of a run's checkpoint would pay for the steps of one episode, `[steps, agents]`: with what it knew
/// when the checkpoint was written, normalised and with its coefficient, as a trainer adds it to rewards. None where the
/// run has no curiosity.
///
/// `worlds` is the number of worlds that it was trained in; `observations` are `[steps + 1, agents, observation]`, those
/// after the last step too; `actions` `[steps, agents, ..]`.
///
/// # Errors
/// Settings out of range, a checkpoint of other worlds, arrays that do not fit together, or what the device reports.
pub fn episode_bonuses(
    device: &Device,
    config: &CuriosityConfig,
    kind: &AgentKind,
    worlds: usize,
    checkpoint: &Checkpoint,
    observations: &[f32],
    actions: &Actions,
) -> Result<Option<Vec<f32>>> {
    let (agents, size) = (kind.count.max(1), kind.observation.iter().product::<usize>());
    let steps = (observations.len() / (agents * size).max(1)).saturating_sub(1);
    if steps == 0 || observations.len() != (steps + 1) * agents * size {
        return Err(Error::Usage(format!(
            "{} numbers of observations are not those of an episode of {agents} agents",
            observations.len()
        )));
    }
    let lanes = steps * agents;
    actions.expect("an episode", lanes * kind.actions.integers(), lanes * kind.actions.floats(), lanes)?;
    actions.check_values(&kind.actions)?;
    let lanes = [steps + 1, agents, 1];
    let Some(mut curiosity) = Curiosity::new(device, config, kind, [2, agents, worlds], Some(lanes), 0.0, 0)?
    else {
        return Ok(None);
    };
    curiosity.load(checkpoint)?;
    let bonuses = curiosity.assess(|program| {
        program.input_mut("observations")?.copy_from_slice(observations);
        fill_actions(program, actions);
        Ok(())
    })?;
    Ok(Some(bonuses))
}

/// Gives a program actions, as far as it has a use for them. Its last step, which has no next one, may lack them.
fn fill_actions(program: &mut Program, actions: &Actions) {
    let [discrete, continuous] = ACTION_INPUTS;
    if let Some(input) = program.find_input_u32(discrete) {
        input[..actions.discrete.len()].copy_from_slice(&actions.discrete);
    }
    if let Some(input) = program.find_input(continuous) {
        input[..actions.continuous.len()].copy_from_slice(&actions.continuous);
    }
}

/// A program that values steps `[time, agents, batch]`. Output: the bonuses `[time - 1, agents, batch]`.
fn assessing(device: &Device, module: &dyn Module, kind: &AgentKind, lanes: Lanes) -> Result<Program> {
    let graph = Graph::new();
    let weights = module.parameters().weights(&graph);
    let assessed = assess(&weights, module, kind, lanes)?;
    device.compile(&graph, &[assessed.bonus])
}

/// The loss of the steps of a rollout, and its gradient. Outputs: the bonuses and the loss.
fn learning<'g>(
    graph: &'g Graph,
    module: &dyn Module,
    kind: &AgentKind,
    lanes: Lanes,
    optimiser: &Optimiser,
) -> Result<Loss<'g>> {
    let weights = module.parameters().weights(graph);
    let assessed = assess(&weights, module, kind, lanes)?;
    let [time, agents, batch] = lanes;
    let loss = (assessed.loss * graph.input("valid", [time - 1, agents, batch])).sum_all();
    let gradient = optimiser.gradient(loss, &weights)?;
    Ok(Loss { gradient, outputs: vec![assessed.bonus, loss] })
}

/// What the module makes of steps.
fn assess<'g>(
    weights: &Weights<'g>,
    module: &dyn Module,
    kind: &AgentKind,
    [time, agents, batch]: Lanes,
) -> Result<Assessed<'g>> {
    let graph = weights.graph();
    let size: usize = kind.observation.iter().product();
    let mut observations = graph.input("observations", [time, agents, batch, size]);
    if module.whitens() {
        observations = observations - graph.input("mean", [size]);
        observations = (observations * graph.input("scale", [size])).clamp(-5.0, 5.0);
    }
    let Action { discrete, continuous } = Action::input(graph, &kind.actions, &[time, agents, batch]);
    let actions = Action {
        discrete: discrete.map(|x| x.slice(0, 0, time - 1)),
        continuous: continuous.map(|x| x.slice(0, 0, time - 1)),
    };
    let seen = Seen {
        now: observations.slice(0, 0, time - 1),
        next: observations.slice(0, 1, time - 1),
        actions,
        acted: actions.features(&kind.actions)?,
    };
    module.assess(weights, seen)
}
