// Sums the parts of a product whose terms were split: `parts` holds `[lanes, splits, m, n]`. In order of the splits.
// Limited by memory. Joined with elementwise.wgsl and product.wgsl.

@group(0) @binding(0) var<storage, read> parts: array<f32>;

@compute @workgroup_size(256)
fn join(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let i = (group.y * groups.x + group.x) * 256u + local;
    let size = job.sizes.x * job.sizes.y;
    if (i >= job.sizes.w) { return; }
    let at = (i / size) * job.tiles.z * size + i % size;
    var sum = 0.0;
    for (var split = 0u; split < job.tiles.z; split++) { sum += parts[at + split * size]; }
    output[i] = finish(sum, i % job.sizes.y);
}
