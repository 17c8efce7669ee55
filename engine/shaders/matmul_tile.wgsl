// Products cut into tiles. A template, joined with matmul.wgsl; src/op/matmul/gpu.rs says which tiles there are, and
// what they cost.
//
// ACROSS x DOWN invocations compute a tile of 4 QUADS ACROSS columns and 4 QUADS DOWN rows, each of them QUADS x QUADS
// blocks of 4 x 4 in registers, in steps of STEP terms held in workgroup memory; a workgroup takes as many tiles of
// neighbouring lanes as LANES says. The loads of the next step are under way while one is computed. A tile holds an
// operand as it lies in memory: vectors of four terms of a row (column), or of four rows (columns) of a term, so that
// whatever is transposed, all loads and stores are vectors.

const SIDE_a = 4u * QUADS * DOWN;
const SIDE_b = 4u * QUADS * ACROSS;
const INVOCATIONS = ACROSS * DOWN;
// Vectors of terms in a step, and those from line to line: odd, so that neighbouring lines meet different banks.
const TERMS = STEP / 4u;
const PITCH = TERMS + 1u;
//@if a_by_terms
const SIZE_A = SIDE_a * PITCH;
//@else
const SIZE_A = SIDE_a * TERMS;
//@end
//@if b_by_terms
const SIZE_B = SIDE_b * PITCH;
//@else
const SIZE_B = SIDE_b * TERMS;
//@end

var<workgroup> tile_a: array<vec4<f32>, SIZE_A * LANES>;
var<workgroup> tile_b: array<vec4<f32>, SIZE_B * LANES>;

// The first row and column of the tile, and where rows, columns and terms end.
var<private> first_row: u32;
var<private> first_column: u32;
var<private> rows: u32;
var<private> columns: u32;
var<private> last: u32;
// The first element of the output's part.
var<private> first_output: u32;

//@if a_by_terms
fn load_a(i: u32, k: u32) -> vec4<f32> {
    return fetch_a(first_row + i / TERMS, k + 4u * (i % TERMS), vec2<u32>(rows, last));
}
fn place_a(i: u32) -> u32 { return (i / TERMS) * PITCH + i % TERMS; }
//@else
fn load_a(i: u32, k: u32) -> vec4<f32> {
    return fetch_a(k + i / (QUADS * DOWN), first_row + 4u * (i % (QUADS * DOWN)), vec2<u32>(last, rows));
}
fn place_a(i: u32) -> u32 { return i; }
//@end
//@if b_by_terms
fn load_b(i: u32, k: u32) -> vec4<f32> {
    return fetch_b(first_column + i / TERMS, k + 4u * (i % TERMS), vec2<u32>(columns, last));
}
fn place_b(i: u32) -> u32 { return (i / TERMS) * PITCH + i % TERMS; }
//@else
fn load_b(i: u32, k: u32) -> vec4<f32> {
    return fetch_b(k + i / (QUADS * ACROSS), first_column + 4u * (i % (QUADS * ACROSS)), vec2<u32>(last, columns));
}
fn place_b(i: u32) -> u32 { return i; }
//@end

// Writes four elements of a row, `STRIDE` columns apart.
//@if b_by_terms
const STRIDE = ACROSS;
//@else
const STRIDE = 1u;
//@end
//@if out_vector
@group(0) @binding(3) var<storage, read_write> output_vectors: array<vec4<f32>>;
fn put(row: u32, column: u32, x: vec4<f32>) {
    if (row >= rows || column >= columns) { return; }
    output_vectors[(first_output + row * columns + column) / 4u] = vec4<f32>(finish(x.x, column),
        finish(x.y, column + 1u), finish(x.z, column + 2u), finish(x.w, column + 3u));
}
//@else
fn put(row: u32, column: u32, x: vec4<f32>) {
    if (row >= rows) { return; }
    let at = first_output + row * columns;
//@each j 4
    if (column + $ju * STRIDE < columns) {
        output[at + column + $ju * STRIDE] = finish(x[$j], column + $ju * STRIDE);
    }
//@end
}
//@end

