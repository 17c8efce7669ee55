// Writes of many agents to the slots of a memory, and their gradient. One workgroup a lane: agents go in order, the
// invocations of the group share the features of a slot. Limited by memory, and by the order where lanes are few.

struct Job {
    // Slots, features, agents, lanes.
    sizes: vec4<u32>,
    // Dimensions of lanes, the threshold by its bits.
    more: vec4<u32>,
    // For each dimension of lanes, outermost first: size, strides of memory, importances and candidates; strides of gates
    // and candidates' importances.
    lanes: array<vec4<u32>, 16>,
}
@group(0) @binding(8) var<uniform> job: Job;

var<private> at_memory: u32;
var<private> at_ranks: u32;
var<private> at_candidates: u32;
var<private> at_gates: u32;
var<private> at_importances: u32;

fn find_lane(lane: u32) {
    at_memory = 0u;
    at_ranks = 0u;
    at_candidates = 0u;
    at_gates = 0u;
    at_importances = 0u;
    var rest = lane;
    for (var d = job.more.x; d > 0u; d--) {
        let a = job.lanes[2u * d - 2u];
        let b = job.lanes[2u * d - 1u];
        let i = rest % a.x;
        rest /= a.x;
        at_memory += i * a.y;
        at_ranks += i * a.z;
        at_candidates += i * a.w;
        at_gates += i * b.x;
        at_importances += i * b.y;
    }
}

@group(0) @binding(0) var<storage, read> memory: array<f32>;
@group(0) @binding(1) var<storage, read> ranks: array<f32>;
@group(0) @binding(2) var<storage, read> candidates: array<f32>;
@group(0) @binding(3) var<storage, read> gates: array<f32>;
@group(0) @binding(4) var<storage, read> importances: array<f32>;
@group(0) @binding(5) var<storage, read_write> new_memory: array<f32>;
@group(0) @binding(6) var<storage, read_write> new_ranks: array<f32>;
@group(0) @binding(7) var<storage, read_write> taken: array<u32>;

var<workgroup> best: array<f32, 64>;
var<workgroup> place: array<u32, 64>;

@compute @workgroup_size(64)
fn write(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) local: u32) {
    let lane = group.y * groups.x + group.x;
    if (lane >= job.sizes.w) { return; }
    find_lane(lane);
    let slots = job.sizes.x;
    let features = job.sizes.y;
    let agents = job.sizes.z;
    let threshold = bitcast<f32>(job.more.y);
    // An invocation only ever touches its own features, and its own importances.
    for (var j = 0u; j < slots; j++) {
        for (var d = local; d < features; d += 64u) {
            new_memory[(lane * slots + j) * features + d] = memory[at_memory + j * features + d];
        }
    }
    for (var j = local; j < slots; j += 64u) { new_ranks[lane * slots + j] = ranks[at_ranks + j]; }
    for (var i = 0u; i < agents; i++) {
        // The first of the least among an invocation's slots, then among all.
        var least = 0.0;
        var at = slots;
        for (var j = local; j < slots; j += 64u) {
            let rank = new_ranks[lane * slots + j];
            if (at == slots || rank < least) {
                least = rank;
                at = j;
            }
        }
        workgroupBarrier();
        best[local] = least;
        place[local] = at;
        for (var half = 32u; half > 0u; half /= 2u) {
            workgroupBarrier();
            if (local < half) {
                let other = place[local + half];
                let value = best[local + half];
                let own = place[local];
                if (other < slots
                    && (own == slots || value < best[local] || (value == best[local] && other < own))) {
                    best[local] = value;
                    place[local] = other;
                }
            }
        }
        workgroupBarrier();
        let gate = gates[at_gates + i];
        let slot = select(slots, place[0], gate > threshold);
        if (local == 0u) { taken[lane * agents + i] = slot; }
        if (slot < slots) {
            for (var d = local; d < features; d += 64u) {
                let row = (lane * slots + slot) * features + d;
                new_memory[row] = (1.0 - gate) * new_memory[row] + gate * candidates[at_candidates + i * features + d];
            }
            if (local == slot % 64u) {
                let rank = lane * slots + slot;
                new_ranks[rank] = (1.0 - gate) * new_ranks[rank] + gate * importances[at_importances + i];
            }
        }
    }
}

// The gradient, first part: what importance each agent found in its slot.
@group(0) @binding(1) var<storage, read> found_ranks: array<f32>;
@group(0) @binding(2) var<storage, read> found_gates: array<f32>;
@group(0) @binding(3) var<storage, read> found_importances: array<f32>;
@group(0) @binding(4) var<storage, read> found_taken: array<u32>;
@group(0) @binding(5) var<storage, read_write> work_ranks: array<f32>;
@group(0) @binding(6) var<storage, read_write> found: array<f32>;

