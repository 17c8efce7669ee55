//! The one kernel of all elementwise work: a short straight-line program of scalar functions, applied to every
//! element of one shape. Operands of smaller shapes are broadcast as they are read.
//!
//! CPU: a block of elements at a time goes through all instructions, each a vector loop over buffers that stay in the
//! first-level cache. The limit is memory for cheap functions (an operand is read once and an output written once,
//! whatever the number of instructions) and arithmetic for exp and its like. GPU: the program is written out as WGSL,
//! one invocation an element.
//!
//! ```
//! use synod_engine::{Device, Graph};
//! let g = Graph::new();
//! let x = g.input("x", [1000]);
//! let y = (x * 2.0 + 1.0).tanh() - x;
//! let program = Device::cpu().compile(&g, &[y])?;
//! assert_eq!(program.summary().steps, 1);
//! # Ok::<(), synod_engine::Error>(())
//! ```

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use crate::cpu::pool::for_each_chunk;
use crate::cpu::simd::{Kernel, Simd, dispatch};
use crate::cpu::{Parallel, vector_math as vm};
use crate::error::{Error, Result};
use crate::graph::{
    Binding, ByRows, CpuCall, CpuInput, GpuCall, GpuPlan, Launch, Op, Scalar, Tensor, VjpCall,
};
use crate::shape::{DType, Shape, TensorType};

/// The ops of this file.
pub(super) const NAMES: &[&str] = &["fused"];
/// WGSL of the scalar functions.
const FUNCTIONS: &str =
    concat!(include_str!("../../shaders/special.wgsl"), include_str!("../../shaders/elementwise.wgsl"));
/// Floats of the register file of one block: 32 KiB, the first-level cache of common processors.
const REGISTER_FILE: usize = 8192;
/// Elements of a block where registers are few.
const BLOCK: usize = 512;
/// Elements that one task of the pool works on.
const TASK: usize = 32 * 1024;
/// The widest vector of any instruction set.
const WIDEST: usize = 16;

/// Where an instruction's argument comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Argument {
    /// An operand of the fused op.
    Operand(usize),
    /// The result of an earlier instruction.
    Register(usize),
    /// A number.
    Immediate(f32),
}

/// One function application. Arguments beyond the function's arity are ignored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Instruction {
    /// What is computed.
    pub function: Scalar,
    /// From what.
    pub arguments: [Argument; 3],
}

/// How an operand of a smaller shape is read: sizes and strides of the output's dimensions, those that behave alike
/// merged, innermost last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Access {
    Whole,
    One,
    Strided(Vec<(usize, usize)>),
}

/// A chain of elementwise functions as one op. Made by fusion; it has no gradient of its own.
pub struct Fused {
    instructions: Vec<Instruction>,
    /// The instructions whose results are outputs.
    outputs: Vec<usize>,
    shape: Shape,
    /// The slot of the register file that holds each instruction's result.
    slots: Vec<usize>,
    slot_count: usize,
    access: OnceLock<Vec<Access>>,
}

impl std::fmt::Debug for Fused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {:?} {:?}", self.shape, self.instructions, self.outputs)
    }
}

impl Fused {
    pub(crate) fn new(instructions: Vec<Instruction>, outputs: Vec<usize>, shape: Shape) -> Self {
        // A slot is free again after the last instruction that reads it.
        let mut last: Vec<usize> = (0..instructions.len()).collect();
        for (i, instruction) in instructions.iter().enumerate() {
            for argument in &instruction.arguments[..instruction.function.arity()] {
                if let Argument::Register(r) = argument {
                    last[*r] = i;
                }
            }
        }
        let mut slots = vec![0; instructions.len()];
        let mut busy_until: Vec<usize> = Vec::new();
        for i in 0..instructions.len() {
            // Strictly before: an instruction does not write over what it reads.
            let free = busy_until.iter().position(|&until| until < i);
            let slot = free.unwrap_or_else(|| {
                busy_until.push(0);
                busy_until.len() - 1
            });
            busy_until[slot] = last[i];
            slots[i] = slot;
        }
        let slot_count = busy_until.len();
        Fused { instructions, outputs, shape, slots, slot_count, access: OnceLock::new() }
    }

