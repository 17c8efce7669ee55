// Sums and extremes of rows of integers: one workgroup a row. Limited by memory: one read of four bytes an element.

// 0: sum. 1: maximum. 2: minimum.
override KIND: u32 = 0u;
override SIGNED: u32 = 0u;

struct Job {
    rows: u32,
    n: u32,
}
@group(0) @binding(0) var<storage, read> operand: array<u32>;
@group(0) @binding(1) var<storage, read_write> output: array<u32>;
@group(0) @binding(2) var<uniform> job: Job;
var<workgroup> partial: array<u32, 256>;

// Signed numbers with the sign turned are in the order of unsigned ones.
fn key(x: u32) -> u32 {
    return select(x, x ^ 0x80000000u, SIGNED != 0u);
}

fn fold(a: u32, b: u32) -> u32 {
    if (KIND == 0u) { return a + b; }
    let larger = key(b) > key(a);
    return select(a, b, larger == (KIND == 1u));
}

@compute @workgroup_size(256)
fn reduce(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
          @builtin(local_invocation_index) local: u32) {
    let row = group.y * groups.x + group.x;
    let inside = row < job.rows;
    var total = 0u;
    if (inside && local < job.n) {
        let start = row * job.n;
        total = operand[start + local];
        for (var i = local + 256u; i < job.n; i += 256u) {
            total = fold(total, operand[start + i]);
        }
    }
    partial[local] = total;
    for (var half = 128u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (local < half && local + half < job.n) {
            partial[local] = fold(partial[local], partial[local + half]);
        }
    }
    if (inside && local == 0u) { output[row] = partial[0]; }
}
