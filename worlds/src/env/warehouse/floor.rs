//! What changes in a warehouse: robots, shelves, requests, and arrays that say what is where.

use super::ground::Ground;
use super::traffic::{NONE, Traffic};
use crate::env::vectorised::Codec;
use crate::error::Result;

/// A cell's code: a robot's mark and direction, a shelf's mark, a requested one's.
pub(super) const ROBOT: u8 = 1;
pub(super) const SHELF: u8 = 8;
pub(super) const REQUESTED: u8 = 16;
/// Numbers that a code can be.
pub(super) const CODES: usize = 32;

/// A robot.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Robot {
    pub at: u32,
    /// Up, down, left, right.
    pub direction: u8,
    /// The number of the shelf that it carries; 0 for none.
    pub carries: u32,
    /// What it is paid when it next sets a shelf down.
    pub owed: f32,
    pub charge: u32,
    /// The bits that it shows.
    pub message: u32,
    /// Its shelf is being served.
    pub held: bool,
}

/// A shelf that is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Request {
    /// Its number, from 1.
    pub shelf: u32,
    /// Which of the weights it has.
    pub weight: u8,
    /// The last step in which it is in time.
    pub due: u32,
}

/// What reports are made of.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Counts {
    pub deliveries: u32,
    pub late: u32,
    pub blocked: u32,
    pub queued: u32,
}

/// A warehouse between two steps.
#[derive(Debug, Clone)]
pub struct Floor {
    pub(super) robots: Vec<Robot>,
    /// The cell of each shelf by its number less 1.
    pub(super) shelves: Vec<u32>,
    pub(super) requests: Vec<Request>,
    /// Per goal: steps for which its shelf has been served.
    pub(super) served: Vec<u32>,
    pub(super) step: u32,
    /// Steps since the last delivery.
    pub(super) inactive: u32,
    pub(super) counts: Counts,
    // All below follows from the above.
    /// Per cell: what robots see there.
    pub(super) codes: Vec<u8>,
    /// Per cell: the robot there, or [`NONE`].
    pub(super) robot_at: Vec<u32>,
    /// Per cell: the number of the shelf there; 0 for none.
    pub(super) shelf_at: Vec<u32>,
    /// Per shelf by its number less 1: its place among the requests, from 1; 0 where it is not requested.
    pub(super) slots: Vec<u32>,
    pub(super) traffic: Traffic,
}

impl Floor {
    pub(super) fn new(ground: &Ground, robots: usize, requests: usize) -> Self {
        Floor {
            robots: vec![Robot::default(); robots],
            shelves: ground.shelves.clone(),
            requests: vec![Request::default(); requests],
            served: vec![0; ground.goals.len()],
            step: 0,
            inactive: 0,
            counts: Counts::default(),
            codes: vec![0; ground.cells()],
            robot_at: vec![NONE; ground.cells()],
            shelf_at: vec![0; ground.cells()],
            slots: vec![0; ground.shelves.len()],
            traffic: Traffic::new(robots),
        }
    }

    /// Makes the arrays over cells and shelves what robots, shelves and requests say. What is out of range is left out.
    pub(super) fn rebuild(&mut self) {
        self.codes.fill(0);
        self.robot_at.fill(NONE);
        self.shelf_at.fill(0);
        self.slots.fill(0);
        for (slot, request) in self.requests.iter().enumerate() {
            if let Some(place) = self.slots.get_mut((request.shelf as usize).wrapping_sub(1)) {
                *place = slot as u32 + 1;
            }
        }
        for (number, cell) in self.shelves.iter().enumerate() {
            if let Some(code) = self.codes.get_mut(*cell as usize) {
                *code = SHELF | if self.slots[number] > 0 { REQUESTED } else { 0 };
                self.shelf_at[*cell as usize] = number as u32 + 1;
            }
        }
        for (index, robot) in self.robots.iter().enumerate() {
            if let Some(code) = self.codes.get_mut(robot.at as usize) {
                *code |= ROBOT | (robot.direction & 3) << 1;
                self.robot_at[robot.at as usize] = index as u32;
            }
        }
    }

