// Threefry-2x32-20 and what is made of its bits. Limited by arithmetic: about a hundred operations a pair of numbers.

// 0: bits. 1: uniform. 2: normal. 3: Gumbel.
override DISTRIBUTION: u32 = 0u;

struct Job {
    items: u32,
    n: u32,
}
@group(0) @binding(0) var<storage, read> keys: array<u32>;
@group(0) @binding(1) var<storage, read_write> output: array<u32>;
@group(0) @binding(2) var<uniform> job: Job;

fn rotate(x: u32, by: u32) -> u32 {
    return (x << by) | (x >> (32u - by));
}

fn mix(x: vec2<u32>, by: u32) -> vec2<u32> {
    let a = x.x + x.y;
    return vec2<u32>(a, rotate(x.y, by) ^ a);
}

fn four(x: vec2<u32>, by: vec4<u32>) -> vec2<u32> {
    return mix(mix(mix(mix(x, by.x), by.y), by.z), by.w);
}

fn threefry(key: vec2<u32>, counter: vec2<u32>) -> vec2<u32> {
    let third = 0x1BD11BDAu ^ key.x ^ key.y;
    let odd = vec4<u32>(13u, 15u, 26u, 6u);
    let even = vec4<u32>(17u, 29u, 16u, 24u);
    var x = counter + key;
    x = four(x, odd) + vec2<u32>(key.y, third + 1u);
    x = four(x, even) + vec2<u32>(third, key.x + 2u);
    x = four(x, odd) + vec2<u32>(key.x, key.y + 3u);
    x = four(x, even) + vec2<u32>(key.y, third + 4u);
    return four(x, odd) + vec2<u32>(third, key.x + 5u);
}

fn open(word: u32) -> f32 {
    return (f32(word >> 9u) + 0.5) * 0.00000011920928955078125;
}

// -log(u). Near 1 the built-in has an absolute error that is large beside the result: there a series in 1 - u, which is
// exact.
fn minus_log(u: f32) -> f32 {
    let e = 1.0 - u;
    let series = e * (1.0 + e * (0.5 + e * (0.33333334 + e * (0.25 + e * (0.2 + e * 0.16666667)))));
    return select(-log(u), series, e < 0.06);
}

// One invocation a block of two numbers.
@compute @workgroup_size(256)
fn draw(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let item = (group.y * groups.x + group.x) * 256u + local;
    if (item >= job.items) { return; }
    let blocks = (job.n + 1u) / 2u;
    let lane = item / blocks;
    let block = item % blocks;
    let words = threefry(vec2<u32>(keys[2u * lane], keys[2u * lane + 1u]), vec2<u32>(block, 0u));
    var pair = words;
    if (DISTRIBUTION == 1u) {
        pair = bitcast<vec2<u32>>(vec2<f32>(words >> vec2<u32>(8u)) * 0.000000059604644775390625);
    } else if (DISTRIBUTION == 2u) {
        let radius = sqrt(2.0 * minus_log(open(words.x)));
        // A signed fraction of a turn: sine and cosine are required to be good within a half turn of 0.
        let angle = f32(bitcast<i32>(words.y) >> 8u) * 3.7450702829e-7;
        pair = bitcast<vec2<u32>>(radius * vec2<f32>(cos(angle), sin(angle)));
    } else if (DISTRIBUTION == 3u) {
        pair = bitcast<vec2<u32>>(vec2<f32>(-log(minus_log(open(words.x))), -log(minus_log(open(words.y)))));
    }
    let at = lane * job.n + 2u * block;
    output[at] = pair.x;
    if (2u * block + 1u < job.n) { output[at + 1u] = pair.y; }
}

// How a batch index is read when leading dimensions are broadcast.
struct Map {
    rank: u32,
    unused_a: u32,
    unused_b: u32,
    unused_c: u32,
    // Size, stride.
    dimensions: array<vec4<u32>, 4>,
}

struct Fold {
    items: u32,
    unused_a: u32,
    unused_b: u32,
    unused_c: u32,
    key: Map,
    data: Map,
}
@group(0) @binding(1) var<storage, read> data: array<u32>;
@group(0) @binding(2) var<storage, read_write> derived: array<u32>;
@group(0) @binding(3) var<uniform> fold: Fold;

@compute @workgroup_size(256)
fn fold_in(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) local: u32) {
    let item = (group.y * groups.x + group.x) * 256u + local;
    if (item >= fold.items) { return; }
    var key_at = 0u;
    var rest = item;
    for (var d = fold.key.rank; d > 0u; d--) {
        let dimension = fold.key.dimensions[d - 1u];
        key_at += rest % dimension.x * dimension.y;
        rest /= dimension.x;
    }
    var data_at = 0u;
    rest = item;
    for (var d = fold.data.rank; d > 0u; d--) {
        let dimension = fold.data.dimensions[d - 1u];
        data_at += rest % dimension.x * dimension.y;
        rest /= dimension.x;
    }
    let key = vec2<u32>(keys[2u * key_at], keys[2u * key_at + 1u]);
    let words = threefry(key, vec2<u32>(data[data_at], 1u));
    derived[2u * item] = words.x;
    derived[2u * item + 1u] = words.y;
}
