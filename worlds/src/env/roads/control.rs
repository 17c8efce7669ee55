//! Signals, and those of a fixed cycle, timed by Webster's formulas (Webster 1958, Traffic Signal Settings, Road
//! Research Technical Paper 39). They know roads and demands, and nothing of vehicles.

use super::config::{ControlConfig, Plan};
use super::lights::{Plans, Stages};
use super::network::{NONE, Network};
use super::way::Turn;

/// The shortest green, in seconds.
const SHORTEST_GREEN: f64 = 5.0;
/// The longest cycle that is chosen, in seconds.
const LONGEST_CYCLE: f64 = 180.0;

/// Webster's cycle of least delay, `(1.5 L + 5)/(1 - Y)`, in seconds: `lost` seconds in which nobody drives, `ratios`
/// the sum over phases of flow over saturation flow, below 1.
///
/// ```
/// assert!((synod_worlds::env::roads::webster_cycle(8.0, 0.7) - 56.667).abs() < 1e-3);
/// ```
pub fn webster_cycle(lost: f64, ratios: f64) -> f64 {
    (1.5 * lost + 5.0) / (1.0 - ratios)
}

/// The mean delay of a stream of even arrivals at a signal, `C (1 - g)^2/(2 (1 - g x))`, in seconds: `share` of the
/// `cycle` is green, `degree` of what that lets through arrives.
///
/// ```
/// assert!((synod_worlds::env::roads::uniform_delay(60.0, 0.5, 0.8) - 12.5).abs() < 1e-9);
/// ```
pub fn uniform_delay(cycle: f64, share: f64, degree: f64) -> f64 {
    cycle * (1.0 - share).powi(2) / (2.0 * (1.0 - share * degree))
}

/// The mean delay of a stream of random arrivals at a signal (Webster 1958, equation 1), in seconds: that of even
/// arrivals, what their randomness adds, `x^2/(2 q (1 - x))`, and a correction, `-.65 (C/q^2)^(1/3) x^(2 + 5 g)`.
/// `flow` is `q`, the arrivals a second; `degree` is `x`, below 1.
///
/// ```
/// // Without randomness 12.5 s; a stream of .2 vehicles a second waits 5.3 s longer.
/// let delay = synod_worlds::env::roads::webster_delay(60.0, 0.5, 0.8, 0.2);
/// assert!((delay - (12.5 + 8.0 - 0.65 * 1500f64.cbrt() * 0.8f64.powf(4.5))).abs() < 1e-9);
/// assert!((delay - 17.77).abs() < 0.01);
/// ```
pub fn webster_delay(cycle: f64, share: f64, degree: f64, flow: f64) -> f64 {
    uniform_delay(cycle, share, degree) + degree * degree / (2.0 * flow * (1.0 - degree))
        - 0.65 * (cycle / (flow * flow)).cbrt() * degree.powf(2.0 + 5.0 * share)
}

/// Lanes of a junction that are green together.
#[derive(Debug, Clone, PartialEq)]
pub struct Phase {
    /// The lanes over the junction.
    pub movements: Vec<u32>,
    /// Seconds of green.
    pub green: f64,
    /// The part of the saturation flow that comes on its busiest lane.
    pub ratio: f64,
}

/// The plan of a junction.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    /// In their order.
    pub phases: Vec<Phase>,
    /// Seconds of all.
    pub cycle: f64,
}

/// What a signal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Go.
    Green,
    /// Go on only if you cannot stop.
    Amber,
    /// Stop.
    Red,
}

/// The signals of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Signals {
    /// One a junction; none where green is chosen.
    pub programs: Vec<Program>,
    /// What can be chosen; nothing where there is a fixed cycle.
    pub plans: Plans,
    pub(super) amber: f64,
    pub(super) clearance: f64,
    /// For each lane the start and end of its green and its cycle; a cycle of 0 for lanes without a signal.
    times: Vec<[f64; 3]>,
}