    pub(super) fn visit(&mut self, codec: &mut Codec) -> Result<()> {
        for robot in &mut self.robots {
            codec.one(&mut robot.at)?;
            codec.one(&mut robot.direction)?;
            codec.one(&mut robot.carries)?;
            codec.one(&mut robot.owed)?;
            codec.one(&mut robot.charge)?;
            codec.one(&mut robot.message)?;
            codec.one(&mut robot.held)?;
        }
        codec.all(&mut self.shelves)?;
        for request in &mut self.requests {
            codec.one(&mut request.shelf)?;
            codec.one(&mut request.weight)?;
            codec.one(&mut request.due)?;
        }
        codec.all(&mut self.served)?;
        codec.one(&mut self.step)?;
        codec.one(&mut self.inactive)?;
        let counts = &mut self.counts;
        for count in [&mut counts.deliveries, &mut counts.late, &mut counts.blocked, &mut counts.queued] {
            codec.one(count)?;
        }
        self.rebuild();
        Ok(())
    }

    /// Whether every robot, shelf and request is somewhere, and none twice; shelves that nobody carries stand off the
    /// lanes.
    pub(super) fn valid(&self, ground: &Ground) -> bool {
        let carried = |robot: &Robot| {
            let shelf = self.shelves.get((robot.carries as usize).wrapping_sub(1));
            robot.carries == 0 || shelf == Some(&robot.at)
        };
        let robot = |(index, robot): (usize, &Robot)| {
            ground.is_inside(robot.at)
                && self.robot_at[robot.at as usize] == index as u32
                && robot.direction < 4
                && (0.0..=1000.0).contains(&robot.owed)
                && carried(robot)
        };
        let shelf = |(number, cell): (usize, &u32)| {
            let stands = |cell: u32| {
                let by = self.robots.get(self.robot_at[cell as usize] as usize);
                !ground.is_highway(cell) || by.is_some_and(|robot| robot.carries == number as u32 + 1)
            };
            ground.is_inside(*cell) && self.shelf_at[*cell as usize] == number as u32 + 1 && stands(*cell)
        };
        let request = |(slot, request): (usize, &Request)| {
            let place = self.slots.get((request.shelf as usize).wrapping_sub(1));
            place == Some(&(slot as u32 + 1))
        };
        self.robots.iter().enumerate().all(robot)
            && self.shelves.iter().enumerate().all(shelf)
            && self.requests.iter().enumerate().all(request)
    }

    /// Moves the robots that get through, with their shelves.
    pub(super) fn drive(&mut self) {
        let moves = &self.traffic.moves;
        // All leave before anybody arrives: a robot may drive to where another was.
        for (robot, _) in self.robots.iter().zip(moves).filter(|(_, moves)| **moves) {
            let from = robot.at as usize;
            self.robot_at[from] = NONE;
            if robot.carries > 0 {
                self.codes[from] = 0;
                self.shelf_at[from] = 0;
            } else {
                self.codes[from] &= SHELF | REQUESTED;
            }
        }
        for (index, robot) in self.robots.iter_mut().enumerate().filter(|(index, _)| moves[*index]) {
            robot.at = self.traffic.wishes[index].to;
            let to = robot.at as usize;
            self.robot_at[to] = index as u32;
            if let Some(shelf) = (robot.carries as usize).checked_sub(1) {
                self.shelves[shelf] = robot.at;
                self.shelf_at[to] = robot.carries;
                self.codes[to] = SHELF | if self.slots[shelf] > 0 { REQUESTED } else { 0 };
            }
            self.codes[to] |= ROBOT | robot.direction << 1;
        }
    }

    /// Turns a robot.
    pub(super) fn turn(&mut self, index: usize, direction: u8) {
        let robot = &mut self.robots[index];
        robot.direction = direction;
        let code = &mut self.codes[robot.at as usize];
        *code = *code & (SHELF | REQUESTED) | ROBOT | direction << 1;
    }

    /// Requests a shelf in place of the one of a slot.
    pub(super) fn request(&mut self, slot: usize, request: Request) {
        let old = std::mem::replace(&mut self.requests[slot], request).shelf as usize - 1;
        let new = request.shelf as usize - 1;
        self.slots[old] = 0;
        self.slots[new] = slot as u32 + 1;
        self.codes[self.shelves[old] as usize] &= !REQUESTED;
        self.codes[self.shelves[new] as usize] |= REQUESTED;
    }
}
