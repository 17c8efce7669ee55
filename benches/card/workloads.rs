//! The rows of the card: fixed workloads, the same as in `benches/peers/workloads.py`. Here stand their sizes, their
//! operands, the graph of each, and [`Runner`], which compiles a row once and runs it many times. What times rows and
//! what checks them lives beside this file.

#[allow(dead_code)] // the tests use more of it
#[path = "../../engine/tests/common/random.rs"]
mod random;

use random::Random;
use synod::nn::{Activation, Builder, Initial, Mlp, Parameters};
use synod::op::message::{Csr, Edges};
use synod::optim::{Optimiser, Rule, STEP_INPUT};
use synod::{Device, Graph, Program, Result, Summary, Tensor, TensorType, Variable};

/// Features of the hidden layers of [`Work::MlpAdam`].
pub const HIDDEN: [usize; 2] = [128, 64];
/// The learning rate of steps.
pub const LEARNING_RATE: f32 = 1e-3;
/// Added outside the root by Adam.
pub const EPSILON: f32 = 1e-8;
/// The slope of the leaky ReLU in graph attention.
pub const NEGATIVE_SLOPE: f32 = 0.2;

/// What is computed, with its sizes. Numbers are standard normal, weights normal over the root of their inputs.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// `[b, m, k] [b, k, n]`; without a batch where `b` is 0.
    Matmul { b: usize, m: usize, k: usize, n: usize },
    /// `relu(x W + bias)`
    Linear { m: usize, k: usize, n: usize },
    /// Two hidden layers with ReLU, mean squared error, one step of Adam.
    MlpAdam { m: usize, i: usize, o: usize },
    /// Self attention with four projections without bias: batch, tokens, features, heads.
    Attention { b: usize, t: usize, d: usize, h: usize },
    /// Cross attention of `a` queries over `s` slots, with four projections without bias.
    MemoryRead { a: usize, s: usize, d: usize, h: usize },
    /// One layer over `t` steps: batch, inputs, hidden features. The sequence is `[b, t, i]`, the states `[t, b, h]`.
    Lstm { b: usize, t: usize, i: usize, h: usize },
    /// Graph attention with additive scores (GATv1): nodes, edges, inputs, heads of `o` features.
    Gat { n: usize, e: usize, i: usize, heads: usize, o: usize },
    /// `out[destination] += x[source]` over edges.
    MessageSum { n: usize, e: usize, i: usize },
    /// `x_t = a x_{t-1} + b u_t`, `y_t = c . x_t + d u_t`, `a = exp(-exp(log_a))`: batch, length, channels, states.
    SsmScan { b: usize, l: usize, c: usize, n: usize },
    /// One step of Adam over `p` parameters, a multiple of 64, with a gradient that is given.
    Adam { p: usize },
    /// Over `n` numbers.
    Tanh { n: usize },
    /// Over rows.
    Softmax { m: usize, n: usize },
    /// `n` products of 4 x 4, of which each waits for the one before: what a kernel costs that has to wait.
    Chain { n: usize },
    /// `n` products of 4 x 4, of which none waits for another, and their sum: what a kernel costs that need not wait.
    Fan { n: usize },
}

/// How much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// The outputs.
    Forward,
    /// Outputs, and the gradients of the sum of their squares with respect to every operand.
    Gradient,
    /// A whole step of an optimiser.
    Train,
}

impl Pass {
    fn name(self) -> &'static str {
        match self {
            Pass::Forward => "fwd",
            Pass::Gradient => "fwdbwd",
            Pass::Train => "train",
        }
    }
}

/// A row of the card.
#[derive(Clone, Debug)]
pub struct Row {
    /// `FAMILY/SIZE/PASS`, without the backend.
    pub name: String,
    /// What is computed.
    pub work: Work,
    /// How much of it.
    pub pass: Pass,
}

