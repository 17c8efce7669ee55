//! Arithmetic, comparisons and bits of integers, u32 and i32, element by element with broadcasting. Exact over the whole
//! range of the type: nothing goes through floats. Sums and products wrap around.
//!
//! Limit: memory. One pass an op: these are counters and indices, too few to be worth fusing.
//!
//! ```
//! use synod_engine::{Device, Graph};
//! let g = Graph::new();
//! let x = g.constant_u32([2], &[0b1100, u32::MAX]);
//! let (both, sum) = (x.bit_and(g.constant_u32([2], &[0b1010, 1])), x + g.constant_u32([2], &[1, 1]));
//! let mut program = Device::cpu().compile(&g, &[both, sum])?;
//! let outputs = program.run(&[])?;
//! assert_eq!((outputs.u32(0), outputs.u32(1)), (&[0b1000, 1][..], &[0b1101, 0][..]));
//! # Ok::<(), synod_engine::Error>(())
//! ```

use std::fmt::Write as _;

use super::fused::{Access, access_of, copy_broadcast, index_of};
use crate::cpu::for_each_chunk_mut;
use crate::error::Result;
use crate::graph::{
    Binding, CpuCall, CpuInput, Cut, GpuCall, GpuPlan, Launch, Op, Scalar, Tensor, VjpCall, WithoutElements,
};
use crate::shape::{DType, Shape, TensorType};

/// The ops of this file.
pub(super) const NAMES: &[&str] = &[
    "integer_negate",
    "integer_abs",
    "bit_not",
    "integer_add",
    "integer_subtract",
    "integer_multiply",
    "integer_divide",
    "integer_modulo",
    "integer_maximum",
    "integer_minimum",
    "bit_and",
    "bit_or",
    "bit_xor",
    "shift_left",
    "shift_right",
    "integer_less",
    "integer_less_equal",
    "integer_equal",
    "integer_select",
];

/// A function of one to three integers. Comparisons give the floats 1.0 and 0.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // Each is named by the function it is.
pub enum Function {
    /// What broadcasting copies.
    Identity,
    Negate,
    Abs,
    Not,
    Add,
    Subtract,
    Multiply,
    /// Rounded down; by 0 it is 0.
    Divide,
    /// What [`Function::Divide`] leaves, with the sign of the divisor; by 0 it is 0.
    Modulo,
    Maximum,
    Minimum,
    And,
    Or,
    Xor,
    /// By the lowest five bits of the second.
    ShiftLeft,
    /// By the lowest five bits of the second; copies of the sign come in.
    ShiftRight,
    Less,
    LessEqual,
    Equal,
    /// The second where the first, a float, is not 0, else the third.
    Select,
}

impl Function {
    /// The integer function that a function of floats stands for, where there is one.
    fn of(scalar: Scalar) -> Option<Function> {
        Some(match scalar {
            Scalar::Identity => Function::Identity,
            Scalar::Negate => Function::Negate,
            Scalar::Abs => Function::Abs,
            Scalar::Add => Function::Add,
            Scalar::Subtract => Function::Subtract,
            Scalar::Multiply => Function::Multiply,
            Scalar::Divide => Function::Divide,
            Scalar::Modulo => Function::Modulo,
            Scalar::Maximum => Function::Maximum,
            Scalar::Minimum => Function::Minimum,
            Scalar::Less => Function::Less,
            Scalar::LessEqual => Function::LessEqual,
            Scalar::Equal => Function::Equal,
            Scalar::Select => Function::Select,
            _ => return None,
        })
    }

    fn arity(self) -> usize {
        match self {
            Function::Identity | Function::Negate | Function::Abs | Function::Not => 1,
            Function::Select => 3,
            _ => 2,
        }
    }

    fn compares(self) -> bool {
        matches!(self, Function::Less | Function::LessEqual | Function::Equal)
    }
}

/// A function of integers applied to each element of its operands, which are broadcast against one another.
#[derive(Debug, Clone)]
pub struct Integer(pub Function);

