//! Elements of an axis from the last to the first.

use crate::common::{Case, check_covers, indices, uniform};

const COVERS: &[&str] = &["flip"];

fn flipped(x: &[f64], size: usize, inner: usize) -> Vec<f64> {
    x.chunks(size * inner).flat_map(|block| block.chunks(inner).rev().flatten().copied()).collect()
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (shape, axis, size, inner) in [
        (&[7][..], 0, 7, 1),
        (&[3, 5], -1, 5, 1),
        (&[3, 5], 0, 3, 5),
        (&[2, 5, 3], 1, 5, 3),
        (&[4, 1, 3], 1, 1, 3),
    ] {
        cases.push(Case::new(
            "flip",
            vec![uniform(shape, -2.0..2.0)],
            move |_, x| vec![x[0].flip(axis)],
            move |x| vec![flipped(&x[0], size, inner)],
        ));
    }
    cases.push(Case::new(
        "flip",
        vec![indices([3, 70_001], 1000)],
        |_, x| vec![x[0].flip(1)],
        |x| vec![flipped(&x[0], 70_001, 1)],
    ));
    cases
}

#[test]
fn agrees_with_references() {
    let cases = cases();
    check_covers(COVERS, &cases);
    cases.iter().for_each(Case::check);
}
