//! How products are cut into the workgroups of `shaders/product.wgsl`; shared by matrices and convolutions.

use crate::error::Result;
use crate::graph::{Binding, GpuCall, GpuPlan, Launch, Op, Scalar};

/// Vectors of four integers that describe what the two matrices hold.
pub(crate) const OWN: usize = 8;
/// Dimensions of lanes that a launch takes.
pub(crate) const LANE_DIMENSIONS: usize = 4;
/// Sides of a tile.
const TILE: usize = 64;
/// Workgroups that fill a large device.
const MANY: usize = 256;
/// Terms of a split at least.
const SHORTEST: usize = 256;

/// A product `[lanes, m, k] x [lanes, k, n]` on a GPU.
pub(crate) struct Product {
    pub shader: &'static str,
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub lanes: usize,
    pub bias: bool,
    pub activation: Option<Scalar>,
    /// Overrides beyond those of the epilogue.
    pub constants: Vec<(&'static str, f64)>,
    pub own: [[u32; 4]; OWN],
}

impl Product {
    fn epilogue(&self) -> Vec<(&'static str, f64)> {
        let activation = match self.activation {
            Some(Scalar::Relu) => 1.0,
            Some(Scalar::Tanh) => 2.0,
            Some(Scalar::Sigmoid) => 3.0,
            Some(Scalar::Gelu) => 4.0,
            _ => 0.0,
        };
        vec![("BIAS", if self.bias { 1.0 } else { 0.0 }), ("ACTIVATION", activation)]
    }

    /// Operands, the bias (or a stand-in that is not read) and the output.
    fn bindings(&self, first: [Binding; 2], output: Binding) -> Vec<Binding> {
        vec![first[0], first[1], Binding::Input(if self.bias { 2 } else { 1 }), output]
    }

    fn parameters(&self, items: usize, tiles: [usize; 4]) -> Vec<u32> {
        let mut parameters = vec![self.m as u32, self.n as u32, self.k as u32, items as u32];
        parameters.extend(tiles.map(|t| t as u32));
        parameters.extend(self.own.concat());
        parameters
    }

    /// A launch of an entry that takes `items` invocations in groups of `size`, all terms at once.
    pub(crate) fn simple(&self, call: &GpuCall<'_>, entry: &'static str, size: usize) -> Launch {
        let items = self.lanes * self.m * self.n;
        Launch {
            shader: self.shader.into(),
            entry,
            constants: self.epilogue(),
            bindings: self.bindings([Binding::Input(0), Binding::Input(1)], Binding::Output(0)),
            parameters: self.parameters(items, [1, 1, 1, self.k]),
            workgroups: call.groups(items, size),
        }
    }

    /// Launches of the tiled kernel: where the tiles alone would not fill a device and sums are long, the terms are
    /// split, and the parts summed in order by a second launch.
    pub(crate) fn tiled(&self, op: &dyn Op, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let (down, across) = (self.m.div_ceil(TILE), self.n.div_ceil(TILE));
        let tiles = down * across * self.lanes;
        let splits = (MANY / tiles).clamp(1, (self.k / SHORTEST).max(1));
        let terms = self.k.div_ceil(splits).next_multiple_of(16);
        let splits = self.k.div_ceil(terms);
        let groups = call.groups(tiles * splits, 1);
        if groups[1] > call.limits.workgroups {
            let most = u64::from(call.limits.workgroups).pow(2);
            return Err(call.limit(op, "workgroups", (tiles * splits) as u64, most));
        }
        let mut constants = self.constants.clone();
        let operands = [Binding::Input(0), Binding::Input(1)];
        let whole = splits == 1;
        if whole {
            constants.extend(self.epilogue());
        }
        let output = if whole { Binding::Output(0) } else { Binding::Scratch(0) };
        let mut plan = GpuPlan::from(Launch {
            shader: self.shader.into(),
            entry: "tiled",
            constants,
            bindings: self.bindings(operands, output),
            parameters: self.parameters(tiles * splits, [down, across, splits, terms]),
            workgroups: groups,
        });
        if !whole {
            let items = self.lanes * self.m * self.n;
            plan.scratch.push(items * splits);
            plan.launches.push(Launch {
                shader: self.shader.into(),
                entry: "join",
                constants: self.epilogue(),
                bindings: self.bindings([Binding::ScratchRead(0), Binding::Input(1)], Binding::Output(0)),
                parameters: self.parameters(items, [down, across, splits, terms]),
                workgroups: call.groups(items, 256),
            });
        }
        Ok(plan)
    }
}
