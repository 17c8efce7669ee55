//! A role: what it is told, what it answers, how it is judged, saved and restored.

use serde_json::Value;

use super::blackboard::Snapshot;
use super::broker::{Envelope, Message};
use super::messages::Done;
use crate::error::{Error, Result};
use crate::tensors::Checkpoint;

/// What a role may look at while it handles a message. It is a picture of one moment: a role that hangs can change nothing.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The shared memory, as it was when the round began.
    pub board: Snapshot,
    /// The round's number, from 0.
    pub round: u64,
    /// Agent-steps used by all roles before this round.
    pub used: u64,
    /// Agent-steps of the whole run.
    pub budget: u64,
}

impl View {
    /// How far the run is, from 0 to 1.
    pub fn progress(&self) -> f64 {
        (self.used as f64 / self.budget.max(1) as f64).min(1.0)
    }
}

/// A new version of a variable on the blackboard that a role wants.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// The variable.
    pub name: String,
    /// Who wants it.
    pub by: String,
    /// The version that the role had seen; 0 for none.
    pub based_on: u64,
    /// What it is to be.
    pub value: Checkpoint,
    /// How good it is by its author's measure; more is better.
    pub score: f64,
}

/// What a role answers to a message.
#[derive(Debug, Clone, Default)]
pub struct Outbox {
    pub(super) messages: Vec<(String, Value)>,
    pub(super) proposals: Vec<(String, Checkpoint, f64)>,
}

impl Outbox {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says something to all who listen to its topic.
    ///
    /// # Errors
    /// It has no form in JSON.
    pub fn publish<M: Message>(&mut self, message: &M) -> Result<()> {
        let body = serde_json::to_value(message)
            .map_err(|e| Error::Usage(format!("a message on `{}` has no form: {e}", M::TOPIC)))?;
        self.messages.push((M::TOPIC.to_string(), body));
        Ok(())
    }

    /// Wants a variable of the blackboard to be that from the next round on.
    pub fn propose(&mut self, name: impl Into<String>, value: Checkpoint, score: f64) {
        self.proposals.push((name.into(), value, score));
    }
}

/// A specialist. It is told one message at a time, on a thread of its own.
///
/// The same messages and views from the same state give the same answers to the bit: no clock and no other source of chance
/// than seeds may enter. `examples/own_role.rs` is a complete one.
pub trait Role: Send {
    /// Its name: what messages call it.
    fn name(&self) -> &str;

    /// The topics that it listens to.
    fn topics(&self) -> Vec<&'static str>;

    /// Handles a message.
    ///
    /// # Errors
    /// Whatever keeps it from going on. It is started again from its last good version then, as it is when it panics or
    /// takes too long; the message is not shown to it again.
    fn handle(&mut self, message: &Envelope, view: &View) -> Result<Outbox>;

    /// What it thinks of another's work and what that proposes, from -1 (it does harm) to 1; `None` where it cannot tell.
    ///
    /// # Errors
    /// As [`Role::handle`].
    fn score(&mut self, _work: &Done, _proposals: &[Proposal], _view: &View) -> Result<Option<f64>> {
        Ok(None)
    }

    /// Which of several proposals for one variable is to be taken; `None` where that is not its business.
    ///
    /// # Errors
    /// As [`Role::handle`].
    fn resolve(&mut self, _proposals: &[Proposal], _view: &View) -> Result<Option<usize>> {
        Ok(None)
    }

    /// Everything that it needs to go on exactly.
    ///
    /// # Errors
    /// What the device reports.
    fn save(&self) -> Result<Checkpoint>;

    /// Takes up what [`Role::save`] gave.
    ///
    /// # Errors
    /// It is damaged, or another role's.
    fn load(&mut self, checkpoint: &Checkpoint) -> Result<()>;
}

/// Puts a checkpoint with its texts into another, under a name.
///
/// # Errors
/// None but serde's.
pub(super) fn pack(into: &mut Checkpoint, name: &str, value: Checkpoint) -> Result<()> {
    let texts = serde_json::to_string(&value.metadata).map_err(|e| Error::Usage(e.to_string()))?;
    into.set(name, texts);
    into.nest(name, value);
    Ok(())
}

/// What [`pack`] put there.
///
/// # Errors
/// There is none of that name, or its texts are damaged.
pub(super) fn unpack(from: &Checkpoint, name: &str) -> Result<Checkpoint> {
    let mut value = from.nested(name);
    value.metadata = serde_json::from_str(&from.get::<String>(name)?)
        .map_err(|e| Error::Usage(format!("the checkpoint's `{name}` is damaged: {e}")))?;
    Ok(value)
}
