//! Every op against a reference in f64, on every device.

#[path = "../common/mod.rs"]
mod common;

mod adam;
mod agreement;
mod attention;
mod compositions;
mod conv;
mod einsum;
mod elementwise;
mod empty;
mod flip;
mod gather;
mod index;
mod integer;
mod lstm;
mod matmul;
mod memory;
mod message;
mod movement;
#[cfg(feature = "gpu")]
mod narrow;
mod norm;
mod random;
mod reduce;
mod registry;
mod row_chain;
mod sampling;
mod scan;
mod selective;
mod sort;
mod special_values;
mod ssm;
mod state_space;
mod windows;
