// group_tree.wgsl for devices with subgroup operations: registers are added within a subgroup, and one number of each
// subgroup goes through workgroup memory. Two barriers instead of two and the logarithm of GROUP.

struct Invocation {
    @builtin(local_invocation_index) local: u32,
    @builtin(subgroup_invocation_id) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
}

// One for each subgroup would do, but how many there are is known on the device only.
var<workgroup> partial: array<f32, GROUP>;

// The row of an invocation, its place among those that share the row, and how many they are.
fn row_of(group: vec3<u32>, groups: vec3<u32>, own: Invocation) -> u32 { return group.y * groups.x + group.x; }

fn place(own: Invocation) -> u32 { return own.local; }

fn places(own: Invocation) -> u32 { return GROUP; }

// The sum of everybody's `value`, known to all. Everybody must call it. The barrier stands first: callers come out of loops
// that end for each invocation at another time, and a subgroup operation counts those alone that have arrived.
fn sum_of_group(value: f32, own: Invocation) -> f32 {
    workgroupBarrier();
    let sum = subgroupAdd(value);
    if (own.lane == 0u) { partial[own.subgroup] = sum; }
    workgroupBarrier();
    var total = 0.0;
    for (var i = 0u; i < own.subgroups; i++) { total += partial[i]; }
    return total;
}

fn largest_of_group(value: f32, own: Invocation) -> f32 {
    workgroupBarrier();
    let largest = subgroupMax(value);
    if (own.lane == 0u) { partial[own.subgroup] = largest; }
    workgroupBarrier();
    var total = partial[0];
    for (var i = 1u; i < own.subgroups; i++) { total = max(total, partial[i]); }
    return total;
}
