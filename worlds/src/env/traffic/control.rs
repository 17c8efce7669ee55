//! Rules by which signals choose their stages: full actuation, and max-pressure (Varaiya 2013, "Max pressure control of
//! a network of signalized intersections", Transportation Research C 36, 177).

use super::config::SignalConfig;
use super::world::{Crossing, TrafficRules};
use crate::env::roads::{Layout, Traffic, Turn};

/// Whoever is slower than this stands, in m/s.
pub const STANDING: f64 = 1.0;
/// How far before a line a detector sees that somebody waits, in metres.
const WAITING: f64 = 20.0;

/// The cars on a lane that want over a movement.
pub fn wanting(layout: &Layout, traffic: &Traffic, lane: u32, movement: u32) -> usize {
    let cars = traffic.on(lane).iter();
    cars.filter(|car| {
        let own = &traffic.vehicles()[**car as usize];
        layout.network.onward(own.way, lane).0 == movement
    })
    .count()
}

/// The pressure of a movement: the cars that want over it, less those on the lane behind it, those by how likely they
/// turn there (evenly where there are no ratios). Who is on an exit presses on nobody.
pub fn pressure(layout: &Layout, traffic: &Traffic, movement: u32) -> f64 {
    let network = &layout.network;
    let over = network.lane(movement);
    let (before, behind) = (over.previous[0], over.next[0]);
    let turns = &network.lane(behind).turns;
    let open = Turn::ALL.iter().filter(|turn| turns[**turn as usize] != crate::env::roads::network::NONE);
    let ratio = |turn: &Turn| layout.ratios.map_or(1.0, |ratios| ratios[*turn as usize]);
    let whole: f64 = open.clone().map(ratio).sum();
    let after: f64 =
        open.map(|turn| ratio(turn) * wanting(layout, traffic, behind, turns[*turn as usize]) as f64).sum();
    wanting(layout, traffic, before, movement) as f64 - if whole > 0.0 { after / whole } else { 0.0 }
}

/// The lanes from which a stage lets cars go.
fn lanes<'a>(layout: &'a Layout, stage: &'a [u32]) -> impl Iterator<Item = u32> + 'a {
    stage.iter().map(|movement| layout.network.lane(*movement).previous[0])
}

/// Whether somebody is before the line of one of a stage's lanes: so near that it will be there within `gap` seconds,
/// or waits there.
fn called(layout: &Layout, traffic: &Traffic, stage: &[u32], gap: f64) -> bool {
    lanes(layout, stage).any(|lane| {
        let first = traffic.on(lane).first().map(|car| &traffic.vehicles()[*car as usize]);
        first.is_some_and(|first| {
            let rest = layout.network.lane(lane).length - first.offset;
            rest <= WAITING.max(gap * first.speed)
        })
    })
}

impl TrafficRules {
    /// Whether a junction may change its stage now.
    pub(super) fn free(&self, traffic: &Traffic, junction: usize) -> bool {
        let layout = self.layout();
        layout.light(traffic, junction).is_some_and(|light| !light.changes())
            && layout.light_seconds(traffic, junction) >= self.config().least_green
    }

    /// What the rules choose in a tick, where signals go by rules.
    pub(super) fn control(&self, traffic: &mut Traffic) {
        for junction in 0..self.crossings().len() {
            if !self.free(traffic, junction) {
                continue;
            }
            let chosen = match self.config().signals {
                SignalConfig::Actuated { gap, longest } => self.actuated(traffic, junction, gap, longest),
                SignalConfig::MaxPressure { interval } => self.most_pressed(traffic, junction, interval),
                SignalConfig::Agents | SignalConfig::Fixed { .. } => return,
            };
            if let Some(stage) = chosen {
                self.layout().choose(traffic, junction, stage);
            }
        }
    }

    fn actuated(&self, traffic: &Traffic, junction: usize, gap: f64, longest: f64) -> Option<u32> {
        let layout = self.layout();
        let stages = layout.stages(junction);
        let now = layout.light(traffic, junction)?.stage as usize;
        let others = (1..stages.len()).map(|by| (now + by) % stages.len());
        // A lane that is green anyway needs no other stage.
        let green: Vec<u32> = lanes(layout, &stages[now]).collect();
        let waits = |stage: &usize| {
            let red: Vec<u32> = stages[*stage]
                .iter()
                .copied()
                .filter(|m| !green.contains(&layout.network.lane(*m).previous[0]))
                .collect();
            called(layout, traffic, &red, 0.0)
        };
        let next = others.clone().find(waits)?;
        let over = layout.light_seconds(traffic, junction) >= longest;
        (over || !called(layout, traffic, &stages[now], gap)).then_some(next as u32)
    }

    fn most_pressed(&self, traffic: &Traffic, junction: usize, interval: f64) -> Option<u32> {
        let layout = self.layout();
        let every = (interval / self.config().tick()).round().max(1.0) as u32;
        let light = layout.light(traffic, junction)?;
        if light.ticks == 0 || light.ticks % every != 0 {
            return None;
        }
        let pressed = |stage: &[u32]| stage.iter().map(|m| pressure(layout, traffic, *m)).sum::<f64>();
        let pressures: Vec<f64> = layout.stages(junction).iter().map(|stage| pressed(stage)).collect();
        let most = pressures.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        match pressures[light.stage as usize] >= most {
            true => None,
            false => pressures.iter().position(|all| *all >= most).map(|stage| stage as u32),
        }
    }
}

impl Crossing {
    /// The cars on a lane that stand.
    pub fn standing(traffic: &Traffic, lane: u32) -> usize {
        let cars = traffic.on(lane).iter();
        cars.filter(|car| traffic.vehicles()[**car as usize].speed < STANDING).count()
    }
}
