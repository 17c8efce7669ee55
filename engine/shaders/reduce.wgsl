// Reductions of [outer, reduced, inner]: every `piece` of the reduced elements becomes one, so that the output is
// [outer, ceil(reduced / piece), inner]. All are limited by memory: one read of four bytes an element. The order of
// every sum depends on the shape and the device alone. Joined with
// special.wgsl, and with group_tree.wgsl or group_subgroups.wgsl.

// 0: sum. 1: maximum. 2: minimum.
override KIND: u32 = 0u;

struct Pass {
    outer: u32,
    reduced: u32,
    inner: u32,
    piece: u32,
}
@group(0) @binding(0) var<storage, read> operand: array<f32>;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;
@group(0) @binding(2) var<uniform> job: Pass;
const GROUP = 256u;

fn fold(a: f32, b: f32) -> f32 {
    if (KIND == 0u) { return a + b; }
    // A NaN stays whichever of the two it is.
    if (is_nan(a)) { return a; }
    if (KIND == 1u) { return select(a, b, b > a || is_nan(b)); }
    return select(a, b, b < a || is_nan(b));
}

// One workgroup a piece of a row: strided sums of its invocations, then a tree.
@compute @workgroup_size(GROUP)
fn rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        own: Invocation) {
    let local = own.local;
    let pieces = (job.reduced + job.piece - 1u) / job.piece;
    let item = group.y * groups.x + group.x;
    let row = item / pieces;
    let first = item % pieces * job.piece;
    let inside = row < job.outer;
    let count = min(job.piece, job.reduced - first);
    // The first element of a row stands in for an identity: folding starts from a number that is there.
    var total = 0.0;
    if (inside && local < count) {
        let start = row * job.reduced + first;
        total = operand[start + local];
        for (var i = local + GROUP; i < count; i += GROUP) {
            total = fold(total, operand[start + i]);
        }
    }
    if (KIND == 0u) {
        total = sum_of_group(total, own);
        if (inside && local == 0u) { output[item] = total; }
        return;
    }
    partial[local] = total;
    for (var half = 128u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (local < half && local + half < count) {
            partial[local] = fold(partial[local], partial[local + half]);
        }
    }
    if (inside && local == 0u) { output[item] = partial[0]; }
}

// One invocation a row, for rows of at most 32 elements.
@compute @workgroup_size(GROUP)
fn short_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) local: u32) {
    let row = (group.y * groups.x + group.x) * GROUP + local;
    if (row >= job.outer) { return; }
    let start = row * job.reduced;
    var total = operand[start];
    for (var i = 1u; i < job.reduced; i++) {
        total = fold(total, operand[start + i]);
    }
    output[row] = total;
}

// One workgroup 32 columns of a piece: eight rows of invocations stride through it, then a tree.
@compute @workgroup_size(GROUP)
fn columns(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) local: u32) {
    let pieces = (job.reduced + job.piece - 1u) / job.piece;
    let bands = (job.inner + 31u) / 32u;
    let index = group.y * groups.x + group.x;
    let item = index / bands;
    let column = index % bands * 32u + local % 32u;
    let lane = local / 32u;
    let outer = item / pieces;
    let first = item % pieces * job.piece;
    let inside = outer < job.outer && column < job.inner;
    let count = min(job.piece, job.reduced - first);
    var total = 0.0;
    if (inside && lane < count) {
        let start = (outer * job.reduced + first) * job.inner + column;
        total = operand[start + lane * job.inner];
        for (var i = lane + 8u; i < count; i += 8u) {
            total = fold(total, operand[start + i * job.inner]);
        }
    }
    partial[local] = total;
    for (var half = 4u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (lane < half && lane + half < count) {
            partial[local] = fold(partial[local], partial[local + half * 32u]);
        }
    }
    if (inside && lane == 0u) { output[item * job.inner + column] = partial[local]; }
}
