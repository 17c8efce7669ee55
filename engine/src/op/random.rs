//! Random numbers without state: every number is a function of a key and of its place, by the generator
//! Threefry-2x32-20 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011). The same key
//! gives the same bits on every device, whatever the number of threads.
//!
//! A key is two u32. Keys are never used twice: [`Tensor::split_key`] and [`Tensor::fold_in`] make new ones. Element
//! `i` of a tensor is word `i % 2` of the block whose counter is `(i / 2, 0)`; new keys come from counters whose second
//! word is 1, so that they never meet numbers drawn with the same key.
//!
//! ```
//! use synod_engine::{Device, Graph};
//! let g = Graph::new();
//! let key = g.key(1);
//! let keys = key.split_key(2); // [2, 2]: as many keys, apart from each other
//! let noise = keys.slice(0, 1, 1).reshape([2]).random_normal([1000]);
//! let mut program = Device::cpu().compile(&g, &[noise.mean_all(), noise.square().mean_all()])?;
//! let outputs = program.run(&[])?;
//! assert!(outputs.scalar(0).abs() < 0.2 && (outputs.scalar(1) - 1.0).abs() < 0.3);
//! # Ok::<(), synod_engine::Error>(())
//! ```

use super::gather::lead_of;
use super::movement::{RowMap, check_rank};
use crate::cpu::pool::SharedPointer;
use crate::cpu::simd::{Kernel, Simd, dispatch};
use crate::cpu::{for_each_chunk, vector_math as vm};
use crate::error::Result;
use crate::graph::{Binding, CpuCall, GpuCall, GpuPlan, Graph, Launch, Op, Tensor, VjpCall, WithoutElements};
use crate::shape::{DType, Shape, TensorType};

/// Ops of this file.
pub(super) const NAMES: &[&str] =
    &["random_bits", "random_uniform", "random_normal", "random_gumbel", "fold_in"];

const SHADER: &str = include_str!("../../shaders/random.wgsl");

/// One block of Threefry-2x32 with 20 rounds.
#[inline(always)]
pub fn threefry(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
    let schedule = [key[0], key[1], 0x1BD1_1BDA ^ key[0] ^ key[1]];
    let mut a = counter[0].wrapping_add(schedule[0]);
    let mut b = counter[1].wrapping_add(schedule[1]);
    let mut round = 0;
    while round < 5 {
        let rotations = ROTATIONS[round % 2];
        let mut i = 0;
        while i < 4 {
            a = a.wrapping_add(b);
            b = b.rotate_left(rotations[i]) ^ a;
            i += 1;
        }
        round += 1;
        a = a.wrapping_add(schedule[round % 3]);
        b = b.wrapping_add(schedule[(round + 1) % 3]).wrapping_add(round as u32);
    }
    [a, b]
}

/// What is made of the bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distribution {
    /// The bits themselves, u32.
    Bits,
    /// Multiples of 2^-24 in [0, 1).
    Uniform,
    /// Mean 0, variance 1, by pairs (Box and Muller 1958).
    Normal,
    /// `-log(-log(u))` for u uniform in (0, 1).
    Gumbel,
}

/// Random numbers: operand `key [.., 2]`, output `[.., shape]`; every key of several draws a tensor of its own.
#[derive(Debug, Clone)]
pub struct Random {
    /// What is drawn.
    pub distribution: Distribution,
    /// The shape that every key draws.
    pub shape: Shape,
}

/// Blocks that are computed at a time.
const BLOCKS: usize = 16;
/// Blocks that one task of the pool computes.
const TASK: usize = 4 * 1024;

struct Draw<'a> {
    distribution: Distribution,
    keys: &'a [u32],
    /// Elements a key draws.
    n: usize,
    out: SharedPointer,
    range: std::ops::Range<usize>,
}

impl Kernel for Draw<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let blocks = self.n.div_ceil(2);
        let mut item = self.range.start;
        while item < self.range.end {
            let (lane, block) = (item / blocks, item % blocks);
            let key = [self.keys[2 * lane], self.keys[2 * lane + 1]];
            let count = BLOCKS.min(blocks - block).min(self.range.end - item);
            let (mut even, mut odd) = ([0u32; BLOCKS], [0u32; BLOCKS]);
            for i in 0..BLOCKS {
                [even[i], odd[i]] = threefry(key, [(block + i) as u32, 0]);
            }
            shape_bits(s, self.distribution, &mut even, &mut odd);
            let mut pairs = [0u32; 2 * BLOCKS];
            for i in 0..BLOCKS {
                pairs[2 * i] = even[i];
                pairs[2 * i + 1] = odd[i];
            }
            let length = (2 * count).min(self.n - 2 * block);
            // SAFETY: these elements lie within the output (`lane * n + 2 * block + length <= lanes * n`), and each
            // block belongs to one task.
            unsafe {
                let out = self.out.get().cast::<u32>().add(lane * self.n + 2 * block);
                std::ptr::copy_nonoverlapping(pairs.as_ptr(), out, length);
            }
            item += count;
        }
    }
}

