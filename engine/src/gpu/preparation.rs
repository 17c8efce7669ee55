//! What a program does on a GPU, prepared once: pipelines, bind groups and parameters of all dispatches, in the order in
//! which they run.

use std::collections::HashMap;
use std::ops::Range;

use super::device::GpuDevice;
use super::layout::{Layout, Place};
use super::schedule::{Access, levels};
use crate::error::Result;
use crate::graph::{Binding, GpuPlan, Launch, Op, is_own};
use crate::program::{Compiled, Step};

/// A prepared dispatch.
pub(super) struct Dispatch {
    /// `None` where the one before has the same.
    pub pipeline: Option<wgpu::ComputePipeline>,
    pub bind_group: wgpu::BindGroup,
    pub workgroups: [u32; 3],
}

/// Dispatches that need not wait for each other.
pub(super) struct Level {
    /// What they read and earlier ones wrote: made readable by one barrier before the first of them, instead of by one
    /// before each.
    pub reads: Vec<wgpu::Buffer>,
    pub dispatches: Vec<Dispatch>,
}

/// Makes pipelines and bind groups.
pub(super) struct Preparation<'a> {
    pub device: &'a GpuDevice,
    pub layout: &'a Layout,
}

/// A dispatch before its place in the order is known.
struct Prepared {
    pipeline: wgpu::ComputePipeline,
    bind_group: wgpu::BindGroup,
    workgroups: [u32; 3],
    /// The op and the entry point of its shader.
    kernel: String,
}

/// Numbers of buffers.
#[derive(Default)]
struct Numbers {
    known: HashMap<wgpu::Buffer, usize>,
    buffers: Vec<wgpu::Buffer>,
}

impl Numbers {
    fn of(&mut self, buffer: &wgpu::Buffer) -> usize {
        *self.known.entry(buffer.clone()).or_insert_with(|| {
            self.buffers.push(buffer.clone());
            self.buffers.len() - 1
        })
    }
}

impl Preparation<'_> {
    /// All dispatches by levels, and the kernel of each in this order.
    pub fn levels(&self, compiled: &Compiled, plans: &[GpuPlan]) -> Result<(Vec<Level>, Vec<String>)> {
        let (mut dispatches, accesses, buffers) = self.dispatches(compiled, plans)?;
        let mut pipelines: Vec<wgpu::ComputePipeline> = Vec::new();
        let mut pipeline_of = Vec::with_capacity(dispatches.len());
        #[allow(clippy::mutable_key_type)] // Pipelines are compared and hashed by their identity.
        let mut known: HashMap<wgpu::ComputePipeline, usize> = HashMap::new();
        for dispatch in &dispatches {
            pipeline_of.push(*known.entry(dispatch.pipeline.clone()).or_insert_with(|| {
                pipelines.push(dispatch.pipeline.clone());
                pipelines.len() - 1
            }));
        }
        let (mut last, mut names) = (None, Vec::with_capacity(dispatches.len()));
        let mut ordered = Vec::new();
        for mut level in levels(&accesses) {
            // Dispatches of one pipeline stand side by side: it is set once. The order within a level is free.
            level.dispatches.sort_by_key(|&i| pipeline_of[i]);
            let one = |&i: &usize| {
                let Prepared { bind_group, workgroups, kernel, .. } = &mut dispatches[i];
                names.push(std::mem::take(kernel));
                let changed = last.replace(pipeline_of[i]) != Some(pipeline_of[i]);
                Dispatch {
                    pipeline: changed.then(|| pipelines[pipeline_of[i]].clone()),
                    bind_group: bind_group.clone(),
                    workgroups: *workgroups,
                }
            };
            let own: Vec<Dispatch> = level.dispatches.iter().map(one).collect();
            // A single one has a single barrier as it is.
            let fresh = if own.len() > 1 { level.fresh } else { Vec::new() };
            let reads = fresh.into_iter().map(|buffer| buffers[buffer].clone()).collect();
            ordered.push(Level { reads, dispatches: own });
        }
        Ok((ordered, names))
    }

    /// All dispatches in the order of the steps, what each reads and writes, and the buffers with these numbers.
    fn dispatches(
        &self,
        compiled: &Compiled,
        plans: &[GpuPlan],
    ) -> Result<(Vec<Prepared>, Vec<Access>, Vec<wgpu::Buffer>)> {
        let (mut dispatches, mut accesses) = (Vec::new(), Vec::new());
        let mut numbers = Numbers::default();
        let blocks = self.parameters(plans)?;
        let mut blocks = blocks.iter();
        let mut add = |op: Option<&dyn Op>, what: &str, launch: &Launch, places: &[Place]| -> Result<()> {
            let parameters = blocks.next().cloned().flatten();
            // Copies are this executor's own.
            let made = self.device.pipeline(what, launch, op.is_none_or(is_own))?;
            let bindings: Vec<&Place> = places.iter().chain(&parameters).collect();
            let bind_group = self.bind_group(what, &made.layout, &bindings)?;
            let mut access = Access::default();
            for (binding, place) in launch.bindings.iter().zip(places) {
                let buffer = numbers.of(&place.buffer);
                match binding {
                    Binding::Input(_) | Binding::ScratchRead(_) => access.reads.push(buffer),
                    Binding::Output(_) | Binding::Scratch(_) => access.writes.push(buffer),
                }
            }
            accesses.push(access);
            let kernel = format!("{}/{}", op.map_or("copy", |op| op.name()), launch.entry);
            let workgroups = launch.workgroups;
            dispatches.push(Prepared { pipeline: made.pipeline, bind_group, workgroups, kernel });
            Ok(())
        };
        for (number, (step, plan)) in compiled.steps.iter().zip(plans).enumerate() {
            for placement in self.layout.placements(number) {
                let places = [placement.from.clone(), placement.to.clone()];
                add(None, "copy of a part", &placement.launch, &places)?;
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
                add(Some(step.op.as_ref()), &what, launch, &places)?;
            }
        }
        Ok((dispatches, accesses, numbers.buffers))
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
