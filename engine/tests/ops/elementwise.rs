//! Elementwise ops, copies and reshapes: every function at odd shapes, every pattern of broadcasting, random
//! expressions that fusion must not change, and what happens to infinities and NaN.

use crate::common::{Case, Input, Random, check_covers, erf, mask, signed, uniform};
use synod_engine::graph::Scalar;
use synod_engine::op::elementwise::Elementwise;
use synod_engine::op::movement::Copy;
use synod_engine::{Device, Graph, Shape, Tensor};

const COVERS: &[&str] = &[
    "identity",
    "negate",
    "exp",
    "log",
    "log1p",
    "tanh",
    "sigmoid",
    "relu",
    "gelu",
    "softplus",
    "sqrt",
    "sin",
    "cos",
    "erf",
    "expm1",
    "abs",
    "sign",
    "floor",
    "round",
    "reciprocal",
    "add",
    "subtract",
    "multiply",
    "divide",
    "pow",
    "modulo",
    "atan2",
    "maximum",
    "minimum",
    "less",
    "less_equal",
    "equal",
    "select",
    "broadcast",
    "copy",
    "reshape",
    "detach",
    "fused",
];

type Function = fn(f64, f64, f64) -> f64;

/// Every scalar function with its name and its reference.
fn functions() -> Vec<(&'static str, Scalar, Function)> {
    vec![
        ("identity", Scalar::Identity, |x, _, _| x),
        ("negate", Scalar::Negate, |x, _, _| -x),
        ("exp", Scalar::Exp, |x, _, _| x.exp()),
        ("log", Scalar::Log, |x, _, _| x.ln()),
        ("log1p", Scalar::Log1p, |x, _, _| x.ln_1p()),
        ("tanh", Scalar::Tanh, |x, _, _| x.tanh()),
        ("sigmoid", Scalar::Sigmoid, |x, _, _| 1.0 / (1.0 + (-x).exp())),
        ("relu", Scalar::Relu, |x, _, _| if x.is_nan() { x } else { x.max(0.0) }),
        ("gelu", Scalar::Gelu, |x, _, _| {
            if x == f64::NEG_INFINITY {
                return 0.0;
            }
            let k = (2.0 / std::f64::consts::PI).sqrt();
            0.5 * x * (1.0 + (k * (x + 0.044715 * x * x * x)).tanh())
        }),
        (
            "softplus",
            Scalar::Softplus,
            |x, _, _| {
                if x.is_nan() { x } else { x.max(0.0) + (-x.abs()).exp().ln_1p() }
            },
        ),
        ("sqrt", Scalar::Sqrt, |x, _, _| x.sqrt()),
        ("sin", Scalar::Sin, |x, _, _| x.sin()),
        ("cos", Scalar::Cos, |x, _, _| x.cos()),
        ("erf", Scalar::Erf, |x, _, _| erf(x)),
        ("expm1", Scalar::Expm1, |x, _, _| x.exp_m1()),
        ("abs", Scalar::Abs, |x, _, _| x.abs()),
        ("sign", Scalar::Sign, |x, _, _| if x == 0.0 || x.is_nan() { x } else { x.signum() }),
        ("floor", Scalar::Floor, |x, _, _| x.floor()),
        ("round", Scalar::Round, |x, _, _| x.round_ties_even()),
        ("reciprocal", Scalar::Reciprocal, |x, _, _| 1.0 / x),
        ("add", Scalar::Add, |x, y, _| x + y),
        ("subtract", Scalar::Subtract, |x, y, _| x - y),
        ("multiply", Scalar::Multiply, |x, y, _| x * y),
        ("divide", Scalar::Divide, |x, y, _| x / y),
        ("pow", Scalar::Power, |x, y, _| x.powf(y)),
        ("modulo", Scalar::Modulo, |x, y, _| {
            let rest = x % y;
            if rest != 0.0 && (rest < 0.0) != (y < 0.0) { rest + y } else { rest }
        }),
        ("atan2", Scalar::Atan2, |y, x, _| y.atan2(x)),
        ("maximum", Scalar::Maximum, |x, y, _| if x.is_nan() || y.is_nan() { f64::NAN } else { x.max(y) }),
        ("minimum", Scalar::Minimum, |x, y, _| if x.is_nan() || y.is_nan() { f64::NAN } else { x.min(y) }),
        ("less", Scalar::Less, |x, y, _| f64::from(u8::from(x < y))),
        ("less_equal", Scalar::LessEqual, |x, y, _| f64::from(u8::from(x <= y))),
        ("equal", Scalar::Equal, |x, y, _| f64::from(u8::from(x == y))),
        ("select", Scalar::Select, |x, y, z| if x != 0.0 { y } else { z }),
    ]
}

