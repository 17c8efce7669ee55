//! Transposition, slices, splits, concatenation, padding and repetition.

use crate::common::{Case, Random, check_covers, indices, uniform};
use synod_engine::{Device, Graph};

const COVERS: &[&str] = &["transpose", "slice", "split", "concat", "pad"];

fn transpose(x: &[f64], shape: &[usize], order: &[usize]) -> Vec<f64> {
    let strides: Vec<usize> = (0..shape.len()).map(|i| shape[i + 1..].iter().product()).collect();
    let mut out = Vec::with_capacity(x.len());
    let mut index = vec![0; shape.len()];
    loop {
        out.push(x[index.iter().zip(order).map(|(i, &o)| i * strides[o]).sum::<usize>()]);
        let Some(i) = (0..shape.len()).rev().find(|&i| index[i] + 1 < shape[order[i]]) else { return out };
        index[i] += 1;
        index[i + 1..].fill(0);
    }
}

/// Elements `start .. start + length` along `axis`.
fn slice(x: &[f64], shape: &[usize], axis: usize, start: usize, length: usize) -> Vec<f64> {
    let inner: usize = shape[axis + 1..].iter().product();
    x.chunks(shape[axis] * inner)
        .flat_map(|rows| rows[start * inner..(start + length) * inner].iter().copied())
        .collect()
}

/// Tensors one after another along an axis below which each has `inner` elements in all.
fn concat(parts: &[(&[f64], usize)]) -> Vec<f64> {
    let outer = parts[0].0.len() / parts[0].1;
    (0..outer)
        .flat_map(|o| parts.iter().flat_map(move |(x, n)| x[o * n..(o + 1) * n].iter().copied()))
        .collect()
}

fn transpose_case(shape: &[usize], order: &[usize]) -> Case {
    let (shape, order) = (shape.to_vec(), order.to_vec());
    let label = format!("{shape:?} by {order:?}");
    let elements: usize = shape.iter().product();
    let order_too = order.clone();
    let case = Case::new(
        "transpose",
        vec![uniform(&shape, -2.0..2.0)],
        move |_, x| vec![x[0].transpose(&order_too)],
        move |x| vec![transpose(&x[0], &shape, &order)],
    )
    .label(label);
    if elements > 2000 { case.outputs_only() } else { case }
}

fn slice_case(shape: &[usize], axis: usize, start: usize, length: usize) -> Case {
    let shape = shape.to_vec();
    let label = format!("{shape:?} axis {axis} from {start}, {length}");
    let elements: usize = shape.iter().product();
    let signed = axis as isize - shape.len() as isize;
    let case = Case::new(
        "slice",
        vec![uniform(&shape, -2.0..2.0)],
        move |_, x| vec![x[0].slice(signed, start, length)],
        move |x| vec![slice(&x[0], &shape, axis, start, length)],
    )
    .label(label);
    if elements > 2000 { case.outputs_only() } else { case }
}

fn pad_case(shape: &[usize], axis: usize, before: usize, after: usize) -> Case {
    let shape = shape.to_vec();
    let label = format!("{shape:?} axis {axis}, {before} and {after}");
    Case::new(
        "pad",
        vec![uniform(&shape, -2.0..2.0)],
        move |_, x| vec![x[0].pad(axis as isize, before, after)],
        move |x| {
            let inner: usize = shape[axis + 1..].iter().product();
            let rows = x[0].chunks(shape[axis] * inner);
            let zeros = |n: usize| vec![0.0; n * inner];
            vec![rows.flat_map(|row| [zeros(before), row.to_vec(), zeros(after)].concat()).collect()]
        },
    )
    .label(label)
}