/// Turns the words of some blocks into the bits of floats.
#[inline(always)]
fn shape_bits<S: Simd>(s: S, distribution: Distribution, even: &mut [u32; 16], odd: &mut [u32; 16]) {
    match distribution {
        Distribution::Bits => {}
        Distribution::Uniform => {
            for word in even.iter_mut().chain(odd.iter_mut()) {
                *word = ((*word >> 8) as f32 * UNIFORM).to_bits();
            }
        }
        Distribution::Gumbel => {
            for words in [even, odd] {
                let mut u = [0f32; BLOCKS];
                for (u, word) in u.iter_mut().zip(words.iter()) {
                    *u = ((*word >> 9) as f32 + 0.5) * OPEN;
                }
                for u in u.chunks_exact_mut(S::LANES) {
                    let once = s.neg(vm::ln(s, s.load_slice(u)));
                    s.store_slice(u, s.neg(vm::ln(s, once)));
                }
                for (u, word) in u.iter().zip(words.iter_mut()) {
                    *word = u.to_bits();
                }
            }
        }
        Distribution::Normal => {
            let (mut u, mut v) = ([0f32; BLOCKS], [0f32; BLOCKS]);
            for i in 0..BLOCKS {
                u[i] = ((even[i] >> 9) as f32 + 0.5) * OPEN;
                // A signed fraction of a turn keeps the angle within a half turn of 0.
                v[i] = (odd[i] as i32 >> 8) as f32 * TURN;
            }
            for (u, v) in u.chunks_exact_mut(S::LANES).zip(v.chunks_exact_mut(S::LANES)) {
                let radius = s.sqrt(s.mul(s.splat(-2.0), vm::ln(s, s.load_slice(u))));
                let angle = s.load_slice(v);
                s.store_slice(u, s.mul(radius, vm::cos(s, angle)));
                s.store_slice(v, s.mul(radius, vm::sin(s, angle)));
            }
            for i in 0..BLOCKS {
                even[i] = u[i].to_bits();
                odd[i] = v[i].to_bits();
            }
        }
    }
}

/// 2^-24: 24 bits fill the digits of a float.
const UNIFORM: f32 = 1.0 / 16_777_216.0;
/// 2^-23: with a half added, 23 bits give numbers strictly between 0 and 1.
const OPEN: f32 = 1.0 / 8_388_608.0;
/// 2 pi / 2^24.
const TURN: f32 = 2.0 * std::f32::consts::PI / 16_777_216.0;

/// Checks that a tensor holds keys, and gives its leading dimensions.
fn lanes(key: &TensorType) -> Result<&[usize], String> {
    if key.dtype != DType::U32 || key.shape.last() != Some(&2) {
        return Err("a key is u32 [.., 2]".into());
    }
    Ok(key.shape.leading(1))
}

impl Op for Random {
    fn name(&self) -> &'static str {
        match self.distribution {
            Distribution::Bits => "random_bits",
            Distribution::Uniform => "random_uniform",
            Distribution::Normal => "random_normal",
            Distribution::Gumbel => "random_gumbel",
        }
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let [key] = operands else { return Err("takes a key".into()) };
        let shape = [lanes(key)?, &self.shape].concat();
        Ok(vec![match self.distribution {
            Distribution::Bits => TensorType::u32(shape),
            _ => TensorType::f32(shape),
        }])
    }

    fn without_elements(&self) -> WithoutElements {
        WithoutElements::NothingOnly
    }

    fn vjp<'g>(&self, _call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        Ok(vec![None])
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let (distribution, n, keys) = (self.distribution, self.shape.elements(), call.inputs[0].u32());
        let blocks = keys.len() / 2 * n.div_ceil(2);
        let out = SharedPointer(call.outputs[0].u32().as_mut_ptr().cast());
        let parallel = call.parallel.above(blocks, 8 * TASK);
        for_each_chunk(parallel, blocks, TASK, |range| dispatch(Draw { distribution, keys, n, out, range }));
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let n = self.shape.elements();
        let items = call.operands[0].elements() / 2 * n.div_ceil(2);
        Ok(Launch {
            shader: SHADER.into(),
            entry: "draw",
            constants: vec![("DISTRIBUTION", f64::from(self.distribution as u8))],
            bindings: vec![Binding::Input(0), Binding::Output(0)],
            parameters: vec![items as u32, n as u32],
            workgroups: call.groups(items, 256),
        }
        .into())
    }

    fn operations(&self, _operands: &[TensorType], outputs: &[TensorType]) -> u64 {
        // Twenty rounds of four operations a pair.
        50 * outputs[0].elements() as u64
    }
}

