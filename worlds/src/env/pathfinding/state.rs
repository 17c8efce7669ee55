//! Saving and loading worlds between two steps. What the configuration determines (maps, instances, paths) is made
//! again from it; the rest is written as little-endian numbers. The bytes are not trusted.

use super::config::{OnTarget, PathfindingConfig};
use super::pcg64::Pcg64;
use super::source::Draws;
use super::world::{METRICS, Memory, NEVER, Rules, World};
use crate::env::EpisodeReport;
use crate::error::{Error, Result};

const MAGIC: &[u8; 8] = b"synodpf1";

/// Reports that may wait to be taken; a file with more is refused before memory is set aside for them.
const MAX_REPORTS: usize = 1 << 24;

/// What tells one configuration from another: a hash of all settings and maps.
pub(super) fn fingerprint(config: &PathfindingConfig, draws: &Draws) -> u64 {
    // FNV-1a.
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut add = |byte: u8| hash = (hash ^ byte as u64).wrapping_mul(0x0000_0100_0000_01b3);
    let settings = serde_json::to_vec(config).unwrap_or_else(|_| format!("{config:?}").into_bytes());
    settings.into_iter().chain(config.seed.to_le_bytes()).for_each(&mut add);
    for map in draws.maps() {
        (map.width() as u64).to_le_bytes().into_iter().for_each(&mut add);
        map.cells().iter().for_each(|cell| add(*cell as u8));
    }
    hash
}

struct Writer(Vec<u8>);

impl Writer {
    fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    fn word(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }

    fn long(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }

