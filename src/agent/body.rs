//! What one kind of agent is made of: encoder, core, heads, critic. How agents talk in between is no part of it.

use super::core::{Core, Remembered};
use super::encoder::Encoder;
use super::team::{Critic, TeamConfig};
use super::{Sequence, StatePart};
use crate::action::Bounded;
use crate::env::Spec;
use crate::error::{Error, Result};
use crate::graph::{Graph, Tensor};
use crate::nn::initial::Initial;
use crate::nn::{Builder, Linear, Parameter, Weights};

/// What parameters are called that observations are shifted and scaled by.
pub(super) const SEEN_MEAN: &str = "seen/mean";
/// See [`SEEN_MEAN`].
pub(super) const SEEN_SCALE: &str = "seen/scale";

/// The most deviations from the mean that a normalised observation shows.
const FARTHEST: f32 = 10.0;

/// An encoder and a recurrent core.
pub(super) struct Trunk {
    encoder: Encoder,
    core: Option<Box<dyn Core>>,
}

impl Trunk {
    /// For observations of that shape, joined by so many `more` numbers.
    fn new(builder: &mut Builder, config: &TeamConfig, observation: &[usize], more: usize) -> Trunk {
        let features = config.features;
        let encoder = builder.within("encoder", |b| {
            Encoder::new(b, (config.encoder, config.gains.encoder), observation, more, features)
        });
        let core = builder.within("core", |b| config.core.core(b, features));
        Trunk { encoder, core }
    }

    /// The core over features `[time, agents, worlds, features]`, where there is one.
    fn recur<'g>(
        &self,
        weights: &Weights<'g>,
        features: Tensor<'g>,
        sequence: Sequence<'g>,
        state: &[Tensor<'g>],
    ) -> Remembered<'g> {
        match &self.core {
            Some(core) => core.run(weights, features, sequence, state),
            None => Remembered { features, state: Vec::new(), attention: None },
        }
    }

    fn state(&self) -> Vec<StatePart> {
        self.core.as_ref().map_or(Vec::new(), |core| core.state())
    }
}

/// The network of one kind of agent.
pub(super) struct Body {
    /// Its parts.
    pub config: TeamConfig,
    /// The shape of what it sees, how many agents it is for, and whether each has parameters of its own.
    pub observation: Vec<usize>,
    pub agents: usize,
    pub separate: bool,
    /// In words, what it can do.
    pub actions: String,
    trunk: Trunk,
    /// The critic's, where it has one of its own.
    judge: Option<Trunk>,
    /// Numbers of the world's state that a central critic sees.
    world_state: usize,
    /// What observations are shifted and scaled by, of their shape.
    seen: Option<[Parameter; 2]>,
    actor: Linear,
    /// Logarithms of the actions' deviations, where they are no head's.
    deviation: Option<Parameter>,
    dueling: Option<Linear>,
    critic: Linear,
}

/// What heads make of features.
pub(super) struct Concluded<'g> {
    /// `[time, agents, worlds, parameters]`.
    pub parameters: Tensor<'g>,
    /// `[time, agents, worlds]`.
    pub values: Tensor<'g>,
    /// The critic's own state after the last step.
    pub state: Vec<Tensor<'g>>,
}

impl Body {
    /// Declares the parameters for the agents of such worlds, and in the middle of them whatever `between` declares. The
    /// settings have been checked.
    ///
    /// # Errors
    /// Several kinds of agent, or a critic of a state that is not known.
    pub fn new<T>(
        builder: &mut Builder,
        config: &TeamConfig,
        spec: &Spec,
        separate: bool,
        between: impl FnOnce(&mut Builder) -> T,
    ) -> Result<(Self, T)> {
        let kind = spec.only_kind("a team")?;
        if config.critic == Critic::Central && spec.state == 0 {
            let message = "own or shared: the state of this world is not known";
            return Err(Error::config("agent.critic", message));
        }
        let features = config.features;
        let number = if config.identity { kind.count } else { 0 };
        let trunk = Trunk::new(builder, config, &kind.observation, number);
        let made = between(builder);
        let gain = config.gains.actor;
        let floats = kind.actions.floats();
        let own = config.own_deviation;
        let numbers = if own { floats } else { kind.actions.parameters() };
        let actor = Linear::new(builder, "actor", features, numbers, gain);
        let deviation = own.then(|| builder.parameter("deviation", [floats], Initial::Zeros));
        let dueling = config.dueling.then(|| Linear::new(builder, "dueling", features, 1, gain));
        let critic = Linear::new(builder, "critic", features, 1, 1.0);
        let viewed = match config.critic {
            Critic::Shared => None,
            Critic::Own => Some(&kind.observation[..]),
            Critic::Central => Some(&[spec.state][..]),
        };
        let seen = config.normalise.then(|| {
            let numbers = [(SEEN_MEAN, 0.0), (SEEN_SCALE, 1.0)];
            builder.common(|b| {
                numbers
                    .map(|(name, start)| b.parameter(name, &kind.observation[..], Initial::Constant(start)))
            })
        });
        let judge = viewed.map(|seen| builder.within("judge", |b| Trunk::new(b, config, seen, number)));
        let body = Body {
            config: config.clone(),
            observation: kind.observation.clone(),
            agents: kind.count,
            separate,
            actions: kind.actions.to_string(),
            trunk,
            judge,
            world_state: spec.state,
            seen,
            actor,
            deviation,
            dueling,
            critic,
        };
        Ok((body, made))
    }

    /// Its recurrent state: the core's, then that of the critic's own core.
    pub fn state(&self) -> Vec<StatePart> {
        let mut state = self.trunk.state();
        let judge = self.judge.iter().flat_map(Trunk::state);
        state.extend(judge.map(|part| StatePart { name: format!("critic {}", part.name), ..part }));
        state
    }