    /// One function alone.
    pub(crate) fn single(function: Scalar, shape: &Shape) -> Self {
        let arguments = [Argument::Operand(0), Argument::Operand(1), Argument::Operand(2)];
        Fused::new(vec![Instruction { function, arguments }], vec![0], shape.clone())
    }

    fn access(&self, operands: &[CpuInput<'_>]) -> &[Access] {
        self.access.get_or_init(|| operands.iter().map(|o| access_of(&o.of.shape, &self.shape)).collect())
    }
}

pub(super) fn access_of(operand: &Shape, shape: &Shape) -> Access {
    if operand.elements() == 1 {
        return Access::One;
    }
    if operand.elements() == shape.elements() {
        return Access::Whole;
    }
    let strides = operand.broadcast_strides(shape).unwrap_or_else(|| vec![0; shape.len()]);
    let mut merged: Vec<(usize, usize)> = Vec::new();
    for (&size, &stride) in shape.iter().zip(&strides) {
        if size == 1 {
            continue;
        }
        match merged.last_mut() {
            Some((outer, outer_stride)) if *outer_stride == stride * size => {
                *outer *= size;
                *outer_stride = stride;
            }
            _ => merged.push((size, stride)),
        }
    }
    Access::Strided(merged)
}

/// Copies elements `start..start + out.len()` of a broadcast operand.
#[inline]
pub(super) fn copy_broadcast<T: Copy>(
    dimensions: &[(usize, usize)],
    data: &[T],
    start: usize,
    out: &mut [T],
) {
    let Some(&(inner, stride)) = dimensions.last() else { return };
    let mut at = 0;
    while at < out.len() {
        let mut rest = start + at;
        let column = rest % inner;
        rest /= inner;
        let mut base = 0;
        for &(size, stride) in dimensions[..dimensions.len() - 1].iter().rev() {
            base += rest % size * stride;
            rest /= size;
        }
        let count = (inner - column).min(out.len() - at);
        let target = &mut out[at..at + count];
        match stride {
            0 => target.fill(data[base]),
            1 => target.copy_from_slice(&data[base + column..base + column + count]),
            _ => {
                for (i, value) in target.iter_mut().enumerate() {
                    *value = data[base + (column + i) * stride];
                }
            }
        }
        at += count;
    }
}

impl Op for Fused {
    fn name(&self) -> &'static str {
        "fused"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        for operand in operands {
            if operand.dtype != DType::F32 || operand.shape.broadcast_strides(&self.shape).is_none() {
                return Err(format!("takes f32 operands that broadcast to {:?}", self.shape));
            }
        }
        Ok(vec![TensorType::f32(&self.shape); self.outputs.len()])
    }

    fn vjp<'g>(&self, _call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        Err(Error::NoGradient { op: "fused".into(), message: "fusion comes after differentiation".into() })
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let access = self.access(call.inputs);
        let elements = call.outputs[0].of.elements();
        let mut outputs = [std::ptr::null_mut::<f32>(); 64];
        if self.outputs.len() > outputs.len() {
            return Err(Error::Graph("a fused kernel has more than 64 outputs".into()));
        }
        for (pointer, output) in outputs.iter_mut().zip(call.outputs.iter_mut()) {
            *pointer = output.f32().as_mut_ptr();
        }
        let outputs = Outputs(outputs);
        let inputs = call.inputs;
        let parallel = if elements > TASK { call.parallel } else { Parallel::Serial };
        for_each_chunk(parallel, elements, TASK, |range| {
            dispatch(Run { fused: self, access, inputs, outputs: &outputs, range });
        });
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let elements = self.shape.elements();
        let bindings = (0..call.operands.len())
            .map(Binding::Input)
            .chain((0..self.outputs.len()).map(Binding::Output))
            .collect();
        Ok(Launch {
            shader: self.wgsl(call.operands).into(),
            entry: "main",
            constants: Vec::new(),
            bindings,
            parameters: vec![elements as u32, 0, 0, 0],
            workgroups: call.groups(elements, 256),
        }
        .into())
    }

    fn by_rows(&self, operands: &[TensorType], _outputs: &[TensorType]) -> Option<ByRows> {
        let (&n, lead) = self.shape.split_last()?;
        // Operands of some rows have the strides of those of all.
        let rows = lead.iter().product();
        let all = Shape::from([rows, n]);
        let (mut sliced, mut access) = (Vec::new(), Vec::new());
        for operand in operands {
            let shape = &operand.shape;
            let by_row = shape.len() == self.shape.len() && shape.leading(1) == lead;
            let (width, ones) =
                shape.split_last().map_or((1, true), |(w, lead)| (*w, lead.iter().all(|d| *d == 1)));
            let seen = match (by_row, ones) {
                (true, _) => Shape::from([rows, width]),
                (false, true) => Shape::from([width]),
                (false, false) => return None,
            };
            sliced.push(by_row);
            access.push(access_of(&seen, &all));
        }
        let mut op = Fused::new(self.instructions.clone(), self.outputs.clone(), all);
        op.access = OnceLock::from(access);
        Some(ByRows { op: Arc::new(op), sliced })
    }

    fn operations(&self, _operands: &[TensorType], _outputs: &[TensorType]) -> u64 {
        (self.shape.elements() * self.instructions.len()) as u64
    }
}

