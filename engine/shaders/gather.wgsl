// Ops that take indices. Gathering is limited by memory; the sums of scatter_add by reading all indices once a row of
// the output (by whole workgroups, from the cache), which needs no atomics and keeps the order.

// How a batch index is read when leading dimensions are broadcast.
struct Map {
    rank: u32,
    unused_a: u32,
    unused_b: u32,
    unused_c: u32,
    // Size, stride.
    dimensions: array<vec4<u32>, 4>,
}

struct Job {
    elements: u32,
    n: u32,
    features: u32,
    rows: u32,
    values: Map,
    indices: Map,
    // Of scatter_add: the first value of a launch, and the one behind its last.
    piece: vec4<u32>,
}
@group(0) @binding(0) var<storage, read> values: array<u32>;
@group(0) @binding(1) var<storage, read> indices: array<u32>;
@group(0) @binding(2) var<storage, read_write> output: array<u32>;
@group(0) @binding(3) var<uniform> job: Job;

fn value_batch(batch: u32) -> u32 {
    var rest = batch;
    var at = 0u;
    for (var d = job.values.rank; d > 0u; d--) {
        let dimension = job.values.dimensions[d - 1u];
        at += rest % dimension.x * dimension.y;
        rest /= dimension.x;
    }
    return at;
}

fn index_batch(batch: u32) -> u32 {
    var rest = batch;
    var at = 0u;
    for (var d = job.indices.rank; d > 0u; d--) {
        let dimension = job.indices.dimensions[d - 1u];
        at += rest % dimension.x * dimension.y;
        rest /= dimension.x;
    }
    return at;
}

@compute @workgroup_size(256)
fn gather(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
          @builtin(local_invocation_index) local: u32) {
    let i = (group.y * groups.x + group.x) * 256u + local;
    if (i >= job.elements) { return; }
    let feature = i % job.features;
    let position = i / job.features % job.n;
    let batch = i / job.features / job.n;
    let row = min(indices[index_batch(batch) * job.n + position], job.rows - 1u);
    output[i] = values[(value_batch(batch) * job.rows + row) * job.features + feature];
}

var<workgroup> hits: array<atomic<u32>, 8>;

// One workgroup a row of the output and 256 features: 256 indices at a time are compared, and the values of those that
// name the row are added in their order. Launches for pieces of the values add to the same output.
@compute @workgroup_size(256)
fn scatter_add(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
               @builtin(local_invocation_index) local: u32) {
    let bands = (job.features + 255u) / 256u;
    let index = group.y * groups.x + group.x;
    let row = index / bands;
    let feature = index % bands * 256u + local;
    let inside = row < job.elements;
    let batch = select(0u, row / job.rows, inside);
    let wanted = row % job.rows;
    let first = index_batch(batch) * job.n;
    let base = value_batch(batch) * job.n;
    let adds = inside && feature < job.features;
    var total = 0.0;
    if (adds && job.piece.x > 0u) { total = bitcast<f32>(output[row * job.features + feature]); }
    for (var start = job.piece.x; start < job.piece.y; start += 256u) {
        if (local < 8u) { atomicStore(&hits[local], 0u); }
        workgroupBarrier();
        if (start + local < job.piece.y && indices[first + start + local] == wanted) {
            atomicOr(&hits[local / 32u], 1u << (local % 32u));
        }
        workgroupBarrier();
        if (adds) {
            // A large total would swallow values one by one.
            var sum = 0.0;
            for (var word = 0u; word < 8u; word++) {
                var bits = atomicLoad(&hits[word]);
                while (bits != 0u) {
                    let bit = firstTrailingBit(bits);
                    bits &= bits - 1u;
                    let source = base + start + word * 32u + bit;
                    sum += bitcast<f32>(values[source * job.features + feature]);
                }
            }
            total += sum;
        }
        workgroupBarrier();
    }
    if (adds) {
        output[row * job.features + feature] = bitcast<u32>(total);
    }
}

// One element a row of `n` (job.rows): of `values` the one that the index names.
@compute @workgroup_size(256)
fn take_along_last(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                   @builtin(local_invocation_index) local: u32) {
    let i = (group.y * groups.x + group.x) * 256u + local;
    if (i >= job.elements) { return; }
    let at = min(indices[index_batch(i)], job.n - 1u);
    output[i] = values[value_batch(i) * job.n + at];
}

// Its transpose: the value where the index says, 0 elsewhere.
@compute @workgroup_size(256)
fn put_along_last(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                  @builtin(local_invocation_index) local: u32) {
    let i = (group.y * groups.x + group.x) * 256u + local;
    if (i >= job.elements) { return; }
    let row = i / job.n;
    let at = indices[index_batch(row)];
    output[i] = select(0u, values[value_batch(row)], at == i % job.n);
}

