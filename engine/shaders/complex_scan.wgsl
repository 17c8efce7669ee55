// The recurrence of scan.wgsl over complex numbers, by the same three steps with the same bindings and parameters: a row
// is `channels` real parts and behind them as many imaginary ones. With `lag` factors are conjugate as well, which is the
// recurrence of the gradient. Limit: memory, 24 bytes a number in one chunk and 40 in several, for 8 operations.

fn complex_product(x: vec2<f32>, y: vec2<f32>) -> vec2<f32> {
    return vec2<f32>(x.x * y.x - x.y * y.y, x.x * y.y + x.y * y.x);
}

// The factor of a step that does not forget.
fn complex_factor(lane: u32, step: u32, channel: u32) -> vec2<f32> {
    let p = position(step - u.lag);
    var keep = 1.0;
    if (u.has_resets != 0u) {
        keep = 1.0 - resets[(lane / u.resets_divisor % u.resets_modulus) * u.time + p];
    }
    let row = (lane / u.a_divisor % u.a_modulus) * u.a_rows + select(p, 0u, u.a_rows == 1u);
    let at = row * 2u * u.channels + channel;
    return vec2<f32>(a[at], select(1.0, -1.0, u.lag != 0u) * a[at + u.channels]) * keep;
}

fn complex_term(lane: u32, p: u32, channel: u32) -> vec2<f32> {
    let at = ((lane / u.b_divisor % u.b_modulus) * u.time + p) * 2u * u.channels + channel;
    return vec2<f32>(b[at], b[at + u.channels]);
}

@compute @workgroup_size(256)
fn complex_reduce(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                  @builtin(local_invocation_index) local: u32) {
    let i = index(group, groups, local);
    if (i >= u.lanes * u.chunks * u.channels) { return; }
    let channel = i % u.channels;
    let chunk = i / u.channels % u.chunks;
    let lane = i / u.channels / u.chunks;
    var product = vec2<f32>(1.0, 0.0);
    var term = vec2<f32>(0.0, 0.0);
    var forgot = false;
    for (var step = chunk * u.chunk; step < min(u.time, (chunk + 1u) * u.chunk); step++) {
        let next = complex_term(lane, position(step), channel);
        if (forgets(lane, step)) {
            term = next;
            forgot = true;
        } else {
            let f = complex_factor(lane, step, channel);
            term = complex_product(f, term) + next;
            product = complex_product(f, product);
        }
    }
    // As in `reduce`: a real part of zero with the sign says that the chunk forgets.
    var bits = bitcast<u32>(product.x);
    if ((bits & 0x7fffffffu) == 0u) { bits = 0u; }
    if (forgot) { bits = 0x80000000u; }
    let at = i / u.channels * 2u * u.channels + channel;
    factors[at] = bitcast<f32>(bits);
    factors[at + u.channels] = product.y;
    terms[at] = term.x;
    terms[at + u.channels] = term.y;
}

@compute @workgroup_size(256)
fn complex_apply(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                 @builtin(local_invocation_index) local: u32) {
    let i = index(group, groups, local);
    if (i >= u.lanes * u.chunks * u.channels) { return; }
    let channel = i % u.channels;
    let row = i / u.channels;
    let chunk = row % u.chunks;
    let lane = row / u.chunks;
    var value = vec2<f32>(0.0, 0.0);
    if (u.has_state != 0u) {
        let at = (row / u.state_divisor % u.state_modulus) * 2u * u.channels + channel;
        value = vec2<f32>(state[at], state[at + u.channels]);
    }
    for (var step = chunk * u.chunk; step < min(u.time, (chunk + 1u) * u.chunk); step++) {
        let p = position(step);
        let next = complex_term(lane, p, channel);
        if (forgets(lane, step)) {
            value = next;
        } else {
            value = complex_product(complex_factor(lane, step, channel), value) + next;
        }
        let at = (lane * u.time + p) * 2u * u.channels + channel;
        x[at] = value.x;
        x[at + u.channels] = value.y;
    }
}

@compute @workgroup_size(256)
fn complex_carry(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                 @builtin(local_invocation_index) local: u32) {
    let i = index(group, groups, local);
    if (i >= v.lanes * v.channels) { return; }
    let channel = i % v.channels;
    let lane = i / v.channels;
    var value = vec2<f32>(0.0, 0.0);
    if (v.has_state != 0u) {
        let at = (lane / v.state_divisor % v.state_modulus) * 2u * v.channels + channel;
        value = vec2<f32>(initial[at], initial[at + v.channels]);
    }
    for (var chunk = 0u; chunk < v.chunks; chunk++) {
        let at = (lane * v.chunks + chunk) * 2u * v.channels + channel;
        states[at] = value.x;
        states[at + v.channels] = value.y;
        let f = vec2<f32>(chunk_factors[at], chunk_factors[at + v.channels]);
        let term = vec2<f32>(chunk_terms[at], chunk_terms[at + v.channels]);
        if (bitcast<u32>(f.x) == 0x80000000u) {
            value = term;
        } else {
            value = complex_product(f, value) + term;
        }
    }
}
