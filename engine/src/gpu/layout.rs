//! Where the values of a program lie in GPU memory.
//!
//! Inputs are packed into one buffer (they are only ever read by kernels), so that a run uploads them in one piece;
//! so are constants; large ones have buffers of their own. What is computed lies in slots (see `slots`). A value that
//! starts in the middle of another, where no binding may start, is copied to a slot before its first use.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use super::device::GpuDevice;
use super::slots::{self, Life};
use super::storage::GpuStorage;
use crate::error::Result;
use crate::graph::{Binding, GpuPlan, Launch};
use crate::program::{Compiled, Location, Root};

/// Elements from which on an input or a constant has a buffer of its own.
const LARGE: usize = 256 * 1024;
/// Elements of a buffer that small ones share.
const PACK: usize = 4 * 1024 * 1024;

/// A piece of a buffer, in bytes.
#[derive(Clone)]
pub(super) struct Place {
    pub buffer: wgpu::Buffer,
    pub offset: u64,
    pub bytes: u64,
}

/// A copy of a value to where it can be bound.
pub(super) struct Placement {
    pub launch: Launch,
    pub from: Place,
    pub to: Place,
    /// The step that it precedes.
    step: usize,
    of: (Root, usize, usize),
}

/// Pieces packed into buffers: the buffer of each piece and its elements there.
struct Pack {
    buffers: Vec<(wgpu::Buffer, usize)>,
    pieces: Vec<(usize, Range<usize>)>,
}

impl Pack {
    fn new(device: &GpuDevice, what: &str, lengths: impl Iterator<Item = usize>) -> Result<Self> {
        let alignment = device.alignment() as usize / 4;
        let mut sizes: Vec<usize> = Vec::new();
        let mut shared: Option<usize> = None;
        let mut pieces = Vec::new();
        for length in lengths {
            if length >= LARGE {
                sizes.push(length);
                pieces.push((sizes.len() - 1, 0..length));
                continue;
            }
            let buffer = match shared {
                Some(buffer) if sizes[buffer] + alignment + length <= PACK => buffer,
                _ => {
                    sizes.push(0);
                    sizes.len() - 1
                }
            };
            shared = Some(buffer);
            let start = sizes[buffer].next_multiple_of(alignment);
            sizes[buffer] = start + length;
            pieces.push((buffer, start..start + length));
        }
        use wgpu::BufferUsages as Usage;
        let usage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
        let make = |&size: &usize| Ok((device.buffer(what, 4 * size.max(1) as u64, usage)?, size));
        Ok(Pack { buffers: sizes.iter().map(make).collect::<Result<_>>()?, pieces })
    }

    fn place(&self, index: usize) -> Place {
        let (buffer, range) = &self.pieces[index];
        Place {
            buffer: self.buffers[*buffer].0.clone(),
            offset: 4 * range.start as u64,
            bytes: 4 * range.len() as u64,
        }
    }
}

/// All buffers of a program.
pub(super) struct Layout {
    inputs: Pack,
    constants: Pack,
    variables: Vec<wgpu::Buffer>,
    slots: Vec<wgpu::Buffer>,
    slot_bytes: u64,
    /// The slot of every planned buffer, then of every step's scratch buffers, then of every placement.
    slot: Vec<usize>,
    /// The first scratch buffer of every step, and the bytes of each, counted like `slot`.
    scratch: Vec<usize>,
    bytes: Vec<u64>,
    placements: Vec<Placement>,
    alignment: u64,
}

impl Layout {
    pub fn new(device: &GpuDevice, compiled: &Compiled, plans: &[GpuPlan]) -> Result<Self> {
        let alignment = device.alignment();
        let inputs = Pack::new(device, "inputs", compiled.inputs.iter().map(|(_, of)| of.elements()))?;
        let constants = Pack::new(device, "constants", compiled.constants.iter().map(|bits| bits.len()))?;
        for (i, bits) in compiled.constants.iter().enumerate() {
            let Place { buffer, offset, .. } = constants.place(i);
            if !bits.is_empty() {
                device.queue.write_buffer(&buffer, offset, bytemuck::cast_slice(bits));
            }
        }
        let variables = compiled
            .variables
            .iter()
            .map(|variable| match variable.storage().as_any().downcast_ref::<GpuStorage>() {
                Some(storage) if std::ptr::eq(storage.device.as_ref(), device) => Ok(storage.buffer.clone()),
                _ => Err(device.error(format!("variable `{}` lives on another device", variable.name()))),
            })
            .collect::<Result<Vec<_>>>()?;

        let mut lives: Vec<Life> = compiled
            .buffers
            .iter()
            .map(|b| Life { bytes: 4 * b.elements as u64, first: b.first, last: b.last })
            .collect();
        let mut scratch = Vec::with_capacity(plans.len());
        for (step, plan) in plans.iter().enumerate() {
            scratch.push(lives.len());
            for &elements in &plan.scratch {
                lives.push(Life { bytes: 4 * elements.max(1) as u64, first: step, last: step });
            }
        }
        let parts = parts(compiled, alignment);
        let first_part = lives.len();
        for part in &parts {
            let bytes = 4 * part.of.2 as u64;
            lives.push(Life { bytes, first: part.first, last: part.last });
        }
        let (slot, sizes) = match lives.iter().map(|life| life.bytes).sum::<u64>() <= device.apart {
            true => slots::apart(&lives),
            false => slots::assign(&lives),
        };
        use wgpu::BufferUsages as Usage;
        let usage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
        let slots =
            sizes.iter().map(|&size| device.buffer("values", size, usage)).collect::<Result<Vec<_>>>()?;
        let mut layout = Layout {
            inputs,
            constants,
            variables,
            slots,
            slot_bytes: sizes.iter().sum(),
            slot,
            scratch,
            bytes: lives.iter().map(|l| l.bytes).collect(),
            placements: Vec::new(),
            alignment,
        };
        for (i, part) in parts.iter().enumerate() {
            let placement = layout.placement(device, part, first_part + i);
            layout.placements.push(placement);
        }
        Ok(layout)
    }

