//! Sums, means and extremes over axes.
//!
//! Whatever the axes are, the work is a few passes over `[outer, reduced, inner]`, each of which adds up rows
//! (`inner` is 1) or columns. Long reductions are cut into pieces of a fixed length whose results the next pass
//! reduces, so that the order of every sum depends on shapes alone and rounding errors grow slowly. All passes are
//! limited by memory: every element is read once.

use crate::cpu::pool::SharedPointer;
use crate::cpu::simd::{Kernel, Simd, dispatch};
use crate::cpu::{Parallel, for_each_chunk};
use crate::error::Result;
use crate::graph::{Binding, CpuCall, GpuCall, GpuPlan, Launch, Op, Tensor, VjpCall};
use crate::op::movement::{MAXIMUM_RANK, check_rank, only};
use crate::shape::{DType, Shape, TensorType};

/// The ops of this file.
pub(super) const NAMES: &[&str] = &["sum", "max", "min"];

/// WGSL of the reduction kernels.
pub(crate) const SHADER: &str = include_str!("../../shaders/reduce.wgsl");

/// What a reduction keeps of the elements it meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// Their sum.
    Sum,
    /// The largest; NaN where one is NaN.
    Maximum,
    /// The smallest; NaN where one is NaN.
    Minimum,
}

/// Reduces over `axes` (sorted indices); the reduced dimensions are left out of the output.
#[derive(Debug, Clone)]
pub struct Reduce {
    /// What is kept.
    pub reduction: Reduction,
    /// Over which dimensions.
    pub axes: Vec<usize>,
}

/// One pass: `outer` times `reduced` rows of `inner` elements; every `piece` rows become one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Pass {
    pub outer: usize,
    pub reduced: usize,
    pub inner: usize,
    pub piece: usize,
}

impl Pass {
    fn pieces(&self) -> usize {
        self.reduced.div_ceil(self.piece)
    }
    fn outputs(&self) -> usize {
        self.outer * self.pieces() * self.inner
    }
}

/// Each group of axes takes at least one pass and each pass at least halves the elements, of which there are less
/// than 2^31.
const MOST_PASSES: usize = 32;

/// The passes of a reduction, in order.
pub(crate) struct Passes {
    list: [Pass; MOST_PASSES],
    count: usize,
}

impl Passes {
    /// `piece` gives the longest piece for an `inner` size.
    pub fn new(shape: &[usize], axes: &[usize], piece: fn(usize) -> usize) -> Passes {
        // Neighbouring dimensions that are both reduced or both kept count as one.
        let mut groups = [(1usize, false); MAXIMUM_RANK];
        let mut count = 0;
        for (i, &size) in shape.iter().enumerate() {
            let reduced = axes.contains(&i);
            if size == 1 {
                continue;
            }
            if count > 0 && groups[count - 1].1 == reduced {
                groups[count - 1].0 *= size;
            } else {
                groups[count] = (size, reduced);
                count += 1;
            }
        }
        let groups = &mut groups[..count];
        let mut passes = Passes { list: [Pass::default(); MOST_PASSES], count: 0 };
        // The largest group first: what it leaves to the others is the least.
        while let Some((at, &(size, _))) = groups
            .iter()
            .enumerate()
            .filter(|(_, group)| group.1 && group.0 > 1)
            .max_by_key(|(i, group)| (group.0, *i))
        {
            let outer: usize = groups[..at].iter().map(|g| g.0).product();
            let inner: usize = groups[at + 1..].iter().map(|g| g.0).product();
            let pass = Pass { outer, reduced: size, inner, piece: piece(inner).max(2) };
            groups[at].0 = pass.pieces();
            passes.list[passes.count] = pass;
            passes.count += 1;
            if passes.count == MOST_PASSES {
                break;
            }
        }
        passes
    }

    pub fn list(&self) -> &[Pass] {
        &self.list[..self.count]
    }

    /// Elements of the two buffers between passes: even passes but the last write the first, odd ones the second.
    fn between(&self) -> [usize; 2] {
        let of = |i: usize| if i + 1 < self.count { self.list[i].outputs() } else { 0 };
        [of(0), of(1)]
    }
}

