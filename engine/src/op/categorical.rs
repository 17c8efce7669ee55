//! Draws of categorical distributions, as the largest of the logits after Gumbel noise is added. Limited by memory: two
//! floats read an element.
//!
//! ```
//! use synod_engine::{Device, Graph};
//! let g = Graph::new();
//! let logits = g.constant([4], &[0.0, 0.0, 50.0, 0.0]);
//! let drawn = logits.categorical(g.key(7));
//! let mut program = Device::cpu().compile(&g, &[drawn])?;
//! assert_eq!(program.run(&[])?.u32(0), [2]);
//! # Ok::<(), synod_engine::Error>(())
//! ```

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::cpu::for_each_chunk_mut;
use crate::error::{Error, Result};
use crate::graph::{Binding, CpuCall, Cut, GpuCall, GpuPlan, Launch, Op, Tensor, VjpCall};
use crate::shape::{DType, TensorType};

/// Ops of this file.
pub(super) const NAMES: &[&str] = &["categorical"];

const SHADER: &str =
    concat!(include_str!("../../shaders/special.wgsl"), include_str!("../../shaders/categorical.wgsl"));

/// Elements that one task of the pool goes through, about 50 us.
const TASK: usize = 32 * 1024;
/// Elements above which the pool is worth entering.
const THRESHOLD: usize = 128 * 1024;
/// Elements of a row from which on a workgroup of a GPU draws it.
const LONG: usize = 1024;

/// Operands: unnormalised log-probabilities `[.., n]` and numbers of the standard Gumbel distribution `[.., n]`; output
/// u32 `[..]`, of every row a draw. A number that is added to all logits of a row changes nothing.
///
/// A row that holds NaN, or minus infinity alone, has no distribution: it is an error on the CPU and draws `u32::MAX` on a
/// GPU, which is no class.
#[derive(Debug, Clone)]
pub struct Categorical;

/// The draw of a row, `None` where it has no distribution.
fn draw(logits: &[f32], noise: &[f32]) -> Option<usize> {
    let mut largest = f32::NEG_INFINITY;
    for &x in logits {
        if x > largest || x.is_nan() {
            largest = x;
        }
        if largest.is_nan() {
            return None;
        }
    }
    if largest == f32::NEG_INFINITY {
        return None;
    }
    let (mut best, mut most) = (0, f32::NEG_INFINITY);
    for (i, (&x, &noise)) in logits.iter().zip(noise).enumerate() {
        // The noise would be rounded away were it added to a large logit. An infinity is not taken from itself.
        let score = if x == largest { noise } else { x - largest + noise };
        if score > most {
            (best, most) = (i, score);
        }
    }
    Some(best)
}

impl Op for Categorical {
    fn name(&self) -> &'static str {
        "categorical"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let [logits, noise] = operands else { return Err("takes logits and noise".into()) };
        if logits != noise || logits.dtype != DType::F32 || logits.shape.is_empty() {
            return Err("takes f32 logits [.., n] and noise of the same shape".into());
        }
        Ok(vec![TensorType::u32(logits.shape.leading(1))])
    }

    fn vjp<'g>(&self, _call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        Ok(vec![None, None])
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let n = call.inputs[0].shape().last().copied().unwrap_or(1).max(1);
        let (logits, noise) = (call.inputs[0].f32(), call.inputs[1].f32());
        let parallel = call.parallel.above(logits.len(), THRESHOLD);
        let refused = AtomicUsize::new(usize::MAX);
        for_each_chunk_mut(parallel, call.outputs[0].u32(), 1, TASK.div_ceil(n), |range, out| {
            let own = range.start * n..range.end * n;
            let rows = logits[own.clone()].chunks_exact(n).zip(noise[own].chunks_exact(n));
            for ((i, (logits, noise)), out) in range.zip(rows).zip(out) {
                match draw(logits, noise) {
                    Some(class) => *out = class as u32,
                    None => {
                        refused.fetch_min(i, Ordering::Relaxed);
                    }
                }
            }
        });
        match refused.into_inner() {
            usize::MAX => Ok(()),
            row => Err(Error::Graph(format!(
                "categorical: row {row} has no distribution: its logits hold NaN, or are minus infinity throughout"
            ))),
        }
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let n = call.operands[0].shape.last().copied().unwrap_or(1);
        let rows = call.outputs[0].elements();
        let (entry, workgroups) = match n < LONG {
            true => ("short", call.groups(rows, 256)),
            false => ("long", call.groups(rows, 1)),
        };
        Ok(Launch {
            shader: SHADER.into(),
            entry,
            constants: Vec::new(),
            bindings: vec![Binding::Input(0), Binding::Input(1), Binding::Output(0)],
            parameters: vec![rows as u32, n as u32],
            workgroups,
        }
        .into())
    }

    fn cuts(&self, _operands: &[TensorType], outputs: &[TensorType]) -> Vec<Cut> {
        let lead = &outputs[0].shape;
        Cut::along(lead, &[lead, lead], 1)
    }

    fn operations(&self, operands: &[TensorType], _outputs: &[TensorType]) -> u64 {
        3 * operands[0].elements() as u64
    }
}

impl<'g> Tensor<'g> {
    /// Samples of the categorical distributions whose unnormalised log-probabilities are the rows of this tensor
    /// `[.., n]`: u32 `[..]`. A key `[lead.., 2]` needs logits whose first dimensions are `lead`. A row without a
    /// distribution (with NaN, or minus infinity alone) is an error of the run on the CPU and draws `u32::MAX` on a GPU.
    pub fn categorical(self, key: Tensor<'g>) -> Tensor<'g> {
        match self.drawn_by("categorical", key) {
            Some(shape) if !shape.is_empty() => {
                self.graph().apply_one(Categorical, &[self, key.random_gumbel(shape)])
            }
            Some(_) => self.refuse("categorical", "there are no dimensions but those of the key".into()),
            None => self,
        }
    }
}
