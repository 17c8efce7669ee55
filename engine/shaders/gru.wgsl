// Steps of a GRU layer. A workgroup computes 16 rows of the batch by 16 hidden units: the product with the weights of the
// state runs over tiles in workgroup memory, then each invocation finishes its gates in registers. Limit: operations for
// large batches, 6 h each row and unit; for small ones the dispatch and the reading of the weights.
//
// The input products of all steps are made before, and those of the gradients of weights after, by `matmul`.

const TILE: u32 = 16u;
// Between the rows of a tile that invocations read each a row of: one more, so that they fall into different banks.
const PITCH: u32 = 17u;

struct Parameters {
    time: u32, batch: u32, hidden: u32, lanes: u32,
    // flags: 1 resets.
    step: u32, flags: u32, unused0: u32, unused1: u32,
    maps: array<vec4<u32>, 3>,
}

fn tanh_(x: f32) -> f32 {
    let e = exp(-2.0 * abs(x));
    // Near 0 the quotient loses digits, and a series has them.
    let s = x * x;
    let series = x * (1.0 - s * (0.33333334 - s * (0.13333334 - s * (0.05396825 - s * 0.02186949))));
    return select(sign(x) * (1.0 - e) / (1.0 + e), series, abs(x) < 0.3);
}

fn sigmoid_(x: f32) -> f32 {
    let e = exp(-abs(x));
    return select(1.0, e, x < 0.0) / (1.0 + e);
}

fn part(maps: array<vec4<u32>, 3>, map: u32, lane: u32) -> u32 {
    var all = maps;
    let pairs = all[map / 2u];
    let pair = select(pairs.xy, pairs.zw, map % 2u == 1u);
    return lane / pair.x % pair.y;
}

var<workgroup> left: array<f32, 256>;
var<workgroup> right: array<f32, 768>;

// A reset forgets even what is not finite.
fn scaled(kept: f32, value: f32) -> f32 {
    return select(kept * value, 0.0, kept == 0.0);
}

@group(0) @binding(0) var<storage, read> w_h: array<f32>;
@group(0) @binding(1) var<storage, read> bias_x: array<f32>;
@group(0) @binding(2) var<storage, read> bias_h: array<f32>;
@group(0) @binding(3) var<storage, read> h0: array<f32>;
@group(0) @binding(4) var<storage, read> resets: array<f32>;
@group(0) @binding(5) var<storage, read> products: array<f32>;
@group(0) @binding(6) var<storage, read_write> hidden: array<f32>;
@group(0) @binding(7) var<storage, read_write> gates: array<f32>;
@group(0) @binding(8) var<uniform> u: Parameters;

