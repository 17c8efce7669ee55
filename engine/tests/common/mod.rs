//! What the tests of ops share: devices, random numbers, and [`Case`], which compares an op with an f64 reference on
//! every device: outputs, gradients and second derivatives, with fusion and without, on one thread and on two.
//!
//! A failure prints the seed; `SYNOD_TEST_SEED=<seed>` runs the same numbers again. A missing GPU adapter fails the
//! tests unless `SYNOD_SKIP_GPU=1` is set.

#![allow(dead_code)] // Every test file uses its own part of this.

pub mod random;

use std::ops::Range;
use std::sync::OnceLock;

use synod_engine::{CompileOptions, DType, Data, Device, Graph, Program, Shape, Tensor, TensorType};

pub use random::Random;

/// The CPU, and the GPU where the crate was built for one. Opened once a process.
///
/// # Panics
/// Where there is no adapter and `SYNOD_SKIP_GPU` is not 1.
pub fn devices() -> Vec<Device> {
    static GPU: OnceLock<Result<Device, String>> = OnceLock::new();
    let mut devices = vec![Device::cpu()];
    if cfg!(feature = "gpu") {
        match GPU.get_or_init(|| Device::gpu().map_err(|e| e.to_string())) {
            Ok(device) => devices.push(device.clone()),
            Err(message) if std::env::var("SYNOD_SKIP_GPU").is_ok_and(|v| v == "1") => {
                eprintln!("SYNOD_SKIP_GPU=1: not tested on a GPU ({message})");
            }
            Err(message) => panic!("no GPU to test on: {message}; SYNOD_SKIP_GPU=1 leaves the GPU out"),
        }
    }
    devices
}

/// How random numbers of an operand are drawn.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Evenly from a range.
    Uniform(Range<f64>),
    /// Either sign, with a magnitude from a range: keeps away from the kink or the pole at 0.
    Signed(Range<f64>),
    /// 0 or 1.
    Mask,
    /// Whole numbers from 0 to below this; for indices, and for floats that shall often be equal.
    Whole(usize),
    /// These numbers.
    Values(Vec<f64>),
}

/// An operand of a case.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its type.
    pub of: TensorType,
    /// Its numbers.
    pub kind: Kind,
    /// Whether gradients with respect to it are checked.
    pub differentiable: bool,
}

impl Input {
    /// The same operand, with respect to which no gradient is asked for.
    pub fn fixed(mut self) -> Self {
        self.differentiable = false;
        self
    }
}

fn operand(of: TensorType, kind: Kind, differentiable: bool) -> Input {
    Input { of, kind, differentiable }
}

/// Floats drawn evenly from a range.
pub fn uniform(shape: impl Into<Shape>, range: Range<f64>) -> Input {
    operand(TensorType::f32(shape), Kind::Uniform(range), true)
}

/// Floats of either sign with a magnitude from a range.
pub fn signed(shape: impl Into<Shape>, magnitude: Range<f64>) -> Input {
    operand(TensorType::f32(shape), Kind::Signed(magnitude), true)
}

/// Floats that are 0 or 1, through which no gradient is asked for.
pub fn mask(shape: impl Into<Shape>) -> Input {
    operand(TensorType::f32(shape), Kind::Mask, false)
}

/// Integers from 0 to below `below`.
pub fn indices(shape: impl Into<Shape>, below: usize) -> Input {
    operand(TensorType::u32(shape), Kind::Whole(below), false)
}

/// Integers that are given.
pub fn integers(shape: impl Into<Shape>, values: &[u32]) -> Input {
    let values = values.iter().map(|&v| f64::from(v)).collect();
    operand(TensorType::u32(shape), Kind::Values(values), false)
}

/// Signed integers that are given.
pub fn signed_integers(shape: impl Into<Shape>, values: &[i32]) -> Input {
    let values = values.iter().map(|&v| f64::from(v)).collect();
    operand(TensorType::i32(shape), Kind::Values(values), false)
}

/// Floats that are given; `.fixed()` where no gradient exists there.
pub fn floats(shape: impl Into<Shape>, values: &[f32]) -> Input {
    let values = values.iter().map(|&v| f64::from(v)).collect();
    operand(TensorType::f32(shape), Kind::Values(values), true)
}