impl Op for Integer {
    fn name(&self) -> &'static str {
        match self.0 {
            Function::Identity => "broadcast",
            Function::Negate => "integer_negate",
            Function::Abs => "integer_abs",
            Function::Not => "bit_not",
            Function::Add => "integer_add",
            Function::Subtract => "integer_subtract",
            Function::Multiply => "integer_multiply",
            Function::Divide => "integer_divide",
            Function::Modulo => "integer_modulo",
            Function::Maximum => "integer_maximum",
            Function::Minimum => "integer_minimum",
            Function::And => "bit_and",
            Function::Or => "bit_or",
            Function::Xor => "bit_xor",
            Function::ShiftLeft => "shift_left",
            Function::ShiftRight => "shift_right",
            Function::Less => "integer_less",
            Function::LessEqual => "integer_less_equal",
            Function::Equal => "integer_equal",
            Function::Select => "integer_select",
        }
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        if operands.len() != self.0.arity() {
            return Err(format!("takes {} operands", self.0.arity()));
        }
        let integers = match self.0 {
            Function::Select if operands[0].dtype != DType::F32 => {
                return Err("what decides must be f32".into());
            }
            Function::Select => &operands[1..],
            _ => operands,
        };
        let dtype = integers[0].dtype;
        if dtype == DType::F32 || integers.iter().any(|of| of.dtype != dtype) {
            return Err("takes integers of one type".into());
        }
        let mut shape = Shape::default();
        for operand in operands {
            shape = shape.broadcast(&operand.shape).ok_or("the shapes do not broadcast")?;
        }
        let dtype = if self.0.compares() { DType::F32 } else { dtype };
        Ok(vec![TensorType { shape, dtype }])
    }

    fn without_elements(&self) -> WithoutElements {
        WithoutElements::NothingOnly
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        Ok(vec![None; call.operands.len()])
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        run(self.0, call);
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        Ok(launch(self.0, call))
    }

    fn cuts(&self, operands: &[TensorType], outputs: &[TensorType]) -> Vec<Cut> {
        let leads: Vec<&[usize]> = operands.iter().map(|of| &of.shape[..]).collect();
        Cut::along(&outputs[0].shape, &leads, 1)
    }
}

/// Elements of a block: what broadcasting has copied of three operands stays in the first-level cache.
const BLOCK: usize = 512;
/// Elements that one task of the pool works on.
const TASK: usize = 32 * 1024;

/// Computes the only output of a call.
pub(super) fn run(function: Function, call: &mut CpuCall<'_>) {
    let shape = &call.outputs[0].of.shape;
    let signed = call.inputs.last().is_some_and(|x| x.of.dtype == DType::I32);
    let operand = |i: usize| call.inputs.get(i).map(|x| (x, access_of(&x.of.shape, shape)));
    let operands = [operand(0), operand(1), operand(2)];
    let parallel = call.parallel.above(shape.elements(), 4 * TASK);
    for_each_chunk_mut(parallel, call.outputs[0].u32(), 1, TASK, |range, out| {
        let mut copies = [[0u32; BLOCK]; 3];
        let [first, second, third] = &mut copies;
        for (block, out) in out.chunks_mut(BLOCK).enumerate() {
            let (start, count) = (range.start + block * BLOCK, out.len());
            let a = part(operands[0].as_ref(), start, count, first);
            let b = part(operands[1].as_ref(), start, count, second);
            let c = part(operands[2].as_ref(), start, count, third);
            apply(function, signed, [a, b, c], out);
        }
    });
}

/// Elements `start .. start + count` of an operand as the output has them.
fn part<'a>(
    operand: Option<&(&'a CpuInput<'a>, Access)>,
    start: usize,
    count: usize,
    copy: &'a mut [u32; BLOCK],
) -> &'a [u32] {
    match operand {
        None => {}
        Some((x, Access::Whole)) => return &x.u32()[start..start + count],
        Some((x, Access::One)) => copy[..count].fill(x.u32()[0]),
        Some((x, Access::Strided(dimensions))) => {
            copy_broadcast(dimensions, x.u32(), start, &mut copy[..count]);
        }
    }
    &copy[..count]
}

