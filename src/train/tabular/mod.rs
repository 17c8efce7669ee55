//! Tabular learning: a number for every action in every observation, for worlds that show finitely many of them.
//!
//! Which of the classic rules it is, is a setting ([`Rule`]). Each run has tables of its own and runs stand side by
//! side ([`TableConfig::seeds`](crate::agent::table::TableConfig::seeds)): a thousand seeds are one training. What
//! acts is
//! `agent::table`; how a run chooses and learns stands in `lane`, games between two are solved in `games`.
//!
//! Agents talk in tables too: in a [`spoken`](mod@crate::env::spoken) world the word is a part of the action, and what
//! was heard a part of the observation that is looked up, so that what to say is learned as what to do.
//!
//! ```
//! use synod::preset::Settings;
//! let mut trainer = Settings::preset("climbing-hysteretic")?.trainer(&synod::Device::cpu())?;
//! let report = trainer.step()?;
//! assert_eq!(report.updates, report.steps); // every agent's step is one of its table
//! # Ok::<(), synod::Error>(())
//! ```

mod config;
mod games;
mod lane;

pub use config::{Next, Rule, TabularConfig};

use super::config::Making;
use super::{Checkpoint, Report, TensorData, Trainer, episodes, finite, take_up};
use crate::action::Actions;
use crate::agent::mixed_key;
use crate::agent::table::{KEY, TableSizes, row};
use crate::cpu::{Parallel, for_each_chunk_mut};
use crate::env::{Buffers, VecEnv};
use crate::error::{Error, Result};
use crate::nn::initial::Stream;
use lane::{Acted, After, Lane, NONE, Rates, Sizes};

/// Steps of agents that one task takes; fewer would cost more to hand out than to take.
const TASK: usize = 256;

/// What stands for the row of an observation that was not met yet.
const UNKNOWN: u32 = u32::MAX;

/// Tables that learn.
pub struct Tabular {
    config: TabularConfig,
    environment: Box<dyn VecEnv>,
    buffers: Buffers,
    actions: Actions,
    /// What the worlds showed before a step, where a state without a solution has to be named or options are closed.
    before: Buffers,
    architecture: String,
    masked: bool,
    table: TableSizes,
    sizes: Sizes,
    worlds: usize,
    observation: usize,
    /// `[states, 2]`: the rows of observations, the same in all tables.
    keys: Vec<f32>,
    known: usize,
    /// `[worlds, agents]`: the rows of what agents see.
    states: Vec<u32>,
    lanes: Vec<Lane>,
    budget: u64,
    seed: u64,
    steps: u64,
    updates: u64,
    /// Calls of the worlds, which is also the counter of random numbers.
    time: u64,
}

impl Tabular {
    /// Tables for worlds that show one kind of agent, as the settings of agent and learner say.
    ///
    /// # Errors
    /// Settings out of range or that do not go together, or more cells than there is room for.
    pub fn new(making: &Making<'_>, mut environment: Box<dyn VecEnv>, config: TabularConfig) -> Result<Self> {
        let spec = environment.spec().clone();
        let tables = config.tables(making, &spec)?;
        let kind = spec.only_kind("tabular learning")?;
        let (agents, worlds) = (kind.count, spec.worlds);
        let table = TableSizes::of(tables, &spec, making.separate_parameters)?;
        if !worlds.is_multiple_of(table.seeds) {
            let message = format!("a divisor of the number of worlds ({worlds}), got {}", table.seeds);
            return Err(Error::config("agent.seeds", message));
        }
        let (options, joint) = (table.options, config.rule.is_joint());
        let others = if joint { options.checked_pow(agents as u32 - 1) } else { Some(1) };
        table.check("numbers", others.and_then(|n| n.checked_mul(options)).unwrap_or(usize::MAX))?;
        let sizes = Sizes {
            agents,
            tables: table.tables,
            states: table.states,
            options,
            others: others.unwrap_or(1),
        };
        let policy = making.policy(&spec)?;
        let mut buffers = Buffers::new(&spec);
        environment.reset(&vec![true; worlds], &mut buffers)?;
        let each = worlds / table.seeds;
        let mut tabular = Tabular {
            lanes: vec![Lane::new(&config, &sizes, each); table.seeds],
            config,
            environment,
            before: buffers.clone(),
            buffers,
            actions: spec.actions(),
            architecture: policy.architecture(),
            masked: spec.masked,
            table,
            sizes,
            worlds,
            observation: kind.observation.iter().product(),
            keys: vec![0.0; table.states * KEY],
            known: 0,
            states: vec![0; worlds * agents],
            budget: making.steps,
            seed: making.seed,
            steps: 0,
            updates: 0,
            time: 0,
        };
        if making.inherited.is_some() {
            let mut from = Checkpoint::new();
            policy.parameters().save("agent", &mut from)?;
            tabular.take_tables(&from)?;
        }
        tabular.begin(&vec![true; worlds])?;
        Ok(tabular)
    }

