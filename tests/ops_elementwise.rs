//! Elementwise ops, copies and reshapes.

mod common;

use common::{Case, uniform};

const COVERS: &[&str] = &["tanh", "multiply"];

fn cases() -> Vec<Case> {
    let unary = |f: fn(f64) -> f64| move |x: &[Vec<f64>]| vec![x[0].iter().map(|&x| f(x)).collect()];
    vec![
        Case::new("tanh", vec![uniform([7, 13], -3.0..3.0)], |_, x| vec![x[0].tanh()], unary(f64::tanh)),
        Case::new(
            "multiply",
            vec![uniform([5, 3], -3.0..3.0), uniform([3], -2.0..2.0)],
            |_, x| vec![x[0] * x[1]],
            |x| vec![x[0].iter().enumerate().map(|(i, a)| a * x[1][i % 3]).collect()],
        ),
    ]
}

#[test]
fn cases_agree_with_references() {
    let cases = cases();
    common::check_covers(COVERS, &cases);
    cases.iter().for_each(Case::check);
}
