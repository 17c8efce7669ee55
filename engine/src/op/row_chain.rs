//! Ops that work row by row, one after another on a block of rows at a time: what lies between them stays in the cache and
//! takes no room in a program's memory. Made by fusion on the CPU where tensors are larger than caches; the limit is
//! memory, which is read once for every operand and written once for every output of the whole chain.

use std::cell::Cell;
use std::sync::{Arc, Mutex};

use crate::cpu::Parallel;
use crate::cpu::pool::{SharedPointer, for_each_chunk};
use crate::error::{Error, Result};
use crate::graph::{CpuCall, CpuInput, CpuOutput, GpuCall, GpuPlan, Op};
use crate::shape::TensorType;

/// Ops of this file.
pub(super) const NAMES: &[&str] = &["row_chain"];

/// Where a member's operand or output lies. Widths are elements of a row.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// An operand of the chain, which the member is given whole.
    Whole(usize, TensorType),
    /// An operand of the chain, row by row.
    Operand(usize, usize),
    /// An output of the chain.
    Output(usize, usize),
    /// Between members: at an offset of the block's own memory.
    Between(usize, usize),
}

/// An op of the chain, with the types that it sees in a whole block and in the last, shorter one: operands, then outputs.
#[derive(Debug)]
struct Member {
    op: Arc<dyn Op>,
    inputs: Vec<Place>,
    outputs: Vec<Place>,
    types: [Vec<TensorType>; 2],
}

/// The chain.
#[derive(Debug)]
pub(crate) struct RowChain {
    rows: usize,
    block: usize,
    between: usize,
    members: Vec<Member>,
    outputs: Vec<TensorType>,
    operations: u64,
}

thread_local! {
    /// A block's own memory: grown to the largest.
    static BETWEEN: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// An op of a chain with the places of its operands and outputs.
pub(crate) type Placed = (Arc<dyn Op>, Vec<Place>, Vec<Place>);

impl RowChain {
    /// A chain of ops over `rows` rows, `block` at a time, with `between` elements of memory a block.
    pub fn new(
        [rows, block, between]: [usize; 3],
        members: Vec<Placed>,
        outputs: Vec<TensorType>,
        operations: u64,
    ) -> Self {
        let member = |(op, inputs, outputs): Placed| {
            let types = [block, rows % block].map(|rows| {
                let of = |place: &Place| match place {
                    Place::Whole(_, of) => of.clone(),
                    Place::Operand(_, width) | Place::Output(_, width) | Place::Between(_, width) => {
                        TensorType::f32([rows, *width])
                    }
                };
                inputs.iter().chain(&outputs).map(of).collect()
            });
            Member { op, inputs, outputs, types }
        };
        let members = members.into_iter().map(member).collect();
        RowChain { rows, block, between, members, outputs, operations }
    }
}

/// A block of rows at work.
struct Block<'a> {
    first: usize,
    whole: bool,
    inputs: &'a [CpuInput<'a>],
    outputs: &'a [SharedPointer],
    between: SharedPointer,
}

impl Block<'_> {
    /// Where `place` starts; for what is written and what was written before.
    fn pointer(&self, place: &Place) -> *mut f32 {
        match *place {
            Place::Whole(index, _) => self.inputs[index].bits.as_ptr().cast_mut().cast(),
            Place::Operand(index, width) => {
                self.inputs[index].bits.as_ptr().cast_mut().cast::<f32>().wrapping_add(self.first * width)
            }
            Place::Output(index, width) => self.outputs[index].get().wrapping_add(self.first * width),
            Place::Between(offset, _) => self.between.get().wrapping_add(offset),
        }
    }

    fn run(&self, member: &Member) -> Result<()> {
        let types = &member.types[usize::from(!self.whole)];
        let (operands, results) = types.split_at(member.inputs.len());
        let inputs: Vec<CpuInput<'_>> = member
            .inputs
            .iter()
            .zip(operands)
            .map(|(place, of)| {
                // SAFETY: rows of an operand or an output of the chain, whose sizes compilation has checked, or of what
                // an earlier member left in the block's memory; the member's outputs lie elsewhere.
                let bits = unsafe { std::slice::from_raw_parts(self.pointer(place).cast(), of.elements()) };
                CpuInput { bits, of }
            })
            .collect();
        let mut outputs: Vec<CpuOutput<'_>> = member
            .outputs
            .iter()
            .zip(results)
            .map(|(place, of)| {
                // SAFETY: as above; rows of outputs belong to this block alone, its memory to this thread.
                let bits =
                    unsafe { std::slice::from_raw_parts_mut(self.pointer(place).cast(), of.elements()) };
                CpuOutput { bits, of }
            })
            .collect();
        member.op.cpu(&mut CpuCall {
            inputs: &inputs,
            outputs: &mut outputs,
            scratch: &mut [],
            parallel: Parallel::Serial,
            own: true,
        })
    }
}

impl Op for RowChain {
    fn name(&self) -> &'static str {
        "row_chain"
    }

    fn infer(&self, _operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        Ok(self.outputs.clone())
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let inputs = call.inputs;
        let outputs: Vec<SharedPointer> =
            call.outputs.iter_mut().map(|o| SharedPointer(o.f32().as_mut_ptr())).collect();
        let failed = Mutex::new(None);
        for_each_chunk(call.parallel, self.rows.div_ceil(self.block), 1, |range| {
            let mut between = BETWEEN.take();
            if between.len() < self.between {
                between.resize(self.between, 0.0);
            }
            for index in range {
                let first = index * self.block;
                let block = Block {
                    first,
                    whole: self.rows - first >= self.block,
                    inputs,
                    outputs: &outputs,
                    between: SharedPointer(between.as_mut_ptr()),
                };
                if let Err(error) = self.members.iter().try_for_each(|member| block.run(member))
                    && let Ok(mut failed) = failed.lock()
                {
                    *failed = Some(error);
                }
            }
            BETWEEN.set(between);
        });
        match failed.into_inner() {
            Ok(Some(error)) => Err(error),
            _ => Ok(()),
        }
    }

    fn gpu(&self, _call: &GpuCall<'_>) -> Result<GpuPlan> {
        Err(Error::Graph("chains of rows are for the CPU".into()))
    }

    fn operations(&self, _operands: &[TensorType], _outputs: &[TensorType]) -> u64 {
        self.operations
    }
}
