// Products of strided matrices over lanes. Joined with elementwise.wgsl and product.wgsl.
//
// own[0]: strides of the rows and terms of a, of the terms and columns of b. own[1]: offsets of a, b and the output,
// dimensions of the lanes. own[2..6]: of each dimension, outermost first, the size and the strides of a and b.

var<private> row_0: u32;
var<private> column_0: u32;
var<private> lane_a: u32;
var<private> lane_b: u32;

fn find_lane(lane: u32) {
    var rest = lane;
    lane_a = job.own[1].x;
    lane_b = job.own[1].y;
    for (var d = job.own[1].w; d > 0u; d--) {
        let dimension = job.own[1u + d];
        let i = rest % dimension.x;
        rest /= dimension.x;
        lane_a += i * dimension.y;
        lane_b += i * dimension.z;
    }
}

fn prepare(lane: u32, row: u32, column: u32) {
    find_lane(lane);
    row_0 = row;
    column_0 = column;
}

fn load_rows(k: u32) -> vec4<f32> {
    let at = lane_a + row_0 * job.own[0].x + k * job.own[0].y;
    var x = vec4<f32>(0.0);
    for (var i = 0u; i < 4u; i++) {
        if (row_0 + i < job.sizes.x) { x[i] = a[at + i * job.own[0].x]; }
    }
    return x;
}

fn load_columns(k: u32) -> vec4<f32> {
    let at = lane_b + k * job.own[0].z + column_0 * job.own[0].w;
    var y = vec4<f32>(0.0);
    for (var i = 0u; i < 4u; i++) {
        if (column_0 + i < job.sizes.y) { y[i] = b[at + i * job.own[0].w]; }
    }
    return y;
}

// One invocation an element: for few rows or columns. Limited by memory (the longer side is read once, from the cache
// where it is read again).
@compute @workgroup_size(64)
fn thin(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let i = (group.y * groups.x + group.x) * 64u + local;
    if (i >= job.sizes.w) { return; }
    let column = i % job.sizes.y;
    let row = i / job.sizes.y % job.sizes.x;
    find_lane(i / (job.sizes.x * job.sizes.y));
    var at_a = lane_a + row * job.own[0].x;
    var at_b = lane_b + column * job.own[0].w;
    var sum = 0.0;
    for (var k = 0u; k < job.sizes.z; k++) {
        sum += a[at_a] * b[at_b];
        at_a += job.own[0].y;
        at_b += job.own[0].z;
    }
    output[job.own[1].z + i] = finish(sum, column);
}

var<workgroup> partial: array<f32, 64>;

// One workgroup an element: for few elements with many terms. Limited by memory.
@compute @workgroup_size(64)
fn long(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let i = group.y * groups.x + group.x;
    if (i >= job.sizes.w) { return; }
    let column = i % job.sizes.y;
    let row = i / job.sizes.y % job.sizes.x;
    find_lane(i / (job.sizes.x * job.sizes.y));
    let at_a = lane_a + row * job.own[0].x;
    let at_b = lane_b + column * job.own[0].w;
    var sum = 0.0;
    for (var k = local; k < job.sizes.z; k += 64u) {
        sum += a[at_a + k * job.own[0].y] * b[at_b + k * job.own[0].z];
    }
    partial[local] = sum;
    for (var half = 32u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (local < half) { partial[local] += partial[local + half]; }
    }
    if (local == 0u) { output[job.own[1].z + i] = finish(partial[0], column); }
}
