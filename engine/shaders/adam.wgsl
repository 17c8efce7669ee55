// One Adam step, one invocation an element. Limit: memory, 28 bytes an element (four reads, three writes) for about
// 12 operations.

struct Parameters { elements: u32, lane: u32, stride: u32 }

@group(0) @binding(0) var<storage, read> parameters: array<f32>;
@group(0) @binding(1) var<storage, read> gradient: array<f32>;
@group(0) @binding(2) var<storage, read> first: array<f32>;
@group(0) @binding(3) var<storage, read> second: array<f32>;
@group(0) @binding(4) var<storage, read> scalars: array<f32>;
@group(0) @binding(5) var<storage, read_write> new_parameters: array<f32>;
@group(0) @binding(6) var<storage, read_write> new_first: array<f32>;
@group(0) @binding(7) var<storage, read_write> new_second: array<f32>;
@group(0) @binding(8) var<uniform> u: Parameters;

@compute @workgroup_size(256)
fn adam(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let i = (group.y * groups.x + group.x) * 256u + local;
    if (i >= u.elements) { return; }
    let s = (i / u.lane) * u.stride;
    let rate = scalars[s];
    let beta1 = scalars[s + 1u];
    let beta2 = scalars[s + 2u];
    let g = gradient[i];
    let m = beta1 * first[i] + (1.0 - beta1) * g;
    let v = beta2 * second[i] + (1.0 - beta2) * (g * g);
    let root = sqrt(v / scalars[s + 6u]) + scalars[s + 3u];
    new_first[i] = m;
    new_second[i] = v;
    new_parameters[i] = parameters[i] * (1.0 - rate * scalars[s + 4u]) - (rate / scalars[s + 5u]) * (m / root);
}
