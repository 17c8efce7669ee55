//! Where and how state space models run on a GPU.

use super::{Plan, SHADER};
use crate::graph::{Binding, GpuCall, Launch};
use crate::op::lanes::Lane;

/// Invocations of a workgroup.
const GROUP: usize = 64;
const REVERSE: u32 = 1;
const RESETS: u32 = 2;
const CARRIED: u32 = 4;
const CARRIED_BACK: u32 = 8;

/// An operand, and which part of it a lane reads.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub binding: Binding,
    pub lane: Lane,
}

/// The recurrence and its readout: see the kernel on the CPU.
pub(super) struct Recurrence {
    pub reverse: bool,
    /// Whether the buffer of the state holds the first one.
    pub carried: bool,
    pub u: Part,
    pub a: Part,
    pub b: Part,
    pub c: Part,
    pub d: Part,
    pub resets: Option<Part>,
    pub y: Binding,
    pub state: Binding,
}

impl Recurrence {
    /// One invocation a lane and channel.
    pub fn launch(&self, call: &GpuCall<'_>, plan: &Plan) -> Launch {
        let flags = if self.reverse { REVERSE } else { 0 } | if self.carried { CARRIED } else { 0 };
        let parts = [self.u, self.a, self.b, self.c, self.d];
        launch(
            call,
            plan,
            "scan",
            flags,
            &parts,
            self.resets,
            &[self.y, self.state],
            plan.lanes * plan.channels,
        )
    }
}

/// Writes states of an operand to where another launch expects them.
pub(super) fn copy(call: &GpuCall<'_>, plan: &Plan, from: Part, to: Binding) -> Launch {
    let items = plan.lanes * plan.channels * plan.states;
    let mut copy = launch(call, plan, "copy", 0, &[from], None, &[to], items);
    copy.bindings = vec![from.binding, to];
    copy
}

/// Gradients of `a` and `c`, from `u`, `dy`, `a`, `b` and `c`: one invocation a state. `carried`: whether the gradient
/// of `c` holds the first state, and that of `a` the gradient of the last one.
pub(super) fn decay_and_readout(
    call: &GpuCall<'_>,
    plan: &Plan,
    parts: [Part; 5],
    resets: Option<Part>,
    carried: [bool; 2],
    outputs: [Binding; 2],
) -> Launch {
    let flags = if carried[0] { CARRIED } else { 0 } | if carried[1] { CARRIED_BACK } else { 0 };
    let items = plan.lanes * plan.channels * plan.states;
    launch(call, plan, "decay_and_readout", flags, &parts, resets, &outputs, items)
}

/// The gradient of `b`, from `u`, `dy`, `a` and `c`, and the gradient of the last state: one invocation a state.
pub(super) fn drive(
    call: &GpuCall<'_>,
    plan: &Plan,
    parts: [Part; 4],
    resets: Option<Part>,
    dlast: Option<Part>,
    db: Binding,
) -> Launch {
    let flags = if dlast.is_some() { CARRIED_BACK } else { 0 };
    let [u, dy, a, c] = parts;
    let items = plan.lanes * plan.channels * plan.states;
    launch(call, plan, "drive", flags, &[u, dy, a, c, dlast.unwrap_or(c)], resets, &[db], items)
}

/// The gradient of `d`: one invocation a lane and channel.
pub(super) fn skip(call: &GpuCall<'_>, plan: &Plan, [u, dy]: [Part; 2], dd: Binding) -> Launch {
    let mut skip = launch(call, plan, "skip", 0, &[u, dy], None, &[dd], plan.lanes * plan.channels);
    skip.bindings = vec![u.binding, dy.binding, dd];
    skip
}

/// A launch over operands, then resets, then outputs.
#[allow(clippy::too_many_arguments)] // what all launches of the family have in common
fn launch(
    call: &GpuCall<'_>,
    plan: &Plan,
    entry: &'static str,
    flags: u32,
    parts: &[Part],
    resets: Option<Part>,
    outputs: &[Binding],
    items: usize,
) -> Launch {
    let flags = flags | if resets.is_some() { RESETS } else { 0 };
    let mut parameters = [plan.time, plan.channels, plan.states, plan.lanes].map(|n| n as u32).to_vec();
    parameters.extend([flags, 0, 0, 0]);
    // The map of resets is the sixth.
    let maps = parts.iter().copied().map(Some).chain(std::iter::repeat(None)).take(5).chain([resets]);
    parameters.extend(maps.flat_map(|part| part.map_or([1, 1], |part| part.lane.parameters())));
    let mut bindings: Vec<Binding> = parts.iter().map(|part| part.binding).collect();
    bindings.push(resets.unwrap_or(parts[0]).binding);
    bindings.extend(outputs);
    Launch {
        shader: SHADER.into(),
        entry,
        constants: Vec::new(),
        bindings,
        parameters,
        workgroups: call.groups(items, GROUP),
    }
}
