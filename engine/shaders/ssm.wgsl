// Diagonal linear state space models. `scan` has one invocation a lane and channel, which keeps eight states at a time
// in registers and goes through the sequence once for each eight; it is also the way back, which gives the gradients of
// the inputs and of the first state. The gradients of weights have one invocation a state and need no way back: the
// derivative of a state by its own decay runs along with it. Limit: the latency of a step, t after each other; per state
// and step 6 operations forward and 18 for the gradient, no memory but for `u`, `y` and their gradients.

struct Parameters {
    time: u32, channels: u32, states: u32, lanes: u32,
    // flags: 1 from the last step to the first, 2 resets, 4 the first state is there, 8 the gradient of the last is.
    flags: u32, unused0: u32, unused1: u32, unused2: u32,
    maps: array<vec4<u32>, 3>,
}

fn index(group: vec3<u32>, groups: vec3<u32>, local: u32) -> u32 {
    return (group.y * groups.x + group.x) * 64u + local;
}

fn part(pair: vec2<u32>, lane: u32) -> u32 {
    return lane / pair.x % pair.y;
}

// A reset forgets even what is not finite.
fn kept(keep: f32, value: f32) -> f32 {
    return select(keep * value, 0.0, keep == 0.0);
}

// scan: u, a, b, c, d, resets -> y, state.
@group(0) @binding(0) var<storage, read> u: array<f32>;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read> c: array<f32>;
@group(0) @binding(4) var<storage, read> d: array<f32>;
@group(0) @binding(5) var<storage, read> resets: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;
@group(0) @binding(7) var<storage, read_write> state: array<f32>;
@group(0) @binding(8) var<uniform> p: Parameters;

@compute @workgroup_size(64)
fn scan(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let i = index(group, groups, local);
    if (i >= p.lanes * p.channels) { return; }
    let channel = i % p.channels;
    let lane = i / p.channels;
    let reverse = (p.flags & 1u) != 0u;
    let has_resets = (p.flags & 2u) != 0u;
    let carried = (p.flags & 4u) != 0u;
    let u_row = part(p.maps[0].xy, lane) * p.time;
    let a_row = (part(p.maps[0].zw, lane) * p.channels + channel) * p.states;
    let b_row = (part(p.maps[1].xy, lane) * p.channels + channel) * p.states;
    let c_row = (part(p.maps[1].zw, lane) * p.channels + channel) * p.states;
    let d_own = d[part(p.maps[2].xy, lane) * p.channels + channel];
    let resets_row = part(p.maps[2].zw, lane) * p.time;
    for (var first = 0u; first < p.states; first += 8u) {
        let count = min(8u, p.states - first);
        var x = array<f32, 8>();
        var decay = array<f32, 8>();
        var input = array<f32, 8>();
        var output = array<f32, 8>();
        // Loops over states have a constant bound: unrolled, the arrays are registers.
        for (var j = 0u; j < 8u; j++) {
            if (j < count) {
                decay[j] = a[a_row + first + j];
                input[j] = b[b_row + first + j];
                output[j] = c[c_row + first + j];
                if (carried) { x[j] = state[i * p.states + first + j]; }
            }
        }
        for (var step = 0u; step < p.time; step++) {
            let t = select(step, p.time - 1u - step, reverse);
            var keep = 1.0;
            if (has_resets) { keep = 1.0 - resets[resets_row + t]; }
            let value = u[(u_row + t) * p.channels + channel];
            let at = (lane * p.time + t) * p.channels + channel;
            var sum = 0.0;
            if (first == 0u) { sum = d_own * value; } else { sum = y[at]; }
            for (var j = 0u; j < 8u; j++) {
                if (j < count) {
                    var before = x[j];
                    if (!reverse) { before = kept(keep, before); }
                    // The gradient of the last state arrives after the last decay.
                    let factor = select(decay[j], 1.0, reverse && step == 0u);
                    let now = factor * before + input[j] * value;
                    sum += output[j] * now;
                    x[j] = now;
                    if (reverse) { x[j] = kept(keep, now); }
                }
            }
            y[at] = sum;
        }
        for (var j = 0u; j < 8u; j++) {
            // On the way back the gradient passes through the first decay as well.
            if (j < count) { state[i * p.states + first + j] = select(x[j], decay[j] * x[j], reverse); }
        }
    }
}

// copy: states of an operand -> where another entry expects them.
@group(0) @binding(0) var<storage, read> source: array<f32>;
@group(0) @binding(1) var<storage, read_write> copied: array<f32>;
@group(0) @binding(2) var<uniform> q: Parameters;

@compute @workgroup_size(64)
fn copy(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let i = index(group, groups, local);
    let size = q.channels * q.states;
    if (i >= q.lanes * size) { return; }
    copied[i] = source[part(q.maps[0].xy, i / size) * size + i % size];
}

