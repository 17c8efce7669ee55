//! The rules of the world: machines choose, time goes on, the bound of the makespan grows.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::config::JobShopConfig;
use super::floor::Floor;
use super::instance::Instance;
use super::{draw, observe};
use crate::env::pathfinding::Pcg64;
use crate::env::vectorised::{Chosen, Codec, Outcome, Pay, Rules, View};
use crate::env::{AgentKind, Drawing, Fact};
use crate::error::{Error, Result};

/// The settings with the instances that they name, and the room that the largest needs ([`JobShopConfig::shop`]).
#[derive(Debug, Clone)]
pub struct Shop {
    pub(super) config: JobShopConfig,
    /// Of files; none where instances are random.
    pub(super) instances: Vec<Arc<Instance>>,
    /// The one of seed or number 0, which all worlds share before their first episode.
    pub(super) first: Arc<Instance>,
    pub(super) jobs: usize,
    pub(super) machines: usize,
    pub(super) operations: usize,
}

impl Serialize for Shop {
    /// What tells one such world from another: files with other contents make another.
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let instances: Vec<&Instance> = self.instances.iter().map(Arc::as_ref).collect();
        (&self.config, instances).serialize(serializer)
    }
}

/// An instance that is worked on.
#[derive(Debug, Clone)]
pub struct Play {
    /// The number of the world.
    world: u32,
    /// The seed of a random instance, or the number of a file's.
    drawn: u64,
    pub(super) instance: Arc<Instance>,
    pub(super) floor: Floor,
    pub(super) bound: u32,
}

impl Play {
    /// What has to be done.
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// What has been done, and when it is.
    pub fn floor(&self) -> &Floor {
        &self.floor
    }

    /// The lower bound of the makespan by now.
    pub fn bound(&self) -> u32 {
        self.bound
    }
}

impl Shop {
    /// The instance of a seed or number.
    fn instance(&self, drawn: u64) -> Arc<Instance> {
        match self.instances.len() as u64 {
            // Settings of which every instance can be made have been checked.
            0 => Arc::new(self.config.random(drawn).unwrap_or_else(Instance::least)),
            files => Arc::clone(&self.instances[(drawn % files) as usize]),
        }
    }

    fn start(&self, play: &mut Play, drawn: u64) {
        play.drawn = drawn;
        play.instance = self.instance(drawn);
        play.floor = Floor::new(&play.instance);
        play.bound = play.instance.bound();
    }

    /// The jobs that a machine can choose from now, in the order of its options, with their durations there.
    pub fn candidates(&self, play: &Play, machine: usize) -> Vec<(usize, u32)> {
        let (instance, floor) = (&play.instance, &play.floor);
        if machine >= instance.machines() || !floor.open(instance, machine) {
            return Vec::new();
        }
        let mut all: Vec<(usize, u32)> = floor.waiting(instance, machine).collect();
        all.sort_by_key(|(job, duration)| (self.config.order.key(instance, floor, *job, *duration), *job));
        all
    }

    /// Whether machines that could begin something may let the moment pass, where `open` of them could: something has
    /// to go on, or another to begin.
    pub(super) fn may_wait(&self, floor: &Floor, open: usize) -> bool {
        self.config.may_wait && (open > 1 || floor.runs())
    }
}