fn apply<'g>(function: Scalar, x: &[Tensor<'g>]) -> Tensor<'g> {
    x[0].graph().apply_one(Elementwise(function), x)
}

/// `f` over operands that are broadcast against one another.
fn over(f: Function, shapes: Vec<Shape>) -> impl Fn(&[Vec<f64>]) -> Vec<Vec<f64>> {
    let whole = shapes.iter().fold(Shape::default(), |a, b| a.broadcast(b).expect("shapes that broadcast"));
    move |x| {
        let at = |operand: usize, i: usize| match shapes.get(operand) {
            None => 0.0,
            Some(shape) => {
                let (mut rest, mut index, mut stride) = (i, 0, 1);
                for d in (0..whole.len()).rev() {
                    let digit = rest % whole[d];
                    rest /= whole[d];
                    if let Some(own) = (d + shape.len()).checked_sub(whole.len()) {
                        index += if shape[own] == 1 { 0 } else { digit * stride };
                        stride *= shape[own];
                    }
                }
                x[operand][index]
            }
        };
        vec![(0..whole.elements()).map(|i| f(at(0, i), at(1, i), at(2, i))).collect()]
    }
}

/// An operand in whose range the function is smooth and does not amplify rounding.
fn operand(function: Scalar, position: usize, shape: &Shape) -> Input {
    match (function, position) {
        (Scalar::Log | Scalar::Sqrt, 0) | (Scalar::Power, 0) => uniform(shape, 0.3..4.0),
        (Scalar::Log1p, 0) => uniform(shape, -0.7..4.0),
        // The quotient is not near a whole number, where the remainder jumps.
        (Scalar::Modulo, 0) => uniform(shape, 0.3..1.7),
        (Scalar::Modulo, 1) => signed(shape, 2.0..3.0),
        (Scalar::Atan2, _) => signed(shape, 0.3..4.0),
        (Scalar::Relu | Scalar::Abs | Scalar::Sign | Scalar::Reciprocal, 0) | (Scalar::Divide, 1) => {
            signed(shape, 0.3..4.0)
        }
        // Either may be the larger, and never so little that a finite difference would reach over the kink.
        (Scalar::Maximum | Scalar::Minimum, 0) => signed(shape, 1.5..3.0),
        (Scalar::Maximum | Scalar::Minimum, 1) => uniform(shape, -1.2..1.2),
        (Scalar::Sin | Scalar::Cos, 0) => uniform(shape, -20.0..20.0),
        (Scalar::Less | Scalar::LessEqual | Scalar::Equal, _) => {
            Input { kind: crate::common::Kind::Whole(3), ..uniform(shape, 0.0..1.0) }
        }
        (Scalar::Select, 0) => mask(shape),
        _ => uniform(shape, -3.0..3.0),
    }
}

fn case(name: &'static str, function: Scalar, f: Function, shapes: &[Shape]) -> Case {
    let inputs = shapes.iter().enumerate().map(|(i, shape)| operand(function, i, shape)).collect();
    let case = Case::new(name, inputs, move |_, x| vec![apply(function, x)], over(f, shapes.to_vec()));
    match function {
        Scalar::Sign | Scalar::Floor | Scalar::Round | Scalar::Less | Scalar::LessEqual | Scalar::Equal => {
            case.outputs_only()
        }
        _ => case,
    }
}

fn shapes<const N: usize>(all: [&[usize]; N]) -> [Shape; N] {
    all.map(Shape::from)
}

/// Every function at odd shapes.
fn function_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, scalar, f) in functions() {
        for shape in shapes([&[], &[1], &[7, 37], &[3, 1, 19]]) {
            cases.push(case(name, scalar, f, &vec![shape; scalar.arity()]));
        }
    }
    cases
}