/// How two numbers become one.
trait Fold {
    const IDENTITY: f32;
    /// Whether a number may be met twice.
    const IDEMPOTENT: bool;
    fn vector<S: Simd>(s: S, a: S::V, b: S::V) -> S::V;
    fn lanes<S: Simd>(s: S, a: S::V) -> f32;
    /// In double precision, which costs nothing where blocks are joined.
    fn one(a: f64, b: f32) -> f64;
}

struct Sum;
struct Maximum;
struct Minimum;

impl Fold for Sum {
    const IDENTITY: f32 = 0.0;
    const IDEMPOTENT: bool = false;
    #[inline(always)]
    fn vector<S: Simd>(s: S, a: S::V, b: S::V) -> S::V {
        s.add(a, b)
    }
    #[inline(always)]
    fn lanes<S: Simd>(s: S, a: S::V) -> f32 {
        s.reduce_add(a)
    }
    #[inline(always)]
    fn one(a: f64, b: f32) -> f64 {
        a + f64::from(b)
    }
}

impl Fold for Maximum {
    const IDENTITY: f32 = f32::NEG_INFINITY;
    const IDEMPOTENT: bool = true;
    #[inline(always)]
    fn vector<S: Simd>(s: S, a: S::V, b: S::V) -> S::V {
        // `max` gives `b` where either is NaN; a NaN in `a` has to be kept by hand.
        s.select(s.eq(a, a), s.max(a, b), a)
    }
    #[inline(always)]
    fn lanes<S: Simd>(s: S, a: S::V) -> f32 {
        if s.reduce_add(s.sub(a, a)) == 0.0 {
            return s.reduce_max(a);
        }
        let mut lanes = [f32::NEG_INFINITY; 16];
        s.store_slice(&mut lanes[..S::LANES], a);
        let mut best = f64::NEG_INFINITY;
        for lane in lanes {
            best = Self::one(best, lane);
        }
        best as f32
    }
    #[inline(always)]
    fn one(a: f64, b: f32) -> f64 {
        let b = f64::from(b);
        if b > a || b.is_nan() { b } else { a }
    }
}

impl Fold for Minimum {
    const IDENTITY: f32 = f32::INFINITY;
    const IDEMPOTENT: bool = true;
    #[inline(always)]
    fn vector<S: Simd>(s: S, a: S::V, b: S::V) -> S::V {
        s.select(s.eq(a, a), s.min(a, b), a)
    }
    #[inline(always)]
    fn lanes<S: Simd>(s: S, a: S::V) -> f32 {
        -Maximum::lanes(s, s.neg(a))
    }
    #[inline(always)]
    fn one(a: f64, b: f32) -> f64 {
        let b = f64::from(b);
        if b < a || b.is_nan() { b } else { a }
    }
}

/// Elements of a row that are added up in single precision, 64 lanes at a time.
const BLOCK: usize = 1024;

#[inline(always)]
fn row<S: Simd, F: Fold>(s: S, x: &[f32]) -> f32 {
    let mut total = f64::from(F::IDENTITY);
    if x.len() < S::LANES {
        for &value in x {
            total = F::one(total, value);
        }
        return total as f32;
    }
    for block in x.chunks(BLOCK) {
        let mut accumulators = [s.splat(F::IDENTITY); 4];
        let mut at = 0;
        while at + 4 * S::LANES <= block.len() {
            for (i, accumulator) in accumulators.iter_mut().enumerate() {
                *accumulator = F::vector(s, *accumulator, s.load_slice(&block[at + i * S::LANES..]));
            }
            at += 4 * S::LANES;
        }
        while at + S::LANES <= block.len() {
            accumulators[0] = F::vector(s, accumulators[0], s.load_slice(&block[at..]));
            at += S::LANES;
        }
        let rest = block.len() - at;
        if rest > 0 && F::IDEMPOTENT && block.len() >= S::LANES {
            let last = s.load_slice(&block[block.len() - S::LANES..]);
            accumulators[1] = F::vector(s, accumulators[1], last);
        } else if rest > 0 && F::IDEMPOTENT {
            for &value in &block[at..] {
                total = F::one(total, value);
            }
        } else if rest > 0 {
            accumulators[1] = F::vector(s, accumulators[1], s.load_slice(&block[at..]));
        }
        let low = F::vector(s, accumulators[0], accumulators[1]);
        let high = F::vector(s, accumulators[2], accumulators[3]);
        total = F::one(total, F::lanes(s, F::vector(s, low, high)));
    }
    total as f32
}