/// Output pointers that tasks share; each task writes its own range of elements.
struct Outputs([*mut f32; 64]);
// SAFETY: tasks write to disjoint ranges.
unsafe impl Sync for Outputs {}
// SAFETY: as above.
unsafe impl Send for Outputs {}

struct Run<'a> {
    fused: &'a Fused,
    access: &'a [Access],
    inputs: &'a [CpuInput<'a>],
    outputs: &'a Outputs,
    range: std::ops::Range<usize>,
}

/// An argument in a block: `step` is 1 for a row of elements and 0 for one number repeated in 16 lanes.
#[derive(Clone, Copy)]
struct Source {
    pointer: *const f32,
    step: usize,
}

impl Kernel for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let fused = self.fused;
        // Slots for results, then one for each broadcast operand.
        let strided = self.access.iter().filter(|a| matches!(a, Access::Strided(_))).count();
        let slots = fused.slot_count + strided;
        let mut stack = std::mem::MaybeUninit::<[f32; REGISTER_FILE]>::uninit();
        let mut heap: Vec<f32> = Vec::new();
        let mut block = BLOCK.min(REGISTER_FILE / slots.max(1) / WIDEST * WIDEST);
        let file: *mut f32 = if block == 0 {
            // More registers than the file has room for at one vector each: only then is memory asked for.
            block = WIDEST;
            heap.resize(slots * WIDEST, 0.0);
            heap.as_mut_ptr()
        } else {
            stack.as_mut_ptr().cast()
        };
        let mut start = self.range.start;
        while start < self.range.end {
            let count = block.min(self.range.end - start);
            let mut slot = fused.slot_count;
            let mut operand_slot = [usize::MAX; 64];
            for (i, access) in self.access.iter().enumerate() {
                if let Access::Strided(dimensions) = access {
                    // SAFETY: the slot is one of `slots`, and `count <= block`.
                    let out = unsafe { std::slice::from_raw_parts_mut(file.add(slot * block), count) };
                    copy_broadcast(dimensions, self.inputs[i].f32(), start, out);
                    if i < 64 {
                        operand_slot[i] = slot;
                    }
                    slot += 1;
                }
            }
            for (i, instruction) in fused.instructions.iter().enumerate() {
                let mut splats = [[0f32; WIDEST]; 3];
                let mut arguments = [Source { pointer: std::ptr::null(), step: 0 }; 3];
                for a in 0..instruction.function.arity() {
                    let splat = |value: f32, splats: &mut [[f32; WIDEST]; 3]| {
                        splats[a] = [value; WIDEST];
                    };
                    arguments[a] = match instruction.arguments[a] {
                        Argument::Immediate(value) => {
                            splat(value, &mut splats);
                            Source { pointer: splats[a].as_ptr(), step: 0 }
                        }
                        Argument::Register(r) => {
                            Source { pointer: self.result(r, file, block, start), step: 1 }
                        }
                        Argument::Operand(o) => match &self.access[o] {
                            Access::One => {
                                splat(self.inputs[o].f32()[0], &mut splats);
                                Source { pointer: splats[a].as_ptr(), step: 0 }
                            }
                            Access::Whole => {
                                Source { pointer: self.inputs[o].f32()[start..].as_ptr(), step: 1 }
                            }
                            // SAFETY: the slot was filled above.
                            Access::Strided(_) => {
                                let slot = operand_slot[o.min(63)];
                                Source { pointer: file.wrapping_add(slot * block), step: 1 }
                            }
                        },
                    };
                }
                let out = self.result(i, file, block, start).cast_mut();
                // SAFETY: every source holds `count` elements (or one splat), and `out` has room for them. A result is
                // either a slot that none of the arguments lies in, or this task's range of an output.
                unsafe { apply(s, instruction.function, arguments, out, count) };
            }
            start += count;
        }
    }
}