/// All rows, in the order of `workloads.py`, and then those that it does not have.
pub fn rows() -> Vec<Row> {
    let square = |n: usize| Work::Matmul { b: 0, m: n, k: n, n };
    let works = [
        ("matmul/64", square(64)),
        ("matmul/256", square(256)),
        ("matmul/512", square(512)),
        ("matmul/1024", square(1024)),
        ("matmul/2048", square(2048)),
        ("batched_matmul/64x64", Work::Matmul { b: 64, m: 64, k: 64, n: 64 }),
        ("batched_matmul/32x256x64x64", Work::Matmul { b: 32, m: 256, k: 64, n: 64 }),
        ("linear/1024x64x64", Work::Linear { m: 1024, k: 64, n: 64 }),
        ("linear/4096x256x256", Work::Linear { m: 4096, k: 256, n: 256 }),
        ("mlp_adam/256x64-128-64-8", Work::MlpAdam { m: 256, i: 64, o: 8 }),
        ("mlp_adam/4096x64-128-64-8", Work::MlpAdam { m: 4096, i: 64, o: 8 }),
        ("attention/b32_t16_d64_h4", Work::Attention { b: 32, t: 16, d: 64, h: 4 }),
        ("attention/b32_t64_d256_h8", Work::Attention { b: 32, t: 64, d: 256, h: 8 }),
        ("attention/b4_t512_d256_h8", Work::Attention { b: 4, t: 512, d: 256, h: 8 }),
        ("lstm/b64_t32_i64_h64", Work::Lstm { b: 64, t: 32, i: 64, h: 64 }),
        ("lstm/b256_t16_i64_h128", Work::Lstm { b: 256, t: 16, i: 64, h: 128 }),
        ("gat/n1024_e8192_64_4x16", Work::Gat { n: 1024, e: 8192, i: 64, heads: 4, o: 16 }),
        ("gat/n16384_e131072_64_4x16", Work::Gat { n: 16384, e: 131_072, i: 64, heads: 4, o: 16 }),
        ("message_sum/n16384_e131072_64", Work::MessageSum { n: 16384, e: 131_072, i: 64 }),
        ("memory_read/a32_s1024_d256_h8", Work::MemoryRead { a: 32, s: 1024, d: 256, h: 8 }),
        ("memory_read/a1024_s1024_d256_h8", Work::MemoryRead { a: 1024, s: 1024, d: 256, h: 8 }),
        ("ssm_scan/b32_l256_c64_n16", Work::SsmScan { b: 32, l: 256, c: 64, n: 16 }),
        ("adam/1M", Work::Adam { p: 1_000_000 }),
        ("tanh/1M", Work::Tanh { n: 1_000_000 }),
        ("softmax/4096x256", Work::Softmax { m: 4096, n: 256 }),
        ("chain/200", Work::Chain { n: 200 }),
        ("fan/200", Work::Fan { n: 200 }),
    ];
    let row =
        |name: &str, work: Work, pass: Pass| Row { name: format!("{name}/{}", pass.name()), work, pass };
    works
        .iter()
        .flat_map(|&(name, work)| work.passes().iter().map(move |&pass| row(name, work, pass)))
        .collect()
}

