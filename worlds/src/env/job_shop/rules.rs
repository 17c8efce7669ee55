//! Six dispatch rules: what to begin next, by one number of each operation that could begin.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::floor::Floor;
use super::instance::Instance;
use super::schedule::Schedule;

/// A dispatch rule: of the operations that could begin, the one with the least key begins. Panwalkar and Iskander
/// (1977, Operations Research 25) survey them. "Work" counts an operation with the fastest of its machines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// Shortest processing time: the duration.
    Spt,
    /// Longest processing time: minus the duration.
    Lpt,
    /// Most work remaining: minus the work left of the job, this operation included.
    #[default]
    Mwkr,
    /// Least work remaining: the work left of the job.
    Lwkr,
    /// Most operations remaining: minus the operations left of the job.
    Mor,
    /// First in, first out: the time from which on the job could begin its next operation.
    Fifo,
}

impl Rule {
    /// All six.
    pub const ALL: [Rule; 6] = [Rule::Spt, Rule::Lpt, Rule::Mwkr, Rule::Lwkr, Rule::Mor, Rule::Fifo];

    /// The key of a job's next operation, if it takes `duration`; the least is the first.
    pub fn key(self, instance: &Instance, floor: &Floor, job: usize, duration: u32) -> i64 {
        let next = floor.next(job);
        let duration = i64::from(duration);
        let work = i64::from(instance.rest(job, next));
        match self {
            Rule::Spt => duration,
            Rule::Lpt => -duration,
            Rule::Mwkr => -work,
            Rule::Lwkr => work,
            Rule::Mor => -((instance.jobs()[job].len().saturating_sub(next)) as i64),
            Rule::Fifo => i64::from(floor.ready(job)),
        }
    }

    /// The whole schedule by this rule. Again and again: for every job that is not finished, and every machine that can
    /// do its next operation, `est` is the later of when the job is ready and when the machine is free; among those
    /// with the least `est` the one of the least key begins then, ties going to the lowest job, then to the lowest
    /// machine. No machine waits while there is something that it could do.
    ///
    /// ```
    /// use synod_worlds::env::Pcg64;
    /// use synod_worlds::env::job_shop::{Instance, Rule};
    /// let instance = Instance::random(6, 4, [1, 9], 1, &mut Pcg64::new(3))?;
    /// let makespan = Rule::Mwkr.schedule(&instance).check(&instance)?;
    /// assert!(makespan >= instance.bound());
    /// # Ok::<(), synod_worlds::Error>(())
    /// ```
    pub fn schedule(self, instance: &Instance) -> Schedule {
        let mut floor = Floor::new(instance);
        self.finish(instance, &mut floor);
        floor.schedule(instance)
    }

    /// The makespan that comes of a floor where this rule decides on all that has not begun, after a job's next
    /// operation has begun now on a machine where it takes so long: `(job, machine, duration)`. To choose by it is the
    /// rollout algorithm (Bertsekas, Tsitsiklis and Wu 1997, "Rollout algorithms for combinatorial optimization").
    pub fn foresee(self, instance: &Instance, floor: &Floor, begins: Option<(usize, usize, u32)>) -> u32 {
        let mut floor = floor.clone();
        if let Some((job, machine, duration)) = begins {
            floor.begin(job, machine, duration, floor.time());
        }
        self.finish(instance, &mut floor);
        floor.end()
    }

    fn finish(self, instance: &Instance, floor: &mut Floor) {
        loop {
            let mut best: Option<(u32, i64, usize, usize, u32)> = None;
            for (job, operations) in instance.jobs().iter().enumerate() {
                let next = operations.get(floor.next(job)).map_or(&[][..], Vec::as_slice);
                let ready = floor.ready(job).max(floor.time());
                for able in next {
                    let est = ready.max(floor.free(able.machine));
                    // The key is looked at only where it counts.
                    if best.is_some_and(|(least, ..)| est > least) {
                        continue;
                    }
                    let key = self.key(instance, floor, job, able.duration);
                    let this = (est, key, job, able.machine, able.duration);
                    if best.is_none_or(|best| this < best) {
                        best = Some(this);
                    }
                }
            }
            let Some((est, _, job, machine, duration)) = best else { break };
            floor.begin(job, machine, duration, est);
        }
    }
}
