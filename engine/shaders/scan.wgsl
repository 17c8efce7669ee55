// First-order recurrence over time, chunked: `reduce` folds each chunk to one factor and one term, `carry` walks over
// the chunks, `apply` computes the states. A short sequence is one chunk, and `apply` alone runs. No workgroup waits
// for another. Limit: memory, 12 bytes an element in one chunk and 20 in several, for 2 operations.
//
// Steps run from the first time to the last, or the other way with `reverse`. With `lag` the factor of a step is that of
// the step before it, which is the recurrence of the gradient.

struct Parameters {
    time: u32, channels: u32, lanes: u32, reverse: u32,
    lag: u32, a_rows: u32, has_resets: u32, has_state: u32,
    chunk: u32, chunks: u32, a_divisor: u32, a_modulus: u32,
    b_divisor: u32, b_modulus: u32, state_divisor: u32, state_modulus: u32,
    resets_divisor: u32, resets_modulus: u32,
}

fn index(group: vec3<u32>, groups: vec3<u32>, local: u32) -> u32 {
    return (group.y * groups.x + group.x) * 256u + local;
}

// reduce: a, b, resets -> factors, terms.  apply: a, b, resets, state -> x.
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> resets: array<f32>;
@group(0) @binding(3) var<storage, read_write> factors: array<f32>;
@group(0) @binding(4) var<storage, read_write> terms: array<f32>;
@group(0) @binding(3) var<storage, read> state: array<f32>;
@group(0) @binding(4) var<storage, read_write> x: array<f32>;
@group(0) @binding(5) var<uniform> u: Parameters;

fn position(step: u32) -> u32 {
    return select(step, u.time - 1u - step, u.reverse != 0u);
}

// Whether nothing of the state comes into a step: it is reset, or there is no step before. What is not finite is forgotten
// too, which a factor of 0 would not do.
fn forgets(lane: u32, step: u32) -> bool {
    if (u.lag != 0u && step == 0u) { return true; }
    if (u.has_resets == 0u) { return false; }
    return resets[(lane / u.resets_divisor % u.resets_modulus) * u.time + position(step - u.lag)] == 1.0;
}

// The factor of a step that does not forget.
fn factor(lane: u32, step: u32, channel: u32) -> f32 {
    let p = position(step - u.lag);
    var keep = 1.0;
    if (u.has_resets != 0u) {
        keep = 1.0 - resets[(lane / u.resets_divisor % u.resets_modulus) * u.time + p];
    }
    let row = (lane / u.a_divisor % u.a_modulus) * u.a_rows + select(p, 0u, u.a_rows == 1u);
    return a[row * u.channels + channel] * keep;
}

@compute @workgroup_size(256)
fn reduce(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
          @builtin(local_invocation_index) local: u32) {
    let i = index(group, groups, local);
    if (i >= u.lanes * u.chunks * u.channels) { return; }
    let channel = i % u.channels;
    let chunk = i / u.channels % u.chunks;
    let lane = i / u.channels / u.chunks;
    let start = (lane / u.b_divisor % u.b_modulus) * u.time;
    var product = 1.0;
    var term = 0.0;
    var forgot = false;
    for (var step = chunk * u.chunk; step < min(u.time, (chunk + 1u) * u.chunk); step++) {
        let next = b[(start + position(step)) * u.channels + channel];
        if (forgets(lane, step)) {
            term = next;
            forgot = true;
        } else {
            let f = factor(lane, step, channel);
            term = f * term + next;
            product *= f;
        }
    }
    // A zero with the sign says that the chunk forgets; by the bits, since compilers may take all zeros for one.
    var bits = bitcast<u32>(product);
    if ((bits & 0x7fffffffu) == 0u) { bits = 0u; }
    if (forgot) { bits = 0x80000000u; }
    factors[i] = bitcast<f32>(bits);
    terms[i] = term;
}