/// Patterns of broadcasting, with the functions whose gradients differ by operand.
fn broadcast_cases() -> Vec<Case> {
    let pairs: [[&[usize]; 2]; 9] = [
        [&[3, 4], &[4]],
        [&[2, 3], &[]],
        [&[1], &[5]],
        [&[2, 1, 5], &[3, 1]],
        [&[5, 1], &[1, 7]],
        [&[2, 3, 4, 5], &[3, 1, 5]],
        [&[4, 1, 1], &[3, 5]],
        [&[1, 1, 3], &[2, 1, 1]],
        [&[6, 1, 2, 1, 3], &[2, 2, 1]],
    ];
    let functions = functions();
    let mut cases = Vec::new();
    for pair in pairs {
        for name in ["add", "divide", "maximum"] {
            let &(name, scalar, f) = functions.iter().find(|(n, ..)| *n == name).expect("a known function");
            let [a, b] = shapes(pair);
            cases.push(case(name, scalar, f, &[b.clone(), a.clone()]));
            cases.push(case(name, scalar, f, &[a, b]));
        }
    }
    let select = functions.iter().find(|(n, ..)| *n == "select").expect("select").2;
    for three in [[&[3, 1][..], &[4], &[2, 1, 1]], [&[2, 3], &[], &[1, 3]]] {
        cases.push(case("select", Scalar::Select, select, &shapes(three)));
    }
    for (from, to) in [(&[3, 1][..], &[2, 3, 4][..]), (&[], &[5]), (&[1, 6], &[7, 6]), (&[4], &[4])] {
        let (from, to) = (Shape::from(from), Shape::from(to));
        let target = to.clone();
        cases.push(Case::new(
            "broadcast",
            vec![uniform(&from, -2.0..2.0)],
            move |_, x| vec![x[0].broadcast_to(&target)],
            move |x| {
                over(|x, _, _| x, vec![from.clone(), to.clone()])(&[x[0].clone(), vec![0.0; to.elements()]])
            },
        ));
    }
    cases
}

fn movement_cases() -> Vec<Case> {
    let same = |x: &[Vec<f64>]| vec![x[0].clone()];
    vec![
        Case::new("copy", vec![uniform([3, 5], -2.0..2.0)], |g, x| vec![g.apply_one(Copy, x)], same),
        Case::new("copy", vec![crate::common::indices([300], 1000)], |g, x| vec![g.apply_one(Copy, x)], same),
        Case::new("reshape", vec![uniform([3, 10], -2.0..2.0)], |_, x| vec![x[0].reshape([2, 5, 3])], same),
        Case::new(
            "detach",
            vec![uniform([11], -2.0..2.0), uniform([11], -2.0..2.0).fixed()],
            |_, x| vec![x[0] * x[1].detach()],
            |x| vec![x[0].iter().zip(&x[1]).map(|(a, b)| a * b).collect()],
        ),
    ]
}

/// An expression over operands of several shapes: instruction `i` may use all before it.
#[derive(Clone, Debug)]
struct Expression {
    operands: Vec<Shape>,
    steps: Vec<(Scalar, [usize; 3])>,
    outputs: Vec<usize>,
}

impl Expression {
    /// Functions that stay bounded, so that a long chain does not amplify rounding.
    fn random(random: &mut Random, operands: usize, steps: usize, outputs: usize) -> Self {
        let choice = [
            Scalar::Tanh,
            Scalar::Sigmoid,
            Scalar::Sin,
            Scalar::Negate,
            Scalar::Add,
            Scalar::Subtract,
            Scalar::Multiply,
            Scalar::Maximum,
            Scalar::Select,
        ];
        let patterns: [&[usize]; 5] = [&[3, 1, 5], &[2, 1], &[5], &[], &[3, 2, 5]];
        let operands: Vec<Shape> = (0..operands).map(|i| Shape::from(patterns[i % patterns.len()])).collect();
        let mut made: Vec<(Scalar, [usize; 3])> = Vec::new();
        for _ in 0..steps {
            let known = operands.len() + made.len();
            let function = choice[random.below(choice.len())];
            // Mostly recent values, so that chains grow long; products are kept bounded by what follows them.
            let pick = |random: &mut Random| match random.below(3) {
                0 => random.below(known),
                _ => known - 1 - random.below(known.min(4)),
            };
            let mut arguments = [pick(random), pick(random), pick(random)];
            if function == Scalar::Select {
                // Whole numbers decide, which are the same in every precision: operand 0.
                arguments[0] = 0;
            }
            made.push((function, arguments));
            if matches!(function, Scalar::Add | Scalar::Subtract | Scalar::Multiply) {
                made.push((Scalar::Sin, [known, 0, 0]));
            }
        }
        let last = operands.len() + made.len();
        let outputs = (0..outputs.min(made.len())).map(|i| last - 1 - i).collect();
        Expression { operands, steps: made, outputs }
    }

