//! The settings of a memory of slots.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::compression::Compression;
use super::level::{Groups, Rooms};
use super::slots::Slots;
use super::{MemorySettings, Store};
use crate::comm::Company;
use crate::error::{Error, Result};
use crate::nn::Builder;
use crate::registry::Member;
use crate::schema;

/// How slots come into use.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Allocation {
    /// All slots are there from the start, and read, whatever was written.
    #[default]
    Fixed,
    /// Slots come into use as they are needed. The importance of what is written is how much of it will be read a step,
    /// and learns from what is: by the cross entropy between the importance that a slot has and the attention that it gets.
    /// What will be read more than `free` is written whole, all else not at all (in learning some of it is, so that what
    /// turns out to be of use is found). A slot whose importance has faded below `free` is empty again; reading keeps it.
    /// Only slots in use are read. The importance sees two numbers more: how far the memory is from saying the same already
    /// (the error of reading), and the share of slots in use (the pressure). `memory_size` is the hard limit.
    Dynamic {
        /// Below so much attention a step a slot is not worth its place.
        #[serde(default = "free")]
        #[schemars(range(min = 0.0, max = 1.0))]
        free: f32,
        /// How far the importance of a slot goes to 1 where all attention of an agent is on it.
        #[serde(default = "kept_by_reading")]
        #[schemars(range(min = 0.0, max = 1.0))]
        kept_by_reading: f32,
    },
}

fn free() -> f32 {
    0.02
}

fn kept_by_reading() -> f32 {
    0.1
}

/// The settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SlotsConfig {
    /// Slots that everybody shares.
    #[schemars(range(min = 1, max = 1 << 20))]
    pub memory_size: usize,
    /// Numbers that are read from a slot.
    #[schemars(range(min = 1, max = 8192))]
    pub memory_dim: usize,
    /// Heads of the attention by which slots are read.
    #[schemars(range(min = 1, max = 1024))]
    pub heads: usize,
    /// Importances are multiplied by this at every step.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub decay: f32,
    /// What is of no more importance than this is not written; where slots are allocated, their own `free` says so.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub threshold: f32,
    /// The memory outlasts episodes.
    pub lasting: bool,
    /// What stands in a slot.
    pub compression: Compression,
    /// How slots come into use.
    pub allocation: Allocation,
    /// Slots of each agent that no other reads: the lowest level. 0 for none.
    #[schemars(range(min = 0, max = 1 << 20))]
    pub own_slots: usize,
    /// Slots of each group that only its agents read: the level between. 0 for none.
    #[schemars(range(min = 0, max = 1 << 20))]
    pub group_slots: usize,
    /// Which agents are a group.
    pub groups: Groups,
}

impl Default for SlotsConfig {
    /// 1,024 slots of 256 numbers, read by 8 heads; neither compressed nor in levels.
    fn default() -> Self {
        SlotsConfig {
            memory_size: 1024,
            memory_dim: 256,
            heads: 8,
            decay: 0.99,
            threshold: 0.05,
            lasting: false,
            compression: Compression::None,
            allocation: Allocation::Fixed,
            own_slots: 0,
            group_slots: 0,
            groups: Groups::default(),
        }
    }
}

impl SlotsConfig {
    /// Names, rooms and slots a room of the levels, the lowest first.
    pub(super) fn levels(&self) -> Vec<(&'static str, Rooms, usize)> {
        let levels = [
            ("own", Rooms::Own, self.own_slots),
            ("group", Rooms::Groups(self.groups.clone()), self.group_slots),
            ("all", Rooms::All, self.memory_size),
        ];
        levels.into_iter().filter(|(_, _, slots)| *slots > 0).collect()
    }
}

impl Member for SlotsConfig {
    const NAME: &'static str = "slots";
    const SUMMARY: &'static str =
        "slots that all agents read and write: compressed, in levels, allocated as needed";
}

impl MemorySettings for SlotsConfig {
    fn store(&self, builder: &mut Builder, company: &Company) -> Option<Box<dyn Store>> {
        Some(Box::new(builder.within("memory", |b| Slots::new(b, self, company))))
    }

    fn describe(&self) -> String {
        let mut levels = String::new();
        if self.own_slots > 0 {
            levels += &format!(" own={}", self.own_slots);
        }
        if self.group_slots > 0 {
            levels += &format!(" group={} of {}", self.group_slots, self.groups.describe());
        }
        if self.lasting {
            levels += " lasting";
        }
        let allocation = match self.allocation {
            Allocation::Fixed => "",
            Allocation::Dynamic { .. } => " dynamic",
        };
        format!(
            "size={} dim={} heads={} decay={} threshold={}{}{levels}{allocation}",
            self.memory_size,
            self.memory_dim,
            self.heads,
            self.decay,
            self.threshold,
            self.compression.describe(self.memory_dim),
        )
    }

    fn said(&self, _: usize) -> usize {
        self.compression.width(self.memory_dim)
    }

    fn bytes(&self, company: &Company) -> usize {
        let agents = company.agents();
        let groups = match self.groups {
            Groups::Given { groups } => groups,
            Groups::Near { cells, .. } => cells * cells,
        };
        let slots = [(self.own_slots, agents), (self.group_slots, groups), (self.memory_size, 1)];
        let slots =
            slots.iter().fold(0usize, |sum, (each, rooms)| sum.saturating_add(each.saturating_mul(*rooms)));
        slots.saturating_mul(self.compression.bits(self.memory_dim)) / 8
    }

    fn check(&self, company: &Company) -> Result<()> {
        schema::check("agent.memory", self)?;
        if !self.memory_dim.is_multiple_of(self.heads) {
            let message =
                format!("a divisor of agent.memory.memory_dim ({}), got {}", self.memory_dim, self.heads);
            return Err(Error::config("agent.memory.heads", message));
        }
        self.compression.check(self.memory_dim)?;
        if self.group_slots > 0 {
            self.groups.check(company)?;
        } else if self.groups != Groups::default() {
            let message = "its default: it does nothing where agent.memory.group_slots is 0";
            return Err(Error::config("agent.memory.groups", message));
        }
        if self.bytes(company) > MOST_BYTES {
            let message =
                format!("memories of at most {MOST_BYTES} bytes a world, this is {}", self.bytes(company));
            return Err(Error::config("agent.memory.memory_size", message));
        }
        Ok(())
    }
}

/// Of a world's memory, at most.
const MOST_BYTES: usize = 1 << 32;