impl Signals {
    /// Signals whose green is chosen while time goes on; seconds of amber, and of red for all after it.
    pub fn chosen(network: &Network, stages: Stages, amber: f64, clearance: f64) -> Signals {
        let times = vec![[0.0; 3]; network.lanes().len()];
        Signals { programs: Vec::new(), plans: Plans::new(network, stages), amber, clearance, times }
    }

    /// The signals that settings ask for, if they ask for any, timed for vehicles that go to all exits alike.
    pub fn new(config: &ControlConfig, network: &Network) -> Option<Signals> {
        Signals::timed(config, network, &flows(network))
    }

    /// The same for flows of so many vehicles an hour over every lane.
    pub fn timed(config: &ControlConfig, network: &Network, flows: &[f64]) -> Option<Signals> {
        let ControlConfig::Signals { plan, cycle, amber, clearance, saturation_flow } = *config else {
            return None;
        };
        let mut times = vec![[0.0; 3]; network.lanes().len()];
        let mut programs = Vec::new();
        for junction in network.junctions() {
            let arms = arms(network, &junction.movements);
            let groups = match plan {
                Plan::Arms => arms.into_iter().map(|arm| vec![arm]).collect(),
                Plan::Axes => axes(network, arms),
            };
            let ratio = |group: &[Vec<u32>]| {
                let lanes = group.iter().flat_map(|arm| by_lane(network, arm));
                lanes.map(|lane| lane.iter().map(|m| flows[*m as usize]).sum::<f64>()).fold(0.0, f64::max)
                    / saturation_flow
            };
            let ratios: Vec<f64> = groups.iter().map(|group| ratio(group)).collect();
            let lost = groups.len() as f64 * (amber + clearance);
            let sum = ratios.iter().sum::<f64>();
            let shortest = lost + SHORTEST_GREEN * groups.len() as f64;
            let wanted = match cycle {
                given if given > 0.0 => given,
                _ if sum < 0.99 => webster_cycle(lost, sum).min(LONGEST_CYCLE),
                _ => LONGEST_CYCLE,
            };
            // Each phase has the shortest green, and of the rest what is its share of the demand.
            let rest = (wanted - shortest).max(0.0);
            let share = |ratio: f64| if sum > 0.0 { ratio / sum } else { 1.0 / ratios.len() as f64 };
            let (mut from, mut phases) = (0.0, Vec::new());
            for (group, ratio) in groups.iter().zip(&ratios) {
                let green = SHORTEST_GREEN + rest * share(*ratio);
                let movements: Vec<u32> = group.iter().flatten().copied().collect();
                let whole = wanted.max(shortest);
                movements.iter().for_each(|lane| times[*lane as usize] = [from, from + green, whole]);
                from += green + amber + clearance;
                phases.push(Phase { movements, green, ratio: *ratio });
            }
            programs.push(Program { phases, cycle: wanted.max(shortest) });
        }
        Some(Signals { programs, plans: Plans::default(), amber, clearance, times })
    }

    /// What is shown to those who want over a movement, and for how many seconds more until it is green next (0 while
    /// it is).
    pub fn colour(&self, movement: u32, seconds: f64) -> (Colour, f64) {
        let [from, to, cycle] = self.times[movement as usize];
        if cycle == 0.0 {
            return (Colour::Green, 0.0);
        }
        let now = seconds.rem_euclid(cycle);
        match now {
            now if (from..to).contains(&now) => (Colour::Green, 0.0),
            now if (to..to + self.amber).contains(&now) => (Colour::Amber, from + cycle - now),
            now => (Colour::Red, (from - now).rem_euclid(cycle)),
        }
    }
}

