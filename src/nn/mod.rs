//! Layers and parameters. A model is a struct of layers; a layer knows which parameters of a flat vector are its own
//! and builds graph nodes from them. Ops live in `op`, what turns gradients into steps lives in `optim`, whole agents
//! live in `agent`.

pub mod initial;
mod layers;
mod parameters;

pub use initial::Initial;
pub use layers::{
    Activation, Conv2d, LayerNorm, Linear, Mlp, MultiHeadAttention, RELU_GAIN, attention_weights,
};
pub use parameters::{Builder, Parameter, Parameters, Weights};
