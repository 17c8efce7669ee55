//! The settings of the job shop.

use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::files::MOST_FILES;
use super::instance::{Instance, LONGEST, MOST_JOBS, MOST_MACHINES, MOST_OPERATIONS};
use super::rules::Rule;
use super::world::Shop;
use crate::env::vectorised::Vectorised;
use crate::env::{Pcg64, VecEnv, WorldConfig, WorldSettings};
use crate::error::{Error, Result};
use crate::registry::Member;

/// Where instances come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// A fresh random instance for every episode ([`Instance::random`]).
    Random {
        /// Jobs and machines; which, is drawn evenly.
        #[serde(default = "sizes")]
        sizes: Vec<[usize; 2]>,
        /// The shortest and the longest duration.
        #[serde(default = "durations")]
        durations: [u32; 2],
        /// How many machines can do an operation: 1 for the job shop, more for the flexible job shop.
        #[serde(default = "one")]
        alternatives: usize,
    },
    /// Instances read from these JSON files and folders ([`Instance::load`]). World `w` of `n` plays number `w + e n`
    /// of them in its episode `e`, again from the first after the last.
    Files {
        /// Files and folders.
        #[serde(default)]
        paths: Vec<PathBuf>,
    },
}

fn sizes() -> Vec<[usize; 2]> {
    vec![[6, 6]]
}

fn durations() -> [u32; 2] {
    [1, 99]
}

fn one() -> usize {
    1
}

/// The settings of [`JobShop`](super::JobShop).
///
/// The agents are the machines. A step is a moment at which a machine that is free has something to do. Every such
/// machine chooses: option `1 + k` begins the next operation of the `k`-th of the jobs that wait for it, in the order
/// of the dispatch rule `order`, ties to the lower job. With `may_wait` option 0 lets the moment pass until the next
/// operation ends somewhere, while one goes on or another machine has to choose too; where then nothing goes on and all
/// wait, the lowest begins its first. All other machines have option 0 alone. Where two machines choose the same job
/// (flexible job shop) the lower one gets it, and the other chooses again. An episode ends when all operations have
/// begun, since the makespan is then known. Without `may_wait` schedules are non-delay ones, which the best need not
/// be.
///
/// Every step pays all machines minus the growth of a lower bound of the makespan
/// ([`Floor::bound`](super::Floor::bound)), in parts of that bound at the start `b`: the return is `1 - makespan / b`.
/// A rule of `Rule::ALL` is played by `order` and always option 1.
///
/// A machine sees, times in mean durations of the instance (work in parts of `b`): whether it has to choose and may
/// wait, how long it is busy, work that it still has to do and by how much the bound exceeds its own, shares of
/// operations begun and time passed, the bound's growth, how many jobs wait for it; of the job that it works on what is
/// left, the next duration, and where it goes next (one-hot); for each of the `jobs` options whether it is there, its
/// duration, the job's work and operations left, how long it has waited, by how much the bound exceeds the job's own,
/// how much the bound would grow, and of the machine it goes to next: how long that stays busy after, whether it would
/// run dry before, how many jobs and how much work it has; of the next `coming` jobs that are on their way to it, when
/// they come, their durations, work and spare time. Without `coming` the others would have to tell. The state for a
/// centralised critic is bound, share and time, every job's and every machine's times and work.
///
/// Reports have `makespan` and `makespan_ratio`: makespan in parts of the optimum that the file gives, else of `b`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct JobShopConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// Where instances come from.
    pub source: Source,
    /// Room for jobs, so that instances of several sizes can be played by the same agents; 0 for as many as the largest
    /// instance has.
    #[schemars(range(min = 0, max = MOST_JOBS))]
    pub jobs: usize,
    /// Room for machines; 0 for as many as the largest instance has. Machines that an instance does not have see zeros.
    #[schemars(range(min = 0, max = MOST_MACHINES))]
    pub machines: usize,
    /// Whether a machine may wait while there is something that it could do.
    pub may_wait: bool,
    /// The dispatch rule by which the options of a choice are ordered: `spt`, `lpt`, `mwkr`, `lwkr`, `mor` or `fifo`.
    pub order: Rule,
    /// Jobs on their way to a machine that it sees.
    #[schemars(range(min = 0, max = 64))]
    pub coming: usize,
    /// Dispatch rules by which each option is thought through to the end: which makespan comes of it where the rule
    /// decides on everything after ([`Rule::foresee`]).
    pub foresight: Vec<Rule>,
}

