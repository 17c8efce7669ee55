//! A memory of slots that many agents share: reading by attention, and an importance-gated write in which agents take
//! the least important slots one after another.
//!
//! What lives here: the ops and their shape rules. The kernels for processors live in `cpu`, how the shader is launched
//! in `gpu`, the plain form in `plain`.

mod cpu;
mod gpu;
mod plain;

use crate::error::{Error, Result};
use crate::graph::{CpuCall, GpuCall, GpuPlan, Op, Tensor, VjpCall};
use crate::shape::{DType, Shape, TensorType};

/// Names of the ops of this family.
pub const NAMES: &[&str] = &["memory_write", "memory_write_gradient"];

/// Many agents write to the slots of one memory, in the order of their index.
///
/// Operands: the memory `M` `[.., slots, features]`, the importance of its slots `r` `[.., slots]`, the agents' candidates
/// `x` `[.., agents, features]`, their gates `g` `[.., agents]` in 0..1 and the importance of what they write `c`
/// `[.., agents]`. Leading dimensions are broadcast. Outputs: `M'` and `r'` of all lanes, and the slots that were taken,
/// u32 `[.., agents]` (the number of slots where an agent took none).
///
/// For each agent `i` in turn, where `g_i > threshold`, with `j` the first of the least important slots at that moment:
///
/// ```text
/// M_j <- (1 - g_i) M_j + g_i x_i
/// r_j <- (1 - g_i) r_j + g_i c_i
/// ```
///
/// Which slot is taken, and whether one is, counts as constant in the gradient; the blending is differentiated with
/// respect to the memory, the importances, the candidates, the gates and the candidates' importances.
#[derive(Debug, Clone)]
pub struct MemoryWrite {
    /// Gates must be over this to write.
    pub threshold: f32,
}

/// The gradients of [`MemoryWrite`] with respect to its five operands, all with the full leading dimensions, from the
/// operands, the slots that were taken, and the cotangents of `M'` and `r'`.
///
/// Going back through the agents, with `D` and `e` the cotangents of `M'` and `r'` at first, and `M_j`, `r_j` the slot as
/// agent `i` found it:
///
/// ```text
/// dx_i = g_i D_j      dc_i = g_i e_j      dg_i = D_j . (x_i - M_j) + e_j (c_i - r_j)
/// D_j <- (1 - g_i) D_j      e_j <- (1 - g_i) e_j
/// ```
#[derive(Debug, Clone)]
pub struct MemoryWriteGradient;

/// Sizes, and where each lane of an operand starts.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub slots: usize,
    pub features: usize,
    pub agents: usize,
    pub lanes: Shape,
    /// Strides of the lanes of the five operands, in elements.
    pub strides: [Vec<usize>; 5],
}

/// How many dimensions of each operand are not lanes.
const OWN: [usize; 5] = [2, 1, 2, 1, 1];

impl Plan {
    fn new(operands: &[TensorType]) -> Result<Plan, String> {
        if operands[..5].iter().any(|t| t.dtype != DType::F32) {
            return Err("takes f32 operands".into());
        }
        for (t, own) in operands.iter().zip(OWN) {
            if t.shape.len() < own {
                return Err("takes a memory [.., slots, features], importances [.., slots], candidates \
                            [.., agents, features], gates and their importances [.., agents]"
                    .into());
            }
        }
        let (memory, candidates) = (&operands[0].shape, &operands[2].shape);
        let last = |shape: &Shape, i: usize| shape[shape.len() - i];
        let (slots, features, agents) = (last(memory, 2), last(memory, 1), last(candidates, 2));
        if last(&operands[1].shape, 1) != slots {
            return Err(format!("there are {slots} slots and {} importances", last(&operands[1].shape, 1)));
        }
        if last(candidates, 1) != features {
            return Err(format!("slots have {features} features and candidates {}", last(candidates, 1)));
        }
        if last(&operands[3].shape, 1) != agents || last(&operands[4].shape, 1) != agents {
            return Err(format!("there must be a gate and an importance for each of the {agents} agents"));
        }
        let mut lanes = Shape::default();
        for (t, own) in operands.iter().zip(OWN) {
            let lead = Shape::from(t.shape.leading(own));
            lanes = lanes.broadcast(&lead).ok_or("the leading dimensions do not broadcast")?;
        }
        let mut strides: [Vec<usize>; 5] = Default::default();
        for ((t, own), strides) in operands.iter().zip(OWN).zip(&mut strides) {
            let size: usize = t.shape[t.shape.len() - own..].iter().product();
            let lead = Shape::from(t.shape.leading(own));
            let found = lead.broadcast_strides(&lanes).ok_or("the leading dimensions do not broadcast")?;
            *strides = found.into_iter().map(|s| s * size).collect();
        }
        Ok(Plan { slots, features, agents, lanes, strides })
    }

    /// Types of the five operands with the full leading dimensions.
    fn full(&self) -> [Shape; 5] {
        let with = |last: &[usize]| Shape::from([&self.lanes[..], last].concat());
        let (slots, agents) = (with(&[self.slots]), with(&[self.agents]));
        let (memory, candidates) = (with(&[self.slots, self.features]), with(&[self.agents, self.features]));
        [memory, slots, candidates, agents.clone(), agents]
    }
}

