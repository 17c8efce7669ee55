//! What the rows of the card shall compute, in plain loops in double precision.

use crate::workloads::{HIDDEN, NEGATIVE_SLOPE, Work};

/// The output of a row without an optimiser.
pub fn forward(work: Work, x: &[Vec<f64>], edges: &[(u32, u32)]) -> Vec<f64> {
    match work {
        Work::Matmul { b, m, k, n } => (0..b.max(1))
            .flat_map(|i| {
                matmul(&x[0][i * m * k..(i + 1) * m * k], &x[1][i * k * n..(i + 1) * k * n], [m, k, n])
            })
            .collect(),
        Work::Linear { m, k, n } => {
            let mut y = matmul(&x[0], &x[1], [m, k, n]);
            for (j, y) in y.iter_mut().enumerate() {
                *y = (*y + x[2][j % n]).max(0.0);
            }
            y
        }
        Work::Attention { b, t, d, h } => {
            let [q, k, v] = [1, 2, 3].map(|i| matmul(&x[0], &x[i], [b * t, d, d]));
            let lane = |i: usize, of: &Vec<f64>| of[i * t * d..(i + 1) * t * d].to_vec();
            let read: Vec<f64> =
                (0..b).flat_map(|i| attention(&lane(i, &q), &lane(i, &k), &lane(i, &v), d, h)).collect();
            matmul(&read, &x[4], [b * t, d, d])
        }
        Work::MemoryRead { a, s, d, h } => {
            let q = matmul(&x[0], &x[2], [a, d, d]);
            let [k, v] = [3, 4].map(|i| matmul(&x[1], &x[i], [s, d, d]));
            matmul(&attention(&q, &k, &v, d, h), &x[5], [a, d, d])
        }
        Work::Lstm { b, t, i, h } => lstm(x, [b, t, i, h]),
        Work::Gat { n, i, heads, o, .. } => {
            let z = matmul(&x[0], &x[1], [n, i, heads * o]);
            let score = |node: usize, head: usize, vector: &[f64]| -> f64 {
                (0..o).map(|f| z[(node * heads + head) * o + f] * vector[head * o + f]).sum()
            };
            let (mut y, mut total) = (vec![0.0; n * heads * o], vec![0.0; n * heads]);
            for &(source, destination) in edges {
                let (source, destination) = (source as usize, destination as usize);
                for head in 0..heads {
                    let sum = score(source, head, &x[2]) + score(destination, head, &x[3]);
                    let weight = sum.max(f64::from(NEGATIVE_SLOPE) * sum).exp();
                    total[destination * heads + head] += weight;
                    for f in 0..o {
                        y[(destination * heads + head) * o + f] +=
                            weight * z[(source * heads + head) * o + f];
                    }
                }
            }
            y.iter()
                .enumerate()
                .map(|(j, y)| if total[j / o] == 0.0 { 0.0 } else { y / total[j / o] })
                .collect()
        }
        Work::MessageSum { n, i, .. } => {
            let mut y = vec![0.0; n * i];
            for &(source, destination) in edges {
                for f in 0..i {
                    y[destination as usize * i + f] += x[0][source as usize * i + f];
                }
            }
            y
        }
        Work::SsmScan { b, l, c, n } => {
            let mut y = vec![0.0; b * l * c];
            for lane in 0..b {
                let mut state = vec![0.0; c * n];
                for at in (0..l).map(|t| (lane * l + t) * c) {
                    for channel in 0..c {
                        let u = x[0][at + channel];
                        y[at + channel] = x[4][channel] * u;
                        for j in channel * n..(channel + 1) * n {
                            state[j] = (-x[1][j].exp()).exp() * state[j] + x[2][j] * u;
                            y[at + channel] += x[3][j] * state[j];
                        }
                    }
                }
            }
            y
        }
        Work::Tanh { .. } => x[0].iter().map(|x| x.tanh()).collect(),
        Work::Softmax { n, .. } => x[0].chunks(n).flat_map(softmax).collect(),
        Work::Chain { n } => (0..n).fold(x[0].clone(), |product, _| matmul(&product, &x[1], [4; 3])),
        Work::Fan { n } => {
            let products: Vec<Vec<f64>> = x[1..=n].iter().map(|x_i| matmul(x_i, &x[0], [4; 3])).collect();
            (0..16).map(|j| products.iter().map(|product| product[j]).sum()).collect()
        }
        Work::MlpAdam { .. } | Work::Adam { .. } => Vec::new(),
    }
}

