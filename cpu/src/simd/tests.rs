//! Every operation of every set that the machine has, lane by lane against plain Rust.

use super::*;

fn sets() -> Vec<Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.is_available()).collect()
}

/// Random finite values of many magnitudes, and the special ones.
fn values(count: usize) -> Vec<f32> {
    let special =
        [0.0, -0.0, 1.0, -1.5, 0.5, 2.5, -2.5, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1e-40, -1e30];
    let random = |_| f32::from_bits(rand::random::<u32>() & 0xbfff_ffff | (rand::random::<u32>() & 1) << 29);
    special.into_iter().chain((0..).map(random)).take(count).collect()
}

fn same(x: f32, y: f32) -> bool {
    x.to_bits() == y.to_bits() || x.is_nan() && y.is_nan()
}

struct Lanes<'a>(&'a [f32], &'a [f32]);

impl Kernel for Lanes<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        type Binary<'a, S> = (&'a str, <S as Arithmetic>::V, fn(f32, f32) -> f32);
        for (xs, ys) in self.0.chunks_exact(S::LANES).zip(self.1.chunks_exact(S::LANES)) {
            let (x, y) = (s.load_slice(xs), s.load_slice(ys));
            let (yes, no) = (s.splat(1.0), s.zero());
            let truth = |m| s.select(m, yes, no);
            let results: [Binary<'_, S>; 25] = [
                ("add", s.add(x, y), |x, y| x + y),
                ("sub", s.sub(x, y), |x, y| x - y),
                ("mul", s.mul(x, y), |x, y| x * y),
                ("div", s.div(x, y), |x, y| x / y),
                ("neg", s.neg(x), |x, _| -x),
                ("min", s.min(x, y), |x, y| if x < y { x } else { y }),
                ("max", s.max(x, y), |x, y| if x > y { x } else { y }),
                ("abs", s.abs(x), |x, _| x.abs()),
                ("sqrt", s.sqrt(x), |x, _| x.sqrt()),
                ("round", s.round(x), |x, _| x.round_ties_even()),
                ("floor", s.floor(x), |x, _| x.floor()),
                ("copysign", s.copysign(x, y), |x, y| x.copysign(y)),
                ("lt", truth(s.lt(x, y)), |x, y| (x < y) as u8 as f32),
                ("le", truth(s.le(x, y)), |x, y| (x <= y) as u8 as f32),
                ("gt", truth(s.gt(x, y)), |x, y| (x > y) as u8 as f32),
                ("ge", truth(s.ge(x, y)), |x, y| (x >= y) as u8 as f32),
                ("eq", truth(s.eq(x, y)), |x, y| (x == y) as u8 as f32),
                ("and", truth(s.mask_and(s.lt(x, y), s.lt(x, no))), |x, y| (x < y && x < 0.0) as u8 as f32),
                ("or", truth(s.mask_or(s.lt(x, y), s.lt(x, no))), |x, y| (x < y || x < 0.0) as u8 as f32),
                ("int_add", s.from_bits(s.int_add(s.to_bits(x), s.to_bits(y))), |x, y| {
                    f32::from_bits(x.to_bits().wrapping_add(y.to_bits()))
                }),
                ("int_sub", s.from_bits(s.int_sub(s.to_bits(x), s.int_splat(77))), |x, _| {
                    f32::from_bits(x.to_bits().wrapping_sub(77))
                }),
                ("int_and", s.from_bits(s.int_and(s.to_bits(x), s.to_bits(y))), |x, y| {
                    f32::from_bits(x.to_bits() & y.to_bits())
                }),
                ("int_xor", s.from_bits(s.int_xor(s.to_bits(x), s.to_bits(y))), |x, y| {
                    f32::from_bits(x.to_bits() ^ y.to_bits())
                }),
                ("shift_right", s.from_bits(s.shift_right::<5>(s.to_bits(x))), |x, _| {
                    f32::from_bits((x.to_bits() as i32 >> 5) as u32)
                }),
                ("shift_left", s.from_bits(s.shift_left::<3>(s.to_bits(x))), |x, _| {
                    f32::from_bits(x.to_bits() << 3)
                }),
            ];
            for (name, got, truth) in results {
                let mut out = [0.0; 16];
                s.store_slice(&mut out, got);
                for i in 0..S::LANES {
                    let want = truth(xs[i], ys[i]);
                    assert!(
                        same(out[i], want),
                        "{name}({}, {}) on {:?}: {} not {want}",
                        xs[i],
                        ys[i],
                        S::ISA,
                        out[i]
                    );
                }
            }
        }
    }
}