/// Vehicles an hour over every lane, where each entry's go to all exits alike.
fn flows(network: &Network) -> Vec<f64> {
    let mut flows = vec![0.0; network.lanes().len()];
    for (entry, lane) in network.entries().iter().enumerate() {
        let exits = network.destinations(entry);
        let each = network.lane(*lane).demand.unwrap_or(0.0) / exits.len().max(1) as f64;
        for exit in exits {
            let mut lane = *lane;
            while lane != NONE {
                let step = network.step(*exit, lane);
                if step.change != NONE {
                    lane = step.change;
                    continue;
                }
                flows[lane as usize] += each;
                lane = step.lane;
            }
        }
    }
    flows
}

/// Sweeps in which turning flows are spread; a vehicle that passes more junctions counts no further.
const SWEEPS: usize = 256;

/// Vehicles an hour over every lane, where those on each lane turn by ratios at every junction.
pub fn turning_flows(network: &Network, ratios: &[f64; 3]) -> Vec<f64> {
    let mut flows = vec![0.0; network.lanes().len()];
    let mut moving: Vec<f64> = network.lanes().iter().map(|lane| lane.demand.unwrap_or(0.0)).collect();
    for _ in 0..SWEEPS {
        let mut after = vec![0.0; moving.len()];
        for (number, flow) in moving.iter().enumerate().filter(|(_, flow)| **flow > 1e-9) {
            flows[number] += flow;
            let lane = network.lane(number as u32);
            let turns: Vec<(u32, f64)> = Turn::ALL
                .iter()
                .flat_map(|turn| {
                    let over = network.road(number as u32).map(|l| network.lane(l).turns[*turn as usize]);
                    over.filter(|movement| *movement != NONE).take(1).map(|m| (m, ratios[*turn as usize]))
                })
                .collect();
            let whole: f64 = turns.iter().map(|(_, ratio)| ratio).sum();
            if whole > 0.0 {
                turns.iter().for_each(|(m, ratio)| after[*m as usize] += flow * ratio / whole);
            } else if let Some(next) = lane.next.first() {
                after[*next as usize] += flow;
            }
        }
        moving = after;
    }
    flows
}

/// Movements with the same lane before them.
fn by_lane(network: &Network, movements: &[u32]) -> Vec<Vec<u32>> {
    let mut lanes: Vec<(u32, Vec<u32>)> = Vec::new();
    for movement in movements {
        let from = network.lane(*movement).previous[0];
        match lanes.iter_mut().find(|(lane, _)| *lane == from) {
            Some((_, all)) => all.push(*movement),
            None => lanes.push((from, vec![*movement])),
        }
    }
    lanes.into_iter().map(|(_, all)| all).collect()
}

/// How much the directions in which two movements begin agree: 1 for the same, -1 for opposite ones.
fn agree(network: &Network, a: u32, b: u32) -> f64 {
    let [a, b] = [a, b].map(|lane| network.lane(lane).path.at(0.0).towards);
    a[0] * b[0] + a[1] * b[1]
}

/// The movements of each road that comes in: those of lanes beside each other.
pub(super) fn arms(network: &Network, movements: &[u32]) -> Vec<Vec<u32>> {
    let mut arms: Vec<Vec<u32>> = Vec::new();
    for lane in by_lane(network, movements) {
        let from = network.lane(lane[0]).previous[0];
        let beside = |arm: &Vec<u32>| {
            arm.iter().any(|other| network.lane(network.lane(*other).previous[0]).beside.contains(&from))
        };
        match arms.iter_mut().find(|arm| beside(arm)) {
            Some(arm) => arm.extend(lane),
            None => arms.push(lane),
        }
    }
    arms
}

/// Roads with those that face them.
pub(super) fn axes(network: &Network, arms: Vec<Vec<u32>>) -> Vec<Vec<Vec<u32>>> {
    let mut groups: Vec<Vec<Vec<u32>>> = Vec::new();
    for arm in arms {
        let faces = |group: &Vec<Vec<u32>>| group.len() == 1 && agree(network, group[0][0], arm[0]) < -0.7;
        match groups.iter_mut().find(|group| faces(group)) {
            Some(group) => group.push(arm),
            None => groups.push(vec![arm]),
        }
    }
    groups
}
