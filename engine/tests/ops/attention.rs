//! Attention against plain loops in f64.

use crate::common::{Case, mask, uniform};
use synod_engine::{Device, Graph};

/// A row-major array with leading dimensions that broadcast.
struct Lanes<'a> {
    data: &'a [f64],
    lead: Vec<usize>,
    rows: usize,
    columns: usize,
}

fn lanes<'a>(data: &'a [f64], shape: &[usize]) -> Lanes<'a> {
    let rank = shape.len();
    Lanes { data, lead: shape[..rank - 2].to_vec(), rows: shape[rank - 2], columns: shape[rank - 1] }
}

impl Lanes<'_> {
    fn at(&self, index: &[usize], row: usize, column: usize) -> f64 {
        let own = &index[index.len() - self.lead.len()..];
        let lane = own.iter().zip(&self.lead).fold(0, |at, (i, size)| at * size + i.min(&(size - 1)));
        self.data[(lane * self.rows + row.min(self.rows - 1)) * self.columns + column.min(self.columns - 1)]
    }
}

fn broadcast(shapes: &[&[usize]]) -> Vec<usize> {
    let rank = shapes.iter().map(|s| s.len() - 2).max().unwrap();
    let size = |s: &[usize], i: usize| (i + s.len() - 2).checked_sub(rank).map_or(1, |at| s[at]);
    (0..rank).map(|i| shapes.iter().map(|s| size(s, i)).max().unwrap()).collect()
}

/// The output and the log-sum-exp, and the weights.
fn reference(values: &[Vec<f64>], shapes: &[Vec<usize>], heads: usize, causal: bool) -> [Vec<f64>; 3] {
    let all: Vec<&[usize]> = shapes.iter().map(|s| &s[..]).collect();
    let lead = broadcast(&all);
    let [q, k, v] = [0, 1, 2].map(|i| lanes(&values[i], &shapes[i]));
    let mask = shapes.get(3).map(|s| lanes(&values[3], s));
    let (tq, tk, features) = (q.rows, k.rows, q.columns);
    let dim = features / heads;
    let count: usize = lead.iter().product();
    let mut out = vec![0.0; count * tq * features];
    let mut rows = vec![0.0; count * tq * heads];
    let mut weights = vec![0.0; count * heads * tq * tk];
    for lane in 0..count {
        let mut index = vec![0; lead.len()];
        let mut rest = lane;
        for i in (0..lead.len()).rev() {
            index[i] = rest % lead[i];
            rest /= lead[i];
        }
        for h in 0..heads {
            for i in 0..tq {
                let sees = |j: usize| {
                    mask.as_ref().is_none_or(|m| m.at(&index, i, j) != 0.0) && (!causal || j + tq <= i + tk)
                };
                let score = |j: usize| {
                    let dot: f64 =
                        (h * dim..(h + 1) * dim).map(|d| q.at(&index, i, d) * k.at(&index, j, d)).sum();
                    dot / (dim as f64).sqrt()
                };
                let raised: Vec<f64> = (0..tk).map(|j| if sees(j) { score(j).exp() } else { 0.0 }).collect();
                let sum: f64 = raised.iter().sum();
                if sum == 0.0 {
                    continue;
                }
                rows[(lane * tq + i) * heads + h] = sum.ln();
                for j in 0..tk {
                    let p = raised[j] / sum;
                    weights[((lane * heads + h) * tq + i) * tk + j] = p;
                    for d in h * dim..(h + 1) * dim {
                        out[(lane * tq + i) * features + d] += p * v.at(&index, j, d);
                    }
                }
            }
        }
    }
    [out, rows, weights]
}

fn attention(shapes: &[&[usize]], heads: usize, causal: bool) -> Case {
    let shapes: Vec<Vec<usize>> = shapes.iter().map(|s| s.to_vec()).collect();
    let mut inputs: Vec<_> = shapes[..3].iter().map(|s| uniform(s, -1.5..1.5)).collect();
    inputs.extend(shapes.get(3).map(mask));
    let case = Case::new(
        "attention",
        inputs,
        move |_, t| {
            let (out, rows) = t[0].attention_with_log_sum_exp(t[1], t[2], heads, t.get(3).copied(), causal);
            vec![out, rows]
        },
        move |v| reference(v, &shapes, heads, causal)[..2].to_vec(),
    )
    .tolerance(1e-5);
    let label = format!("{}, {heads} heads, causal {causal}", case.label);
    case.label(label)
}

/// The first output alone, whose gradient is the fused one.
fn output(shapes: &[&[usize]], heads: usize, causal: bool) -> Case {
    let whole = attention(shapes, heads, causal);
    let shapes: Vec<Vec<usize>> = shapes.iter().map(|s| s.to_vec()).collect();
    let case = Case::new(
        "attention_gradient",
        whole.inputs,
        move |_, t| vec![t[0].attention(t[1], t[2], heads, t.get(3).copied(), causal)],
        move |v| reference(v, &shapes, heads, causal)[..1].to_vec(),
    )
    .tolerance(1e-5);
    case.label(whole.label)
}