    fn build<'g>(&self, x: &[Tensor<'g>]) -> Vec<Tensor<'g>> {
        let mut values = x.to_vec();
        for (function, arguments) in &self.steps {
            let arguments: Vec<Tensor> = arguments[..function.arity()].iter().map(|&a| values[a]).collect();
            values.push(apply(*function, &arguments));
        }
        self.outputs.iter().map(|&o| values[o]).collect()
    }

    fn reference(&self, x: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let functions = functions();
        let mut values: Vec<(Shape, Vec<f64>)> =
            self.operands.iter().cloned().zip(x.iter().cloned()).collect();
        for (function, arguments) in &self.steps {
            let f = functions.iter().find(|(_, s, _)| s == function).expect("a known function").2;
            let (shapes, data): (Vec<Shape>, Vec<Vec<f64>>) =
                arguments[..function.arity()].iter().map(|&a| values[a].clone()).unzip();
            let whole = shapes.iter().fold(Shape::default(), |a, b| a.broadcast(b).expect("they broadcast"));
            let result = over(f, shapes)(&data).remove(0);
            values.push((whole, result));
        }
        self.outputs.iter().map(|&o| values[o].1.clone()).collect()
    }
}

/// Random expressions: short ones, long ones that make several kernels, and ones with more operands and outputs than
/// a dispatch may have buffers.
fn fused_cases() -> Vec<Case> {
    let mut random = Random::fresh();
    [(2, 6, 1), (4, 20, 2), (3, 120, 3), (13, 30, 9)]
        .into_iter()
        .map(|(operands, steps, outputs)| {
            let expression = Expression::random(&mut random, operands, steps, outputs);
            let reference = expression.clone();
            let mut inputs: Vec<Input> = expression.operands.iter().map(|s| uniform(s, -1.5..1.5)).collect();
            inputs[0] = mask(&expression.operands[0]);
            Case::new("fused", inputs, move |_, x| expression.build(x), move |x| reference.reference(x))
                .label(format!("{operands} operands, {steps} steps, seed {}", random.seed()))
                .tolerance(1e-4)
                .outputs_only()
        })
        .collect()
}

/// A hand-made chain with all derivatives, which fuses across its gradient too.
fn chain_cases() -> Vec<Case> {
    vec![
        Case::new(
            "fused",
            vec![uniform([6, 5], -1.0..1.0), uniform([5], 0.5..1.5), uniform([6, 1], -1.0..1.0)],
            |_, x| {
                let z = (x[0] * x[1] + x[2]).tanh();
                vec![z * x[1].log() - (z * 0.5).sigmoid(), (x[0] * x[0] + 1.0).sqrt() / x[1]]
            },
            |x| {
                let mut out = [Vec::new(), Vec::new()];
                for i in 0..30 {
                    let (a, b, c) = (x[0][i], x[1][i % 5], x[2][i / 5]);
                    let z = (a * b + c).tanh();
                    out[0].push(z * b.ln() - 1.0 / (1.0 + (-0.5 * z).exp()));
                    out[1].push((a * a + 1.0).sqrt() / b);
                }
                out.to_vec()
            },
        ),
        // As large as several groups of threads, workgroups and vector blocks.
        Case::new(
            "fused",
            vec![uniform([131, 1031], -1.0..1.0), uniform([1031], -1.0..1.0)],
            |_, x| vec![(x[0] * 3.0 - x[1]).gelu() * x[1]],
            |x| {
                let gelu = functions().iter().find(|(n, ..)| *n == "gelu").expect("gelu").2;
                let f = |(i, a): (usize, &f64)| {
                    let b = x[1][i % 1031];
                    gelu(3.0 * a - b, 0.0, 0.0) * b
                };
                vec![x[0].iter().enumerate().map(f).collect()]
            },
        )
        .outputs_only(),
    ]
}

