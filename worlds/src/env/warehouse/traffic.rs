//! Who gets through: robots that drive forward at once, as RWARE resolves it on the graph from cells to targets.

use super::ground::Ground;
use super::ties;

/// Nobody; nowhere.
pub(super) const NONE: u32 = u32::MAX;

/// What a robot wants in a step.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wish {
    /// Its cell.
    pub from: u32,
    /// The cell that it drives to; its own where it stays.
    pub to: u32,
    /// The robot on that cell, or [`NONE`]; itself where it stays.
    pub ahead: u32,
}

impl Wish {
    fn drives(&self) -> bool {
        self.to != self.from
    }
}

/// Which of equally long queues for the same cell goes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tie<'a> {
    /// That of the robot with the lower index.
    Lowest,
    /// As networkx orders the cells of this ground.
    Original(&'a Ground),
}

/// Scratch of one world; nothing in it outlasts a step.
#[derive(Debug, Clone)]
pub(super) struct Traffic {
    pub wishes: Vec<Wish>,
    /// Robots that drive into a robot's cell and have not been looked at.
    behind: Vec<u32>,
    /// The longest queue that ends with a robot, itself counted.
    depth: Vec<u32>,
    /// The robot right behind, in the longest queue.
    follower: Vec<u32>,
    /// Who gets through.
    pub moves: Vec<bool>,
    /// Robots whose own queue is known, to be looked at.
    ready: Vec<u32>,
    /// Empty cells that somebody drives into, and who gets there.
    claims: Vec<(u32, u32)>,
}

impl Traffic {
    pub fn new(robots: usize) -> Self {
        Traffic {
            wishes: vec![Wish::default(); robots],
            behind: vec![0; robots],
            depth: vec![0; robots],
            follower: vec![NONE; robots],
            moves: vec![false; robots],
            ready: Vec::with_capacity(robots),
            claims: Vec::with_capacity(robots),
        }
    }

    /// Of two robots that drive to the same cell, whether the first goes before the second.
    fn before(&self, a: u32, b: u32, tie: Tie) -> bool {
        let (deep, other) = (self.depth[a as usize], self.depth[b as usize]);
        match deep.cmp(&other) {
            std::cmp::Ordering::Equal => match tie {
                Tie::Lowest => a < b,
                Tie::Original(ground) => ties::before(&self.wishes, ground, a, b),
            },
            order => order.is_gt(),
        }
    }

    /// Decides who moves. Who stays keeps its cell, and whoever drives at it fails, with all behind. A ring of three or
    /// more moves whole, a ring of two does not, and nobody gets into either. Of the queues into an empty cell the
    /// longest moves, one robot after another; all others fail.
    pub fn resolve(&mut self, tie: Tie) {
        let robots = self.wishes.len();
        self.behind.fill(0);
        self.depth.fill(1);
        self.follower.fill(NONE);
        self.moves.fill(false);
        self.claims.clear();
        self.ready.clear();
        for wish in self.wishes.iter().filter(|wish| wish.drives() && wish.ahead != NONE) {
            self.behind[wish.ahead as usize] += 1;
        }
        let driving = |robot: &u32| self.wishes[*robot as usize].drives();
        self.ready.extend((0..robots as u32).filter(|r| self.behind[*r as usize] == 0).filter(driving));
        while let Some(robot) = self.ready.pop() {
            let Wish { to, ahead, .. } = self.wishes[robot as usize];
            if ahead == NONE {
                match self.claims.iter().position(|(cell, _)| *cell == to) {
                    None => self.claims.push((to, robot)),
                    Some(at) if self.before(robot, self.claims[at].1, tie) => self.claims[at].1 = robot,
                    Some(_) => {}
                }
                continue;
            }
            let next = ahead as usize;
            let best = self.follower[next];
            if best == NONE || self.before(robot, best, tie) {
                self.follower[next] = robot;
                self.depth[next] = self.depth[robot as usize] + 1;
            }
            self.behind[next] -= 1;
            if self.behind[next] == 0 && self.wishes[next].drives() {
                self.ready.push(ahead);
            }
        }
        for at in 0..self.claims.len() {
            let mut robot = self.claims[at].1;
            while robot != NONE {
                self.moves[robot as usize] = true;
                robot = self.follower[robot as usize];
            }
        }
        self.turn_rings();
    }

    /// Robots that are left have one behind them that is left too: they are rings.
    fn turn_rings(&mut self) {
        for first in 0..self.wishes.len() {
            if self.behind[first] == 0 || self.moves[first] {
                continue;
            }
            let (mut robot, mut length) = (self.wishes[first].ahead as usize, 1);
            while robot != first {
                robot = self.wishes[robot].ahead as usize;
                length += 1;
            }
            for _ in 0..if length > 2 { length } else { 0 } {
                self.moves[robot] = true;
                robot = self.wishes[robot].ahead as usize;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who moves, where robots stand on cells of a line or ring of numbers.
    fn moves(wishes: &[(u32, u32)]) -> Vec<bool> {
        let mut traffic = Traffic::new(wishes.len());
        for (wish, (from, to)) in traffic.wishes.iter_mut().zip(wishes) {
            let ahead = wishes.iter().position(|(cell, _)| cell == to).map_or(NONE, |robot| robot as u32);
            *wish = Wish { from: *from, to: *to, ahead };
        }
        traffic.resolve(Tie::Lowest);
        traffic.moves
    }

    #[test]
    fn queues_rings_and_swaps() {
        // A queue into an empty cell, and one against a robot that stays.
        assert_eq!(moves(&[(0, 1), (1, 2), (2, 3)]), [true; 3]);
        assert_eq!(moves(&[(0, 1), (1, 2), (2, 2)]), [false; 3]);
        // A swap stops all behind it; a ring of three turns, and nobody gets in.
        assert_eq!(moves(&[(0, 1), (1, 0), (2, 0)]), [false; 3]);
        assert_eq!(moves(&[(7, 0), (0, 1), (1, 2), (2, 0), (8, 7)]), [false, true, true, true, false]);
        // The longer queue goes, at every junction; equal ones by index.
        assert_eq!(moves(&[(0, 9), (1, 9), (2, 1)]), [false, true, true]);
        assert_eq!(moves(&[(1, 9), (2, 1), (3, 1), (4, 3)]), [true, false, true, true]);
        assert_eq!(moves(&[(5, 9), (1, 9)]), [true, false]);
        // Two rings at once.
        let rings = [(0, 1), (1, 2), (2, 0), (10, 11), (11, 12), (12, 13), (13, 10)];
        assert_eq!(moves(&rings), [true; 7]);
    }
}