    /// Takes up what acts.
    fn take_tables(&mut self, from: &Checkpoint) -> Result<()> {
        if self.has_more_tables() {
            let name = self.config.rule.name();
            let message = format!("`none`: what `{name}` learned is more than the table that acts");
            return Err(Error::config("init_from", message));
        }
        self.take_keys(from)?;
        let values = from.tensor("agent/values")?.to_f32()?;
        let each = values.len() / self.lanes.len();
        for (lane, values) in self.lanes.iter_mut().zip(values.chunks_exact(each)) {
            lane.values.copy_from_slice(values);
        }
        Ok(())
    }

    fn take_keys(&mut self, from: &Checkpoint) -> Result<()> {
        self.keys = from.tensor("agent/keys")?.to_f32()?;
        self.known = self.keys.chunks_exact(KEY).filter(|key| key[0] != 0.0).count();
        Ok(())
    }

    /// Whether values are kept apart from the table that acts.
    fn has_more_tables(&self) -> bool {
        self.config.rule.is_joint() || self.config.rule.draws()
    }

    /// Finds the rows of what agents see that `wanted` says of (worlds and agents as one number).
    fn look(&mut self, wanted: impl Fn(usize) -> bool + Sync) -> Result<()> {
        let (keys, seen, size) = (&self.keys, &self.buffers.observations, self.observation);
        let see = |lane: usize| &seen[lane * size..][..size];
        for_each_chunk_mut(Parallel::Pool, &mut self.states, 1, 4 * TASK, |range, states| {
            for (lane, state) in range.zip(states).filter(|(lane, _)| wanted(*lane)) {
                *state = row(keys, see(lane)).map_or(UNKNOWN, |state| state as u32);
            }
        });
        // New rows are given out in the order of the worlds, whatever the threads did.
        for lane in 0..self.states.len() {
            if self.states[lane] != UNKNOWN {
                continue;
            }
            self.states[lane] = match row(&self.keys, see(lane)) {
                Ok(state) => state as u32,
                Err((key, Some(free))) => {
                    self.keys[free * KEY..][..KEY].copy_from_slice(&key);
                    self.known += 1;
                    free as u32
                }
                Err((_, None)) => {
                    let message = format!("more: this world shows more than {} observations", self.known);
                    return Err(Error::config("agent.states", message));
                }
            };
        }
        Ok(())
    }

