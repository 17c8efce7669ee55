//! Schedules, and whether they can be carried out.

use super::instance::Instance;
use crate::error::{Error, Result};

/// When every operation of every job begins, and on which machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// `starts[job][operation]`, in units of time.
    pub starts: Vec<Vec<u32>>,
    /// `machines[job][operation]`.
    pub machines: Vec<Vec<usize>>,
}

impl Schedule {
    /// Start times where every operation has one machine; where it has several the first is taken.
    pub fn of_starts(instance: &Instance, starts: Vec<Vec<u32>>) -> Self {
        let machines = instance.jobs().iter().map(|job| job.iter().map(|able| able[0].machine).collect());
        Schedule { starts, machines: machines.collect() }
    }

    /// Checks everything that an instance demands, and gives the makespan: the time at which the last operation ends.
    ///
    /// # Errors
    /// The first thing that is wrong: other jobs or operations, a machine that cannot do the operation, an operation that
    /// begins before the one before it has ended, two at once on a machine.
    pub fn check(&self, instance: &Instance) -> Result<u32> {
        let fault =
            |message: String| Err(Error::Usage(format!("no schedule of {}: {message}", instance.name())));
        let lengths = |rows: &[usize]| rows.iter().copied().eq(instance.jobs().iter().map(Vec::len));
        let starts: Vec<usize> = self.starts.iter().map(Vec::len).collect();
        let machines: Vec<usize> = self.machines.iter().map(Vec::len).collect();
        if !lengths(&starts) || !lengths(&machines) {
            return fault("other jobs or operations".into());
        }
        let mut makespan = 0u64;
        let mut on: Vec<Vec<(u64, u64)>> = vec![Vec::new(); instance.machines()];
        for (job, operations) in instance.jobs().iter().enumerate() {
            let mut ready = 0;
            for (k, alternatives) in operations.iter().enumerate() {
                let (start, machine) = (u64::from(self.starts[job][k]), self.machines[job][k]);
                let Some(able) = alternatives.iter().find(|a| a.machine == machine) else {
                    return fault(format!("machine {machine} cannot do operation {k} of job {job}"));
                };
                if start < ready {
                    return fault(format!("operation {k} of job {job} begins at {start}, before {ready}"));
                }
                ready = start + u64::from(able.duration);
                on[machine].push((start, ready));
            }
            makespan = makespan.max(ready);
        }
        for (machine, times) in on.iter_mut().enumerate() {
            times.sort_unstable();
            if let Some(two) = times.windows(2).find(|two| two[1].0 < two[0].1) {
                return fault(format!("machine {machine} does two operations at {}", two[1].0));
            }
        }
        u32::try_from(makespan).or_else(|_| fault(format!("ends at {makespan}")))
    }
}
