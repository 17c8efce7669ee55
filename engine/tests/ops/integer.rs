//! Integers beyond what floats can count, both types, with broadcasting; casts between all types.

use crate::common::{Case, Input, Random, check_covers, floats, integers, mask, signed_integers};
use synod_engine::graph::Op;
use synod_engine::op::integer::{Function, Integer};
use synod_engine::{DType, Graph, Tensor};

const COVERS: &[&str] = &[
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
    "to_i32",
    "integer_sum",
    "integer_max",
    "integer_min",
];

/// What a function gives in whole numbers, before it wraps around.
fn truth(function: Function, dtype: DType, x: i64, y: i64) -> i64 {
    let amount = y & 31;
    match function {
        Function::Identity | Function::Select => x,
        Function::Negate => -x,
        Function::Abs => x.abs(),
        Function::Not => !x,
        Function::Add => x + y,
        Function::Subtract => x - y,
        Function::Multiply => x.wrapping_mul(y),
        Function::Divide | Function::Modulo if y == 0 => 0,
        Function::Divide => {
            (x - x.rem_euclid(y.abs()) - if y < 0 && x.rem_euclid(y.abs()) != 0 { y } else { 0 }) / y
        }
        Function::Modulo => {
            let rest = x.rem_euclid(y.abs());
            if y < 0 && rest != 0 { rest + y } else { rest }
        }
        Function::Maximum => x.max(y),
        Function::Minimum => x.min(y),
        Function::And => x & y,
        Function::Or => x | y,
        Function::Xor => x ^ y,
        Function::ShiftLeft => x << amount,
        Function::ShiftRight if dtype == DType::U32 => (x as u32 >> amount).into(),
        Function::ShiftRight => x >> amount,
        Function::Less => i64::from(x < y),
        Function::LessEqual => i64::from(x <= y),
        Function::Equal => i64::from(x == y),
    }
}

fn wrapped(dtype: DType, x: i64) -> f64 {
    match dtype {
        DType::I32 => f64::from(x as i32),
        _ => f64::from(x as u32),
    }
}

const FUNCTIONS: [Function; 18] = [
    Function::Negate,
    Function::Abs,
    Function::Not,
    Function::Add,
    Function::Subtract,
    Function::Multiply,
    Function::Divide,
    Function::Modulo,
    Function::Maximum,
    Function::Minimum,
    Function::And,
    Function::Or,
    Function::Xor,
    Function::ShiftLeft,
    Function::ShiftRight,
    Function::Less,
    Function::LessEqual,
    Function::Equal,
];

/// Words near the ends of the range, near 0 and anywhere, often equal.
fn words(random: &mut Random, n: usize) -> Vec<u32> {
    (0..n)
        .map(|_| match random.below(4) {
            0 => (random.below(5) as u32).wrapping_sub(2),
            1 => (1u32 << 31).wrapping_add(random.below(5) as u32).wrapping_sub(2),
            2 => (1 << 24) + random.below(3) as u32,
            _ => random.bits() as u32,
        })
        .collect()
}

fn operand(dtype: DType, shape: &[usize], words: &[u32]) -> Input {
    match dtype {
        DType::I32 => signed_integers(shape, &words.iter().map(|&x| x as i32).collect::<Vec<_>>()),
        _ => integers(shape, words),
    }
}

