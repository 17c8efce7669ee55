// Multi-head attention and its gradient. Two constants stand in front of this text: `DIM`, the features of a head, and
// `TILE`, the keys that fit in workgroup memory at a time.
//
// One invocation a row: it keeps its query (or key and value) and its sums in registers. In `forward_tiles` the 64 queries
// of a workgroup belong to one head of one lane and share keys and values through workgroup memory; the other entries
// read them through the cache, where the invocations of a head read the same places at the same time. Limited by
// operations (two to five products of `DIM` terms and an exponential for each query and key) where rows fill the device.

struct Job {
    // Queries, keys, heads, 1 where causal.
    sizes: vec4<u32>,
    // Invocations in all (of `forward_tiles`: workgroups); dimensions of lanes that the result has; dimensions that it is
    // summed over; which results are wanted (bit 0 keys, bit 1 values).
    counts: vec4<u32>,
    // Strides of the mask along queries and keys; 1 where there is a mask; 1 / sqrt(DIM) by its bits.
    mask: vec4<u32>,
    // For each dimension of lanes, those of the result first, outermost first: size, strides of q, k and v; and strides
    // of the mask and of the lane's number.
    lanes: array<vec4<u32>, 16>,
}

// At one place for all entries, behind as many storage buffers as there may be.
@group(0) @binding(8) var<uniform> job: Job;

struct Lane {
    q: u32,
    k: u32,
    v: u32,
    mask: u32,
    number: u32,
}

fn add_dimensions(lane: ptr<function, Lane>, index: u32, first: u32, count: u32) {
    var rest = index;
    for (var d = count; d > 0u; d--) {
        let a = job.lanes[2u * (first + d - 1u)];
        let b = job.lanes[2u * (first + d - 1u) + 1u];
        let i = rest % a.x;
        rest /= a.x;
        (*lane).q += i * a.y;
        (*lane).k += i * a.z;
        (*lane).v += i * a.w;
        (*lane).mask += i * b.x;
        (*lane).number += i * b.y;
    }
}

// Forward.
@group(0) @binding(0) var<storage, read> q: array<f32>;
@group(0) @binding(1) var<storage, read> k: array<f32>;
@group(0) @binding(2) var<storage, read> v: array<f32>;
@group(0) @binding(3) var<storage, read> mask: array<f32>;
@group(0) @binding(4) var<storage, read_write> output: array<f32>;
@group(0) @binding(5) var<storage, read_write> rows: array<f32>;

fn visible(sizes: vec4<u32>, i: u32) -> u32 {
    if (sizes.w == 0u) { return sizes.y; }
    let seen = i + 1u + sizes.y;
    return select(0u, min(seen - sizes.x, sizes.y), seen > sizes.x);
}

// The running state of a row: softmax on the fly (Milakov and Gimelshein 2018).
struct Row {
    most: f32,
    sum: f32,
    // Keys that it has seen.
    keys: u32,
}

fn write_row(row: ptr<function, Row>, sums: ptr<function, array<f32, DIM>>, number: u32, head: u32) {
    let heads = job.sizes.z;
    let at = (number * heads + head) * DIM;
    var factor = 0.0;
    var logarithm = 0.0;
    // Keys without weights have scores of minus infinity: 1 / 0 makes NaN of them.
    if ((*row).keys > 0u) {
        factor = 1.0 / (*row).sum;
        logarithm = (*row).most + log((*row).sum);
    }
    for (var d = 0u; d < DIM; d++) { output[at + d] = (*sums)[d] * factor; }
    rows[number * heads + head] = logarithm;
}

@compute @workgroup_size(64)
fn forward_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                @builtin(local_invocation_index) local: u32) {
    let index = (group.y * groups.x + group.x) * 64u + local;
    if (index >= job.counts.x) { return; }
    let heads = job.sizes.z;
    let features = heads * DIM;
    let head = index % heads;
    let i = index / heads % job.sizes.x;
    var lane = Lane();
    add_dimensions(&lane, index / (heads * job.sizes.x), 0u, job.counts.y);
    let scale = bitcast<f32>(job.mask.w);
    var x: array<f32, DIM>;
    var sums: array<f32, DIM>;
    for (var d = 0u; d < DIM; d++) {
        x[d] = q[lane.q + i * features + head * DIM + d] * scale;
        sums[d] = 0.0;
    }
    var row = Row(-1e30, 0.0, 0u);
    let seen = visible(job.sizes, i);
    for (var j = 0u; j < seen; j++) {
        if (job.mask.z == 1u && mask[lane.mask + i * job.mask.x + j * job.mask.y] == 0.0) { continue; }
        let at = j * features + head * DIM;
        var score = 0.0;
        for (var d = 0u; d < DIM; d++) { score += x[d] * k[lane.k + at + d]; }
        let most = max(row.most, score);
        let kept = exp(row.most - most);
        let weight = exp(score - most);
        row.sum = row.sum * kept + weight;
        row.most = most;
        row.keys += 1u;
        for (var d = 0u; d < DIM; d++) { sums[d] = sums[d] * kept + weight * v[lane.v + at + d]; }
    }
    write_row(&row, &sums, lane.number * job.sizes.x + i, head);
}

