//! Deep sea (Osband et al., bsuite, arXiv 1908.03568): a treasure that only a long run of right moves finds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AgentKind;
use super::drawing::{Cells, DISC, Drawing, RING, Role, middle};
use super::goals::Goal;
use super::pathfinding::Pcg64;
use super::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View};
use crate::error::Result;

/// Many seas at once.
pub type DeepSea = Vectorised<DeepSeaConfig>;

/// The settings of [`DeepSea`].
///
/// A square of `size` x `size`; the diver starts at the top left and sinks one row a step, moving left (to the edge)
/// or right. A move right costs `0.01 / size`; one at the bottom right finds the treasure, which pays 1. Only right
/// all the way does: the most is .99, and even play finds it once in `2^size` episodes. Observation: one-hot
/// `[size * size]`, all 0 at the end. Reports have `found`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeepSeaConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// Rows and columns.
    #[schemars(range(min = 1, max = 1 << 10))]
    pub size: usize,
    /// Each cell has its own action for right, the same in all worlds and episodes, drawn from this seed. With 0
    /// action 1 is right everywhere.
    pub mapping_seed: u64,
}

crate::env::config::world!(
    DeepSeaConfig => DeepSea,
    "deep_sea",
    "a treasure that only a long run of right moves finds",
    fn goals(&self) -> Vec<Goal> {
        self.goals()
    }
);

impl Default for DeepSeaConfig {
    /// 20 x 20 with actions drawn from seed 42, 64 worlds.
    fn default() -> Self {
        DeepSeaConfig { worlds: 64, size: 20, mapping_seed: 42 }
    }
}

/// Where a diver is.
#[derive(Debug, Clone)]
pub struct Diver {
    row: u32,
    column: u32,
    found: bool,
}

impl DeepSeaConfig {
    /// The action that goes right in a cell.
    ///
    /// ```
    /// let sea = synod_worlds::env::deep_sea::DeepSeaConfig { mapping_seed: 0, ..Default::default() };
    /// assert_eq!(sea.right(3, 4), 1);
    /// ```
    pub fn right(&self, row: usize, column: usize) -> u32 {
        let seed = self.mapping_seed;
        if seed == 0 {
            return 1;
        }
        // SplitMix64's mixing (Steele et al. 2014) of seed and cell: one bit a cell, without a table to keep.
        let cell = (row as u64) << 32 | column as u64;
        let mut mixed = seed.wrapping_add(cell.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed >> 63) as u32
    }

    /// Reaching each column of the last row; none where the settings are out of range.
    pub fn goals(&self) -> Vec<Goal> {
        if self.check().is_err() {
            return Vec::new();
        }
        let row = self.size.saturating_sub(1) * self.size;
        (0..self.size).map(|i| Goal::all_of(format!("column {}", i + 1), &[row + i])).collect()
    }
}

impl Rules for DeepSeaConfig {
    type World = Diver;
    const NAME: &'static str = "deep_sea";
    const METRICS: &'static [&'static str] = &["found"];

    fn worlds(&self) -> usize {
        self.worlds
    }

    fn check(&self) -> Result<()> {
        crate::schema::check("world", self)
    }

    fn kinds(&self) -> Vec<AgentKind> {
        vec![AgentKind::discrete("diver", 1, self.size * self.size, 2)]
    }

    fn blank(&self) -> Diver {
        Diver { row: 0, column: 0, found: false }
    }

    fn reset(&self, world: &mut Diver, _episode: u64, _random: &mut Pcg64) {
        *world = self.blank();
    }

    fn step(&self, world: &mut Diver, actions: Chosen, _random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        let actions = actions.discrete(0);
        let last = self.size as u32 - 1;
        if actions[0] == self.right(world.row as usize, world.column as usize) {
            pay.rewards[0] = -0.01 / self.size as f32;
            world.found = world.row == last && world.column == last;
            if world.found {
                pay.rewards[0] += 1.0;
            }
            world.column = (world.column + 1).min(last);
        } else {
            world.column = world.column.saturating_sub(1);
        }
        world.row += 1;
        if world.row > last { Outcome::Ends } else { Outcome::GoesOn }
    }

    fn observe(&self, world: &Diver, view: &mut View) {
        let seen = view.observation(0, 0);
        seen.fill(0.0);
        if let Some(cell) = seen.get_mut(world.row as usize * self.size + world.column as usize) {
            *cell = 1.0;
        }
    }

    fn metrics(&self, world: &Diver) -> Vec<f64> {
        vec![f64::from(u8::from(world.found))]
    }

    /// The sea, and below it its bed, where dives end.
    fn draw(&self, world: &Diver) -> Option<Drawing> {
        let (size, rows) = (self.size, self.size + 1);
        let blocked = (0..rows * size).map(|cell| cell >= size * size).collect();
        let mut drawing = Drawing::of_cells(Cells { columns: size, rows, blocked, role: Role::Thing });
        drawing.ring(Role::Goal, middle(size, size - 1), RING, if world.found { 1.0 } else { 0.35 });
        drawing.disc(Role::Agent(0), middle(world.row as usize, world.column as usize), DISC);
        if world.row as usize >= size {
            drawing.note = if world.found { "found" } else { "nothing found" }.to_owned();
        }
        Some(drawing)
    }

    fn visit(&self, world: &mut Diver, codec: &mut Codec) -> Result<()> {
        codec.one(&mut world.row)?;
        codec.one(&mut world.column)?;
        codec.one(&mut world.found)
    }

    fn valid(&self, world: &Diver) -> bool {
        (world.row as usize) <= self.size && (world.column as usize) < self.size
    }
}
