// The recurrence of Mamba. `selective_states` runs through time, one invocation a state; on the way back `selective_back`
// does. What is left are sums over states, channels or time of what these two have written: no atomics, no workgroup that
// waits for another. Limit: memory, 8 bytes a state and step forward, about 40 for the gradient.

struct Selective {
    time: u32, channels: u32, states: u32, lanes: u32,
    rate_divisor: u32, rate_modulus: u32, has_resets: u32, unused: u32,
}

fn selective_index(group: vec3<u32>, groups: vec3<u32>, local: u32) -> u32 {
    return (group.y * groups.x + group.x) * 64u + local;
}

// selective_states: u, step, rate, write, initial, resets -> h.
@group(0) @binding(0) var<storage, read> f_u: array<f32>;
@group(0) @binding(1) var<storage, read> f_step: array<f32>;
@group(0) @binding(2) var<storage, read> f_rate: array<f32>;
@group(0) @binding(3) var<storage, read> f_write: array<f32>;
@group(0) @binding(4) var<storage, read> f_initial: array<f32>;
@group(0) @binding(5) var<storage, read> f_resets: array<f32>;
@group(0) @binding(6) var<storage, read_write> f_h: array<f32>;
@group(0) @binding(7) var<uniform> f: Selective;

@compute @workgroup_size(64)
fn selective_states(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                    @builtin(local_invocation_index) local: u32) {
    let i = selective_index(group, groups, local);
    let size = f.states * f.channels;
    if (i >= f.lanes * size) { return; }
    let own = i % size;
    let lane = i / size;
    let channel = own % f.channels;
    let state = own / f.channels;
    let rate = f_rate[(lane / f.rate_divisor % f.rate_modulus) * size + own];
    var h = f_initial[i];
    for (var t = 0u; t < f.time; t++) {
        let row = lane * f.time + t;
        if (f.has_resets != 0u) {
            let keep = 1.0 - f_resets[row];
            h = select(keep * h, 0.0, keep == 0.0);
        }
        let at = row * f.channels + channel;
        let change = expm1_(f_step[at] * rate);
        h += change * (h + f_write[row * f.states + state] * f_u[at] / rate);
        f_h[row * size + own] = h;
    }
}

// selective_read: read, h -> y.
@group(0) @binding(0) var<storage, read> y_read: array<f32>;
@group(0) @binding(1) var<storage, read_write> y_h: array<f32>;
@group(0) @binding(2) var<storage, read_write> y_y: array<f32>;
@group(0) @binding(3) var<uniform> y_u: Selective;

@compute @workgroup_size(64)
fn selective_read(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                  @builtin(local_invocation_index) local: u32) {
    let i = selective_index(group, groups, local);
    if (i >= y_u.lanes * y_u.time * y_u.channels) { return; }
    let row = i / y_u.channels;
    let channel = i % y_u.channels;
    var sum = 0.0;
    for (var k = 0u; k < y_u.states; k++) {
        sum += y_read[row * y_u.states + k] * y_h[(row * y_u.states + k) * y_u.channels + channel];
    }
    y_y[i] = sum;
}

// selective_back: step, rate, read, dy, resets -> g, dinitial.
@group(0) @binding(0) var<storage, read> b_step: array<f32>;
@group(0) @binding(1) var<storage, read> b_rate: array<f32>;
@group(0) @binding(2) var<storage, read> b_read: array<f32>;
@group(0) @binding(3) var<storage, read> b_dy: array<f32>;
@group(0) @binding(4) var<storage, read> b_resets: array<f32>;
@group(0) @binding(5) var<storage, read_write> b_g: array<f32>;
@group(0) @binding(6) var<storage, read_write> b_dinitial: array<f32>;
@group(0) @binding(7) var<uniform> b_: Selective;

@compute @workgroup_size(64)
fn selective_back(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                  @builtin(local_invocation_index) local: u32) {
    let i = selective_index(group, groups, local);
    let size = b_.states * b_.channels;
    if (i >= b_.lanes * size) { return; }
    let own = i % size;
    let lane = i / size;
    let channel = own % b_.channels;
    let state = own / b_.channels;
    let rate = b_rate[(lane / b_.rate_divisor % b_.rate_modulus) * size + own];
    var carried = 0.0;
    for (var back = 0u; back < b_.time; back++) {
        let row = lane * b_.time + b_.time - 1u - back;
        let at = row * b_.channels + channel;
        let g = b_read[row * b_.states + state] * b_dy[at] + carried;
        b_g[row * size + own] = g;
        carried = (expm1_(b_step[at] * rate) + 1.0) * g;
        if (b_.has_resets != 0u) {
            let keep = 1.0 - b_resets[row];
            carried = select(keep * carried, 0.0, keep == 0.0);
        }
    }
    b_dinitial[i] = carried;
}

// selective_kept: g, h, initial, resets -> q, which is g times what the step kept of the state before it.
@group(0) @binding(0) var<storage, read> q_g: array<f32>;
@group(0) @binding(1) var<storage, read> q_h: array<f32>;
@group(0) @binding(2) var<storage, read> q_initial: array<f32>;
@group(0) @binding(3) var<storage, read> q_resets: array<f32>;
@group(0) @binding(4) var<storage, read_write> q_q: array<f32>;
@group(0) @binding(5) var<uniform> q_: Selective;

@compute @workgroup_size(64)
fn selective_kept(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                  @builtin(local_invocation_index) local: u32) {
    let i = selective_index(group, groups, local);
    let size = q_.states * q_.channels;
    if (i >= q_.lanes * q_.time * size) { return; }
    let row = i / size;
    var before = 0.0;
    if (row % q_.time == 0u) {
        before = q_initial[row / q_.time * size + i % size];
    } else {
        before = q_h[i - size];
    }
    if (q_.has_resets != 0u) {
        let keep = 1.0 - q_resets[row];
        before = select(keep * before, 0.0, keep == 0.0);
    }
    q_q[i] = q_g[i] * before;
}

