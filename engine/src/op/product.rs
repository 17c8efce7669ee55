//! How products are cut into workgroups; shared by matrices and convolutions.

use std::borrow::Cow;

use crate::error::Result;
use crate::graph::{Binding, GpuCall, GpuPlan, Launch, Op, Scalar};

/// WGSL that sums the parts of a product whose terms were split.
const JOIN: &str = concat!(
    include_str!("../../shaders/special.wgsl"),
    include_str!("../../shaders/elementwise.wgsl"),
    include_str!("../../shaders/product.wgsl"),
    include_str!("../../shaders/product_join.wgsl"),
);
/// Vectors of four integers that describe what the two matrices hold.
pub(crate) const OWN: usize = 8;
/// Dimensions of lanes that a launch takes.
pub(crate) const LANE_DIMENSIONS: usize = 4;
/// Workgroups that fill a large device.
const MANY: usize = 256;
/// Terms of a split at least.
const SHORTEST: usize = 256;

/// What a workgroup computes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tile {
    /// Rows and columns of the output.
    pub sides: [usize; 2],
    /// What the terms of a split are a multiple of.
    pub step: usize,
    /// Lanes that a workgroup takes at once.
    pub lanes: usize,
}

impl Tile {
    /// Tiles down, tiles across, and groups of lanes.
    pub(crate) fn count(&self, m: usize, n: usize, lanes: usize) -> [usize; 3] {
        [m.div_ceil(self.sides[0]), n.div_ceil(self.sides[1]), lanes.div_ceil(self.lanes)]
    }
}

/// Into how many parts `k` terms are cut where there are `tiles` workgroups without that: as many as fill a device, as
/// long as the parts are long enough to be worth the second launch. A function of sizes only, so that sums keep their
/// order.
pub(crate) fn splits(tiles: usize, k: usize) -> usize {
    (MANY / tiles.max(1)).clamp(1, (k / SHORTEST).max(1))
}

/// A product `[lanes, m, k] x [lanes, k, n]` on a GPU.
pub(crate) struct Product {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub lanes: usize,
    pub bias: bool,
    pub activation: Option<Scalar>,
    /// Operands of the launch that are bound first and second.
    pub operands: [usize; 2],
    pub own: [[u32; 4]; OWN],
}

/// The overrides of `shaders/product.wgsl`.
fn epilogue(bias: bool, activation: Option<Scalar>) -> Vec<(&'static str, f64)> {
    let activation = match activation {
        Some(Scalar::Relu) => 1.0,
        Some(Scalar::Tanh) => 2.0,
        Some(Scalar::Sigmoid) => 3.0,
        Some(Scalar::Gelu) => 4.0,
        _ => 0.0,
    };
    vec![("BIAS", if bias { 1.0 } else { 0.0 }), ("ACTIVATION", activation)]
}

impl Product {
    fn epilogue(&self) -> Vec<(&'static str, f64)> {
        epilogue(self.bias, self.activation)
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

    /// A launch of an entry that takes an invocation an element in groups of `size`, all terms at once.
    pub(crate) fn simple(
        &self,
        call: &GpuCall<'_>,
        shader: Cow<'static, str>,
        entry: &'static str,
        size: usize,
    ) -> Launch {
        let items = self.lanes * self.m * self.n;
        Launch {
            shader,
            entry,
            constants: self.epilogue(),
            bindings: self.bindings(self.operands.map(Binding::Input), Binding::Output(0)),
            parameters: self.parameters(items, [1, 1, 1, self.k]),
            workgroups: call.groups(items, size),
        }
    }

    /// Launches of a kernel that takes a tile a workgroup: where the tiles alone would not fill a device and sums are
    /// long, the terms are split, and the parts summed in order by a second launch.
    pub(crate) fn tiled(
        &self,
        op: &dyn Op,
        call: &GpuCall<'_>,
        (shader, entry): (Cow<'static, str>, &'static str),
        mut constants: Vec<(&'static str, f64)>,
        tile: Tile,
    ) -> Result<GpuPlan> {
        let [down, across, deep] = tile.count(self.m, self.n, self.lanes);
        let tiles = down * across * deep;
        let terms = self.k.div_ceil(splits(tiles, self.k)).next_multiple_of(tile.step);
        let splits = self.k.div_ceil(terms);
        let groups = call.groups(tiles * splits, 1);
        if groups[1] > call.limits.workgroups {
            let most = u64::from(call.limits.workgroups).pow(2);
            return Err(call.limit(op, "workgroups", (tiles * splits) as u64, most));
        }
        let whole = splits == 1;
        // The same pipeline for parts as for whole products without an epilogue.
        constants.extend(if whole { self.epilogue() } else { epilogue(false, None) });
        let output = if whole { Binding::Output(0) } else { Binding::Scratch(0) };
        let mut plan = GpuPlan::from(Launch {
            shader,
            entry,
            constants,
            bindings: self.bindings(self.operands.map(Binding::Input), output),
            parameters: self.parameters(tiles * splits, [down, across, splits, terms]),
            workgroups: groups,
        });
        if !whole {
            let items = self.lanes * self.m * self.n;
            plan.scratch.push(items * splits);
            plan.launches.push(Launch {
                shader: JOIN.into(),
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