// maps: w_h, bias_x, bias_h, h0, resets. products are those of the inputs.
@compute @workgroup_size(16, 16)
fn gru_step(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let lane = group.z;
    let row = group.y * TILE + local.y;
    let unit = group.x * TILE + local.x;
    let width = 3u * u.hidden;
    let w = part(u.maps, 0u, lane) * u.hidden * width;
    let before = ((lane * u.time + u.step) * u.batch - u.batch + row) * u.hidden;
    let first = (part(u.maps, 3u, lane) * u.batch + row) * u.hidden;
    var kept = 1.0;
    if ((u.flags & 1u) != 0u && row < u.batch) {
        kept = 1.0 - resets[(part(u.maps, 4u, lane) * u.time + u.step) * u.batch + row];
    }
    var sum = vec3<f32>(0.0);
    for (var k = 0u; k < u.hidden; k += TILE) {
        var value = 0.0;
        if (row < u.batch && k + local.x < u.hidden) {
            if (u.step == 0u) { value = h0[first + k + local.x]; } else { value = hidden[before + k + local.x]; }
        }
        left[local.y * TILE + local.x] = scaled(kept, value);
        for (var gate = 0u; gate < 3u; gate++) {
            var weight = 0.0;
            if (k + local.y < u.hidden && unit < u.hidden) {
                weight = w_h[w + (k + local.y) * width + gate * u.hidden + unit];
            }
            right[(local.y * TILE + local.x) * 3u + gate] = weight;
        }
        workgroupBarrier();
        for (var i = 0u; i < TILE; i++) {
            let at = (i * TILE + local.x) * 3u;
            sum += left[local.y * TILE + i] * vec3(right[at], right[at + 1u], right[at + 2u]);
        }
        workgroupBarrier();
    }
    if (row >= u.batch || unit >= u.hidden) { return; }
    let at = (lane * u.time + u.step) * u.batch + row;
    let x = at * width + unit;
    let bx = part(u.maps, 1u, lane) * width + unit;
    let bh = part(u.maps, 2u, lane) * width + unit;
    let r = sigmoid_(products[x] + bias_x[bx] + sum.x + bias_h[bh]);
    let z = sigmoid_(products[x + u.hidden] + bias_x[bx + u.hidden] + sum.y + bias_h[bh + u.hidden]);
    let q = sum.z + bias_h[bh + 2u * u.hidden];
    let n = tanh_(products[x + 2u * u.hidden] + bias_x[bx + 2u * u.hidden] + r * q);
    var h = 0.0;
    if (u.step == 0u) { h = h0[first + unit]; } else { h = hidden[before + unit]; }
    h = scaled(kept, h);
    let g = at * 4u * u.hidden + unit;
    gates[g] = r;
    gates[g + u.hidden] = z;
    gates[g + 2u * u.hidden] = n;
    gates[g + 3u * u.hidden] = q;
    hidden[at * u.hidden + unit] = z * (h - n) + n;
}

// h0, resets, hidden -> states before every step, after its reset. maps: h0, resets.
@group(0) @binding(0) var<storage, read> p_h0: array<f32>;
@group(0) @binding(1) var<storage, read> p_resets: array<f32>;
@group(0) @binding(2) var<storage, read> p_hidden: array<f32>;
@group(0) @binding(3) var<storage, read_write> p_before: array<f32>;
@group(0) @binding(4) var<uniform> p: Parameters;

@compute @workgroup_size(256)
fn gru_before(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) local: u32) {
    let i = (group.y * groups.x + group.x) * 256u + local;
    let one = p.batch * p.hidden;
    if (i >= p.lanes * p.time * one) { return; }
    let step = i / one % p.time;
    let lane = i / one / p.time;
    let row = i / p.hidden % p.batch;
    var kept = 1.0;
    if ((p.flags & 1u) != 0u) {
        kept = 1.0 - p_resets[(part(p.maps, 1u, lane) * p.time + step) * p.batch + row];
    }
    if (step == 0u) {
        p_before[i] = scaled(kept, p_h0[part(p.maps, 0u, lane) * one + i % one]);
    } else {
        p_before[i] = scaled(kept, p_hidden[i - one]);
    }
}

// w_h, cotangent, resets, states before, gates -> gradients of the sums of x and of the sums of h, and what goes to the
// step before past the products. maps: w_h, resets.
@group(0) @binding(0) var<storage, read> b_w_h: array<f32>;
@group(0) @binding(1) var<storage, read> b_dh: array<f32>;
@group(0) @binding(2) var<storage, read> b_resets: array<f32>;
@group(0) @binding(3) var<storage, read> b_before: array<f32>;
@group(0) @binding(4) var<storage, read> b_gates: array<f32>;
@group(0) @binding(5) var<storage, read_write> b_dx: array<f32>;
@group(0) @binding(6) var<storage, read_write> b_dq: array<f32>;
@group(0) @binding(7) var<storage, read_write> b_carry: array<f32>;
@group(0) @binding(8) var<uniform> b: Parameters;