@compute @workgroup_size(INVOCATIONS * LANES)
fn tile(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let index = group.y * groups.x + group.x;
    if (index >= job.sizes.w) { return; }
    let slot = local % INVOCATIONS;
    let low = slot % ACROSS;
    let high = slot / ACROSS;
    let base_a = local / INVOCATIONS * SIZE_A;
    let base_b = local / INVOCATIONS * SIZE_B;
    let part = index / (job.tiles.x * job.tiles.y);
    let split = part % job.tiles.z;
    let lane = part / job.tiles.z * LANES + local / INVOCATIONS;
    find_lane(lane);
    // A lane beyond the last has no elements.
    let there = lane < job.own[0].z;
    rows = select(0u, job.sizes.x, there);
    columns = select(0u, job.sizes.y, there);
    first_row = (index / job.tiles.y % job.tiles.x) * SIDE_a;
    first_column = (index % job.tiles.y) * SIDE_b;
    first_output = (lane * job.tiles.z + split) * rows * columns;
    let first = split * job.tiles.w;
    let end = min(job.sizes.z, first + job.tiles.w);
    last = end;

//@each g QUADS
//@each i 4
//@each h QUADS
    var s$g$i_$h = vec4<f32>(0.0);
//@end
//@end
//@end
//@each o a,b
//@each u loads_$o
    var next_$o$u = load_$o(slot + $uu * INVOCATIONS, first);
//@end
//@end
    for (var k = first; k < end; k += STEP) {
        workgroupBarrier();
//@each o a,b
//@each u loads_$o
//@if $o_partly
        // There are fewer vectors than invocations.
        if (slot + $uu * INVOCATIONS < SIDE_$o * TERMS) {
            tile_$o[base_$o + place_$o(slot + $uu * INVOCATIONS)] = next_$o$u;
        }
//@else
        tile_$o[base_$o + place_$o(slot + $uu * INVOCATIONS)] = next_$o$u;
//@end
//@end
//@end
        workgroupBarrier();
        if (k + STEP < end) {
//@each o a,b
//@each u loads_$o
            next_$o$u = load_$o(slot + $uu * INVOCATIONS, k + STEP);
//@end
//@end
        }
        for (var t = 0u; t < TERMS; t++) {
            // y(j)_(h): the columns of block h at the j-th of four terms.
//@each h QUADS
//@if b_by_terms
//@each c 4
            let z$h_$c = tile_b[base_b + (low + ACROSS * (4u * $hu + $cu)) * PITCH + t];
//@end
//@each j 4
            let y$j_$h = vec4<f32>(z$h_0[$j], z$h_1[$j], z$h_2[$j], z$h_3[$j]);
//@end
//@else
//@each j 4
            let y$j_$h = tile_b[base_b + ((4u * t + $ju) * QUADS + $hu) * ACROSS + low];
//@end
//@end
//@end
//@if a_by_terms
//@each g QUADS
//@each i 4
            let x$g$i = tile_a[base_a + (high + DOWN * (4u * $gu + $iu)) * PITCH + t];
//@each j 4
//@each h QUADS
            s$g$i_$h += x$g$i[$j] * y$j_$h;
//@end
//@end
//@end
//@end
//@else
//@each j 4
//@each g QUADS
            let x$j$g = tile_a[base_a + ((4u * t + $ju) * QUADS + $gu) * DOWN + high];
//@each i 4
//@each h QUADS
            s$g$i_$h += x$j$g[$i] * y$j_$h;
//@end
//@end
//@end
//@end
//@end
        }
    }
//@each g QUADS
//@each i 4
//@if a_by_terms
    let row_$g$i = first_row + high + DOWN * (4u * $gu + $iu);
//@else
    let row_$g$i = first_row + 4u * (high + DOWN * $gu) + $iu;
//@end
//@each h QUADS
//@if b_by_terms
    put(row_$g$i, first_column + low + ACROSS * 4u * $hu, s$g$i_$h);
//@else
    put(row_$g$i, first_column + 4u * (low + ACROSS * $hu), s$g$i_$h);
//@end
//@end
//@end
//@end
}
