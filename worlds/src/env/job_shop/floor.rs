//! A shop floor while work goes on: what has begun, which machines are free, what could begin now.

use super::instance::Instance;
use super::schedule::Schedule;
use crate::env::vectorised::Codec;
use crate::error::Result;

/// The latest time that can be reached: all work of the largest instance, one operation after another.
const LATEST: u32 = 1 << 30;
/// In place of a start or machine: not begun.
const NONE: u32 = u32::MAX;

/// The state of an instance at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Floor {
    time: u32,
    /// Per job: its next operation, and from when on it could begin.
    next: Vec<u32>,
    ready: Vec<u32>,
    /// Per machine: from when on it is free, and whether it lets the present moment pass.
    free: Vec<u32>,
    waits: Vec<bool>,
    /// Per operation, job after job: when it began and where, or [`NONE`].
    starts: Vec<u32>,
    machines: Vec<u32>,
    /// Where each job's operations begin.
    first: Vec<u32>,
}

impl Floor {
    /// Nothing has begun.
    pub fn new(instance: &Instance) -> Self {
        let (jobs, operations) = (instance.jobs().len(), instance.operations());
        let mut first = Vec::with_capacity(jobs);
        let mut sum = 0;
        for job in instance.jobs() {
            first.push(sum);
            sum += job.len() as u32;
        }
        Floor {
            time: 0,
            next: vec![0; jobs],
            ready: vec![0; jobs],
            free: vec![0; instance.machines()],
            waits: vec![false; instance.machines()],
            starts: vec![NONE; operations],
            machines: vec![NONE; operations],
            first,
        }
    }

    /// Now, in units of time.
    pub fn time(&self) -> u32 {
        self.time
    }

    /// The number of a job's operation that has to begin next; as many as it has when all have begun.
    pub fn next(&self, job: usize) -> usize {
        self.next[job] as usize
    }

    /// From when on a job's next operation could begin, as far as the job goes: the end of the one before.
    pub fn ready(&self, job: usize) -> u32 {
        self.ready[job]
    }

    /// From when on a machine is free.
    pub fn free(&self, machine: usize) -> u32 {
        self.free[machine]
    }

    /// When the operations of a job that have begun did so, and on which machines.
    pub fn begun(&self, job: usize) -> impl Iterator<Item = (u32, usize)> {
        let first = self.first[job] as usize;
        (first..first + self.next(job)).map(|at| (self.starts[at], self.machines[at] as usize))
    }

    /// The machine on which a job's last operation began, where one has.
    pub fn last_machine(&self, job: usize) -> Option<usize> {
        let last = self.next[job].checked_sub(1)?;
        Some(self.machines[(self.first[job] + last) as usize] as usize)
    }

    /// Whether every operation has begun.
    pub fn done(&self, instance: &Instance) -> bool {
        instance.jobs().iter().zip(&self.next).all(|(job, next)| *next as usize >= job.len())
    }

    /// When the last operation ends of those that have begun.
    pub fn end(&self) -> u32 {
        self.ready.iter().copied().max().unwrap_or(0)
    }

    /// What has begun as a schedule; operations that have not are put at the largest number.
    pub fn schedule(&self, instance: &Instance) -> Schedule {
        let rows = |of: &[u32]| -> Vec<Vec<u32>> {
            let row = |(first, job): (&u32, &Vec<_>)| of[*first as usize..][..job.len()].to_vec();
            self.first.iter().zip(instance.jobs()).map(row).collect()
        };
        let machines = rows(&self.machines).into_iter();
        let machines = machines.map(|row| row.into_iter().map(|machine| machine as usize).collect());
        Schedule { starts: rows(&self.starts), machines: machines.collect() }
    }

