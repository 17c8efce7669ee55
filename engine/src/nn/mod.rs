//! Layers and parameters. A model is a struct of layers; a layer knows which parameters of a flat vector are its own
//! and builds graph nodes from them. Ops live in `op`, what turns gradients into steps lives in `optim`, whole agents
//! live in `agent`.
//!
//! ```
//! use synod_engine::nn::{Activation, Builder, Mlp};
//! use synod_engine::{Device, Graph};
//! let device = Device::cpu();
//! let mut builder = Builder::new(0);
//! let network = Mlp::new(&mut builder, "network", &[4, 32, 2], Activation::Relu, 1.0);
//! let parameters = builder.build(&device)?;
//! let g = Graph::new();
//! let weights = parameters.weights(&g);
//! let out = network.forward(&weights, g.input("x", [8, 4]));
//! let mut program = device.compile(&g, &[out])?;
//! assert_eq!(program.run(&[("x", &[0.5f32; 32])])?.f32(0).len(), 16);
//! # Ok::<(), synod_engine::Error>(())
//! ```

mod graph_attention;
pub mod initial;
mod layers;
mod loss;
mod parameters;
mod recurrent;
mod state_space;

pub use graph_attention::{GraphAttention, GraphScore};
pub use initial::Initial;
pub use layers::{
    Activation, Conv2d, Embedding, LayerNorm, Linear, Mlp, MultiHeadAttention, RELU_GAIN, RmsNorm,
};
pub use parameters::{Builder, Parameter, Parameters, Weights};
pub use recurrent::{Gru, Lstm};
pub use state_space::{
    DiagonalSsm, Hippo, Lru, Mamba, Ring, S5, StateSpace, StateSpaceBlock, StateSpaceOutput, hippo_normal,
    zero_order_hold,
};