@compute @workgroup_size(16, 16)
fn gru_step_back(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let lane = group.z;
    let row = group.y * TILE + local.y;
    let unit = group.x * TILE + local.x;
    let last = b.step == b.time - 1u;
    let width = 3u * b.hidden;
    var sum = 0.0;
    if (!last) {
        let after = ((lane * b.time + b.step + 1u) * b.batch + row) * width;
        let w = (part(b.maps, 0u, lane) * b.hidden + group.x * TILE + local.y) * width;
        for (var k = 0u; k < width; k += TILE) {
            var value = 0.0;
            if (row < b.batch && k + local.x < width) { value = b_dq[after + k + local.x]; }
            left[local.y * TILE + local.x] = value;
            var weight = 0.0;
            if (group.x * TILE + local.y < b.hidden && k + local.x < width) { weight = b_w_h[w + k + local.x]; }
            right[local.y * PITCH + local.x] = weight;
            workgroupBarrier();
            for (var i = 0u; i < TILE; i++) { sum += left[local.y * TILE + i] * right[local.x * PITCH + i]; }
            workgroupBarrier();
        }
    }
    if (row >= b.batch || unit >= b.hidden) { return; }
    let at = ((lane * b.time + b.step) * b.batch + row) * b.hidden + unit;
    let at_gates = ((lane * b.time + b.step) * b.batch + row) * 4u * b.hidden + unit;
    let r = b_gates[at_gates];
    let z = b_gates[at_gates + b.hidden];
    let n = b_gates[at_gates + 2u * b.hidden];
    let q = b_gates[at_gates + 3u * b.hidden];
    let carry = (lane * b.batch + row) * b.hidden + unit;
    var dh = b_dh[at];
    if (!last) {
        var kept = 1.0;
        if ((b.flags & 1u) != 0u) {
            kept = 1.0 - b_resets[(part(b.maps, 1u, lane) * b.time + b.step + 1u) * b.batch + row];
        }
        dh += scaled(kept, sum + b_carry[carry]);
    }
    let dn = dh * (1.0 - z) * (1.0 - n * n);
    let dz = dh * (b_before[at] - n) * z * (1.0 - z);
    let dr = dn * q * r * (1.0 - r);
    let out = ((lane * b.time + b.step) * b.batch + row) * width + unit;
    b_dx[out] = dr;
    b_dx[out + b.hidden] = dz;
    b_dx[out + 2u * b.hidden] = dn;
    b_dq[out] = dr;
    b_dq[out + b.hidden] = dz;
    b_dq[out + 2u * b.hidden] = dn * r;
    b_carry[carry] = dh * z;
}

// w_h, resets, gradients of the sums of h -> the gradient of the first state, on top of what went past the products.
// maps: w_h, resets.
@group(0) @binding(0) var<storage, read> f_w_h: array<f32>;
@group(0) @binding(1) var<storage, read> f_resets: array<f32>;
@group(0) @binding(2) var<storage, read> f_dq: array<f32>;
@group(0) @binding(3) var<storage, read_write> f_dh0: array<f32>;
@group(0) @binding(4) var<uniform> f: Parameters;

@compute @workgroup_size(16, 16)
fn gru_first_back(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let lane = group.z;
    let row = group.y * TILE + local.y;
    let unit = group.x * TILE + local.x;
    let width = 3u * f.hidden;
    let first = (lane * f.time * f.batch + row) * width;
    let w = (part(f.maps, 0u, lane) * f.hidden + group.x * TILE + local.y) * width;
    var sum = 0.0;
    for (var k = 0u; k < width; k += TILE) {
        var value = 0.0;
        if (row < f.batch && k + local.x < width) { value = f_dq[first + k + local.x]; }
        left[local.y * TILE + local.x] = value;
        var weight = 0.0;
        if (group.x * TILE + local.y < f.hidden && k + local.x < width) { weight = f_w_h[w + k + local.x]; }
        right[local.y * PITCH + local.x] = weight;
        workgroupBarrier();
        for (var i = 0u; i < TILE; i++) { sum += left[local.y * TILE + i] * right[local.x * PITCH + i]; }
        workgroupBarrier();
    }
    if (row >= f.batch || unit >= f.hidden) { return; }
    var kept = 1.0;
    if ((f.flags & 1u) != 0u) {
        kept = 1.0 - f_resets[part(f.maps, 1u, lane) * f.time * f.batch + row];
    }
    let at = (lane * f.batch + row) * f.hidden + unit;
    f_dh0[at] = scaled(kept, sum + f_dh0[at]);
}
