//! Functions over vectors, lane by lane.
#![allow(missing_docs)]

use super::simd::Simd;

#[inline(always)]
fn each<S: Simd>(s: S, x: S::V, f: fn(f32) -> f32) -> S::V {
    let mut lanes = [0f32; 16];
    s.store_slice(&mut lanes[..S::LANES], x);
    for lane in &mut lanes {
        *lane = f(*lane);
    }
    s.load_slice(&lanes)
}

macro_rules! lane_by_lane {
    ($($name:ident => $f:expr;)*) => {$(
        #[inline(always)]
        pub fn $name<S: Simd>(s: S, x: S::V) -> S::V {
            each(s, x, $f)
        }
    )*};
}

lane_by_lane! {
    exp => f32::exp;
    ln => f32::ln;
    tanh => f32::tanh;
    sigmoid => |x| 1.0 / (1.0 + (-x).exp());
    gelu => |x| 0.5 * x * (1.0 + (0.797_884_6 * (x + 0.044_715 * x * x * x)).tanh());
    softplus => |x| x.max(0.0) + (-x.abs()).exp().ln_1p();
    sin => f32::sin;
    cos => f32::cos;
    expm1 => f32::exp_m1;
}

#[inline(always)]
pub fn pow<S: Simd>(s: S, x: S::V, y: S::V) -> S::V {
    let (mut a, mut b) = ([0f32; 16], [0f32; 16]);
    s.store_slice(&mut a[..S::LANES], x);
    s.store_slice(&mut b[..S::LANES], y);
    for (a, b) in a.iter_mut().zip(&b) {
        *a = a.powf(*b);
    }
    s.load_slice(&a)
}
