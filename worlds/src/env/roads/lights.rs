//! Signals whose green is chosen while time goes on, by agents or rules: which stages (movements that are green
//! together) a junction has, what its light shows, and how it changes: amber and then red for what is not green next.

use super::control::{Colour, Signals, arms, axes};
use super::network::{NONE, Network};
use super::traffic::{Layout, Traffic};
use crate::env::vectorised::Codec;
use crate::error::Result;

/// Stages of a junction at most.
pub const MOST_STAGES: usize = 64;

/// What can be green together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stages {
    /// Roads that face each other; who turns left waits for a gap.
    Axes,
    /// One road: no ways cross.
    Arms,
    /// Either.
    Both,
}

/// What the light of a junction shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Light {
    /// The stage that is green, or was until it began to change.
    pub stage: u32,
    /// The stage that is green next: the same unless it changes.
    pub next: u32,
    /// Ticks since it became green, or since it began to change.
    pub ticks: u32,
}

impl Light {
    /// Whether it changes now.
    pub fn changes(&self) -> bool {
        self.stage != self.next
    }

    pub(super) fn visit(&mut self, codec: &mut Codec) -> Result<()> {
        [&mut self.stage, &mut self.next, &mut self.ticks]
            .into_iter()
            .try_for_each(|number| codec.one(number))
    }
}

/// Every stage of every junction.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plans {
    /// `[junctions]`, and for each stage its movements.
    pub stages: Vec<Vec<Vec<u32>>>,
    /// For each lane the stages in which it is green, a bit each.
    green: Vec<u64>,
}

impl Plans {
    /// The stages of every junction: roads that face each other first, then single roads.
    pub fn new(network: &Network, which: Stages) -> Plans {
        let mut green = vec![0; network.lanes().len()];
        let mut stages = Vec::new();
        for junction in network.junctions() {
            let arms = arms(network, &junction.movements);
            let mut groups: Vec<Vec<Vec<u32>>> = Vec::new();
            if which != Stages::Arms {
                groups.extend(axes(network, arms.clone()));
            }
            if which != Stages::Axes {
                groups.extend(arms.into_iter().map(|arm| vec![arm]));
            }
            let mut own: Vec<Vec<u32>> = Vec::new();
            for group in groups {
                let movements = group.concat();
                if !own.contains(&movements) && own.len() < MOST_STAGES {
                    movements.iter().for_each(|lane| green[*lane as usize] |= 1 << own.len());
                    own.push(movements);
                }
            }
            stages.push(own);
        }
        Plans { stages, green }
    }
}

impl Layout {
    /// What is shown to those who want over a movement, and for how many seconds more until it is green next (0 while
    /// it is, and where that is not known).
    pub fn colour(&self, traffic: &Traffic, movement: u32) -> (Colour, f64) {
        let Some(signals) = &self.signals else { return (Colour::Green, 0.0) };
        let junction = self.network.lane(movement).junction;
        if traffic.lights.is_empty() || junction == NONE {
            return signals.colour(movement, traffic.seconds(self));
        }
        let light = &traffic.lights[junction as usize];
        let [now, then] =
            [light.stage, light.next].map(|stage| signals.plans.green[movement as usize] >> stage & 1 == 1);
        let seconds = f64::from(light.ticks) * self.config.tick();
        let rest = if light.changes() && then { signals.change() - seconds } else { 0.0 };
        match (light.changes(), now, then) {
            (false, true, _) | (true, true, true) => (Colour::Green, 0.0),
            (true, true, false) if seconds < signals.amber => (Colour::Amber, rest),
            _ => (Colour::Red, rest),
        }
    }

    /// The light of a junction; `None` where green is not chosen.
    pub fn light<'a>(&self, traffic: &'a Traffic, junction: usize) -> Option<&'a Light> {
        traffic.lights.get(junction)
    }

    /// The stages of a junction; none where green is not chosen.
    pub fn stages(&self, junction: usize) -> &[Vec<u32>] {
        self.signals.as_ref().and_then(|signals| signals.plans.stages.get(junction)).map_or(&[], |all| all)
    }

    /// Seconds since the stage of a junction became green, or since it began to change.
    pub fn light_seconds(&self, traffic: &Traffic, junction: usize) -> f64 {
        traffic.lights.get(junction).map_or(0.0, |light| f64::from(light.ticks) * self.config.tick())
    }

    /// Has a junction change to a stage, unless it changes already or there is no such stage.
    pub fn choose(&self, traffic: &mut Traffic, junction: usize, stage: u32) {
        let known = (stage as usize) < self.stages(junction).len();
        if let Some(light) = traffic.lights.get_mut(junction)
            && known
            && !light.changes()
            && light.stage != stage
        {
            (light.next, light.ticks) = (stage, 0);
        }
    }

    /// A tick goes by for all lights.
    pub(super) fn turn_lights(&self, traffic: &mut Traffic) {
        let Some(signals) = &self.signals else { return };
        for light in &mut traffic.lights {
            light.ticks = light.ticks.saturating_add(1);
            if light.changes() && f64::from(light.ticks) * self.config.tick() >= signals.change() {
                (light.stage, light.ticks) = (light.next, 0);
            }
        }
    }

    /// Whether lights that were read can be shown.
    pub(super) fn lights_can_be(&self, traffic: &Traffic) -> bool {
        traffic.lights.iter().enumerate().all(|(junction, light)| {
            let count = self.stages(junction).len();
            (light.stage as usize) < count && (light.next as usize) < count
        })
    }
}

impl Signals {
    /// Lights at the start: all show their first stage.
    pub(super) fn lights(&self) -> Vec<Light> {
        vec![Light::default(); self.plans.stages.len()]
    }

    /// Seconds from the end of a green to the start of the next.
    fn change(&self) -> f64 {
        self.amber + self.clearance
    }
}