/// Folds `rows` rows of `out.len()` elements, `stride` apart, into `out`: eight rows at a time by a tree.
#[inline(always)]
fn rows_into<S: Simd, F: Fold>(s: S, x: &[f32], rows: usize, stride: usize, out: &mut [f32]) {
    let width = out.len();
    let mut r = 0;
    while r < rows {
        let eight = r + 8 <= rows;
        let mut c = 0;
        while c < width {
            let end = width.min(c + S::LANES);
            let mut sum = s.load_slice(&x[r * stride + c..r * stride + end]);
            if eight {
                let line = |i: usize| &x[(r + i) * stride + c..(r + i) * stride + end];
                let a = F::vector(s, sum, s.load_slice(line(1)));
                let b = F::vector(s, s.load_slice(line(2)), s.load_slice(line(3)));
                let d = F::vector(s, s.load_slice(line(4)), s.load_slice(line(5)));
                let e = F::vector(s, s.load_slice(line(6)), s.load_slice(line(7)));
                sum = F::vector(s, F::vector(s, a, b), F::vector(s, d, e));
            }
            if r > 0 {
                sum = F::vector(s, s.load_slice(&out[c..end]), sum);
            }
            s.store_slice(&mut out[c..end], sum);
            c = end;
        }
        r += if eight { 8 } else { 1 };
    }
}

/// Width up to which several short rows are read as one wide row.
const NARROW: usize = 32;
/// Floats of such a wide row.
const WIDE: usize = 128;

#[inline(always)]
fn columns<S: Simd, F: Fold>(s: S, x: &[f32], rows: usize, stride: usize, out: &mut [f32]) {
    let width = out.len();
    let times = if width <= NARROW && stride == width { WIDE / width } else { 1 };
    if times < 2 || rows < 2 * times {
        return rows_into::<S, F>(s, x, rows, stride, out);
    }
    let mut wide = [0f32; WIDE];
    let wide = &mut wide[..times * width];
    let whole = rows / times;
    rows_into::<S, F>(s, x, whole, times * width, wide);
    for (c, o) in out.iter_mut().enumerate() {
        let mut total = f64::from(F::IDENTITY);
        for i in 0..times {
            total = F::one(total, wide[i * width + c]);
        }
        for r in whole * times..rows {
            total = F::one(total, x[r * width + c]);
        }
        *o = total as f32;
    }
}

/// Columns that one task reduces.
const BAND: usize = 4096;
/// Elements that one task of the pool reads.
const TASK: usize = 32 * 1024;

/// The longest piece on the CPU: a row of 32 Ki elements, or as many short rows, but not so many that rounding shows.
pub(crate) fn cpu_piece(inner: usize) -> usize {
    if inner == 1 { TASK } else { (TASK / inner).clamp(64, 2048) }
}

struct Range<'a, F> {
    pass: &'a Pass,
    x: &'a [f32],
    out: SharedPointer,
    range: std::ops::Range<usize>,
    fold: std::marker::PhantomData<F>,
}

impl<F: Fold> Kernel for Range<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Pass { reduced, inner, piece, .. } = *self.pass;
        let (pieces, bands) = (self.pass.pieces(), inner.div_ceil(BAND));
        for task in self.range {
            let (block, band) = (task / bands, task % bands);
            let (o, first) = (block / pieces, block % pieces * piece);
            let rows = piece.min(reduced - first);
            let start = (o * reduced + first) * inner + band * BAND;
            let width = BAND.min(inner - band * BAND);
            let x = &self.x[start..start + (rows - 1) * inner + width];
            // SAFETY: `block * inner + band * BAND + width` is within the pass's output, and tasks write apart.
            let out = unsafe {
                std::slice::from_raw_parts_mut(self.out.get().add(block * inner + band * BAND), width)
            };
            if inner == 1 {
                out[0] = row::<S, F>(s, x);
            } else {
                columns::<S, F>(s, x, rows, inner, out);
            }
        }
    }
}