#[test]
fn operations_match_plain_rust() {
    let (x, mut y) = (values(4096), values(4096));
    y.rotate_left(5);
    for isa in sets() {
        dispatch_on(isa, Lanes(&x, &y));
    }
}

struct Rest;

impl Kernel for Rest {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let x: Vec<f32> = (0..S::LANES).map(|i| i as f32 * 1.25 - 3.0).collect();
        let v = s.load_slice(&x);
        for n in 0..=S::LANES {
            let mut out = vec![9.0; S::LANES + 1];
            // SAFETY: `n` values are there on both sides.
            unsafe {
                let part = s.load_partial(x.as_ptr(), n);
                s.store(out.as_mut_ptr(), part);
                assert_eq!(out[..n], x[..n]);
                assert!(out[n..S::LANES].iter().all(|&o| o == 0.0) && out[S::LANES] == 9.0);
                out.fill(9.0);
                s.store_partial(out.as_mut_ptr(), v, n);
            }
            assert_eq!(out[..n], x[..n], "{:?} {n}", S::ISA);
            assert!(out[n..].iter().all(|&o| o == 9.0), "{:?} {n}", S::ISA);
        }
        assert_eq!(s.reduce_add(v), x.iter().sum::<f32>());
        let random = values(S::LANES * S::LANES + 12);
        let four: [S::V; 4] = std::array::from_fn(|i| s.load_slice(&random[12 + i * S::LANES..]));
        for (one, all) in four.into_iter().zip(s.reduce_add_4(four)) {
            assert!(same(s.reduce_add(one), all), "{:?}", S::ISA);
        }
        let turned = s.transpose_blocks(four);
        let spread = [
            s.splat_in_blocks::<0>(four[0]),
            s.splat_in_blocks::<1>(four[0]),
            s.splat_in_blocks::<2>(four[0]),
            s.splat_in_blocks::<3>(four[0]),
        ];
        for i in 0..4 {
            let (mut row, mut lanes) = (vec![0.0; S::LANES], vec![0.0; S::LANES]);
            s.store_slice(&mut row, turned[i]);
            s.store_slice(&mut lanes, spread[i]);
            for lane in 0..S::LANES {
                let block = lane / 4 * 4;
                assert!(same(row[lane], random[12 + lane % 4 * S::LANES + block + i]), "{:?}", S::ISA);
                assert!(same(lanes[lane], random[12 + block + i]), "{:?}", S::ISA);
            }
        }
        let square: Vec<f32> = (0..S::LANES * (S::LANES + 1)).map(|i| i as f32).collect();
        let mut turned = vec![0.0; S::LANES * (S::LANES + 2)];
        // SAFETY: both squares hold their rows.
        unsafe { s.transpose(square.as_ptr(), S::LANES + 1, turned.as_mut_ptr(), S::LANES + 2) };
        for i in 0..S::LANES {
            for j in 0..S::LANES {
                assert_eq!(turned[i * (S::LANES + 2) + j], square[j * (S::LANES + 1) + i], "{:?}", S::ISA);
            }
        }
        assert_eq!(s.reduce_max(v), x[S::LANES - 1]);
        assert_eq!(s.reduce_max(s.neg(v)), 3.0);
        let mut out = vec![0.0; S::LANES];
        s.store_slice(&mut out, s.to_float(s.to_int(v)));
        assert!(out.iter().zip(&x).all(|(o, x)| *o == x.round_ties_even()));
        s.store_slice(&mut out, s.mul_add(v, s.splat(2.0), s.splat(1.0)));
        assert!(out.iter().zip(&x).all(|(o, x)| *o == x * 2.0 + 1.0));
        s.store_slice(&mut out, s.neg_mul_add(v, s.splat(2.0), s.splat(1.0)));
        assert!(out.iter().zip(&x).all(|(o, x)| *o == 1.0 - x * 2.0));
        assert!(s.any(s.lt(v, s.zero())) && !s.any(s.lt(v, s.splat(-3.0))));
    }
}

#[test]
fn partial_reads_writes_and_reductions() {
    for isa in sets() {
        dispatch_on(isa, Rest);
    }
}
