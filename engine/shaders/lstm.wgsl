// Steps of an LSTM layer. A workgroup computes 16 rows of the batch by 16 hidden units: the product with the weights of
// the state runs over tiles in workgroup memory, then each invocation finishes its gates in registers. Limit: operations
// for large batches, 8 h each row and unit; for small ones the dispatch and the reading of the weights.
//
// The input products of all steps are made before, and those of the gradients of weights after, by `matmul`.

const TILE: u32 = 16u;
// Between the rows of a tile that invocations read each a row of: one more, so that they fall into different banks.
const PITCH: u32 = 17u;

struct Parameters {
    time: u32, batch: u32, hidden: u32, lanes: u32,
    // flags: 1 resets, 2 a cotangent of the states, 4 a cotangent of the cells.
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
var<workgroup> right: array<f32, 1024>;

// A reset forgets even what is not finite.
fn scaled(kept: f32, value: f32) -> f32 {
    return select(kept * value, 0.0, kept == 0.0);
}

@group(0) @binding(0) var<storage, read> w_h: array<f32>;
@group(0) @binding(1) var<storage, read> bias: array<f32>;
@group(0) @binding(2) var<storage, read> h0: array<f32>;
@group(0) @binding(3) var<storage, read> c0: array<f32>;
@group(0) @binding(4) var<storage, read> resets: array<f32>;
@group(0) @binding(5) var<storage, read_write> hidden: array<f32>;
@group(0) @binding(6) var<storage, read_write> cells: array<f32>;
@group(0) @binding(7) var<storage, read_write> gates: array<f32>;
@group(0) @binding(8) var<uniform> u: Parameters;

fn kept_forward(lane: u32, row: u32) -> f32 {
    if ((u.flags & 1u) == 0u || row >= u.batch) { return 1.0; }
    return 1.0 - resets[(part(u.maps, 4u, lane) * u.time + u.step) * u.batch + row];
}

// maps: w_h, bias, h0, c0, resets. gates hold the input products.
@compute @workgroup_size(16, 16)
fn lstm_step(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let lane = group.z;
    let row = group.y * TILE + local.y;
    let unit = group.x * TILE + local.x;
    let w = part(u.maps, 0u, lane) * u.hidden * 4u * u.hidden;
    let before = ((lane * u.time + u.step) * u.batch - u.batch + row) * u.hidden;
    let first = (part(u.maps, 2u, lane) * u.batch + row) * u.hidden;
    let kept = kept_forward(lane, row);
    var sum = vec4<f32>(0.0);
    for (var k = 0u; k < u.hidden; k += TILE) {
        var value = 0.0;
        if (row < u.batch && k + local.x < u.hidden) {
            if (u.step == 0u) { value = h0[first + k + local.x]; } else { value = hidden[before + k + local.x]; }
        }
        left[local.y * TILE + local.x] = scaled(kept, value);
        for (var gate = 0u; gate < 4u; gate++) {
            var weight = 0.0;
            if (k + local.y < u.hidden && unit < u.hidden) {
                weight = w_h[w + (k + local.y) * 4u * u.hidden + gate * u.hidden + unit];
            }
            right[(local.y * TILE + local.x) * 4u + gate] = weight;
        }
        workgroupBarrier();
        for (var i = 0u; i < TILE; i++) {
            let at = (i * TILE + local.x) * 4u;
            sum += left[local.y * TILE + i] * vec4(right[at], right[at + 1u], right[at + 2u], right[at + 3u]);
        }
        workgroupBarrier();
    }
    if (row >= u.batch || unit >= u.hidden) { return; }
    let at = (lane * u.time + u.step) * u.batch + row;
    let z = at * 4u * u.hidden + unit;
    let b = part(u.maps, 1u, lane) * 4u * u.hidden + unit;
    let i = sigmoid_(gates[z] + bias[b] + sum.x);
    let f = sigmoid_(gates[z + u.hidden] + bias[b + u.hidden] + sum.y);
    let g = tanh_(gates[z + 2u * u.hidden] + bias[b + 2u * u.hidden] + sum.z);
    let o = sigmoid_(gates[z + 3u * u.hidden] + bias[b + 3u * u.hidden] + sum.w);
    var c = 0.0;
    if (u.step == 0u) {
        c = c0[(part(u.maps, 3u, lane) * u.batch + row) * u.hidden + unit];
    } else {
        c = cells[before + unit];
    }
    c = f * scaled(kept, c) + i * g;
    gates[z] = i;
    gates[z + u.hidden] = f;
    gates[z + 2u * u.hidden] = g;
    gates[z + 3u * u.hidden] = o;
    cells[at * u.hidden + unit] = c;
    hidden[at * u.hidden + unit] = o * tanh_(c);
}

// h0, c0, resets, hidden, cells -> states and cells before every step, after its reset. maps: h0, c0, resets.
@group(0) @binding(0) var<storage, read> p_h0: array<f32>;
@group(0) @binding(1) var<storage, read> p_c0: array<f32>;
@group(0) @binding(2) var<storage, read> p_resets: array<f32>;
@group(0) @binding(3) var<storage, read> p_hidden: array<f32>;
@group(0) @binding(4) var<storage, read> p_cells: array<f32>;
@group(0) @binding(5) var<storage, read_write> p_before_h: array<f32>;
@group(0) @binding(6) var<storage, read_write> p_before_c: array<f32>;
@group(0) @binding(7) var<uniform> p: Parameters;

@compute @workgroup_size(256)
fn lstm_before(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
               @builtin(local_invocation_index) local: u32) {
    let i = (group.y * groups.x + group.x) * 256u + local;
    let one = p.batch * p.hidden;
    if (i >= p.lanes * p.time * one) { return; }
    let step = i / one % p.time;
    let lane = i / one / p.time;
    let row = i / p.hidden % p.batch;
    var kept = 1.0;
    if ((p.flags & 1u) != 0u) {
        kept = 1.0 - p_resets[(part(p.maps, 2u, lane) * p.time + step) * p.batch + row];
    }
    if (step == 0u) {
        p_before_h[i] = scaled(kept, p_h0[part(p.maps, 0u, lane) * one + i % one]);
        p_before_c[i] = scaled(kept, p_c0[part(p.maps, 1u, lane) * one + i % one]);
    } else {
        p_before_h[i] = scaled(kept, p_hidden[i - one]);
        p_before_c[i] = scaled(kept, p_cells[i - one]);
    }
}

// w_h, cotangents of states and cells, resets, cells before, gates -> dz, and the gradient of the cell, which goes from
// step to step. maps: w_h, resets.
@group(0) @binding(0) var<storage, read> b_w_h: array<f32>;
@group(0) @binding(1) var<storage, read> b_dh: array<f32>;
@group(0) @binding(2) var<storage, read> b_dc: array<f32>;
@group(0) @binding(3) var<storage, read> b_resets: array<f32>;
@group(0) @binding(4) var<storage, read> b_before_c: array<f32>;
@group(0) @binding(5) var<storage, read> b_gates: array<f32>;
@group(0) @binding(6) var<storage, read_write> b_dz: array<f32>;
@group(0) @binding(7) var<storage, read_write> b_carry: array<f32>;
@group(0) @binding(8) var<uniform> b: Parameters;

fn kept_back(lane: u32, step: u32, row: u32) -> f32 {
    if ((b.flags & 1u) == 0u || row >= b.batch) { return 1.0; }
    return 1.0 - b_resets[(part(b.maps, 1u, lane) * b.time + step) * b.batch + row];
}

@compute @workgroup_size(16, 16)
fn lstm_step_back(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let lane = group.z;
    let row = group.y * TILE + local.y;
    let unit = group.x * TILE + local.x;
    let last = b.step == b.time - 1u;
    let width = 4u * b.hidden;
    var sum = 0.0;
    if (!last) {
        let after = ((lane * b.time + b.step + 1u) * b.batch + row) * width;
        let w = (part(b.maps, 0u, lane) * b.hidden + group.x * TILE + local.y) * width;
        for (var k = 0u; k < width; k += TILE) {
            var value = 0.0;
            if (row < b.batch && k + local.x < width) { value = b_dz[after + k + local.x]; }
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
    let z = ((lane * b.time + b.step) * b.batch + row) * width + unit;
    let i = b_gates[z];
    let f = b_gates[z + b.hidden];
    let g = b_gates[z + 2u * b.hidden];
    let o = b_gates[z + 3u * b.hidden];
    let before = b_before_c[at];
    let t = tanh_(f * before + i * g);
    let carry = (lane * b.batch + row) * b.hidden + unit;
    var dh = 0.0;
    var dc = 0.0;
    if (!last) {
        dh = scaled(kept_back(lane, b.step + 1u, row), sum);
        dc = b_carry[carry];
    }
    if ((b.flags & 2u) != 0u) { dh += b_dh[at]; }
    if ((b.flags & 4u) != 0u) { dc += b_dc[at]; }
    dc += dh * o * (1.0 - t * t);
    b_dz[z] = dc * g * i * (1.0 - i);
    b_dz[z + b.hidden] = dc * before * f * (1.0 - f);
    b_dz[z + 2u * b.hidden] = dc * i * (1.0 - g * g);
    b_dz[z + 3u * b.hidden] = dh * t * o * (1.0 - o);
    b_carry[carry] = scaled(kept_back(lane, b.step, row), dc * f);
}

// w_h, resets, dz -> the gradient of the first state. maps: w_h, resets.
@group(0) @binding(0) var<storage, read> f_w_h: array<f32>;
@group(0) @binding(1) var<storage, read> f_resets: array<f32>;
@group(0) @binding(2) var<storage, read> f_dz: array<f32>;
@group(0) @binding(3) var<storage, read_write> f_dh0: array<f32>;
@group(0) @binding(4) var<uniform> f: Parameters;

@compute @workgroup_size(16, 16)
fn lstm_first_back(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let lane = group.z;
    let row = group.y * TILE + local.y;
    let unit = group.x * TILE + local.x;
    let width = 4u * f.hidden;
    let first = (lane * f.time * f.batch + row) * width;
    let w = (part(f.maps, 0u, lane) * f.hidden + group.x * TILE + local.y) * width;
    var sum = 0.0;
    for (var k = 0u; k < width; k += TILE) {
        var value = 0.0;
        if (row < f.batch && k + local.x < width) { value = f_dz[first + k + local.x]; }
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
    f_dh0[(lane * f.batch + row) * f.hidden + unit] = scaled(kept, sum);
}
