// Stands in front of kernels that give a row to a workgroup of GROUP invocations (a power of two): sums over them, by a
// tree in workgroup memory. group_subgroups.wgsl is the same for devices with subgroup operations.

struct Invocation {
    @builtin(local_invocation_index) local: u32,
}

var<workgroup> partial: array<f32, GROUP>;

// The row of an invocation, its place among those that share the row, and how many they are.
fn row_of(group: vec3<u32>, groups: vec3<u32>, own: Invocation) -> u32 { return group.y * groups.x + group.x; }

fn place(own: Invocation) -> u32 { return own.local; }

fn places(own: Invocation) -> u32 { return GROUP; }

// The sum of everybody's `value`, known to all. Everybody must call it.
fn sum_of_group(value: f32, own: Invocation) -> f32 {
    workgroupBarrier();
    partial[own.local] = value;
    for (var half = GROUP / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (own.local < half) { partial[own.local] += partial[own.local + half]; }
    }
    workgroupBarrier();
    return partial[0];
}

fn largest_of_group(value: f32, own: Invocation) -> f32 {
    workgroupBarrier();
    partial[own.local] = value;
    for (var half = GROUP / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (own.local < half) { partial[own.local] = max(partial[own.local], partial[own.local + half]); }
    }
    workgroupBarrier();
    return partial[0];
}
