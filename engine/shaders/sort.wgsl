// Bitonic sorting of rows by keys, with places to tell equal keys apart. A pass over all elements reads and writes 16
// bytes a pair; blocks that fit a workgroup's memory need one read and one write for all their steps.

// 0: floats. 1: u32. 2: i32.
override KIND: u32 = 0u;
override DESCENDING: u32 = 0u;

struct Job {
    rows: u32,
    n: u32,
    // Elements of a row with those that fill it up: a power of two.
    padded: u32,
    // Sorted runs after this pass have `k` elements; those that are compared lie `j` apart.
    k: u32,
    j: u32,
}
const BLOCK = 1024u;
var<workgroup> keys: array<u32, 1024>;
var<workgroup> places: array<u32, 1024>;

@group(0) @binding(0) var<storage, read> operand: array<u32>;
@group(0) @binding(1) var<storage, read_write> output: array<u32>;
@group(0) @binding(2) var<uniform> job: Job;

// sort_blocks: operand -> all_keys, all_places.
@group(0) @binding(1) var<storage, read_write> block_keys: array<u32>;
@group(0) @binding(2) var<storage, read_write> block_places: array<u32>;
@group(0) @binding(3) var<uniform> block_job: Job;

// exchange, merge_blocks: in place.
@group(0) @binding(0) var<storage, read_write> all_keys: array<u32>;
@group(0) @binding(1) var<storage, read_write> all_places: array<u32>;

// finish: places -> output.
@group(0) @binding(0) var<storage, read> sorted: array<u32>;

// A number in whose order the elements are: NaN is above all numbers, both zeros are equal.
fn key(bits: u32) -> u32 {
    var k = bits;
    if (KIND == 0u) {
        if ((bits & 0x7fffffffu) > 0x7f800000u) {
            k = 0xffffffffu;
        } else if (bits == 0x80000000u) {
            k = 0x80000000u;
        } else {
            k = select(bits | 0x80000000u, ~bits, (bits >> 31u) != 0u);
        }
    } else if (KIND == 2u) {
        k = bits ^ 0x80000000u;
    }
    return select(k, ~k, DESCENDING != 0u);
}

// Compares and exchanges pairs of the workgroup's `size` elements, the first of which is element `base` of its row.
fn step(local: u32, size: u32, base: u32, k: u32, j: u32) {
    for (var p = local; p < size / 2u; p += 256u) {
        let i = 2u * j * (p / j) + p % j;
        let l = i + j;
        let rising = ((base + i) & k) == 0u;
        let after = keys[l] < keys[i] || (keys[l] == keys[i] && places[l] < places[i]);
        if (after == rising) {
            let a = keys[i];
            let b = places[i];
            keys[i] = keys[l];
            places[i] = places[l];
            keys[l] = a;
            places[l] = b;
        }
    }
    workgroupBarrier();
}

fn sort_in_group(local: u32, size: u32, base: u32) {
    workgroupBarrier();
    for (var k = 2u; k <= size; k *= 2u) {
        for (var j = k / 2u; j > 0u; j /= 2u) {
            step(local, size, base, k, j);
        }
    }
}

// One workgroup a row of at most a block.
@compute @workgroup_size(256)
fn sort_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
             @builtin(local_invocation_index) local: u32) {
    let row = group.y * groups.x + group.x;
    for (var i = local; i < job.padded; i += 256u) {
        keys[i] = 0xffffffffu;
        places[i] = i;
        if (row < job.rows && i < job.n) { keys[i] = key(operand[row * job.n + i]); }
    }
    sort_in_group(local, job.padded, 0u);
    if (row >= job.rows) { return; }
    for (var i = local; i < job.n; i += 256u) {
        output[row * job.n + i] = places[i];
    }
}

// One workgroup a block of a longer row; blocks rise and fall in turns.
@compute @workgroup_size(256)
fn sort_blocks(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
               @builtin(local_invocation_index) local: u32) {
    let block = group.y * groups.x + group.x;
    let start = block * BLOCK;
    let row = start / block_job.padded;
    let base = start % block_job.padded;
    for (var i = local; i < BLOCK; i += 256u) {
        keys[i] = 0xffffffffu;
        places[i] = base + i;
        if (row < block_job.rows && base + i < block_job.n) {
            keys[i] = key(operand[row * block_job.n + base + i]);
        }
    }
    sort_in_group(local, BLOCK, base);
    if (row >= block_job.rows) { return; }
    for (var i = local; i < BLOCK; i += 256u) {
        block_keys[start + i] = keys[i];
        block_places[start + i] = places[i];
    }
}

// One invocation a pair, of elements further apart than a block is long.
@compute @workgroup_size(256)
fn exchange(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
            @builtin(local_invocation_index) local: u32) {
    let pair = (group.y * groups.x + group.x) * 256u + local;
    if (pair >= job.rows * (job.padded / 2u)) { return; }
    let i = 2u * job.j * (pair / job.j) + pair % job.j;
    let l = i + job.j;
    // Rows are multiples of 2 k long, or one run of k.
    let rising = ((i % job.padded) & job.k) == 0u;
    let first = all_keys[i];
    let second = all_keys[l];
    let first_place = all_places[i];
    let second_place = all_places[l];
    let after = second < first || (second == first && second_place < first_place);
    if (after == rising) {
        all_keys[i] = second;
        all_places[i] = second_place;
        all_keys[l] = first;
        all_places[l] = first_place;
    }
}

// One workgroup a block: the steps that remain within it.
@compute @workgroup_size(256)
fn merge_blocks(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                @builtin(local_invocation_index) local: u32) {
    let block = group.y * groups.x + group.x;
    let start = block * BLOCK;
    let inside = start / job.padded < job.rows;
    for (var i = local; i < BLOCK; i += 256u) {
        keys[i] = 0u;
        places[i] = i;
        if (inside) {
            keys[i] = all_keys[start + i];
            places[i] = all_places[start + i];
        }
    }
    workgroupBarrier();
    for (var j = BLOCK / 2u; j > 0u; j /= 2u) {
        step(local, BLOCK, start % job.padded, job.k, j);
    }
    if (!inside) { return; }
    for (var i = local; i < BLOCK; i += 256u) {
        all_keys[start + i] = keys[i];
        all_places[start + i] = places[i];
    }
}

@compute @workgroup_size(256)
fn finish(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
          @builtin(local_invocation_index) local: u32) {
    let i = (group.y * groups.x + group.x) * 256u + local;
    if (i >= job.rows * job.n) { return; }
    output[i] = sorted[i / job.n * job.padded + i % job.n];
}
