//! The rules of the world: robots drive, turn, take shelves up and set them down; what is requested is paid for at
//! goals.

use serde::{Serialize, Serializer};

use super::config::{Reward, Ties, WarehouseConfig};
use super::floor::{Counts, Floor, Request, Robot};
use super::ground::Ground;
use super::layout::Layout;
use super::traffic::{Tie, Wish};
use super::{draw, observe};
use crate::action::ActionSpace;
use crate::env::pathfinding::Pcg64;
use crate::env::vectorised::{Chosen, Codec, Outcome, Pay, Rules, View};
use crate::env::{AgentKind, Drawing, drawing};
use crate::error::Result;

const NOTHING: u32 = 0;
const FORWARD: u32 = 1;
const LEFT: u32 = 2;
const RIGHT: u32 = 3;

/// What each direction (up, down, left, right) becomes by a turn to the left, and to the right.
const TURNED: [[u8; 4]; 2] = [[2, 3, 1, 0], [3, 2, 0, 1]];

/// The settings with the layout that they name ([`WarehouseConfig::warehouse`]).
#[derive(Debug, Clone)]
pub struct Warehouse {
    pub(super) config: WarehouseConfig,
    pub(super) layout: Layout,
    pub(super) ground: Ground,
    pub(super) requests: usize,
}

impl Serialize for Warehouse {
    /// What tells one such world from another: files with other contents make another.
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        (&self.config, &self.layout).serialize(serializer)
    }
}

impl Warehouse {
    /// The settings have been checked.
    pub(super) fn new(config: WarehouseConfig, layout: Layout, requests: usize) -> Self {
        let ground = Ground::new(&layout, config.sensor_range);
        Warehouse { config, layout, ground, requests }
    }

    /// The ground.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Every robot's column, row, direction (up, down, left, right) and the number of the shelf that it carries, 0 for
    /// none.
    pub fn robots(&self, floor: &Floor) -> Vec<[usize; 4]> {
        let tell = |robot: &Robot| {
            let [x, y] = self.ground.place(robot.at);
            [x, y, robot.direction as usize, robot.carries as usize]
        };
        floor.robots.iter().map(tell).collect()
    }

    /// Every shelf's column and row.
    pub fn shelves(&self, floor: &Floor) -> Vec<[usize; 2]> {
        floor.shelves.iter().map(|cell| self.ground.place(*cell)).collect()
    }

    /// The numbers of the shelves that are requested, from 1, in the order of their places in the queue.
    pub fn requests(&self, floor: &Floor) -> Vec<usize> {
        floor.requests.iter().map(|request| request.shelf as usize).collect()
    }

    /// What every battery holds.
    pub fn charges(&self, floor: &Floor) -> Vec<u32> {
        floor.robots.iter().map(|robot| robot.charge).collect()
    }

    /// The worth of every request, and the last step in which it is in time.
    pub fn worths(&self, floor: &Floor) -> Vec<(f32, Option<u32>)> {
        let due = |request: &Request| (self.config.priorities.deadline[1] > 0).then_some(request.due);
        floor.requests.iter().map(|request| (self.worth(request), due(request))).collect()
    }

    pub(super) fn worth(&self, request: &Request) -> f32 {
        self.config.priorities.weights.get(usize::from(request.weight)).copied().unwrap_or(1.0)
    }

    fn batteries(&self) -> bool {
        self.config.battery.capacity > 0
    }

    /// A request for a shelf from a step on; draws nothing where requests are all alike.
    fn ask(&self, shelf: u32, step: u32, random: &mut Pcg64) -> Request {
        let priorities = &self.config.priorities;
        let weight = random.below(priorities.weights.len() as u32) as u8;
        let [soonest, latest] = priorities.deadline;
        let due = if latest > 0 { step + soonest + random.below(latest - soonest + 1) } else { 0 };
        Request { shelf, weight, due }
    }

    /// Notes what every robot shows and where it wants to drive.
    fn wish(&self, floor: &mut Floor, actions: &[u32]) {
        let numbers = 1 + self.config.message_bits;
        for (index, chosen) in actions.chunks_exact(numbers).enumerate() {
            let bits = chosen[1..].iter().enumerate();
            let robot = &mut floor.robots[index];
            robot.message = bits.fold(0, |all, (bit, set)| all | set << bit);
            let from = robot.at;
            let mut to = from;
            if chosen[0] == FORWARD && self.can_act(robot) {
                to = self.ground.ahead(from, robot.direction);
                if robot.carries > 0 && to != from && floor.shelf_at[to as usize] > 0 {
                    let by = floor.robots.get(floor.robot_at[to as usize] as usize);
                    // A shelf that is carried by a robot there may be gone when this one arrives.
                    if by.is_none_or(|by| by.carries == 0) {
                        to = from;
                    }
                }
            }
            let ahead = if to == from { index as u32 } else { floor.robot_at[to as usize] };
            floor.traffic.wishes[index] = Wish { from, to, ahead };
        }
    }

