//! An agent of two levels (h-DQN, Kulkarni et al. 2016, arXiv 1604.06057): a manager sees what the agent sees and sets
//! a goal, a worker sees that and the goal and acts. A goal stays until it is reached, until its time is over, or until
//! the episode ends: it is an option over actions (Sutton et al. 1999).
//!
//! The agent as it acts is one [`Policy`], its goal a part of its recurrent state. The two levels learn apart, each
//! with parameters of its own, by `train::hierarchy`.
//!
//! ```
//! use synod::preset::Settings;
//! let items = ["learner.worker.warmup=8", "learner.manager.warmup=8"].map(String::from);
//! let settings = Settings::with_items("chain-hierarchical", &items)?;
//! let policy = settings.policy(&synod::Device::cpu())?;
//! println!("{}", policy.architecture());
//! # Ok::<(), synod::Error>(())
//! ```

use super::core::NoCore;
use super::team::{Critic, Team, TeamConfig};
use super::{Policy, Sequence, StatePart, Unrolled};
use crate::Device;
use crate::action::allowed;
use crate::comm::{Silence, keys};
use crate::env::goals::Goals;
use crate::env::{AgentKind, Spec};
use crate::error::{Error, Result, within};
use crate::graph::{Graph, Tensor};
use crate::nn::initial::Initial;
use crate::nn::{Builder, Parameters, Weights};
use crate::registry::Member;

/// Manager and worker, and when a goal is over.
pub struct Hierarchy {
    manager: Team,
    worker: Team,
    goals: Goals,
    every: usize,
    /// The parameters of both, one after the other. A copy: the levels keep their own.
    parameters: Parameters,
}

impl Hierarchy {
    /// Networks of the same parts for both levels. A goal is set for at most `every` steps.
    ///
    /// # Errors
    /// Agents of several kinds, settings out of range, a critic of its own, a recurrent core or communication (a manager
    /// decides at times of its own, so that there is no step at which all agents could talk), or no room on the device.
    pub fn new(
        device: &Device,
        config: &TeamConfig,
        spec: &Spec,
        goals: Goals,
        every: usize,
        separate: bool,
        seed: u64,
    ) -> Result<Self> {
        if config.core.name() != NoCore::NAME {
            return Err(Error::config(
                "agent.core.kind",
                "`none`: an agent of two levels has no other memory",
            ));
        }
        if config.communication.name() != Silence::NAME {
            return Err(Error::config(
                "agent.communication.kind",
                "`none`: agents of two levels do not talk",
            ));
        }
        if config.critic != Critic::Shared {
            return Err(Error::config("agent.critic", "shared: Q-learning has no critic"));
        }
        within("learner.every", every, 1, 1 << 20)?;
        let [manager, worker] = levels(spec, &goals)?;
        let manager = Team::new(device, config, &manager, separate, seed)?;
        let worker = Team::new(device, config, &worker, separate, seed ^ 0x776f_726b)?;
        let mut builder = Builder::new(seed);
        for (name, level) in [("manager", &manager), ("worker", &worker)] {
            builder.within(name, |b| {
                for (name, shape) in level.parameters().iter() {
                    b.parameter(name, shape.clone(), Initial::Zeros);
                }
            });
        }
        let parameters = builder.build(device)?;
        let hierarchy = Hierarchy { manager, worker, goals, every, parameters };
        hierarchy.gather()?;
        Ok(hierarchy)
    }

    /// Takes the parameters that the levels have now into those that it acts with.
    ///
    /// # Errors
    /// The device is lost.
    pub fn gather(&self) -> Result<()> {
        let mut values = self.manager.parameters().flat().read()?;
        values.extend(self.worker.parameters().flat().read()?);
        self.parameters.flat().write(&values)
    }

    /// The level that sets goals: its actions are goals.
    pub fn manager(&self) -> &Team {
        &self.manager
    }

    /// The level that acts: its observation is what is seen, then the goal as a row with a one.
    pub fn worker(&self) -> &Team {
        &self.worker
    }

    /// The goals.
    pub fn goals(&self) -> &Goals {
        &self.goals
    }

    /// The most steps for which a goal is set.
    pub fn every(&self) -> usize {
        self.every
    }

    /// 1 for every goal that holds, `[lanes.., goals]`, from observations `[lanes.., size]`.
    fn held<'g>(&self, observations: Tensor<'g>) -> Tensor<'g> {
        let graph = observations.graph();
        let shape = observations.shape();
        let (lanes, size) = (&shape[..shape.len() - 1], shape[shape.len() - 1]);
        let lists: Vec<(usize, &Vec<usize>)> = self
            .goals
            .all()
            .iter()
            .enumerate()
            .flat_map(|(i, g)| g.any_of.iter().map(move |l| (i, l)))
            .collect();
        let count = self.goals.count();
        if lists.is_empty() {
            return graph.full([lanes, &[count]].concat(), 0.0);
        }
        // How many of a list's columns are 1, and how many there are; then which goals have a list that is whole.
        let mut columns = vec![0.0; size * lists.len()];
        let mut owners = vec![0.0; lists.len() * count];
        let mut needed = vec![0.0; lists.len()];
        for (l, (goal, list)) in lists.iter().enumerate() {
            owners[l * count + goal] = 1.0;
            for column in *list {
                let place = &mut columns[column * lists.len() + l];
                needed[l] += 1.0 - *place;
                *place = 1.0;
            }
        }
        let half = graph.scalar(0.5);
        let seen = observations.greater(half).matmul(graph.constant([size, lists.len()], &columns));
        let whole = seen.greater(graph.constant([lists.len()], &needed) - 0.5);
        whole.matmul(graph.constant([lists.len(), count], &owners)).greater(half)
    }
}

