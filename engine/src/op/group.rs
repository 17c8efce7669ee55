//! Sums over the invocations of a workgroup, for kernels that give a row to each.

use std::borrow::Cow;

use crate::graph::GpuCall;

/// The longest rows that one subgroup computes.
const NARROW: usize = 128;
/// Invocations of a workgroup of kernels that give rows to workgroups or subgroups.
const GROUP: usize = 128;

/// As [`with_groups`] for a kernel with workgroups of 128 invocations that asks for its row by `row_of`: over `rows` rows of
/// `n` elements, with the workgroups that it needs. Where there are subgroups and rows are short, each has a row of its own.
pub(super) fn with_rows(
    call: &GpuCall<'_>,
    kernel: &str,
    rows: usize,
    n: usize,
) -> (Cow<'static, str>, [u32; 3]) {
    let size = call.limits.subgroup_size as usize;
    if !call.limits.subgroups || n > NARROW || !(1..=GROUP).contains(&size) {
        return (with_groups(call, kernel), call.groups(rows, 1));
    }
    // Where subgroups come out smaller, a workgroup has more of them, and the last workgroups have no rows.
    let shader = [include_str!("../../shaders/row_subgroup.wgsl"), kernel].concat();
    (shader.into(), call.groups(rows, GROUP / size))
}

/// A kernel behind `sum_of_group` and `largest_of_group`, as the device computes them best. The kernel says how many
/// invocations a workgroup has: `const GROUP = 128u;`.
pub(super) fn with_groups(call: &GpuCall<'_>, kernel: &str) -> Cow<'static, str> {
    let sums = match call.limits.subgroups {
        true => include_str!("../../shaders/group_subgroups.wgsl"),
        false => include_str!("../../shaders/group_tree.wgsl"),
    };
    [sums, kernel].concat().into()
}