fn run_pass<F: Fold + Sync>(parallel: Parallel, pass: &Pass, x: &[f32], out: &mut [f32]) {
    let work = pass.outer * pass.reduced * pass.inner;
    let parallel = parallel.above(work, 16 * TASK);
    let tasks = pass.outer * pass.pieces() * pass.inner.div_ceil(BAND);
    let each = work.div_ceil(tasks);
    let out = SharedPointer(out.as_mut_ptr());
    for_each_chunk(parallel, tasks, TASK.div_ceil(each), |range| {
        dispatch(Range::<F> { pass, x, out, range, fold: std::marker::PhantomData });
    });
}

/// Reduces `x` of `shape` over `axes` into `out`. `scratch` holds what [`scratch`] says.
pub(crate) fn reduce_cpu(
    parallel: Parallel,
    reduction: Reduction,
    (x, shape, axes): (&[f32], &[usize], &[usize]),
    out: &mut [f32],
    scratch: &mut [f32],
) {
    let passes = Passes::new(shape, axes, cpu_piece);
    let run = |pass: &Pass, x: &[f32], out: &mut [f32]| match reduction {
        Reduction::Sum => run_pass::<Sum>(parallel, pass, x, out),
        Reduction::Maximum => run_pass::<Maximum>(parallel, pass, x, out),
        Reduction::Minimum => run_pass::<Minimum>(parallel, pass, x, out),
    };
    let (mut even, mut odd) = scratch.split_at_mut(passes.between()[0]);
    let Some((last, before)) = passes.list().split_last() else {
        out.copy_from_slice(x);
        return;
    };
    for (i, pass) in before.iter().enumerate() {
        // Even passes write to the one buffer and read from the other.
        run(pass, if i == 0 { x } else { &*odd }, &mut even[..pass.outputs()]);
        std::mem::swap(&mut even, &mut odd);
    }
    run(last, if before.is_empty() { x } else { &*odd }, out);
}

/// Floats of scratch memory that [`reduce_cpu`] needs.
pub(crate) fn scratch(shape: &[usize], axes: &[usize]) -> usize {
    Passes::new(shape, axes, cpu_piece).between().iter().sum()
}

/// The longest piece on a GPU: a workgroup of 256 invocations adds 64 elements each.
fn gpu_piece(inner: usize) -> usize {
    if inner == 1 { 16 * 1024 } else { 512 }
}

/// Dispatches that reduce operand `input` into output `output`; scratch buffers are numbered from
/// `plan.scratch.len()` on.
pub(crate) fn reduce_gpu(
    call: &GpuCall<'_>,
    plan: &mut GpuPlan,
    reduction: Reduction,
    (source, shape, axes): (Binding, &[usize], &[usize]),
    target: Binding,
) {
    let passes = Passes::new(shape, axes, gpu_piece);
    let buffers = [plan.scratch.len(), plan.scratch.len() + 1];
    let (count, between) = (passes.list().len(), passes.between());
    plan.scratch.extend(between.iter().take_while(|&&elements| elements > 0));
    if count == 0 {
        // Nothing is reduced: one element a row.
        let rows: usize = shape.iter().product();
        let pass = Pass { outer: rows, reduced: 1, inner: 1, piece: 1 };
        plan.launches.push(launch(call, reduction, &pass, source, target));
        return;
    }
    for (i, pass) in passes.list().iter().enumerate() {
        let from = if i == 0 { source } else { Binding::ScratchRead(buffers[(i - 1) % 2]) };
        let to = if i + 1 == count { target } else { Binding::Scratch(buffers[i % 2]) };
        plan.launches.push(launch(call, reduction, pass, from, to));
    }
}

fn launch(call: &GpuCall<'_>, reduction: Reduction, pass: &Pass, from: Binding, to: Binding) -> Launch {
    let (entry, groups) = if pass.inner > 1 {
        ("columns", pass.outer * pass.pieces() * pass.inner.div_ceil(32))
    } else if pass.reduced <= 32 {
        ("short_rows", pass.outer.div_ceil(256))
    } else {
        ("rows", pass.outer * pass.pieces())
    };
    Launch {
        shader: SHADER.into(),
        entry,
        constants: vec![("KIND", reduction as u32 as f64)],
        bindings: vec![from, to],
        parameters: [pass.outer, pass.reduced, pass.inner, pass.piece].map(|v| v as u32).to_vec(),
        workgroups: call.groups(groups, 1),
    }
}

