// Copies a value that starts where no binding may start to a buffer of its own. Limited by memory: each element is
// read once and written once.

struct Parameters {
    elements: u32,
    // Elements from the start of the binding to the start of the value.
    offset: u32,
}

@group(0) @binding(0) var<storage, read> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> target_: array<u32>;
@group(0) @binding(2) var<uniform> parameters: Parameters;

@compute @workgroup_size(256)
fn place(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) local: u32) {
    let i = (group.y * groups.x + group.x) * 256u + local;
    if (i >= parameters.elements) { return; }
    target_[i] = source[i + parameters.offset];
}
