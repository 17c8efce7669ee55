// Message passing over compressed sparse rows. Every kernel gathers: an invocation owns a number of the result and
// walks over the edges of its node in their order, so there are no atomics and sums have a fixed order. Invocations
// that stand next to each other read neighbouring channels of the same rows. Limit: memory, 4 bytes an edge and channel.
//
// Indices are clamped: arrays of edges that are out of range give wrong numbers here, never a read out of bounds.

struct Parameters {
    // Nodes of the result, their channels, lanes, nodes at the other end, edges, and numbers of each kernel's own.
    nodes: u32, channels: u32, lanes: u32, others: u32, edges: u32, own: u32, second: u32, third: u32,
    // Two pairs of divisor and modulus each: which part of an operand a lane reads.
    maps: array<vec4<u32>, 4>,
}

@group(0) @binding(0) var<storage, read> f0: array<f32>;
@group(0) @binding(1) var<storage, read> f1: array<f32>;
@group(0) @binding(2) var<storage, read> f2: array<f32>;
@group(0) @binding(3) var<storage, read> f3: array<f32>;
@group(0) @binding(4) var<storage, read> offsets: array<u32>;
@group(0) @binding(5) var<storage, read> ends: array<u32>;
@group(0) @binding(6) var<storage, read> extra: array<u32>;
@group(0) @binding(6) var<storage, read_write> extra_out: array<f32>;
@group(0) @binding(7) var<storage, read_write> out: array<f32>;
@group(0) @binding(8) var<uniform> u: Parameters;

fn part(map: u32, lane: u32) -> u32 {
    let pairs = u.maps[map / 2u];
    let pair = select(pairs.xy, pairs.zw, map % 2u == 1u);
    return lane / pair.x % pair.y;
}

// Lane, node and channel of an invocation.
struct Place { inside: bool, lane: u32, node: u32, channel: u32, index: u32 }

fn place(group: vec3<u32>, groups: vec3<u32>, local: u32) -> Place {
    let i = (group.y * groups.x + group.x) * 256u + local;
    let row = i / u.channels;
    return Place(i < u.lanes * u.nodes * u.channels, row / u.nodes, row % u.nodes, i % u.channels, i);
}

// First and last edge of a node, given where the lane's offsets start.
fn edges_of(start: u32, node: u32) -> vec2<u32> {
    return min(vec2(offsets[start + node], offsets[start + node + 1u]), vec2(u.edges));
}

// x, offsets, ends, other offsets -> out. own: 0 sum, 1 mean, 2 divided by the edges of the other end.
@compute @workgroup_size(256)
fn message_sum(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
               @builtin(local_invocation_index) local: u32) {
    let p = place(group, groups, local);
    if (!p.inside) { return; }
    let x = part(0u, p.lane) * u.others;
    let range = edges_of(part(1u, p.lane) * (u.nodes + 1u), p.node);
    let end = part(2u, p.lane) * u.edges;
    let other = part(3u, p.lane) * (u.others + 1u);
    var sum = 0.0;
    for (var k = range.x; k < range.y; k++) {
        let j = min(ends[end + k], u.others - 1u);
        var value = f0[(x + j) * u.channels + p.channel];
        if (u.own == 2u) {
            value /= f32(max(extra[other + j + 1u] - extra[other + j], 1u));
        }
        sum += value;
    }
    if (u.own == 1u) { sum /= f32(max(range.y - range.x, 1u)); }
    out[p.index] = sum;
}

// x, offsets, ends -> out, extra_out: maxima and how many edges have them.
@compute @workgroup_size(256)
fn message_max(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
               @builtin(local_invocation_index) local: u32) {
    let p = place(group, groups, local);
    if (!p.inside) { return; }
    let x = part(0u, p.lane) * u.others;
    let range = edges_of(part(1u, p.lane) * (u.nodes + 1u), p.node);
    let end = part(2u, p.lane) * u.edges;
    var best = 0.0;
    var number = 0.0;
    for (var k = range.x; k < range.y; k++) {
        let value = f0[(x + min(ends[end + k], u.others - 1u)) * u.channels + p.channel];
        if (is_nan(best)) { continue; }
        if (k == range.x || value > best) {
            best = value;
            number = 1.0;
        } else if (value == best) {
            number += 1.0;
        } else if (is_nan(value)) {
            // The NaN of a diverged computation must stay visible.
            best = value;
        }
    }
    out[p.index] = best;
    extra_out[p.index] = number;
}

