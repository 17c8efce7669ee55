//! The road network: lanes that lead into each other, and junctions, whose lanes (the movements) are in each other's
//! way. It knows nothing of vehicles, of who drives them or of signals.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::meeting::{Conflict, Meeting, zone};
use super::path::Path;
use super::way::Turn;

/// No lane.
pub const NONE: u32 = u32::MAX;
/// Lanes of a network at most.
pub const MOST_LANES: usize = 1 << 12;
/// Movements of a junction at most.
pub const MOST_MOVEMENTS: usize = 64;
/// Exits of a network at most.
pub const MOST_EXITS: usize = 1 << 10;
/// The shortest lane, in metres.
pub const SHORTEST: f64 = 4.0;
/// The longest lane, and the longest movement over a junction, in metres.
pub const LONGEST: f64 = 1e4;
/// See [`LONGEST`].
pub const LONGEST_MOVEMENT: f64 = 100.0;
/// Lanes that lead into each other end and begin in one place, to so many metres.
const JOINED: f64 = 0.5;
/// What a change of lanes counts as, in seconds, where ways are compared.
const CHANGE: f64 = 5.0;
/// Lanes that are looked through for the next junction.
pub(super) const LOOKED_THROUGH: usize = 64;
/// A way over a junction to the left or right turns by more than this, in radians.
const TURNS: f64 = 0.5;

/// A lane as it is described.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneParts {
    /// Its name.
    pub name: String,
    /// Its middle line, in metres.
    pub points: Vec<[f64; 2]>,
    /// Its speed limit, in m/s.
    pub limit: f64,
    /// The lanes that it leads into; none for an exit.
    pub next: Vec<usize>,
    /// The lane to its left that can be changed to and from.
    pub left: Option<usize>,
    /// Vehicles that come in here, an hour; `None` where none can.
    pub demand: Option<f64>,
    /// Which way goes first where two meet and nothing else decides: the higher.
    pub priority: u8,
}

/// A junction as it is described.
#[derive(Debug, Clone, PartialEq)]
pub struct JunctionParts {
    /// Its name.
    pub name: String,
    /// The lanes over it.
    pub movements: Vec<usize>,
}

/// A lane.
#[derive(Debug, Clone)]
pub struct Lane {
    /// Its name.
    pub name: String,
    /// Its middle line.
    pub path: Path,
    /// Metres.
    pub length: f64,
    /// m/s.
    pub limit: f64,
    /// The lanes that it leads into.
    pub next: Vec<u32>,
    /// The lanes that lead into it.
    pub previous: Vec<u32>,
    /// The lanes to the left and to the right, or [`NONE`].
    pub beside: [u32; 2],
    /// Vehicles an hour that come in here.
    pub demand: Option<f64>,
    /// See [`LaneParts::priority`].
    pub priority: u8,
    /// The junction that it leads over, or [`NONE`].
    pub junction: u32,
    /// Whom it meets there.
    pub conflicts: Vec<Conflict>,
    /// By how much it turns, in radians, to the left above 0.
    pub turn: f64,
    /// The movements that it leads into, in the order of [`Turn::ALL`], or [`NONE`].
    pub turns: [u32; 3],
}

impl Lane {
    /// What it does, as a way over a junction.
    pub fn turning(&self) -> Turn {
        match self.turn {
            turn if turn > TURNS => Turn::Left,
            turn if turn < -TURNS => Turn::Right,
            _ => Turn::Straight,
        }
    }
}

/// A junction.
#[derive(Debug, Clone, PartialEq)]
pub struct Junction {
    /// Its name.
    pub name: String,
    /// The lanes over it.
    pub movements: Vec<u32>,
}

/// What is wrong with a network, and with which part of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// The lane or junction at fault.
    pub part: Part,
    /// The key at fault.
    pub key: &'static str,
    /// What is wrong.
    pub message: String,
}

/// A part of a network, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// A lane.
    Lane(usize),
    /// A junction.
    Junction(usize),
}

/// What is next for a vehicle on a lane that wants to an exit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The lane after this one.
    pub lane: u32,
    /// The lane beside it that is better, or [`NONE`].
    pub change: u32,
    /// The next movement over a junction, or [`NONE`].
    pub movement: u32,
    /// From the start of this lane to the start of that, in metres.
    pub distance: f64,
    /// Seconds to the exit on a free road; infinite where it cannot be reached.
    pub seconds: f64,
}

