//! Levels of a memory: rooms of slots, and who is in which. An agent's own level has a room for each agent, everybody's
//! has one, and a group's has one for each group. Agents read and write in the room they are in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Scene, gathered, spread};
use crate::comm::Company;
use crate::error::{Error, Result};
use crate::graph::{Graph, Tensor};
use crate::nn::{Builder, Initial, Parameter, Weights};

/// Which agents are a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Groups {
    /// So many groups of equally many agents, in the order of their numbers.
    Given {
        /// How many.
        #[schemars(range(min = 1, max = 1 << 20))]
        groups: usize,
    },
    /// By distance: those who stand in the same region. Space is cut into `cells` x `cells` regions.
    Near {
        /// The columns of the observation in which agents see where they are.
        columns: [usize; 2],
        /// The lowest and the highest position of both columns; who is outside counts to the nearest region.
        bounds: [f32; 2],
        /// Regions along each side.
        #[schemars(range(min = 1, max = 64))]
        cells: usize,
    },
}

impl Default for Groups {
    fn default() -> Self {
        Groups::Given { groups: 1 }
    }
}

impl Groups {
    pub(super) fn check(&self, company: &Company) -> Result<()> {
        const AT: &str = "agent.memory.groups";
        match *self {
            Groups::Given { groups } => {
                let agents = company.agents();
                if groups == 0 || !agents.is_multiple_of(groups) {
                    let message = format!("a divisor of the {agents} agents, got {groups}");
                    return Err(Error::config(format!("{AT}.groups"), message));
                }
            }
            Groups::Near { columns, bounds: [low, high], .. } => {
                if let Some(column) = columns.iter().find(|column| **column >= company.observation) {
                    let message = format!("agents see {} numbers, there is no {column}", company.observation);
                    return Err(Error::config(format!("{AT}.columns"), message));
                }
                if !(low < high && (high - low).is_finite()) {
                    let message = format!("the lower bound first, got {low} and {high}");
                    return Err(Error::config(format!("{AT}.bounds"), message));
                }
            }
        }
        Ok(())
    }

    /// In words for checkpoints.
    pub(super) fn describe(&self) -> String {
        match self {
            Groups::Given { groups } => format!("{groups}"),
            Groups::Near { columns, bounds, cells } => format!("near{columns:?}{bounds:?}/{cells}"),
        }
    }
}

/// Who is in which room.
#[derive(Debug, Clone)]
pub(super) enum Rooms {
    /// A room for each agent.
    Own,
    /// One for each group.
    Groups(Groups),
    /// One for all.
    All,
}

/// A level: its rooms, and the slots of each.
pub(super) struct Level {
    pub name: &'static str,
    pub rooms: Rooms,
    /// Of a room.
    pub slots: usize,
    /// Numbers of a slot.
    width: usize,
    /// Rows of slots that an agent's state has room for.
    share: usize,
    /// What slots hold before anybody wrote, `[slots, width]`.
    start: Parameter,
}

impl Level {
    pub fn new(
        builder: &mut Builder,
        name: &'static str,
        rooms: Rooms,
        slots: usize,
        width: usize,
        agents: usize,
    ) -> Level {
        let start = builder.parameter(name, [slots, width], Initial::Normal { deviation: 0.02 });
        let mut level = Level { name, rooms, slots, width, share: 0, start };
        level.share = (level.count(agents) * slots).div_ceil(agents);
        level
    }

    /// Rooms for so many agents.
    pub fn count(&self, agents: usize) -> usize {
        match &self.rooms {
            Rooms::Own => agents,
            Rooms::Groups(Groups::Given { groups }) => *groups,
            Rooms::Groups(Groups::Near { cells, .. }) => cells * cells,
            Rooms::All => 1,
        }
    }

    /// Slots of a room that so many agents have: as many as it has, or as there is room for in their states.
    fn slots_of_room(&self, agents: usize) -> usize {
        self.slots.min(agents * self.share / self.count(agents))
    }

    /// Whether it works for so many agents, which are not as many as it was made for.
    pub fn fits(&self, agents: usize) -> bool {
        !matches!(self.rooms, Rooms::Groups(Groups::Given { .. })) && self.slots_of_room(agents) > 0
    }

    /// Shapes of its state for one agent: slots, as they differ from the start, and their importance.
    pub fn state(&self) -> [Vec<usize>; 2] {
        [vec![self.share, self.width], vec![self.share]]
    }