#[test]
fn functions_agree_with_references() {
    function_cases().iter().for_each(Case::check);
}

#[test]
fn broadcasting_agrees_with_references() {
    broadcast_cases().iter().for_each(Case::check);
}

#[test]
fn movement_agrees_with_references() {
    movement_cases().iter().for_each(Case::check);
}

#[test]
fn fused_expressions_agree_with_references() {
    fused_cases().iter().chain(&chain_cases()).for_each(Case::check);
}

#[test]
fn every_op_here_has_a_case() {
    let mut all = function_cases();
    all.extend(broadcast_cases());
    all.extend(movement_cases());
    all.extend(fused_cases());
    check_covers(COVERS, &all);
}

#[test]
fn no_gradient_passes_a_detached_value() {
    let g = Graph::new();
    let x = g.input("x", [2]);
    let dx = g.grad((x * x.detach()).sum_all(), &[x]).expect("a gradient")[0];
    let mut program = Device::cpu().compile(&g, &[dx]).expect("a program");
    assert_eq!(program.run(&[("x", &[3.0f32, -5.0])]).expect("a run").f32(0), [3.0, -5.0]);
}

/// Infinities, NaN, zeros of both signs, and the ends of the range, against f64.
#[test]
fn special_values() {
    let special = [
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        0.0,
        -0.0,
        f32::MAX,
        f32::MIN,
        f32::MIN_POSITIVE,
        1e-8,
        100.0,
        -100.0,
        1.0,
        -1.0,
        2.0,
        -3.0,
    ];
    let n = special.len();
    for device in crate::common::devices() {
        for (name, scalar, f) in functions() {
            let arity = scalar.arity();
            let count = if arity == 1 { n } else { n * n };
            let data: Vec<Vec<f32>> = (0..arity)
                .map(|a| (0..count).map(|i| special[if a == 0 { i % n } else { i / n }]).collect())
                .collect();
            let g = Graph::new();
            let x: Vec<Tensor> = (0..arity).map(|a| g.input(&format!("x{a}"), [count])).collect();
            let mut program = device.compile(&g, &[apply(scalar, &x)]).expect("a program");
            let names = ["x0", "x1", "x2"];
            let given: Vec<(&str, &dyn synod_engine::Data)> =
                data.iter().zip(names).map(|(d, n)| (n, d as &dyn synod_engine::Data)).collect();
            let outputs = program.run(&given).expect("a run");
            for i in 0..count {
                let x = |a: usize| data.get(a).map_or(0.0, |d| f64::from(d[i]));
                // Angles beyond the range of any argument reduction in f32 mean nothing.
                if matches!(scalar, Scalar::Sin | Scalar::Cos) && x(0).abs() > 1e4 && x(0).is_finite() {
                    continue;
                }
                let (got, want) = (outputs.f32(0)[i], f(x(0), x(1), x(2)) as f32);
                let near = (got - want).abs() <= 3e-5 * want.abs() + 1e-37;
                assert!(
                    near || got == want || got.is_nan() && want.is_nan(),
                    "{name}({}, {}, {}) on {} is {got}, expected {want}",
                    x(0),
                    x(1),
                    x(2),
                    device.name()
                );
            }
        }
    }
}

/// The CPU keeps numbers below 2^-126; a GPU may take them for 0 (WGSL allows it), and gives nothing else.
#[test]
fn denormals_are_kept_or_flushed_to_zero() {
    let tiny = [1e-40f32, -3e-42, 1.5e-38, f32::from_bits(1)];
    for device in crate::common::devices() {
        let g = Graph::new();
        let x = g.input("x", [4]);
        let mut program = device.compile(&g, &[x * 0.5 + x * 0.5]).expect("a program");
        let out = program.run(&[("x", &tiny)]).expect("a run").f32(0).to_vec();
        for (got, want) in out.iter().zip(tiny) {
            let half = 2.0 * (want * 0.5);
            assert!(*got == half || (!device.is_cpu() && got.abs() <= f32::MIN_POSITIVE), "{got} for {want}");
        }
    }
}