impl Reduce {
    fn with_ones(&self, shape: &Shape) -> Shape {
        shape
            .iter()
            .enumerate()
            .map(|(i, &d)| if self.axes.contains(&i) { 1 } else { d })
            .collect::<Vec<_>>()
            .into()
    }
}

impl Op for Reduce {
    fn name(&self) -> &'static str {
        match self.reduction {
            Reduction::Sum => "sum",
            Reduction::Maximum => "max",
            Reduction::Minimum => "min",
        }
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        check_rank(operands)?;
        let operand = only(operands)?;
        if operand.dtype != DType::F32 {
            return Err("takes f32 operands".into());
        }
        if self.axes.iter().any(|&a| a >= operand.shape.len()) {
            return Err(format!("has no axes {:?}", self.axes));
        }
        let kept: Vec<usize> =
            (0..operand.shape.len()).filter(|i| !self.axes.contains(i)).map(|i| operand.shape[i]).collect();
        Ok(vec![TensorType::f32(kept)])
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let (x, y, c) = (call.operands[0], call.outputs[0], call.cotangent(0));
        let shape = x.shape();
        let kept = self.with_ones(&shape);
        let c = c.reshape(&kept).broadcast_to(&shape);
        Ok(vec![Some(match self.reduction {
            Reduction::Sum => c,
            // Equal extremes share the gradient evenly, as in JAX.
            Reduction::Maximum | Reduction::Minimum => {
                let hit = x.equal(y.reshape(&kept));
                let axes: Vec<isize> = self.axes.iter().map(|&a| a as isize).collect();
                let count = hit.sum(&axes).reshape(&kept);
                c * hit / count
            }
        })])
    }

    fn cpu_scratch(&self, operands: &[TensorType], _outputs: &[TensorType]) -> usize {
        scratch(&operands[0].shape, &self.axes)
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        let x = (call.inputs[0].f32(), call.inputs[0].shape(), &self.axes[..]);
        reduce_cpu(call.parallel, self.reduction, x, call.outputs[0].f32(), call.scratch);
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let mut plan = GpuPlan::default();
        let source = (Binding::Input(0), &call.operands[0].shape[..], &self.axes[..]);
        reduce_gpu(call, &mut plan, self.reduction, source, Binding::Output(0));
        Ok(plan)
    }

    fn operations(&self, operands: &[TensorType], _outputs: &[TensorType]) -> u64 {
        operands[0].elements() as u64
    }

    fn alias(&self, operands: &[TensorType]) -> Option<usize> {
        // Over dimensions of size 1 there is nothing to reduce.
        self.axes.iter().all(|&a| operands[0].shape[a] == 1).then_some(0)
    }
}

impl<'g> Tensor<'g> {
    fn reduce(self, reduction: Reduction, axes: &[isize]) -> Tensor<'g> {
        match self.axes("reduce", axes) {
            Some(axes) if axes.is_empty() => self,
            Some(axes) => self.graph().apply_one(Reduce { reduction, axes }, &[self]),
            None => self,
        }
    }

    /// The sum over `axes` (negative ones count from the end), which are left out of the result.
    pub fn sum(self, axes: &[isize]) -> Tensor<'g> {
        self.reduce(Reduction::Sum, axes)
    }

    /// The sum of all elements.
    pub fn sum_all(self) -> Tensor<'g> {
        let axes: Vec<isize> = (0..self.shape().len() as isize).collect();
        self.sum(&axes)
    }

    /// The mean over `axes`, which are left out of the result.
    pub fn mean(self, axes: &[isize]) -> Tensor<'g> {
        let sum = self.sum(axes);
        sum / (self.shape().elements() / sum.shape().elements()) as f32
    }

    /// The mean of all elements.
    pub fn mean_all(self) -> Tensor<'g> {
        self.sum_all() / self.shape().elements() as f32
    }

    /// The maximum over `axes`, which are left out of the result; NaN where an element is NaN (a GPU may overlook
    /// it). Equal maxima share the gradient.
    pub fn max(self, axes: &[isize]) -> Tensor<'g> {
        self.reduce(Reduction::Maximum, axes)
    }

    /// The minimum over `axes`, which are left out of the result; NaN where an element is NaN (a GPU may overlook
    /// it). Equal minima share the gradient.
    pub fn min(self, axes: &[isize]) -> Tensor<'g> {
        self.reduce(Reduction::Minimum, axes)
    }
}