    fn can_act(&self, robot: &Robot) -> bool {
        !robot.held && (!self.batteries() || robot.charge > 0)
    }

    /// Turns, and takes up and sets down what can be; what that pays.
    fn handle(&self, floor: &mut Floor, index: usize, action: u32, reward: &mut f32) {
        let robot = &mut floor.robots[index];
        match action {
            LEFT | RIGHT => {
                let turned = TURNED[usize::from(action == RIGHT)][usize::from(robot.direction)];
                floor.turn(index, turned);
            }
            NOTHING | FORWARD => {}
            _ if robot.carries == 0 => robot.carries = floor.shelf_at[robot.at as usize],
            _ if !self.ground.is_highway(robot.at) => {
                robot.carries = 0;
                *reward += std::mem::take(&mut robot.owed);
            }
            _ => {}
        }
    }

    /// Takes what the step cost from a robot's battery, or fills it.
    fn drain(&self, robot: &mut Robot, acted: bool) {
        let battery = &self.config.battery;
        let carrying = if robot.carries > 0 { battery.carrying } else { 0 };
        let cost = carrying + if acted { battery.acting } else { battery.idle };
        robot.charge = robot.charge.saturating_sub(cost);
        if self.ground.charges(robot.at) {
            robot.charge = robot.charge.saturating_add(battery.charging).min(battery.capacity);
        }
    }

    /// What is requested and stands on a goal is served; what has been served is paid for, and another shelf requested.
    fn deliver(&self, floor: &mut Floor, random: &mut Pcg64, rewards: &mut [f32]) {
        floor.inactive += 1;
        for (goal, cell) in self.ground.goals.iter().enumerate() {
            let shelf = floor.shelf_at[*cell as usize] as usize;
            let slot = shelf.checked_sub(1).map_or(0, |shelf| floor.slots[shelf] as usize);
            let robot = floor.robot_at[*cell as usize] as usize;
            if slot == 0 || robot >= floor.robots.len() {
                floor.served[goal] = 0;
                continue;
            }
            floor.served[goal] += 1;
            floor.robots[robot].held = floor.served[goal] < self.config.service;
            if floor.robots[robot].held {
                continue;
            }
            floor.served[goal] = 0;
            floor.inactive = 0;
            let request = floor.requests[slot - 1];
            let late = self.config.priorities.deadline[1] > 0 && floor.step > request.due;
            let worth = self.worth(&request) * if late { self.config.priorities.late } else { 1.0 };
            floor.counts.deliveries += 1;
            floor.counts.late += u32::from(late);
            match self.config.reward {
                Reward::Individual => rewards[robot] += worth,
                Reward::Global => rewards.iter_mut().for_each(|reward| *reward += worth),
                Reward::TwoStage => {
                    rewards[robot] += 0.5 * worth;
                    floor.robots[robot].owed = 0.5 * worth;
                }
            }
            // The one that is delivered is still requested as the next is drawn.
            let open = floor.slots.iter().filter(|slot| **slot == 0).count() as u32;
            let drawn = random.below(open) as usize;
            let next = (1..).zip(&floor.slots).filter(|(_, slot)| **slot == 0).nth(drawn);
            if let Some((next, _)) = next {
                let request = self.ask(next, floor.step, random);
                floor.request(slot - 1, request);
            }
        }
    }
}

