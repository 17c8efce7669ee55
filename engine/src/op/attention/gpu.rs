//! How `shaders/attention.wgsl` is launched.

use super::{Attention, AttentionGradient, Plan};
use crate::error::Result;
use crate::graph::{Binding, GpuCall, GpuPlan, Launch, Op};

const SHADER: &str = include_str!("../../../shaders/attention.wgsl");
/// Dimensions of lanes in the shader's parameters.
const DIMENSIONS: usize = 8;
/// The largest head: its query and its sums are kept in registers.
const LARGEST: usize = 256;
/// Queries and keys from which on workgroups share keys through their memory.
const TILED: usize = 32;

/// A dimension of lanes: size, the strides of q, k, v and the mask, and that of the lane's number.
type Dimension = [usize; 6];

/// The dimensions of lanes with the stride of the lane's number.
fn dimensions(plan: &Plan) -> Vec<Dimension> {
    let mut all: Vec<Dimension> = Vec::new();
    let mut number = 1;
    for &[size, q, k, v, mask] in plan.lanes.iter().rev() {
        all.push([size, q, k, v, mask, number]);
        number *= size;
    }
    all.reverse();
    all
}

struct Launcher<'a, 'c> {
    op: &'a dyn Op,
    plan: &'a Plan,
    call: &'a GpuCall<'c>,
    masked: bool,
}

impl Launcher<'_, '_> {
    fn launch(
        &self,
        entry: &'static str,
        mut bindings: Vec<Binding>,
        items: usize,
        size: usize,
        [own, summed]: [&[Dimension]; 2],
        wanted: u32,
    ) -> Result<Launch> {
        let (plan, call) = (self.plan, self.call);
        let count = own.len() + summed.len();
        if count > DIMENSIONS {
            let what = "leading dimensions that cannot be merged";
            return Err(call.limit(self.op, what, count as u64, DIMENSIONS as u64));
        }
        if plan.dim > LARGEST {
            return Err(call.limit(self.op, "features of a head", plan.dim as u64, LARGEST as u64));
        }
        let workgroups = call.groups(items, size);
        if workgroups[1] > call.limits.workgroups {
            let most = u64::from(call.limits.workgroups).pow(2);
            return Err(call.limit(self.op, "workgroups", items.div_ceil(size) as u64, most));
        }
        let scale = 1.0 / (plan.dim as f32).sqrt();
        let [tq, tk, heads] = [plan.tq, plan.tk, plan.heads].map(|x| x as u32);
        let mut parameters = vec![tq, tk, heads, u32::from(plan.causal)];
        parameters.extend([items as u32, own.len() as u32, summed.len() as u32, wanted]);
        parameters.extend([
            plan.mask[0] as u32,
            plan.mask[1] as u32,
            u32::from(self.masked),
            scale.to_bits(),
        ]);
        for &[size, q, k, v, mask, number] in own.iter().chain(summed) {
            parameters.extend([size, q, k, v, mask, number, 0, 0].map(|x| x as u32));
        }
        parameters.resize(12 + 8 * DIMENSIONS, 0);
        // The parameters stand behind eight buffers in every entry.
        bindings.resize(8, Binding::Input(0));
        // Keys and values of a tile fill at most half of the workgroup memory that every device has.
        let tile = (1024 / plan.dim).clamp(1, 64);
        let shader = format!("const DIM: u32 = {}u;\nconst TILE: u32 = {tile}u;\n{SHADER}", plan.dim);
        Ok(Launch { shader: shader.into(), entry, constants: Vec::new(), bindings, parameters, workgroups })
    }

    /// The mask, or a stand-in that is not read.
    fn mask(&self) -> Binding {
        Binding::Input(if self.masked { 3 } else { 0 })
    }
}

pub(super) fn forward(op: &Attention, plan: &Plan, call: &GpuCall<'_>) -> Result<GpuPlan> {
    let launcher = Launcher { op, plan, call, masked: op.mask };
    let mut bindings = [0, 1, 2].map(Binding::Input).to_vec();
    bindings.extend([launcher.mask(), Binding::Output(0), Binding::Output(1)]);
    let all = dimensions(plan);
    let lanes: usize = all.iter().map(|d| d[0]).product();
    let launch = if plan.tq >= TILED && plan.tk >= TILED {
        let groups = lanes * plan.heads * plan.tq.div_ceil(64);
        launcher.launch("forward_tiles", bindings, groups, 1, [&all, &[]], 0)?
    } else {
        let rows = lanes * plan.heads * plan.tq;
        launcher.launch("forward_rows", bindings, rows, 64, [&all, &[]], 0)?
    };
    Ok(launch.into())
}

pub(super) fn backward(op: &AttentionGradient, plan: &Plan, call: &GpuCall<'_>) -> Result<GpuPlan> {
    let launcher = Launcher { op, plan, call, masked: op.0.mask };
    let own = op.0.operands();
    let [out, rows, cotangent] = [own, own + 1, own + 2].map(Binding::Input);
    let all = dimensions(plan);
    // Lanes apart from those over which an operand's gradient is summed: the operand's stride is 0 there.
    let apart = |operand: usize| -> [Vec<Dimension>; 2] {
        let (own, summed) = all.iter().copied().partition(|d| d[operand] > 0);
        [own, summed]
    };
    let count = |lanes: &[Dimension]| lanes.iter().map(|d| d[0]).product::<usize>();
    let pairs = count(&all) * plan.tq * plan.heads;
    let mut result = GpuPlan { launches: Vec::new(), scratch: vec![2 * pairs] };
    let bindings = vec![out, rows, cotangent, Binding::Scratch(0)];
    result.launches.push(launcher.launch("make_pairs", bindings, pairs, 64, [&all, &[]], 0)?);
    let mut read = [0, 1, 2].map(Binding::Input).to_vec();
    read.extend([launcher.mask(), Binding::ScratchRead(0), cotangent]);

    let [of_q, summed] = apart(1);
    let bindings = [&read[..], &[Binding::Output(0)]].concat();
    let items = count(&of_q) * plan.tq * plan.heads;
    result.launches.push(launcher.launch("of_queries", bindings, items, 64, [&of_q, &summed], 0)?);

    // One launch writes both gradients where keys and values are shared by the same lanes.
    let (of_k, of_v) = (apart(2), apart(3));
    let bindings = [&read[..], &[Binding::Output(1), Binding::Output(2)]].concat();
    let both = of_k == of_v;
    for (lanes, wanted) in [(&of_k, if both { 3 } else { 1 }), (&of_v, if both { 0 } else { 2 })] {
        if wanted > 0 {
            let items = count(&lanes[0]) * plan.tk * plan.heads;
            let lanes = [&lanes[0][..], &lanes[1][..]];
            result.launches.push(launcher.launch("of_keys", bindings.clone(), items, 64, lanes, wanted)?);
        }
    }
    Ok(result)
}

/// Rounds of the loops of an invocation: for each key twice the features of a head, and itself.
pub(super) fn forward_rounds(plan: &Plan) -> u64 {
    (plan.tk * (2 * plan.dim + 1)) as u64
}

/// The same of the gradient, where a query or a key goes through all lanes that share it.
pub(super) fn backward_rounds(plan: &Plan) -> u64 {
    let shared = |operands: &[usize]| -> usize {
        let lanes = plan.lanes.iter().filter(|lane| operands.iter().any(|operand| lane[*operand] == 0));
        lanes.map(|lane| lane[0]).product()
    };
    let most = (shared(&[1]) * plan.tk).max(shared(&[2, 3]) * plan.tq);
    (most * (3 * plan.dim + 1)) as u64
}
