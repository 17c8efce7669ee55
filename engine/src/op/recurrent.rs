//! What recurrent layers have in common: sizes and lanes of a sequence, the cutting of a batch into blocks of rows that
//! each go through all steps, and small kernels. The layers themselves are `lstm` and `gru`.

use std::sync::Mutex;

use super::lanes::{Lane, common_lead, lane_of, stretch, with_lead};
use super::matmul::Matmul;
use crate::cpu::gemm::{Batch, Epilogue, Matrix, gemm_batched};
use crate::cpu::pool::{Parallel, SharedPointer, for_each_chunk, for_each_chunk_mut};
use crate::cpu::simd::{Kernel, Simd};
use crate::error::{Error, Result};
use crate::graph::{Binding, CpuInput, GpuCall, GpuPlan, Op, Tensor};
use crate::shape::{DType, TensorType};

/// Rows of a batch that one task takes through all steps.
const ROWS: usize = 32;
/// Multiply-adds from which on the pool is worth its price.
pub(super) const POOL_WORK: usize = 600_000;
/// Rows and columns of a tile on the GPU.
const TILE: usize = 16;

/// Sizes of a call.
#[derive(Clone)]
pub(super) struct Sizes {
    pub lead: Vec<usize>,
    pub lanes: usize,
    pub time: usize,
    pub batch: usize,
    pub input: usize,
    pub hidden: usize,
}

impl Sizes {
    /// From `x` `[.., t, b, i]` and the states `[.., t, b, h]`.
    pub fn of(x: &TensorType, states: &TensorType) -> Sizes {
        let lead = states.shape.leading(3).to_vec();
        let [time, batch, hidden] = [0, 1, 2].map(|i| states.shape[lead.len() + i]);
        let input = x.shape[x.shape.len() - 1];
        Sizes { lanes: lead.iter().product(), lead, time, batch, input, hidden }
    }

    pub fn lane(&self, of: &TensorType, tail: usize) -> Lane {
        lane_of(of, tail, &self.lead)
    }

    /// The part of an operand that a lane reads.
    pub fn part<'a>(&self, input: CpuInput<'a>, tail: usize, lane: usize) -> &'a [f32] {
        let shape = input.shape();
        let size: usize = shape[shape.len() - tail..].iter().product();
        &input.f32()[self.lane(input.of, tail).of(lane) * size..][..size]
    }

    pub fn work(&self, gates: usize) -> usize {
        self.lanes * self.time * self.batch * gates * self.hidden * (self.input + self.hidden)
    }

    /// Calls `body` for every lane and block of rows: lane, first row, number of rows.
    pub fn for_each_block(
        &self,
        parallel: Parallel,
        body: impl Fn(usize, usize, usize) -> Result<()> + Sync + Send,
    ) -> Result<()> {
        let blocks = self.batch.div_ceil(ROWS);
        let failure = Mutex::new(None);
        for_each_chunk(parallel, self.lanes * blocks, 1, |range| {
            for i in range {
                let start = i % blocks * ROWS;
                if let Err(error) = body(i / blocks, start, ROWS.min(self.batch - start)) {
                    keep(&failure, error);
                }
            }
        });
        raise(failure)
    }

    /// Calls `body` for every lane: on the pool where there are several, else with leave to use it.
    pub fn for_each_lane(
        &self,
        parallel: Parallel,
        body: impl Fn(usize, Parallel) -> Result<()> + Sync + Send,
    ) -> Result<()> {
        if self.lanes == 1 {
            return body(0, parallel);
        }
        let failure = Mutex::new(None);
        for_each_chunk(parallel, self.lanes, 1, |range| {
            for lane in range {
                if let Err(error) = body(lane, Parallel::Serial) {
                    keep(&failure, error);
                }
            }
        });
        raise(failure)
    }

    /// Checks operands that LSTM and GRU have in common: `x`, states `[.., b, h]`, two weights, vectors of `gates * h`
    /// and resets; gives the shape of the states.
    pub fn infer(
        operands: &[TensorType],
        tails: &[usize],
        states: usize,
        biases: usize,
        gates: usize,
    ) -> Result<(Vec<usize>, [usize; 3]), String> {
        if operands.iter().any(|t| t.dtype != DType::F32) {
            return Err("takes f32 operands".into());
        }
        let lead = common_lead(operands.iter().zip(tails.iter().copied()))?;
        let end = |i: usize, tail: usize| operands[i].shape[operands[i].shape.len() - tail..].to_vec();
        let [time, batch, input] = [0, 1, 2].map(|i| end(0, 3)[i]);
        let hidden = end(1, 2)[1];
        if (1..=states).any(|i| end(i, 2) != [batch, hidden]) {
            return Err(format!("the first state must be [.., {batch}, {hidden}]"));
        }
        let weights = 1 + states;
        if end(weights, 2) != [input, gates * hidden] || end(weights + 1, 2) != [hidden, gates * hidden] {
            return Err(format!("weights must be [.., {input}, {}] and [.., {hidden}, {0}]", gates * hidden));
        }
        if (0..biases).any(|i| end(weights + 2 + i, 1) != [gates * hidden]) {
            return Err(format!("a bias must be [.., {}]", gates * hidden));
        }
        let resets = weights + 2 + biases;
        if operands.len() > resets && end(resets, 2) != [time, batch] {
            return Err(format!("resets must be [.., {time}, {batch}]"));
        }
        let own = [&operands[0], &operands[weights]].into_iter().zip([3, 2]);
        if common_lead(own)? != lead {
            return Err("x and its weights must together have all leading dimensions".into());
        }
        Ok((lead, [time, batch, hidden]))
    }
}