/// The gradient of the mean squared error of a multi-layer perceptron with respect to its weights and biases.
pub fn mlp_gradient([m, i, o]: [usize; 3], x: &[Vec<f64>], weights: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let sizes = [i, HIDDEN[0], HIDDEN[1], o];
    let mut layers = vec![x[0].clone()];
    for l in 0..3 {
        let mut y = matmul(&layers[l], &weights[2 * l], [m, sizes[l], sizes[l + 1]]);
        for (j, y) in y.iter_mut().enumerate() {
            *y += weights[2 * l + 1][j % sizes[l + 1]];
            if l < 2 {
                *y = y.max(0.0);
            }
        }
        layers.push(y);
    }
    let mut gradients = vec![Vec::new(); 6];
    let mut dy: Vec<f64> =
        layers[3].iter().zip(&x[1]).map(|(y, target)| 2.0 * (y - target) / (m * o) as f64).collect();
    for l in (0..3).rev() {
        let (inputs, outputs) = (sizes[l], sizes[l + 1]);
        gradients[2 * l] = matmul(&transpose(&layers[l], m, inputs), &dy, [inputs, m, outputs]);
        gradients[2 * l + 1] = (0..outputs).map(|j| (0..m).map(|r| dy[r * outputs + j]).sum()).collect();
        dy = matmul(&dy, &transpose(&weights[2 * l], inputs, outputs), [m, outputs, inputs]);
        for (d, y) in dy.iter_mut().zip(&layers[l]) {
            if *y <= 0.0 {
                *d = 0.0;
            }
        }
    }
    gradients
}

fn transpose(x: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    (0..rows * columns).map(|i| x[(i % rows) * columns + i / rows]).collect()
}

fn matmul(a: &[f64], b: &[f64], [m, k, n]: [usize; 3]) -> Vec<f64> {
    let mut y = vec![0.0; m * n];
    for (row, y) in y.chunks_mut(n).enumerate() {
        for j in 0..k {
            let factor = a[row * k + j];
            for (y, b) in y.iter_mut().zip(&b[j * n..(j + 1) * n]) {
                *y += factor * b;
            }
        }
    }
    y
}

fn softmax(x: &[f64]) -> Vec<f64> {
    let most = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = x.iter().map(|x| (x - most).exp()).sum();
    x.iter().map(|x| (x - most).exp() / total).collect()
}

/// Queries over keys and values, all `[.., d]`.
fn attention(q: &[f64], k: &[f64], v: &[f64], d: usize, heads: usize) -> Vec<f64> {
    let dim = d / heads;
    let mut y = vec![0.0; q.len()];
    for (query, y) in q.chunks(d).zip(y.chunks_mut(d)) {
        for first in (0..d).step_by(dim) {
            let score = |key: &[f64]| -> f64 {
                let dot: f64 = (first..first + dim).map(|f| query[f] * key[f]).sum();
                dot / (dim as f64).sqrt()
            };
            let weights = softmax(&k.chunks(d).map(score).collect::<Vec<_>>());
            for (weight, value) in weights.iter().zip(v.chunks(d)) {
                for f in first..first + dim {
                    y[f] += weight * value[f];
                }
            }
        }
    }
    y
}

fn lstm(x: &[Vec<f64>], [b, t, i, h]: [usize; 4]) -> Vec<f64> {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let mut y = vec![0.0; t * b * h];
    for lane in 0..b {
        let (mut state, mut cell) = (vec![0.0; h], vec![0.0; h]);
        for step in 0..t {
            let at = (lane * t + step) * i;
            let from_input = matmul(&x[0][at..at + i], &x[1], [1, i, 4 * h]);
            let from_state = matmul(&state, &x[2], [1, h, 4 * h]);
            let gate = |j: usize| from_input[j] + from_state[j] + x[3][j];
            for j in 0..h {
                cell[j] = sigmoid(gate(h + j)) * cell[j] + sigmoid(gate(j)) * gate(2 * h + j).tanh();
                state[j] = sigmoid(gate(3 * h + j)) * cell[j].tanh();
            }
            y[(step * b + lane) * h..][..h].copy_from_slice(&state);
        }
    }
    y
}
