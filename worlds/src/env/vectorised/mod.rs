//! A vectorised environment out of the rules of one world: [`Rules`] says how a world starts, steps and looks,
//! [`Vectorised`] steps many of them in parallel, counts returns, cuts episodes off, saves and loads. No world's own
//! rules live here.

mod codec;
mod rows;
mod rules;

pub use codec::{Codec, Number};
pub use rows::{Chosen, View};
pub use rules::{Outcome, Pay, Rules};

use std::fmt::Debug;

use super::pathfinding::Pcg64;
use super::{Buffers, Drawing, EpisodeReport, Fact, Spec, VecEnv, memory};
use crate::action::Actions;
use crate::cpu::map_mut;
use crate::error::{self, Error, Result};
use rows::{Layout, Rows};

const MAGIC: &[u8; 8] = b"synodvw1";

/// Reports that may wait to be taken; bytes with more are refused before memory is set aside for them.
const MAX_REPORTS: u64 = 1 << 24;

/// One world and what is counted about it.
#[derive(Debug, Clone)]
struct Slot<W> {
    world: W,
    random: Pcg64,
    started: bool,
    ended: bool,
    /// The number of the next episode.
    episode: u64,
    step: u32,
    /// The sum of all agents' rewards.
    total: f64,
}

/// Many worlds of the same rules, stepped at once.
#[derive(Debug)]
pub struct Vectorised<R: Rules> {
    rules: R,
    spec: Spec,
    layout: Layout,
    fingerprint: u64,
    slots: Vec<Slot<R::World>>,
    reports: Vec<EpisodeReport>,
    /// The last step's actions with floats held to their bounds; unused where there are no floats.
    bounded: Actions,
}

impl<R: Rules> Vectorised<R> {
    /// Worlds as `rules` say (or the settings that make them), each with its own stream of random numbers from
    /// `seed`. Nothing is in them until the first [`VecEnv::reset`].
    ///
    /// # Errors
    /// [`Error::Config`] for a setting out of range.
    pub fn new(rules: impl Into<R>, seed: u64) -> Result<Self> {
        let rules = rules.into();
        rules.check()?;
        let worlds = rules.worlds();
        let too_large = |expected: &str| Error::config("world.worlds", expected);
        if !(1..=1 << 20).contains(&worlds) {
            return Err(too_large(&format!("expected 1 to 1048576, got {worlds}")));
        }
        let (kinds, state, masked, limit) = (rules.kinds(), rules.state(), rules.masked(), rules.longest());
        let spec = Spec { worlds, kinds, state, masked, limit };
        spec.kinds.iter().try_for_each(|kind| kind.actions.check())?;
        let numbers = spec.kinds.iter().try_fold(0usize, |sum, kind| {
            let observation = kind.observation.iter().try_fold(1usize, |n, side| n.checked_mul(*side))?;
            let acted = kind.actions.parameters();
            sum.checked_add(observation.checked_add(acted)?.checked_mul(kind.count)?)
        });
        let numbers = numbers.and_then(|n| n.checked_add(spec.state)).and_then(|n| n.checked_mul(worlds));
        if numbers.is_none_or(|n| n > 1 << 34) || spec.agents() > u32::MAX as usize {
            return Err(too_large("expected worlds x agents x observation of at most 2^34 numbers"));
        }
        memory::require("world.worlds", numbers.and_then(|n| n.checked_mul(size_of::<f32>())))?;
        // Made once: some rules work out with it what all their worlds share.
        let first = rules.blank();
        let stream = |world: usize| {
            let mut blank = first.clone();
            rules.number(&mut blank, world);
            Slot {
                world: blank,
                // The last word keeps streams of other lengths of seed apart.
                random: Pcg64::from_entropy(&[seed as u32, (seed >> 32) as u32, world as u32, 1]),
                started: false,
                ended: false,
                episode: 0,
                step: 0,
                total: 0.0,
            }
        };
        let slots = (0..worlds).map(stream).collect();
        let layout = Layout::new(&spec);
        let fingerprint = fingerprint(&rules, seed);
        let bounded = if layout.bounds.is_empty() { Actions::default() } else { spec.actions() };
        Ok(Vectorised { rules, spec, layout, fingerprint, slots, reports: Vec::new(), bounded })
    }

    /// The rules.
    pub fn rules(&self) -> &R {
        &self.rules
    }

    /// A world as it is now, for pictures and scripted play; `None` before its first reset or where there is none.
    pub fn world(&self, index: usize) -> Option<&R::World> {
        self.slots.get(index).filter(|slot| slot.started).map(|slot| &slot.world)
    }

