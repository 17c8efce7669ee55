//! How `shaders/memory.wgsl` is launched.

use super::{MemoryWrite, MemoryWriteGradient, Plan};
use crate::error::Result;
use crate::graph::{Binding, GpuCall, GpuPlan, Launch, Op};

const SHADER: &str = include_str!("../../../shaders/memory.wgsl");
/// Dimensions of lanes in the shader's parameters.
const DIMENSIONS: usize = 8;

struct Launcher<'a, 'c> {
    op: &'a dyn Op,
    plan: &'a Plan,
    call: &'a GpuCall<'c>,
    threshold: f32,
}

impl Launcher<'_, '_> {
    /// One workgroup a lane, or one invocation where `lanes_a_group` is 64.
    fn launch(
        &self,
        entry: &'static str,
        mut bindings: Vec<Binding>,
        lanes_a_group: usize,
    ) -> Result<Launch> {
        let (plan, call) = (self.plan, self.call);
        let lanes = plan.lanes.elements();
        let rank = plan.lanes.len();
        if rank > DIMENSIONS {
            return Err(call.limit(self.op, "leading dimensions", rank as u64, DIMENSIONS as u64));
        }
        let workgroups = call.groups(lanes, lanes_a_group);
        if workgroups[1] > call.limits.workgroups {
            let most = u64::from(call.limits.workgroups).pow(2);
            return Err(call.limit(self.op, "workgroups", lanes as u64, most));
        }
        let sizes = [plan.slots, plan.features, plan.agents, lanes].map(|x| x as u32);
        let mut parameters = sizes.to_vec();
        parameters.extend([rank as u32, self.threshold.to_bits(), 0, 0]);
        for (d, &size) in plan.lanes.iter().enumerate() {
            parameters.push(size as u32);
            parameters.extend(plan.strides.iter().map(|s| s[d] as u32));
            parameters.extend([0, 0]);
        }
        parameters.resize(8 + 8 * DIMENSIONS, 0);
        // The parameters stand behind eight buffers in every entry.
        bindings.resize(8, Binding::Input(0));
        Ok(Launch { shader: SHADER.into(), entry, constants: Vec::new(), bindings, parameters, workgroups })
    }
}

pub(super) fn write(op: &MemoryWrite, plan: &Plan, call: &GpuCall<'_>) -> Result<GpuPlan> {
    let launcher = Launcher { op, plan, call, threshold: op.threshold };
    let mut bindings = [0, 1, 2, 3, 4].map(Binding::Input).to_vec();
    bindings.extend([0, 1, 2].map(Binding::Output));
    Ok(launcher.launch("write", bindings, 1)?.into())
}

pub(super) fn gradient(op: &MemoryWriteGradient, plan: &Plan, call: &GpuCall<'_>) -> Result<GpuPlan> {
    let launcher = Launcher { op, plan, call, threshold: 0.0 };
    let [memory, ranks, candidates, gates, importances, taken, of_memory, of_ranks] =
        [0, 1, 2, 3, 4, 5, 6, 7].map(Binding::Input);
    let replay = vec![memory, ranks, gates, importances, taken, Binding::Output(1), Binding::Output(4)];
    let mut back = vec![memory, candidates, gates, taken, of_memory];
    back.extend([Binding::Output(0), Binding::Output(2), Binding::Scratch(0)]);
    let mut last = vec![gates, importances, taken, of_ranks, Binding::ScratchRead(0)];
    last.extend([1, 3, 4].map(Binding::Output));
    let launches = vec![
        launcher.launch("replay", replay, 64)?,
        launcher.launch("back", back, 1)?,
        launcher.launch("last", last, 64)?,
    ];
    Ok(GpuPlan { launches, scratch: vec![plan.lanes.elements() * plan.agents] })
}
