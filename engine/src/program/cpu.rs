//! The CPU executor: prepared calls over one arena, run in order.

use std::sync::Arc;

use super::compile::{Compiled, Location, Root};
use crate::cpu::Parallel;
use crate::error::{Error, Result};
use crate::graph::{CpuCall, CpuInput, CpuOutput, CpuStorage, Variable, is_own};
use crate::memory::Memory;
use crate::shape::TensorType;

/// Work below which waking other threads costs more than it gives, in floating-point operations: some 10 us on one
/// thread.
const POOL_THRESHOLD: u64 = 1_000_000;

/// A piece of memory at a fixed address.
struct Piece {
    pointer: *mut u32,
    elements: usize,
    of: TensorType,
}

struct PreparedStep {
    inputs: Vec<Piece>,
    outputs: Vec<Piece>,
    /// Whether its op is one of this package.
    own: bool,
}

pub(super) struct CpuExecutor {
    compiled: Arc<Compiled>,
    steps: Vec<PreparedStep>,
    /// Source and destination of every assignment.
    assignments: Vec<(Piece, Piece)>,
    outputs: Vec<Piece>,
    inputs: Vec<Memory>,
    given: Vec<bool>,
    scratch: Vec<f32>,
    /// Which variables are read and which are written, in the order of their numbers: locks are always taken in that
    /// order.
    locks: Vec<(Variable, bool)>,
    input_list: Vec<CpuInput<'static>>,
    output_list: Vec<CpuOutput<'static>>,
    large: bool,
    pub parallel: Parallel,
    /// The planned memory. Pieces point into it.
    _arena: Memory,
}

// SAFETY: pieces point into memory that the executor owns and that does not move with it, into constants that never
// change, and into variables, which are reached only while their locks are held. `compile` has checked that every piece
// lies within its memory and that no step writes where it reads (`verify::sound`).
unsafe impl Send for CpuExecutor {}
// SAFETY: `&CpuExecutor` only reads outputs, which lie in memory that it owns.
unsafe impl Sync for CpuExecutor {}

fn storage(variable: &Variable) -> Result<&CpuStorage> {
    variable.storage().as_any().downcast_ref::<CpuStorage>().ok_or_else(|| Error::Device {
        device: "cpu".into(),
        message: format!("variable `{}` lives on another device", variable.name()),
    })
}

fn no_room(what: &str, elements: usize) -> Error {
    let message = format!("a program has no room for {elements} elements of {what}");
    Error::Device { device: "cpu".into(), message }
}

fn room(what: &str, elements: usize) -> Result<Memory> {
    Memory::zeroed(elements).ok_or_else(|| no_room(what, elements))
}

/// Gives the locks back however a run ends.
struct Held<'a>(&'a [(Variable, bool)]);

impl<'a> Held<'a> {
    fn all(locks: &'a [(Variable, bool)]) -> Result<Held<'a>> {
        let mut held = Held(&[]);
        for (i, (variable, exclusive)) in locks.iter().enumerate() {
            storage(variable)?.acquire(*exclusive);
            held.0 = &locks[..=i];
        }
        Ok(held)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        for (variable, exclusive) in self.0 {
            if let Ok(storage) = storage(variable) {
                storage.release(*exclusive);
            }
        }
    }
}

impl CpuExecutor {
    pub fn new(compiled: Arc<Compiled>) -> Result<Self> {
        let arena = room("what it computes", compiled.arena)?;
        let inputs: Vec<Memory> = compiled
            .inputs
            .iter()
            .map(|(name, of)| room(&format!("its input `{name}`"), of.elements()))
            .collect::<Result<_>>()?;
        let variables = compiled
            .variables
            .iter()
            .map(|v| Ok(storage(v)?.pointer()))
            .collect::<Result<Vec<*mut u32>>>()?;
        let piece = |location: &Location| -> Piece {
            let start = match location.root {
                Root::Input(i) => inputs[i].pointer(),
                // Constants are only ever read: no op writes to an operand.
                Root::Constant(i) => compiled.constants[i].as_ptr().cast_mut(),
                Root::Variable(i) => variables[i],
                Root::Buffer(i) => arena.pointer().wrapping_add(compiled.offsets[i]),
            };
            let pointer = start.wrapping_add(location.offset);
            Piece { pointer, elements: location.of.elements(), of: location.of.clone() }
        };
        let steps: Vec<PreparedStep> = compiled
            .steps
            .iter()
            .map(|step| {
                let outputs: Vec<Piece> = step.outputs.iter().map(piece).collect();
                let mut inputs: Vec<Piece> = step.inputs.iter().map(piece).collect();
                for (input, location) in inputs.iter_mut().zip(&step.inputs) {
                    // A variable taken in place: the op finds it in the output.
                    let variable = matches!(location.root, Root::Variable(_));
                    if variable && step.outputs.iter().any(|o| o.root == location.root) {
                        input.elements = 0;
                    }
                }
                PreparedStep { inputs, outputs, own: is_own(step.op.as_ref()) }
            })
            .collect();
        let mut scratch = Vec::new();
        for step in &compiled.steps {
            let needed = step.op.cpu_scratch(&step.input_types, &step.output_types);
            let more = needed.saturating_sub(scratch.len());
            scratch.try_reserve_exact(more).map_err(|_| no_room(step.op.name(), needed))?;
            scratch.resize(scratch.len() + more, 0.0);
        }
        let assignments = compiled
            .assignments
            .iter()
            .filter(|(variable, location)| location.root != Root::Variable(*variable))
            .map(|(variable, location)| {
                let elements = location.of.elements();
                (piece(location), Piece { pointer: variables[*variable], elements, of: location.of.clone() })
            })
            .collect();
        let mut locks: Vec<(Variable, bool)> = compiled
            .variables
            .iter()
            .enumerate()
            .map(|(i, v)| (v.clone(), compiled.assignments.iter().any(|(written, _)| *written == i)))
            .collect();
        locks.sort_by_key(|(variable, _)| variable.id());
        let widest_in = steps.iter().map(|s| s.inputs.len()).max().unwrap_or(0);
        let widest_out = steps.iter().map(|s| s.outputs.len()).max().unwrap_or(0);
        let large = compiled.summary().operations > POOL_THRESHOLD;
        Ok(CpuExecutor {
            outputs: compiled.outputs.iter().map(|(location, _)| piece(location)).collect(),
            given: vec![false; inputs.len()],
            scratch,
            input_list: Vec::with_capacity(widest_in),
            output_list: Vec::with_capacity(widest_out),
            parallel: Parallel::Pool,
            compiled,
            steps,
            assignments,
            inputs,
            locks,
            large,
            _arena: arena,
        })
    }

