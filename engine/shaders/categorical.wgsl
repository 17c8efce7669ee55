// Draws of categorical distributions: of every row the place of the largest sum of a logit and its noise. Limited by
// memory. Stands behind special.wgsl.

struct Rows {
    rows: u32,
    n: u32,
}
@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> noise: array<f32>;
@group(0) @binding(2) var<storage, read_write> drawn: array<u32>;
@group(0) @binding(3) var<uniform> job: Rows;

const MINUS_INFINITY = 0xff800000u;
const NONE = 0xffffffffu;
const GROUP = 256u;

// Of elements `first`, `first + step`, .. of the row at `start` the largest; NaN where one is NaN.
fn largest_logit(start: u32, first: u32, step: u32) -> f32 {
    var largest = not_finite(MINUS_INFINITY);
    for (var i = first; i < job.n; i += step) { largest = larger(largest, logits[start + i]); }
    return largest;
}

fn larger(a: f32, b: f32) -> f32 {
    if (is_nan(a)) { return a; }
    return select(a, b, b > a || is_nan(b));
}

// Whether a row with this largest logit has no distribution.
fn is_none(largest: f32) -> bool {
    return is_nan(largest) || bitcast<u32>(largest) == MINUS_INFINITY;
}

// The noise would be rounded away were it added to a large logit. An infinity is not taken from itself.
fn score(at: u32, largest: f32) -> f32 {
    let x = logits[at];
    return select(x - largest, 0.0, x == largest) + noise[at];
}

fn best(start: u32, first: u32, step: u32, largest: f32) -> u32 {
    var place = first;
    var most = score(start + first, largest);
    for (var i = first + step; i < job.n; i += step) {
        let value = score(start + i, largest);
        if (value > most) {
            most = value;
            place = i;
        }
    }
    return place;
}

// One invocation a row.
@compute @workgroup_size(GROUP)
fn short(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) local: u32) {
    let row = (group.y * groups.x + group.x) * GROUP + local;
    if (row >= job.rows) { return; }
    let start = row * job.n;
    let largest = largest_logit(start, 0u, 1u);
    drawn[row] = select(best(start, 0u, 1u, largest), NONE, is_none(largest));
}

var<workgroup> most: array<f32, GROUP>;
var<workgroup> places: array<u32, GROUP>;

// One workgroup a row, of at least GROUP elements.
@compute @workgroup_size(GROUP)
fn long(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let row = group.y * groups.x + group.x;
    let inside = row < job.rows;
    let start = select(0u, row * job.n, inside);
    most[local] = largest_logit(start, local, GROUP);
    for (var half = GROUP / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (local < half) { most[local] = larger(most[local], most[local + half]); }
    }
    workgroupBarrier();
    let largest = most[0];
    workgroupBarrier();
    let own = best(start, local, GROUP, largest);
    most[local] = score(start + own, largest);
    places[local] = own;
    for (var half = GROUP / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (local < half) {
            let other = local + half;
            let same = most[other] == most[local];
            if (most[other] > most[local] || (same && places[other] < places[local])) {
                most[local] = most[other];
                places[local] = places[other];
            }
        }
    }
    if (inside && local == 0u) { drawn[row] = select(places[0], NONE, is_none(largest)); }
}