fn apply(function: Function, signed: bool, [a, b, c]: [&[u32]; 3], out: &mut [u32]) {
    macro_rules! each {
        (|$x:ident| $value:expr) => {
            out.iter_mut().zip(a).for_each(|(out, &$x)| *out = $value)
        };
        (|$x:ident, $y:ident| $value:expr) => {
            out.iter_mut().zip(a.iter().zip(b)).for_each(|(out, (&$x, &$y))| *out = $value)
        };
    }
    // The same on signed numbers.
    macro_rules! signed {
        (|$x:ident, $y:ident| $value:expr) => {
            each!(|x, y| {
                let ($x, $y) = (x as i32, y as i32);
                $value as u32
            })
        };
    }
    let truth = |truth: bool| f32::from(u8::from(truth)).to_bits();
    match (function, signed) {
        (Function::Identity, _) => out.copy_from_slice(a),
        (Function::Negate, _) => each!(|x| x.wrapping_neg()),
        (Function::Abs, false) => out.copy_from_slice(a),
        (Function::Abs, true) => each!(|x| (x as i32).wrapping_abs() as u32),
        (Function::Not, _) => each!(|x| !x),
        (Function::Add, _) => each!(|x, y| x.wrapping_add(y)),
        (Function::Subtract, _) => each!(|x, y| x.wrapping_sub(y)),
        (Function::Multiply, _) => each!(|x, y| x.wrapping_mul(y)),
        (Function::Divide, false) => each!(|x, y| x.checked_div(y).unwrap_or(0)),
        (Function::Divide, true) => signed!(|x, y| floor_divide(x, y)),
        (Function::Modulo, false) => each!(|x, y| x.checked_rem(y).unwrap_or(0)),
        (Function::Modulo, true) => signed!(|x, y| floor_modulo(x, y)),
        (Function::Maximum, false) => each!(|x, y| x.max(y)),
        (Function::Maximum, true) => signed!(|x, y| x.max(y)),
        (Function::Minimum, false) => each!(|x, y| x.min(y)),
        (Function::Minimum, true) => signed!(|x, y| x.min(y)),
        (Function::And, _) => each!(|x, y| x & y),
        (Function::Or, _) => each!(|x, y| x | y),
        (Function::Xor, _) => each!(|x, y| x ^ y),
        (Function::ShiftLeft, _) => each!(|x, y| x.wrapping_shl(y)),
        (Function::ShiftRight, false) => each!(|x, y| x.wrapping_shr(y)),
        (Function::ShiftRight, true) => signed!(|x, y| x.wrapping_shr(y as u32)),
        (Function::Less, false) => each!(|x, y| truth(x < y)),
        (Function::Less, true) => each!(|x, y| truth((x as i32) < y as i32)),
        (Function::LessEqual, false) => each!(|x, y| truth(x <= y)),
        (Function::LessEqual, true) => each!(|x, y| truth(x as i32 <= y as i32)),
        (Function::Equal, _) => each!(|x, y| truth(x == y)),
        (Function::Select, _) => {
            for (i, out) in out.iter_mut().enumerate() {
                *out = if f32::from_bits(a[i]) != 0.0 { b[i] } else { c[i] };
            }
        }
    }
}

/// The quotient rounded down; 0 for a divisor of 0. The least number by -1 wraps around to itself.
fn floor_divide(x: i32, y: i32) -> i32 {
    if y == 0 {
        return 0;
    }
    let quotient = x.wrapping_div(y);
    let rest = x.wrapping_rem(y);
    quotient - i32::from(rest != 0 && (rest < 0) != (y < 0))
}

/// What [`floor_divide`] leaves; 0 for a divisor of 0.
fn floor_modulo(x: i32, y: i32) -> i32 {
    if y == 0 {
        return 0;
    }
    let rest = x.wrapping_rem(y);
    if rest != 0 && (rest < 0) != (y < 0) { rest + y } else { rest }
}