var<workgroup> tile_k: array<f32, TILE * DIM>;
var<workgroup> tile_v: array<f32, TILE * DIM>;

@compute @workgroup_size(64)
fn forward_tiles(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                 @builtin(local_invocation_index) local: u32) {
    let index = group.y * groups.x + group.x;
    if (index >= job.counts.x) { return; }
    let heads = job.sizes.z;
    let features = heads * DIM;
    let blocks = (job.sizes.x + 63u) / 64u;
    let head = index % heads;
    let i = (index / heads % blocks) * 64u + local;
    var lane = Lane();
    add_dimensions(&lane, index / (heads * blocks), 0u, job.counts.y);
    let scale = bitcast<f32>(job.mask.w);
    let inside = i < job.sizes.x;
    var x: array<f32, DIM>;
    var sums: array<f32, DIM>;
    for (var d = 0u; d < DIM; d++) {
        x[d] = 0.0;
        sums[d] = 0.0;
        if (inside) { x[d] = q[lane.q + i * features + head * DIM + d] * scale; }
    }
    var row = Row(-1e30, 0.0, 0u);
    let seen = select(0u, visible(job.sizes, i), inside);
    for (var first = 0u; first < job.sizes.y; first += TILE) {
        let count = min(TILE, job.sizes.y - first);
        workgroupBarrier();
        for (var e = local; e < count * DIM; e += 64u) {
            let at = (first + e / DIM) * features + head * DIM + e % DIM;
            tile_k[e] = k[lane.k + at];
            tile_v[e] = v[lane.v + at];
        }
        workgroupBarrier();
        for (var j = 0u; j < count; j++) {
            if (first + j >= seen) { break; }
            if (job.mask.z == 1u && mask[lane.mask + i * job.mask.x + (first + j) * job.mask.y] == 0.0) { continue; }
            var score = 0.0;
            for (var d = 0u; d < DIM; d++) { score += x[d] * tile_k[j * DIM + d]; }
            let most = max(row.most, score);
            let kept = exp(row.most - most);
            let weight = exp(score - most);
            row.sum = row.sum * kept + weight;
            row.most = most;
            row.keys += 1u;
            for (var d = 0u; d < DIM; d++) { sums[d] = sums[d] * kept + weight * tile_v[j * DIM + d]; }
        }
    }
    if (inside) { write_row(&row, &sums, lane.number * job.sizes.x + i, head); }
}

// For the gradient: the log-sum-exp and the sum of the output times its cotangent, side by side, of every row and head.
@group(0) @binding(0) var<storage, read> given_output: array<f32>;
@group(0) @binding(1) var<storage, read> given_rows: array<f32>;
@group(0) @binding(2) var<storage, read> given_cotangent: array<f32>;
@group(0) @binding(3) var<storage, read_write> pairs: array<f32>;

@compute @workgroup_size(64)
fn make_pairs(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) local: u32) {
    let index = (group.y * groups.x + group.x) * 64u + local;
    if (index >= job.counts.x) { return; }
    var sum = 0.0;
    for (var d = 0u; d < DIM; d++) { sum += given_output[index * DIM + d] * given_cotangent[index * DIM + d]; }
    pairs[2u * index] = given_rows[index];
    pairs[2u * index + 1u] = sum;
}

@group(0) @binding(4) var<storage, read> known_pairs: array<f32>;
@group(0) @binding(5) var<storage, read> cotangent: array<f32>;
@group(0) @binding(6) var<storage, read_write> gradient: array<f32>;

