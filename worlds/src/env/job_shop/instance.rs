//! Instances of the job shop: what has to be done, on which machines, how long it takes.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::env::pathfinding::Pcg64;
use crate::error::{Error, Result};

/// The most jobs of an instance.
pub const MOST_JOBS: usize = 1 << 10;
/// The most machines of an instance.
pub const MOST_MACHINES: usize = 1 << 8;
/// The most operations of all jobs of an instance together.
pub const MOST_OPERATIONS: usize = 1 << 14;
/// The longest duration of an operation, in units of time.
pub const LONGEST: u32 = 1_000_000;
/// The longest that all operations may take one after another, so that no time overflows.
const MOST_WORK: u64 = 1 << 30;

/// A machine that can do an operation, and how long it takes for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alternative {
    /// The machine, from 0.
    pub machine: usize,
    /// Units of time, at least 1.
    pub duration: u32,
}

/// What has to be done: jobs, whose operations follow one another in a fixed order, each on one of its machines without
/// a break. A machine does one operation at a time. All jobs are there at time 0.
///
/// With one alternative for each operation that is the job shop, with several the flexible job shop.
///
/// ```
/// use synod_worlds::env::job_shop::{Alternative, Instance};
/// let on = |machine, duration| vec![Alternative { machine, duration }];
/// let instance = Instance::new("two", vec![vec![on(0, 3), on(1, 2)], vec![on(1, 4)]], None)?;
/// assert_eq!((instance.machines(), instance.bound()), (2, 6)); // machine 1: two and four
/// # Ok::<(), synod_worlds::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Instance {
    name: String,
    jobs: Vec<Vec<Vec<Alternative>>>,
    machines: usize,
    optimum: Option<u32>,
    /// For every operation of a job the least work from it to the job's end, and a 0 after the last.
    #[serde(skip)]
    rest: Vec<Vec<u32>>,
    #[serde(skip)]
    bound: u32,
}

impl Instance {
    /// Jobs with their operations, each with its alternatives; and the least makespan, where it is known.
    ///
    /// # Errors
    /// No jobs, a job without operations, an operation without machines or with a machine twice, a duration of 0, an
    /// optimum that no schedule can reach; more of anything than the limits of this module.
    pub fn new(name: &str, jobs: Vec<Vec<Vec<Alternative>>>, optimum: Option<u32>) -> Result<Self> {
        let fault = |message: String| Err(Error::Usage(format!("the instance `{name}`: {message}")));
        if jobs.is_empty() || jobs.len() > MOST_JOBS {
            return fault(format!("{} jobs, expected 1 to {MOST_JOBS}", jobs.len()));
        }
        let operations: usize = jobs.iter().map(Vec::len).sum();
        if operations > MOST_OPERATIONS {
            return fault(format!("{operations} operations, expected at most {MOST_OPERATIONS}"));
        }
        let (mut machines, mut work) = (0, 0u64);
        for (job, operations) in jobs.iter().enumerate() {
            if operations.is_empty() {
                return fault(format!("job {job} has no operations"));
            }
            for (number, alternatives) in operations.iter().enumerate() {
                let at = format!("operation {number} of job {job}");
                if alternatives.is_empty() || alternatives.len() > MOST_MACHINES {
                    return fault(format!("{at} has {} machines to choose from", alternatives.len()));
                }
                for (i, Alternative { machine, duration }) in alternatives.iter().enumerate() {
                    if *machine >= MOST_MACHINES {
                        return fault(format!(
                            "{at}: machine {machine}, expected 0 to {}",
                            MOST_MACHINES - 1
                        ));
                    }
                    if !(1..=LONGEST).contains(duration) {
                        return fault(format!("{at}: duration {duration}, expected 1 to {LONGEST}"));
                    }
                    if alternatives[..i].iter().any(|other| other.machine == *machine) {
                        return fault(format!("{at} names machine {machine} twice"));
                    }
                    machines = machines.max(machine + 1);
                }
                work += u64::from(alternatives.iter().map(|a| a.duration).max().unwrap_or(0));
            }
        }
        if work > MOST_WORK {
            return fault(format!("{work} units of work, expected at most {MOST_WORK}"));
        }
        let rest = jobs.iter().map(|operations| rest(operations)).collect();
        let mut instance = Instance { name: name.to_owned(), jobs, machines, optimum, rest, bound: 0 };
        instance.bound = super::Floor::new(&instance).bound(&instance);
        match optimum {
            Some(least) if least < instance.bound || u64::from(least) > work => {
                fault(format!("an optimum of {least}, where the least bound is {}", instance.bound))
            }
            _ => Ok(instance),
        }
    }