    /// A world to be set up by hand: scenes that no reset draws. What agents see of it is written by the next step.
    pub fn world_mut(&mut self, index: usize) -> Option<&mut R::World> {
        self.slots.get_mut(index).filter(|slot| slot.started).map(|slot| &mut slot.world)
    }

    /// Gives a world another stream of random numbers, to draw its next episodes from.
    ///
    /// # Errors
    /// There is no such world.
    pub fn set_random(&mut self, world: usize, random: Pcg64) -> Result<()> {
        let worlds = self.slots.len();
        let slot = self
            .slots
            .get_mut(world)
            .ok_or_else(|| Error::Usage(format!("set_random: world {world} of {worlds}")))?;
        slot.random = random;
        Ok(())
    }

    /// Refuses an action that an agent does not have, where the agent takes part.
    fn check_actions(&self, actions: &Actions) -> Result<()> {
        if let Some(index) = self.slots.iter().position(|slot| !slot.started) {
            return Err(Error::Usage(format!("step: world {index} has never been reset")));
        }
        // Nearly always all is well.
        if self.layout.all_valid(actions) {
            return Ok(());
        }
        let mut active = vec![true; self.layout.agents];
        for (index, slot) in self.slots.iter().enumerate().filter(|(_, slot)| !slot.ended) {
            active.fill(true);
            self.rules.active(&slot.world, &mut active);
            let chosen = Chosen::new(actions, &self.layout, index);
            let places = chosen.each().zip(self.layout.spaces()).enumerate();
            for (agent, ((integers, floats), (sizes, _))) in places.filter(|(agent, _)| active[*agent]) {
                if let Some((action, limit)) = integers.iter().zip(sizes).find(|(a, limit)| a >= limit) {
                    return Err(Error::Usage(format!(
                        "step: action {action} of agent {agent} in world {index}; actions go from 0 to {}",
                        limit - 1
                    )));
                }
                if let Some(number) = floats.iter().find(|number| !number.is_finite()) {
                    return Err(Error::Usage(format!(
                        "step: action {number} of agent {agent} in world {index} is not finite"
                    )));
                }
            }
        }
        Ok(())
    }
}

/// Calls `each` with every world (its index, itself, its rows), chunks of worlds in parallel; gives what it gave.
fn for_worlds<R: Rules, T: Send>(
    slots: &mut [Slot<R::World>],
    layout: &Layout,
    out: &mut Buffers,
    each: impl Fn(usize, &mut Slot<R::World>, &mut View) -> Option<T> + Sync,
) -> Vec<T> {
    // A function of the sizes, never of the threads.
    let chunk = (R::CHUNK_AGENTS / layout.agents).max(1);
    let rows = Rows::chunks(out, layout, slots.len(), chunk);
    let mut chunks: Vec<_> = slots.chunks_mut(chunk).zip(rows).collect();
    let given = map_mut(&mut chunks, |number, (slots, rows)| {
        let mut given = Vec::new();
        for (at, slot) in slots.iter_mut().enumerate() {
            given.extend(each(number * chunk + at, slot, &mut View::new(rows, layout, at)));
        }
        given
    });
    given.into_iter().flatten().collect()
}

/// Writes what a world shows between two steps.
fn show<R: Rules>(rules: &R, slot: &Slot<R::World>, view: &mut View) {
    view.all_masks();
    rules.observe(&slot.world, view);
    let active = view.active();
    active.fill(!slot.ended);
    if !slot.ended {
        rules.active(&slot.world, active);
    }
    view.set_ended(slot.ended);
}

/// One step of one world; the report if its episode ended with it.
fn advance<R: Rules>(
    rules: &R,
    index: usize,
    slot: &mut Slot<R::World>,
    actions: Chosen,
    view: &mut View,
) -> Option<EpisodeReport> {
    view.clear();
    if slot.ended {
        show(rules, slot, view);
        return None;
    }
    let (rewards, terminated, truncated, active) = view.lanes();
    active.fill(true);
    rules.active(&slot.world, active);
    let outcome = rules.step(&mut slot.world, actions, &mut slot.random, &mut Pay { rewards, terminated });
    slot.step += 1;
    let at_limit = slot.step >= rules.limit();
    slot.ended = outcome == Outcome::Ends || at_limit;
    slot.total += rewards.iter().map(|r| f64::from(*r)).sum::<f64>();
    for agent in (0..active.len()).filter(|agent| active[*agent]) {
        terminated[agent] |= outcome == Outcome::Ends;
        truncated[agent] = at_limit && !terminated[agent];
    }
    let report = slot.ended.then(|| {
        let agents = active.len();
        let shares = if R::SUMMED { 1 } else { agents };
        let mut values = Vec::with_capacity(2 + R::METRICS.len());
        values.extend([("return", slot.total / shares as f64), ("length", f64::from(slot.step))]);
        values.extend(R::METRICS.iter().copied().zip(rules.metrics(&slot.world)));
        let label = if R::LABELLED { rules.label(&slot.world) } else { String::new() };
        EpisodeReport { world: index, label, agents, values }
    });
    show(rules, slot, view);
    report
}