fn cases() -> Vec<Case> {
    let mut cases = vec![
        transpose_case(&[3, 5], &[1, 0]),
        transpose_case(&[2, 3, 5], &[0, 2, 1]),
        transpose_case(&[2, 3, 5], &[1, 0, 2]),
        transpose_case(&[2, 3, 5], &[2, 1, 0]),
        transpose_case(&[2, 3, 5], &[2, 0, 1]),
        transpose_case(&[2, 3, 4, 5], &[0, 2, 1, 3]),
        transpose_case(&[2, 3, 4, 5], &[3, 1, 0, 2]),
        transpose_case(&[2, 1, 4, 1], &[3, 2, 1, 0]),
        transpose_case(&[1, 7, 1], &[2, 1, 0]),
        transpose_case(&[17, 16], &[1, 0]),
        transpose_case(&[33, 31], &[1, 0]),
        transpose_case(&[131, 257], &[1, 0]),
        transpose_case(&[3, 65, 130], &[0, 2, 1]),
        transpose_case(&[5, 37, 4, 33], &[0, 2, 1, 3]),
        transpose_case(&[5, 37, 4, 33], &[3, 0, 2, 1]),
        transpose_case(&[19, 3, 129, 21], &[2, 1, 3, 0]),
        transpose_case(&[600, 700], &[1, 0]),
        slice_case(&[7], 0, 2, 3),
        slice_case(&[5, 3], 0, 1, 3),
        slice_case(&[5, 3], 0, 0, 1),
        slice_case(&[5, 3], 1, 1, 2),
        slice_case(&[2, 5, 3], 1, 4, 1),
        slice_case(&[2, 5, 3], 1, 0, 5),
        slice_case(&[1, 5, 3], 1, 2, 2),
        slice_case(&[300, 257], 1, 100, 129),
        slice_case(&[100_000, 3], 1, 1, 1),
        slice_case(&[3, 200_003], 1, 1, 150_001),
        pad_case(&[4], 0, 1, 2),
        pad_case(&[2, 3], 0, 0, 2),
        pad_case(&[2, 3], 1, 2, 0),
        pad_case(&[2, 3, 5], 1, 1, 1),
        pad_case(&[2, 3, 5], 2, 3, 4),
    ];
    cases.push(Case::new(
        "split",
        vec![uniform([3, 7, 2], -2.0..2.0)],
        |_, x| x[0].split(1, &[1, 4, 2]),
        |x| {
            let part = |start, length| slice(&x[0], &[3, 7, 2], 1, start, length);
            vec![part(0, 1), part(1, 4), part(5, 2)]
        },
    ));
    cases.push(
        Case::new(
            "split",
            vec![uniform([3, 7], -2.0..2.0)],
            |_, x| x[0].split(-1, &[3, 4])[1..].to_vec(),
            |x| vec![slice(&x[0], &[3, 7], 1, 3, 4)],
        )
        .label("one piece of two used"),
    );
    cases.push(
        Case::new(
            "split",
            vec![uniform([2, 67], -2.0..2.0)],
            |g, x| {
                let mut pieces = x[0].split(1, &[1; 67]);
                pieces.reverse();
                vec![g.concat(&pieces, 1)]
            },
            |x| vec![x[0].chunks(67).flat_map(|row| row.iter().rev().copied()).collect()],
        )
        .label("more pieces than an op may have outputs"),
    );
    cases.push(Case::new(
        "concat",
        vec![uniform([3, 2, 5], -2.0..2.0), uniform([3, 1, 5], -2.0..2.0), uniform([3, 4, 5], -2.0..2.0)],
        |g, x| vec![g.concat(x, 1)],
        |x| vec![concat(&[(&x[0], 10), (&x[1], 5), (&x[2], 20)])],
    ));
    cases.push(Case::new(
        "concat",
        vec![uniform([3, 2], -2.0..2.0), uniform([3, 4], -2.0..2.0).fixed()],
        |g, x| vec![g.concat(x, -1), g.concat(&[x[0], x[0]], 0)],
        |x| vec![concat(&[(&x[0], 2), (&x[1], 4)]), [&x[0][..], &x[0]].concat()],
    ));
    cases.push(
        Case::new(
            "concat",
            vec![uniform([3, 2], -2.0..2.0), uniform([3, 2], -2.0..2.0)],
            |g, x| vec![g.stack(x, 1), g.stack(x, -1), g.stack(x, 0)],
            |x| {
                vec![
                    concat(&[(&x[0], 2), (&x[1], 2)]),
                    concat(&[(&x[0], 1), (&x[1], 1)]),
                    [&x[0][..], &x[1]].concat(),
                ]
            },
        )
        .label("stack"),
    );
    cases.push(
        Case::new(
            "concat",
            vec![uniform([2, 3, 2], -2.0..2.0)],
            |_, x| vec![x[0].repeat(1, 3), x[0].repeat(-1, 2)],
            |x| vec![concat(&[(&x[0], 6), (&x[0], 6), (&x[0], 6)]), concat(&[(&x[0], 2), (&x[0], 2)])],
        )
        .label("repeat"),
    );
    // Integers move as well.
    cases.push(
        Case::new(
            "transpose",
            vec![indices([4, 5], 1 << 24), indices([4, 5], 1 << 24)],
            |g, x| {
                let whole = g.concat(x, 0);
                vec![
                    x[0].swap(0, -1),
                    whole,
                    whole.slice(1, 2, 2),
                    whole.pad(1, 1, 0),
                    whole.split(0, &[3, 5])[1],
                ]
            },
            |x| {
                let whole = [&x[0][..], &x[1]].concat();
                let zeros = [0.0; 8];
                vec![
                    transpose(&x[0], &[4, 5], &[1, 0]),
                    whole.clone(),
                    slice(&whole, &[8, 5], 1, 2, 2),
                    concat(&[(&zeros, 1), (&whole, 5)]),
                    whole[15..].to_vec(),
                ]
            },
        )
        .label("integers"),
    );
    cases
}