type Build = Box<dyn for<'g> Fn(&'g Graph, &[Tensor<'g>]) -> Vec<Tensor<'g>>>;
type Reference = Box<dyn Fn(&[Vec<f64>]) -> Vec<Vec<f64>>>;

/// The error function by its series of positive terms, of which nothing cancels.
pub fn erf(x: f64) -> f64 {
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

/// In place of an op's name: what is tested is made of several ops.
const COMPOSITION: &str = "composition";

/// An op, operands for it, and what it must compute.
pub struct Case {
    /// The op's name in the registry.
    pub op: &'static str,
    /// What is special about this case; for messages.
    pub label: String,
    /// Operands.
    pub inputs: Vec<Input>,
    /// The op applied to tensors of these types. All outputs are compared.
    pub build: Build,
    /// The same in f64, row-major. Integers come and go as whole numbers.
    pub reference: Reference,
    /// `||out - ref|| / ||ref||` of every output: 1e-5 for elementwise ops and reductions, 1e-4 for products.
    pub tolerance: f64,
    /// The size of an output's elements as far as rounding is concerned: what cancels in a long sum leaves its errors
    /// behind. A norm counts as at least this in every element.
    pub scale: f64,
    /// The same for gradients.
    pub gradient_tolerance: f64,
    /// The same for second derivatives.
    pub second_tolerance: f64,
    /// Whether second derivatives are checked.
    pub second: bool,
    /// Whether fusion must not change a bit on the CPU (not so where an epilogue is fused into a product).
    pub fusion_keeps_bits: bool,
}

impl Case {
    /// A case with the tolerances of elementwise ops, all derivatives checked.
    pub fn new(
        op: &'static str,
        inputs: Vec<Input>,
        build: impl for<'g> Fn(&'g Graph, &[Tensor<'g>]) -> Vec<Tensor<'g>> + 'static,
        reference: impl Fn(&[Vec<f64>]) -> Vec<Vec<f64>> + 'static,
    ) -> Self {
        Case {
            op,
            label: inputs.iter().map(|i| i.of.to_string()).collect::<Vec<_>>().join(", "),
            inputs,
            build: Box::new(build),
            reference: Box::new(reference),
            tolerance: 1e-5,
            scale: 0.0,
            gradient_tolerance: 1e-4,
            second_tolerance: 3e-4,
            second: true,
            fusion_keeps_bits: true,
        }
    }

    /// A case of something that is made of several ops; `label` says what.
    pub fn composition(
        label: impl Into<String>,
        inputs: Vec<Input>,
        build: impl for<'g> Fn(&'g Graph, &[Tensor<'g>]) -> Vec<Tensor<'g>> + 'static,
        reference: impl Fn(&[Vec<f64>]) -> Vec<Vec<f64>> + 'static,
    ) -> Self {
        let case = Case::new(COMPOSITION, inputs, build, reference);
        let label = format!("{}: {}", label.into(), case.label);
        case.label(label)
    }

    /// Another description than the operands' types.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Another tolerance for outputs; ten times as much for gradients and thirty times for second derivatives.
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self.gradient_tolerance = 10.0 * tolerance;
        self.second_tolerance = 30.0 * tolerance;
        self
    }

    /// The size that the terms of its sums give an output where nothing cancels.
    pub fn scale(mut self, scale: f64) -> Self {
        self.scale = scale;
        self
    }

    /// No second derivatives (piecewise linear functions do not need this: theirs come out right too).
    pub fn first_order(mut self) -> Self {
        self.second = false;
        self
    }

    /// No derivatives at all.
    pub fn outputs_only(mut self) -> Self {
        self.inputs.iter_mut().for_each(|i| i.differentiable = false);
        self
    }

    /// For products with a fused epilogue: fusion may change the rounding.
    pub fn fusion_may_round(mut self) -> Self {
        self.fusion_keeps_bits = false;
        self
    }

    /// Checks it.
    ///
    /// # Panics
    /// With the case, the device, the measured error and the seed where anything is off.
    pub fn check(&self) {
        check(self);
    }
}

/// Checks a case on all devices. See [`Case`].
///
/// # Panics
/// Where anything is off.
pub fn check(case: &Case) {
    assert!(
        case.op == COMPOSITION || synod_engine::op::registry::names().contains(&case.op),
        "case `{}` ({}) names no op of the registry",
        case.op,
        case.label
    );
    let mut random = Random::fresh();
    let run = Run { case, seed: random.seed(), data: draw(case, &mut random) };
    run.outputs();
    if case.inputs.iter().any(|i| i.differentiable) {
        run.derivatives(&mut random);
    }
}

/// Random operands, rounded to what the devices will see.
fn draw(case: &Case, random: &mut Random) -> Vec<Vec<f64>> {
    let one = |input: &Input, random: &mut Random| -> Vec<f64> {
        let n = input.of.elements();
        let value = |random: &mut Random| match &input.kind {
            Kind::Uniform(range) => random.uniform(range.start, range.end),
            Kind::Signed(range) => {
                let sign = if random.below(2) == 0 { 1.0 } else { -1.0 };
                sign * random.uniform(range.start, range.end)
            }
            Kind::Mask => random.below(2) as f64,
            Kind::Whole(below) => random.below(*below) as f64,
            Kind::Values(_) => 0.0,
        };
        match &input.kind {
            Kind::Values(values) => {
                assert_eq!(values.len(), n, "{}: values for {}", case.op, input.of);
                values.clone()
            }
            _ => (0..n).map(|_| f64::from(value(random) as f32)).collect(),
        }
    };
    case.inputs.iter().map(|input| one(input, random)).collect()
}

struct Run<'a> {
    case: &'a Case,
    seed: u64,
    data: Vec<Vec<f64>>,
}

/// Rows of numbers by their bits, one row an output.
type Bits = Vec<Vec<u32>>;

impl Run<'_> {
    fn fail(&self, device: &str, what: &str) -> ! {
        let Case { op, label, .. } = self.case;
        panic!("{op} ({label}) on {device}: {what}\nSYNOD_TEST_SEED={} repeats this", self.seed)
    }

    fn close(&self, device: &str, what: &str, got: &[f64], want: &[f64], tolerance: f64, floor: f64) {
        if let Err(message) = compare_above(got, want, tolerance, floor) {
            self.fail(device, &format!("{what}: {message}"));
        }
    }

    /// Operands as graph inputs, and their data.
    fn inputs<'g>(&self, g: &'g Graph) -> Vec<Tensor<'g>> {
        let declare = |(i, input): (usize, &Input)| match input.of.dtype {
            DType::F32 => g.input(&format!("x{i}"), &input.of.shape),
            DType::U32 => g.input_u32(&format!("x{i}"), &input.of.shape),
            DType::I32 => g.input_i32(&format!("x{i}"), &input.of.shape),
        };
        self.case.inputs.iter().enumerate().map(declare).collect()
    }

    /// Compiles and runs with everything that must not matter, and compares the bits. Gives the results with fusion.
    fn run_all_ways(&self, device: &Device, g: &Graph, outputs: &[Tensor<'_>], extra: &[Given]) -> [Bits; 2] {
        let name = device.name();
        let mut given: Vec<Given> = self
            .case
            .inputs
            .iter()
            .zip(&self.data)
            .enumerate()
            .map(|(i, (x, d))| Given::new(format!("x{i}"), &x.of, d))
            .collect();
        given.extend_from_slice(extra);
        let [fused, plain] = [true, false].map(|fusion| {
            let mut program = match device.compile_with(g, outputs, CompileOptions { fusion }) {
                Ok(program) => program,
                Err(error) => self.fail(&name, &format!("fusion {fusion}: {error}")),
            };
            for (kernel, _) in program.summary().kernels {
                if !synod_engine::op::registry::names().contains(&kernel.as_str()) {
                    self.fail(&name, &format!("op `{kernel}` is not in the registry"));
                }
            }
            let given: Vec<&Given> =
                given.iter().filter(|x| program.inputs().any(|(n, _)| n == x.name)).collect();
            let first = self.run_once(&name, &mut program, &given);
            // The second run meets memory that the first one has used.
            if self.run_once(&name, &mut program, &given) != first {
                self.fail(&name, "a second run gave other bits");
            }
            if device.is_cpu() {
                for pool in pools() {
                    let threads = pool.current_num_threads();
                    if pool.install(|| execute(&mut program, &given)).as_ref() != Ok(&first) {
                        self.fail(&name, &format!("{threads} threads gave other bits"));
                    }
                }
            }
            first
        });
        if device.is_cpu() && self.case.fusion_keeps_bits && fused != plain {
            self.fail(&name, "fusion changed bits");
        }
        [fused, plain]
    }

    fn run_once(&self, device: &str, program: &mut Program, given: &[&Given]) -> Bits {
        match execute(program, given) {
            Ok(bits) => bits,
            Err(message) => self.fail(device, &message),
        }
    }

    fn outputs(&self) {
        let want = (self.case.reference)(&self.data);
        for device in devices() {
            let g = Graph::new();
            let outputs = (self.case.build)(&g, &self.inputs(&g));
            let types: Vec<TensorType> = outputs.iter().map(|t| t.tensor_type()).collect();
            for (bits, how) in self.run_all_ways(&device, &g, &outputs, &[]).iter().zip(HOW) {
                assert_eq!(bits.len(), want.len(), "{}: outputs and references", self.case.op);
                for (i, (got, want)) in bits.iter().zip(&want).enumerate() {
                    let tolerance = if types[i].dtype == DType::F32 { self.case.tolerance } else { 0.0 };
                    let got = numbers(types[i].dtype, got);
                    // A few numbers may all lie near a zero of the function, where nothing is left but rounding.
                    let floor: f64 = if want.len() <= 3 { 0.1 } else { 1e-3 };
                    let floor = floor.max(self.case.scale * (want.len() as f64).sqrt());
                    self.close(&device.name(), &format!("output {i} {how}"), &got, want, tolerance, floor);
                }
            }
        }
    }

    /// The op in the middle of a graph: `loss = sum(w * after(1.7 * f(before(x))))`, with `before(x) = x (1 + tanh(x) /
    /// 20)`, which keeps signs, and `after(t) = tanh(t) + t / 2`. An op that forgot its upstream gradient, or that is
    /// right only at the edge of a graph, fails.
    fn loss(&self, data: &[Vec<f64>], weights: &[Vec<f64>]) -> f64 {
        let before: Vec<Vec<f64>> = data
            .iter()
            .zip(&self.case.inputs)
            .map(|(x, input)| match input.differentiable {
                true => x.iter().map(|x| x * (1.0 + 0.05 * x.tanh())).collect(),
                false => x.clone(),
            })
            .collect();
        let after = |t: f64| t.tanh() + 0.5 * t;
        let outputs = (self.case.reference)(&before);
        outputs
            .iter()
            .zip(weights)
            .map(|(y, w)| y.iter().zip(w).map(|(y, w)| w * after(1.7 * y)).sum::<f64>())
            .sum()
    }

    fn derivatives(&self, random: &mut Random) {
        let inputs = &self.case.inputs;
        let round = |x: f64| f64::from(x as f32);
        // Integer outputs have no weights: nothing is differentiated through them.
        let types: Vec<TensorType> = {
            let g = Graph::new();
            (self.case.build)(&g, &self.inputs(&g)).iter().map(|t| t.tensor_type()).collect()
        };
        let weights: Vec<Vec<f64>> = types
            .iter()
            .map(|of| match of.dtype {
                DType::F32 => (0..of.elements()).map(|_| round(random.uniform(-1.0, 1.0))).collect(),
                DType::U32 | DType::I32 => Vec::new(),
            })
            .collect();
        let wanted: Vec<usize> = (0..inputs.len()).filter(|&i| inputs[i].differentiable).collect();
        let directions: Vec<Vec<f64>> = wanted
            .iter()
            .map(|&i| self.data[i].iter().map(|_| round(random.uniform(-1.0, 1.0))).collect())
            .collect();
        // Every element where there are few, else a sample.
        let samples: Vec<Vec<usize>> = wanted
            .iter()
            .map(|&i| match self.data[i].len() {
                n if n <= 48 => (0..n).collect(),
                n => (0..32).map(|_| random.below(n)).collect(),
            })
            .collect();

        let mut extra: Vec<Given> = Vec::new();
        for (i, (w, of)) in weights.iter().zip(&types).enumerate() {
            if of.dtype == DType::F32 {
                extra.push(Given::new(format!("w{i}"), of, w));
            }
        }
        for (&i, v) in wanted.iter().zip(&directions) {
            extra.push(Given::new(format!("v{i}"), &inputs[i].of, v));
        }
        let (first, second) = self.finite_differences(&weights, &wanted, &directions, &samples);

        for device in devices() {
            let name = device.name();
            let g = Graph::new();
            let x = self.inputs(&g);
            let before: Vec<Tensor> = x
                .iter()
                .zip(inputs)
                .map(|(&x, input)| if input.differentiable { x * (1.0 + x.tanh() * 0.05) } else { x })
                .collect();
            let outputs: Vec<(usize, Tensor)> = (self.case.build)(&g, &before)
                .into_iter()
                .enumerate()
                .filter(|(_, y)| y.dtype() == DType::F32)
                .map(|(i, y)| (i, (y * 1.7).tanh() + y * 1.7 * 0.5))
                .collect();
            let cotangents: Vec<Tensor> =
                outputs.iter().map(|(i, y)| g.input(&format!("w{i}"), y.shape())).collect();
            let outputs: Vec<Tensor> = outputs.into_iter().map(|(_, y)| y).collect();
            let targets: Vec<Tensor> = wanted.iter().map(|&i| x[i]).collect();
            let gradients = match g.vjp(&outputs, &cotangents, &targets) {
                Ok(gradients) => gradients,
                Err(error) => self.fail(&name, &format!("gradient: {error}")),
            };
            let gradients: Vec<Tensor> = gradients
                .into_iter()
                .zip(&wanted)
                .map(|(d, i)| {
                    d.unwrap_or_else(|| self.fail(&name, &format!("no gradient reaches operand {i}")))
                })
                .collect();
            let tolerance = self.case.gradient_tolerance;
            self.compare_derivatives(
                &device, &g, &gradients, &extra, "gradient", &wanted, &samples, &first, tolerance,
            );
            if !self.case.second {
                continue;
            }
            let directions: Vec<Tensor> =
                wanted.iter().map(|&i| g.input(&format!("v{i}"), &inputs[i].of.shape)).collect();
            let seconds = match g.vjp(&gradients, &directions, &targets) {
                Ok(seconds) => seconds,
                Err(error) => self.fail(&name, &format!("second derivative: {error}")),
            };
            // `before` is curved, so every operand has one.
            let seconds: Vec<Tensor> = seconds
                .into_iter()
                .zip(&wanted)
                .map(|(d, i)| {
                    d.unwrap_or_else(|| self.fail(&name, &format!("no second derivative for operand {i}")))
                })
                .collect();
            let tolerance = self.case.second_tolerance;
            self.compare_derivatives(
                &device,
                &g,
                &seconds,
                &extra,
                "second derivative",
                &wanted,
                &samples,
                &second,
                tolerance,
            );
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn compare_derivatives(
        &self,
        device: &Device,
        g: &Graph,
        derivatives: &[Tensor<'_>],
        extra: &[Given],
        what: &str,
        wanted: &[usize],
        samples: &[Vec<usize>],
        want: &[Vec<f64>],
        tolerance: f64,
    ) {
        for (bits, how) in self.run_all_ways(device, g, derivatives, extra).iter().zip(HOW) {
            for (n, got) in bits.iter().enumerate() {
                let got = numbers(DType::F32, got);
                let got: Vec<f64> = samples[n].iter().map(|&k| got[k]).collect();
                let what = format!("{what} of operand {} {how}", wanted[n]);
                // Terms of a size near 1 may cancel: what is left is no measure of the error.
                let floor = 0.1 * (got.len() as f64).sqrt();
                self.close(&device.name(), &what, &got, &want[n], tolerance, floor);
            }
        }
    }

    /// First derivatives of the loss and second ones along `directions`, at the sampled elements.
    fn finite_differences(
        &self,
        weights: &[Vec<f64>],
        wanted: &[usize],
        directions: &[Vec<f64>],
        samples: &[Vec<usize>],
    ) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
        let at = |along: f64, operand: usize, element: usize, step: f64| {
            let mut data = self.data.clone();
            if along != 0.0 {
                for (&i, v) in wanted.iter().zip(directions) {
                    data[i].iter_mut().zip(v).for_each(|(x, v)| *x += along * v);
                }
            }
            data[operand][element] += step;
            self.loss(&data, weights)
        };
        let first = |operand: usize, k: usize| {
            let h = 1e-6 * self.data[operand][k].abs().max(1.0);
            (at(0.0, operand, k, h) - at(0.0, operand, k, -h)) / (2.0 * h)
        };
        let second = |operand: usize, k: usize| {
            let h = 1e-4;
            let rise = |along: f64| at(along, operand, k, h) - at(along, operand, k, -h);
            (rise(h) - rise(-h)) / (4.0 * h * h)
        };
        let each = |f: &dyn Fn(usize, usize) -> f64| -> Vec<Vec<f64>> {
            wanted.iter().zip(samples).map(|(&i, ks)| ks.iter().map(|&k| f(i, k)).collect()).collect()
        };
        (each(&first), if self.case.second { each(&second) } else { Vec::new() })
    }
}

fn execute(program: &mut Program, given: &[&Given]) -> Result<Bits, String> {
    let inputs: Vec<(&str, &dyn Data)> = given.iter().map(|x| (x.name.as_str(), x.data())).collect();
    let outputs = program.run(&inputs).map_err(|e| e.to_string())?;
    Ok((0..outputs.len()).map(|i| outputs.u32(i).to_vec()).collect())
}

const HOW: [&str; 2] = ["(fused)", "(not fused)"];

/// Data for a named input.
#[derive(Clone)]
struct Given {
    name: String,
    floats: Vec<f32>,
    integers: Vec<u32>,
    signed: Vec<i32>,
    dtype: DType,
}

impl Given {
    fn new(name: String, of: &TensorType, data: &[f64]) -> Self {
        let (mut floats, mut integers, mut signed) = (Vec::new(), Vec::new(), Vec::new());
        match of.dtype {
            DType::F32 => floats = data.iter().map(|&x| x as f32).collect(),
            DType::U32 => integers = data.iter().map(|&x| x as u32).collect(),
            DType::I32 => signed = data.iter().map(|&x| x as i32).collect(),
        }
        Given { name, floats, integers, signed, dtype: of.dtype }
    }

    fn data(&self) -> &dyn Data {
        match self.dtype {
            DType::F32 => &self.floats,
            DType::U32 => &self.integers,
            DType::I32 => &self.signed,
        }
    }
}

fn numbers(dtype: DType, bits: &[u32]) -> Vec<f64> {
    match dtype {
        DType::F32 => bits.iter().map(|&b| f64::from(f32::from_bits(b))).collect(),
        DType::U32 => bits.iter().map(|&b| f64::from(b)).collect(),
        DType::I32 => bits.iter().map(|&b| f64::from(b as i32)).collect(),
    }
}

/// One thread and two.
fn pools() -> &'static [rayon::ThreadPool; 2] {
    static POOLS: OnceLock<[rayon::ThreadPool; 2]> = OnceLock::new();
    POOLS.get_or_init(|| {
        [1, 2].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("a thread pool"))
    })
}

