//! The least that a row must do, from its sizes: operations, and bytes between memory and processor. Limits of speed
//! follow from both and from the peaks of the machine (the roofline of Williams, Waterman and Patterson 2009).

use crate::workloads::{HIDDEN, Pass, Row, Work};

/// What a row must do at least.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Additions, multiplications and divisions, one each; an elementary function counts as one.
    pub operations: f64,
    /// Bytes of all operands, read once, and of all results, written once. What lies between them need not leave the
    /// caches.
    pub bytes: f64,
}

/// The cost of one run of a row.
pub fn cost(row: &Row) -> Cost {
    let operands: f64 = row.work.operands().iter().map(|(shape, _)| product(shape)).sum();
    let [forward, backward] = operations(row.work);
    let graph = match row.work {
        Work::Gat { n, e, .. } | Work::MessageSum { n, e, .. } => product(&[e]) + product(&[n]),
        _ => 0.0,
    };
    match row.pass {
        Pass::Forward => Cost { operations: forward, bytes: 4.0 * (operands + graph + outputs(row.work)) },
        Pass::Gradient => {
            // The cotangent is twice the output.
            let operations = forward + outputs(row.work) + backward;
            Cost { operations, bytes: 4.0 * (2.0 * operands + graph) }
        }
        Pass::Train => {
            let parameters = parameters(row.work);
            // Adam reads and writes parameters and two moments: 13 operations each.
            Cost {
                operations: forward + backward + 13.0 * parameters,
                bytes: 4.0 * (operands + 6.0 * parameters),
            }
        }
    }
}

fn product(sizes: &[usize]) -> f64 {
    sizes.iter().map(|&n| n as f64).product()
}

/// Elements of the output.
fn outputs(work: Work) -> f64 {
    match work {
        Work::Matmul { b, m, n, .. } => product(&[b.max(1), m, n]),
        Work::Linear { m, n, .. } | Work::Softmax { m, n } => product(&[m, n]),
        Work::Attention { b, t, d, .. } => product(&[b, t, d]),
        Work::MemoryRead { a, d, .. } => product(&[a, d]),
        Work::Lstm { b, t, h, .. } => product(&[b, t, h]),
        Work::Gat { n, heads, o, .. } => product(&[n, heads, o]),
        Work::MessageSum { n, i, .. } => product(&[n, i]),
        Work::SsmScan { b, l, c, .. } => product(&[b, l, c]),
        Work::Tanh { n } => product(&[n]),
        Work::Chain { .. } | Work::Fan { .. } => 16.0,
        Work::MlpAdam { .. } | Work::Adam { .. } => 0.0,
    }
}

fn parameters(work: Work) -> f64 {
    match work {
        Work::MlpAdam { i, o, .. } => {
            let [a, b] = HIDDEN;
            product(&[i, a]) + product(&[a, b]) + product(&[b, o]) + product(&[a + b + o])
        }
        Work::Adam { p } => product(&[p]),
        _ => 0.0,
    }
}

/// Operations of the outputs, and of all gradients from the cotangent and what the first pass may have kept.
fn operations(work: Work) -> [f64; 2] {
    match work {
        Work::Matmul { b, m, k, n } => {
            let forward = 2.0 * product(&[b.max(1), m, k, n]);
            [forward, 2.0 * forward]
        }
        Work::Linear { m, k, n } => {
            let (products, elements) = (2.0 * product(&[m, k, n]), product(&[m, n]));
            [products + 2.0 * elements, 2.0 * products + 2.0 * elements]
        }
        Work::MlpAdam { m, i, o } => {
            let [a, b] = HIDDEN;
            let products = 2.0 * (product(&[m, i, a]) + product(&[m, a, b]) + product(&[m, b, o]));
            let (hidden, output) = (product(&[m, a + b]), product(&[m, o]));
            // The gradient of the data is not asked for.
            let backward = 2.0 * products - 2.0 * product(&[m, i, a]) + 2.0 * hidden + 2.0 * output;
            [products + 2.0 * hidden + 4.0 * output, backward]
        }
        Work::Attention { b, t, d, h } => {
            attention(8.0 * product(&[b, t, d, d]), product(&[b, t, t, d]), product(&[b, h, t, t]))
        }
        Work::MemoryRead { a, s, d, h } => {
            attention(4.0 * product(&[a + s, d, d]), product(&[a, s, d]), product(&[h, a, s]))
        }
        Work::Lstm { b, t, i, h } => {
            let (products, states) = (8.0 * product(&[b, t, i + h, h]), product(&[b, t, h]));
            // Each gate: two sums and a function; then f c + i g, tanh, and a product.
            [products + 17.0 * states, 2.0 * products + 28.0 * states]
        }
        Work::Gat { n, e, i, heads, o } => {
            let products = 2.0 * product(&[n, i, heads, o]);
            let (scores, messages) = (4.0 * product(&[n, heads, o]), 2.0 * product(&[e, heads, o]));
            let weights = product(&[e, heads]);
            // Softmax: sum of scores, leaky ReLU, maximum, difference, exponential, sum, quotient.
            [
                products + scores + messages + 8.0 * weights,
                2.0 * (products + scores + messages) + 7.0 * weights,
            ]
        }
        Work::MessageSum { e, i, .. } => [product(&[e, i]), product(&[e, i])],
        Work::SsmScan { b, l, c, n } => {
            let (states, steps) = (product(&[b, l, c, n]), product(&[b, l, c]));
            // With b behind the recurrence, s_t = a s + u and its sum with b c; backward h_t = a h + dy, its sum with b c,
            // and the sums of h s and dy s, which hold the gradients of a, b and c.
            [4.0 * states + 2.0 * steps, 8.0 * states + 4.0 * steps]
        }
        Work::Adam { .. } => [0.0, 0.0],
        Work::Tanh { n } => [product(&[n]), 2.0 * product(&[n])],
        Work::Chain { n } => [128.0 * n as f64, 256.0 * n as f64],
        Work::Fan { n } => [128.0 * n as f64 + 16.0 * (n as f64 - 1.0), 256.0 * n as f64],
        Work::Softmax { m, n } => {
            // Maximum, difference, exponential, sum, quotient; y (c - sum(c y)).
            [5.0 * product(&[m, n]), 4.0 * product(&[m, n])]
        }
    }
}

/// From the operations of the projections, of one product of scores and values, and the number of scores.
fn attention(projections: f64, pairs: f64, scores: f64) -> [f64; 2] {
    // Forward: scores and values; backward: gradients of both factors of both.
    [projections + 4.0 * pairs + 6.0 * scores, 2.0 * projections + 8.0 * pairs + 4.0 * scores]
}
