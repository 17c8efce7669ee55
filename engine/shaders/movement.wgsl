// Ops that move elements of four bytes and compute nothing. All are limited by memory: one read and one write of four
// bytes an element.

@group(0) @binding(0) var<storage, read> operand: array<u32>;
@group(0) @binding(1) var<storage, read_write> output: array<u32>;
@group(0) @binding(2) var<uniform> elements: u32;

@compute @workgroup_size(256)
fn copy(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let i = (group.y * groups.x + group.x) * 256u + local;
    if (i >= elements) { return; }
    output[i] = operand[i];
}

struct Strided {
    elements: u32,
    input_start: u32,
    output_start: u32,
    rank: u32,
    // Size, input stride, output stride.
    dimensions: array<vec4<u32>, 16>,
}
@group(0) @binding(2) var<uniform> strides: Strided;

@compute @workgroup_size(256)
fn strided(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) local: u32) {
    let i = (group.y * groups.x + group.x) * 256u + local;
    if (i >= strides.elements) { return; }
    var rest = i;
    var at = strides.input_start;
    var to = strides.output_start;
    for (var d = strides.rank; d > 0u; d--) {
        let dimension = strides.dimensions[d - 1u];
        let coordinate = rest % dimension.x;
        rest /= dimension.x;
        at += coordinate * dimension.y;
        to += coordinate * dimension.z;
    }
    output[to] = operand[at];
}

struct Pad {
    elements: u32,
    // Elements below one step along the padded axis.
    inner: u32,
    before: u32,
    // Sizes along the axis, before and after padding.
    length: u32,
    padded: u32,
}
@group(0) @binding(2) var<uniform> padding: Pad;

@compute @workgroup_size(256)
fn pad(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
       @builtin(local_invocation_index) local: u32) {
    let i = (group.y * groups.x + group.x) * 256u + local;
    if (i >= padding.elements) { return; }
    let column = i % padding.inner;
    let row = i / padding.inner;
    let along = row % padding.padded - padding.before; // wraps below `before`, and is then too large
    let outer = row / padding.padded;
    var value = 0u;
    if (along < padding.length) {
        value = operand[(outer * padding.length + along) * padding.inner + column];
    }
    output[i] = value;
}

struct Transpose {
    batches: u32,
    // Of the operand: rows of `columns` elements.
    rows: u32,
    columns: u32,
    tiles: u32,
}
@group(0) @binding(2) var<uniform> matrices: Transpose;
var<workgroup> tile: array<u32, 1056>;

// Matrices one after another, each transposed by tiles of 32 x 32 so that both sides are read and written in rows.
@compute @workgroup_size(256)
fn transpose(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
             @builtin(local_invocation_index) local: u32) {
    let index = group.y * groups.x + group.x;
    let across = (matrices.columns + 31u) / 32u;
    let down = (matrices.rows + 31u) / 32u;
    let batch = index / (across * down);
    let within = index % (across * down);
    let row = within / across * 32u;
    let column = within % across * 32u;
    let base = batch * matrices.rows * matrices.columns;
    let x = local % 32u;
    let inside = index < matrices.tiles;
    for (var y = local / 32u; y < 32u; y += 8u) {
        if (inside && row + y < matrices.rows && column + x < matrices.columns) {
            tile[y * 33u + x] = operand[base + (row + y) * matrices.columns + column + x];
        }
    }
    workgroupBarrier();
    for (var y = local / 32u; y < 32u; y += 8u) {
        if (inside && column + y < matrices.columns && row + x < matrices.rows) {
            output[base + (column + y) * matrices.rows + row + x] = tile[x * 33u + y];
        }
    }
}
