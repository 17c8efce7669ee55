// One invocation an element: for very short sums, where tiles would be mostly empty. Per term and invocation 2 loads and
// one multiply-add. Limited by memory: the output is written once, the operands come from the cache after their first
// use. Joined with matmul.wgsl.
//
// own[1]: strides of the rows and terms of a, of the terms and columns of b.

@compute @workgroup_size(64)
fn thin(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let i = (group.y * groups.x + group.x) * 64u + local;
    if (i >= job.sizes.w) { return; }
    let column = i % job.sizes.y;
    let row = i / job.sizes.y % job.sizes.x;
    find_lane(i / (job.sizes.x * job.sizes.y));
    var at_a = lane_a + row * job.own[1].x;
    var at_b = lane_b + column * job.own[1].w;
    var sum = 0.0;
    for (var k = 0u; k < job.sizes.z; k++) {
        sum += a[at_a] * b[at_b];
        at_a += job.own[1].y;
        at_b += job.own[1].z;
    }
    output[i] = finish(sum, column);
}
