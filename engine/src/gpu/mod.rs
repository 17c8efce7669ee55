//! Programs on a GPU through wgpu: the adapter and its limits, pipelines and buffers, and the executor that runs a
//! compiled graph as one command buffer. What a kernel computes, and how it is launched, is the affair of its op
//! (`op`) and its WGSL text (`shaders/`).

mod device;
mod executor;
mod layout;
mod pipeline;
mod preparation;
mod schedule;
mod slots;
mod storage;
mod times;

pub(crate) use device::GpuDevice;
pub(crate) use executor::{GpuExecutor, plan};