    /// What slots hold before anybody wrote, `[1, 1, slots, width]`. With fewer agents than it was made for there are fewer
    /// slots: each agent brings its share.
    pub fn start<'g>(&self, weights: &Weights<'g>, slots: usize) -> Tensor<'g> {
        weights.get(self.start).slice(0, 0, slots).reshape([1, 1, slots, self.width])
    }

    /// Slots `[worlds, rooms, slots, width]` (less their start) and importances `[worlds, rooms, slots]` of a state.
    pub fn open<'g>(&self, state: &[Tensor<'g>]) -> [Tensor<'g>; 2] {
        let shape = state[0].shape();
        let (agents, worlds) = (shape[0], shape[1]);
        let rooms = self.count(agents);
        let slots = self.slots_of_room(agents);
        let held = gathered(state[0], rooms * slots).reshape([worlds, rooms, slots, self.width]);
        let column = state[1].reshape([agents, worlds, self.share, 1]);
        [held, gathered(column, rooms * slots).reshape([worlds, rooms, slots])]
    }

    /// And back.
    pub fn close<'g>(&self, [held, importance]: [Tensor<'g>; 2], agents: usize) -> [Tensor<'g>; 2] {
        let shape = held.shape();
        let (worlds, rows) = (shape[0], shape[1] * shape[2]);
        let slots = spread(held.reshape([worlds, rows, self.width]), agents, self.share);
        let importance = spread(importance.reshape([worlds, rows, 1]), agents, self.share);
        [slots, importance.reshape([agents, worlds, self.share])]
    }

    /// Who is where, `[worlds, rooms, agents]`, where that changes; `None` where it stands in the order of agents.
    pub fn members<'g>(&self, graph: &'g Graph, scene: &Scene<'g>) -> Option<Tensor<'g>> {
        let Rooms::Groups(Groups::Near { columns, bounds: [low, high], cells }) = &self.rooms else {
            return None;
        };
        let shape = scene.present.shape();
        let (agents, worlds) = (shape[1], shape[2]);
        let cell = |column: usize| {
            let at = scene.observations.slice(3, column, 1).reshape([agents, worlds]);
            let cell = ((at - *low) * (*cells as f32 / (high - low))).floor();
            cell.clamp(0.0, (cells - 1) as f32)
        };
        let room = cell(columns[0]) * (*cells as f32) + cell(columns[1]);
        let rooms = cells * cells;
        let numbers: Vec<f32> = (0..rooms).map(|room| room as f32).collect();
        let numbers = graph.constant([1, rooms, 1], &numbers);
        Some(room.transpose(&[1, 0]).reshape([worlds, 1, agents]).equal(numbers))
    }

    /// What agents have, `[worlds, agents, numbers]`, room by room: `[worlds, rooms, those in it, numbers]`. Where who is
    /// where changes, all are in every room, and [`Level::members`] says who counts.
    pub fn enter<'g>(&self, x: Tensor<'g>) -> Tensor<'g> {
        let shape = x.shape();
        let (worlds, agents, numbers) = (shape[0], shape[1], shape[2]);
        match &self.rooms {
            Rooms::Groups(Groups::Near { .. }) => x.reshape([worlds, 1, agents, numbers]),
            _ => {
                let rooms = self.count(agents);
                x.reshape([worlds, rooms, agents / rooms, numbers])
            }
        }
    }

    /// What came of it, `[worlds, rooms, those in it, numbers]`, for the agents again, `[worlds, agents, numbers]`.
    pub fn leave<'g>(&self, x: Tensor<'g>, members: Option<Tensor<'g>>) -> Tensor<'g> {
        let shape = x.shape();
        let (worlds, rooms, inside, numbers) = (shape[0], shape[1], shape[2], shape[3]);
        match members {
            None => x.reshape([worlds, rooms * inside, numbers]),
            Some(members) => {
                let counted = x * members.reshape([worlds, rooms, inside, 1]);
                counted.sum(&[1]).reshape([worlds, inside, numbers])
            }
        }
    }

    /// What is seen of each slot of an agent's room, `[worlds, rooms, those in it, numbers, slots]`, as what is seen of the
    /// slots of all rooms, `[agents, worlds, numbers, rooms slots]`, for instruments.
    pub fn seen<'g>(&self, x: Tensor<'g>, members: Option<Tensor<'g>>) -> Tensor<'g> {
        let shape = x.shape();
        let (worlds, rooms, inside, numbers, slots) = (shape[0], shape[1], shape[2], shape[3], shape[4]);
        // [worlds, agents, numbers, rooms, slots]
        let (of_agents, agents) = match members {
            Some(members) => {
                let counted = x * members.reshape([worlds, rooms, inside, 1, 1]);
                (counted.transpose(&[0, 2, 3, 1, 4]), inside)
            }
            None => {
                // A one where a room is an agent's own.
                let own = x.graph().eye(rooms, rooms).reshape([1, rooms, 1, 1, rooms, 1]);
                (x.reshape([worlds, rooms, inside, numbers, 1, slots]) * own, rooms * inside)
            }
        };
        of_agents.reshape([worlds, agents, numbers, rooms * slots]).transpose(&[1, 0, 2, 3])
    }
}