    /// How many parts of its state are the core's.
    pub fn own_state(&self) -> usize {
        self.trunk.state().len()
    }

    /// Numbers of the world's state that its critic sees.
    pub fn world_state(&self) -> Option<usize> {
        (self.config.critic == Critic::Central).then_some(self.world_state)
    }

    /// Whether it is bound to its number of agents.
    pub fn counts_agents(&self) -> bool {
        self.config.identity || self.separate
    }

    /// The number of each agent as a row with a one, `[time, agents, worlds, agents]`, where that is wanted.
    fn identities<'g>(&self, graph: &'g Graph, [time, worlds]: [usize; 2]) -> Option<Tensor<'g>> {
        let agents = self.agents;
        self.config.identity.then(|| {
            let mut identity = vec![0.0; agents * agents];
            (0..agents).for_each(|i| identity[i * agents + i] = 1.0);
            let identity = graph.constant([1, agents, 1, agents], &identity);
            identity.broadcast_to([time, agents, worlds, agents])
        })
    }

    /// The features of what is seen, and the numbers of the agents.
    pub fn encode<'g>(
        &self,
        weights: &Weights<'g>,
        sequence: &Sequence<'g>,
    ) -> (Tensor<'g>, Option<Tensor<'g>>) {
        let shape = sequence.observations.shape();
        let identities = self.identities(weights.graph(), [shape[0], shape[2]]);
        (
            self.trunk.encoder.forward(weights, self.normal(weights, sequence.observations), identities),
            identities,
        )
    }

    /// Observations in units of what was seen in training, where that is wanted.
    fn normal<'g>(&self, weights: &Weights<'g>, observations: Tensor<'g>) -> Tensor<'g> {
        let Some(seen) = self.seen else { return observations };
        // Statistics are not learned by gradients.
        let [mean, scale] = seen.map(|number| weights.get_for(number, observations.shape().len()).detach());
        ((observations - mean) * scale).clamp(-FARTHEST, FARTHEST)
    }

    /// What its core makes of features.
    pub fn recur<'g>(
        &self,
        weights: &Weights<'g>,
        features: Tensor<'g>,
        sequence: Sequence<'g>,
        state: &[Tensor<'g>],
    ) -> Remembered<'g> {
        self.trunk.recur(weights, features, sequence, state)
    }

    /// What its heads, and its critic with the state that is the critic's, make of the last features.
    pub fn conclude<'g>(
        &self,
        weights: &Weights<'g>,
        features: Tensor<'g>,
        identities: Option<Tensor<'g>>,
        sequence: Sequence<'g>,
        state: &[Tensor<'g>],
    ) -> Result<Concluded<'g>> {
        let shape = features.shape();
        let mut parameters = self.actor.forward(weights, features);
        if let Some(deviation) = self.deviation {
            let own = weights.get_for(deviation, shape.len());
            let wide = own.broadcast_to(parameters.shape());
            parameters = weights.graph().concat(&[parameters, wide], -1);
        }
        if let Some(value) = &self.dueling {
            let lanes = [&shape[..3], &[1]].concat();
            let mean = parameters.mean(&[-1]).reshape(lanes);
            parameters = value.forward(weights, features) + parameters - mean;
        }
        let (judged, state) = match &self.judge {
            None => (features, Vec::new()),
            Some(trunk) => {
                let judged = self.judge(weights, trunk, sequence, identities, state)?;
                (judged.features, judged.state)
            }
        };
        let values = self.critic.forward(weights, judged).reshape(&shape[..3]);
        Ok(Concluded { parameters, values, state })
    }

    /// What the critic's own network makes of its view, and its state after the last step.
    fn judge<'g>(
        &self,
        weights: &Weights<'g>,
        trunk: &Trunk,
        sequence: Sequence<'g>,
        identities: Option<Tensor<'g>>,
        state: &[Tensor<'g>],
    ) -> Result<Remembered<'g>> {
        let view = match (self.config.critic, sequence.world) {
            (Critic::Central, Some(world)) => {
                let shape = sequence.present.shape();
                let size = world.shape()[2];
                let all = world.reshape([shape[0], 1, shape[2], size]);
                all.broadcast_to([shape[0], shape[1], shape[2], size])
            }
            (Critic::Central, None) => {
                return Err(Error::Graph("a central critic needs the state of the world".into()));
            }
            _ => self.normal(weights, sequence.observations),
        };
        let x = trunk.encoder.forward(weights, view, identities);
        Ok(trunk.recur(weights, x, sequence, state))
    }

    /// In words for checkpoints.
    pub fn architecture(&self) -> String {
        let c = &self.config;
        format!(
            "team features={} encoder={} core={} communication={} rounds={} residual={} talk_first={} dueling={} \
             critic={} identity={} separate={} observation={:?} actions={}{}{}{}",
            c.features,
            c.encoder.describe(),
            described(c.core.name(), c.core.describe()),
            described(c.communication.name(), c.communication.describe()),
            c.rounds,
            c.residual,
            c.talk_first,
            c.dueling,
            c.critic.name(),
            if c.identity { self.agents } else { 0 },
            if self.separate { self.agents } else { 0 },
            self.observation,
            self.actions,
            if c.bounded == Bounded::Tanh { " bounded=tanh" } else { "" },
            if c.normalise { " normalise" } else { "" },
            if c.own_deviation { " own_deviation" } else { "" }
        )
    }
}

/// A name with what belongs to it.
pub(super) fn described(name: &str, how: String) -> String {
    match how.is_empty() {
        true => name.to_string(),
        false => format!("{name}({how})"),
    }
}