impl Run<'_> {
    /// Where instruction `i` puts its block.
    #[inline(always)]
    fn result(&self, i: usize, file: *mut f32, block: usize, start: usize) -> *const f32 {
        let mut output = 0;
        while output < self.fused.outputs.len() {
            if self.fused.outputs[output] == i {
                return self.outputs.0[output].wrapping_add(start);
            }
            output += 1;
        }
        file.wrapping_add(self.fused.slots[i] * block)
    }
}

/// Applies one function to a block.
///
/// # Safety
/// Each argument that the function takes holds `count` elements (with `step` 0: 16), and `out` has room for `count`.
#[inline(always)]
unsafe fn apply<S: Simd>(s: S, function: Scalar, arguments: [Source; 3], out: *mut f32, count: usize) {
    let [a, b, c] = arguments;
    // A loop for each function: whole vectors, then what is left.
    macro_rules! each {
        (|$x:ident| $body:expr) => {{
            each!(@ [$x = a] $body)
        }};
        (|$x:ident, $y:ident| $body:expr) => {{
            each!(@ [$x = a, $y = b] $body)
        }};
        (|$x:ident, $y:ident, $z:ident| $body:expr) => {{
            each!(@ [$x = a, $y = b, $z = c] $body)
        }};
        (@ [$($v:ident = $source:ident),*] $body:expr) => {{
            let mut i = 0;
            while i + S::LANES <= count {
                // SAFETY: `i + LANES <= count`.
                unsafe {
                    $(let $v = s.load($source.pointer.add(i * $source.step));)*
                    s.store(out.add(i), $body);
                }
                i += S::LANES;
            }
            if i < count {
                // SAFETY: `count - i` elements are left.
                unsafe {
                    $(let $v = s.load_partial($source.pointer.add(i * $source.step), count - i);)*
                    s.store_partial(out.add(i), $body, count - i);
                }
            }
        }};
    }
    // The elementary functions, which are compiled where they are written; an argument that is one number is first
    // written out.
    let over = |into: fn(&[f32], &mut [f32]), in_place: fn(&mut [f32])| {
        // SAFETY: argument and result have `count` elements, and are apart or the same.
        unsafe {
            let result = std::slice::from_raw_parts_mut(out, count);
            if a.step == 0 {
                result.fill(*a.pointer);
                in_place(result);
            } else if a.pointer == out.cast_const() {
                in_place(result);
            } else {
                into(std::slice::from_raw_parts(a.pointer, count), result);
            }
        }
    };
    let (zero, one) = (s.zero(), s.splat(1.0));
    match function {
        Scalar::Identity => each!(|x| x),
        Scalar::Negate => each!(|x| s.neg(x)),
        Scalar::Exp => over(vm::exp_into, vm::exp_in_place),
        Scalar::Log => over(vm::ln_into, vm::ln_in_place),
        Scalar::Log1p => over(vm::log1p_into, vm::log1p_in_place),
        Scalar::Tanh => over(vm::tanh_into, vm::tanh_in_place),
        Scalar::Sigmoid => over(vm::sigmoid_into, vm::sigmoid_in_place),
        // The NaN of a diverged computation must stay visible: `max` alone would hide it.
        Scalar::Relu => each!(|x| s.select(s.le(x, zero), zero, x)),
        Scalar::Gelu => over(vm::gelu_into, vm::gelu_in_place),
        Scalar::Softplus => over(vm::softplus_into, vm::softplus_in_place),
        Scalar::Sqrt => each!(|x| s.sqrt(x)),
        Scalar::Sin => over(vm::sin_into, vm::sin_in_place),
        Scalar::Cos => over(vm::cos_into, vm::cos_in_place),
        Scalar::Erf => over(vm::erf_into, vm::erf_in_place),
        Scalar::Expm1 => over(vm::expm1_into, vm::expm1_in_place),
        Scalar::Abs => each!(|x| s.abs(x)),
        Scalar::Sign => each!(|x| {
            let below = s.select(s.lt(x, zero), s.splat(-1.0), x);
            s.select(s.gt(x, zero), one, below)
        }),
        Scalar::Floor => each!(|x| s.floor(x)),
        Scalar::Round => each!(|x| s.round(x)),
        Scalar::Reciprocal => each!(|x| s.div(one, x)),
        Scalar::Add => each!(|x, y| s.add(x, y)),
        Scalar::Subtract => each!(|x, y| s.sub(x, y)),
        Scalar::Multiply => each!(|x, y| s.mul(x, y)),
        Scalar::Divide => each!(|x, y| s.div(x, y)),
        Scalar::Power => each!(|x, y| vm::pow(s, x, y)),
        Scalar::Modulo => each!(|x, y| vm::modulo(s, x, y)),
        Scalar::Atan2 => each!(|x, y| vm::atan2(s, x, y)),
        Scalar::Maximum => each!(|x, y| {
            let larger = s.select(s.lt(x, y), y, x);
            s.select(s.eq(y, y), larger, y)
        }),
        Scalar::Minimum => each!(|x, y| {
            let smaller = s.select(s.lt(y, x), y, x);
            s.select(s.eq(y, y), smaller, y)
        }),
        Scalar::Less => each!(|x, y| s.select(s.lt(x, y), one, zero)),
        Scalar::LessEqual => each!(|x, y| s.select(s.le(x, y), one, zero)),
        Scalar::Equal => each!(|x, y| s.select(s.eq(x, y), one, zero)),
        Scalar::Select => each!(|x, y, z| s.select(s.eq(x, zero), z, y)),
    }
}