const SMALL: &[(&[&[usize]], usize)] = &[
    (&[&[1, 1], &[1, 1], &[1, 1]], 1),
    (&[&[2, 8], &[3, 8], &[3, 8]], 2),
    (&[&[3, 2, 4], &[3, 5, 4], &[3, 5, 4]], 1),
    (&[&[2, 2, 12], &[2, 3, 12], &[2, 3, 12]], 3),
    (&[&[2, 5, 6], &[2, 2, 6], &[2, 2, 6]], 2),
    // Many agents read one memory; many lanes share a query; values alone have lanes.
    (&[&[2, 3, 2, 4], &[2, 1, 3, 4], &[2, 1, 3, 4]], 1),
    (&[&[1, 2, 8], &[3, 4, 8], &[3, 4, 8]], 2),
    (&[&[2, 4], &[3, 4], &[2, 3, 4]], 1),
    (&[&[2, 1, 2, 4], &[1, 3, 3, 4], &[3, 3, 4]], 2),
];

#[test]
fn small_shapes_with_gradients() {
    for (shapes, heads) in SMALL {
        for causal in [false, true] {
            output(shapes, *heads, causal).check();
        }
    }
}

#[test]
fn one_tensor_as_queries_keys_and_values() {
    for causal in [false, true] {
        let shape = vec![2, 3, 4];
        let shapes = vec![shape.clone(); 3];
        Case::new(
            "attention_gradient",
            vec![uniform(&shape, -1.5..1.5)],
            move |_, t| vec![t[0].attention(t[0], t[0], 2, None, causal)],
            move |v| {
                let values = vec![v[0].clone(); 3];
                reference(&values, &shapes, 2, causal)[..1].to_vec()
            },
        )
        .tolerance(1e-5)
        .check();
    }
}

#[test]
fn masks_with_gradients() {
    for (shapes, heads) in SMALL {
        let (tq, tk) = (shapes[0][shapes[0].len() - 2], shapes[1][shapes[1].len() - 2]);
        let lead = broadcast(shapes);
        let full = [&lead[..], &[tq, tk]].concat();
        let keys = [&lead[..], &[1, tk]].concat();
        for of_mask in [full, keys, vec![tq, tk], vec![tq, 1]] {
            output(&[shapes[0], shapes[1], shapes[2], &of_mask], *heads, false).check();
        }
        output(&[shapes[0], shapes[1], shapes[2], &[tq, tk]], *heads, true).check();
    }
}

#[test]
fn the_log_sum_exp_is_an_output_with_a_gradient() {
    for (shapes, heads) in SMALL {
        attention(shapes, *heads, false).check();
    }
    attention(SMALL[1].0, 2, true).check();
}

/// Gradients of q, k and v of equal lanes, from the cotangent of the output.
fn gradients(values: &[Vec<f64>], shapes: &[Vec<usize>], heads: usize, causal: bool) -> Vec<Vec<f64>> {
    let (lanes, tq, features) = (shapes[0][0], shapes[0][1], shapes[0][2]);
    let tk = shapes[1][1];
    let dim = features / heads;
    let scale = 1.0 / (dim as f64).sqrt();
    let without: Vec<Vec<f64>> = values[..values.len() - 1].to_vec();
    let own: Vec<Vec<usize>> = shapes[..shapes.len() - 1].to_vec();
    let [out, _, p] = reference(&without, &own, heads, causal);
    let (q, k, v, c) = (&values[0], &values[1], &values[2], &values[values.len() - 1]);
    let [mut dq, mut dk, mut dv] = [vec![0.0; q.len()], vec![0.0; k.len()], vec![0.0; v.len()]];
    for lane in 0..lanes {
        for h in 0..heads {
            for i in 0..tq {
                let row = (lane * tq + i) * features + h * dim;
                let delta: f64 = (row..row + dim).map(|at| out[at] * c[at]).sum();
                for j in 0..tk {
                    let p = p[((lane * heads + h) * tq + i) * tk + j];
                    let key = (lane * tk + j) * features + h * dim;
                    let dp: f64 = (0..dim).map(|d| c[row + d] * v[key + d]).sum();
                    let ds = p * (dp - delta) * scale;
                    for d in 0..dim {
                        dq[row + d] += ds * k[key + d];
                        dk[key + d] += ds * q[row + d];
                        dv[key + d] += p * c[row + d];
                    }
                }
            }
        }
    }
    vec![dq, dk, dv]
}