fn cases() -> Vec<Case> {
    let mut random = Random::fresh();
    let mut cases = Vec::new();
    for dtype in [DType::U32, DType::I32] {
        for function in FUNCTIONS {
            let one = matches!(function, Function::Negate | Function::Abs | Function::Not);
            let (a, b) = (words(&mut random, 1203), words(&mut random, 1203));
            let inputs =
                [&a, &b][..if one { 1 } else { 2 }].iter().map(|x| operand(dtype, &[3, 401], x)).collect();
            cases.push(
                Case::new(
                    Integer(function).name(),
                    inputs,
                    move |g, x| vec![g.apply_one(Integer(function), x)],
                    move |x| {
                        let compares =
                            matches!(function, Function::Less | Function::LessEqual | Function::Equal);
                        let one = |(i, a): (usize, &f64)| {
                            let b = x.get(1).map_or(0.0, |b| b[i]);
                            let truth = truth(function, dtype, *a as i64, b as i64);
                            if compares { truth as f64 } else { wrapped(dtype, truth) }
                        };
                        vec![x[0].iter().enumerate().map(one).collect()]
                    },
                )
                .label(format!("{function:?} of {dtype}, seed {}", random.seed())),
            );
        }
        let (yes, no) = (words(&mut random, 12), words(&mut random, 4));
        cases.push(Case::new(
            "integer_select",
            vec![mask([3, 1]), operand(dtype, &[3, 4], &yes), operand(dtype, &[4], &no)],
            |_, x| vec![x[0].select(x[1], x[2])],
            |x| vec![(0..12).map(|i| if x[0][i / 4] != 0.0 { x[1][i] } else { x[2][i % 4] }).collect()],
        ));
        let (column, row) = (words(&mut random, 3), words(&mut random, 700));
        cases.push(Case::new(
            "integer_add",
            vec![operand(dtype, &[3, 1], &column), operand(dtype, &[700], &row)],
            |_, x| vec![x[0] + x[1]],
            move |x| {
                let one = |i: usize| wrapped(dtype, x[0][i / 700] as i64 + x[1][i % 700] as i64);
                vec![(0..2100).map(one).collect()]
            },
        ));
        cases.push(Case::new(
            "broadcast",
            vec![operand(dtype, &[2, 1, 3], &words(&mut random, 6)[..6])],
            |_, x| vec![x[0].broadcast_to([2, 4, 3]), x[0].repeat(1, 2)],
            |x| {
                let times = |count: usize| -> Vec<f64> {
                    x[0].chunks(3).flat_map(|row| (0..count).flat_map(|_| row.to_vec())).collect()
                };
                vec![times(4), times(2)]
            },
        ));
    }
    type Fold = (&'static str, for<'g> fn(Tensor<'g>, &[isize]) -> Tensor<'g>, fn(&[i64]) -> i64);
    let folds: [Fold; 3] = [
        ("integer_sum", |x, axes| x.sum(axes), |row| row.iter().sum()),
        ("integer_max", |x, axes| x.max(axes), |row| row.iter().copied().max().unwrap_or(0)),
        ("integer_min", |x, axes| x.min(axes), |row| row.iter().copied().min().unwrap_or(0)),
    ];
    for dtype in [DType::U32, DType::I32] {
        for (name, build, fold) in folds {
            // Over the middle, over the first and the last, over all.
            for (shape, axes) in
                [([2, 37, 3], &[1isize][..]), ([300, 2, 5], &[0, -1]), ([1, 1031, 1], &[0, 1, 2])]
            {
                let n: usize = shape.iter().product();
                let reduced: Vec<bool> = (0..3).map(|i| axes.iter().any(|a| a.rem_euclid(3) == i)).collect();
                cases.push(Case::new(
                    name,
                    vec![operand(dtype, &shape, &words(&mut random, n))],
                    move |_, x| vec![build(x[0], axes)],
                    move |x| {
                        let mut rows: Vec<Vec<i64>> = Vec::new();
                        for (i, x) in x[0].iter().enumerate() {
                            let index = [i / shape[2] / shape[1], i / shape[2] % shape[1], i % shape[2]];
                            let kept = (0..3).filter(|&d| !reduced[d]);
                            let row = kept.fold(0, |row, d| row * shape[d] + index[d]);
                            rows.resize(rows.len().max(row + 1), Vec::new());
                            rows[row].push(*x as i64);
                        }
                        vec![rows.iter().map(|row| wrapped(dtype, fold(row))).collect()]
                    },
                ));
            }
        }
    }
    let ends = [
        0.0f32,
        -0.0,
        1.9,
        -1.9,
        2147483520.0,
        2147483648.0,
        -2147483648.0,
        1e20,
        -1e20,
        f32::INFINITY,
        f32::NAN,
    ];
    cases.push(
        Case::new(
            "to_i32",
            vec![floats([11], &ends)],
            |_, x| vec![x[0].to_i32()],
            |x| vec![x[0].iter().map(|&x| f64::from(x as i32)).collect()],
        )
        .outputs_only(),
    );
    cases.push(Case::new(
        "to_i32",
        vec![integers([4], &[0, 5, 1 << 31, u32::MAX]), signed_integers([4], &[0, -1, i32::MIN, i32::MAX])],
        |_, x| vec![x[0].to_i32(), x[1].to_u32(), x[1].to_f32(), x[0].to_i32() + x[1]],
        |x| {
            let signed = |x: &f64| f64::from(*x as i64 as i32);
            let sum = |(a, b): (&f64, &f64)| wrapped(DType::I32, *a as i64 + *b as i64);
            vec![
                x[0].iter().map(signed).collect(),
                x[1].iter().map(|x| f64::from(*x as i64 as u32)).collect(),
                x[1].iter().map(|x| f64::from(*x as f32)).collect(),
                x[0].iter().zip(&x[1]).map(sum).collect(),
            ]
        },
    ));
    cases
}

#[test]
fn agrees_with_references() {
    let cases = cases();
    check_covers(COVERS, &cases);
    cases.iter().for_each(Case::check);
}

#[test]
fn operators_take_integers_and_refuse_a_mixture() {
    type Build = for<'g> fn(Tensor<'g>, Tensor<'g>) -> Tensor<'g>;
    let all: [(&str, Build); 8] = [
        ("integer_subtract", |x, y| x - y),
        ("integer_multiply", |x, y| x * y),
        ("integer_divide", |x, y| x / y),
        ("integer_modulo", |x, y| x.modulo(y)),
        ("integer_maximum", |x, y| x.maximum(y)),
        ("integer_less", |x, y| y.greater(x)),
        ("bit_and", |x, y| x.bit_and(y)),
        ("shift_left", |x, y| x.shift_left(y)),
    ];
    for (name, build) in all {
        let g = Graph::new();
        let (x, y) = (g.input_u32("x", [2]), g.input_u32("y", [2]));
        build(x, y);
        assert!(g.check().is_ok(), "{name}: {:?}", g.check());
        build(x, g.input_i32("z", [2]));
        let message = g.check().unwrap_err().to_string();
        assert!(message.contains(name) && message.contains("one type"), "{message}");
    }
}