/// Whether `||got - want|| <= tolerance * ||want||` over the finite numbers, and infinities and NaN stand in the same
/// places.
///
/// # Errors
/// In words, what is off.
pub fn compare(got: &[f64], want: &[f64], tolerance: f64) -> Result<(), String> {
    compare_above(got, want, tolerance, 1e-3)
}

/// [`compare`] with a norm that counts as at least `floor`.
fn compare_above(got: &[f64], want: &[f64], tolerance: f64, floor: f64) -> Result<(), String> {
    if got.len() != want.len() {
        return Err(format!("{} numbers where {} were expected", got.len(), want.len()));
    }
    let (mut error, mut norm, mut worst, mut at) = (0.0, 0.0, 0.0, 0);
    for (i, (&g, &w)) in got.iter().zip(want).enumerate() {
        if !w.is_finite() || !g.is_finite() {
            // A finite f64 that is over the range of f32 is infinite there.
            let same = (g.is_nan() && w.is_nan()) || g == w || g == f64::from(w as f32);
            if !same {
                return Err(format!("element {i} is {g}, expected {w}"));
            }
            continue;
        }
        let difference = (g - w).abs();
        error += difference * difference;
        norm += w * w;
        if difference > worst {
            (worst, at) = (difference, i);
        }
    }
    let (error, norm) = (f64::sqrt(error), f64::sqrt(norm).max(floor));
    if error <= tolerance * norm {
        return Ok(());
    }
    Err(format!(
        "relative error {:.2e} is over {tolerance:.1e}; the worst is element {at}: {} instead of {}",
        error / norm,
        got[at],
        want[at]
    ))
}

/// Checks that a test file covers what it says: every name in `covers` has a case.
///
/// # Panics
/// With the names that have none.
pub fn check_covers(covers: &[&str], cases: &[Case]) {
    let missing: Vec<_> = covers.iter().filter(|name| !cases.iter().any(|c| c.op == **name)).collect();
    assert!(missing.is_empty(), "COVERS names {missing:?}, which no case tests");
}