impl<R: Rules> VecEnv for Vectorised<R> {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, which: &[bool], out: &mut Buffers) -> Result<()> {
        if which.len() != self.spec.worlds {
            let (got, expected) = (which.len(), self.spec.worlds);
            return Err(Error::Usage(format!("reset: {got} marks for {expected} worlds")));
        }
        out.check(&self.spec)?;
        let rules = &self.rules;
        for_worlds::<R, ()>(&mut self.slots, &self.layout, out, |index, slot, view| {
            if which[index] {
                rules.reset(&mut slot.world, slot.episode, &mut slot.random);
                (slot.started, slot.ended) = (true, false);
                (slot.step, slot.total) = (0, 0.0);
                slot.episode += 1;
                view.clear();
                show(rules, slot, view);
            }
            None
        });
        Ok(())
    }

    fn step(&mut self, actions: &Actions, out: &mut Buffers) -> Result<()> {
        let [integers, floats] = self.spec.action_lengths();
        actions.expect("step", integers, floats, self.spec.worlds * self.layout.agents)?;
        out.check(&self.spec)?;
        self.check_actions(actions)?;
        let (rules, layout) = (&self.rules, &self.layout);
        let actions = if floats == 0 {
            actions
        } else {
            self.bounded.clone_from(actions);
            layout.bound(&mut self.bounded.continuous);
            &self.bounded
        };
        let reports = for_worlds::<R, _>(&mut self.slots, layout, out, |index, slot, view| {
            advance(rules, index, slot, Chosen::new(actions, layout, index), view)
        });
        self.reports.extend(reports);
        Ok(())
    }

    fn take_reports(&mut self) -> Vec<EpisodeReport> {
        std::mem::take(&mut self.reports)
    }

    fn save(&self) -> Vec<u8> {
        let mut codec = Codec::writer();
        let mut slots = self.slots.clone();
        let mut reports = self.reports.clone();
        let (mut magic, mut fingerprint) = (*MAGIC, self.fingerprint);
        let mut count = reports.len() as u64;
        // Writing into memory cannot fail.
        let _ = codec.all(&mut magic);
        let _ = codec.one(&mut fingerprint);
        for slot in &mut slots {
            let _ = visit(&self.rules, slot, &mut codec);
        }
        let _ = codec.one(&mut count);
        for report in &mut reports {
            let _ = visit_report::<R>(report, &mut codec);
        }
        codec.into_bytes()
    }

    fn load(&mut self, bytes: &[u8]) -> Result<()> {
        let mut codec = Codec::reader(bytes);
        let (mut magic, mut fingerprint, mut count) = ([0; 8], 0, 0);
        if codec.all(&mut magic).is_err() || &magic != MAGIC {
            return Err(codec::broken("not those of such an environment"));
        }
        codec.one(&mut fingerprint)?;
        if fingerprint != self.fingerprint {
            return Err(codec::broken("those of an environment with other settings"));
        }
        let mut slots = self.slots.clone();
        for slot in &mut slots {
            visit(&self.rules, slot, &mut codec)?;
            let over = slot.step > self.rules.limit() || (slot.step == self.rules.limit() && !slot.ended);
            if (slot.started && (over || !self.rules.valid(&slot.world)))
                || (slot.started != (slot.episode > 0))
                || slot.episode == u64::MAX
                || (slot.ended && !slot.started)
            {
                return Err(codec::broken("damaged"));
            }
        }
        codec.one(&mut count)?;
        if count > MAX_REPORTS {
            return Err(codec::broken("damaged"));
        }
        let mut reports = Vec::new();
        for _ in 0..count {
            let agents = self.layout.agents;
            let mut report = EpisodeReport { world: 0, label: String::new(), agents, values: names::<R>() };
            visit_report::<R>(&mut report, &mut codec)?;
            if report.world >= self.spec.worlds {
                return Err(codec::broken("damaged"));
            }
            reports.push(report);
        }
        codec.finish()?;
        (self.slots, self.reports) = (slots, reports);
        Ok(())
    }

    fn draw(&self, world: usize) -> Option<Drawing> {
        let mut drawing = self.rules.draw(self.world(world)?)?;
        if drawing.title.is_empty() {
            drawing.title = R::NAME.to_owned();
        }
        Some(drawing)
    }

    fn facts(&self) -> Vec<Fact> {
        self.rules.facts()
    }

    fn fact_values(&self, world: usize, agent: usize) -> Vec<Option<u32>> {
        let count = self.rules.facts().len();
        let mut values = self.world(world).map_or(Vec::new(), |w| self.rules.fact_values(w, agent));
        values.resize(count, None);
        values
    }

    fn useful_links(&self) -> Option<Vec<(u32, u32)>> {
        self.rules.useful_links()
    }

    fn equilibrium(&self) -> Option<Vec<Vec<f64>>> {
        self.rules.equilibrium()
    }

    fn answers(&self, actions: &mut Actions, known: &mut [bool]) -> Result<()> {
        if !self.rules.answers() {
            return Err(Error::Usage(format!("`{}` does not say what would be right", R::NAME)));
        }
        let [integers, floats] = self.spec.action_lengths();
        let agents = self.layout.agents;
        actions.expect("answers", integers, floats, self.spec.worlds * agents)?;
        if known.len() != self.spec.worlds * agents {
            let (got, expected) = (known.len(), self.spec.worlds * agents);
            return Err(Error::Usage(format!("answers: {got} marks for {expected} agents")));
        }
        for (index, (slot, known)) in self.slots.iter().zip(known.chunks_exact_mut(agents)).enumerate() {
            for (agent, known) in known.iter_mut().enumerate() {
                let [discrete, continuous] = self.layout.actions_of(index, agent);
                let (discrete, continuous) =
                    (&mut actions.discrete[discrete], &mut actions.continuous[continuous]);
                *known = slot.started
                    && !slot.ended
                    && self.rules.answer(&slot.world, agent, discrete, continuous);
            }
        }
        Ok(())
    }

    fn task_episodes(&self) -> u32 {
        self.rules.task_episodes()
    }

    fn action_names(&self, agent: usize) -> Vec<String> {
        self.rules.action_names(agent)
    }
}

