//! What machines see, and what a critic sees of the whole floor.

use super::config::JobShopConfig;
use super::floor::Floor;
use super::instance::Instance;
use super::world::{Play, Shop};
use crate::env::vectorised::View;

/// Numbers about the machine and the floor.
const OWN: usize = 10;
/// Numbers about the job that a machine works on, beside where it goes.
const RUNNING: usize = 3;
/// Numbers about a job that can be chosen.
const CANDIDATE: usize = 12;
/// Numbers about a job on its way.
const COMING: usize = 5;

/// Numbers that a machine sees.
pub(super) fn length(shop: &Shop) -> usize {
    let JobShopConfig { coming, ref foresight, .. } = shop.config;
    let rules = foresight.len();
    OWN + rules + RUNNING + shop.machines + (CANDIDATE + 2 * rules) * shop.jobs + COMING * coming
}

/// Numbers that a critic of the whole floor sees.
pub(super) fn state_length(jobs: usize, machines: usize) -> usize {
    3 + 3 * jobs + 2 * machines
}

/// The job that a machine works on now.
pub(super) fn running(play: &Play, machine: usize) -> Option<usize> {
    let floor = &play.floor;
    if machine >= play.instance.machines() || floor.free(machine) <= floor.time() {
        return None;
    }
    let mut jobs = 0..play.instance.jobs().len();
    jobs.find(|job| floor.ready(*job) > floor.time() && floor.last_machine(*job) == Some(machine))
}

/// The fastest machine for an operation of a job, and how long it takes there; `None` after the last.
fn fastest(instance: &Instance, job: usize, operation: usize) -> Option<(usize, u32)> {
    let able = instance.jobs()[job].get(operation)?;
    able.iter().map(|a| (a.machine, a.duration)).min_by_key(|(_, duration)| *duration)
}

/// The machine (of several the fastest) that a job goes to after what has begun.
pub(super) fn goes_to(play: &Play, job: usize) -> Option<usize> {
    fastest(&play.instance, job, play.floor.next(job)).map(|(machine, _)| machine)
}

/// Writes numbers one after another.
struct Pen<'a>(std::slice::IterMut<'a, f32>);

impl Pen<'_> {
    fn put(&mut self, number: f64) {
        if let Some(place) = self.0.next() {
            *place = number as f32;
        }
    }

    fn flag(&mut self, flag: bool) {
        self.put(f64::from(u8::from(flag)));
    }
}

/// What is needed for every machine, counted once.
struct Counts {
    /// Per machine: work that has not begun, and jobs that stand before it now.
    work: Vec<f64>,
    queue: Vec<usize>,
    /// The makespan by each rule of the foresight.
    foreseen: Vec<u32>,
    share: f64,
    /// A unit for durations, and one for work.
    mean: f64,
    bound: f64,
}

impl Counts {
    fn of(shop: &Shop, play: &Play) -> Counts {
        let (instance, floor) = (&*play.instance, &play.floor);
        let mut work = vec![0.0; instance.machines()];
        let mut queue = vec![0; instance.machines()];
        let mut begun = 0;
        for (job, operations) in instance.jobs().iter().enumerate() {
            begun += floor.next(job);
            for operation in floor.next(job)..operations.len() {
                if let Some((machine, duration)) = fastest(instance, job, operation) {
                    work[machine] += f64::from(duration);
                    queue[machine] +=
                        usize::from(operation == floor.next(job) && floor.ready(job) <= floor.time());
                }
            }
        }
        Counts {
            work,
            queue,
            foreseen: shop.config.foresight.iter().map(|rule| rule.foresee(instance, floor, None)).collect(),
            share: begun as f64 / instance.operations() as f64,
            mean: instance.mean_duration(),
            bound: f64::from(instance.bound()),
        }
    }
}

fn difference(a: u32, b: u32) -> f64 {
    f64::from(a) - f64::from(b)
}

/// Writes what all machines see and may do, and the state.
pub(super) fn observe(shop: &Shop, play: &Play, view: &mut View) {
    let counts = Counts::of(shop, play);
    let options = 1 + shop.jobs;
    let all: Vec<_> = (0..shop.machines).map(|machine| shop.candidates(play, machine)).collect();
    let may_wait = shop.may_wait(&play.floor, all.iter().filter(|c| !c.is_empty()).count());
    for (machine, candidates) in all.iter().enumerate() {
        let mask = &mut view.masks(0)[machine * options..][..options];
        mask.fill(0.0);
        let waits = candidates.is_empty() || may_wait;
        mask[0] = f32::from(u8::from(waits));
        mask[1..][..candidates.len()].fill(1.0);
        let row = view.observation(0, machine);
        row.fill(0.0);
        if machine < play.instance.machines() {
            see(shop, play, &counts, machine, candidates, may_wait, row);
        }
    }
    state(shop, play, &counts, view.state());
}