// v, x, y, numbers, offsets, ends -> out. own: transposed.
@compute @workgroup_size(256)
fn message_select(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                  @builtin(local_invocation_index) local: u32) {
    let p = place(group, groups, local);
    if (!p.inside) { return; }
    let v = part(0u, p.lane) * u.others;
    let range = edges_of(part(1u, p.lane) * (u.nodes + 1u), p.node);
    let end = part(2u, p.lane) * u.edges;
    var sum = 0.0;
    if (u.own == 1u) {
        let own = f1[(part(3u, p.lane) * u.nodes + p.node) * u.channels + p.channel];
        let y = part(4u, p.lane) * u.others;
        let number = part(5u, p.lane) * u.others;
        for (var k = range.x; k < range.y; k++) {
            let i = min(ends[end + k], u.others - 1u);
            if (f2[(y + i) * u.channels + p.channel] == own) {
                let many = max(f3[(number + i) * u.channels + p.channel], 1.0);
                sum += f0[(v + i) * u.channels + p.channel] / many;
            }
        }
    } else {
        let x = part(3u, p.lane) * u.others;
        let own = f2[(part(4u, p.lane) * u.nodes + p.node) * u.channels + p.channel];
        for (var k = range.x; k < range.y; k++) {
            let j = min(ends[end + k], u.others - 1u);
            if (f1[(x + j) * u.channels + p.channel] == own) {
                sum += f0[(v + j) * u.channels + p.channel];
            }
        }
        sum /= max(f3[(part(5u, p.lane) * u.nodes + p.node) * u.channels + p.channel], 1.0);
    }
    out[p.index] = sum;
}

// v, offsets, sources -> out [lanes, edges, channels]. own: from sources.
@compute @workgroup_size(256)
fn edge_spread(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
               @builtin(local_invocation_index) local: u32) {
    let i = (group.y * groups.x + group.x) * 256u + local;
    if (i >= u.lanes * u.edges * u.channels) { return; }
    let channel = i % u.channels;
    let edge = i / u.channels % u.edges;
    let lane = i / u.channels / u.edges;
    let v = part(0u, lane);
    let start = part(1u, lane) * (u.nodes + 1u);
    if (edge >= offsets[start + u.nodes]) {
        out[i] = 0.0;
        return;
    }
    if (u.own == 1u) {
        let j = min(ends[part(2u, lane) * u.edges + edge], u.others - 1u);
        out[i] = f0[(v * u.others + j) * u.channels + channel];
        return;
    }
    // The last node whose edges do not start behind this one.
    var low = 0u;
    var high = u.nodes - 1u;
    while (low < high) {
        let middle = (low + high + 1u) / 2u;
        if (offsets[start + middle] <= edge) { low = middle; } else { high = middle - 1u; }
    }
    out[i] = f0[(v * u.nodes + low) * u.channels + channel];
}

// v [lanes, edges, channels], offsets, indices -> out. own: the edges are named by indices. second: the maximum.
@compute @workgroup_size(256)
fn edge_reduce(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
               @builtin(local_invocation_index) local: u32) {
    let p = place(group, groups, local);
    if (!p.inside) { return; }
    let v = part(0u, p.lane) * u.edges;
    let range = edges_of(part(1u, p.lane) * (u.nodes + 1u), p.node);
    let index = part(2u, p.lane) * u.edges;
    var result = 0.0;
    for (var k = range.x; k < range.y; k++) {
        var edge = k;
        if (u.own == 1u) { edge = min(ends[index + k], u.edges - 1u); }
        let value = f0[(v + edge) * u.channels + p.channel];
        if (k == range.x) {
            result = value;
        } else if (u.second == 1u) {
            if (!(value <= result) && result == result) { result = value; }
        } else {
            result += value;
        }
    }
    out[p.index] = result;
}

