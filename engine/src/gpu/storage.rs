//! Variables in GPU memory.

use std::any::Any;
use std::sync::Arc;

use super::device::GpuDevice;
use crate::error::Result;
use crate::graph::VariableStorage;
use crate::shape::TensorType;

/// A variable's buffer. The queue orders all that reads or writes it.
pub(crate) struct GpuStorage {
    pub(super) device: Arc<GpuDevice>,
    pub(super) buffer: wgpu::Buffer,
}

impl GpuStorage {
    pub(super) fn new(device: Arc<GpuDevice>, name: &str, of: &TensorType) -> Result<Self> {
        let what = format!("variable `{name}`");
        use wgpu::BufferUsages as Usage;
        let buffer = device.buffer(
            &what,
            4 * of.elements() as u64,
            Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST,
        )?;
        Ok(GpuStorage { device, buffer })
    }
}

impl VariableStorage for GpuStorage {
    fn read(&self, bits: &mut [u32]) -> Result<()> {
        self.device.check()?;
        use wgpu::BufferUsages as Usage;
        let bytes = 4 * bits.len() as u64;
        let staging = self.device.buffer("reading a variable", bytes, Usage::MAP_READ | Usage::COPY_DST)?;
        let mut encoder = self.device.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(&self.buffer, 0, &staging, 0, bytes);
        let submission = self.device.submit(encoder.finish());
        self.device.fetch(&staging, submission, bits)
    }

    fn write(&self, bits: &[u32]) -> Result<()> {
        self.device.check()?;
        self.device.queue.write_buffer(&self.buffer, 0, bytemuck::cast_slice(bits));
        self.device.check()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