fn keep(failure: &Mutex<Option<Error>>, error: Error) {
    if let Ok(mut first) = failure.lock() {
        first.get_or_insert(error);
    }
}

fn raise(failure: Mutex<Option<Error>>) -> Result<()> {
    match failure.into_inner() {
        Ok(Some(error)) => Err(error),
        _ => Ok(()),
    }
}

/// A row times a factor; a factor of 0 forgets even what is not finite.
#[inline(always)]
fn scale_row<S: Simd>(s: S, from: &[f32], factor: f32, to: &mut [f32]) {
    let count = from.len().min(to.len());
    let mut i = 0;
    while i < count {
        let value = s.mul(s.load_slice(&from[i..count]), s.splat(factor));
        s.store_slice(&mut to[i..count], s.select(s.eq(s.splat(factor), s.zero()), s.zero(), value));
        i += S::LANES;
    }
}

/// Rows times a factor each.
pub(super) struct ScaleRows<'a> {
    pub from: &'a [f32],
    pub factors: Option<&'a [f32]>,
    pub width: usize,
    pub to: &'a mut [f32],
}

impl Kernel for ScaleRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Some(resets) = self.factors else {
            self.to.copy_from_slice(self.from);
            return;
        };
        for (row, reset) in resets.iter().enumerate() {
            let at = row * self.width;
            let to = &mut self.to[at..at + self.width];
            scale_row(s, &self.from[at..at + self.width], 1.0 - reset, to);
        }
    }
}

/// Rows times `1 - reset`, in place.
pub(super) struct Mask<'a> {
    pub rows: &'a mut [f32],
    pub resets: &'a [f32],
    pub width: usize,
}

impl Kernel for Mask<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for (row, &reset) in self.rows.chunks_exact_mut(self.width).zip(self.resets) {
            if reset == 0.0 {
                continue;
            }
            let kept = s.splat(1.0 - reset);
            let mut i = 0;
            while i < row.len() {
                let value = s.mul(s.load_slice(&row[i..]), kept);
                s.store_slice(&mut row[i..], s.select(s.eq(kept, s.zero()), s.zero(), value));
                i += S::LANES;
            }
        }
    }
}

/// Sums of columns: `out[j] = sum over rows of from[row * stride + j]`, added up in the order of the rows.
pub(super) fn column_sums(from: &[f32], stride: usize, out: &mut [f32], parallel: Parallel) {
    let parallel = parallel.above(from.len(), POOL_WORK);
    // Columns that fill a few lines of the cache, so that a row is read in one go.
    for_each_chunk_mut(parallel, out, 1, 64, |columns, out| {
        out.fill(0.0);
        for row in from.chunks(stride) {
            out.iter_mut().zip(&row[columns.clone()]).for_each(|(sum, x)| *sum += x);
        }
    });
}

/// # Safety
/// The range is valid, and nobody else uses it while the slice lives.
pub(super) unsafe fn slice_mut<'a>(pointer: SharedPointer, start: usize, length: usize) -> &'a mut [f32] {
    // SAFETY: the caller vouches for it.
    unsafe { std::slice::from_raw_parts_mut(pointer.get().add(start), length) }
}

/// # Safety
/// The range is valid, and nobody writes to it while the slice lives.
pub(super) unsafe fn slice_of<'a>(pointer: SharedPointer, start: usize, length: usize) -> &'a [f32] {
    // SAFETY: the caller vouches for it.
    unsafe { std::slice::from_raw_parts(pointer.get().add(start), length) }
}