fn see(
    shop: &Shop,
    play: &Play,
    counts: &Counts,
    machine: usize,
    candidates: &[(usize, u32)],
    may_wait: bool,
    row: &mut [f32],
) {
    let (instance, floor) = (&*play.instance, &play.floor);
    let (now, mean, bound) = (floor.time(), counts.mean, counts.bound);
    let rules = &shop.config.foresight;
    let (own, rest) = row.split_at_mut(OWN + rules.len());
    let (run, rest) = rest.split_at_mut(RUNNING + shop.machines);
    let (slots, coming) = rest.split_at_mut((CANDIDATE + 2 * rules.len()) * shop.jobs);
    let mut pen = Pen(own.iter_mut());
    pen.flag(true);
    pen.flag(!candidates.is_empty());
    pen.flag(!candidates.is_empty() && may_wait);
    pen.put(f64::from(floor.free(machine).saturating_sub(now)) / mean);
    pen.put(counts.work[machine] / bound);
    let least = f64::from(floor.free(machine).max(now)) + counts.work[machine];
    pen.put((f64::from(play.bound) - least) / bound);
    pen.put(counts.share);
    pen.put(f64::from(now) / bound);
    pen.put(f64::from(play.bound) / bound - 1.0);
    pen.put(candidates.len() as f64 / shop.jobs as f64);
    counts.foreseen.iter().for_each(|end| pen.put(difference(*end, play.bound) / mean));
    if let Some(job) = running(play, machine) {
        let next = fastest(instance, job, floor.next(job));
        let mut pen = Pen(run.iter_mut());
        pen.flag(true);
        pen.put(f64::from(instance.rest(job, floor.next(job))) / bound);
        pen.put(next.map_or(0.0, |(_, duration)| f64::from(duration) / mean));
        if let Some((to, _)) = next {
            run[RUNNING + to] = 1.0;
        }
    }
    let slot = CANDIDATE + 2 * rules.len();
    for ((job, duration), slot) in candidates.iter().zip(slots.chunks_exact_mut(slot)) {
        candidate(play, counts, machine, *job, *duration, slot);
    }
    for (i, rule) in rules.iter().enumerate() {
        let after =
            |(job, duration): &(usize, u32)| rule.foresee(instance, floor, Some((*job, machine, *duration)));
        let ends: Vec<u32> = candidates.iter().map(after).collect();
        let least = ends.iter().copied().min().unwrap_or(0);
        for (end, slot) in ends.into_iter().zip(slots.chunks_exact_mut(slot)) {
            slot[CANDIDATE + 2 * i] = (difference(end, play.bound) / mean) as f32;
            slot[CANDIDATE + 2 * i + 1] = (difference(end, least) / mean) as f32;
        }
    }
    let on_their_way = |(job, _): &(usize, u32)| floor.ready(*job) > now;
    let mut others: Vec<(usize, u32)> = floor.bound_for(instance, machine).filter(on_their_way).collect();
    others.sort_by_key(|(job, _)| (floor.ready(*job), *job));
    for ((job, duration), slot) in others.into_iter().zip(coming.chunks_exact_mut(COMING)) {
        let work = instance.rest(job, floor.next(job));
        let mut pen = Pen(slot.iter_mut());
        pen.flag(true);
        pen.put(difference(floor.ready(job), now) / mean);
        pen.put(f64::from(duration) / mean);
        pen.put(f64::from(work) / bound);
        pen.put((difference(play.bound, floor.ready(job)) - f64::from(work)) / bound);
    }
}

/// A job that can be chosen: itself, and the machine that it goes to next.
fn candidate(play: &Play, counts: &Counts, machine: usize, job: usize, duration: u32, slot: &mut [f32]) {
    let (instance, floor) = (&*play.instance, &play.floor);
    let (now, mean, bound) = (floor.time(), counts.mean, counts.bound);
    let (next, work) = (floor.next(job), instance.rest(job, floor.next(job)));
    let operations = &instance.jobs()[job];
    let mut pen = Pen(slot.iter_mut());
    pen.flag(true);
    pen.put(f64::from(duration) / mean);
    pen.put(f64::from(work) / bound);
    pen.put((operations.len() - next) as f64 / operations.len() as f64);
    pen.put(difference(now, floor.ready(job)) / mean);
    pen.put((difference(play.bound, now) - f64::from(work)) / mean);
    pen.put(difference(floor.bound_after(instance, Some((job, machine, duration))), play.bound) / mean);
    if let Some((to, after)) = fastest(instance, job, next + 1) {
        let end = now + duration;
        pen.put(f64::from(after) / mean);
        pen.put(f64::from(floor.free(to).saturating_sub(end)) / mean);
        // A machine that has nothing before it and is free before the job comes.
        let dry = counts.queue[to] == 0 && floor.free(to) < end && to != machine;
        pen.put(if dry { difference(end, floor.free(to).max(now)) / mean } else { 0.0 });
        pen.put(counts.queue[to] as f64 / instance.jobs().len() as f64);
        pen.put(counts.work[to] / bound);
    }
}

fn state(shop: &Shop, play: &Play, counts: &Counts, state: &mut [f32]) {
    let (instance, floor) = (&*play.instance, &play.floor);
    state.fill(0.0);
    let (first, rest) = state.split_at_mut(3);
    let (jobs, machines) = rest.split_at_mut(3 * shop.jobs);
    let mut pen = Pen(first.iter_mut());
    pen.put(f64::from(play.bound) / counts.bound - 1.0);
    pen.put(counts.share);
    pen.put(f64::from(floor.time()) / counts.bound);
    let until = |time: u32, floor: &Floor| f64::from(time.saturating_sub(floor.time())) / counts.bound;
    for (job, row) in jobs.chunks_exact_mut(3).enumerate().take(instance.jobs().len()) {
        let mut pen = Pen(row.iter_mut());
        pen.put(until(floor.ready(job), floor));
        pen.put(f64::from(instance.rest(job, floor.next(job))) / counts.bound);
        let all = instance.jobs()[job].len();
        pen.put((all - floor.next(job)) as f64 / all as f64);
    }
    for (machine, row) in machines.chunks_exact_mut(2).enumerate().take(instance.machines()) {
        let mut pen = Pen(row.iter_mut());
        pen.put(until(floor.free(machine), floor));
        pen.put(counts.work[machine] / counts.bound);
    }
}