    /// Calls `each` with every run and its worlds: the world's number within the run and among all, what it shows, and
    /// random numbers, which are others in each `phase` of a step.
    fn for_lanes(
        &mut self,
        phase: u64,
        each: impl Fn(&mut Lane, [usize; 2], After<'_>, &mut Stream) + Sync,
    ) -> Result<()> {
        let (seeds, agents, options) = (self.table.seeds, self.sizes.agents, self.sizes.options);
        let (buffers, before, states, masked) = (&self.buffers, &self.before, &self.states, self.masked);
        let (seed, time) = (self.seed, self.time);
        let own = self.worlds / seeds;
        let chunk = if self.config.rule.solves() { 1 } else { (TASK / (own * agents)).max(1) };
        for_each_chunk_mut(Parallel::Pool, &mut self.lanes, 1, chunk, |range, lanes| {
            for (number, lane) in range.zip(lanes) {
                for j in 0..own {
                    let world = number + j * seeds;
                    let at = world * agents..(world + 1) * agents;
                    let masks = at.start * options..at.end * options;
                    let after = After {
                        rewards: &buffers.rewards[at.clone()],
                        terminated: &buffers.terminated[at.clone()],
                        active: &buffers.active[at.clone()],
                        states: &states[at],
                        ended: buffers.ended[world],
                        closed: masked.then(|| [&before.masks[masks.clone()], &buffers.masks[masks]]),
                    };
                    let [low, high] = mixed_key([seed, 2 * time + phase], world as u64);
                    let mut random = Stream::new(u64::from(low) | u64::from(high) << 32);
                    each(lane, [j, world], after, &mut random);
                }
            }
        });
        for (number, lane) in self.lanes.iter().enumerate() {
            let Some((j, message)) = &lane.failure else { continue };
            let (name, first) = (self.config.rule.name(), (number + j * seeds) * agents * self.observation);
            let shown = &self.before.observations[first..][..self.observation];
            let message = format!("`{name}`, seed {number}, in the state that shows {shown:?}: {message}");
            return Err(Error::Usage(message));
        }
        Ok(())
    }

    /// Has agents choose in the worlds whose episode begins, and tells all worlds what is done.
    fn begin(&mut self, which: &[bool]) -> Result<()> {
        let agents = self.sizes.agents;
        if which.contains(&true) {
            self.look(|lane| which[lane / agents])?;
            let (config, sizes) = (self.config.clone(), self.sizes);
            self.for_lanes(1, |lane, [own, world], after, random| {
                if which[world] {
                    lane.begin(&config, &sizes, own, after, random);
                }
            })?;
        }
        let seeds = self.table.seeds;
        for (number, lane) in self.lanes.iter().enumerate() {
            for (j, acted) in lane.acted.chunks_exact(agents).enumerate() {
                let told = &mut self.actions.discrete[(number + j * seeds) * agents..][..agents];
                told.iter_mut().zip(acted).for_each(|(to, acted)| {
                    *to = if acted.option == NONE { 0 } else { acted.option };
                });
            }
        }
        Ok(())
    }

    /// One step of all worlds, and what is learned from it.
    fn play(&mut self, rates: Rates) -> Result<()> {
        if self.config.rule.solves() {
            self.before.observations.clone_from(&self.buffers.observations);
        }
        if self.masked {
            self.before.masks.clone_from(&self.buffers.masks);
        }
        self.environment.step(&self.actions, &mut self.buffers)?;
        self.time += 1;
        let agents = self.sizes.agents;
        let (terminated, ended) = (self.buffers.terminated.clone(), self.buffers.ended.clone());
        // What a terminated agent sees last is worth nothing, and needs no row.
        self.look(|lane| !(terminated[lane] && ended[lane / agents]))?;
        let (config, sizes) = (self.config.clone(), self.sizes);
        self.for_lanes(0, |lane, [own, _], after, random| {
            lane.learn(&config, &sizes, rates, own, after, random);
        })?;
        if ended.contains(&true) {
            self.environment.reset(&ended, &mut self.buffers)?;
        }
        self.begin(&ended)
    }

    /// `[seeds, tables, states, options]`: what acts.
    fn acting(&self) -> Vec<f32> {
        let (config, sizes) = (&self.config, &self.sizes);
        let rows = sizes.tables * sizes.states;
        let mut all = Vec::with_capacity(self.lanes.len() * rows * sizes.options);
        for lane in &self.lanes {
            if config.rule.draws() {
                // Logits; what is never done has one that is finite.
                all.extend(lane.strategy.iter().map(|p| p.max(1e-30).ln()));
            } else if config.rule.is_joint() {
                let cells = (0..rows).flat_map(|row| (0..sizes.options).map(move |option| (row, option)));
                all.extend(cells.map(|(row, option)| lane.worth(config, sizes, row, option)));
            } else {
                all.extend_from_slice(&lane.values);
            }
        }
        all
    }

    /// The tables that are kept apart from what acts, by name.
    fn more_tables(lane: &mut Lane) -> [(&'static str, &mut Vec<f32>); 4] {
        [
            ("tabular/values", &mut lane.values),
            ("tabular/strategy", &mut lane.strategy),
            ("tabular/more", &mut lane.more),
            ("tabular/of_states", &mut lane.of_states),
        ]
    }

    /// Those of them that the rule has and that are not what acts.
    fn keeps(&self, name: &str, length: usize) -> bool {
        length > 0 && (name != "tabular/values" || self.has_more_tables())
    }
}

impl Trainer for Tabular {
    fn step(&mut self) -> Result<Report> {
        let progress = self.steps as f64 / self.budget.max(1) as f64;
        let factor = self.config.schedule.factor(progress);
        let rates = Rates { alpha: self.config.learning_rate * factor, factor };
        for _ in 0..self.config.rollout {
            self.play(rates)?;
        }
        self.steps += (self.config.rollout * self.states.len()) as u64;
        let (mut error, mut updates, mut epsilon) = (0.0, 0, 0.0);
        for lane in &mut self.lanes {
            error += std::mem::take(&mut lane.error);
            updates += std::mem::take(&mut lane.updates);
            epsilon += f64::from(self.config.epsilon(lane.episodes));
        }
        self.updates += updates;
        finite("values", error, self.steps)?;
        let mut values = episodes(&self.environment.take_reports());
        values.push(("error".into(), error / updates.max(1) as f64));
        values.push(("epsilon".into(), epsilon / self.lanes.len() as f64));
        values.push(("learning_rate".into(), f64::from(rates.alpha)));
        values.push(("states".into(), self.known as f64));
        Ok(Report { steps: self.steps, updates: self.updates, values })
    }

    fn save(&self) -> Result<Checkpoint> {
        let mut checkpoint = self.save_agent()?;
        let (seeds, lanes) = (self.lanes.len(), self.states.len());
        let mut copies = self.lanes.clone();
        for table in 0..4 {
            let mut all: Vec<f32> = Vec::new();
            let mut name = "";
            for lane in &mut copies {
                let (own, values) = &mut Self::more_tables(lane)[table];
                name = own;
                all.append(values);
            }
            if self.keeps(name, all.len()) {
                checkpoint.insert(name, TensorData::f32(&[seeds, all.len() / seeds], &all)?);
            }
        }
        let acted = self.lanes.iter().flat_map(|lane| &lane.acted).flat_map(|a| [a.state, a.option]);
        checkpoint.insert("tabular/acted", TensorData::u32(&[lanes, 2], &acted.collect::<Vec<_>>())?);
        let counts: Vec<u64> = self.lanes.iter().map(|lane| lane.episodes).collect();
        checkpoint.insert("tabular/episodes", TensorData::u64(&[seeds], &counts)?);
        let counters = [self.steps, self.updates, self.time];
        checkpoint.insert("trainer/counters", TensorData::u64(&[3], &counters)?);
        let seen = &self.buffers.observations;
        checkpoint.insert("rollout/observations", TensorData::f32(&[seen.len()], seen)?);
        let active: Vec<u8> = self.buffers.active.iter().map(|active| u8::from(*active)).collect();
        checkpoint.insert("rollout/active", TensorData::u8(&[lanes], &active)?);
        if self.masked {
            let masks = &self.buffers.masks;
            checkpoint.insert("rollout/masks", TensorData::f32(&[masks.len()], masks)?);
        }
        let worlds = self.environment.save();
        checkpoint.insert("worlds/state", TensorData::u8(&[worlds.len()], &worlds)?);
        Ok(checkpoint)
    }

    fn save_agent(&self) -> Result<Checkpoint> {
        let mut checkpoint = Checkpoint::new();
        checkpoint.set("architecture", &self.architecture);
        let TableSizes { seeds, tables, states, options } = self.table;
        checkpoint.insert("agent/keys", TensorData::f32(&[states, KEY], &self.keys)?);
        let shape = [seeds, tables, states, options];
        checkpoint.insert("agent/values", TensorData::f32(&shape, &self.acting())?);
        Ok(checkpoint)
    }

    fn load(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        checkpoint.check_architecture(&self.architecture)?;
        take_up(self, checkpoint, |trainer, from| {
            trainer.take_keys(from)?;
            let apart = trainer.has_more_tables();
            for table in 0..4 {
                let (name, length) = {
                    let (name, values) = &Self::more_tables(&mut trainer.lanes[0])[table];
                    (*name, values.len())
                };
                if length == 0 {
                    continue;
                }
                let acts = name == "tabular/values" && !apart;
                let all = from.tensor(if acts { "agent/values" } else { name })?.to_f32()?;
                for (lane, own) in trainer.lanes.iter_mut().zip(all.chunks_exact(length)) {
                    Self::more_tables(lane)[table].1.copy_from_slice(own);
                }
            }
            let acted = from.tensor("tabular/acted")?.to_u32()?;
            let (states, options) = (trainer.sizes.states as u32, trainer.sizes.options as u32);
            let own = trainer.states.len() / trainer.lanes.len();
            for (lane, acted) in trainer.lanes.iter_mut().zip(acted.chunks_exact(2 * own)) {
                for (to, from) in lane.acted.iter_mut().zip(acted.chunks_exact(2)) {
                    if from[0] >= states || from[1] >= options && from[1] != NONE {
                        return Err(Error::Usage("the checkpoint's `tabular/acted` is damaged".into()));
                    }
                    *to = Acted { state: from[0], option: from[1] };
                }
            }
            let counts = from.counters("tabular/episodes", trainer.lanes.len())?;
            let config = &trainer.config;
            trainer.lanes.iter_mut().zip(counts).for_each(|(lane, count)| lane.set_episodes(config, count));
            let counters = from.counters("trainer/counters", 3)?;
            (trainer.steps, trainer.updates, trainer.time) = (counters[0], counters[1], counters[2]);
            trainer.environment.load(from.tensor("worlds/state")?.bytes())?;
            trainer.buffers.observations = from.tensor("rollout/observations")?.to_f32()?;
            let active = from.tensor("rollout/active")?.to_u8()?;
            trainer.buffers.active = active.into_iter().map(|active| active != 0).collect();
            if trainer.masked {
                trainer.buffers.masks = from.tensor("rollout/masks")?.to_f32()?;
            }
            // Worlds that have ended were restarted before anything is saved.
            trainer.buffers.ended.fill(false);
            trainer.begin(&vec![false; trainer.worlds])
        })
    }
}