    pub fn input_mut(&mut self, index: usize) -> &mut [u32] {
        self.given[index] = true;
        let memory = &self.inputs[index];
        // SAFETY: the executor's own memory; only `run` and `output` reach it otherwise, and `self` is borrowed.
        unsafe { std::slice::from_raw_parts_mut(memory.pointer(), memory.elements()) }
    }

    pub fn output(&self, index: usize) -> &[u32] {
        let piece = &self.outputs[index];
        // SAFETY: outputs lie in the arena, in inputs or in constants, all of which live as long as `self`; only
        // `run`, which needs `&mut self`, writes there. (What lies in a variable is copied, see `compile`.)
        unsafe { std::slice::from_raw_parts(piece.pointer, piece.elements) }
    }

    pub fn run(&mut self) -> Result<()> {
        if let Some(missing) = self.given.iter().position(|given| !given) {
            let (name, of) = &self.compiled.inputs[missing];
            return Err(Error::Graph(format!("input `{name}` ({of}) was never given")));
        }
        let parallel = if self.large { self.parallel } else { Parallel::Serial };
        self.run_here(parallel)
    }

    fn run_here(&mut self, parallel: Parallel) -> Result<()> {
        let held = Held::all(&self.locks)?;
        for (step, prepared) in self.compiled.steps.iter().zip(&self.steps) {
            self.input_list.clear();
            self.output_list.clear();
            for piece in &prepared.inputs {
                // SAFETY: the memory lives as long as the executor and nothing writes to it during the step: the plan
                // keeps a step's outputs apart from its operands (one taken in place has no elements here), and
                // variables are locked. The lifetime is shortened again below, before the lists are cleared.
                let bits = unsafe { std::slice::from_raw_parts(piece.pointer, piece.elements) };
                // SAFETY: `prepared` lives as long as the executor.
                let of = unsafe { &*std::ptr::from_ref(&piece.of) };
                self.input_list.push(CpuInput { bits, of });
            }
            for piece in &prepared.outputs {
                // SAFETY: as above; a step's outputs do not overlap one another.
                let bits = unsafe { std::slice::from_raw_parts_mut(piece.pointer, piece.elements) };
                // SAFETY: `prepared` lives as long as the executor.
                let of = unsafe { &*std::ptr::from_ref(&piece.of) };
                self.output_list.push(CpuOutput { bits, of });
            }
            // SAFETY: the lists and the scratch memory are this executor's and nothing else touches them during the
            // call; going through pointers only shortens the lists' `'static` to the call.
            let mut call = unsafe {
                CpuCall {
                    inputs: std::slice::from_raw_parts(self.input_list.as_ptr(), self.input_list.len()),
                    outputs: std::slice::from_raw_parts_mut(
                        self.output_list.as_mut_ptr(),
                        self.output_list.len(),
                    ),
                    scratch: std::slice::from_raw_parts_mut(self.scratch.as_mut_ptr(), self.scratch.len()),
                    parallel,
                    own: prepared.own,
                }
            };
            step.op.cpu(&mut call)?;
        }
        for (from, to) in &self.assignments {
            // SAFETY: equal lengths (checked by `verify::sound`); the source is no variable (see `compile`), and the
            // destination's exclusive lock is held.
            unsafe { std::ptr::copy_nonoverlapping(from.pointer, to.pointer, from.elements) };
        }
        drop(held);
        Ok(())
    }
}