impl Op for MemoryWrite {
    fn name(&self) -> &'static str {
        "memory_write"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        if operands.len() != 5 {
            return Err("takes 5 operands".into());
        }
        let [memory, importance, _, gates, _] = Plan::new(operands)?.full();
        Ok(vec![TensorType::f32(memory), TensorType::f32(importance), TensorType::u32(gates)])
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let mut operands = call.operands.to_vec();
        operands.extend([call.outputs[2], call.cotangent(0), call.cotangent(1)]);
        let gradients = call.outputs[0].graph().apply(MemoryWriteGradient, &operands);
        Ok(gradients.iter().zip(call.operands).map(|(d, of)| Some(d.sum_to(of.shape()))).collect())
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let types: Vec<TensorType> = call.inputs.iter().map(|i| i.of.clone()).collect();
        let plan = Plan::new(&types).map_err(Error::Graph)?;
        let inputs = [0, 1, 2, 3, 4].map(|i| call.inputs[i].f32());
        let [memory, importance, taken] = call.outputs else {
            return Err(Error::Graph("memory_write: three outputs are needed".into()));
        };
        let threshold = self.threshold;
        cpu::write(&plan, threshold, inputs, memory.f32(), importance.f32(), taken.u32(), call.parallel);
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        gpu::write(self, &Plan::new(call.operands).map_err(Error::Graph)?, call)
    }

    fn operations(&self, operands: &[TensorType], _outputs: &[TensorType]) -> u64 {
        operations(operands, 3)
    }
}

fn operations(operands: &[TensorType], each: usize) -> u64 {
    Plan::new(&operands[..5])
        .map_or(0, |p| (p.lanes.elements() * p.agents * (each * p.features + p.slots)) as u64)
}

impl Op for MemoryWriteGradient {
    fn name(&self) -> &'static str {
        "memory_write_gradient"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        if operands.len() != 8 {
            return Err("takes 8 operands".into());
        }
        let full = Plan::new(&operands[..5])?.full();
        let taken = operands[5] == TensorType::u32(&full[3]);
        if !taken || operands[6] != TensorType::f32(&full[0]) || operands[7] != TensorType::f32(&full[1]) {
            return Err("the slots and the cotangents do not have the shapes of the outputs".into());
        }
        Ok(full.map(TensorType::f32).to_vec())
    }

    fn decompose<'g>(&self, operands: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let types: Vec<TensorType> = operands.iter().map(|t| t.tensor_type()).collect();
        let plan = Plan::new(&types[..5]).ok()?;
        Some(plain::gradient(&plan, operands))
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let types: Vec<TensorType> = call.inputs[..5].iter().map(|i| i.of.clone()).collect();
        let plan = Plan::new(&types).map_err(Error::Graph)?;
        let taken = call.inputs[5].u32();
        if let Some(slot) = taken.iter().find(|&&slot| slot as usize > plan.slots) {
            let message = format!("memory_write_gradient: slot {slot} of {} slots", plan.slots);
            return Err(Error::Graph(message));
        }
        let inputs = [0, 1, 2, 3, 4].map(|i| call.inputs[i].f32());
        let cotangents = [call.inputs[6].f32(), call.inputs[7].f32()];
        let [memory, importance, candidates, gates, importances] = call.outputs else {
            return Err(Error::Graph("memory_write_gradient: five outputs are needed".into()));
        };
        let outputs = [memory.f32(), importance.f32(), candidates.f32(), gates.f32(), importances.f32()];
        cpu::gradient(&plan, inputs, taken, cotangents, outputs, call.parallel);
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        gpu::gradient(self, &Plan::new(&call.operands[..5]).map_err(Error::Graph)?, call)
    }

    fn operations(&self, operands: &[TensorType], _outputs: &[TensorType]) -> u64 {
        operations(operands, 9)
    }
}

impl<'g> Tensor<'g> {
    /// Reads a shared memory: attention of these queries, one an agent, `[.., agents, heads * dim]`, over the slots
    /// `[.., slots, heads * dim]`, which are keys and values both. `valid` `[.., slots]` is 1 where a slot may be read;
    /// an agent that finds no valid slot reads zeros. Gives `[.., agents, heads * dim]`.
    ///
    /// This is [`Tensor::attention`] over slots (Sagirova et al. 2025, *SRMT*, read their memory so).
    pub fn memory_read(self, slots: Tensor<'g>, heads: usize, valid: Option<Tensor<'g>>) -> Tensor<'g> {
        let mask = valid.map(|valid| {
            let mut shape = valid.shape().to_vec();
            shape.insert(shape.len().saturating_sub(1), 1);
            valid.reshape(shape)
        });
        self.attention(slots, slots, heads, mask, false)
    }

    /// Agents write to this memory `[.., slots, features]` one after another, as [`MemoryWrite`] states it, after all
    /// importances `[.., slots]` were multiplied by `decay` (once a call, whatever is written). `candidates` are
    /// `[.., agents, features]`; `gates`, in 0..1 and effective above `threshold`, and `candidate_importance` are
    /// `[.., agents]`. Gives the new memory, the new importances, and the slots that were taken.
    pub fn memory_write(
        self,
        importance: Tensor<'g>,
        candidates: Tensor<'g>,
        gates: Tensor<'g>,
        candidate_importance: Tensor<'g>,
        decay: f32,
        threshold: f32,
    ) -> [Tensor<'g>; 3] {
        let operands = [self, importance * decay, candidates, gates, candidate_importance];
        let outputs = self.graph().apply(MemoryWrite { threshold }, &operands);
        [outputs[0], outputs[1], outputs[2]]
    }
}