@compute @workgroup_size(64)
fn replay(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
          @builtin(local_invocation_index) local: u32) {
    let lane = (group.y * groups.x + group.x) * 64u + local;
    if (lane >= job.sizes.w) { return; }
    find_lane(lane);
    let slots = job.sizes.x;
    let agents = job.sizes.z;
    for (var j = 0u; j < slots; j++) { work_ranks[lane * slots + j] = found_ranks[at_ranks + j]; }
    for (var i = 0u; i < agents; i++) {
        let slot = found_taken[lane * agents + i];
        if (slot >= slots) { continue; }
        let gate = found_gates[at_gates + i];
        let rank = work_ranks[lane * slots + slot];
        found[lane * agents + i] = rank;
        work_ranks[lane * slots + slot] = (1.0 - gate) * rank + gate * found_importances[at_importances + i];
    }
}

// Second part: memory and candidates. `of_candidates` first holds what each agent found in its slot.
@group(0) @binding(1) var<storage, read> back_candidates: array<f32>;
@group(0) @binding(2) var<storage, read> back_gates: array<f32>;
@group(0) @binding(3) var<storage, read> back_taken: array<u32>;
@group(0) @binding(4) var<storage, read> back_cotangent: array<f32>;
@group(0) @binding(5) var<storage, read_write> of_memory: array<f32>;
@group(0) @binding(6) var<storage, read_write> of_candidates: array<f32>;
@group(0) @binding(7) var<storage, read_write> products: array<f32>;

@compute @workgroup_size(64)
fn back(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let lane = group.y * groups.x + group.x;
    if (lane >= job.sizes.w) { return; }
    find_lane(lane);
    let slots = job.sizes.x;
    let features = job.sizes.y;
    let agents = job.sizes.z;
    for (var j = 0u; j < slots; j++) {
        for (var d = local; d < features; d += 64u) {
            of_memory[(lane * slots + j) * features + d] = memory[at_memory + j * features + d];
        }
    }
    for (var i = 0u; i < agents; i++) {
        let slot = back_taken[lane * agents + i];
        if (slot >= slots) { continue; }
        let gate = back_gates[at_gates + i];
        for (var d = local; d < features; d += 64u) {
            let row = (lane * slots + slot) * features + d;
            of_candidates[(lane * agents + i) * features + d] = of_memory[row];
            of_memory[row] = (1.0 - gate) * of_memory[row] + gate * back_candidates[at_candidates + i * features + d];
        }
    }
    for (var j = 0u; j < slots; j++) {
        for (var d = local; d < features; d += 64u) {
            let row = (lane * slots + j) * features + d;
            of_memory[row] = back_cotangent[row];
        }
    }
    for (var i = agents; i > 0u; i--) {
        let agent = lane * agents + i - 1u;
        let slot = back_taken[agent];
        var sum = 0.0;
        for (var d = local; d < features; d += 64u) {
            let at = agent * features + d;
            if (slot < slots) {
                let gate = back_gates[at_gates + i - 1u];
                let row = (lane * slots + slot) * features + d;
                let c = of_memory[row];
                sum += c * (back_candidates[at_candidates + (i - 1u) * features + d] - of_candidates[at]);
                of_candidates[at] = gate * c;
                of_memory[row] = (1.0 - gate) * c;
            } else {
                of_candidates[at] = 0.0;
            }
        }
        workgroupBarrier();
        best[local] = sum;
        for (var half = 32u; half > 0u; half /= 2u) {
            workgroupBarrier();
            if (local < half) { best[local] += best[local + half]; }
        }
        if (local == 0u) { products[agent] = best[0]; }
    }
}

// Third part: importances and gates. `of_importances` comes in as what each agent found.
@group(0) @binding(0) var<storage, read> last_gates: array<f32>;
@group(0) @binding(1) var<storage, read> last_importances: array<f32>;
@group(0) @binding(2) var<storage, read> last_taken: array<u32>;
@group(0) @binding(3) var<storage, read> last_cotangent: array<f32>;
@group(0) @binding(4) var<storage, read> last_products: array<f32>;
@group(0) @binding(5) var<storage, read_write> of_ranks: array<f32>;
@group(0) @binding(6) var<storage, read_write> of_gates: array<f32>;
@group(0) @binding(7) var<storage, read_write> of_importances: array<f32>;

@compute @workgroup_size(64)
fn last(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let lane = (group.y * groups.x + group.x) * 64u + local;
    if (lane >= job.sizes.w) { return; }
    find_lane(lane);
    let slots = job.sizes.x;
    let agents = job.sizes.z;
    for (var j = 0u; j < slots; j++) { of_ranks[lane * slots + j] = last_cotangent[lane * slots + j]; }
    for (var i = agents; i > 0u; i--) {
        let agent = lane * agents + i - 1u;
        let slot = last_taken[agent];
        if (slot >= slots) {
            of_gates[agent] = 0.0;
            of_importances[agent] = 0.0;
            continue;
        }
        let gate = last_gates[at_gates + i - 1u];
        let e = of_ranks[lane * slots + slot];
        of_gates[agent] = last_products[agent]
            + e * (last_importances[at_importances + i - 1u] - of_importances[agent]);
        of_importances[agent] = gate * e;
        of_ranks[lane * slots + slot] = (1.0 - gate) * e;
    }
}