impl Work {
    /// The passes that the card has for it.
    pub fn passes(self) -> &'static [Pass] {
        match self {
            Work::MlpAdam { .. } | Work::Adam { .. } => &[Pass::Train],
            Work::Tanh { .. } | Work::Chain { .. } | Work::Fan { .. } => &[Pass::Forward],
            _ => &[Pass::Forward, Pass::Gradient],
        }
    }

    /// Shapes of the operands; for weights with the number of inputs, over whose root they are scaled.
    pub fn operands(self) -> Vec<(Vec<usize>, Option<usize>)> {
        let batch = |b: usize, tail: [usize; 2]| match b {
            0 => tail.to_vec(),
            _ => [&[b], &tail[..]].concat(),
        };
        let data = |shape: &[usize]| (shape.to_vec(), None);
        let weight = |inputs: usize, outputs: usize| (vec![inputs, outputs], Some(inputs));
        match self {
            Work::Matmul { b, m, k, n } => vec![(batch(b, [m, k]), None), (batch(b, [k, n]), Some(k))],
            Work::Linear { m, k, n } => vec![data(&[m, k]), weight(k, n), data(&[n])],
            Work::MlpAdam { m, i, o } => vec![data(&[m, i]), data(&[m, o])],
            Work::Attention { b, t, d, .. } => [vec![data(&[b, t, d])], vec![weight(d, d); 4]].concat(),
            Work::MemoryRead { a, s, d, .. } => {
                [vec![data(&[1, a, d]), data(&[1, s, d])], vec![weight(d, d); 4]].concat()
            }
            Work::Lstm { b, t, i, h } => {
                vec![data(&[b, t, i]), weight(i, 4 * h), weight(h, 4 * h), data(&[4 * h])]
            }
            Work::Gat { n, i, heads, o, .. } => {
                vec![data(&[n, i]), weight(i, heads * o), data(&[heads, o]), data(&[heads, o])]
            }
            Work::MessageSum { n, i, .. } => vec![data(&[n, i])],
            Work::SsmScan { b, l, c, n } => {
                [vec![data(&[b, l, c])], vec![data(&[c, n]); 3], vec![data(&[c])]].concat()
            }
            Work::Adam { p } => vec![data(&[p])],
            Work::Tanh { n } => vec![data(&[n])],
            Work::Softmax { m, n } => vec![data(&[m, n])],
            Work::Chain { .. } => vec![data(&[4, 4]); 2],
            Work::Fan { n } => vec![data(&[4, 4]); n + 1],
        }
    }

    /// Fresh numbers for the operands.
    pub fn values(self, random: &mut Normal) -> Vec<Vec<f32>> {
        let one = |(shape, inputs): (Vec<usize>, Option<usize>)| {
            let scale = inputs.map_or(1.0, |inputs| 1.0 / (inputs as f32).sqrt());
            (0..shape.iter().product()).map(|_| scale * random.next()).collect()
        };
        let mut values: Vec<Vec<f32>> = self.operands().into_iter().map(one).collect();
        if let Work::Chain { .. } = self {
            // A rotation: numbers neither grow nor fade, however long the chain is.
            values[1] = rotation(random);
        }
        values
    }

    /// Edges `(source, destination)`: random sources, the same number of edges to every node, sorted by it.
    pub fn edges(self, random: &mut Normal) -> Vec<(u32, u32)> {
        match self {
            Work::Gat { n, e, .. } | Work::MessageSum { n, e, .. } => {
                (0..e).map(|k| (random.below(n) as u32, (k / (e / n)) as u32)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The outputs of a row without an optimiser.
    fn forward<'g>(self, g: &'g Graph, x: &[Tensor<'g>], csr: Option<&Csr>) -> Tensor<'g> {
        match (self, csr) {
            (Work::Linear { .. }, _) => (x[0].matmul(x[1]) + x[2]).relu(),
            (Work::Attention { h, .. }, _) => {
                let [q, k, v] = [1, 2, 3].map(|i| x[0].matmul(x[i]));
                q.attention(k, v, h, None, false).matmul(x[4])
            }
            (Work::MemoryRead { h, .. }, _) => {
                let (q, k, v) = (x[0].matmul(x[2]), x[1].matmul(x[3]), x[1].matmul(x[4]));
                q.attention(k, v, h, None, false).matmul(x[5])
            }
            (Work::Lstm { b, h, .. }, _) => {
                let zeros = g.full([b, h], 0.0);
                x[0].swap(0, 1).lstm([zeros, zeros], [x[1], x[2], x[3]], None).hidden
            }
            (Work::Gat { n, heads, o, .. }, Some(csr)) => {
                let values = x[0].matmul(x[1]);
                let split = values.reshape([n, heads, o]);
                let [source, destination] = [x[2], x[3]].map(|vector| (split * vector).sum(&[-1]));
                let edges = Edges::constant(g, csr);
                values.message_attention(source, destination, edges, NEGATIVE_SLOPE, None).0
            }
            (Work::MessageSum { .. }, Some(csr)) => x[0].message_sum(Edges::constant(g, csr)),
            (Work::SsmScan { .. }, _) => {
                let decay = (-x[1].exp()).exp();
                x[0].diagonal_ssm([decay, x[2], x[3]], x[4], None, None).outputs
            }
            (Work::Tanh { .. }, _) => x[0].tanh(),
            (Work::Softmax { .. }, _) => x[0].softmax(-1),
            (Work::Chain { n }, _) => (0..n).fold(x[0], |product, _| product.matmul(x[1])),
            (Work::Fan { .. }, _) => {
                let weight = x[0];
                let mut terms: Vec<Tensor<'g>> = x[1..].iter().map(|x| x.matmul(weight)).collect();
                // As many to a sum as a kernel has operands, so that few sums wait for others.
                while terms.len() > 1 {
                    let sum = |few: &[Tensor<'g>]| few[1..].iter().fold(few[0], |sum, &term| sum + term);
                    terms = terms.chunks(7).map(sum).collect();
                }
                terms[0]
            }
            _ => x[0].matmul(x[1]),
        }
    }
}

/// A compiled row with its operands on a device.
pub struct Runner {
    program: Program,
    optimiser: Option<(Optimiser, Parameters)>,
    /// Where a GPU leaves what it computed: outputs of a program would be fetched at every run.
    results: Vec<Variable>,
    /// A number whose reading waits for all runs before.
    last: Variable,
}

impl Runner {
    /// Compiles a row for operands [`Work::values`] and edges [`Work::edges`].
    ///
    /// # Errors
    /// The device has no room.
    pub fn new(row: &Row, device: &Device, values: &[Vec<f32>], edges: &[(u32, u32)]) -> Result<Runner> {
        let g = Graph::new();
        let last = device.variable("last", TensorType::f32([1]), &[0.0f32])?;
        let mut x = Vec::new();
        for (i, ((shape, _), values)) in row.work.operands().into_iter().zip(values).enumerate() {
            x.push(g.variable(&device.variable(&format!("operand{i}"), TensorType::f32(shape), values)?));
        }
        if row.pass == Pass::Train {
            let (optimiser, parameters) = train_step(row.work, &g, device, &x)?;
            let program = device.compile(&g, &[])?;
            return Ok(Runner {
                program,
                optimiser: Some((optimiser, parameters)),
                results: Vec::new(),
                last,
            });
        }
        let csr = match row.work {
            Work::Gat { n, .. } | Work::MessageSum { n, .. } => Some(Csr::from_edges(n, edges)?),
            _ => None,
        };
        let y = row.work.forward(&g, &x, csr.as_ref());
        let outputs = match row.pass {
            Pass::Forward => vec![y],
            _ => g.grad(y.square().sum_all(), &x)?,
        };
        if device.is_cpu() {
            let program = device.compile(&g, &outputs)?;
            return Ok(Runner { program, optimiser: None, results: Vec::new(), last });
        }
        let mut results = Vec::new();
        for (i, output) in outputs.iter().enumerate() {
            let of = output.tensor_type();
            let zeros = vec![0.0f32; of.elements()];
            let result = device.variable(&format!("result{i}"), of, &zeros)?;
            g.assign(&result, *output);
            results.push(result);
        }
        Ok(Runner { program: device.compile(&g, &[])?, optimiser: None, results, last })
    }

    /// Runs once. A GPU may still be at it when this returns.
    ///
    /// # Errors
    /// The device is lost.
    pub fn run(&mut self) -> Result<()> {
        match &mut self.optimiser {
            None => self.program.run(&[])?,
            Some((optimiser, _)) => {
                let numbers = optimiser.advance(LEARNING_RATE);
                self.program.run(&[(STEP_INPUT, &numbers)])?
            }
        };
        Ok(())
    }

    /// Waits until everything that was started has ended.
    ///
    /// # Errors
    /// The device is lost.
    pub fn wait(&self) -> Result<()> {
        self.last.read().map(drop)
    }

    /// What the last run computed: the output, or the gradients in the order of the operands.
    ///
    /// # Errors
    /// The device is lost.
    pub fn results(&self) -> Result<Vec<Vec<f32>>> {
        match self.results.is_empty() {
            true => {
                let outputs = self.program.outputs();
                Ok((0..outputs.len()).map(|i| outputs.f32(i).to_vec()).collect())
            }
            false => self.results.iter().map(Variable::read).collect(),
        }
    }

    /// The parameters of a row with an optimiser, each by itself; empty for others.
    ///
    /// # Errors
    /// The device is lost.
    pub fn parameters(&self, device: &Device) -> Result<Vec<Vec<f32>>> {
        let Some((_, parameters)) = &self.optimiser else { return Ok(Vec::new()) };
        let g = Graph::new();
        let mut program = device.compile(&g, parameters.weights(&g).tensors())?;
        let outputs = program.run(&[])?;
        Ok((0..outputs.len()).map(|i| outputs.f32(i).to_vec()).collect())
    }

    /// Seconds of the last run on the GPU, where `SYNOD_GPU_TIMES` has them measured.
    pub fn gpu_seconds(&self) -> Option<f64> {
        self.program.gpu_time().map(|time| time.as_secs_f64())
    }

    /// What the program is made of.
    pub fn summary(&self) -> Summary {
        self.program.summary()
    }
}

/// Builds the step of a row with an optimiser.
fn train_step<'g>(
    work: Work,
    g: &'g Graph,
    device: &Device,
    x: &[Tensor<'g>],
) -> Result<(Optimiser, Parameters)> {
    let mut builder = Builder::new(0);
    let rule = Rule::adam(EPSILON);
    if let Work::MlpAdam { i, o, .. } = work {
        let mlp = Mlp::new(&mut builder, "mlp", &[i, HIDDEN[0], HIDDEN[1], o], Activation::Relu, 1.0);
        let parameters = builder.build(device)?;
        let weights = parameters.weights(g);
        let loss = (mlp.forward(&weights, x[0]) - x[1]).square().mean_all();
        let optimiser = Optimiser::new(device, &parameters, rule)?;
        optimiser.update(g, parameters.gradient(loss, &weights)?);
        return Ok((optimiser, parameters));
    }
    let shape = x[0].shape();
    builder.parameter("parameters", &shape, Initial::Normal { deviation: 1.0 });
    let parameters = builder.build(device)?;
    let optimiser = Optimiser::new(device, &parameters, rule)?;
    optimiser.update(g, x[0]);
    Ok((optimiser, parameters))
}

/// A rotation of four dimensions, `[4, 4]`: the product of two reflections along random directions.
fn rotation(random: &mut Normal) -> Vec<f32> {
    let [a, b] = [(); 2].map(|()| {
        let direction: [f32; 4] = std::array::from_fn(|_| random.next());
        let square: f32 = direction.iter().map(|x| x * x).sum();
        move |i: usize, j: usize| f32::from(u8::from(i == j)) - 2.0 * direction[i] * direction[j] / square
    });
    (0..16).map(|at| (0..4).map(|k| a(at / 4, k) * b(k, at % 4)).sum()).collect()
}

/// Normal numbers from a seed (Box and Muller 1958).
pub struct Normal {
    random: Random,
}

impl Normal {
    /// From a seed.
    pub fn seeded(seed: u64) -> Normal {
        Normal { random: Random::seeded(seed) }
    }

    /// A whole number from 0 to below `below`.
    pub fn below(&mut self, below: usize) -> usize {
        self.random.below(below)
    }

    /// A normal number.
    pub fn next(&mut self) -> f32 {
        // In (0, 1], so that the logarithm is finite.
        let mut uniform = || ((self.random.bits() >> 11) + 1) as f64 / (1u64 << 53) as f64;
        let (radius, angle) = ((-2.0 * uniform().ln()).sqrt(), std::f64::consts::TAU * uniform());
        (radius * angle.cos()) as f32
    }
}
