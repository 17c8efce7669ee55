//! Sums over the invocations of a workgroup, for kernels that give a row to each.

use std::borrow::Cow;

use crate::graph::GpuCall;

/// A kernel behind `sum_of_group` and `largest_of_group`, as the device computes them best. The kernel says how many
/// invocations a workgroup has: `const GROUP = 128u;`.
pub(super) fn with_groups(call: &GpuCall<'_>, kernel: &str) -> Cow<'static, str> {
    let sums = match call.limits.subgroups {
        true => include_str!("../../shaders/group_subgroups.wgsl"),
        false => include_str!("../../shaders/group_tree.wgsl"),
    };
    [sums, kernel].concat().into()
}
