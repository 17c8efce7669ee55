//! Where and how the recurrences of a scan run on a GPU.

use super::{Plan, SHADER};
use crate::graph::{Binding, GpuCall, GpuPlan, Launch};

/// Steps of one chunk.
const CHUNK: usize = 32;
/// Invocations that keep a GPU busy without chunks.
const ENOUGH: usize = 16 * 1024;
/// Chunks at most, and steps that one invocation takes at most: a software adapter ends its loops after 65,535 rounds.
pub(super) const MOST: usize = 16 * 1024;

/// One recurrence on a GPU: which operands it reads and which output it writes.
#[derive(Clone, Copy)]
pub(super) struct Recurrence {
    pub reverse: bool,
    /// A step has the factor of the step before it, of complex numbers the conjugate.
    pub lag: bool,
    /// Numbers have an imaginary part.
    pub complex: bool,
    pub a: usize,
    pub b: usize,
    pub initial: Option<usize>,
    pub resets: Option<usize>,
    pub x: usize,
}

impl Recurrence {
    pub fn parameters(&self, call: &GpuCall<'_>, plan: &Plan, chunk: usize) -> Vec<u32> {
        let map = |operand: Option<usize>, tail| {
            operand.map_or([1, 1], |i| plan.lane(&call.operands[i], tail).parameters())
        };
        let mut parameters = vec![plan.time as u32, plan.channels as u32, plan.lanes as u32];
        parameters.extend([self.reverse, self.lag].map(u32::from));
        parameters.push(plan.a_rows as u32);
        parameters.extend([self.resets.is_some(), self.initial.is_some()].map(u32::from));
        parameters.extend([chunk as u32, plan.time.div_ceil(chunk) as u32]);
        parameters.extend(map(Some(self.a), 2));
        parameters.extend(map(Some(self.b), 2));
        parameters.extend(map(self.initial, 1));
        parameters.extend(map(self.resets, 1));
        parameters
    }

    /// For the gradient of `a`, in place of chunks: the steps that a launch adds up for each row of `a`.
    pub fn of_steps(&self, call: &GpuCall<'_>, plan: &Plan, first: usize, end: usize) -> Vec<u32> {
        let mut parameters = self.parameters(call, plan, plan.time);
        parameters[8..10].copy_from_slice(&[first as u32, end as u32]);
        parameters
    }

    /// One launch where time is short or there are many rows, else chunks of time: each is reduced to one factor and
    /// one term, the chunks are run through, and each starts again from its state.
    pub fn plan(&self, call: &GpuCall<'_>, plan: &Plan) -> GpuPlan {
        let rows = plan.lanes * plan.channels;
        let alone = plan.time <= 2 * CHUNK || (rows >= ENOUGH && plan.time <= MOST);
        let chunk = if alone { plan.time } else { plan.time.div_ceil(MOST).max(CHUNK) };
        let chunks = plan.time.div_ceil(chunk);
        let parameters = self.parameters(call, plan, chunk);
        let [reduce, carry, apply] = match self.complex {
            true => ["complex_reduce", "complex_carry", "complex_apply"],
            false => ["reduce", "carry", "apply"],
        };
        let launch = |entry, bindings, parameters, items| Launch {
            shader: SHADER.into(),
            entry,
            constants: Vec::new(),
            bindings,
            parameters,
            workgroups: call.groups(items, 256),
        };
        let (a, b) = (Binding::Input(self.a), Binding::Input(self.b));
        let resets = Binding::Input(self.resets.unwrap_or(self.a));
        let initial = Binding::Input(self.initial.unwrap_or(self.a));
        let x = Binding::Output(self.x);
        if chunks == 1 {
            return launch(apply, vec![a, b, resets, initial, x], parameters, rows).into();
        }
        let mut from_chunks = parameters.clone();
        // `apply` finds the state of every chunk in scratch memory, row by row.
        from_chunks[7] = 1;
        from_chunks[14] = 1;
        from_chunks[15] = (plan.lanes * chunks) as u32;
        let (factors, terms, states) = (0, 1, 2);
        let reduced = vec![a, b, resets, Binding::Scratch(factors), Binding::Scratch(terms)];
        let carried = vec![
            initial,
            Binding::ScratchRead(factors),
            Binding::ScratchRead(terms),
            Binding::Scratch(states),
        ];
        GpuPlan {
            launches: vec![
                launch(reduce, reduced, parameters.clone(), rows * chunks),
                launch(carry, carried, parameters, rows),
                launch(
                    apply,
                    vec![a, b, resets, Binding::ScratchRead(states), x],
                    from_chunks,
                    rows * chunks,
                ),
            ],
            scratch: vec![rows * chunks * if self.complex { 2 } else { 1 }; 3],
        }
    }
}
