//! Taxi (Dietterich 2000, as Gymnasium's Taxi-v3 plays it): fetch a passenger, bring it where it wants to go. A
//! small world with parts, for agents that learn in levels.
//!
//! ```
//! use synod_worlds::env::{Buffers, WorldConfig};
//! let mut env = WorldConfig::named("taxi")?.with_worlds(2).build(1)?;
//! let mut out = Buffers::new(env.spec());
//! env.reset(&[true, true], &mut out)?;
//! env.step(&env.spec().actions(), &mut out)?; // zeros: down
//! assert!(out.rewards.iter().all(|reward| reward.is_finite()));
//! # Ok::<(), synod_worlds::Error>(())
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AgentKind;
use super::drawing::{Cells, DISC, Drawing, RING, Role, middle, names};
use super::goals::Goal;
use super::pathfinding::Pcg64;
use super::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View};
use crate::error::Result;

/// Many taxis at once.
pub type Taxi = Vectorised<TaxiConfig>;

/// Actions: down, up, right, left, pick up, drop off.
pub const ACTIONS: usize = 6;

/// The four stands: row, column.
const STANDS: [(u8, u8); 4] = [(0, 0), (0, 4), (4, 0), (4, 3)];

/// In the taxi, in place of a stand.
const ABOARD: u8 = 4;

/// Walls: the cells whose right side is one.
const WALLS: [(u8, u8); 6] = [(0, 1), (1, 1), (3, 0), (4, 0), (3, 2), (4, 2)];

/// The settings of [`Taxi`].
///
/// Each step costs 1, a pick-up or drop-off that is not possible 10; bringing the passenger to its stand pays 20 and
/// ends the episode. Play that is best from each of the 300 starts gets 7.930 on average. Observation: one-hot row,
/// column, passenger (four stands, aboard) and destination, `[19]`. Reports have `delivered`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TaxiConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// Steps after which an episode is truncated.
    #[schemars(range(min = 1, max = 1 << 30))]
    pub max_episode_steps: usize,
}

crate::env::config::world!(TaxiConfig => Taxi, "taxi", "fetch a passenger, bring it where it wants to go",
    fn goals(&self) -> Vec<Goal> {
        self.goals()
    }
);

impl Default for TaxiConfig {
    /// 64 worlds, 200 steps.
    fn default() -> Self {
        TaxiConfig { worlds: 64, max_episode_steps: 200 }
    }
}

impl TaxiConfig {
    /// Reaching each of the four stands, having the passenger aboard, having it where it wants to go.
    pub fn goals(&self) -> Vec<Goal> {
        let stand = |(i, (row, column)): (usize, &(u8, u8))| {
            Goal::all_of(format!("stand {}", i + 1), &[usize::from(*row), 5 + usize::from(*column)])
        };
        let mut goals: Vec<Goal> = STANDS.iter().enumerate().map(stand).collect();
        goals.push(Goal::all_of("aboard", &[10 + usize::from(ABOARD)]));
        let there = (0..STANDS.len()).map(|i| vec![10 + i, 15 + i]).collect();
        goals.push(Goal { name: "delivered".into(), any_of: there });
        goals
    }
}

/// Where taxi and passenger are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fare {
    row: u8,
    column: u8,
    passenger: u8,
    destination: u8,
}

impl Fare {
    fn delivered(&self) -> bool {
        self.passenger == self.destination
    }

    fn here(&self) -> (u8, u8) {
        (self.row, self.column)
    }

    /// One step; what it pays.
    fn act(&mut self, action: u32) -> i32 {
        match action {
            0 => self.row = (self.row + 1).min(4),
            1 => self.row = self.row.saturating_sub(1),
            2 if self.column < 4 && !WALLS.contains(&self.here()) => self.column += 1,
            3 if self.column > 0 && !WALLS.contains(&(self.row, self.column - 1)) => self.column -= 1,
            2 | 3 => {}
            4 if self.passenger < ABOARD && STANDS[usize::from(self.passenger)] == self.here() => {
                self.passenger = ABOARD;
            }
            5 if self.passenger == ABOARD => match STANDS.iter().position(|stand| *stand == self.here()) {
                Some(stand) => {
                    self.passenger = stand as u8;
                    return if self.delivered() { 20 } else { -1 };
                }
                None => return -10,
            },
            _ => return -10,
        }
        -1
    }
}

