//! The way that a vehicle takes: the quickest to its exit, but for the turns that were chosen for the next junctions.

use super::network::{LOOKED_THROUGH, NONE, Network};

/// Junctions ahead for which a turn can be chosen.
pub const MOST_TURNS: u32 = 32;

/// What a way over a junction does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It turns left.
    Left,
    /// It does not turn.
    Straight,
    /// It turns right.
    Right,
}

impl Turn {
    /// All of them, in the order of [`Lane::turns`](super::network::Lane::turns).
    pub const ALL: [Turn; 3] = [Turn::Left, Turn::Straight, Turn::Right];
}

/// Where a vehicle wants to, and how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Way {
    /// The exit, by its place in [`Network::exits`].
    pub exit: u16,
    /// Two bits for each of the next [`MOST_TURNS`] junctions, the nearest the lowest: 0 for the quickest way to the
    /// exit, else 1 and the place of the turn in [`Turn::ALL`].
    pub turns: u64,
}

impl Way {
    /// The quickest way to an exit.
    pub fn quickest(exit: u16) -> Way {
        Way { exit, turns: 0 }
    }

    /// This way with another turn at the junction of that number from here, 0 for the next.
    #[must_use]
    pub fn turning(self, junction: u32, turn: Turn) -> Way {
        let at = 2 * junction.min(MOST_TURNS - 1);
        Way { turns: self.turns & !(3 << at) | (turn as u64 + 1) << at, ..self }
    }

    /// The turn that was chosen for the next junction, if one was.
    #[inline]
    pub fn next_turn(self) -> Option<Turn> {
        (self.turns & 3).checked_sub(1).map(|turn| Turn::ALL[turn as usize])
    }
}

impl Network {
    /// The lane after one on a way, [`NONE`] at its end, and the way from there.
    #[inline]
    pub fn onward(&self, way: Way, lane: u32) -> (u32, Way) {
        let quickest = self.step(way.exit, lane).lane;
        let turns = &self.lane(lane).turns;
        if way.turns == 0 || *turns == [NONE; 3] {
            return (quickest, way);
        }
        let chosen = way.next_turn().map_or(NONE, |turn| turns[turn as usize]);
        let after = Way { turns: way.turns >> 2, ..way };
        (if chosen == NONE { quickest } else { chosen }, after)
    }

    /// The next movement over a junction on a way, and metres from the start of a lane to its start.
    #[inline]
    pub fn movement_after(&self, way: Way, lane: u32) -> Option<(u32, f64)> {
        let step = self.step(way.exit, lane);
        if way.turns == 0 {
            return (step.movement != NONE).then_some((step.movement, step.distance));
        }
        let (mut lane, mut way, mut distance) = (lane, way, 0.0);
        for _ in 0..LOOKED_THROUGH {
            distance += self.lane(lane).length;
            (lane, way) = self.onward(way, lane);
            if lane == NONE || self.is_movement(lane) {
                break;
            }
        }
        (lane != NONE && self.is_movement(lane)).then_some((lane, distance))
    }

    /// The way from a lane that a way leads over, once it is reached from another.
    pub fn way_from(&self, way: Way, from: u32, lane: u32) -> Way {
        let (mut at, mut way) = (from, way);
        for _ in 0..LOOKED_THROUGH {
            if at == lane || at == NONE {
                break;
            }
            (at, way) = self.onward(way, at);
        }
        way
    }

    /// The lane beside one that is better for a way, or [`NONE`]: one from which it turns as was chosen, or else the
    /// quickest.
    pub fn change(&self, way: Way, lane: u32) -> u32 {
        let own = self.lane(lane);
        let quickest = self.step(way.exit, lane).change;
        let Some(turn) = way.next_turn().filter(|_| own.turns != [NONE; 3]) else { return quickest };
        if own.turns[turn as usize] != NONE {
            return NONE;
        }
        for side in 0..2 {
            let mut other = own.beside[side];
            while other != NONE && other != lane {
                if self.lane(other).turns[turn as usize] != NONE {
                    return own.beside[side];
                }
                other = self.lane(other).beside[side];
            }
        }
        quickest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::roads::{NetworkConfig, RoadsConfig};

    #[test]
    fn chosen_turns_are_taken_one_after_another() {
        let network =
            NetworkConfig::Grid { columns: 3, rows: 3, lanes: 1, spacing: 100.0, entry: 80.0, exit: 50.0 };
        let network = RoadsConfig { network, ..RoadsConfig::default() }.roads().unwrap();
        let named = |name: &str| network.lanes().iter().position(|lane| lane.name == name).unwrap() as u32;
        let exit = network.exits().iter().position(|lane| *lane == named("8_north_out_0")).unwrap() as u16;
        let followed = |mut way: Way, mut lane: u32| {
            let mut names = Vec::new();
            while lane != NONE {
                if !network.is_movement(lane) {
                    names.push(network.lane(lane).name.clone());
                }
                (lane, way) = network.onward(way, lane);
            }
            names
        };
        let start = named("0_west_in_0");
        let stairs =
            Way::quickest(exit).turning(0, Turn::Left).turning(1, Turn::Right).turning(2, Turn::Left);
        let known = ["0_west_in_0", "0_to_3_0", "3_to_4_0", "4_to_7_0", "7_to_8_0", "8_north_out_0"];
        assert_eq!(followed(stairs, start), known);
        // Turned to the right it would leave where it does not want to: from there no way leads on.
        let wrong = Way::quickest(exit).turning(0, Turn::Right);
        assert_eq!(followed(wrong, start), ["0_west_in_0", "0_south_out_0"]);
        let (movement, distance) = network.movement_after(stairs, start).unwrap();
        assert_eq!(network.lane(movement).turning(), Turn::Left);
        assert_eq!(distance, network.lane(start).length);
        assert_eq!(network.way_from(stairs, start, named("0_to_3_0")).next_turn(), Some(Turn::Right));
        assert_eq!(network.way_from(stairs, start, named("3_to_4_0")).next_turn(), Some(Turn::Left));
    }
}