/// Lanes and junctions, checked, with what follows from them.
#[derive(Debug, Clone)]
pub struct Network {
    lanes: Vec<Lane>,
    junctions: Vec<Junction>,
    entries: Vec<u32>,
    exits: Vec<u32>,
    /// `[exits, lanes]`.
    steps: Vec<Step>,
    /// For each entry the exits that it leads to.
    destinations: Vec<Vec<u16>>,
}

fn fault<T>(part: Part, key: &'static str, message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault { part, key, message: message.into() })
}

impl Network {
    /// Checks a network; vehicles need `clearance` metres between the middles of lanes to pass each other.
    ///
    /// # Errors
    /// The first part at fault: a number out of range, lanes that do not join, a lane that no way leads to, one from
    /// which no exit can be reached, lanes that meet outside junctions.
    pub fn new(
        lanes: Vec<LaneParts>,
        junctions: Vec<JunctionParts>,
        clearance: f64,
    ) -> Result<Network, Fault> {
        let mut network = Network {
            lanes: checked(lanes)?,
            junctions: Vec::new(),
            entries: Vec::new(),
            exits: Vec::new(),
            steps: Vec::new(),
            destinations: Vec::new(),
        };
        network.join()?;
        network.enter_junctions(junctions, clearance)?;
        network.find_ways()?;
        Ok(network)
    }

    /// The lanes.
    pub fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// A lane.
    #[inline]
    pub fn lane(&self, lane: u32) -> &Lane {
        &self.lanes[lane as usize]
    }

    /// The junctions.
    pub fn junctions(&self) -> &[Junction] {
        &self.junctions
    }

    /// The lanes at which vehicles come in.
    pub fn entries(&self) -> &[u32] {
        &self.entries
    }

    /// The lanes at whose ends they leave.
    pub fn exits(&self) -> &[u32] {
        &self.exits
    }

    /// The exits (their places in [`Network::exits`]) that an entry leads to.
    pub fn destinations(&self, entry: usize) -> &[u16] {
        &self.destinations[entry]
    }

    /// What is next on a lane for who wants to an exit.
    #[inline]
    pub fn step(&self, exit: u16, lane: u32) -> &Step {
        &self.steps[usize::from(exit) * self.lanes.len() + lane as usize]
    }

    /// Whether a lane leads over a junction.
    #[inline]
    pub fn is_movement(&self, lane: u32) -> bool {
        self.lane(lane).junction != NONE
    }

    /// A lane and those beside it.
    pub fn road(&self, lane: u32) -> impl Iterator<Item = u32> {
        let side = move |side: usize| {
            let next = move |lane: &u32| Some(self.lane(*lane).beside[side]).filter(|other| *other != NONE);
            std::iter::successors(next(&lane), next).take(self.lanes.len())
        };
        std::iter::once(lane).chain(side(0)).chain(side(1))
    }

    /// Who comes from where: lanes that lead into lanes.
    fn join(&mut self) -> Result<(), Fault> {
        for number in 0..self.lanes.len() {
            let end = self.lanes[number].path.at(self.lanes[number].length).at;
            for next in self.lanes[number].next.clone() {
                let start = self.lane(next).path.at(0.0).at;
                let apart = (end[0] - start[0]).hypot(end[1] - start[1]);
                if apart > JOINED {
                    let name = &self.lane(next).name;
                    let message =
                        format!("`{name}` begins {apart:.2} m from this lane's end, expected the same place");
                    return fault(Part::Lane(number), "next", message);
                }
                self.lanes[next as usize].previous.push(number as u32);
            }
            let left = self.lanes[number].beside[0];
            if left != NONE {
                let ratio = self.lane(left).length / self.lanes[number].length;
                if left as usize == number
                    || !(0.5..=2.0).contains(&ratio)
                    || self.lane(left).beside[1] != NONE
                {
                    let message =
                        "expected another lane of about the same length that no other has to its left";
                    return fault(Part::Lane(number), "left", message);
                }
                self.lanes[left as usize].beside[1] = number as u32;
            }
        }
        for (number, lane) in self.lanes.iter().enumerate() {
            if lane.previous.is_empty() && lane.demand.is_none() {
                let message = "no lane leads to it: expected it in a `next`, or vehicles an hour in `demand`";
                return fault(Part::Lane(number), "demand", message);
            }
            if lane.demand.is_some() {
                self.entries.push(number as u32);
            }
            if lane.next.is_empty() {
                self.exits.push(number as u32);
            }
        }
        if self.entries.is_empty() {
            return fault(Part::Whole, "demand", "expected a lane at which vehicles come in, got none");
        }
        if self.exits.is_empty() || self.exits.len() > MOST_EXITS {
            let got = self.exits.len();
            let message = format!("expected 1 to {MOST_EXITS} lanes without `next` (exits), got {got}");
            return fault(Part::Whole, "next", message);
        }
        if self.exits.len() * self.lanes.len() > 1 << 22 {
            return fault(Part::Whole, "lane", "expected exits x lanes of at most 4194304");
        }
        Ok(())
    }

