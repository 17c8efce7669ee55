//! The engine in thirty lines: a small network fits a sine. The whole step (loss, gradient, clipping, Adam) is one
//! program.
//!
//! `cargo run --release --example regression`

use synod::nn::{Activation, Builder, Mlp};
use synod::optim::{Optimiser, Rule, STEP_INPUT, clip_by_global_norm};
use synod::{Device, Graph, Result};

fn main() -> Result<()> {
    let device = Device::auto();
    let mut builder = Builder::new(0);
    let network = Mlp::new(&mut builder, "network", &[1, 32, 32, 1], Activation::Tanh, 1.0);
    let parameters = builder.build(&device)?;
    let mut optimiser = Optimiser::new(&device, &parameters, Rule::adam(1e-8))?;

    let graph = Graph::new();
    let (x, y) = (graph.input("x", [64, 1]), graph.input("y", [64, 1]));
    let weights = parameters.weights(&graph);
    let loss = (network.forward(&weights, x) - y).square().mean_all();
    let gradient = parameters.gradient(loss, &weights)?;
    let (gradient, _norm) = clip_by_global_norm(gradient, graph.scalar(1.0));
    optimiser.update(&graph, gradient);
    let mut step = device.compile(&graph, &[loss])?;

    let xs: Vec<f32> = (0..64).map(|i| i as f32 / 10.0 - 3.2).collect();
    let ys: Vec<f32> = xs.iter().map(|x| x.sin()).collect();
    println!("{}: {} parameters, {} kernels a step", device.name(), parameters.count(), step.summary().steps);
    for i in 0..2000 {
        let numbers = optimiser.advance(3e-3);
        let loss = step.run(&[("x", &xs), ("y", &ys), (STEP_INPUT, &numbers)])?.scalar(0);
        if i % 400 == 0 || i == 1999 {
            println!("step {i:4}  loss {loss:.6}");
        }
    }
    Ok(())
}