/// A sequence with its steps and rows as the rows of one matrix.
pub(super) fn flat(of: &TensorType) -> TensorType {
    let at = of.shape.len() - 3;
    TensorType::f32(with_lead(&of.shape[..at], &[of.shape[at] * of.shape[at + 1], of.shape[at + 2]]))
}

/// Appends the dispatches of another op, whose operands and outputs are these buffers.
fn embed(plan: &mut GpuPlan, other: GpuPlan, inputs: &[Binding], outputs: &[Binding]) {
    let first = plan.scratch.len();
    plan.scratch.extend(other.scratch);
    for mut launch in other.launches {
        for binding in &mut launch.bindings {
            *binding = match *binding {
                Binding::Input(i) => match inputs[i] {
                    Binding::Scratch(s) => Binding::ScratchRead(s),
                    same => same,
                },
                Binding::Output(i) => outputs[i],
                Binding::Scratch(s) => Binding::Scratch(first + s),
                Binding::ScratchRead(s) => Binding::ScratchRead(first + s),
            };
        }
        plan.launches.push(launch);
    }
}

/// Appends a product of whole buffers.
pub(super) fn product(
    plan: &mut GpuPlan,
    call: &GpuCall<'_>,
    (transpose_a, transpose_b): (bool, bool),
    operands: [(Binding, TensorType); 2],
    out: (Binding, TensorType),
) -> Result<()> {
    let [(a, of_a), (b, of_b)] = operands;
    let (types, outputs) = ([of_a, of_b], [out.1]);
    let inner = GpuCall { operands: &types, outputs: &outputs, limits: call.limits };
    embed(plan, Matmul::new(transpose_a, transpose_b).gpu(&inner)?, &[a, b], &[out.0]);
    Ok(())
}

/// Parameters of a step: sizes, four numbers of its own, and up to six lane maps.
pub(super) fn parameters(sizes: &Sizes, own: [usize; 4], maps: &[Lane]) -> Vec<u32> {
    let mut parameters = [sizes.time, sizes.batch, sizes.hidden, sizes.lanes].map(|n| n as u32).to_vec();
    parameters.extend(own.map(|n| n as u32));
    for i in 0..6 {
        parameters.extend(maps.get(i).map_or([1, 1], |m| m.parameters()));
    }
    parameters
}

/// Workgroups that cover hidden units, rows and lanes.
pub(super) fn tiles(op: &dyn Op, call: &GpuCall<'_>, sizes: &Sizes) -> Result<[u32; 3]> {
    let groups = [sizes.hidden.div_ceil(TILE), sizes.batch.div_ceil(TILE), sizes.lanes];
    let limit = call.limits.workgroups as usize;
    match groups.iter().find(|&&g| g > limit) {
        Some(&g) => Err(call.limit(op, "workgroups along one dimension", g as u64, limit as u64)),
        None => Ok(groups.map(|g| g as u32)),
    }
}

/// Stretches operands where the op has no form for how they repeat; `x` as well where it and its weights (operand
/// `weights`) do not have all leading dimensions between them.
pub(super) fn complete<'g>(operands: &mut [Tensor<'g>], tails: &[usize], weights: usize) {
    stretch(operands, tails);
    let types: Vec<TensorType> = operands.iter().map(|t| t.tensor_type()).collect();
    let Ok(lead) = common_lead(types.iter().zip(tails.iter().copied())) else { return };
    if common_lead([(&types[0], 3), (&types[weights], 2)]).is_ok_and(|own| own != lead) {
        let shape = &types[0].shape;
        operands[0] = operands[0].broadcast_to(with_lead(&lead, &shape[shape.len() - 3..]));
    }
}

/// The product `a b` of one lane, `c` with rows `ldc` apart.
#[allow(clippy::too_many_arguments)] // the sizes and operands of the product
pub(super) fn multiply(
    (m, n, k): (usize, usize, usize),
    a: Matrix,
    b: Matrix,
    c: &mut [f32],
    ldc: usize,
    accumulate: bool,
    bias: Option<&[f32]>,
    parallel: Parallel,
) -> Result<()> {
    let one = Batch { count: 1, ..Batch::default() };
    let epilogue = Epilogue { bias, ..Epilogue::NONE };
    Ok(gemm_batched(one, m, n, k, a, b, c, ldc, accumulate, epilogue, parallel)?)
}
