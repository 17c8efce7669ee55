//! Layers and parameters. A model is a struct of layers; a layer knows which parameters of a flat vector are its own
//! and builds graph nodes from them. Ops live in `op`, what turns gradients into steps lives in `optim`, whole agents
//! live in `agent`.

mod graph_attention;
pub mod initial;
mod layers;
mod loss;
mod parameters;
mod recurrent;
mod shared_memory;
mod state_space;

pub use graph_attention::{GraphAttention, GraphScore};
pub use initial::Initial;
pub use layers::{
    Activation, Conv2d, Embedding, LayerNorm, Linear, Mlp, MultiHeadAttention, RELU_GAIN, RmsNorm,
};
pub use parameters::{Builder, Parameter, Parameters, Weights};
pub use recurrent::{Gru, Lstm};
pub use shared_memory::SharedMemory;
pub use state_space::DiagonalSsm;
