//! Rows written over by index.

use crate::common::{Case, check_covers, indices, integers, uniform};
use synod_engine::op::index::WrittenBy;

const COVERS: &[&str] = &["written_by"];

fn written(index: &[f64], rows: usize) -> Vec<f64> {
    let mut places: Vec<f64> = (0..rows).map(|row| row as f64).collect();
    for (i, at) in index.iter().enumerate() {
        places[*at as usize] = (rows + i) as f64;
    }
    places
}

/// Batches of rows, written over in their order; what is there once serves all batches.
fn set(
    x: &[f64],
    index: &[f64],
    values: &[f64],
    batches: usize,
    (rows, features, n): (usize, usize, usize),
) -> Vec<f64> {
    let mut out = Vec::new();
    for b in 0..batches {
        let mut own = x[b * rows * features % x.len()..][..rows * features].to_vec();
        for (i, at) in index[b * n % index.len()..][..n].iter().enumerate() {
            let value = &values[(b * n + i) * features % values.len()..][..features];
            own[*at as usize * features..][..features].copy_from_slice(value);
        }
        out.extend(own);
    }
    out
}

fn set_case(leads: [&[usize]; 3], batches: usize, sizes: (usize, usize, usize)) -> Case {
    let (rows, features, n) = sizes;
    Case::composition(
        "scatter_set",
        vec![
            uniform([leads[0], &[rows, features]].concat(), -2.0..2.0),
            indices([leads[1], &[n]].concat(), rows),
            uniform([leads[2], &[n, features]].concat(), -2.0..2.0),
        ],
        |_, x| vec![x[0].scatter_set(x[1], x[2])],
        move |x| vec![set(&x[0], &x[1], &x[2], batches, sizes)],
    )
}

fn cases() -> Vec<Case> {
    let one = |lead: &[usize], rows: usize, n: usize| {
        Case::new(
            "written_by",
            vec![indices([lead, &[n]].concat(), rows)],
            move |g, x| vec![g.apply_one(WrittenBy { rows }, x)],
            move |x| vec![x[0].chunks(n).flat_map(|list| written(list, rows)).collect()],
        )
    };
    vec![
        one(&[], 5, 3),
        one(&[2, 3], 4, 9),
        one(&[], 1, 1),
        one(&[3], 300, 70),
        one(&[], 5, 70_001),
        Case::new(
            "written_by",
            vec![integers([70_000], &[&[1][..], &[0; 69_999]].concat())],
            |g, x| vec![g.apply_one(WrittenBy { rows: 3 }, x)],
            |x| vec![written(&x[0], 3)],
        )
        .label("one long ago"),
        set_case([&[], &[], &[]], 1, (5, 3, 4)),
        set_case([&[2], &[2], &[2]], 2, (4, 2, 7)),
        set_case([&[], &[3], &[3]], 3, (4, 2, 3)),
        set_case([&[3], &[], &[]], 3, (4, 2, 3)),
        set_case([&[], &[3], &[]], 3, (4, 1, 5)),
        Case::composition(
            "scatter_set, the last is kept",
            vec![uniform([3, 2], -2.0..2.0), integers([3], &[1, 1, 1]), uniform([3, 2], -2.0..2.0)],
            |_, x| vec![x[0].scatter_set(x[1], x[2])],
            |x| vec![[&x[0][..2], &x[2][4..], &x[0][4..]].concat()],
        ),
    ]
}

#[test]
fn agrees_with_references() {
    let cases = cases();
    check_covers(COVERS, &cases);
    cases.iter().for_each(Case::check);
}