impl Fused {
    /// The program as WGSL.
    ///
    /// Compilers of shaders may compute as if nothing were infinite or NaN: for them `0 x` is 0, `x - x` is 0 and `(a + b)
    /// - a` is `b`. What one instruction gives to another, zeros, and numbers that are not finite therefore go through
    /// `opaque`, so that one kernel for many functions gives what a kernel for each does.
    fn wgsl(&self, operands: &[TensorType]) -> String {
        let mut text = String::from(FUNCTIONS);
        for i in 0..operands.len() {
            let _ = writeln!(text, "@group(0) @binding({i}) var<storage, read> operand{i}: array<f32>;");
        }
        for i in 0..self.outputs.len() {
            let binding = operands.len() + i;
            let _ = writeln!(
                text,
                "@group(0) @binding({binding}) var<storage, read_write> output{i}: array<f32>;"
            );
        }
        let binding = operands.len() + self.outputs.len();
        let _ = writeln!(text, "@group(0) @binding({binding}) var<uniform> job: vec4<u32>;");
        text.push_str(
            "// Both give x itself, which only the host knows. Twice the same is as good as once: exclusive or would undo itself.\n\
             fn opaque(x: f32) -> f32 { return bitcast<f32>(bitcast<u32>(x) | job.y); }\n\
             fn apart(x: f32) -> f32 { return bitcast<f32>(bitcast<u32>(x) | job.z); }\n\
             @compute @workgroup_size(256)\n\
             fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,\n\
             \x20       @builtin(local_invocation_index) local: u32) {\n\
             \x20   let i = (group.y * groups.x + group.x) * 256u + local;\n\
             \x20   if (i >= job.x) { return; }\n",
        );
        for (o, operand) in operands.iter().enumerate() {
            let index = index_of(&access_of(&operand.shape, &self.shape));
            let _ = writeln!(text, "    let x{o} = operand{o}[{index}];");
        }
        let arguments = |instruction: &Instruction| {
            let count = instruction.function.arity();
            instruction.arguments.into_iter().take(count)
        };
        let mut is_read = vec![false; self.instructions.len()];
        for argument in self.instructions.iter().flat_map(arguments) {
            if let Argument::Register(r) = argument {
                is_read[r] = true;
            }
        }
        for (i, instruction) in self.instructions.iter().enumerate() {
            // The value of a constant expression must be finite.
            let constant = arguments(instruction).all(|a| matches!(a, Argument::Immediate(_)));
            // Of a number and itself, what is taken for the same number would decide before it is looked at.
            let compares = matches!(
                instruction.function,
                Scalar::Subtract | Scalar::Divide | Scalar::Less | Scalar::LessEqual | Scalar::Equal
            );
            let argument = |a: usize| {
                let hide = if compares && a == 1 { "apart" } else { "opaque" };
                match instruction.arguments[a] {
                    Argument::Immediate(value) if constant || value == 0.0 || !value.is_finite() => {
                        format!("{hide}({})", immediate(value))
                    }
                    Argument::Immediate(value) => immediate(value),
                    Argument::Operand(o) if compares && a == 1 => format!("apart(x{o})"),
                    Argument::Register(r) if compares && a == 1 => format!("apart(r{r})"),
                    Argument::Operand(o) => format!("x{o}"),
                    Argument::Register(r) => format!("r{r}"),
                }
            };
            let expression = expression(instruction.function, argument);
            let expression = if is_read[i] { format!("opaque({expression})") } else { expression };
            let _ = writeln!(text, "    let r{i} = {expression};");
        }
        for (o, r) in self.outputs.iter().enumerate() {
            let _ = writeln!(text, "    output{o}[i] = r{r};");
        }
        text.push_str("}\n");
        text
    }
}