    fn enter_junctions(&mut self, junctions: Vec<JunctionParts>, clearance: f64) -> Result<(), Fault> {
        for (number, junction) in junctions.into_iter().enumerate() {
            let part = Part::Junction(number);
            if !(1..=MOST_MOVEMENTS).contains(&junction.movements.len()) {
                let got = junction.movements.len();
                return fault(part, "movements", format!("expected 1 to {MOST_MOVEMENTS} lanes, got {got}"));
            }
            for lane in &junction.movements {
                let lane = &mut self.lanes[*lane];
                let name = &lane.name;
                let message = match lane {
                    _ if lane.junction != NONE => format!("`{name}` is in a junction already"),
                    _ if lane.length > LONGEST_MOVEMENT => {
                        format!(
                            "`{name}` is longer than {LONGEST_MOVEMENT} m, too long to lead over a junction"
                        )
                    }
                    _ if lane.next.len() != 1 || lane.previous.len() != 1 || lane.demand.is_some() => {
                        format!("expected one lane before `{name}` and one after it, and no demand")
                    }
                    _ => {
                        lane.junction = number as u32;
                        continue;
                    }
                };
                return fault(part, "movements", message);
            }
            self.meet(&junction.movements, clearance);
            for movement in &junction.movements {
                let (before, turn) = (self.lanes[*movement].previous[0], self.lanes[*movement].turning());
                let place = &mut self.lanes[before as usize].turns[turn as usize];
                // Of several that turn alike the first.
                *place = (*place).min(*movement as u32);
            }
            let movements = junction.movements.iter().map(|lane| *lane as u32).collect();
            self.junctions.push(Junction { name: junction.name, movements });
        }
        for (number, lane) in self.lanes.iter().enumerate() {
            let over = |lanes: &[u32]| lanes.len() < 2 || lanes.iter().all(|l| self.is_movement(*l));
            if !over(&lane.next) || !over(&lane.previous) {
                let message =
                    "where lanes part or meet, expected all lanes between in one junction's `movements`";
                return fault(Part::Lane(number), "next", message);
            }
        }
        Ok(())
    }

    /// Finds the conflicts of a junction's movements.
    fn meet(&mut self, movements: &[usize], clearance: f64) {
        for (at, a) in movements.iter().enumerate() {
            for b in &movements[at + 1..] {
                let (one, two) = (&self.lanes[*a], &self.lanes[*b]);
                let Some([own, other]) = zone(&one.path, &two.path, clearance) else { continue };
                let meeting = match (one.previous == two.previous, one.next == two.next) {
                    (_, true) => Meeting::Merging,
                    (true, false) => Meeting::Diverging,
                    (false, false) => Meeting::Crossing,
                };
                let conflict = Conflict { with: *b as u32, meeting, own, other };
                self.lanes[*a].conflicts.push(conflict);
                self.lanes[*b].conflicts.push(Conflict {
                    with: *a as u32,
                    own: other,
                    other: own,
                    ..conflict
                });
            }
        }
    }