/// One invocation an element, as text: the types and the broadcasting are in it.
pub(super) fn launch(function: Function, call: &GpuCall<'_>) -> GpuPlan {
    let name = |dtype: DType| dtype.to_string();
    let (shape, operands) = (&call.outputs[0].shape, call.operands);
    let mut text = String::from(include_str!("../../shaders/integer.wgsl"));
    for (i, of) in operands.iter().enumerate() {
        let of = name(of.dtype);
        let _ = writeln!(text, "@group(0) @binding({i}) var<storage, read> operand{i}: array<{of}>;");
    }
    let (at, of) = (operands.len(), name(call.outputs[0].dtype));
    let _ = writeln!(text, "@group(0) @binding({at}) var<storage, read_write> output: array<{of}>;");
    let _ = writeln!(text, "@group(0) @binding({}) var<uniform> elements: u32;", at + 1);
    text.push_str(
        "@compute @workgroup_size(256)\n\
         fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,\n\
         \x20       @builtin(local_invocation_index) local: u32) {\n\
         \x20   let i = (group.y * groups.x + group.x) * 256u + local;\n\
         \x20   if (i >= elements) { return; }\n",
    );
    for (o, operand) in operands.iter().enumerate() {
        let index = index_of(&access_of(&operand.shape, shape));
        let _ = writeln!(text, "    let x{o} = operand{o}[{index}];");
    }
    let of = operands.last().map_or(DType::U32, |of| of.dtype);
    let expression = match function {
        Function::Identity => "x0".to_string(),
        Function::Negate => format!("{}(0) - x0", name(of)),
        Function::Abs if of == DType::I32 => "abs(x0)".to_string(),
        Function::Abs => "x0".to_string(),
        Function::Not => "~x0".to_string(),
        Function::Add => "x0 + x1".to_string(),
        Function::Subtract => "x0 - x1".to_string(),
        Function::Multiply => "x0 * x1".to_string(),
        Function::Divide => format!("divide_{of}(x0, x1)"),
        Function::Modulo => format!("modulo_{of}(x0, x1)"),
        Function::Maximum => "max(x0, x1)".to_string(),
        Function::Minimum => "min(x0, x1)".to_string(),
        Function::And => "x0 & x1".to_string(),
        Function::Or => "x0 | x1".to_string(),
        Function::Xor => "x0 ^ x1".to_string(),
        Function::ShiftLeft => "x0 << (bitcast<u32>(x1) & 31u)".to_string(),
        Function::ShiftRight => "x0 >> (bitcast<u32>(x1) & 31u)".to_string(),
        Function::Less => "select(0f, 1f, x0 < x1)".to_string(),
        Function::LessEqual => "select(0f, 1f, x0 <= x1)".to_string(),
        Function::Equal => "select(0f, 1f, x0 == x1)".to_string(),
        Function::Select => "select(x2, x1, x0 != 0f)".to_string(),
    };
    let _ = writeln!(text, "    output[i] = {expression};\n}}");
    let elements = shape.elements();
    Launch {
        shader: text.into(),
        entry: "main",
        constants: Vec::new(),
        bindings: (0..operands.len()).map(Binding::Input).chain([Binding::Output(0)]).collect(),
        parameters: vec![elements as u32],
        workgroups: call.groups(elements, 256),
    }
    .into()
}

/// The op on integers for a function of floats, where the operands call for it and there is one.
pub(super) fn integer_op(scalar: Scalar, operands: &[Tensor<'_>]) -> Option<Integer> {
    match operands.last()?.dtype() {
        DType::F32 => None,
        _ => Function::of(scalar).map(Integer),
    }
}

macro_rules! bits {
    ($($(#[$doc:meta])* $name:ident => $function:ident;)*) => {
        impl<'g> Tensor<'g> {$(
            $(#[$doc])*
            pub fn $name(self, other: Tensor<'g>) -> Tensor<'g> {
                self.graph().apply_one(Integer(Function::$function), &[self, other])
            }
        )*}
    };
}

bits! {
    /// The bits that both integers have.
    bit_and => And;
    /// The bits that one of the integers has, or both.
    bit_or => Or;
    /// The bits that exactly one of the integers has.
    bit_xor => Xor;
    /// The integer's bits moved up by the lowest five bits of `other`; zeros come in.
    shift_left => ShiftLeft;
    /// The integer's bits moved down by the lowest five bits of `other`; zeros come in, of signed integers copies of the
    /// sign.
    shift_right => ShiftRight;
}

impl<'g> Tensor<'g> {
    /// The bits that the integer does not have.
    pub fn bit_not(self) -> Tensor<'g> {
        self.graph().apply_one(Integer(Function::Not), &[self])
    }
}