impl Rules for Shop {
    type World = Play;
    const NAME: &'static str = "job_shop";
    const METRICS: &'static [&'static str] = &["makespan", "makespan_ratio"];
    const LABELLED: bool = true;

    fn worlds(&self) -> usize {
        self.config.worlds
    }

    /// Nothing: [`JobShopConfig::shop`] has checked.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    fn masked(&self) -> bool {
        true
    }

    fn kinds(&self) -> Vec<AgentKind> {
        let seen = observe::length(self);
        vec![AgentKind::discrete("machine", self.machines, seen, 1 + self.jobs)]
    }

    fn state(&self) -> usize {
        observe::state_length(self.jobs, self.machines)
    }

    /// With every step an operation begins, or time goes on to the end of one.
    fn limit(&self) -> u32 {
        2 * self.operations as u32
    }

    fn blank(&self) -> Play {
        let instance = Arc::clone(&self.first);
        let floor = Floor::new(&instance);
        Play { world: 0, drawn: 0, bound: instance.bound(), instance, floor }
    }

    fn number(&self, play: &mut Play, world: usize) {
        play.world = world as u32;
    }

    fn reset(&self, play: &mut Play, episode: u64, random: &mut Pcg64) {
        let drawn = match self.instances.len() as u128 {
            0 => random.bits64(),
            files => {
                let number = u128::from(play.world) + u128::from(episode) * self.config.worlds as u128;
                (number % files) as u64
            }
        };
        self.start(play, drawn);
    }

    fn step(&self, play: &mut Play, actions: Chosen, _random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        let actions = actions.discrete(0);
        let open = (0..play.instance.machines()).map(|machine| self.candidates(play, machine));
        let open: Vec<Vec<(usize, u32)>> = open.collect();
        let count = open.iter().filter(|candidates| !candidates.is_empty()).count();
        let may_wait = self.may_wait(&play.floor, count);
        let time = play.floor.time();
        let mut taken = vec![false; play.instance.jobs().len()];
        for (machine, candidates) in open.iter().enumerate() {
            // What is not open to it stands for its first option.
            let first = candidates.first();
            let chosen = match actions[machine] {
                0 if may_wait => None,
                action => candidates.get((action as usize).wrapping_sub(1)).or(first),
            };
            match chosen {
                Some((job, _)) if taken[*job] => {}
                Some((job, duration)) => {
                    taken[*job] = true;
                    play.floor.begin(*job, machine, *duration, time);
                }
                None => play.floor.wait(machine),
            }
        }
        if !play.floor.runs() {
            // All wait for each other. The first begins.
            let first = open.iter().enumerate().find_map(|(m, candidates)| Some((m, candidates.first()?)));
            if let Some((machine, (job, duration))) = first {
                play.floor.begin(*job, machine, *duration, time);
            }
        }
        play.floor.advance(&play.instance);
        let bound = play.floor.bound(&play.instance);
        let growth = f64::from(bound) - f64::from(play.bound);
        pay.rewards.fill((-growth / f64::from(play.instance.bound())) as f32);
        play.bound = bound;
        if play.floor.done(&play.instance) { Outcome::Ends } else { Outcome::GoesOn }
    }

    fn observe(&self, play: &Play, view: &mut View) {
        observe::observe(self, play, view);
    }

    fn metrics(&self, play: &Play) -> Vec<f64> {
        let makespan = f64::from(play.bound);
        let least = play.instance.optimum().unwrap_or(play.instance.bound());
        vec![makespan, makespan / f64::from(least)]
    }

    fn label(&self, play: &Play) -> String {
        play.instance.name().to_owned()
    }

    fn draw(&self, play: &Play) -> Option<Drawing> {
        draw::chart(play)
    }

    fn action_names(&self, _agent: usize) -> Vec<String> {
        let jobs = (0..self.jobs).map(|k| format!("choice {k}"));
        std::iter::once("nothing".to_owned()).chain(jobs).collect()
    }

    /// Where the job goes next that a machine works on: what it has to tell.
    fn facts(&self) -> Vec<Fact> {
        vec![Fact::new("goes_to", self.machines)]
    }

    fn fact_values(&self, play: &Play, agent: usize) -> Vec<Option<u32>> {
        vec![observe::running(play, agent).and_then(|job| observe::goes_to(play, job)).map(|m| m as u32)]
    }

    fn visit(&self, play: &mut Play, codec: &mut Codec) -> Result<()> {
        let mut drawn = play.drawn;
        codec.one(&mut drawn)?;
        if drawn != play.drawn {
            if !self.instances.is_empty() && drawn >= self.instances.len() as u64 {
                return Err(Error::Usage("the saved worlds are damaged".into()));
            }
            self.start(play, drawn);
        }
        codec.one(&mut play.bound)?;
        play.floor.visit(codec)
    }

    fn valid(&self, play: &Play) -> bool {
        play.floor.valid(&play.instance)
    }
}
