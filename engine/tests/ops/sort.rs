//! Sorting: stable, of rows shorter and longer than a workgroup's memory, floats with everything special, integers.

use crate::common::{Case, Input, Kind, Random, check_covers, devices, integers, signed_integers, uniform};
use synod_engine::{DType, Device, Graph, TensorType};

const COVERS: &[&str] = &["argsort"];

/// Places of a row in the order of values; NaN is above all numbers.
fn order(row: &[f64], descending: bool) -> Vec<usize> {
    let mut places: Vec<usize> = (0..row.len()).collect();
    places.sort_by(|&a, &b| {
        let of = |x: f64| (x.is_nan(), if x.is_nan() { 0.0 } else { x });
        let ascending = of(row[a]).partial_cmp(&of(row[b])).expect("no NaN is left");
        if descending { ascending.reverse() } else { ascending }
    });
    places
}

fn places(x: &[f64], n: usize, descending: bool) -> Vec<f64> {
    x.chunks(n).flat_map(|row| order(row, descending)).map(|place| place as f64).collect()
}

fn case(input: Input, n: usize, descending: bool) -> Case {
    Case::new(
        "argsort",
        vec![input],
        move |_, x| vec![x[0].argsort(-1, descending)],
        move |x| vec![places(&x[0], n, descending)],
    )
    .outputs_only()
}

fn cases() -> Vec<Case> {
    let mut random = Random::fresh();
    let mut cases = Vec::new();
    for (shape, n) in [
        (&[1][..], 1),
        (&[7], 7),
        (&[5, 64], 64),
        (&[2, 3, 33], 33),
        (&[2, 1024], 1024),
        (&[3, 1025], 1025),
        (&[9001], 9001),
    ] {
        // Whole numbers are often equal.
        let equal = |below: usize| Input {
            of: TensorType::f32(shape),
            kind: Kind::Whole(below),
            differentiable: false,
        };
        for descending in [false, true] {
            cases.push(case(uniform(shape, -2.0..2.0), n, descending));
            cases.push(case(equal(n / 2 + 1), n, descending));
        }
        let words: Vec<u32> =
            (0..shape.iter().product()).map(|_| random.bits() as u32 >> random.below(20)).collect();
        cases.push(case(integers(shape, &words), n, true));
        let signed: Vec<i32> = words.iter().map(|&x| x as i32 >> (x % 31)).collect();
        cases.push(case(signed_integers(shape, &signed), n, false));
    }
    cases.push(
        Case::composition(
            "sort",
            vec![uniform([3, 17, 2], -2.0..2.0)],
            |_, x| {
                let (values, places) = x[0].sort(1, true);
                vec![values, places.to_f32()]
            },
            |x| {
                let mut out = [vec![0.0; 102], vec![0.0; 102]];
                for row in 0..6 {
                    let at = |i: usize| (row / 2 * 17 + i) * 2 + row % 2;
                    let values: Vec<f64> = (0..17).map(|i| x[0][at(i)]).collect();
                    for (i, place) in order(&values, true).into_iter().enumerate() {
                        out[0][at(i)] = values[place];
                        out[1][at(i)] = place as f64;
                    }
                }
                out.to_vec()
            },
        )
        .outputs_only(),
    );
    cases
}

#[test]
fn agrees_with_references() {
    let cases = cases();
    check_covers(COVERS, &cases);
    cases.iter().for_each(Case::check);
}

#[test]
fn gradients_go_back_to_where_elements_came_from() {
    // Far enough apart that a finite difference changes no order.
    let apart = |n: usize| {
        let mut random = Random::fresh();
        let mut values: Vec<f32> = (0..n).map(|i| i as f32 * 0.2 - 1.0).collect();
        (1..n).rev().for_each(|i| values.swap(i, random.below(i + 1)));
        crate::common::floats([n], &values)
    };
    Case::composition(
        "sort",
        vec![apart(13)],
        |_, x| vec![x[0].sort(0, false).0],
        |x| vec![order(&x[0], false).into_iter().map(|i| x[0][i]).collect()],
    )
    .check();
    Case::composition(
        "top_k",
        vec![apart(13)],
        |_, x| vec![x[0].top_k(4).0],
        |x| vec![order(&x[0], true)[..4].iter().map(|&i| x[0][i]).collect()],
    )
    .check();
}

fn sorted(device: &Device, values: &[f32], descending: bool) -> (Vec<f32>, Vec<u32>) {
    let g = Graph::new();
    let (values_of, places) = g.input("x", [values.len()]).sort(0, descending);
    assert_eq!(places.dtype(), DType::U32);
    let mut program = device.compile(&g, &[values_of, places]).unwrap();
    let out = program.run(&[("x", &values)]).unwrap();
    (out.f32(0).to_vec(), out.u32(1).to_vec())
}

#[test]
fn special_values_are_in_order() {
    let (nan, infinity) = (f32::NAN, f32::INFINITY);
    let values = [0.0, nan, -infinity, 1e-40, -0.0, infinity, -nan, -1.0, 0.0];
    for device in devices() {
        let (rising, places) = sorted(&device, &values, false);
        assert_eq!(places, [2, 7, 0, 4, 8, 3, 5, 1, 6], "{}", device.name());
        assert!(rising[7].is_nan() && rising[8].is_nan());
        let (_, places) = sorted(&device, &values, true);
        assert_eq!(places, [1, 6, 5, 3, 0, 4, 8, 7, 2], "{}", device.name());
    }
}

#[test]
fn the_largest_few_take_the_first_of_equals() {
    for device in devices() {
        let g = Graph::new();
        let (values, places) = g.input("x", [2, 4]).top_k(2);
        let mut program = device.compile(&g, &[values, places]).unwrap();
        let out = program.run(&[("x", &[1.0f32, 3.0, 3.0, 3.0, 5.0, -1.0, 5.0, f32::NAN])]).unwrap();
        assert_eq!(out.u32(1), [1, 2, 3, 0], "{}", device.name());
        assert_eq!(out.f32(0)[..2], [3.0, 3.0]);
    }
    let g = Graph::new();
    g.input("x", [3]).top_k(4);
    assert!(g.check().unwrap_err().to_string().contains("top_k"));
}