// decay_and_readout: u, dy, a, b, c, resets -> da, dc. Before, dc may hold the first state, and da the gradient of the
// last one.
@group(0) @binding(0) var<storage, read> r_u: array<f32>;
@group(0) @binding(1) var<storage, read> r_dy: array<f32>;
@group(0) @binding(2) var<storage, read> r_a: array<f32>;
@group(0) @binding(3) var<storage, read> r_b: array<f32>;
@group(0) @binding(4) var<storage, read> r_c: array<f32>;
@group(0) @binding(5) var<storage, read> r_resets: array<f32>;
@group(0) @binding(6) var<storage, read_write> r_da: array<f32>;
@group(0) @binding(7) var<storage, read_write> r_dc: array<f32>;
@group(0) @binding(8) var<uniform> r: Parameters;

@compute @workgroup_size(64)
fn decay_and_readout(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                     @builtin(local_invocation_index) local: u32) {
    let i = index(group, groups, local);
    let size = r.channels * r.states;
    if (i >= r.lanes * size) { return; }
    let lane = i / size;
    let own = i % size;
    let channel = own / r.states;
    let u_row = part(r.maps[0].xy, lane) * r.time;
    let dy_row = part(r.maps[0].zw, lane) * r.time;
    let decay = r_a[part(r.maps[1].xy, lane) * size + own];
    let input = r_b[part(r.maps[1].zw, lane) * size + own];
    let resets_row = part(r.maps[2].zw, lane) * r.time;
    var x = 0.0;
    if ((r.flags & 4u) != 0u) { x = r_dc[i]; }
    var dlast = 0.0;
    if ((r.flags & 8u) != 0u) { dlast = r_da[i]; }
    // The derivative of the state by its decay.
    var z = 0.0;
    var sum_z = 0.0;
    var sum_x = 0.0;
    for (var t = 0u; t < r.time; t++) {
        if ((r.flags & 2u) != 0u) {
            let keep = 1.0 - r_resets[resets_row + t];
            x = kept(keep, x);
            z = kept(keep, z);
        }
        z = decay * z + x;
        x = decay * x + input * r_u[(u_row + t) * r.channels + channel];
        let slope = r_dy[(dy_row + t) * r.channels + channel];
        sum_z += slope * z;
        sum_x += slope * x;
    }
    var da = r_c[part(r.maps[2].xy, lane) * size + own] * sum_z;
    if ((r.flags & 8u) != 0u) { da += dlast * z; }
    r_da[i] = da;
    r_dc[i] = sum_x;
}

// drive: u, dy, a, c, dlast, resets -> db.
@group(0) @binding(0) var<storage, read> s_u: array<f32>;
@group(0) @binding(1) var<storage, read> s_dy: array<f32>;
@group(0) @binding(2) var<storage, read> s_a: array<f32>;
@group(0) @binding(3) var<storage, read> s_c: array<f32>;
@group(0) @binding(4) var<storage, read> s_dlast: array<f32>;
@group(0) @binding(5) var<storage, read> s_resets: array<f32>;
@group(0) @binding(6) var<storage, read_write> s_db: array<f32>;
@group(0) @binding(7) var<uniform> s: Parameters;

@compute @workgroup_size(64)
fn drive(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) local: u32) {
    let i = index(group, groups, local);
    let size = s.channels * s.states;
    if (i >= s.lanes * size) { return; }
    let lane = i / size;
    let own = i % size;
    let channel = own / s.states;
    let u_row = part(s.maps[0].xy, lane) * s.time;
    let dy_row = part(s.maps[0].zw, lane) * s.time;
    let decay = s_a[part(s.maps[1].xy, lane) * size + own];
    let resets_row = part(s.maps[2].zw, lane) * s.time;
    // The derivative of the state by its input factor.
    var driven = 0.0;
    var sum = 0.0;
    for (var t = 0u; t < s.time; t++) {
        if ((s.flags & 2u) != 0u) { driven = kept(1.0 - s_resets[resets_row + t], driven); }
        driven = decay * driven + s_u[(u_row + t) * s.channels + channel];
        sum += s_dy[(dy_row + t) * s.channels + channel] * driven;
    }
    var db = s_c[part(s.maps[1].zw, lane) * size + own] * sum;
    if ((s.flags & 8u) != 0u) { db += s_dlast[part(s.maps[2].xy, lane) * size + own] * driven; }
    s_db[i] = db;
}

// skip: u, dy -> dd.
@group(0) @binding(0) var<storage, read> k_u: array<f32>;
@group(0) @binding(1) var<storage, read> k_dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> k_dd: array<f32>;
@group(0) @binding(3) var<uniform> k: Parameters;

@compute @workgroup_size(64)
fn skip(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let i = index(group, groups, local);
    if (i >= k.lanes * k.channels) { return; }
    let channel = i % k.channels;
    let lane = i / k.channels;
    let u_row = part(k.maps[0].xy, lane) * k.time;
    let dy_row = part(k.maps[0].zw, lane) * k.time;
    var sum = 0.0;
    for (var t = 0u; t < k.time; t++) {
        sum += k_u[(u_row + t) * k.channels + channel] * k_dy[(dy_row + t) * k.channels + channel];
    }
    k_dd[i] = sum;
}
