// One to four vectors times a matrix. A template, joined with matmul.wgsl. The vectors are a and the matrix b, whichever
// side of the product they stand on.
//
// A workgroup computes 4 GROUPS outputs of every vector. STRANDS invocations share the sum of four outputs: each takes
// four neighbouring terms in every 4 STRANDS, so that the matrix is read once, in order, with vector loads; then halves
// are added to halves. Per four terms and invocation: 4 vector loads of the matrix, VECTORS of the vectors, 16 VECTORS
// multiply-adds. Limited by memory: 2 VECTORS operations an element of the matrix.
//
// own[1]: outputs of a vector, elements from vector to vector and from output to output of the result, 1 where vectors
// are columns.

const GROUPS = 256u / STRANDS;

var<workgroup> partial: array<vec4<f32>, 256u * VECTORS>;

fn finish_as(value: f32, vector: u32, i: u32) -> f32 {
    return finish(value, select(i, vector, job.own[1].w == 1u));
}

@compute @workgroup_size(256)
fn gemv(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let index = group.y * groups.x + group.x;
    if (index >= job.sizes.w) { return; }
    // There is one tile of vectors.
    let tiles = job.tiles.x * job.tiles.y;
    let part = index / tiles;
    let lane = part / job.tiles.z;
    find_lane(lane);
    let outputs = job.own[1].x;
    let first = (part % job.tiles.z) * job.tiles.w;
    let last = min(job.sizes.z, first + job.tiles.w);
//@if b_by_terms
    let strand = local % STRANDS;
    let quad = local / STRANDS;
//@else
    let strand = local / GROUPS;
    let quad = local % GROUPS;
//@end
    let o = 4u * (index % tiles * GROUPS + quad);
//@each v VECTORS
    var s$v = vec4<f32>(0.0);
//@end
    for (var k = first + 4u * strand; k < last; k += 4u * STRANDS) {
//@if b_by_terms
//@each c 4
        let z$c = fetch_b(o + $cu, k, vec2<u32>(outputs, last));
//@end
//@each j 4
        let y$j = vec4<f32>(z0[$j], z1[$j], z2[$j], z3[$j]);
//@end
//@else
//@each j 4
        let y$j = fetch_b(k + $ju, o, vec2<u32>(last, outputs));
//@end
//@end
//@each v VECTORS
//@if a_by_terms
        let x$v = fetch_a($vu, k, vec2<u32>(VECTORS, last));
//@else
        var x$v = vec4<f32>(0.0);
//@each j 4
        if (k + $ju < last) { x$v[$j] = a[lane_a + (k + $ju) * pitch_a() + $vu]; }
//@end
//@end
//@each j 4
        s$v += x$v[$j] * y$j;
//@end
//@end
    }
    let at = strand * GROUPS + quad;
//@each v VECTORS
    partial[256u * $vu + at] = s$v;
//@end
    for (var half = STRANDS / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (strand < half) {
//@each v VECTORS
            partial[256u * $vu + at] += partial[256u * $vu + at + half * GROUPS];
//@end
        }
    }
    if (strand > 0u) { return; }
    let to = part * job.sizes.x * job.sizes.y;
//@each v VECTORS
    // Every invocation reads here what it has written itself.
    let t$v = partial[256u * $vu + at];
//@each j 4
    if (o + $ju < outputs) {
        output[to + $vu * job.own[1].y + (o + $ju) * job.own[1].z] = finish_as(t$v[$j], $vu, o + $ju);
    }
//@end
//@end
}