    fn placement(&self, device: &GpuDevice, part: &Part, value: usize) -> Placement {
        let (root, offset, elements) = part.of;
        let mut from = self.root(root);
        let start = from.offset + 4 * offset as u64;
        let bound = start / self.alignment * self.alignment;
        from.offset = bound;
        from.bytes = start - bound + 4 * elements as u64;
        let launch = Launch {
            shader: Cow::Borrowed(include_str!("../../shaders/place.wgsl")),
            entry: "place",
            constants: Vec::new(),
            bindings: vec![Binding::Input(0), Binding::Output(0)],
            parameters: vec![elements as u32, ((start - bound) / 4) as u32],
            workgroups: device.limits().groups(elements, 256),
        };
        Placement { launch, from, to: self.value(value), step: part.first, of: part.of }
    }

    fn value(&self, value: usize) -> Place {
        Place { buffer: self.slots[self.slot[value]].clone(), offset: 0, bytes: self.bytes[value] }
    }

    fn root(&self, root: Root) -> Place {
        match root {
            Root::Input(i) => self.inputs.place(i),
            Root::Constant(i) => self.constants.place(i),
            Root::Buffer(i) => self.value(i),
            Root::Variable(i) => {
                let buffer = self.variables[i].clone();
                Place { offset: 0, bytes: buffer.size(), buffer }
            }
        }
    }

    /// Where a value lies.
    pub fn place(&self, location: &Location) -> Place {
        let mut place = self.root(location.root);
        place.offset += 4 * location.offset as u64;
        place.bytes = 4 * location.of.elements() as u64;
        place
    }

    /// Where a step finds an operand: where it lies, or its copy.
    pub fn operand(&self, step: usize, location: &Location) -> Place {
        let key = (location.root, location.offset, location.of.elements());
        match self.placements.iter().find(|p| p.of == key && p.step <= step) {
            Some(placement) => placement.to.clone(),
            None => self.place(location),
        }
    }

    /// Scratch buffer `index` of a step.
    pub fn scratch(&self, step: usize, index: usize) -> Place {
        self.value(self.scratch[step] + index)
    }

    /// What is copied before a step.
    pub fn placements(&self, step: usize) -> impl Iterator<Item = &Placement> {
        self.placements.iter().filter(move |p| p.step == step)
    }

    /// The buffer of a variable.
    pub fn variable(&self, index: usize) -> &wgpu::Buffer {
        &self.variables[index]
    }

    /// Bytes of all slots.
    pub fn planned_bytes(&self) -> u64 {
        self.slot_bytes
    }

    /// Where every input lies, and the buffers of inputs with their elements.
    #[allow(clippy::type_complexity)]
    pub fn into_inputs(self) -> (Vec<(usize, Range<usize>)>, Vec<(wgpu::Buffer, usize)>) {
        (self.inputs.pieces, self.inputs.buffers)
    }
}

/// A value that cannot be bound where it lies, and the steps between which it is needed.
struct Part {
    of: (Root, usize, usize),
    first: usize,
    last: usize,
}

fn parts(compiled: &Compiled, alignment: u64) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut known: HashMap<(Root, usize, usize), usize> = HashMap::new();
    for (step, of) in compiled.steps.iter().enumerate() {
        for input in &of.inputs {
            // Roots themselves start at aligned places.
            if (4 * input.offset as u64).is_multiple_of(alignment) {
                continue;
            }
            let key = (input.root, input.offset, input.of.elements());
            match known.get(&key) {
                Some(&part) => parts[part].last = step,
                None => {
                    known.insert(key, parts.len());
                    parts.push(Part { of: key, first: step, last: step });
                }
            }
        }
    }
    parts
}