// An edge's score before the softmax.
fn score(edge: u32, j: u32, sources: u32, destination: f32, given: u32, head: u32) -> f32 {
    if ((u.own & 1u) == 1u) { return f0[(given + edge) * u.channels + head]; }
    let z = f0[(sources + j) * u.channels + head] + destination;
    return select(z * bitcast<f32>(u.second), z, z > 0.0);
}

// source scores (or edge scores), destination scores, mask, offsets, sources -> weights [lanes, edges, heads].
// channels: heads; own: 1 scores of edges, 2 mask; second: the slope. One invocation a node and head.
@compute @workgroup_size(256)
fn attention_weights(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                     @builtin(local_invocation_index) local: u32) {
    let p = place(group, groups, local);
    if (!p.inside) { return; }
    let given = part(0u, p.lane) * u.edges;
    let sources = part(0u, p.lane) * u.others;
    let range = edges_of(part(1u, p.lane) * (u.nodes + 1u), p.node);
    let end = part(2u, p.lane) * u.edges;
    let mask = part(4u, p.lane) * u.edges;
    let weights = p.lane * u.edges;
    var destination = 0.0;
    if ((u.own & 1u) == 0u) {
        destination = f1[(part(3u, p.lane) * u.nodes + p.node) * u.channels + p.channel];
    }
    var highest = 0.0;
    var any = false;
    for (var k = range.x; k < range.y; k++) {
        if ((u.own & 2u) == 2u && f2[mask + k] == 0.0) { continue; }
        let j = min(ends[end + k], u.others - 1u);
        let z = score(k, j, sources, destination, given, p.channel);
        if (!any || z > highest) { highest = z; }
        any = true;
    }
    var sum = 0.0;
    for (var k = range.x; k < range.y; k++) {
        var e = 0.0;
        if ((u.own & 2u) == 0u || f2[mask + k] != 0.0) {
            let j = min(ends[end + k], u.others - 1u);
            e = exp(score(k, j, sources, destination, given, p.channel) - highest);
        }
        out[(weights + k) * u.channels + p.channel] = e;
        sum += e;
    }
    let scale = select(1.0 / sum, 0.0, sum == 0.0);
    for (var k = range.x; k < range.y; k++) {
        out[(weights + k) * u.channels + p.channel] *= scale;
    }
    if (p.node == u.nodes - 1u) {
        for (var k = range.y; k < u.edges; k++) { out[(weights + k) * u.channels + p.channel] = 0.0; }
    }
}

// x, offsets, sources, weights -> out. own: heads.
@compute @workgroup_size(256)
fn attention_sum(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                 @builtin(local_invocation_index) local: u32) {
    let p = place(group, groups, local);
    if (!p.inside) { return; }
    let x = part(0u, p.lane) * u.others;
    let range = edges_of(part(1u, p.lane) * (u.nodes + 1u), p.node);
    let end = part(2u, p.lane) * u.edges;
    let weights = p.lane * u.edges;
    let head = p.channel / (u.channels / u.own);
    var sum = 0.0;
    for (var k = range.x; k < range.y; k++) {
        let j = min(ends[end + k], u.others - 1u);
        let weight = extra_out[(weights + k) * u.own + head];
        // A masked edge has no weight, and what comes along it is not looked at.
        if (weight == 0.0) { continue; }
        sum += weight * f0[(x + j) * u.channels + p.channel];
    }
    out[p.index] = sum;
}

// c, weights, offsets, ends, indices of edges -> out. own: heads. The same sum over the transposed graph.
@compute @workgroup_size(256)
fn attention_sum_indexed(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                         @builtin(local_invocation_index) local: u32) {
    let p = place(group, groups, local);
    if (!p.inside) { return; }
    let x = part(0u, p.lane) * u.others;
    let range = edges_of(part(1u, p.lane) * (u.nodes + 1u), p.node);
    let end = part(2u, p.lane) * u.edges;
    let index = part(3u, p.lane) * u.edges;
    let weights = p.lane * u.edges;
    let head = p.channel / (u.channels / u.own);
    var sum = 0.0;
    for (var k = range.x; k < range.y; k++) {
        let i = min(ends[end + k], u.others - 1u);
        let edge = min(extra[index + k], u.edges - 1u);
        sum += f1[(weights + edge) * u.own + head] * f0[(x + i) * u.channels + p.channel];
    }
    out[p.index] = sum;
}

