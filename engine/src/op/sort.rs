//! Order by value along the last axis: sorting, the places of sorted elements, the largest few.
//!
//! CPU: a row a task, by comparisons of keys. GPU: bitonic sorting (Batcher 1968), blocks of 1,024 elements in the memory of
//! a workgroup, longer rows by passes over all of them. A key is a u32 in whose order the elements are: NaN is above all
//! numbers, and both zeros are equal. Elements of equal keys are told apart by their places, so that the order is stable.

use super::movement::{check_rank, only};
use crate::cpu::for_each_chunk_mut;
use crate::error::Result;
use crate::graph::{Binding, CpuCall, Cut, GpuCall, GpuPlan, Launch, Op, Tensor, VjpCall, WithoutElements};
use crate::shape::{DType, TensorType};

/// The ops of this file.
pub(super) const NAMES: &[&str] = &["argsort"];

const SHADER: &str = include_str!("../../shaders/sort.wgsl");

/// Elements that a workgroup sorts.
const BLOCK: usize = 1024;
/// Elements that one task of the pool sorts.
const TASK: usize = 4 * 1024;

/// The places of the elements of every row `[.., n]` in the order of their values: u32 `[.., n]`.
#[derive(Debug, Clone)]
pub struct Argsort {
    /// Whether the largest comes first.
    pub descending: bool,
}

/// A number in whose order elements of these bits are.
fn key(dtype: DType, bits: u32) -> u32 {
    const SIGN: u32 = 1 << 31;
    match dtype {
        DType::U32 => bits,
        DType::I32 => bits ^ SIGN,
        DType::F32 if bits & !SIGN > f32::INFINITY.to_bits() => u32::MAX,
        DType::F32 if bits == SIGN => SIGN,
        DType::F32 => {
            if bits & SIGN == 0 {
                bits | SIGN
            } else {
                !bits
            }
        }
    }
}

impl Op for Argsort {
    fn name(&self) -> &'static str {
        "argsort"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        check_rank(operands)?;
        let operand = only(operands)?;
        match operand.shape.is_empty() {
            true => Err("takes [.., n]".into()),
            false => Ok(vec![TensorType::u32(&operand.shape)]),
        }
    }

    fn without_elements(&self) -> WithoutElements {
        WithoutElements::NothingOnly
    }

    fn vjp<'g>(&self, _call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        Ok(vec![None])
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let of = call.inputs[0].of;
        let n = of.shape.last().copied().unwrap_or(1);
        let (x, dtype) = (call.inputs[0].u32(), of.dtype);
        let turn = if self.descending { u32::MAX } else { 0 };
        let parallel = call.parallel.above(x.len(), 4 * TASK);
        for_each_chunk_mut(parallel, call.outputs[0].u32(), n, TASK.div_ceil(n), |range, out| {
            for (row, out) in range.zip(out.chunks_exact_mut(n)) {
                let x = &x[row * n..][..n];
                out.iter_mut().enumerate().for_each(|(i, place)| *place = i as u32);
                out.sort_unstable_by_key(|&place| (key(dtype, x[place as usize]) ^ turn, place));
            }
        });
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let of = &call.operands[0];
        let n = of.shape.last().copied().unwrap_or(1);
        let rows = of.elements() / n;
        // A power of two, filled up with keys that come last.
        let padded = n.next_power_of_two();
        let launch =
            |entry: &'static str, bindings: Vec<Binding>, groups: usize, [k, j]: [usize; 2]| Launch {
                shader: SHADER.into(),
                entry,
                constants: vec![
                    ("KIND", f64::from(of.dtype as u8)),
                    ("DESCENDING", f64::from(u8::from(self.descending))),
                ],
                bindings,
                parameters: [rows, n, padded, k, j].map(|v| v as u32).to_vec(),
                workgroups: call.groups(groups, 1),
            };
        if padded <= BLOCK {
            let bindings = vec![Binding::Input(0), Binding::Output(0)];
            return Ok(launch("sort_rows", bindings, rows, [padded, 0]).into());
        }
        let both = || vec![Binding::Scratch(0), Binding::Scratch(1)];
        let blocks = rows * (padded / BLOCK);
        let first = [vec![Binding::Input(0)], both()].concat();
        let mut launches = vec![launch("sort_blocks", first, blocks, [BLOCK, 0])];
        let mut k = 2 * BLOCK;
        while k <= padded {
            let mut j = k / 2;
            while j >= BLOCK {
                launches.push(launch("exchange", both(), (rows * padded / 2).div_ceil(256), [k, j]));
                j /= 2;
            }
            launches.push(launch("merge_blocks", both(), blocks, [k, 0]));
            k *= 2;
        }
        let last = vec![Binding::ScratchRead(1), Binding::Output(0)];
        launches.push(launch("finish", last, (rows * n).div_ceil(256), [0, 0]));
        Ok(GpuPlan { launches, scratch: vec![rows * padded; 2] })
    }

    fn cuts(&self, operands: &[TensorType], _outputs: &[TensorType]) -> Vec<Cut> {
        let lead = operands[0].shape.leading(1);
        Cut::along(lead, &[lead], 1)
    }

    fn operations(&self, operands: &[TensorType], _outputs: &[TensorType]) -> u64 {
        let n = operands[0].shape.last().copied().unwrap_or(1);
        operands[0].elements() as u64 * u64::from(n.max(2).ilog2())
    }
}