/// The sizes of a world as the manager's agents see it, and as the worker's do.
pub(crate) fn levels(spec: &Spec, goals: &Goals) -> Result<[Spec; 2]> {
    let kind = spec.only_kind("a hierarchy")?;
    let options = kind.actions.one_choice("a hierarchy")?;
    let size = kind.observation.iter().product::<usize>();
    let level = |name: &str, observation, actions, masked| {
        let name = format!("{}'s {name}", kind.name);
        let kind = AgentKind::discrete(&name, kind.count, observation, actions);
        Spec { kinds: vec![kind], masked, ..spec.clone() }
    };
    // Goals are closed where they hold.
    Ok([
        level("manager", size, goals.count(), goals.have_meaning()),
        level("worker", size + goals.count(), options, spec.masked),
    ])
}

impl Policy for Hierarchy {
    fn architecture(&self) -> String {
        format!(
            "hierarchy every={} manager=({}) worker=({}) goals={:?}",
            self.every,
            self.manager.architecture(),
            self.worker.architecture(),
            self.goals.all().iter().map(|goal| &goal.name).collect::<Vec<_>>()
        )
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn state(&self) -> Vec<StatePart> {
        vec![
            StatePart { name: "goal".into(), shape: vec![self.goals.count()] },
            StatePart { name: "clock".into(), shape: vec![1] },
        ]
    }

    fn unroll<'g>(
        &self,
        graph: &'g Graph,
        weights: &Weights<'g>,
        sequence: Sequence<'g>,
        state: &[Tensor<'g>],
    ) -> Result<Unrolled<'g>> {
        let shape = sequence.observations.shape();
        let [goal, clock] = state else {
            return Err(Error::Graph(format!("a hierarchy has 2 parts of state, not {}", state.len())));
        };
        if shape.len() < 3 || shape[0] == 0 {
            return Err(Error::Graph(format!(
                "a hierarchy takes observations [time, agents, worlds, ..], not {shape:?}"
            )));
        }
        let (time, agents, worlds) = (shape[0], shape[1], shape[2]);
        let size = shape[3..].iter().product::<usize>();
        let count = self.goals.count();
        let split = self.manager.parameters().iter().count();
        let own =
            |level: &Team, tensors: &[Tensor<'g>]| level.parameters().weights(graph).with(tensors.to_vec());
        let tensors = weights.tensors();
        let (above, below) = tensors.split_at(split.min(tensors.len()));
        let (above, below) = (own(&self.manager, above)?, own(&self.worker, below)?);
        let lanes = |features: usize| [1, agents, worlds, features];
        let one = graph.scalar(1.0);
        let (mut goal, mut clock) = (goal.reshape(lanes(count)), clock.reshape(lanes(1)));
        let (mut parameters, mut values) = (Vec::new(), Vec::new());
        for t in 0..time {
            let now = sequence.steps(t, 1);
            let seen = now.observations.reshape(lanes(size));
            let held = self.held(seen);
            // Over: an episode begins, the time is up, or the goal holds.
            let fresh = now.ages.equal(graph.scalar(0.0)).reshape(lanes(1));
            let late = clock.greater_equal(graph.scalar(self.every as f32));
            let reached = (goal * held).sum(&[-1]).reshape(lanes(1));
            let over = fresh.maximum(late).maximum(reached).greater(graph.scalar(0.5));
            let all = held.min(&[-1]).reshape(lanes(1));
            let open = (one - held).maximum(all.broadcast_to(lanes(count)));
            let keys = keys(now.key, 2);
            let key = |i: usize| keys[i];
            let level = Sequence { observations: seen, key: key(0), ..now };
            let choice = self.manager.unroll(graph, &above, level, &[])?.parameters;
            let chosen = allowed(choice, Some(open)).argmax().one_hot(count);
            goal = over.select(chosen, goal);
            clock = over.select(graph.scalar(0.0), clock) + 1.0;
            let level = Sequence { observations: graph.concat(&[seen, goal], 3), key: key(1), ..now };
            let acted = self.worker.unroll(graph, &below, level, &[])?;
            parameters.push(acted.parameters);
            values.push(acted.values);
        }
        let state = vec![goal.reshape([agents, worlds, count]), clock.reshape([agents, worlds, 1])];
        Ok(Unrolled {
            parameters: graph.concat(&parameters, 0),
            values: graph.concat(&values, 0),
            state,
            attention: None,
            price: None,
        })
    }
}