/// New keys from a key and numbers: operands `key [.., 2]` and data u32 `[..]`; output `[.., 2]`, leading dimensions
/// broadcast.
#[derive(Debug, Clone)]
pub struct FoldIn;

impl Op for FoldIn {
    fn name(&self) -> &'static str {
        "fold_in"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        check_rank(operands)?;
        let [key, data] = operands else { return Err("takes a key and data".into()) };
        if data.dtype != DType::U32 {
            return Err("the data must be u32".into());
        }
        let mut shape = lead_of(lanes(key)?, &data.shape)?.to_vec();
        shape.push(2);
        Ok(vec![TensorType::u32(shape)])
    }

    fn without_elements(&self) -> WithoutElements {
        WithoutElements::NothingOnly
    }

    fn vjp<'g>(&self, _call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        Ok(vec![None, None])
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let lead = call.outputs[0].of.shape.leading(1);
        let key_map = RowMap::new(lead, call.inputs[0].of.shape.leading(1));
        let data_map = RowMap::new(lead, &call.inputs[1].of.shape);
        let (keys, data) = (call.inputs[0].u32(), call.inputs[1].u32());
        for (i, out) in call.outputs[0].u32().chunks_exact_mut(2).enumerate() {
            let at = 2 * key_map.at(i);
            out.copy_from_slice(&threefry([keys[at], keys[at + 1]], [data[data_map.at(i)], 1]));
        }
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let items = call.outputs[0].elements() / 2;
        let mut parameters = vec![items as u32, 0, 0, 0];
        let own = [call.operands[0].shape.leading(1), &call.operands[1].shape];
        let lead = call.outputs[0].shape.leading(1);
        parameters.extend(super::gather::maps(self, call, lead, &own)?);
        Ok(Launch {
            shader: SHADER.into(),
            entry: "fold_in",
            constants: Vec::new(),
            bindings: vec![Binding::Input(0), Binding::Input(1), Binding::Output(0)],
            parameters,
            workgroups: call.groups(items, 256),
        }
        .into())
    }
}

impl Graph {
    /// The key of a seed, as a constant.
    pub fn key(&self, seed: u64) -> Tensor<'_> {
        self.constant_u32([2], &[(seed >> 32) as u32, seed as u32])
    }
}

impl<'g> Tensor<'g> {
    fn draw(self, distribution: Distribution, shape: Shape) -> Tensor<'g> {
        self.graph().apply_one(Random { distribution, shape }, &[self])
    }

    /// Random u32 by this key: `[2]` draws `shape`, `[.., 2]` draws `[.., shape]`.
    pub fn random_bits(self, shape: impl Into<Shape>) -> Tensor<'g> {
        self.draw(Distribution::Bits, shape.into())
    }

    /// Multiples of 2^-24 that are uniform in [0, 1), by this key.
    pub fn random_uniform(self, shape: impl Into<Shape>) -> Tensor<'g> {
        self.draw(Distribution::Uniform, shape.into())
    }

    /// Numbers of mean 0 and variance 1, normally distributed, by this key (Box and Muller 1958).
    pub fn random_normal(self, shape: impl Into<Shape>) -> Tensor<'g> {
        self.draw(Distribution::Normal, shape.into())
    }

    /// Numbers of the standard Gumbel distribution, by this key.
    pub fn random_gumbel(self, shape: impl Into<Shape>) -> Tensor<'g> {
        self.draw(Distribution::Gumbel, shape.into())
    }

    /// New keys `[.., 2]` from this key `[.., 2]` and u32 `data [..]` (a step, an index); leading dimensions
    /// broadcast.
    pub fn fold_in(self, data: Tensor<'g>) -> Tensor<'g> {
        self.graph().apply_one(FoldIn, &[self, data])
    }

    /// `count` new keys from this key `[.., 2]`, none of which is this one: `[count, .., 2]`, of which
    /// `slice(0, i, 1)` costs nothing.
    pub fn split_key(self, count: usize) -> Tensor<'g> {
        // The numbers are a constant of the program; larger families are made by `fold_in` of an input.
        if count > 1 << 24 {
            return self.refuse("split_key", format!("{count} keys are too many"));
        }
        let mut shape = vec![count];
        shape.extend(self.shape().leading(1).iter().map(|_| 1));
        let numbers: Vec<u32> = (0..count as u32).collect();
        self.fold_in(self.graph().constant_u32(shape, &numbers))
    }
}
