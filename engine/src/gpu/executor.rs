//! Runs a compiled graph on a GPU: one command buffer with one compute pass, one submission, and one read of what was
//! asked for.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::device::GpuDevice;
use super::layout::{Layout, Place};
use super::preparation::{Level, Preparation};
use super::times::Times;
use crate::error::{Error, Result};
use crate::graph::{Binding, GpuCall, GpuPlan, Op};
use crate::program::{Compiled, HostTime, Step};
use crate::shape::TensorType;

/// A copy between buffers at the end of a run.
struct Copy {
    from: Place,
    to: wgpu::Buffer,
    to_offset: u64,
}

/// Inputs that lie in one buffer, and their mirror on the host.
struct Upload {
    buffer: wgpu::Buffer,
    host: Box<[u32]>,
    /// What has changed since it was last written.
    dirty: Range<usize>,
}

/// Where results are read.
struct Staging {
    buffer: wgpu::Buffer,
    results: Box<[u32]>,
}

/// A program on a GPU: its buffers, pipelines and bind groups.
pub(crate) struct GpuExecutor {
    device: Arc<GpuDevice>,
    compiled: Arc<Compiled>,
    levels: Vec<Level>,
    times: Option<Times>,
    copies: Vec<Copy>,
    uploads: Vec<Upload>,
    /// The upload in which every input lies, and where.
    inputs: Vec<(usize, Range<usize>)>,
    given: Vec<bool>,
    staging: Option<Staging>,
    outputs: Vec<Range<usize>>,
    /// The commands of the next run: encoded while the GPU works on the one before, so that nobody waits for it.
    ready: Option<wgpu::CommandBuffer>,
    /// The last run that nobody has waited for.
    in_flight: Option<wgpu::SubmissionIndex>,
    planned_bytes: u64,
    host_time: HostTime,
}

impl GpuExecutor {
    pub fn new(device: Arc<GpuDevice>, compiled: Arc<Compiled>) -> Result<Self> {
        let plans = plans(&device, &compiled)?;
        let layout = Layout::new(&device, &compiled, &plans)?;
        let (levels, names) = Preparation { device: &device, layout: &layout }.levels(&compiled, &plans)?;
        let times = match device.timed {
            true => Some(Times::new(&device, &names)?),
            false => None,
        };

        let mut copies = Vec::new();
        for (variable, location) in &compiled.assignments {
            let to = layout.variable(*variable).clone();
            copies.push(Copy { from: layout.place(location), to, to_offset: 0 });
        }
        let mut outputs = Vec::new();
        let mut length = 0;
        for (location, _) in &compiled.outputs {
            outputs.push(length..length + location.of.elements());
            length += location.of.elements();
        }
        let staging = match length {
            0 => None,
            _ => {
                use wgpu::BufferUsages as Usage;
                let buffer =
                    device.buffer("outputs", 4 * length as u64, Usage::MAP_READ | Usage::COPY_DST)?;
                let there = |(_, range): &(_, &Range<usize>)| !range.is_empty();
                for ((location, _), range) in compiled.outputs.iter().zip(&outputs).filter(there) {
                    let from = layout.place(location);
                    copies.push(Copy { from, to: buffer.clone(), to_offset: 4 * range.start as u64 });
                }
                Some(Staging { buffer, results: vec![0; length].into_boxed_slice() })
            }
        };
        let planned_bytes = layout.planned_bytes();
        let (inputs, uploads) = layout.into_inputs();
        let uploads = uploads
            .into_iter()
            .map(|(buffer, elements)| Upload {
                buffer,
                host: vec![0; elements].into_boxed_slice(),
                dirty: 0..0,
            })
            .collect();
        Ok(GpuExecutor {
            given: vec![false; inputs.len()],
            device,
            compiled,
            levels,
            times,
            copies,
            uploads,
            inputs,
            staging,
            outputs,
            ready: None,
            in_flight: None,
            planned_bytes,
            host_time: HostTime::default(),
        })
    }

    pub fn device(&self) -> &Arc<GpuDevice> {
        &self.device
    }

    /// Bytes of all buffers that hold what a run computes on its way.
    pub fn planned_bytes(&self) -> u64 {
        self.planned_bytes
    }

    /// Dispatches of a run.
    pub fn dispatches(&self) -> usize {
        self.levels.iter().map(|level| level.dispatches.len()).sum()
    }

    /// Groups of dispatches, one after the other, of which each may run at once.
    pub fn levels(&self) -> usize {
        self.levels.len()
    }

    /// How long the last run took on the GPU, where that is measured.
    pub fn gpu_time(&self) -> Option<Duration> {
        self.times.as_ref().map(Times::last)
    }

    /// Where the time of all runs went, where that is measured.
    pub fn gpu_report(&self) -> Option<String> {
        self.times.as_ref().map(Times::report)
    }

    /// How long the host was at work on the last run.
    pub fn host_time(&self) -> HostTime {
        self.host_time
    }

    pub fn input_mut(&mut self, index: usize) -> &mut [u32] {
        self.given[index] = true;
        let (upload, range) = &self.inputs[index];
        let Upload { host, dirty, .. } = &mut self.uploads[*upload];
        *dirty = match dirty.start == dirty.end {
            true => range.clone(),
            false => dirty.start.min(range.start)..dirty.end.max(range.end),
        };
        &mut host[range.clone()]
    }

