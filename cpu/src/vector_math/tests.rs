//! Every function on every instruction set against f64.

use super::*;
use crate::simd::{Isa, dispatch_on};

type Truth = fn(f64) -> f64;

/// Distance of `got` from the truth in units in the last place of f32, 0 where both are NaN or the same infinity.
fn ulps(got: f32, truth: f64) -> f64 {
    let rounded = truth as f32;
    if got.is_nan() || rounded.is_nan() {
        return if got.is_nan() && rounded.is_nan() { 0.0 } else { f64::INFINITY };
    }
    if got.is_infinite() || rounded.is_infinite() {
        let near = |x: f32| if x.is_infinite() { 2f64.powi(128).copysign(x as f64) } else { x as f64 };
        return (near(got) - near(rounded)).abs() / 2f64.powi(104);
    }
    // The exponent of the truth, that of the least normal number for denormals.
    let exponent = ((truth.to_bits() >> 52 & 0x7ff) as i64 - 1023).max(-126);
    (got as f64 - truth).abs() * f64::from_bits(((1023 + 23 - exponent) as u64) << 52)
}

macro_rules! functions {
    ($use:ident) => {
        [
            ("exp", $use!(ExpKernel), f64::exp as Truth, 1.02),
            ("expm1", $use!(Expm1Kernel), f64::exp_m1 as Truth, 2.0),
            ("tanh", $use!(TanhKernel), f64::tanh as Truth, 3.0),
            ("sigmoid", $use!(SigmoidKernel), (|x: f64| 1.0 / (1.0 + (-x).exp())) as Truth, 3.0),
            ("ln", $use!(LnKernel), f64::ln as Truth, 2.0),
            ("log1p", $use!(Log1pKernel), f64::ln_1p as Truth, 3.0),
            ("erf", $use!(ErfKernel), erf_truth as Truth, 2.0),
            ("softplus", $use!(SoftplusKernel), softplus_truth as Truth, 3.0),
            ("sin", $use!(SinKernel), f64::sin as Truth, 3.0),
            ("cos", $use!(CosKernel), f64::cos as Truth, 3.0),
        ]
    };
}

fn softplus_truth(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// The series of positive terms `2 / sqrt(pi) exp(-x^2) (x + 2 x^3 / 3 + 4 x^5 / 15 + ..)`, of which nothing cancels.
fn erf_truth(x: f64) -> f64 {
    if x.is_nan() || x.abs() > 6.0 {
        return if x.is_nan() { x } else { x.signum() };
    }
    let (mut term, mut sum, mut n) = (x, 0.0, 0.0);
    while term != 0.0 && f64::abs(term) > 1e-18 * f64::abs(sum) {
        sum += term;
        n += 1.0;
        term *= 2.0 * x * x / (2.0 * n + 1.0);
    }
    2.0 / std::f64::consts::PI.sqrt() * (-x * x).exp() * sum
}

macro_rules! map {
    ($kernel:ident) => {
        |isa, x: &[f32], out: &mut [f32]| {
            dispatch_on(isa, $kernel { x: x.as_ptr(), out: out.as_mut_ptr(), len: x.len() })
        }
    };
}

type Map = fn(Isa, &[f32], &mut [f32]);

/// The largest error over the bit patterns `start`, `start + step`, ... and where it is.
fn worst(map: Map, isa: Isa, truth: Truth, start: u32, step: u32) -> (f64, f32) {
    let mut worst = (0.0, 0.0);
    let (mut x, mut out) = (vec![0.0f32; 4096], vec![0.0f32; 4096]);
    let count = (u32::MAX - start) as u64 / step as u64 + 1;
    for block in 0..count.div_ceil(4096) {
        for (i, x) in x.iter_mut().enumerate() {
            // Past the end it starts again.
            *x = f32::from_bits((start as u64 + (block * 4096 + i as u64) * step as u64) as u32);
        }
        map(isa, &x, &mut out);
        for (&x, &y) in x.iter().zip(&out) {
            let error = ulps(y, truth(x as f64));
            if error > worst.0 {
                worst = (error, x);
            }
        }
    }
    worst
}

#[test]
fn errors_stay_below_their_bounds() {
    let functions: [(&str, Map, Truth, f64); 10] = functions!(map);
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        for (name, map, truth, bound) in functions {
            let (start, step) = (rand::random::<u32>() % 40_000, 40_009);
            let (error, x) = worst(map, isa, truth, start, step);
            assert!(error <= bound, "{name} on {isa:?} is off by {error} ULP at {x:e} (start {start})");
        }
    }
}

