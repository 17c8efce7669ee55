// Tiles of products of implicit matrices (convolutions). What the two matrices hold comes from `prepare`, `load_rows`
// and `load_columns` of the file that this one is joined with.
//
// A workgroup of 16 x 16 invocations computes a tile of 64 x 64, each invocation 4 x 4 of it in registers, in steps of
// 16 terms held in workgroup memory. Per step and invocation: 8 loads, 2 vector writes and 32 vector reads of
// workgroup memory, 256 multiply-adds. Limited by operations where all sizes are above about 100, by memory below.

// 1 where neighbouring terms of the first (rows of the second) matrix lie side by side: which invocation loads what.
override TERMS_BY_ROW: u32 = 0u;
override TERMS_BY_COLUMN: u32 = 0u;

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;

// Rows are padded: 16 writers in a column then meet different banks.
var<workgroup> tile_a: array<vec4<f32>, 272>;
var<workgroup> tile_b: array<vec4<f32>, 272>;

@compute @workgroup_size(256)
fn tiled(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) local: u32) {
    let index = group.y * groups.x + group.x;
    if (index >= job.sizes.w) { return; }
    let m = job.sizes.x;
    let n = job.sizes.y;
    let column = (index % job.tiles.y) * 64u;
    let row = (index / job.tiles.y % job.tiles.x) * 64u;
    let part = index / (job.tiles.y * job.tiles.x);
    let first = (part % job.tiles.z) * job.tiles.w;
    let last = min(job.sizes.z, first + job.tiles.w);
    let low = local % 16u;
    let high = local / 16u;
    // Which term of a step this invocation loads, and for which four rows and columns.
    let term_a = select(high, low, TERMS_BY_ROW == 1u);
    let quad_a = select(low, high, TERMS_BY_ROW == 1u);
    let term_b = select(high, low, TERMS_BY_COLUMN == 1u);
    let quad_b = select(low, high, TERMS_BY_COLUMN == 1u);
    prepare(part / job.tiles.z, row + 4u * quad_a, column + 4u * quad_b);

    var sum: array<vec4<f32>, 4>;
    for (var i = 0u; i < 4u; i++) { sum[i] = vec4<f32>(0.0); }
    for (var k = first; k < last; k += 16u) {
        var x = vec4<f32>(0.0);
        var y = vec4<f32>(0.0);
        if (k + term_a < last) { x = load_rows(k + term_a); }
        if (k + term_b < last) { y = load_columns(k + term_b); }
        workgroupBarrier();
        tile_a[term_a * 17u + quad_a] = x;
        tile_b[term_b * 17u + quad_b] = y;
        workgroupBarrier();
        for (var i = 0u; i < 16u; i++) {
            let p = tile_a[i * 17u + high];
            let q = tile_b[i * 17u + low];
            sum[0] += p.x * q;
            sum[1] += p.y * q;
            sum[2] += p.z * q;
            sum[3] += p.w * q;
        }
    }
    for (var i = 0u; i < 4u; i++) {
        let r = row + 4u * high + i;
        if (r >= m) { break; }
        let at = (part * m + r) * n;
        for (var j = 0u; j < 4u; j++) {
            let c = column + 4u * low + j;
            if (c < n) { output[at + c] = finish(sum[i][j], c); }
        }
    }
}