impl<'g> Tensor<'g> {
    /// Elements of every row `[.., n]` by their places, u32 `[.., m]`: `[.., m]`.
    pub(super) fn take_places(self, places: Tensor<'g>) -> Tensor<'g> {
        let mut tall = self.shape().to_vec();
        tall.push(1);
        self.reshape(tall).gather(places).reshape(places.shape())
    }

    /// The places of the elements along `axis` (negative ones count from the end) in the order of their values, the least
    /// first or with `descending` the largest: u32 of this tensor's shape. Elements that are equal stay in their order. NaN
    /// counts as larger than every number, as in PyTorch. Floats and integers. No gradient passes.
    pub fn argsort(self, axis: isize, descending: bool) -> Tensor<'g> {
        let Some(index) = self.axis("argsort", axis) else { return self };
        let (axis, last) = (index as isize, self.shape().len() as isize - 1);
        self.graph().apply_one(Argsort { descending }, &[self.swap(axis, last)]).swap(axis, last)
    }

    /// The elements along `axis` in the order of their values, and their places: see [`Tensor::argsort`]. Gradients go back
    /// to where the elements came from.
    ///
    /// ```
    /// use synod_engine::{Device, Graph};
    /// # fn main() -> synod_engine::Result<()> {
    /// let g = Graph::new();
    /// let (values, places) = g.input("x", [4]).sort(0, true);
    /// let mut program = Device::cpu().compile(&g, &[values, places])?;
    /// let outputs = program.run(&[("x", &[1.0f32, 3.0, 2.0, 3.0])])?;
    /// assert_eq!(outputs.f32(0), [3.0, 3.0, 2.0, 1.0]);
    /// assert_eq!(outputs.u32(1), [1, 3, 2, 0]);
    /// # Ok(()) }
    /// ```
    pub fn sort(self, axis: isize, descending: bool) -> (Tensor<'g>, Tensor<'g>) {
        let Some(index) = self.axis("sort", axis) else { return (self, self) };
        let (axis, last) = (index as isize, self.shape().len() as isize - 1);
        let rows = self.swap(axis, last);
        let places = rows.argsort(last, descending);
        (rows.take_places(places).swap(axis, last), places.swap(axis, last))
    }

    /// The `k` largest elements along the last axis, the largest first, and their places: `[.., k]` each. Of equal elements
    /// the first comes first; NaN counts as larger than every number.
    pub fn top_k(self, k: usize) -> (Tensor<'g>, Tensor<'g>) {
        if self.shape().last().is_none_or(|&n| k > n) {
            let refused = self.refuse("top_k", format!("has no {k} elements along its last axis"));
            return (refused, refused);
        }
        let places = self.argsort(-1, true).slice(-1, 0, k);
        (self.take_places(places), places)
    }
}