    fn words(&mut self, values: &[u32]) {
        values.iter().for_each(|v| self.word(*v));
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        if length > self.0.len() {
            return Err(broken("cut short"));
        }
        let (head, tail) = self.0.split_at(length);
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn word(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn long(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// As many words as there are agents, which the environment itself knows.
    fn words(&mut self, count: usize) -> Result<Vec<u32>> {
        (0..count).map(|_| self.word()).collect()
    }
}

fn broken(message: &str) -> Error {
    Error::Usage(format!("the saved worlds are {message}"))
}

/// The bytes of all worlds.
pub(super) fn save(fingerprint: u64, worlds: &[Option<World>], reports: &[EpisodeReport]) -> Vec<u8> {
    let mut to = Writer(MAGIC.to_vec());
    to.long(fingerprint);
    to.long(worlds.len() as u64);
    for world in worlds {
        let Some(world) = world else {
            to.byte(0);
            continue;
        };
        to.byte(if world.ended { 2 } else { 1 });
        to.long(world.episode);
        to.word(world.step);
        to.words(&world.positions);
        to.words(&world.targets);
        for (agent, present) in world.present.iter().enumerate() {
            let seen = world.occupied[world.positions[agent] as usize] != 0.0;
            to.byte(*present as u8 | (seen as u8) << 1);
        }
        to.words(&world.arrival);
        to.long(world.goals);
        to.long(world.total.to_bits());
        to.words(&world.target_number);
        for sightings in &world.sightings {
            let seen = || sightings.iter().enumerate().filter(|(_, count)| **count > 0);
            to.word(seen().count() as u32);
            seen().for_each(|(cell, count)| to.words(&[cell as u32, u32::from(*count)]));
        }
        for stream in &world.streams {
            stream.words().into_iter().for_each(|w| to.long(w));
        }
    }
    to.long(reports.len() as u64);
    for report in reports {
        to.word(report.world as u32);
        to.long(report.label.len() as u64);
        to.0.extend(report.label.as_bytes());
        let known = |name: &&'static str| METRICS.iter().position(|m| m == name);
        let values: Vec<(usize, f64)> =
            report.values.iter().filter_map(|(n, v)| Some((known(n)?, *v))).collect();
        to.byte(values.len() as u8);
        for (name, value) in values {
            to.byte(name as u8);
            to.long(value.to_bits());
        }
    }
    to.0
}

/// The worlds and waiting reports of such bytes.
pub(super) fn load(
    bytes: &[u8],
    fingerprint: u64,
    config: &PathfindingConfig,
    draws: &Draws,
) -> Result<(Vec<Option<World>>, Vec<EpisodeReport>)> {
    let mut from = Reader(bytes);
    if from.take(MAGIC.len()).ok() != Some(MAGIC.as_slice()) {
        return Err(broken("not those of a pathfinding environment"));
    }
    if from.long()? != fingerprint || from.long()? != config.worlds as u64 {
        return Err(broken("those of an environment with other settings or maps"));
    }
    let rules = Rules::new(config);
    let mut memory = Memory::default();
    let mut worlds = Vec::with_capacity(config.worlds);
    for index in 0..config.worlds {
        worlds.push(match from.byte()? {
            0 => None,
            flag @ (1 | 2) => {
                Some(load_world(&mut from, index, flag == 2, config, draws, &rules, &mut memory)?)
            }
            _ => return Err(broken("damaged")),
        });
    }
    let count = from.long()? as usize;
    if count > MAX_REPORTS {
        return Err(broken("damaged"));
    }
    let mut reports = Vec::new();
    for _ in 0..count {
        let world = from.word()? as usize;
        if world >= config.worlds {
            return Err(broken("damaged"));
        }
        let length = usize::try_from(from.long()?).map_err(|_| broken("damaged"))?;
        let label = String::from_utf8(from.take(length)?.to_vec()).map_err(|_| broken("damaged"))?;
        let mut values = Vec::new();
        for _ in 0..from.byte()? {
            let name = METRICS.get(from.byte()? as usize).ok_or_else(|| broken("damaged"))?;
            values.push((*name, f64::from_bits(from.long()?)));
        }
        reports.push(EpisodeReport { world, label, agents: config.agents, values });
    }
    if !from.0.is_empty() {
        return Err(broken("longer than they should be"));
    }
    Ok((worlds, reports))
}

fn load_world(
    from: &mut Reader,
    index: usize,
    ended: bool,
    config: &PathfindingConfig,
    draws: &Draws,
    rules: &Rules,
    memory: &mut Memory,
) -> Result<World> {
    let damaged = || broken("damaged");
    let episode = from.long()?;
    if episode == u64::MAX {
        return Err(damaged());
    }
    let (instance, ground) = draws.draw(config, index, episode)?;
    let mut world = World::start(index, episode, instance, ground, rules, memory, None);
    let agents = config.agents;
    world.ended = ended;
    world.step = from.word()?;
    if world.step > world.limit || (world.step == world.limit && !ended) {
        return Err(damaged());
    }
    let (starts, targets) = (from.words(agents)?, from.words(agents)?);
    let free = |cell: u32| {
        let (row, column) = (cell as usize / world.ground.stride, cell as usize % world.ground.stride);
        let pad = world.ground.pad;
        row >= pad && column >= pad && !world.ground.map.is_blocked((row - pad, column - pad))
    };
    if !starts.iter().chain(&targets).all(|cell| free(*cell)) {
        return Err(damaged());
    }
    (world.positions, world.targets) = (starts, targets);
    let mut flags = Vec::with_capacity(agents);
    for agent in 0..agents {
        let flag = from.byte()?;
        if flag > 3 {
            return Err(damaged());
        }
        world.present[agent] = flag & 1 != 0;
        flags.push(flag);
    }
    world.arrival = from.words(agents)?;
    if world.arrival.iter().any(|t| *t != NEVER && *t > world.step) {
        return Err(damaged());
    }
    world.goals = from.long()?;
    world.total = f64::from_bits(from.long()?);
    if world.goals > world.step as u64 * agents as u64 || !world.total.is_finite() {
        return Err(damaged());
    }
    world.target_number = from.words(agents)?;
    for (agent, number) in world.target_number.iter().enumerate() {
        if *number as usize > world.instance.further_targets.get(agent).map_or(0, Vec::len) {
            return Err(damaged());
        }
    }
    let mut sightings = world.sightings.clone();
    for sightings in &mut sightings {
        sightings.fill(0);
        for _ in 0..from.word()? {
            let (cell, count) = (from.word()? as usize, from.word()?);
            *sightings.get_mut(cell).ok_or_else(damaged)? = u16::try_from(count).map_err(|_| damaged())?;
        }
    }
    for stream in &mut world.streams {
        let mut words = [0; 5];
        for word in &mut words {
            *word = from.long()?;
        }
        *stream = Pcg64::from_words(words);
    }
    let mut here: Vec<u32> = (0..agents).filter(|a| world.present[*a]).map(|a| world.positions[a]).collect();
    let present = here.len();
    here.sort_unstable();
    here.dedup();
    // Two agents on one cell cannot come from a step, nor a gone agent where none ever goes.
    if here.len() != present
        || (config.on_target != OnTarget::Finish && present != agents)
        || (present == 0 && !ended)
    {
        return Err(damaged());
    }
    world.rebuild(rules, memory);
    world.sightings = sightings;
    world.plan(rules, memory);
    if config.invisible_follower {
        for agent in 0..agents {
            if world.present[agent] && flags[agent] & 2 == 0 {
                world.occupied[world.positions[agent] as usize] = 0.0;
            }
        }
    }
    Ok(world)
}
