// Layer normalisation over rows of `n`, one workgroup a row or one subgroup. Limited by memory: the row is read three times, of which
// the caches serve all but the first. Joined with group_tree.wgsl, group_subgroups.wgsl or
// row_subgroup.wgsl.

struct Rows {
    rows: u32,
    rows_a_group: u32,
    n: u32,
    epsilon: f32,
}
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> scale: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> row_mean: array<f32>;
@group(0) @binding(5) var<storage, read_write> row_deviation: array<f32>;
@group(0) @binding(6) var<uniform> job: Rows;

const GROUP = 128u;

@compute @workgroup_size(GROUP)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           own: Invocation) {
    let local = place(own);
    let row = row_of(group, groups, own);
    let inside = row < job.rows;
    let start = select(0u, row * job.n, inside);
    var sum = 0.0;
    for (var i = local; i < job.n; i += places(own)) { sum += x[start + i]; }
    let mean = sum_of_group(sum, own) / f32(job.n);
    var left = 0.0;
    var squares = 0.0;
    for (var i = local; i < job.n; i += places(own)) {
        let d = x[start + i] - mean;
        left += d;
        squares += d * d;
    }
    // A mean that is large next to the deviation is off by so much that it shows.
    let rest = sum_of_group(left, own) / f32(job.n);
    let mean_square = sum_of_group(squares, own) / f32(job.n);
    let variance = select(mean_square - rest * rest, 0.0, mean_square < rest * rest);
    let deviation = 1.0 / sqrt(variance + job.epsilon);
    if (!inside) { return; }
    let weights = row / job.rows_a_group * job.n;
    for (var i = local; i < job.n; i += places(own)) {
        y[start + i] = ((x[start + i] - mean) - rest) * deviation * scale[weights + i] + bias[weights + i];
    }
    if (local == 0u) {
        row_mean[row] = mean + rest;
        row_deviation[row] = deviation;
    }
}

@group(0) @binding(2) var<storage, read> mean_in: array<f32>;
@group(0) @binding(3) var<storage, read> deviation_in: array<f32>;
@group(0) @binding(4) var<storage, read> cotangent: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(GROUP)
fn backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
            own: Invocation) {
    let local = place(own);
    let row = row_of(group, groups, own);
    let inside = row < job.rows;
    let here = select(0u, row, inside);
    let start = here * job.n;
    let weights = here / job.rows_a_group * job.n;
    let mean = mean_in[here];
    let deviation = deviation_in[here];
    var sum = 0.0;
    var product = 0.0;
    for (var i = local; i < job.n; i += places(own)) {
        let g = cotangent[start + i] * scale[weights + i];
        sum += g;
        product += g * (x[start + i] - mean) * deviation;
    }
    sum = sum_of_group(sum, own) / f32(job.n);
    product = sum_of_group(product, own) / f32(job.n);
    if (!inside) { return; }
    for (var i = local; i < job.n; i += places(own)) {
        let normal = (x[start + i] - mean) * deviation;
        dx[start + i] = deviation * (cotangent[start + i] * scale[weights + i] - sum - normal * product);
    }
}

struct Groups {
    groups: u32,
    rows: u32,
    n: u32,
    piece: u32,
}
@group(0) @binding(1) var<storage, read> mean_of: array<f32>;
@group(0) @binding(2) var<storage, read> deviation_of: array<f32>;
@group(0) @binding(3) var<storage, read> cotangent_of: array<f32>;
@group(0) @binding(4) var<storage, read_write> dscale: array<f32>;
@group(0) @binding(5) var<storage, read_write> dbias: array<f32>;
@group(0) @binding(6) var<uniform> sums: Groups;
var<workgroup> scale_sums: array<f32, 256>;
var<workgroup> bias_sums: array<f32, 256>;

// The gradients of scale and bias: a workgroup adds 32 columns of a piece of the rows, by eight rows of invocations.
@compute @workgroup_size(256)
fn weights(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) local: u32) {
    let bands = (sums.n + 31u) / 32u;
    let pieces = (sums.rows + sums.piece - 1u) / sums.piece;
    let index = group.y * groups.x + group.x;
    let item = index / bands;
    let column = index % bands * 32u + local % 32u;
    let lane = local / 32u;
    let first = item % pieces * sums.piece;
    let base = item / pieces * sums.rows;
    let inside = item / pieces < sums.groups && column < sums.n;
    var a = 0.0;
    var b = 0.0;
    if (inside) {
        let end = min(first + sums.piece, sums.rows);
        for (var r = first + lane; r < end; r += 8u) {
            let row = base + r;
            let c = cotangent_of[row * sums.n + column];
            a += c * (x[row * sums.n + column] - mean_of[row]) * deviation_of[row];
            b += c;
        }
    }
    scale_sums[local] = a;
    bias_sums[local] = b;
    for (var half = 4u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (lane < half) {
            scale_sums[local] += scale_sums[local + half * 32u];
            bias_sums[local] += bias_sums[local + half * 32u];
        }
    }
    if (inside && lane == 0u) {
        dscale[item * sums.n + column] = scale_sums[local];
        dbias[item * sums.n + column] = bias_sums[local];
    }
}
