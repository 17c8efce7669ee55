// Softmax and log-softmax over rows of `n`, and their gradients. Limited by memory: a row is read three times, of
// which the caches serve all but the first, and written once. Joined with group_tree.wgsl, group_subgroups.wgsl or row_subgroup.wgsl.

// 1 for the logarithm.
override LOG: u32 = 0u;

struct Rows {
    rows: u32,
    n: u32,
}
@group(0) @binding(0) var<storage, read> operand: array<f32>;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;
@group(0) @binding(2) var<uniform> job: Rows;

// The gradient's operands are the output y and the gradient c.
@group(0) @binding(1) var<storage, read> cotangent: array<f32>;
@group(0) @binding(2) var<storage, read_write> gradient: array<f32>;
@group(0) @binding(3) var<uniform> gradient_job: Rows;

const GROUP = 128u;

// One invocation a row.
@compute @workgroup_size(GROUP)
fn short(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) local: u32) {
    let row = (group.y * groups.x + group.x) * GROUP + local;
    if (row >= job.rows) { return; }
    let start = row * job.n;
    var largest = operand[start];
    for (var i = 1u; i < job.n; i++) { largest = max(largest, operand[start + i]); }
    var sum = 0.0;
    for (var i = 0u; i < job.n; i++) { sum += exp(operand[start + i] - largest); }
    // Added to a large element, the logarithm would be rounded away.
    let shift = log(sum);
    for (var i = 0u; i < job.n; i++) {
        let x = operand[start + i];
        if (LOG == 1u) { output[start + i] = (x - largest) - shift; } else { output[start + i] = exp(x - largest) / sum; }
    }
}

// One workgroup a row, or one subgroup.
@compute @workgroup_size(GROUP)
fn long(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        own: Invocation) {
    let local = place(own);
    let row = row_of(group, groups, own);
    let inside = row < job.rows;
    let start = select(0u, row * job.n, inside);
    // Every invocation starts from an element that is there, whether it has one of its own or not.
    var largest = operand[start];
    for (var i = local; i < job.n; i += places(own)) { largest = max(largest, operand[start + i]); }
    largest = largest_of_group(largest, own);
    var sum = 0.0;
    for (var i = local; i < job.n; i += places(own)) { sum += exp(operand[start + i] - largest); }
    sum = sum_of_group(sum, own);
    if (!inside) { return; }
    let shift = log(sum);
    for (var i = local; i < job.n; i += places(own)) {
        let x = operand[start + i];
        if (LOG == 1u) { output[start + i] = (x - largest) - shift; } else { output[start + i] = exp(x - largest) / sum; }
    }
}

fn term(y: f32, c: f32) -> f32 {
    return select(c * y, c, LOG == 1u);
}

fn derivative(y: f32, c: f32, sum: f32) -> f32 {
    if (LOG == 1u) { return c - exp(y) * sum; }
    return y * (c - sum);
}

@compute @workgroup_size(GROUP)
fn short_gradient(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                  @builtin(local_invocation_index) local: u32) {
    let row = (group.y * groups.x + group.x) * GROUP + local;
    if (row >= gradient_job.rows) { return; }
    let start = row * gradient_job.n;
    var sum = 0.0;
    for (var i = start; i < start + gradient_job.n; i++) { sum += term(operand[i], cotangent[i]); }
    for (var i = start; i < start + gradient_job.n; i++) {
        gradient[i] = derivative(operand[i], cotangent[i], sum);
    }
}

@compute @workgroup_size(GROUP)
fn long_gradient(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                 own: Invocation) {
    let local = place(own);
    let row = row_of(group, groups, own);
    let inside = row < gradient_job.rows;
    let start = select(0u, row * gradient_job.n, inside);
    let end = start + gradient_job.n;
    var sum = 0.0;
    for (var i = start + local; i < end; i += places(own)) { sum += term(operand[i], cotangent[i]); }
    sum = sum_of_group(sum, own);
    if (!inside) { return; }
    for (var i = start + local; i < end; i += places(own)) {
        gradient[i] = derivative(operand[i], cotangent[i], sum);
    }
}