impl Rules for Warehouse {
    type World = Floor;
    const NAME: &'static str = "warehouse";
    const METRICS: &'static [&'static str] = &["deliveries", "late", "blocked", "queued", "empty"];
    const SUMMED: bool = true;

    fn worlds(&self) -> usize {
        self.config.worlds
    }

    /// Nothing: [`WarehouseConfig::warehouse`] has checked.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    fn kinds(&self) -> Vec<AgentKind> {
        let actions = match self.config.message_bits {
            0 => ActionSpace::Discrete(5),
            bits => {
                ActionSpace::MultiDiscrete(std::iter::once(5).chain(std::iter::repeat_n(2, bits)).collect())
            }
        };
        vec![AgentKind::new("robot", self.config.agents, &[observe::length(self)], actions)]
    }

    fn state(&self) -> usize {
        self.config.agents * observe::length(self)
    }

    fn limit(&self) -> u32 {
        self.config.max_episode_steps as u32
    }

    fn blank(&self) -> Floor {
        Floor::new(&self.ground, self.config.agents, self.requests)
    }

    fn reset(&self, floor: &mut Floor, _episode: u64, random: &mut Pcg64) {
        let cells = (self.layout.width() * self.layout.height()) as u32;
        let starts = random.choose(cells, self.config.agents as u32);
        for (robot, cell) in floor.robots.iter_mut().zip(starts) {
            let [x, y] = self.layout.place(cell);
            *robot =
                Robot { at: self.ground.at(x, y), charge: self.config.battery.capacity, ..Robot::default() };
        }
        for robot in &mut floor.robots {
            robot.direction = random.below(4) as u8;
        }
        floor.shelves.copy_from_slice(&self.ground.shelves);
        let wanted = random.choose(floor.shelves.len() as u32, self.requests as u32);
        for (request, shelf) in floor.requests.iter_mut().zip(wanted) {
            *request = self.ask(shelf + 1, 0, random);
        }
        floor.served.fill(0);
        (floor.step, floor.inactive, floor.counts) = (0, 0, Counts::default());
        floor.rebuild();
    }

    fn step(&self, floor: &mut Floor, actions: Chosen, random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        let actions = actions.discrete(0);
        let numbers = 1 + self.config.message_bits;
        floor.step += 1;
        self.wish(floor, actions);
        floor.traffic.resolve(match self.config.ties {
            Ties::Lowest => Tie::Lowest,
            Ties::Original => Tie::Original(&self.ground),
        });
        floor.drive();
        for index in 0..floor.robots.len() {
            let robot = floor.robots[index];
            let able = self.can_act(&robot);
            let action = actions[index * numbers];
            if able {
                self.handle(floor, index, action, &mut pay.rewards[index]);
            }
            if able && action == FORWARD && !floor.traffic.moves[index] {
                floor.counts.blocked += 1;
                let requested = (robot.carries as usize).checked_sub(1).is_some_and(|s| floor.slots[s] > 0);
                floor.counts.queued += u32::from(requested);
            }
            if self.batteries() {
                self.drain(&mut floor.robots[index], able && action != NOTHING);
            }
        }
        self.deliver(floor, random, pay.rewards);
        let limit = self.config.max_inactivity_steps as u32;
        if limit > 0 && floor.inactive >= limit { Outcome::Ends } else { Outcome::GoesOn }
    }

    fn observe(&self, floor: &Floor, view: &mut View) {
        observe::observe(self, floor, view);
    }

    fn metrics(&self, floor: &Floor) -> Vec<f64> {
        let Counts { deliveries, late, blocked, queued } = floor.counts;
        let empty = floor.robots.iter().filter(|robot| self.batteries() && robot.charge == 0).count();
        vec![deliveries.into(), late.into(), blocked.into(), queued.into(), empty as f64]
    }

    fn draw(&self, floor: &Floor) -> Option<Drawing> {
        draw::plan(self, floor)
    }

    fn action_names(&self, _agent: usize) -> Vec<String> {
        let mut all = drawing::names(&["nothing", "forward", "left", "right", "load"]);
        for bit in 0..self.config.message_bits {
            all.extend([format!("bit {bit} off"), format!("bit {bit} on")]);
        }
        all
    }

    fn visit(&self, floor: &mut Floor, codec: &mut Codec) -> Result<()> {
        floor.visit(codec)
    }

    fn valid(&self, floor: &Floor) -> bool {
        let weights = self.config.priorities.weights.len().max(1);
        let robot = |robot: &Robot| {
            robot.charge <= self.config.battery.capacity && robot.message >> self.config.message_bits == 0
        };
        floor.valid(&self.ground)
            && floor.step <= self.limit()
            && floor.inactive <= floor.step
            && floor.robots.iter().all(robot)
            && floor.requests.iter().all(|request| usize::from(request.weight) < weights)
            && floor.requests.iter().all(|request| request.due <= 1 << 31)
            && floor.served.iter().all(|steps| *steps < self.config.service)
    }
}
