//! The ops: one family a file, and in it for each op its shape rule, its gradient, its CPU kernel and its GPU launch.
//! Shaders stand in `shaders/`. What combines ops into layers lives in `nn`.

pub mod adam;
pub mod attention;
pub mod cast;
pub mod conv;
pub mod elementwise;
pub mod fused;
pub mod gather;
mod group;
pub mod gru;
mod gru_gradient;
mod lanes;
pub mod lstm;
mod lstm_gradient;
pub mod matmul;
pub mod memory;
pub mod message;
pub mod movement;
pub mod norm;
pub(crate) mod product;
pub mod random;
mod recurrent;
pub mod reduce;
pub mod registry;
pub(crate) mod row_chain;
pub mod scan;
pub mod select;
pub mod slice;
pub mod softmax;
pub mod ssm;
pub mod transpose;