#[test]
fn sizes_of_agents_and_around_blocks() {
    for (lanes, tq, tk, heads, dim) in [
        (67, 2, 10, 4, 4),
        (3, 1, 64, 4, 4),
        (2, 5, 7, 3, 4),
        (2, 64, 64, 8, 32),
        (1, 33, 257, 2, 17),
        (2, 7, 300, 1, 8),
        (1, 65, 63, 2, 64),
        (5, 3, 2, 1, 1),
        (2, 1, 513, 2, 4),
        (9, 16, 16, 2, 16),
    ] {
        let (q, k) = (vec![lanes, tq, heads * dim], vec![lanes, tk, heads * dim]);
        for (causal, masked) in [(false, false), (true, false), (false, true), (true, true)] {
            let mut shapes = vec![q.clone(), k.clone(), k.clone()];
            let mut inputs = [&q, &k, &k].map(|s| uniform(s, -1.5..1.5)).to_vec();
            if masked {
                shapes.push(vec![lanes, tq, tk]);
                inputs.push(mask([lanes, tq, tk]));
            }
            shapes.push(q.clone());
            inputs.push(uniform(&q, -1.0..1.0));
            let count = shapes.len() - 1;
            let case = Case::new(
                "attention_gradient",
                inputs,
                move |g, t| {
                    let visible = masked.then(|| t[3]);
                    let out = t[0].attention(t[1], t[2], heads, visible, causal);
                    let found = g.vjp(&[out], &[t[count]], &t[..3]).unwrap();
                    std::iter::once(out).chain(found.into_iter().flatten()).collect()
                },
                move |v| {
                    let (own, of) = (&v[..count], &shapes[..count]);
                    let mut all = reference(own, of, heads, causal)[..1].to_vec();
                    all.extend(gradients(v, &shapes, heads, causal));
                    all
                },
            );
            let label = format!("{}, {heads} heads, causal {causal}", case.label);
            // Where few keys are seen, gradients may cancel to nothing.
            case.label(label).tolerance(1e-5).scale(0.05).outputs_only().check();
        }
    }
}

#[test]
fn weights_for_pictures() {
    for (of_q, of_k, of_mask) in [
        (vec![2, 3, 8], vec![2, 5, 8], Some(vec![2, 3, 5])),
        (vec![3, 2, 4, 8], vec![3, 1, 4, 8], Some(vec![4, 4])),
        (vec![4, 8], vec![2, 8], None),
    ] {
        for causal in [false, true] {
            let mut shapes = vec![of_q.clone(), of_k.clone(), of_k.clone()];
            let mut inputs = vec![uniform(&of_q, -1.5..1.5), uniform(&of_k, -1.5..1.5)];
            if let Some(of_mask) = &of_mask {
                shapes.push(of_mask.clone());
                inputs.push(mask(of_mask));
            }
            Case::new(
                "attention",
                inputs,
                move |_, t| vec![t[0].attention_weights(t[1], 2, t.get(2).copied(), causal)],
                move |v| {
                    let mut values = v.to_vec();
                    values.insert(2, v[1].clone());
                    vec![reference(&values, &shapes, 2, causal)[2].clone()]
                },
            )
            .tolerance(1e-5)
            .first_order()
            .check();
        }
    }
}

#[test]
fn large_scores_do_not_overflow() {
    let shapes: [&[usize]; 3] = [&[2, 3, 8], &[2, 5, 8], &[2, 5, 8]];
    let mut case = attention(&shapes, 2, false);
    for input in &mut case.inputs[..2] {
        *input = uniform(&input.of.shape, -9.0..9.0);
    }
    case.outputs_only().check();
}

#[test]
fn a_query_that_may_attend_to_nothing_gets_zeros() {
    let g = Graph::new();
    let x = g.input("x", [2, 3, 8]);
    let visible = g.constant([2, 3, 3], &[[0.0; 9], [1.0; 9]].concat());
    let y = x.attention(x, x, 2, Some(visible), false);
    let gradient = g.grad(y.sum_all(), &[x]).unwrap()[0];
    for device in crate::common::devices() {
        let mut program = device.compile(&g, &[y, gradient]).unwrap();
        let values: Vec<f32> = (0..48).map(|i| (i as f32 * 0.7).sin() * 30.0).collect();
        let out = program.run(&[("x", &values)]).unwrap();
        assert!(out.f32(0)[..24].iter().all(|&y| y == 0.0));
        assert!(out.f32(1)[..24].iter().all(|&d| d == 0.0));
        assert!(out.f32(0)[24..].iter().chain(&out.f32(1)[24..]).all(|y| y.is_finite() && *y != 0.0));
    }
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    for (q, k, v, heads) in [
        (&[2, 3, 8][..], &[2, 3, 4][..], &[2, 3, 4][..], 2),
        (&[2, 3, 8], &[2, 3, 8], &[2, 4, 8], 2),
        (&[2, 3, 8], &[2, 3, 8], &[2, 3, 8], 3),
        (&[2, 3, 8], &[2, 3, 8], &[2, 3, 8], 0),
        (&[2, 3, 8], &[3, 3, 8], &[3, 3, 8], 2),
        (&[8], &[3, 8], &[3, 8], 2),
    ] {
        let g = Graph::new();
        let [q, k, v] = [("q", q), ("k", k), ("v", v)].map(|(n, s)| g.input(n, s.to_vec()));
        let bad = q.attention(k, v, heads, None, false);
        let message = Device::cpu().compile(&g, &[bad]).err().unwrap().to_string();
        assert!(message.contains("attention") && message.contains("f32["), "{message}");
    }
}