impl Default for JobShopConfig {
    /// Random instances of 6 jobs on 6 machines, no waiting, most work first, 2 coming jobs; 64 worlds.
    fn default() -> Self {
        JobShopConfig {
            worlds: 64,
            source: Source::Random { sizes: sizes(), durations: durations(), alternatives: 1 },
            jobs: 0,
            machines: 0,
            may_wait: false,
            order: Rule::Mwkr,
            coming: 2,
            foresight: Vec::new(),
        }
    }
}

impl JobShopConfig {
    /// The rules of the world: the settings with the instances that they name.
    ///
    /// # Errors
    /// A setting out of range, a file that cannot be read, an instance that has no room.
    pub fn shop(&self) -> Result<Shop> {
        crate::schema::check("world", self)?;
        if self.foresight.len() > Rule::ALL.len() {
            return Err(Error::config("world.foresight", "expected at most 6 rules"));
        }
        let (mut instances, mut largest) = (Vec::new(), [0, 0]);
        let mut operations = 0;
        match &self.source {
            Source::Files { paths } => {
                for instance in Instance::load_all(paths)? {
                    let size = [instance.jobs().len(), instance.machines()];
                    self.check_room(size, instance.name())?;
                    largest = [largest[0].max(size[0]), largest[1].max(size[1])];
                    operations = operations.max(instance.operations());
                    instances.push(Arc::new(instance));
                }
            }
            Source::Random { sizes, durations, alternatives } => {
                if sizes.is_empty() || sizes.len() > MOST_FILES {
                    return Err(Error::config("world.source.sizes", "expected 1 to 4096 pairs"));
                }
                for size in sizes {
                    let [jobs, machines] = *size;
                    let fits = (1..=MOST_JOBS).contains(&jobs) && (1..=MOST_MACHINES).contains(&machines);
                    if !fits || jobs * machines > MOST_OPERATIONS {
                        let message = format!(
                            "expected 1 to {MOST_JOBS} jobs, 1 to {MOST_MACHINES} machines and at most \
                             {MOST_OPERATIONS} operations, got [{jobs}, {machines}]"
                        );
                        return Err(Error::config("world.source.sizes", message));
                    }
                    self.check_room(*size, "world.source.sizes")?;
                    largest = [largest[0].max(jobs), largest[1].max(machines)];
                    operations = operations.max(jobs * machines);
                }
                let [low, high] = *durations;
                // So that no instance has more work than fits its times.
                let most = ((1usize << 30) / operations).min(LONGEST as usize) as u32;
                if low < 1 || low > high || high > most {
                    let message = format!("expected two of 1 to {most} in order, got [{low}, {high}]");
                    return Err(Error::config("world.source.durations", message));
                }
                if !(1..=MOST_MACHINES).contains(alternatives) {
                    let message = format!("expected 1 to {MOST_MACHINES}, got {alternatives}");
                    return Err(Error::config("world.source.alternatives", message));
                }
            }
        }
        let room = |setting: usize, largest: usize| if setting == 0 { largest } else { setting };
        let (jobs, machines) = (room(self.jobs, largest[0]), room(self.machines, largest[1]));
        let first = match instances.first() {
            Some(first) => Arc::clone(first),
            None => Arc::new(self.random(0).unwrap_or_else(Instance::least)),
        };
        Ok(Shop { config: self.clone(), instances, first, jobs, machines, operations })
    }

    fn check_room(&self, [jobs, machines]: [usize; 2], whose: &str) -> Result<()> {
        for (key, room, needed) in [("jobs", self.jobs, jobs), ("machines", self.machines, machines)] {
            if room != 0 && room < needed {
                let message = format!("expected 0 or at least {needed} for {whose}, got {room}");
                return Err(Error::config(format!("world.{key}"), message));
            }
        }
        Ok(())
    }

    /// A random instance of this seed; `None` where instances come from files.
    pub(super) fn random(&self, seed: u64) -> Option<Instance> {
        let Source::Random { sizes, durations, alternatives } = &self.source else { return None };
        let random = &mut Pcg64::new(seed);
        let [jobs, machines] = sizes[random.below(sizes.len() as u32) as usize];
        Instance::random(jobs, machines, *durations, *alternatives, random).ok()
    }
}

impl Member for JobShopConfig {
    const NAME: &'static str = "job_shop";
    const SUMMARY: &'static str = "machines choose which job comes next: job shop and flexible job shop";
}

impl WorldSettings for JobShopConfig {
    fn worlds(&self) -> usize {
        self.worlds
    }

    fn with_worlds(&self, worlds: usize) -> WorldConfig {
        WorldConfig::new(Self { worlds, ..self.clone() })
    }

    fn build(&self, seed: u64) -> Result<Box<dyn VecEnv>> {
        Ok(Box::new(Vectorised::<Shop>::new(self.shop()?, seed)?))
    }

    fn check(&self) -> Result<()> {
        crate::schema::check("world", self)
    }
}