/// All 2^32 arguments; minutes in release: `cargo test --release -- --ignored all_arguments --nocapture`.
#[test]
#[ignore = "takes minutes"]
fn all_arguments() {
    let functions: [(&str, Map, Truth, f64); 10] = functions!(map);
    let only = std::env::var("SYNOD_TEST_FUNCTIONS").unwrap_or_default();
    for (name, map, truth, bound) in functions.into_iter().filter(|f| only.is_empty() || only.contains(f.0)) {
        let (error, x) = worst(map, Isa::best(), truth, 0, 1);
        println!("{name}: {error:.3} ULP at {x:e} on {:?}", Isa::best());
        assert!(error <= bound, "{name} is off by {error} ULP at {x:e}");
    }
}

#[test]
fn special_arguments() {
    let special =
        [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1e-45, -1e-45, 1e-39, f32::MAX, f32::MIN];
    let functions: [(&str, Map, Truth, f64); 10] = functions!(map);
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        for (name, map, truth, bound) in functions {
            let mut out = special;
            map(isa, &special, &mut out);
            for (&x, &y) in special.iter().zip(&out) {
                assert!(ulps(y, truth(x as f64)) <= bound, "{name}({x}) on {isa:?} gave {y}");
                if x == 0.0 && truth(0.0) == 0.0 {
                    assert_eq!(x.to_bits(), y.to_bits(), "{name} on {isa:?} lost the sign of zero");
                }
            }
        }
    }
}

#[test]
fn gelu_error() {
    let truth = |x: f64| {
        let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
        x / (1.0 + (-2.0 * u).exp())
    };
    let map: Map = map!(GeluKernel);
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        let start = rand::random::<u32>() % 5003;
        let x: Vec<f32> = (0..u32::MAX / 5003).map(|i| f32::from_bits(start + i * 5003)).collect();
        let mut out = vec![0.0; x.len()];
        map(isa, &x, &mut out);
        for (&x, &y) in x.iter().zip(&out) {
            let want = truth(x as f64);
            if x.is_nan() {
                assert!(y.is_nan());
            } else if want.abs() < f32::MIN_POSITIVE as f64 {
                assert!(y.abs() <= f32::MIN_POSITIVE * 1.0001, "gelu({x}) = {y} on {isa:?}");
            } else {
                // Without fused multiply-adds what rounding adds cannot be found.
                let bound = if isa == Isa::Portable { 170.0 } else { 3.0 };
                let error = ulps(y, want);
                assert!(error <= bound, "gelu({x:e}) = {y:e} on {isa:?}, off by {error} ULP");
            }
        }
        let mut ends = [f32::INFINITY, f32::NEG_INFINITY, -0.0];
        map(isa, &ends.clone(), &mut ends);
        assert_eq!(ends, [f32::INFINITY, 0.0, 0.0]);
    }
}

#[test]
fn slices_of_any_length() {
    for len in 0..70 {
        let x: Vec<f32> = (0..len).map(|i| i as f32 * 0.37 - 9.0).collect();
        let mut out = vec![0.0; len];
        exp_into(&x, &mut out);
        let mut again = x.clone();
        exp_in_place(&mut again);
        assert_eq!(out, again);
        assert!(x.iter().zip(&out).all(|(&x, &y)| ulps(y, (x as f64).exp()) <= 1.02));
        pow_into(&x, 3.0, &mut out);
        assert!(x.iter().zip(&out).all(|(&x, &y)| y == x.powf(3.0)));
    }
}

#[test]
fn remainders_have_the_sign_of_the_divisor() {
    for (x, y, want) in [
        (7.0, 3.0, 1.0),
        (-7.0, 3.0, 2.0),
        (7.0, -3.0, -2.0),
        (-7.0, -3.0, -1.0),
        (6.0, -3.0, -0.0),
        (-6.0, 3.0, 0.0),
        (1e30, 3.0, 0.0),
        (-1.0, f32::INFINITY, f32::INFINITY),
        (1.0, f32::INFINITY, 1.0),
        (1.0, 0.0, f32::NAN),
        (f32::INFINITY, 2.0, f32::NAN),
        (f32::NAN, 2.0, f32::NAN),
    ] {
        let got = modulo_of(x, y);
        assert!(got.to_bits() == f32::to_bits(want) || got.is_nan() && want.is_nan(), "{x} mod {y}: {got}");
    }
}
