// What the kernels of products of strided matrices share. A template (see src/op/matmul/template.rs), joined with
// elementwise.wgsl and product.wgsl.
//
// own[0]: elements from line to line of a and b, lanes, dimensions of the lanes. own[1]: what a kernel needs.
// own[2..6]: of each dimension, outermost first, the size and the strides of a and b.
//
// A line of a is a row and holds its terms side by side where a_by_terms, else it is a term and holds rows; a line of b
// is a column where b_by_terms, else a term. a_vector, b_vector: lines and lanes start at multiples of four elements and
// are read four at a time.

var<private> lane_a: u32;
var<private> lane_b: u32;

fn find_lane(lane: u32) {
    var rest = lane;
    lane_a = 0u;
    lane_b = 0u;
    for (var d = job.own[0].w; d > 0u; d--) {
        let dimension = job.own[1u + d];
        let i = rest % dimension.x;
        rest /= dimension.x;
        lane_a += i * dimension.y;
        lane_b += i * dimension.z;
    }
}

//@if a_vector
@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;
//@else
@group(0) @binding(0) var<storage, read> a: array<f32>;
//@end
//@if b_vector
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>;
//@else
@group(0) @binding(1) var<storage, read> b: array<f32>;
//@end

// Elements from line to line of an operand.
fn pitch_a() -> u32 { return job.own[0].x; }
fn pitch_b() -> u32 { return job.own[0].y; }

//@each o a,b
// Four elements that lie side by side, from `inner` on, in line `outer` of the operand; zeros from the limits on.
fn fetch_$o(outer: u32, inner: u32, limits: vec2<u32>) -> vec4<f32> {
    var x = vec4<f32>(0.0);
    if (outer >= limits.x || inner >= limits.y) { return x; }
    let at = lane_$o + outer * pitch_$o() + inner;
//@if $o_vector
    x = $o[at / 4u];
//@else
    x.x = $o[at];
    if (inner + 1u < limits.y) { x.y = $o[at + 1u]; }
    if (inner + 2u < limits.y) { x.z = $o[at + 2u]; }
    if (inner + 3u < limits.y) { x.w = $o[at + 3u]; }
//@end
    return x;
}

//@end