// The gradient of the queries: one invocation a query and head; where lanes share a query it sums over them in order.
@compute @workgroup_size(64)
fn of_queries(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) local: u32) {
    let index = (group.y * groups.x + group.x) * 64u + local;
    if (index >= job.counts.x) { return; }
    let heads = job.sizes.z;
    let features = heads * DIM;
    let head = index % heads;
    let i = index / heads % job.sizes.x;
    var own = Lane();
    add_dimensions(&own, index / (heads * job.sizes.x), 0u, job.counts.y);
    let scale = bitcast<f32>(job.mask.w);
    let place = own.q + i * features + head * DIM;
    var x: array<f32, DIM>;
    var c: array<f32, DIM>;
    var sums: array<f32, DIM>;
    for (var d = 0u; d < DIM; d++) {
        x[d] = q[place + d] * scale;
        sums[d] = 0.0;
    }
    var shared_lanes = 1u;
    for (var d = 0u; d < job.counts.z; d++) { shared_lanes *= job.lanes[2u * (job.counts.y + d)].x; }
    let seen = visible(job.sizes, i);
    for (var other = 0u; other < shared_lanes; other++) {
        var lane = own;
        add_dimensions(&lane, other, job.counts.y, job.counts.z);
        let number = (lane.number * job.sizes.x + i) * heads + head;
        let logarithm = known_pairs[2u * number];
        let delta = known_pairs[2u * number + 1u];
        for (var d = 0u; d < DIM; d++) { c[d] = cotangent[number * DIM + d]; }
        for (var j = 0u; j < seen; j++) {
            if (job.mask.z == 1u
                && mask[lane.mask + i * job.mask.x + j * job.mask.y] == 0.0) { continue; }
            let at = j * features + head * DIM;
            var score = 0.0;
            var dp = 0.0;
            for (var d = 0u; d < DIM; d++) {
                score += x[d] * k[lane.k + at + d];
                dp += c[d] * v[lane.v + at + d];
            }
            let ds = exp(score - logarithm) * (dp - delta) * scale;
            for (var d = 0u; d < DIM; d++) { sums[d] += ds * k[lane.k + at + d]; }
        }
    }
    for (var d = 0u; d < DIM; d++) { gradient[place + d] = sums[d]; }
}

@group(0) @binding(6) var<storage, read_write> of_k: array<f32>;
@group(0) @binding(7) var<storage, read_write> of_v: array<f32>;

// The gradients of keys and values: one invocation a key and head, summing over queries, and over the lanes that share
// the key, in order.
@compute @workgroup_size(64)
fn of_keys(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) local: u32) {
    let index = (group.y * groups.x + group.x) * 64u + local;
    if (index >= job.counts.x) { return; }
    let heads = job.sizes.z;
    let features = heads * DIM;
    let head = index % heads;
    let j = index / heads % job.sizes.y;
    var own = Lane();
    add_dimensions(&own, index / (heads * job.sizes.y), 0u, job.counts.y);
    let scale = bitcast<f32>(job.mask.w);
    let at = j * features + head * DIM;
    var x: array<f32, DIM>;
    var y: array<f32, DIM>;
    var sum_k: array<f32, DIM>;
    var sum_v: array<f32, DIM>;
    for (var d = 0u; d < DIM; d++) {
        sum_k[d] = 0.0;
        sum_v[d] = 0.0;
    }
    var shared_lanes = 1u;
    for (var d = 0u; d < job.counts.z; d++) { shared_lanes *= job.lanes[2u * (job.counts.y + d)].x; }
    for (var other = 0u; other < shared_lanes; other++) {
        var lane = own;
        add_dimensions(&lane, other, job.counts.y, job.counts.z);
        for (var d = 0u; d < DIM; d++) {
            x[d] = k[lane.k + at + d] * scale;
            y[d] = v[lane.v + at + d];
        }
        for (var i = 0u; i < job.sizes.x; i++) {
            if (j >= visible(job.sizes, i)) { continue; }
            if (job.mask.z == 1u && mask[lane.mask + i * job.mask.x + j * job.mask.y] == 0.0) { continue; }
            let number = (lane.number * job.sizes.x + i) * heads + head;
            let query = lane.q + i * features + head * DIM;
            var score = 0.0;
            var dp = 0.0;
            for (var d = 0u; d < DIM; d++) {
                score += x[d] * q[query + d];
                dp += y[d] * cotangent[number * DIM + d];
            }
            let weight = exp(score - known_pairs[2u * number]);
            let ds = weight * (dp - known_pairs[2u * number + 1u]) * scale;
            for (var d = 0u; d < DIM; d++) {
                sum_k[d] += ds * q[query + d];
                sum_v[d] += weight * cotangent[number * DIM + d];
            }
        }
    }
    for (var d = 0u; d < DIM; d++) {
        if ((job.counts.w & 1u) != 0u) { of_k[own.k + at + d] = sum_k[d]; }
        if ((job.counts.w & 2u) != 0u) { of_v[own.v + at + d] = sum_v[d]; }
    }
}
