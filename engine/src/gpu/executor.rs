//! Runs a compiled graph on a GPU: one command buffer with one compute pass, one submission, and one read of what was
//! asked for.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::device::GpuDevice;
use super::layout::{Layout, Place};
use crate::error::{Error, Result};
use crate::graph::{Binding, GpuCall, GpuPlan, Launch, Op};
use crate::program::{Compiled, HostTime, Step};
use crate::shape::TensorType;

/// A prepared dispatch.
struct Dispatch {
    /// `None` where the one before has the same.
    pipeline: Option<wgpu::ComputePipeline>,
    bind_group: wgpu::BindGroup,
    workgroups: [u32; 3],
}

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
    dispatches: Vec<Dispatch>,
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
        let dispatches = Preparation { device: &device, layout: &layout }.dispatches(&compiled, &plans)?;

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
            dispatches,
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
        self.dispatches.len()
    }

    /// How long the host was at work on the last run.
    pub fn host_time(&self) -> HostTime {
        self.host_time
    }

    pub fn set_input(&mut self, index: usize, bits: &[u32]) {
        self.input_mut(index).copy_from_slice(bits);
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
        if !self.dispatches.is_empty() {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            for dispatch in &self.dispatches {
                if let Some(pipeline) = &dispatch.pipeline {
                    pass.set_pipeline(pipeline);
                }
                pass.set_bind_group(0, &dispatch.bind_group, &[]);
                let [x, y, z] = dispatch.workgroups;
                pass.dispatch_workgroups(x, y, z);
            }
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
    let plan = op.gpu(&call)?;
    for &elements in &plan.scratch {
        over("scratch memory (bytes)", 4 * elements as u64, limits.binding_bytes)?;
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

/// Makes pipelines and bind groups.
struct Preparation<'a> {
    device: &'a GpuDevice,
    layout: &'a Layout,
}

impl Preparation<'_> {
    fn dispatches(&self, compiled: &Compiled, plans: &[GpuPlan]) -> Result<Vec<Dispatch>> {
        let mut last: Option<wgpu::ComputePipeline> = None;
        let mut dispatches = Vec::new();
        let blocks = self.parameters(plans)?;
        let mut blocks = blocks.iter();
        let mut add = |what: &str, launch: &Launch, places: &[Place]| -> Result<()> {
            let parameters = blocks.next().cloned().flatten();
            let made = self.device.pipeline(what, launch)?;
            let bindings: Vec<&Place> = places.iter().chain(&parameters).collect();
            let bind_group = self.bind_group(what, &made.layout, &bindings)?;
            let pipeline = (last.as_ref() != Some(&made.pipeline)).then(|| made.pipeline.clone());
            last = Some(made.pipeline);
            dispatches.push(Dispatch { pipeline, bind_group, workgroups: launch.workgroups });
            Ok(())
        };
        for (number, (step, plan)) in compiled.steps.iter().zip(plans).enumerate() {
            for placement in self.layout.placements(number) {
                add("copy of a part", &placement.launch, &[placement.from.clone(), placement.to.clone()])?;
            }
            let what = describe(step);
            for launch in &plan.launches {
                let places: Vec<Place> = launch
                    .bindings
                    .iter()
                    .map(|binding| match *binding {
                        Binding::Input(i) => self.layout.operand(number, &step.inputs[i]),
                        Binding::Output(i) => self.layout.place(&step.outputs[i]),
                        Binding::Scratch(i) | Binding::ScratchRead(i) => self.layout.scratch(number, i),
                    })
                    .collect();
                add(&what, launch, &places)?;
            }
        }
        Ok(dispatches)
    }

    /// Every launch's parameters, in the order of the dispatches, in one uniform buffer.
    fn parameters(&self, plans: &[GpuPlan]) -> Result<Vec<Option<Place>>> {
        let alignment = self.device.wgpu_limits.min_uniform_buffer_offset_alignment.max(16) as usize / 4;
        let mut words: Vec<u32> = Vec::new();
        let mut ranges: Vec<Option<Range<usize>>> = Vec::new();
        for (number, plan) in plans.iter().enumerate() {
            let placements = self.layout.placements(number).map(|p| &p.launch);
            for launch in placements.chain(&plan.launches) {
                if launch.parameters.is_empty() {
                    ranges.push(None);
                    continue;
                }
                words.resize(words.len().next_multiple_of(alignment), 0);
                let start = words.len();
                words.extend_from_slice(&launch.parameters);
                // Uniform structs are whole multiples of 16 bytes.
                words.resize(words.len().next_multiple_of(4), 0);
                ranges.push(Some(start..words.len()));
            }
        }
        use wgpu::BufferUsages as Usage;
        let bytes = 4 * words.len() as u64;
        let buffer = self.device.buffer("parameters", bytes, Usage::UNIFORM | Usage::COPY_DST)?;
        if !words.is_empty() {
            self.device.queue.write_buffer(&buffer, 0, bytemuck::cast_slice(&words));
        }
        Ok(ranges
            .into_iter()
            .map(|range| {
                range.map(|r| Place {
                    buffer: buffer.clone(),
                    offset: 4 * r.start as u64,
                    bytes: 4 * r.len() as u64,
                })
            })
            .collect())
    }

    fn bind_group(
        &self,
        what: &str,
        layout: &wgpu::BindGroupLayout,
        places: &[&Place],
    ) -> Result<wgpu::BindGroup> {
        let entries: Vec<wgpu::BindGroupEntry<'_>> = places
            .iter()
            .enumerate()
            .map(|(i, place)| wgpu::BindGroupEntry {
                binding: i as u32,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer: &place.buffer,
                    offset: place.offset,
                    size: wgpu::BufferSize::new(place.bytes),
                }),
            })
            .collect();
        self.device.guarded(what, || {
            self.device.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(what),
                layout,
                entries: &entries,
            })
        })
    }
}

/// A step in errors and labels: `matmul(f32[2, 3], f32[3, 4])`.
fn describe(step: &Step) -> String {
    format!("{}({})", step.op.name(), crate::shape::list(&step.input_types))
}
