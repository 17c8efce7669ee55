//! The rows of the timing card at small, odd sizes: what is timed computes what it says.

// The card's rows and the tests' common part load the same generator.
#![allow(clippy::duplicate_mod)]

#[allow(dead_code)] // The bench uses all of it.
#[path = "../benches/card/check.rs"]
mod check;
#[path = "../engine/tests/common/mod.rs"]
mod common;
#[allow(dead_code)]
#[path = "../benches/card/cost.rs"]
mod cost;
#[path = "../benches/card/reference.rs"]
mod reference;
#[allow(dead_code)]
#[path = "../benches/card/workloads.rs"]
mod workloads;

use common::{Random, devices};
use workloads::{Pass, Row, Work, rows};

/// The work with other sizes.
fn small(work: Work) -> Work {
    match work {
        Work::Matmul { b, .. } => Work::Matmul { b: b.min(3), m: 17, k: 9, n: 13 },
        Work::Linear { .. } => Work::Linear { m: 19, k: 7, n: 11 },
        Work::MlpAdam { .. } => Work::MlpAdam { m: 29, i: 11, o: 3 },
        Work::Attention { .. } => Work::Attention { b: 3, t: 7, d: 12, h: 3 },
        Work::MemoryRead { .. } => Work::MemoryRead { a: 5, s: 21, d: 12, h: 3 },
        Work::Lstm { .. } => Work::Lstm { b: 3, t: 5, i: 7, h: 9 },
        Work::Gat { .. } => Work::Gat { n: 13, e: 39, i: 7, heads: 3, o: 5 },
        Work::MessageSum { .. } => Work::MessageSum { n: 17, e: 51, i: 5 },
        Work::SsmScan { .. } => Work::SsmScan { b: 2, l: 11, c: 5, n: 3 },
        // Parameters are padded to a multiple of 64, and so would the gradient have to be.
        Work::Adam { .. } => Work::Adam { p: 128 },
        Work::Tanh { .. } => Work::Tanh { n: 101 },
        Work::Softmax { .. } => Work::Softmax { m: 7, n: 19 },
    }
}

#[test]
fn rows_compute_what_they_say() {
    let mut random = Random::fresh();
    for device in devices() {
        for row in rows() {
            let row = Row { work: small(row.work), ..row };
            if let Err(message) = check::check(&row, &device, random.bits()) {
                panic!("on {}: {message}", device.name());
            }
        }
    }
}

#[test]
fn a_wrong_gradient_is_found() {
    let row = Row { name: "softmax".into(), work: Work::Softmax { m: 3, n: 5 }, pass: Pass::Gradient };
    let random = &mut workloads::Normal::seeded(1);
    let values = row.work.values(random);
    let mut runner = workloads::Runner::new(&row, &synod::Device::cpu(), &values, &[]).unwrap();
    runner.run().unwrap();
    let [x, gradient] = [&values, &runner.results().unwrap()]
        .map(|v| vec![v[0].iter().map(|&x| f64::from(x)).collect::<Vec<_>>()]);
    check::check_gradient(row.work, &x, &[], &gradient, random).unwrap();
    let wrong = vec![gradient[0].iter().map(|g| 1.5 * g).collect::<Vec<_>>()];
    check::check_gradient(row.work, &x, &[], &wrong, random).unwrap_err();
    check::check_gradient(Work::Tanh { n: 15 }, &x, &[], &gradient, random).unwrap_err();
}

#[test]
fn costs_are_those_of_the_sizes() {
    for row in rows() {
        let cost = cost::cost(&row);
        assert!(cost.operations > 0.0 && cost.bytes > 0.0, "{}", row.name);
    }
    let of = |work, pass| cost::cost(&Row { name: String::new(), work, pass });
    let product = of(Work::Matmul { b: 0, m: 2, k: 3, n: 5 }, Pass::Forward);
    assert_eq!((product.operations, product.bytes), (60.0, 4.0 * 31.0));
}