struct Rows {
    elements: u32,
    n: u32,
}
@group(0) @binding(0) var<storage, read> operand: array<u32>;
@group(0) @binding(1) var<storage, read_write> result: array<u32>;
@group(0) @binding(2) var<uniform> rows: Rows;

@compute @workgroup_size(256)
fn one_hot(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) local: u32) {
    let i = (group.y * groups.x + group.x) * 256u + local;
    if (i >= rows.elements) { return; }
    result[i] = bitcast<u32>(select(0.0, 1.0, operand[i / rows.n] == i % rows.n));
}

// One invocation a row, which is limited by memory for the few actions of an agent.
@compute @workgroup_size(256)
fn argmax(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
          @builtin(local_invocation_index) local: u32) {
    let row = (group.y * groups.x + group.x) * 256u + local;
    if (row >= rows.elements) { return; }
    result[row] = first_largest(row * rows.n, 0u, 1u);
}

// Of elements `first`, `first + step`, .. of the row at `start`: the first that is the largest. NaN never is.
fn first_largest(start: u32, first: u32, step: u32) -> u32 {
    var best = first;
    var largest = bitcast<f32>(operand[start + first]);
    for (var i = first + step; i < rows.n; i += step) {
        let value = bitcast<f32>(operand[start + i]);
        if (is_larger(value, largest)) {
            largest = value;
            best = i;
        }
    }
    return best;
}

fn is_larger(value: f32, than: f32) -> bool {
    return !is_nan(value) && (is_nan(than) || value > than);
}

var<workgroup> places: array<u32, 256>;

// One workgroup a row, for long ones: the invocations stride through it, then a tree.
@compute @workgroup_size(256)
fn argmax_long(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
               @builtin(local_invocation_index) local: u32) {
    let row = group.y * groups.x + group.x;
    let inside = row < rows.elements;
    let start = select(0u, row * rows.n, inside);
    places[local] = first_largest(start, local, 256u);
    for (var half = 128u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (local < half) {
            let own = places[local];
            let other = places[local + half];
            let a = bitcast<f32>(operand[start + own]);
            let b = bitcast<f32>(operand[start + other]);
            let same = !is_larger(a, b) && !is_larger(b, a);
            if (is_larger(b, a) || (same && other < own)) { places[local] = other; }
        }
    }
    if (inside && local == 0u) { result[row] = places[0]; }
}

// Numbers between the element types.
@compute @workgroup_size(256)
fn f32_of_u32(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) local: u32) {
    let i = (group.y * groups.x + group.x) * 256u + local;
    if (i >= rows.elements) { return; }
    result[i] = bitcast<u32>(f32(operand[i]));
}

@compute @workgroup_size(256)
fn f32_of_i32(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) local: u32) {
    let i = (group.y * groups.x + group.x) * 256u + local;
    if (i >= rows.elements) { return; }
    result[i] = bitcast<u32>(f32(bitcast<i32>(operand[i])));
}

@compute @workgroup_size(256)
fn i32_of_f32(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) local: u32) {
    let i = (group.y * groups.x + group.x) * 256u + local;
    if (i >= rows.elements) { return; }
    let x = bitcast<f32>(operand[i]);
    var value = 0;
    // False for NaN, which becomes 0.
    if (x >= 2147483648.0) {
        value = 0x7fffffff;
    } else if (x > -2147483648.0 && x < 2147483648.0) {
        value = i32(x);
    } else if (x <= -2147483648.0) {
        value = -0x7fffffff - 1;
    }
    result[i] = bitcast<u32>(value);
}

@compute @workgroup_size(256)
fn u32_of_f32(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) local: u32) {
    let i = (group.y * groups.x + group.x) * 256u + local;
    if (i >= rows.elements) { return; }
    let x = bitcast<f32>(operand[i]);
    var value = 0u;
    // False for NaN, which becomes 0.
    if (x >= 4294967296.0) {
        value = 0xffffffffu;
    } else if (x > 0.0) {
        value = u32(x);
    }
    result[i] = value;
}

struct Written {
    elements: u32,
    rows: u32,
    n: u32,
    // Which of the indices this launch looks at.
    first: u32,
    last: u32,
}
@group(0) @binding(2) var<uniform> written: Written;

// The last of the indices that names the row, behind the rows; where none does what launches before have found, at first
// the row itself.
@compute @workgroup_size(256)
fn written_by(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) local: u32) {
    let i = (group.y * groups.x + group.x) * 256u + local;
    if (i >= written.elements) { return; }
    let row = i % written.rows;
    let start = i / written.rows * written.n;
    var by = row;
    if (written.first > 0u) { by = result[i]; }
    for (var k = written.last; k > written.first; k--) {
        if (operand[start + k - 1u] == row) {
            by = written.rows + k - 1u;
            break;
        }
    }
    result[i] = by;
}
