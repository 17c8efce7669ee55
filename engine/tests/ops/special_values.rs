//! Numbers at which a formula that is right on paper is wrong in floats: infinities, NaN, rows all alike, sums that have
//! grown large, exponents of 0.

use crate::common::{devices, random::Random};
use synod_engine::op::message::{Csr, Edges};
use synod_engine::optim::clip_by_global_norm;
use synod_engine::{Device, Graph, Program, Tensor};

const INFINITY: f32 = f32::INFINITY;
const NAN: f32 = f32::NAN;

fn near(got: &[f32], want: &[f32], tolerance: f32, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let same = got == want || got.is_nan() && want.is_nan();
        let close = (got - want).abs() <= tolerance * want.abs().max(1.0);
        assert!(same || close, "{what}, element {i}: {got}, expected {want}");
    }
}

fn compiled(device: &Device, g: &Graph, outputs: &[Tensor<'_>]) -> Program {
    device.compile(g, outputs).unwrap_or_else(|e| panic!("{}: {e}", device.name()))
}

/// Sizes for each of the kernels of processors: queries, keys, heads, features of a head.
const ATTENTION: [[usize; 4]; 4] = [[2, 3, 2, 4], [3, 5, 1, 5], [40, 40, 2, 16], [3, 300, 1, 8]];

/// Attention with its gradients for given operands; the outputs are y, dq, dk, dv.
struct Attention {
    program: Program,
    operands: Vec<Vec<f32>>,
    features: usize,
}

impl Attention {
    fn new(device: &Device, [tq, tk, heads, dim]: [usize; 4], causal: bool) -> Self {
        let (g, features) = (Graph::new(), heads * dim);
        let names = ["q", "k", "v"];
        let [q, k, v] = [0, 1, 2].map(|i| g.input(names[i], [if i == 0 { tq } else { tk }, features]));
        let mask = g.input("mask", [tq, tk]);
        let y = q.attention(k, v, heads, Some(mask), causal);
        let mut outputs = vec![y];
        outputs.extend(g.grad((y * y).sum_all(), &[q, k, v]).unwrap());
        let mut random = Random::fresh();
        let operands = [tq, tk, tk].map(|rows| random.floats(rows * features, -1.0, 1.0)).to_vec();
        let program = compiled(device, &g, &outputs);
        Attention { program, operands: [operands, vec![vec![1.0; tq * tk]]].concat(), features }
    }

    fn run(&mut self) -> [Vec<f32>; 4] {
        let names = ["q", "k", "v", "mask"];
        for (name, operand) in names.iter().zip(&self.operands) {
            self.program.input_mut(name).unwrap().copy_from_slice(operand);
        }
        let outputs = self.program.run(&[]).unwrap();
        [0, 1, 2, 3].map(|i| outputs.f32(i).to_vec())
    }

    fn row(&self, x: &[f32], i: usize) -> Vec<f32> {
        x[i * self.features..(i + 1) * self.features].to_vec()
    }
}

#[test]
fn a_masked_key_never_counts() {
    for device in devices() {
        for sizes in ATTENTION {
            let [tq, tk, ..] = sizes;
            let mut attention = Attention::new(&device, sizes, false);
            for i in 0..tq {
                attention.operands[3][i * tk + 1] = 0.0;
            }
            let want = attention.run();
            for bad in [1e30, INFINITY, -INFINITY, NAN] {
                for operand in [1, 2] {
                    let at = attention.features + 2;
                    let before = std::mem::replace(&mut attention.operands[operand][at], bad);
                    let what = format!("{sizes:?}, {bad} in operand {operand} on {}", device.name());
                    for (got, want) in attention.run().iter().zip(&want) {
                        near(got, want, 1e-5, &what);
                    }
                    attention.operands[operand][at] = before;
                }
            }
        }
    }
}

#[test]
fn a_key_after_a_query_never_counts() {
    for device in devices() {
        for sizes in ATTENTION.into_iter().filter(|[tq, tk, ..]| tq == tk) {
            let last = sizes[1] - 1;
            let mut attention = Attention::new(&device, sizes, true);
            let want = attention.run()[0].clone();
            attention.operands[2][last * attention.features] = INFINITY;
            let got = attention.run()[0].clone();
            let seen = last * attention.features;
            near(&got[..seen], &want[..seen], 1e-5, &format!("{sizes:?} on {}", device.name()));
            assert_eq!(got[seen], INFINITY);
        }
    }
}

#[test]
fn a_key_that_counts_is_not_hidden() {
    for device in devices() {
        for sizes in ATTENTION {
            let [tq, tk, ..] = sizes;
            let name = format!("{sizes:?} on {}", device.name());
            let mut attention = Attention::new(&device, sizes, false);
            let want = attention.run()[0].clone();
            for bad in [NAN, INFINITY] {
                // In a query: its row alone.
                let before = std::mem::replace(&mut attention.operands[0][1], bad);
                let got = attention.run()[0].clone();
                let dim = sizes[3];
                assert!(got[..dim].iter().all(|y| y.is_nan()), "{name}: {bad} in a query: {:?}", &got[..dim]);
                near(&attention.row(&got, 1), &attention.row(&want, 1), 1e-5, &name);
                attention.operands[0][1] = before;
            }
            // In a key that one query does not see: all rows but that one's.
            let before = std::mem::replace(&mut attention.operands[1][0], NAN);
            let got = attention.run();
            assert!((0..tq).all(|i| attention.row(&got[0], i)[0].is_nan()), "{name}: NaN in a key");
            attention.operands[3][tk] = 0.0;
            attention.operands[1][0] = before;
            let want = attention.run()[0].clone();
            attention.operands[1][0] = NAN;
            let got = attention.run()[0].clone();
            assert!(attention.row(&got, 0)[0].is_nan(), "{name}: NaN in a key that is seen");
            near(&attention.row(&got, 1), &attention.row(&want, 1), 1e-5, &name);
        }
    }
}

#[test]
fn a_masked_edge_never_counts() {
    let csr = Csr::from_edges(3, &[(0, 2), (1, 2), (2, 2)]).unwrap();
    for device in devices() {
        let g = Graph::new();
        let (x, scores) = (g.input("x", [3, 2]), g.input("scores", [3, 1]));
        let mask = g.constant([3], &[1.0, 0.0, 1.0]);
        let edges = Edges::constant(&g, &csr);
        let y = x.message_attention(scores, g.full([3, 1], 0.5), edges, 0.2, Some(mask)).0;
        let gradients = g.grad((y * y).sum_all(), &[x, scores]).unwrap();
        let mut program = compiled(&device, &g, &[y, gradients[0], gradients[1]]);
        let mut run = |x1: f32, score1: f32| {
            let x = [1.0, -2.0, x1, x1, 0.5, 3.0];
            let out = program.run(&[("x", &x), ("scores", &[0.3, score1, -0.7])]).unwrap();
            [0, 1, 2].map(|i| out.f32(i).to_vec())
        };
        let want = run(0.25, 0.1);
        for bad in [NAN, INFINITY, -INFINITY] {
            for (got, want) in run(bad, bad).iter().zip(&want) {
                near(got, want, 1e-6, &format!("{bad} on {}", device.name()));
            }
        }
    }
}

#[test]
fn rows_all_alike_are_normalised_to_zero() {
    for device in devices() {
        for (n, x) in [(384, 1234.567f32), (384, 123456.79), (1000, 123456.79), (5, 1e15), (17, 1234.567)] {
            let g = Graph::new();
            let input = g.input("x", [n]);
            let y = input.layer_norm(g.full([n], 1.0), g.full([n], 0.0), 1e-5);
            let weights: Vec<f32> = (0..n).map(|i| (i as f32).sin()).collect();
            let dx = g.grad((y * g.constant([n], &weights)).sum_all(), &[input]).unwrap()[0];
            let mut program = compiled(&device, &g, &[y, dx]);
            let out = program.run(&[("x", &vec![x; n])]).unwrap();
            let what = format!("{n} times {x} on {}", device.name());
            near(out.f32(0), &vec![0.0; n], 1e-6, &what);
            // Of equal numbers the gradient is what the mean leaves of the weights, over sqrt(epsilon).
            let mean = weights.iter().sum::<f32>() / n as f32;
            let want: Vec<f32> = weights.iter().map(|w| (w - mean) / 1e-5f32.sqrt()).collect();
            near(out.f32(1), &want, 1e-3, &what);
        }
    }
}

#[test]
fn a_row_far_from_zero_is_normalised_by_what_its_floats_say() {
    let x: Vec<f32> = (0..5).map(|i| 1e4 + 0.01 * i as f32).collect();
    let wide: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
    let mean = wide.iter().sum::<f64>() / 5.0;
    let variance = wide.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 5.0;
    let factor = 1.0 / (variance + 1e-5).sqrt();
    let want: Vec<f64> = wide.iter().map(|x| (x - mean) * factor).collect();
    let c = [0.3f64, -1.0, 0.5, 0.25, -0.7];
    let of = |f: &dyn Fn(usize) -> f64| (0..5).map(f).sum::<f64>() / 5.0;
    let (m, p) = (of(&|i| c[i]), of(&|i| c[i] * want[i]));
    let gradient: Vec<f32> = (0..5).map(|i| (factor * (c[i] - m - want[i] * p)) as f32).collect();
    for device in devices() {
        let g = Graph::new();
        let input = g.input("x", [5]);
        let y = input.layer_norm(g.full([5], 1.0), g.full([5], 0.0), 1e-5);
        let weights = g.constant([5], &c.map(|c| c as f32));
        let dx = g.grad((y * weights).sum_all(), &[input]).unwrap()[0];
        let mut program = compiled(&device, &g, &[y, dx]);
        let out = program.run(&[("x", &x)]).unwrap();
        let want: Vec<f32> = want.iter().map(|y| *y as f32).collect();
        near(out.f32(0), &want, 1e-4, &device.name());
        if device.is_cpu() {
            near(out.f32(1), &gradient, 1e-4, &device.name());
        }
    }
}

#[test]
fn powers_with_an_exponent_of_zero_have_derivative_zero() {
    for device in devices() {
        let g = Graph::new();
        let (x, e) = (g.input("x", [3]), g.input("e", [3]));
        let by_tensor = g.grad(x.pow(e).sum_all(), &[x]).unwrap()[0];
        let by_scalar = g.grad(x.pow(g.scalar(0.0)).sum_all(), &[x]).unwrap()[0];
        let mut fifth = x.pow(g.scalar(4.0));
        for _ in 0..5 {
            fifth = g.grad(fifth.sum_all(), &[x]).unwrap()[0];
        }
        let mut program = compiled(&device, &g, &[by_tensor, by_scalar, fifth]);
        let out = program.run(&[("x", &[0.0f32, 1.0, 2.0]), ("e", &[0.0f32, 0.0, 3.0])]).unwrap();
        near(out.f32(0), &[0.0, 0.0, 12.0], 1e-5, &device.name());
        assert_eq!(out.f32(1), [0.0; 3]);
        assert_eq!(out.f32(2), [0.0; 3]);
    }
}

#[test]
fn logsumexp_of_infinities() {
    for device in devices() {
        let g = Graph::new();
        let x = g.input("x", [5, 2]);
        let y = x.logsumexp(-1);
        let dx = g.grad(y.sum_all(), &[x]).unwrap()[0];
        let mut program = compiled(&device, &g, &[y, dx]);
        let i = INFINITY;
        let rows = [-i, -i, i, 0.0, -i, 0.0, NAN, 0.0, 1e30, 1e30];
        let out = program.run(&[("x", &rows)]).unwrap();
        near(out.f32(0), &[-i, i, 0.0, NAN, 1e30], 1e-6, &device.name());
        assert_eq!(out.f32(1)[..2], [0.0, 0.0]);
        near(&out.f32(1)[4..6], &[0.0, 1.0], 1e-6, &device.name());
        near(&out.f32(1)[8..], &[0.5, 0.5], 1e-6, &device.name());
    }
}

#[test]
fn log_softmax_of_large_logits() {
    for device in devices() {
        for n in [3, 100] {
            for top in [1e3f32, 1e4, 1e6, 1e8] {
                let g = Graph::new();
                let mut program = compiled(&device, &g, &[g.input("x", [n]).log_softmax(-1)]);
                let mut x = vec![0.0f32; n];
                (x[0], x[n - 1]) = (top, top);
                let got = program.run(&[("x", &x)]).unwrap().f32(0)[0];
                near(&[got], &[-std::f32::consts::LN_2], 1e-5, &format!("{top} on {}", device.name()));
            }
        }
    }
}

#[test]
fn an_offset_of_all_logits_changes_no_draw() {
    let n = 100_000usize;
    for device in devices() {
        let g = Graph::new();
        let mut program =
            compiled(&device, &g, &[g.input("logits", [1, 2]).broadcast_to([n, 2]).categorical(g.key(3))]);
        let mut draw = |logits: [f32; 2]| program.run(&[("logits", &logits)]).unwrap().u32(0).to_vec();
        let first = draw([0.0, 0.0]);
        let ones = first.iter().filter(|class| **class == 1).count();
        assert!((ones as f64 / n as f64 - 0.5).abs() < 0.01, "{ones} of {n}");
        for offset in [-1e8f32, 1e5, 1e6, 1e8] {
            assert_eq!(draw([offset, offset]), first, "{offset} on {}", device.name());
        }
        assert!(draw([INFINITY, 0.0]).iter().all(|class| *class == 0));
        assert!(draw([-INFINITY, 0.0]).iter().all(|class| *class == 1));
    }
}

#[test]
fn what_is_no_distribution_is_not_drawn_from() {
    for device in devices() {
        for classes in [2, 1500] {
            for bad in [NAN, -INFINITY] {
                let g = Graph::new();
                let logits = g.input("logits", [3, classes]);
                let mut program = compiled(&device, &g, &[logits.categorical(g.key(3))]);
                let mut data = vec![0.0; 3 * classes];
                data[classes..2 * classes].fill(bad);
                if bad.is_nan() {
                    data[classes..2 * classes - 1].fill(1.0);
                }
                match program.run(&[("logits", &data)]) {
                    Ok(out) => {
                        assert!(!device.is_cpu());
                        let drawn = out.u32(0);
                        assert_eq!(drawn[1], u32::MAX);
                        assert!((drawn[0] as usize) < classes && (drawn[2] as usize) < classes);
                    }
                    Err(error) => assert!(error.to_string().contains("row 1"), "{error}"),
                }
            }
        }
    }
}

#[test]
fn the_largest_is_never_nan() {
    for device in devices() {
        let g = Graph::new();
        let mut program = compiled(&device, &g, &[g.input("x", [5, 3]).argmax()]);
        let i = INFINITY;
        let x = [NAN, 1.0, 2.0, 1.0, NAN, 2.0, NAN, NAN, NAN, NAN, -i, -i, i, NAN, i];
        assert_eq!(program.run(&[("x", &x)]).unwrap().u32(0), [2, 2, 0, 1, 0], "{}", device.name());
        for n in [1025usize, 70_001] {
            let g = Graph::new();
            let mut program = compiled(&device, &g, &[g.input("x", [2, n]).argmax()]);
            let mut x = vec![0.0f32; 2 * n];
            (x[0], x[n - 1]) = (NAN, 3.0);
            (x[n + 700], x[n + 1000]) = (1.0, 1.0);
            let want = [n as u32 - 1, 700];
            assert_eq!(program.run(&[("x", &x)]).unwrap().u32(0), want, "{n} on {}", device.name());
        }
    }
}

#[test]
fn extremes_and_choices_keep_nan() {
    for device in devices() {
        let g = Graph::new();
        let x = g.input("x", [3, 4]);
        let outputs = [
            x.max(&[1]),
            x.min(&[1]),
            x.max(&[0]),
            x.relu(),
            x.select(g.scalar(1.0), g.scalar(2.0)),
            x.matmul(g.input("w", [4, 4])).relu(),
        ];
        let mut program = compiled(&device, &g, &outputs);
        let x = [1.0, NAN, 0.0, 3.0, 5.0, 6.0, 7.0, 8.0, NAN, 0.0, -0.0, -1.0];
        let mut w = [0.0f32; 16];
        w.iter_mut().step_by(5).for_each(|diagonal| *diagonal = 1.0);
        let out = program.run(&[("x", &x), ("w", &w)]).unwrap();
        let name = device.name();
        near(out.f32(0), &[NAN, 8.0, NAN], 0.0, &name);
        near(out.f32(1), &[NAN, 5.0, NAN], 0.0, &name);
        near(out.f32(2), &[NAN, NAN, 7.0, 8.0], 0.0, &name);
        near(out.f32(3), &[1.0, NAN, 0.0, 3.0, 5.0, 6.0, 7.0, 8.0, NAN, 0.0, 0.0, 0.0], 0.0, &name);
        near(out.f32(4), &[1.0, 1.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 1.0], 0.0, &name);
        assert_eq!(out.f32(5).iter().filter(|y| y.is_nan()).count(), 8, "{name}: {:?}", out.f32(5));
    }
}

#[test]
fn constants_need_not_be_finite() {
    for device in devices() {
        let g = Graph::new();
        let s = |x: f32| g.scalar(x);
        let constants = [
            (s(0.0).log(), -INFINITY),
            (s(1.0) / s(0.0), INFINITY),
            (s(1.0) / s(-0.0), -INFINITY),
            (s(1000.0).exp(), INFINITY),
            (s(1e38) * 10.0, INFINITY),
            (s(0.0) * s(INFINITY), NAN),
            (s(INFINITY) - s(INFINITY), NAN),
        ];
        let x = g.input("x", [2]);
        let outputs: Vec<Tensor> = constants.iter().map(|(y, _)| x + *y).collect();
        let mut program = compiled(&device, &g, &outputs);
        let out = program.run(&[("x", &[0.0f32, 1.0])]).unwrap();
        for (i, (_, want)) in constants.iter().enumerate() {
            near(out.f32(i), &[*want; 2], 0.0, &format!("{i} on {}", device.name()));
        }
    }
}

#[test]
fn what_compilers_take_for_zero_is_looked_at() {
    for device in devices() {
        let g = Graph::new();
        let (x, y) = (g.input("x", [3]), g.input("y", [3]));
        let outputs = [x * 0.0, x - x, (x + y) - x, x / x, x.less_equal(x)];
        let mut program = compiled(&device, &g, &outputs);
        let out = program.run(&[("x", &[INFINITY, NAN, 2.0]), ("y", &[1.0f32; 3])]).unwrap();
        let name = device.name();
        near(out.f32(0), &[NAN, NAN, 0.0], 0.0, &name);
        near(out.f32(1), &[NAN, NAN, 0.0], 0.0, &name);
        near(out.f32(2), &[NAN, NAN, 1.0], 0.0, &name);
        near(out.f32(3), &[NAN, NAN, 1.0], 1e-6, &name);
        near(out.f32(4), &[1.0, 0.0, 1.0], 0.0, &name);
    }
}

#[test]
fn a_norm_neither_overflows_nor_vanishes() {
    for device in devices() {
        let g = Graph::new();
        let x = g.input("x", [2]);
        let (y, norm) = clip_by_global_norm(x, g.scalar(1.0));
        let dx = g.grad(y.sum_all(), &[x]).unwrap()[0];
        let mut program = compiled(&device, &g, &[y, norm, dx]);
        let mut check = |x: [f32; 2], y: [f32; 2], norm: f32| {
            let out = program.run(&[("x", &x)]).unwrap();
            let what = format!("{x:?} on {}", device.name());
            near(out.f32(0), &y, 1e-5, &what);
            near(&[out.scalar(1) / norm.max(1e-30)], &[norm / norm.max(1e-30)], 1e-5, &what);
            out.f32(2).to_vec()
        };
        let half = 0.5f32.sqrt();
        check([2e19, 2e19], [half, half], 2e19 * 2f32.sqrt());
        check([1e30, 0.0], [1.0, 0.0], 1e30);
        check([3e-25, 4e-25], [3e-25, 4e-25], 5e-25);
        check([3.0, 4.0], [0.6, 0.8], 5.0);
        assert_eq!(check([0.0, 0.0], [0.0, 0.0], 0.0), [1.0, 1.0]);
        let out = program.run(&[("x", &[INFINITY, 1.0])]).unwrap();
        assert!(out.f32(0)[0].is_nan() && !out.scalar(1).is_finite());
    }
}

#[test]
fn sums_that_have_grown_large_still_grow() {
    let n = 10_000;
    let g = Graph::new();
    let (x, initial) = (g.input("x", [n, 3]), g.input("initial", [3]));
    let one = g.full([1, 3], 1.0);
    let outputs = [x.linear_scan(one, initial, None), x.linear_scan_with(one, initial, None, true)]
        .map(|y| y.sum(&[1]));
    let mut program = Device::cpu().compile(&g, &outputs).unwrap();
    let start = [16_777_216.0f32, 33_554_432.0, INFINITY];
    let states = |row: &[f32]| (row[0], row[1], row[2]);
    let mut whole = Device::cpu().compile(&g, &[x.linear_scan(one, initial, None)]).unwrap();
    let out = whole.run(&[("x", &vec![1.0f32; 3 * n]), ("initial", &start)]).unwrap();
    let last = states(&out.f32(0)[3 * (n - 1)..]);
    assert_eq!(last, (16_787_216.0, 33_564_432.0, INFINITY));
    let out = program.run(&[("x", &vec![1.0f32; 3 * n]), ("initial", &start)]).unwrap();
    assert_eq!(out.f32(0)[n - 1], out.f32(1)[0]);

    let n = 1usize << 25;
    let g = Graph::new();
    let y = g.input("x", [n, 1]).scatter_add(g.input_u32("i", [n]), 2);
    let mut program = Device::cpu().compile(&g, &[y]).unwrap();
    program.input_mut("x").unwrap().fill(1.0);
    program.input_mut_u32("i").unwrap().fill(0);
    assert_eq!(program.run(&[]).unwrap().f32(0), [n as f32, 0.0]);
}

#[test]
fn the_gradient_of_a_long_scan_keeps_its_digits() {
    let n = 6000usize;
    for device in devices() {
        let g = Graph::new();
        let (a, b) = (g.input("a", [1, 1]), g.input("b", [n, 1]));
        let x = b.linear_scan(a, g.full([1], 0.0), None);
        let gradients = g.grad(x.sum_all(), &[a, b]).unwrap();
        let mut program = compiled(&device, &g, &gradients);
        let out = program.run(&[("a", &[1.0f32]), ("b", &vec![0.1f32; n])]).unwrap();
        // Step t is added to all that come after it.
        let want: f64 = (1..n).map(|t| (n - t) as f64 * t as f64 * f64::from(0.1f32)).sum();
        let error = (f64::from(out.scalar(0)) / want - 1.0).abs();
        assert!(error < if device.is_cpu() { 1e-7 } else { 1e-4 }, "{error} on {}", device.name());
        assert_eq!(out.f32(1)[0], n as f32);
    }
}

#[test]
fn loops_may_be_longer_than_an_adapter_runs_at_once() {
    for device in devices().into_iter().filter(|device| !device.is_cpu()) {
        let n = 2_097_152usize;
        let g = Graph::new();
        let x = g.input("x", [n, 1]);
        let y = x.linear_scan(g.full([1, 1], 1.0), g.full([1], 0.0), None);
        let mut program = compiled(&device, &g, &[y.slice(0, 2_097_118, 4)]);
        let out = program.run(&[("x", &vec![1.0f32; n])]).unwrap();
        assert_eq!(out.f32(0), [2_097_119.0, 2_097_120.0, 2_097_121.0, 2_097_122.0]);

        let g = Graph::new();
        let [q, k, v] = ["q", "k", "v"].map(|name| g.input(name, [if name == "q" { 16 } else { 2000 }, 64]));
        let y = q.attention(k, v, 1, None, false);
        let mut outputs = vec![y];
        outputs.extend(g.grad(y.square().sum_all() * 1e2, &[q, k, v]).unwrap());
        let mut random = Random::fresh();
        let data = [16, 2000, 2000].map(|rows| random.floats(rows * 64, -1.0, 1.0));
        let [got, want] = [&device, &Device::cpu()].map(|device| {
            let mut program = compiled(device, &g, &outputs);
            let out = program.run(&[("q", &data[0]), ("k", &data[1]), ("v", &data[2])]).unwrap();
            (0..4).map(|i| out.f32(i).to_vec()).collect::<Vec<_>>()
        });
        for (i, (got, want)) in got.iter().zip(&want).enumerate() {
            let largest = want.iter().fold(0f32, |a, b| a.max(b.abs()));
            let error = got.iter().zip(want).fold(0f32, |a, (g, w)| a.max((g - w).abs()));
            assert!(error < 1e-4 * largest, "output {i} of attention: {error} of {largest}");
        }

        let n = 100_000;
        let g = Graph::new();
        let (a, x) = (g.input("a", [1, 1]), g.input("x", [n, 1]));
        let sum = x.scatter_add(g.input_u32("i", [n]), 2);
        let states = x.linear_scan(a, g.full([1], 0.0), None);
        let da = g.grad(states.slice(0, n - 1, 1).sum_all(), &[a]).unwrap()[0];
        let mut program = compiled(&device, &g, &[sum, da]);
        program.input_mut_u32("i").unwrap().fill(1);
        let out = program.run(&[("x", &vec![1.0f32; n]), ("a", &[1.0f32])]).unwrap();
        assert_eq!(out.f32(0), [0.0, n as f32]);
        let want = (1..n).map(|t| t as f64).sum::<f64>();
        assert!((f64::from(out.scalar(1)) / want - 1.0).abs() < 1e-4, "{} and {want}", out.scalar(1));
    }
}
