//! Products, convolutions, panels, lists of edges and neighbours of any sizes.

use synod::comm::Neighbours;
use synod::cpu::conv::Conv2d;
use synod::cpu::gemm::{Activation, Batch, Epilogue, Matrix, Panels, gemm_batched};
use synod::cpu::{Parallel, for_each_chunk};
use synod::op::message::Csr;

use crate::{Random, fuzz};

const ACTIVATIONS: [Activation; 5] =
    [Activation::None, Activation::Relu, Activation::Tanh, Activation::Sigmoid, Activation::Gelu];

fn parallel(random: &mut Random) -> Parallel {
    if random.once_in(2) { Parallel::Pool } else { Parallel::Serial }
}

#[test]
fn products() {
    fuzz("products", |random| {
        let size = |random: &mut Random| if random.once_in(6) { random.size() } else { random.below(70) };
        let (m, n, k) = (size(random), size(random), size(random));
        let count = if random.once_in(2) { 1 } else { random.below(5) };
        let stride = |random: &mut Random, usual: usize| match random.below(5) {
            0 => 1,
            1 => random.size(),
            _ => usual,
        };
        let mut step = |usual| stride(random, usual);
        let ((a_row, a_column), (b_row, b_column)) = ((step(k), step(1)), (step(n), step(1)));
        let (ldc, of_a, of_b) = (step(n), step(m.wrapping_mul(k)), step(k.wrapping_mul(n)));
        let of_c = step(m.wrapping_mul(n));
        let batch = Batch { count, a: of_a, b: of_b, c: of_c, bias: random.below(2) * n };
        // Enough for what is usual, so that much of it is computed.
        let room = |x: usize, y: usize| x.saturating_mul(y).saturating_mul(count.max(1)).min(1 << 15);
        let a = random.floats(room(m, k).min(20_000));
        let b = random.floats(room(k, n).min(20_000));
        let mut c = vec![f32::NAN; room(m, n)];
        let bias = random.floats(room(n, 1).min(1000));
        let epilogue =
            Epilogue { bias: random.once_in(2).then_some(&bias[..]), activation: *random.pick(&ACTIVATIONS) };
        let a = Matrix { data: &a, row_stride: a_row, column_stride: a_column };
        let b = Matrix { data: &b, row_stride: b_row, column_stride: b_column };
        let accumulate = random.once_in(2);
        let on = parallel(random);
        let _ = gemm_batched(batch, m, n, k, a, b, &mut c, ldc, accumulate, epilogue, on);
        let mut panels = vec![0.0; Panels::room(k, n).min(1 << 16)];
        if let Ok(panels) = Panels::pack(k, n, b, &mut panels, on) {
            let _ = panels.multiply(m, a, &mut c, ldc, accumulate, epilogue.bias);
        }
        let _ = Panels::of(n, k, &bias).multiply(m, a, &mut c, ldc, accumulate, epilogue.bias);
    });
}

#[test]
fn convolutions() {
    fuzz("convolutions", |random| {
        let mut size = |usual: usize| {
            if random.once_in(16) { random.size() } else { 1 + random.below(usual) }
        };
        let c = Conv2d {
            images: size(9),
            height: size(9),
            width: size(9),
            channels_in: size(5),
            channels_out: size(20),
            kernel: [size(4), size(4)],
            stride: [size(3), size(3)],
            padding: [size(3).saturating_sub(1), size(3).saturating_sub(1)],
        };
        let product = |sizes: &[usize]| sizes.iter().fold(1usize, |all, n| all.saturating_mul(*n));
        let mut array = |sizes: &[usize]| {
            let length = product(sizes).min(1 << 16);
            let length = random.length(length);
            random.floats(length)
        };
        let x = array(&[c.images, c.height, c.width, c.channels_in]);
        let w = array(&[c.kernel[0], c.kernel[1], c.channels_in, c.channels_out]);
        let mut y = array(&[c.images, c.out_height(), c.out_width(), c.channels_out]);
        let bias = array(&[c.channels_out.min(100)]);
        let epilogue =
            Epilogue { bias: random.once_in(2).then_some(&bias[..]), activation: *random.pick(&ACTIVATIONS) };
        let on = parallel(random);
        let _ = c.forward(&x, &w, &mut y, epilogue, on);
        let (mut dx, mut dw) = (x.clone(), w.clone());
        let _ = c.input_gradient(&y, &w, &mut dx, on);
        let _ = c.weight_gradient(&x, &y, &mut dw, on);
    });
}

#[test]
fn edges_and_neighbours() {
    fuzz("edges and neighbours", |random| {
        let end = |random: &mut Random| {
            if random.once_in(20) { random.bits() as u32 } else { random.below(6) as u32 }
        };
        let edges: Vec<(u32, u32)> = (0..random.below(30)).map(|_| (end(random), end(random))).collect();
        let nodes = |random: &mut Random| match random.below(8) {
            0 => (1 << 31) + random.below(1 << 40),
            1 => usize::MAX - random.below(2),
            _ => random.below(9),
        };
        let (sources, destinations) = (nodes(random), nodes(random));
        if let Ok(csr) = Csr::bipartite(sources, destinations, &edges) {
            let more = if random.once_in(4) { usize::MAX - random.below(5) } else { random.below(40) };
            assert!(csr.offsets.last() == Some(&(edges.len() as u32)));
            let _ = csr.padded(more);
        }
        let of = Neighbours {
            positions: (0..random.below(5)).map(|_| random.below(9)).collect(),
            radius: random.float(),
            nearest: random.size(),
            itself: random.once_in(2),
        };
        let (agents, dimensions) = (random.below(40), random.below(4));
        let places = random.length(agents * dimensions);
        let (places, present) = (random.floats(places), random.floats(agents));
        let found = of.edges(&places, dimensions, &present);
        assert!(found.len() <= of.most(agents));
        let _ = of.check(random.size());
        let (items, chunk) = (random.below(100), random.size());
        for_each_chunk(parallel(random), items, chunk, |range| assert!(range.end <= items));
    });
}