@compute @workgroup_size(256)
fn apply(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) local: u32) {
    let i = index(group, groups, local);
    if (i >= u.lanes * u.chunks * u.channels) { return; }
    let channel = i % u.channels;
    let row = i / u.channels;
    let chunk = row % u.chunks;
    let lane = row / u.chunks;
    let start = (lane / u.b_divisor % u.b_modulus) * u.time;
    var value = 0.0;
    if (u.has_state != 0u) {
        value = state[(row / u.state_divisor % u.state_modulus) * u.channels + channel];
    }
    for (var step = chunk * u.chunk; step < min(u.time, (chunk + 1u) * u.chunk); step++) {
        let p = position(step);
        let next = b[(start + p) * u.channels + channel];
        if (forgets(lane, step)) {
            value = next;
        } else {
            value = factor(lane, step, channel) * value + next;
        }
        x[(lane * u.time + p) * u.channels + channel] = value;
    }
}

// carry: initial, factors, terms -> states at the start of every chunk.
@group(0) @binding(0) var<storage, read> initial: array<f32>;
@group(0) @binding(1) var<storage, read> chunk_factors: array<f32>;
@group(0) @binding(2) var<storage, read> chunk_terms: array<f32>;
@group(0) @binding(3) var<storage, read_write> states: array<f32>;
@group(0) @binding(4) var<uniform> v: Parameters;

@compute @workgroup_size(256)
fn carry(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) local: u32) {
    let i = index(group, groups, local);
    if (i >= v.lanes * v.channels) { return; }
    let channel = i % v.channels;
    let lane = i / v.channels;
    var value = 0.0;
    if (v.has_state != 0u) {
        value = initial[(lane / v.state_divisor % v.state_modulus) * v.channels + channel];
    }
    for (var chunk = 0u; chunk < v.chunks; chunk++) {
        let at = (lane * v.chunks + chunk) * v.channels + channel;
        states[at] = value;
        let f = chunk_factors[at];
        if (bitcast<u32>(f) == 0x80000000u) {
            value = chunk_terms[at];
        } else {
            value = f * value + chunk_terms[at];
        }
    }
}

// gradient: a, x, initial, resets, db -> da, dinitial. One invocation a channel and row of `a`. A launch adds steps
// `chunk` to `chunks` of each row to what those before it have found.
@group(0) @binding(0) var<storage, read> g_a: array<f32>;
@group(0) @binding(1) var<storage, read> g_x: array<f32>;
@group(0) @binding(2) var<storage, read> g_initial: array<f32>;
@group(0) @binding(3) var<storage, read> g_resets: array<f32>;
@group(0) @binding(4) var<storage, read_write> g_db: array<f32>;
@group(0) @binding(5) var<storage, read_write> g_da: array<f32>;
@group(0) @binding(6) var<storage, read_write> g_dinitial: array<f32>;
@group(0) @binding(7) var<uniform> w: Parameters;

@compute @workgroup_size(256)
fn gradient(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
            @builtin(local_invocation_index) local: u32) {
    let i = index(group, groups, local);
    if (i >= w.lanes * w.a_rows * w.channels) { return; }
    let channel = i % w.channels;
    let row = i / w.channels % w.a_rows;
    let lane = i / w.channels / w.a_rows;
    let first = select(0u, w.time - 1u, w.reverse != 0u);
    var sum = 0.0;
    if (w.chunk > 0u) { sum = g_da[i]; }
    for (var s = w.chunk; s < w.chunks; s++) {
        let p = row + s;
        var keep = 1.0;
        if (w.has_resets != 0u) {
            keep = 1.0 - g_resets[(lane / w.resets_divisor % w.resets_modulus) * w.time + p];
        }
        let g = g_db[(lane * w.time + p) * w.channels + channel];
        var before = 0.0;
        if (p == first) {
            before = g_initial[(lane / w.state_divisor % w.state_modulus) * w.channels + channel];
            let a_row = (lane / w.a_divisor % w.a_modulus) * w.a_rows + row;
            g_dinitial[lane * w.channels + channel] = g_a[a_row * w.channels + channel] * keep * g;
        } else {
            let q = select(p - 1u, p + 1u, w.reverse != 0u);
            before = g_x[(lane * w.time + q) * w.channels + channel];
        }
        if (keep != 0.0) { sum += g * keep * before; }
    }
    g_da[i] = sum;
}