#[test]
fn cases_agree_with_references() {
    let cases = cases();
    check_covers(COVERS, &cases);
    cases.iter().for_each(Case::check);
}

#[test]
fn random_permutations_of_random_shapes() {
    let mut random = Random::fresh();
    for _ in 0..60 {
        let rank = 1 + random.below(6);
        let shape: Vec<usize> = (0..rank).map(|_| [1, 2, 3, 5, 17][random.below(5)]).collect();
        let mut order: Vec<usize> = (0..rank).collect();
        for i in (1..rank).rev() {
            order.swap(i, random.below(i + 1));
        }
        let n: usize = shape.iter().product();
        let x: Vec<f64> = (0..n).map(|i| i as f64).collect();
        let want: Vec<f32> = transpose(&x, &shape, &order).iter().map(|&v| v as f32).collect();
        let x: Vec<f32> = x.iter().map(|&v| v as f32).collect();
        for device in crate::common::devices() {
            let g = Graph::new();
            let mut program = device.compile(&g, &[g.input("x", &shape).transpose(&order)]).unwrap();
            let out = program.run(&[("x", &x)]).unwrap();
            assert_eq!(out.f32(0), want, "{shape:?} by {order:?}, seed {}", random.seed());
        }
    }
}

#[test]
fn leading_slices_and_moved_ones_are_no_kernels() {
    let g = Graph::new();
    let x = g.input("x", [6, 4]);
    let y = x.slice(0, 2, 3);
    let z = y.reshape([3, 1, 4]).swap(0, 1).slice(1, 1, 1);
    // Outputs that lie in an input would be copied: these are computed from the views.
    let mut program = Device::cpu().compile(&g, &[y * 2.0, z * 2.0]).unwrap();
    assert_eq!(program.summary().kernels, [("fused".to_string(), 2)]);
    let values: Vec<f32> = (0..24).map(|i| i as f32).collect();
    let out = program.run(&[("x", &values)]).unwrap();
    let twice = |part: &[f32]| part.iter().map(|x| 2.0 * x).collect::<Vec<_>>();
    assert_eq!(out.f32(0), twice(&values[8..20]));
    assert_eq!(out.f32(1), twice(&values[12..16]));
}

#[test]
fn slices_at_every_offset_can_be_operands() {
    // A GPU binds buffers at multiples of its own: a slice that starts elsewhere must work all the same.
    for device in crate::common::devices() {
        for start in [0usize, 1, 63, 64, 65] {
            let g = Graph::new();
            let x = g.input("x", [130]);
            let y = x.slice(0, start, 65);
            let mut program =
                device.compile(&g, &[y * 2.0, y.sum_all(), (x * 3.0).slice(0, start, 65).sum_all()]).unwrap();
            let values: Vec<f32> = (0..130).map(|i| i as f32).collect();
            let out = program.run(&[("x", &values)]).unwrap();
            let part = &values[start..start + 65];
            assert!(out.f32(0).iter().zip(part).all(|(a, b)| *a == 2.0 * b));
            assert_eq!(out.f32(1)[0], part.iter().sum::<f32>());
            assert_eq!(out.f32(2)[0], 3.0 * part.iter().sum::<f32>());
        }
    }
}

#[test]
fn wrong_operands_are_refused() {
    type Build = for<'g> fn(&'g Graph, synod_engine::Tensor<'g>) -> synod_engine::Tensor<'g>;
    let wrong: [(&str, Build); 12] = [
        ("transpose", |_, x| x.transpose(&[0, 0])),
        ("transpose", |_, x| x.transpose(&[0])),
        ("transpose", |_, x| x.swap(0, 2)),
        ("slice", |_, x| x.slice(2, 0, 1)),
        ("slice", |_, x| x.slice(0, 1, 2)),
        ("slice", |_, x| x.slice(0, usize::MAX, 2)),
        ("slice", |_, x| x.slice(1, 2, 2)),
        ("split", |_, x| x.split(1, &[1, 1])[0]),
        ("concat", |g, x| g.concat(&[x, g.input("y", [3, 3])], 1)),
        ("concat", |g, _| g.concat(&[], 1)),
        ("pad", |_, x| x.pad(0, usize::MAX, 1)),
        ("repeat", |_, x| x.repeat(0, usize::MAX)),
    ];
    for (name, build) in wrong {
        let g = Graph::new();
        let y = build(&g, g.input("x", [2, 3]));
        let message = Device::cpu().compile(&g, &[y]).err().expect(name).to_string();
        assert!(message.contains(name), "{name}: {message}");
    }
}