    /// A job shop in which every job visits every machine once, in an order of its own drawn evenly, as Taillard (1993,
    /// European Journal of Operational Research 64, section 3) draws his: durations are drawn evenly from `durations`,
    /// both ends included. With `alternatives` above 1 every operation can be done by that many machines (at most all):
    /// the one of its place in the order, and others drawn evenly, with durations of their own.
    ///
    /// # Errors
    /// As [`Instance::new`]; bounds of durations in the wrong order.
    pub fn random(
        jobs: usize,
        machines: usize,
        durations: [u32; 2],
        alternatives: usize,
        random: &mut Pcg64,
    ) -> Result<Self> {
        let [low, high] = durations;
        let sizes = (1..=MOST_JOBS).contains(&jobs) && (1..=MOST_MACHINES).contains(&machines);
        if !sizes || jobs * machines > MOST_OPERATIONS || alternatives == 0 {
            let message =
                format!("no instance of {jobs} jobs on {machines} machines, {alternatives} at once");
            return Err(Error::Usage(message));
        }
        if low < 1 || low > high || high > LONGEST {
            return Err(Error::Usage(format!("durations from {low} to {high}, expected 1 to {LONGEST}")));
        }
        let draw = |random: &mut Pcg64| low + random.below(high - low + 1);
        let mut order: Vec<usize> = (0..machines).collect();
        let all = (0..jobs)
            .map(|_| {
                random.shuffle(&mut order);
                let mut others: Vec<usize> = (0..machines).collect();
                order
                    .iter()
                    .map(|first| {
                        let mut able = vec![Alternative { machine: *first, duration: draw(random) }];
                        if alternatives > 1 {
                            random.shuffle(&mut others);
                            let more = others.iter().filter(|m| *m != first).take(alternatives - 1);
                            for machine in more {
                                able.push(Alternative { machine: *machine, duration: draw(random) });
                            }
                            able.sort_by_key(|a| a.machine);
                        }
                        able
                    })
                    .collect()
            })
            .collect();
        Instance::new("random", all, None)
    }

    /// One operation of one job on one machine.
    pub(super) fn least() -> Self {
        let able = Alternative { machine: 0, duration: 1 };
        let (jobs, rest) = (vec![vec![vec![able]]], vec![vec![1, 0]]);
        Instance { name: "least".into(), jobs, machines: 1, optimum: Some(1), rest, bound: 1 }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Jobs, their operations in order, each with the machines that can do it.
    pub fn jobs(&self) -> &[Vec<Vec<Alternative>>] {
        &self.jobs
    }

    /// One more than the highest machine that an operation names.
    pub fn machines(&self) -> usize {
        self.machines
    }

    /// Operations of all jobs.
    pub fn operations(&self) -> usize {
        self.jobs.iter().map(Vec::len).sum()
    }

    /// The least makespan there is, where it is known.
    pub fn optimum(&self) -> Option<u32> {
        self.optimum
    }

    /// A makespan that no schedule can go below ([`super::Floor::bound`] before anything has begun).
    pub fn bound(&self) -> u32 {
        self.bound
    }

    /// The least work of a job from its operation number `operation` on; 0 after the last.
    pub fn rest(&self, job: usize, operation: usize) -> u32 {
        self.rest[job][operation.min(self.jobs[job].len())]
    }

    /// The mean duration of an operation, alternatives counted alike.
    pub fn mean_duration(&self) -> f64 {
        let all = self.jobs.iter().flatten().flatten();
        let (sum, count) = all.fold((0.0, 0.0), |(s, c), a| (s + f64::from(a.duration), c + 1.0));
        sum / f64::max(count, 1.0)
    }

    /// Whether every operation has one machine.
    pub fn is_job_shop(&self) -> bool {
        self.jobs.iter().flatten().all(|alternatives| alternatives.len() == 1)
    }

    /// The same error with the file that the instance was read from.
    pub(super) fn of_file(path: &Path, error: Error) -> Error {
        match error {
            Error::Usage(message) => Error::file(path, None, message),
            other => other,
        }
    }
}

/// Sums of the least durations from each operation on, and a 0.
fn rest(operations: &[Vec<Alternative>]) -> Vec<u32> {
    let mut sums = vec![0; operations.len() + 1];
    for (i, alternatives) in operations.iter().enumerate().rev() {
        sums[i] = sums[i + 1] + alternatives.iter().map(|a| a.duration).min().unwrap_or(0);
    }
    sums
}