impl Rules for TaxiConfig {
    type World = Fare;
    const NAME: &'static str = "taxi";
    const METRICS: &'static [&'static str] = &["delivered"];

    fn worlds(&self) -> usize {
        self.worlds
    }

    fn check(&self) -> Result<()> {
        crate::schema::check("world", self)
    }

    fn kinds(&self) -> Vec<AgentKind> {
        vec![AgentKind::discrete("taxi", 1, 19, ACTIONS)]
    }

    fn limit(&self) -> u32 {
        self.max_episode_steps as u32
    }

    fn blank(&self) -> Fare {
        Fare { row: 0, column: 0, passenger: 0, destination: 1 }
    }

    fn reset(&self, world: &mut Fare, _episode: u64, random: &mut Pcg64) {
        let passenger = random.below(4) as u8;
        let other = random.below(3) as u8;
        *world = Fare {
            row: random.below(5) as u8,
            column: random.below(5) as u8,
            passenger,
            destination: other + u8::from(other >= passenger),
        };
    }

    fn step(&self, world: &mut Fare, actions: Chosen, _random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        let actions = actions.discrete(0);
        pay.rewards[0] = world.act(actions[0]) as f32;
        if world.delivered() { Outcome::Ends } else { Outcome::GoesOn }
    }

    fn observe(&self, world: &Fare, view: &mut View) {
        let seen = view.observation(0, 0);
        seen.fill(0.0);
        for (part, value) in
            [(0, world.row), (5, world.column), (10, world.passenger), (15, world.destination)]
        {
            seen[part + usize::from(value)] = 1.0;
        }
    }

    fn metrics(&self, world: &Fare) -> Vec<f64> {
        vec![f64::from(u8::from(world.delivered()))]
    }

    fn draw(&self, world: &Fare) -> Option<Drawing> {
        let cells = Cells { columns: 5, rows: 5, blocked: vec![false; 25], role: Role::Wall };
        let mut drawing = Drawing::of_cells(cells);
        let at = |(row, column): (u8, u8)| middle(usize::from(row), usize::from(column));
        for (stand, name) in STANDS.into_iter().zip(["R", "G", "Y", "B"]) {
            let [x, y] = at(stand);
            drawing.rectangle(Role::Ground, [x - 0.44, y - 0.44], [0.88, 0.88]);
            drawing.label(Role::Ink, [x + 0.3, y - 0.33], 0.26, name);
        }
        for (row, column) in WALLS {
            let (x, y) = (f32::from(column) + 1.0, f32::from(row));
            drawing.line(Role::Wall, [x, y + 0.06], [x, y + 0.94], 0.12);
        }
        drawing.ring(Role::Goal, at(STANDS[usize::from(world.destination)]), RING, 0.0);
        let taxi = at(world.here());
        drawing.disc(Role::Agent(0), taxi, DISC);
        let aboard = world.passenger == ABOARD;
        let passenger = if aboard { taxi } else { at(STANDS[usize::from(world.passenger)]) };
        drawing.label(Role::Ink, passenger, 0.34, "P");
        drawing.note = match (world.delivered(), aboard) {
            (true, _) => "delivered".to_owned(),
            (false, true) => "aboard".to_owned(),
            (false, false) => "waiting".to_owned(),
        };
        Some(drawing)
    }

    fn action_names(&self, _agent: usize) -> Vec<String> {
        names(&["down", "up", "right", "left", "pick up", "drop off"])
    }

    fn visit(&self, world: &mut Fare, codec: &mut Codec) -> Result<()> {
        codec.one(&mut world.row)?;
        codec.one(&mut world.column)?;
        codec.one(&mut world.passenger)?;
        codec.one(&mut world.destination)
    }

    fn valid(&self, world: &Fare) -> bool {
        world.row < 5 && world.column < 5 && world.passenger <= ABOARD && world.destination < ABOARD
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::goals::Goals;
    use crate::env::{Buffers, VecEnv};

    /// The best return from a state, by breadth-first search: every step but the last costs 1.
    fn best(start: Fare) -> i32 {
        let (mut seen, mut edge) = (vec![start], vec![start]);
        for steps in 0.. {
            let mut next = Vec::new();
            for state in edge {
                for action in 0..ACTIONS as u32 {
                    let mut after = state;
                    match after.act(action) {
                        20 => return 20 - steps,
                        -1 if !seen.contains(&after) => {
                            seen.push(after);
                            next.push(after);
                        }
                        _ => {}
                    }
                }
            }
            assert!(!next.is_empty(), "no way from {start:?}");
            edge = next;
        }
        unreachable!()
    }

    #[test]
    fn the_best_play_is_worth_7_930() {
        let mut sum = 0;
        for number in 0..400u32 {
            let (cell, rest) = ((number / 16) as u8, (number % 16) as u8);
            let fare = Fare { row: cell / 5, column: cell % 5, passenger: rest / 4, destination: rest % 4 };
            sum += if fare.delivered() { 0 } else { best(fare) };
        }
        assert!((f64::from(sum) / 300.0 - 7.930).abs() < 5e-4, "{}", f64::from(sum) / 300.0);
    }

    #[test]
    fn goals_hold_where_they_say() {
        let mut taxi = Taxi::new(TaxiConfig { worlds: 64, max_episode_steps: 500 }, 5).unwrap();
        let goals = Goals::named(taxi.rules().goals(), 19).unwrap();
        let mut out = Buffers::new(taxi.spec());
        taxi.reset(&[true; 64], &mut out).unwrap();
        let mut random = Pcg64::from_entropy(&[8]);
        let mut held = [0; 6];
        for _ in 0..2_000 {
            for (world, seen) in out.observations.chunks_exact(19).enumerate() {
                let fare = *taxi.world(world).unwrap();
                for (goal, held) in held.iter_mut().enumerate() {
                    let holds = match goal {
                        4 => fare.passenger == ABOARD,
                        5 => fare.delivered(),
                        stand => fare.here() == STANDS[stand],
                    };
                    assert_eq!(goals.holds(goal, seen), holds, "{fare:?}, goal {goal}");
                    *held += u32::from(holds);
                }
            }
            let ended = out.ended.clone();
            taxi.reset(&ended, &mut out).unwrap();
            let actions: Vec<u32> = (0..64).map(|_| random.below(6)).collect();
            taxi.step(&actions.into(), &mut out).unwrap();
        }
        assert!(held.iter().all(|held| *held > 0), "{held:?}");
    }

    #[test]
    fn what_is_not_possible_costs_ten_and_changes_nothing() {
        let mut fare = Fare { row: 2, column: 2, passenger: 1, destination: 3 };
        for action in [4, 5] {
            let before = fare;
            assert_eq!((fare.act(action), fare), (-10, before));
        }
        fare.passenger = ABOARD;
        assert_eq!(fare.act(4), -10);
        assert_eq!(fare.act(5), -10);
        // A drop-off at the wrong stand is possible, and no delivery.
        (fare.row, fare.column) = (0, 0);
        assert_eq!((fare.act(5), fare.passenger), (-1, 0));
        // Walls hold on both sides, edges too.
        for (row, column) in WALLS {
            let mut fare = Fare { row, column, passenger: 1, destination: 3 };
            assert_eq!((fare.act(2), fare.column), (-1, column));
            fare.column += 1;
            assert_eq!((fare.act(3), fare.column), (-1, column + 1));
        }
    }
}