// selective_rate: step, rate, u, write, g, q -> drate.
@group(0) @binding(0) var<storage, read> r_step: array<f32>;
@group(0) @binding(1) var<storage, read> r_rate: array<f32>;
@group(0) @binding(2) var<storage, read> r_u: array<f32>;
@group(0) @binding(3) var<storage, read> r_write: array<f32>;
@group(0) @binding(4) var<storage, read> r_g: array<f32>;
@group(0) @binding(5) var<storage, read> r_q: array<f32>;
@group(0) @binding(6) var<storage, read_write> r_drate: array<f32>;
@group(0) @binding(7) var<uniform> r_: Selective;

@compute @workgroup_size(64)
fn selective_rate(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                  @builtin(local_invocation_index) local: u32) {
    let i = selective_index(group, groups, local);
    let size = r_.states * r_.channels;
    if (i >= r_.lanes * size) { return; }
    let own = i % size;
    let lane = i / size;
    let channel = own % r_.channels;
    let state = own / r_.channels;
    let rate = r_rate[(lane / r_.rate_divisor % r_.rate_modulus) * size + own];
    var sum = 0.0;
    for (var t = 0u; t < r_.time; t++) {
        let row = lane * r_.time + t;
        let step = r_step[row * r_.channels + channel];
        let change = expm1_(step * rate);
        let driven = r_g[row * size + own] * r_write[row * r_.states + state] * r_u[row * r_.channels + channel] / rate;
        sum += (r_q[row * size + own] + driven) * (change + 1.0) * step - driven * change / rate;
    }
    r_drate[i] = sum;
}

// selective_inputs: step, rate, u, write, g, q -> du, dstep.
@group(0) @binding(0) var<storage, read> i_step: array<f32>;
@group(0) @binding(1) var<storage, read> i_rate: array<f32>;
@group(0) @binding(2) var<storage, read> i_u: array<f32>;
@group(0) @binding(3) var<storage, read> i_write: array<f32>;
@group(0) @binding(4) var<storage, read> i_g: array<f32>;
@group(0) @binding(5) var<storage, read> i_q: array<f32>;
@group(0) @binding(6) var<storage, read_write> i_du: array<f32>;
@group(0) @binding(7) var<storage, read_write> i_dstep: array<f32>;
@group(0) @binding(8) var<uniform> i_: Selective;

@compute @workgroup_size(64)
fn selective_inputs(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                    @builtin(local_invocation_index) local: u32) {
    let i = selective_index(group, groups, local);
    if (i >= i_.lanes * i_.time * i_.channels) { return; }
    let row = i / i_.channels;
    let channel = i % i_.channels;
    let lane = row / i_.time;
    let rates = (lane / i_.rate_divisor % i_.rate_modulus) * i_.states;
    let step = i_step[i];
    var du = 0.0;
    var dstep = 0.0;
    for (var k = 0u; k < i_.states; k++) {
        let rate = i_rate[(rates + k) * i_.channels + channel];
        let at = (row * i_.states + k) * i_.channels + channel;
        let change = expm1_(step * rate);
        let written = i_g[at] * i_write[row * i_.states + k];
        du += written * change / rate;
        dstep += (i_q[at] + written * i_u[i] / rate) * (change + 1.0) * rate;
    }
    i_du[i] = du;
    i_dstep[i] = dstep;
}

// selective_write: step, rate, u, g -> dwrite.
@group(0) @binding(0) var<storage, read> w_step: array<f32>;
@group(0) @binding(1) var<storage, read> w_rate: array<f32>;
@group(0) @binding(2) var<storage, read> w_u: array<f32>;
@group(0) @binding(3) var<storage, read> w_g: array<f32>;
@group(0) @binding(4) var<storage, read_write> w_dwrite: array<f32>;
@group(0) @binding(5) var<uniform> w_: Selective;

@compute @workgroup_size(64)
fn selective_write(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                   @builtin(local_invocation_index) local: u32) {
    let i = selective_index(group, groups, local);
    if (i >= w_.lanes * w_.time * w_.states) { return; }
    let row = i / w_.states;
    let lane = row / w_.time;
    let rates = ((lane / w_.rate_divisor % w_.rate_modulus) * w_.states + i % w_.states) * w_.channels;
    var sum = 0.0;
    for (var c = 0u; c < w_.channels; c++) {
        let rate = w_rate[rates + c];
        let at = row * w_.channels + c;
        sum += w_g[i * w_.channels + c] * expm1_(w_step[at] * rate) / rate * w_u[at];
    }
    w_dwrite[i] = sum;
}

// selective_dread: dy, h -> dread.
@group(0) @binding(0) var<storage, read> d_dy: array<f32>;
@group(0) @binding(1) var<storage, read> d_h: array<f32>;
@group(0) @binding(2) var<storage, read_write> d_dread: array<f32>;
@group(0) @binding(3) var<uniform> d_: Selective;

@compute @workgroup_size(64)
fn selective_dread(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                   @builtin(local_invocation_index) local: u32) {
    let i = selective_index(group, groups, local);
    if (i >= d_.lanes * d_.time * d_.states) { return; }
    let row = i / d_.states;
    var sum = 0.0;
    for (var c = 0u; c < d_.channels; c++) {
        sum += d_dy[row * d_.channels + c] * d_h[i * d_.channels + c];
    }
    d_dread[i] = sum;
}
