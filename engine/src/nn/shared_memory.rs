//! A memory of slots that many agents read and write.

use super::layers::Linear;
use super::parameters::{Builder, Weights};
use crate::graph::Tensor;

/// Slots that agents read by attention and write through gates: an agent offers a candidate with an importance; where
/// its gate is open, the least important slot is blended with it. Agents write in the order of their numbers. The
/// equations stand at [`MemoryWrite`](crate::op::memory::MemoryWrite).
#[derive(Debug, Clone)]
pub struct SharedMemory {
    heads: usize,
    decay: f32,
    threshold: f32,
    query: Linear,
    output: Linear,
    candidate: Linear,
    gate: Linear,
    importance: Linear,
}

impl SharedMemory {
    /// Slots of `features`, read with `heads` heads by agents of `features`. Importances are multiplied by `decay` at
    /// each write; gates at or under `threshold` write nothing.
    pub fn new(
        builder: &mut Builder,
        name: &str,
        features: usize,
        heads: usize,
        decay: f32,
        threshold: f32,
    ) -> Self {
        builder.within(name, |b| SharedMemory {
            heads,
            decay,
            threshold,
            query: Linear::new(b, "query", features, features, 1.0),
            output: Linear::new(b, "output", features, features, 1.0),
            candidate: Linear::new(b, "candidate", features, features, 1.0),
            gate: Linear::new(b, "gate", features, 1, 1.0),
            importance: Linear::new(b, "importance", features, 1, 1.0),
        })
    }

    /// What agents `[.., agents, features]` read from `slots` `[.., slots, features]`; `valid` `[.., slots]` is 1 for
    /// slots that hold something.
    pub fn read<'g>(
        &self,
        weights: &Weights<'g>,
        agents: Tensor<'g>,
        slots: Tensor<'g>,
        valid: Option<Tensor<'g>>,
    ) -> Tensor<'g> {
        let read = self.query.forward(weights, agents).memory_read(slots, self.heads, valid);
        self.output.forward(weights, read)
    }

    /// Slots and importances after agents `[.., agents, features]` wrote to `slots` `[.., slots, features]` with
    /// importances `[.., slots]`.
    pub fn write<'g>(
        &self,
        weights: &Weights<'g>,
        agents: Tensor<'g>,
        slots: Tensor<'g>,
        importance: Tensor<'g>,
    ) -> (Tensor<'g>, Tensor<'g>) {
        let column = |x: Tensor<'g>| x.reshape(x.shape().leading(1));
        let candidates = self.candidate.forward(weights, agents).tanh();
        let gates = column(self.gate.forward(weights, agents).sigmoid());
        let own = column(self.importance.forward(weights, agents).sigmoid());
        slots.memory_write(importance, candidates, gates, own, self.decay, self.threshold)
    }
}