/// Where element `i` of the output reads an operand, in WGSL.
pub(super) fn index_of(access: &Access) -> String {
    let dimensions = match access {
        Access::Whole => return "i".into(),
        Access::One => return "0u".into(),
        Access::Strided(dimensions) => dimensions,
    };
    let mut terms = Vec::new();
    let mut divisor = 1usize;
    for (d, &(size, stride)) in dimensions.iter().enumerate().rev() {
        if stride != 0 {
            let quotient = if divisor == 1 { "i".into() } else { format!("(i / {divisor}u)") };
            let digit = if d == 0 { quotient } else { format!("({quotient} % {size}u)") };
            terms.push(if stride == 1 { digit } else { format!("{digit} * {stride}u") });
        }
        divisor *= size;
    }
    if terms.is_empty() { "0u".into() } else { terms.join(" + ") }
}

/// A number in WGSL, whose literals must be finite.
fn immediate(value: f32) -> String {
    if value.is_finite() { format!("{value:?}f") } else { format!("not_finite({}u)", value.to_bits()) }
}

fn expression(function: Scalar, argument: impl Fn(usize) -> String) -> String {
    let a = argument(0);
    let b = || argument(1);
    match function {
        Scalar::Identity => a,
        Scalar::Negate => format!("-({a})"),
        Scalar::Exp => format!("exp({a})"),
        Scalar::Log => format!("log({a})"),
        Scalar::Log1p => format!("log1p_({a})"),
        Scalar::Tanh => format!("tanh_({a})"),
        Scalar::Sigmoid => format!("sigmoid_({a})"),
        Scalar::Relu => format!("select({a}, 0f, {a} <= 0f)"),
        Scalar::Gelu => format!("gelu_({a})"),
        Scalar::Softplus => format!("softplus_({a})"),
        Scalar::Sqrt => format!("sqrt({a})"),
        Scalar::Sin => format!("sin_({a})"),
        Scalar::Cos => format!("cos_({a})"),
        Scalar::Erf => format!("erf_({a})"),
        Scalar::Expm1 => format!("expm1_({a})"),
        Scalar::Abs => format!("abs({a})"),
        Scalar::Sign => format!("sign_({a})"),
        Scalar::Floor => format!("floor({a})"),
        Scalar::Round => format!("round({a})"),
        Scalar::Reciprocal => format!("1f / {a}"),
        Scalar::Add => format!("{a} + {}", b()),
        Scalar::Subtract => format!("{a} - {}", b()),
        Scalar::Multiply => format!("{a} * {}", b()),
        Scalar::Divide => format!("{a} / {}", b()),
        Scalar::Power => format!("pow_({a}, {})", b()),
        Scalar::Modulo => format!("modulo_({a}, {})", b()),
        Scalar::Atan2 => format!("atan2_({a}, {})", b()),
        Scalar::Maximum => format!("max_({a}, {})", b()),
        Scalar::Minimum => format!("min_({a}, {})", b()),
        Scalar::Less => format!("select(0f, 1f, {a} < {})", b()),
        Scalar::LessEqual => format!("select(0f, 1f, {a} <= {})", b()),
        Scalar::Equal => format!("select(0f, 1f, {a} == {})", b()),
        // NaN is not 0, but `!=` may not hold of it.
        Scalar::Select => format!("select({}, {}, {a} == 0f)", b(), argument(2)),
    }
}
