//! Roles: what a team of specialists does with trainers, and what they say to each other.
//!
//! A [`Role`] handles messages, one at a time, and answers with messages and with proposals for the shared memory. Messages
//! go through a [`broker`] (typed topics, bounded queues, a log that is the record of the run), tensors through a
//! [`blackboard`] (versions, compare and swap, history). The [`supervisor`] runs every role on a thread of its own, but one
//! after another, in a stated order: the same seed gives the same bits. It starts a role that panics, hangs or fails
//! again from its last good version. A [`collaboration`] of roles is a [`Trainer`](crate::train::Trainer), so that a run
//! of it has all that other runs have.
//!
//! Nothing here touches the disk, and nothing knows of presets: what roles work on is a [`workshop::Workshop`].

pub mod adapter;
pub mod blackboard;
pub mod bridge;
pub mod broker;
pub mod collaboration;
mod config;
pub mod coordinator;
pub mod dynamics;
pub mod environment;
pub mod messages;
pub mod meta_learner;
#[cfg(feature = "redis")]
pub mod redis;
pub mod role;
pub mod state_modeller;
pub mod strategies;
pub mod supervisor;
mod trainers;
pub mod workshop;

pub use config::{Mode, RoleConfig, RoleMaking, RoleSettings, Roles};
pub use role::{Outbox, Proposal, Role, View};
