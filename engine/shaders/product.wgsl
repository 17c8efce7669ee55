// What the kernels of all products share: sizes, the bias, the output and how a sum becomes an element of it. The two
// matrices are declared by the file that this one is joined with.

// 1 where there is a bias. Then the activation: 0 none, 1 relu, 2 tanh, 3 sigmoid, 4 gelu.
override BIAS: u32 = 0u;
override ACTIVATION: u32 = 0u;

struct Job {
    // m, n, k, and tiles or elements in all.
    sizes: vec4<u32>,
    // Tiles down, tiles across, splits of k, terms of a split.
    tiles: vec4<u32>,
    // What the file joined with this one needs.
    own: array<vec4<u32>, 8>,
}
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> output: array<f32>;
@group(0) @binding(4) var<uniform> job: Job;

fn finish(value: f32, column: u32) -> f32 {
    var x = value;
    if (BIAS == 1u) { x += bias[column]; }
    // Not `max`, which may take the 0 where x is NaN.
    if (ACTIVATION == 1u) { x = select(x, 0.0, x <= 0.0); }
    if (ACTIVATION == 2u) { x = tanh_(x); }
    if (ACTIVATION == 3u) { x = sigmoid_(x); }
    if (ACTIVATION == 4u) { x = gelu_(x); }
    return x;
}