    /// The quickest ways to every exit (Dijkstra 1959), and where each entry leads.
    fn find_ways(&mut self) -> Result<(), Fault> {
        let count = self.lanes.len();
        let mut leads_out = vec![false; count];
        for exit in 0..self.exits.len() {
            let seconds = self.seconds_to(self.exits[exit]);
            let of = |lane: u32| seconds.get(lane as usize).copied().unwrap_or(f64::INFINITY);
            let best = |lane: &Lane| lane.next.iter().copied().min_by(|a, b| of(*a).total_cmp(&of(*b)));
            let next: Vec<u32> = self.lanes.iter().map(|lane| best(lane).unwrap_or(NONE)).collect();
            for (number, lane) in self.lanes.iter().enumerate() {
                leads_out[number] |= of(number as u32).is_finite();
                let beside = lane.beside.into_iter().min_by(|a, b| of(*a).total_cmp(&of(*b)));
                let ahead = if lane.next.is_empty() { 0.0 } else { of(next[number]) };
                let own = lane.length / lane.limit + ahead;
                let is_exit = number as u32 == self.exits[exit];
                let change = beside.filter(|other| !is_exit && of(*other) + CHANGE < own).unwrap_or(NONE);
                let (mut movement, mut distance) = (next[number], lane.length);
                for _ in 0..LOOKED_THROUGH {
                    if movement == NONE || self.is_movement(movement) {
                        break;
                    }
                    distance += self.lane(movement).length;
                    movement = next[movement as usize];
                }
                let movement = if movement != NONE && self.is_movement(movement) { movement } else { NONE };
                let seconds = of(number as u32);
                self.steps.push(Step { lane: next[number], change, movement, distance, seconds });
            }
        }
        if let Some(lane) = leads_out.iter().position(|leads| !leads) {
            return fault(Part::Lane(lane), "next", "no exit can be reached from it");
        }
        for entry in &self.entries {
            let reached =
                (0..self.exits.len() as u16).filter(|exit| self.step(*exit, *entry).seconds.is_finite());
            self.destinations.push(reached.collect());
        }
        let reached = |exit: u16| self.destinations.iter().any(|all| all.contains(&exit));
        match (0..self.exits.len() as u16).find(|exit| !reached(*exit)) {
            Some(exit) => {
                let lane = self.exits[usize::from(exit)] as usize;
                fault(Part::Lane(lane), "next", "this exit cannot be reached from any entry")
            }
            None => Ok(()),
        }
    }

    /// Seconds on a free road from the start of each lane to the end of one.
    fn seconds_to(&self, exit: u32) -> Vec<f64> {
        let time = |lane: u32| self.lane(lane).length / self.lane(lane).limit;
        let mut seconds = vec![f64::INFINITY; self.lanes.len()];
        seconds[exit as usize] = time(exit);
        // Times are positive, and positive floats are ordered as their bits are.
        let mut open = BinaryHeap::from([Reverse((time(exit).to_bits(), exit))]);
        while let Some(Reverse((bits, lane))) = open.pop() {
            let here = f64::from_bits(bits);
            if here > seconds[lane as usize] {
                continue;
            }
            let before = self.lane(lane).previous.iter().map(|other| (*other, here + time(*other)));
            let beside = self.lane(lane).beside.into_iter().filter(|other| *other != NONE);
            for (other, time) in before.chain(beside.map(|other| (other, here + CHANGE))) {
                if time < seconds[other as usize] {
                    seconds[other as usize] = time;
                    open.push(Reverse((time.to_bits(), other)));
                }
            }
        }
        seconds
    }
}

/// Lanes as they are described, each by itself.
fn checked(parts: Vec<LaneParts>) -> Result<Vec<Lane>, Fault> {
    let count = parts.len();
    if !(1..=MOST_LANES).contains(&count) {
        return fault(Part::Whole, "lane", format!("expected 1 to {MOST_LANES} lanes, got {count}"));
    }
    let mut lanes = Vec::with_capacity(count);
    for (number, parts) in parts.into_iter().enumerate() {
        let part = Part::Lane(number);
        if parts.points.iter().flatten().any(|x| x.is_nan() || x.abs() > 1e6) {
            return fault(part, "points", "expected metres of at most 1000000 either way");
        }
        let Some(path) = Path::new(parts.points) else {
            return fault(
                part,
                "points",
                "expected two points or more, no two that follow each other in one place",
            );
        };
        let length = path.length();
        if !(SHORTEST..=LONGEST).contains(&length) {
            return fault(
                part,
                "points",
                format!("expected a length of {SHORTEST} to {LONGEST} m, got {length:.2}"),
            );
        }
        if !(0.5..=80.0).contains(&parts.limit) {
            return fault(part, "limit", format!("expected .5 to 80 m/s, got {}", parts.limit));
        }
        if parts.demand.is_some_and(|demand| !(0.0..=1e4).contains(&demand)) {
            return fault(part, "demand", "expected 0 to 10000 vehicles an hour");
        }
        let mut next: Vec<u32> = parts.next.iter().map(|next| *next as u32).collect();
        next.dedup();
        if next.len() > MOST_MOVEMENTS || parts.next.iter().chain(&parts.left).any(|lane| *lane >= count) {
            return fault(part, "next", format!("expected at most {MOST_MOVEMENTS} lanes that there are"));
        }
        lanes.push(Lane {
            turn: path.turn(),
            name: parts.name,
            path,
            length,
            limit: parts.limit,
            next,
            previous: Vec::new(),
            beside: [parts.left.map_or(NONE, |lane| lane as u32), NONE],
            demand: parts.demand,
            priority: parts.priority,
            junction: NONE,
            conflicts: Vec::new(),
            turns: [NONE; 3],
        });
    }
    Ok(lanes)
}