// c, weights, x, cotangents of weights, offsets, sources -> gradients of the scores [lanes, edges, heads], before the
// leaky unit. channels: of x; own: heads; second: whether there are cotangents. One invocation a node and head.
@compute @workgroup_size(256)
fn attention_scores_gradient(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                             @builtin(local_invocation_index) local: u32) {
    let i = (group.y * groups.x + group.x) * 256u + local;
    if (i >= u.lanes * u.nodes * u.own) { return; }
    let head = i % u.own;
    let node = i / u.own % u.nodes;
    let lane = i / u.own / u.nodes;
    let width = u.channels / u.own;
    let c = (lane * u.nodes + node) * u.channels + head * width;
    let x = part(0u, lane) * u.others;
    let range = edges_of(part(1u, lane) * (u.nodes + 1u), node);
    let end = part(2u, lane) * u.edges;
    let weights = lane * u.edges;
    var total = 0.0;
    for (var k = range.x; k < range.y; k++) {
        let row = (x + min(ends[end + k], u.others - 1u)) * u.channels + head * width;
        var d = 0.0;
        for (var channel = 0u; channel < width; channel++) { d += f0[c + channel] * f2[row + channel]; }
        let at = (weights + k) * u.own + head;
        if (f1[at] == 0.0) { d = 0.0; }
        if (u.second == 1u) { d += f3[at]; }
        total += f1[at] * d;
        out[at] = d;
    }
    for (var k = range.x; k < range.y; k++) {
        let at = (weights + k) * u.own + head;
        out[at] = f1[at] * (out[at] - total);
    }
    if (node == u.nodes - 1u) {
        for (var k = range.y; k < u.edges; k++) { out[(weights + k) * u.own + head] = 0.0; }
    }
}

// source scores, destination scores, offsets, sources, gradients of scores (changed in place: the leaky unit) ->
// gradients of destination scores. channels: heads; second: the slope.
@compute @workgroup_size(256)
fn attention_destinations_gradient(@builtin(workgroup_id) group: vec3<u32>,
                                   @builtin(num_workgroups) groups: vec3<u32>,
                                   @builtin(local_invocation_index) local: u32) {
    let p = place(group, groups, local);
    if (!p.inside) { return; }
    let sources = part(0u, p.lane) * u.others;
    let range = edges_of(part(1u, p.lane) * (u.nodes + 1u), p.node);
    let end = part(2u, p.lane) * u.edges;
    let destination = f1[(part(3u, p.lane) * u.nodes + p.node) * u.channels + p.channel];
    var sum = 0.0;
    for (var k = range.x; k < range.y; k++) {
        let j = min(ends[end + k], u.others - 1u);
        let at = (p.lane * u.edges + k) * u.channels + p.channel;
        let z = f0[(sources + j) * u.channels + p.channel] + destination;
        let d = extra_out[at] * select(bitcast<f32>(u.second), 1.0, z > 0.0);
        extra_out[at] = d;
        sum += d;
    }
    out[p.index] = sum;
}

// gradients of scores, transposed offsets, indices of edges -> gradients of source scores. channels: heads.
@compute @workgroup_size(256)
fn attention_sources_gradient(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                              @builtin(local_invocation_index) local: u32) {
    let p = place(group, groups, local);
    if (!p.inside) { return; }
    let range = edges_of(part(1u, p.lane) * (u.nodes + 1u), p.node);
    let index = part(2u, p.lane) * u.edges;
    var sum = 0.0;
    for (var k = range.x; k < range.y; k++) {
        let edge = min(ends[index + k], u.edges - 1u);
        sum += f0[(p.lane * u.edges + edge) * u.channels + p.channel];
    }
    out[p.index] = sum;
}
