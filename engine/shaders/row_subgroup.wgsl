// Stands in front of the kernels of group_subgroups.wgsl where rows are so short that a subgroup is enough for one: a
// workgroup has as many rows as subgroups, and nothing goes through workgroup memory.

struct Invocation {
    @builtin(subgroup_invocation_id) lane: u32,
    @builtin(subgroup_size) size: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
}

fn row_of(group: vec3<u32>, groups: vec3<u32>, own: Invocation) -> u32 {
    return (group.y * groups.x + group.x) * own.subgroups + own.subgroup;
}

fn place(own: Invocation) -> u32 { return own.lane; }

fn places(own: Invocation) -> u32 { return own.size; }

// Over those that share a row. The barrier is there as in group_subgroups.wgsl.
fn sum_of_group(value: f32, own: Invocation) -> f32 {
    workgroupBarrier();
    return subgroupAdd(value);
}

fn largest_of_group(value: f32, own: Invocation) -> f32 {
    workgroupBarrier();
    return subgroupMax(value);
}