fn visit<R: Rules>(rules: &R, slot: &mut Slot<R::World>, codec: &mut Codec) -> Result<()> {
    codec.one(&mut slot.started)?;
    codec.one(&mut slot.ended)?;
    codec.one(&mut slot.episode)?;
    codec.one(&mut slot.step)?;
    codec.one(&mut slot.total)?;
    let mut words = slot.random.words();
    codec.all(&mut words)?;
    slot.random = Pcg64::from_words(words);
    if slot.started { rules.visit(&mut slot.world, codec) } else { Ok(()) }
}

fn names<R: Rules>() -> Vec<(&'static str, f64)> {
    ["return", "length"].iter().chain(R::METRICS).map(|name| (*name, 0.0)).collect()
}

/// Bytes that a label may have.
const MOST_LABEL: u32 = 1 << 10;

fn visit_report<R: Rules>(report: &mut EpisodeReport, codec: &mut Codec) -> Result<()> {
    if R::LABELLED {
        let mut bytes = std::mem::take(&mut report.label).into_bytes();
        let mut length = bytes.len() as u32;
        codec.one(&mut length)?;
        if length > MOST_LABEL {
            return Err(codec::broken("damaged"));
        }
        bytes.resize(length as usize, 0);
        codec.all(&mut bytes)?;
        report.label = String::from_utf8(bytes).map_err(|_| codec::broken("damaged"))?;
    }
    let mut world = report.world as u64;
    codec.one(&mut world)?;
    report.world = usize::try_from(world).map_err(|_| codec::broken("damaged"))?;
    for (_, value) in &mut report.values {
        codec.one(value)?;
    }
    Ok(())
}

/// What tells one environment from another: a hash (FNV-1a) of its name, settings and seed.
fn fingerprint<R: Rules>(rules: &R, seed: u64) -> u64 {
    let settings = serde_json::to_vec(rules).unwrap_or_else(|_| format!("{rules:?}").into_bytes());
    let bytes = R::NAME.bytes().chain([0]).chain(settings).chain(seed.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Checks that the setting `key` of a world lies between two ends, both allowed.
pub(super) fn within<T>(key: &str, value: T, low: T, high: T) -> Result<()>
where
    T: PartialOrd + std::fmt::Display + std::fmt::LowerExp,
{
    error::within(format!("world.{key}"), value, low, high)
}