    pub fn output(&self, index: usize) -> &[u32] {
        match &self.staging {
            Some(staging) => &staging.results[self.outputs[index].clone()],
            None => &[],
        }
    }

    pub fn run(&mut self) -> Result<()> {
        if let Some(missing) = self.given.iter().position(|given| !given) {
            let (name, of) = &self.compiled.inputs[missing];
            return Err(Error::Graph(format!("input `{name}` ({of}) was never given")));
        }
        self.device.check()?;
        let start = Instant::now();
        for upload in &mut self.uploads {
            let dirty = std::mem::take(&mut upload.dirty);
            if dirty.start < dirty.end {
                let offset = 4 * dirty.start as u64;
                let bytes = bytemuck::cast_slice(&upload.host[dirty]);
                self.device.queue.write_buffer(&upload.buffer, offset, bytes);
            }
        }
        let commands = self.ready.take().unwrap_or_else(|| self.encode());
        let submission = self.device.submit(commands);
        self.host_time.before_submission = start.elapsed();
        let start = Instant::now();
        self.ready = Some(self.encode());
        self.host_time.while_running = start.elapsed();
        self.device.check()?;
        if let Some(times) = &mut self.times {
            times.take(&self.device, submission.clone())?;
        }
        match &mut self.staging {
            Some(staging) => self.device.fetch(&staging.buffer, submission, &mut staging.results),
            // Nothing to wait for, but the queue must not grow without end: one run may be under way while the next
            // is encoded.
            None => match self.in_flight.replace(submission) {
                Some(before) => self.device.wait(before),
                None => self.device.poll(),
            },
        }
    }

    /// All commands of a run.
    fn encode(&self) -> wgpu::CommandBuffer {
        let mut encoder = self.device.device.create_command_encoder(&Default::default());
        if !self.levels.is_empty() {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            let mut stamp = {
                let mut number = 0;
                move |pass: &mut wgpu::ComputePass<'_>| {
                    if let Some(times) = &self.times {
                        times.stamp(pass, number);
                        number += 1;
                    }
                }
            };
            stamp(&mut pass);
            for level in &self.levels {
                if !level.reads.is_empty() {
                    let state = wgpu::BufferUses::STORAGE_READ_ONLY;
                    let reads = level.reads.iter().map(|buffer| wgpu::BufferTransition { buffer, state });
                    pass.transition_resources(reads, std::iter::empty());
                }
                for dispatch in &level.dispatches {
                    if let Some(pipeline) = &dispatch.pipeline {
                        pass.set_pipeline(pipeline);
                    }
                    pass.set_bind_group(0, &dispatch.bind_group, &[]);
                    let [x, y, z] = dispatch.workgroups;
                    pass.dispatch_workgroups(x, y, z);
                    stamp(&mut pass);
                }
            }
        }
        if let Some(times) = &self.times {
            times.resolve(&mut encoder);
        }
        for Copy { from, to, to_offset } in &self.copies {
            encoder.copy_buffer_to_buffer(&from.buffer, from.offset, to, *to_offset, from.bytes);
        }
        encoder.finish()
    }
}

/// How every step is launched, checked against the device's limits.
fn plans(device: &GpuDevice, compiled: &Compiled) -> Result<Vec<GpuPlan>> {
    let one = |step: &Step| plan(device, step.op.as_ref(), &step.input_types, &step.output_types);
    compiled.steps.iter().map(one).collect()
}

/// How an op is launched, checked against the device's limits.
pub(crate) fn plan(
    device: &GpuDevice,
    op: &dyn Op,
    operands: &[TensorType],
    outputs: &[TensorType],
) -> Result<GpuPlan> {
    let limits = device.limits();
    let call = GpuCall { operands, outputs, limits };
    let over = |what: &str, needed: u64, limit: u64| match needed > limit {
        true => Err(call.limit(op, what, needed, limit)),
        false => Ok(()),
    };
    for of in operands.iter().chain(outputs) {
        over("binding (bytes)", 4 * of.elements() as u64, limits.binding_bytes)?;
    }
    over("rounds of an invocation's loops", op.gpu_rounds(operands, outputs), limits.rounds)?;
    let plan = op.gpu(&call)?;
    for &elements in &plan.scratch {
        over("scratch memory (bytes)", (elements as u64).saturating_mul(4), limits.binding_bytes)?;
    }
    for launch in &plan.launches {
        over("storage buffers of a dispatch", launch.bindings.len() as u64, limits.storage_buffers.into())?;
        let uniform = device.wgpu_limits.max_uniform_buffer_binding_size;
        over("parameters (bytes)", 4 * launch.parameters.len() as u64, uniform)?;
        for (size, axis) in launch.workgroups.iter().zip(["x", "y", "z"]) {
            let what = format!("workgroups along {axis}");
            over(&what, u64::from(*size), limits.workgroups.into())?;
        }
        for binding in &launch.bindings {
            let (index, count) = match *binding {
                Binding::Input(i) => (i, operands.len()),
                Binding::Output(i) => (i, outputs.len()),
                Binding::Scratch(i) | Binding::ScratchRead(i) => (i, plan.scratch.len()),
            };
            if index >= count {
                let op = op.name();
                return Err(Error::Graph(format!(
                    "{op}: a launch binds {binding:?} where there are {count}"
                )));
            }
        }
    }
    Ok(plan)
}