    /// The jobs whose next operation `machine` can do and that are ready now, with its duration there.
    pub fn waiting<'a>(
        &'a self,
        instance: &'a Instance,
        machine: usize,
    ) -> impl Iterator<Item = (usize, u32)> + 'a {
        let ready = move |(job, duration)| (self.ready[job] <= self.time).then_some((job, duration));
        self.bound_for(instance, machine).filter_map(ready)
    }

    /// The jobs whose next operation `machine` can do, ready or not, with its duration there.
    pub fn bound_for<'a>(
        &'a self,
        instance: &'a Instance,
        machine: usize,
    ) -> impl Iterator<Item = (usize, u32)> + 'a {
        instance.jobs().iter().enumerate().filter_map(move |(job, operations)| {
            let able = operations.get(self.next(job))?.iter().find(|able| able.machine == machine)?;
            Some((job, able.duration))
        })
    }

    /// Whether a machine has to choose now: it is free, does not wait, and there is something for it to do.
    pub fn open(&self, instance: &Instance, machine: usize) -> bool {
        self.free[machine] <= self.time
            && !self.waits[machine]
            && self.waiting(instance, machine).next().is_some()
    }

    /// Whether an operation goes on now, so that time can pass.
    pub fn runs(&self) -> bool {
        self.free.iter().any(|free| *free > self.time)
    }

    /// A job's next operation begins at a time on a machine, where it takes `duration`. Nothing is checked.
    pub(super) fn begin(&mut self, job: usize, machine: usize, duration: u32, time: u32) {
        let at = (self.first[job] + self.next[job]) as usize;
        (self.starts[at], self.machines[at]) = (time, machine as u32);
        self.next[job] += 1;
        self.ready[job] = time + duration;
        self.free[machine] = time + duration;
    }

    /// A machine lets the present moment pass.
    pub(super) fn wait(&mut self, machine: usize) {
        self.waits[machine] = true;
    }

    /// Goes on to the next moment at which a machine has to choose. The moments between which it goes are the ends of
    /// operations: there is a best schedule in which every operation begins at 0 or at one of them.
    pub(super) fn advance(&mut self, instance: &Instance) {
        while !self.done(instance) && !(0..self.free.len()).any(|machine| self.open(instance, machine)) {
            let now = self.time;
            let ends = self.free.iter().chain(&self.ready).copied().filter(|end| *end > now);
            let Some(end) = ends.min() else { break };
            self.time = end;
            self.waits.fill(false);
        }
    }

    /// A makespan that nothing that can still be done goes below: the largest of
    /// - the end of what has begun,
    /// - for every job the earliest start of its next operation and all its work from there on,
    /// - for every machine the earliest moment at which one of the operations that only it can do could begin there, all
    ///   their work, and the least work that follows one of them in its job.
    ///
    /// It never falls while work goes on, and is the makespan once all has begun.
    pub fn bound(&self, instance: &Instance) -> u32 {
        self.bound_after(instance, None)
    }

    /// [`Floor::bound`] if a job's next operation began now on a machine and took so long: `(job, machine,
    /// duration)`.
    pub fn bound_after(&self, instance: &Instance, begins: Option<(usize, usize, u32)>) -> u32 {
        let mut most = u64::from(self.end());
        // Per machine: the earliest start, the work, the least work after.
        let mut loads = vec![(u64::MAX, 0u64, u64::MAX); instance.machines()];
        for (job, operations) in instance.jobs().iter().enumerate() {
            let mut next = self.next(job);
            let mut start = u64::from(self.ready[job].max(self.time));
            if let Some((_, _, duration)) = begins.filter(|(other, ..)| *other == job) {
                next += 1;
                start = u64::from(self.time) + u64::from(duration);
                most = most.max(start);
            }
            if next >= operations.len() {
                continue;
            }
            most = most.max(start + u64::from(instance.rest(job, next)));
            for (k, able) in operations.iter().enumerate().skip(next) {
                let after = u64::from(instance.rest(job, k + 1));
                let work = u64::from(instance.rest(job, k)) - after;
                if let [only] = able[..] {
                    let load = &mut loads[only.machine];
                    *load = (load.0.min(start), load.1 + work, load.2.min(after));
                }
                start += work;
            }
        }
        for (machine, (start, work, after)) in loads.into_iter().enumerate().filter(|(_, load)| load.1 > 0) {
            let free = match begins {
                Some((_, on, duration)) if on == machine => self.time + duration,
                _ => self.free[machine],
            };
            most = most.max(start.max(u64::from(free)) + work + after);
        }
        u32::try_from(most).unwrap_or(u32::MAX)
    }

    pub(super) fn visit(&mut self, codec: &mut Codec) -> Result<()> {
        codec.one(&mut self.time)?;
        for row in [&mut self.next, &mut self.ready, &mut self.free, &mut self.starts, &mut self.machines] {
            codec.all(row)?;
        }
        codec.all(&mut self.waits)
    }

    /// Whether nothing that follows can go wrong.
    pub(super) fn valid(&self, instance: &Instance) -> bool {
        let times = self.ready.iter().chain(&self.free).chain([&self.time]);
        let begun = self.starts.iter().zip(&self.machines);
        let next = instance.jobs().iter().zip(&self.next);
        times.max().is_some_and(|last| *last <= LATEST)
            && next.clone().all(|(job, next)| *next as usize <= job.len())
            && begun.clone().all(|(start, machine)| {
                (*start == NONE && *machine == NONE)
                    || (*start <= LATEST && (*machine as usize) < instance.machines())
            })
            && (0..self.next.len()).all(|job| self.begun(job).all(|(start, _)| start != NONE))
    }
}
