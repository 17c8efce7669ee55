//! From a graph to something that runs: dead code is left out, chains of elementwise ops and the bias and activation
//! of products are fused, memory is planned, and the result is a [`Program`]. Which kernels compute an op is the op's
//! own affair (`op`); the executors are `program::cpu` for the CPU and `gpu` for everything else.
//!
//! ```
//! use synod_engine::{Device, Graph};
//! let g = Graph::new();
//! let x = g.input("x", [2]);
//! let mut program = Device::cpu().compile(&g, &[x.exp()])?;
//! assert_eq!(program.inputs().count(), 1);
//! program.input_mut("x")?.fill(0.0); // written in place, nothing is copied
//! assert_eq!(program.run(&[])?.f32(0), [1.0, 1.0]);
//! # Ok::<(), synod_engine::Error>(())
//! ```

mod compile;
mod concatenation;
mod cpu;
mod empty;
mod fit;
mod fuse;
mod plan;
mod rows;
mod verify;

use std::sync::Arc;

#[cfg(feature = "gpu")]
pub(crate) use compile::{Compiled, Location, Root, Step};

use crate::cpu::Parallel;
use crate::error::{Error, Result};
#[cfg(feature = "gpu")]
use crate::graph::Op;
use crate::graph::{Data, Graph, Tensor};
use crate::shape::{DType, TensorType};

#[cfg(not(feature = "gpu"))]
use compile::Compiled;
use compile::{Target, compile};

/// Choices made at compilation that never change a result.
#[derive(Debug, Clone, Copy)]
pub struct CompileOptions {
    /// Fuse chains of elementwise ops, and bias and activation into products.
    pub fusion: bool,
}

impl Default for CompileOptions {
    fn default() -> Self {
        CompileOptions { fusion: true }
    }
}

/// A compiled graph with memory of its own. It runs as often as wanted and allocates nothing while it runs on the CPU.
pub struct Program {
    compiled: Arc<Compiled>,
    executor: Executor,
}

enum Executor {
    Cpu(Box<cpu::CpuExecutor>),
    #[cfg(feature = "gpu")]
    Gpu(Box<crate::gpu::GpuExecutor>),
}

/// What a program is made of, for reports and tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Kernels in one run.
    pub steps: usize,
    /// Their names with how often each occurs, in alphabetical order.
    pub kernels: Vec<(String, usize)>,
    /// Dispatches of one run on a GPU, in one submission; 0 on the CPU.
    pub dispatches: usize,
    /// Groups of dispatches on a GPU, one after the other, of which each may run at once; 0 on the CPU.
    pub levels: usize,
    /// Bytes of planned memory: every value that a run computes on its way.
    pub planned_bytes: u64,
    /// The most bytes that are live at any one step: no plan can do with less.
    pub live_bytes: u64,
    /// Floating-point operations of one run.
    pub operations: u64,
}

impl Program {
    pub(crate) fn on_cpu(graph: &Graph, outputs: &[Tensor<'_>], options: CompileOptions) -> Result<Self> {
        let target = Target { on_cpu: true, buffers_a_kernel: fuse::MOST_BUFFERS, alignment: 1, fits: None };
        let compiled = Arc::new(compile(graph, outputs, options, &target)?);
        let executor = Executor::Cpu(Box::new(cpu::CpuExecutor::new(compiled.clone())?));
        Ok(Program { compiled, executor })
    }

    #[cfg(feature = "gpu")]
    pub(crate) fn on_gpu(
        device: &Arc<crate::gpu::GpuDevice>,
        graph: &Graph,
        outputs: &[Tensor<'_>],
        options: CompileOptions,
    ) -> Result<Self> {
        let buffers = (device.limits().storage_buffers as usize).min(fuse::MOST_BUFFERS);
        let runs = |op: &dyn Op, operands: &[TensorType], outputs: &[TensorType]| {
            !matches!(crate::gpu::plan(device, op, operands, outputs), Err(Error::Limit { .. }))
        };
        let binding = usize::try_from(device.limits().binding_bytes / 4).unwrap_or(usize::MAX);
        let fits = fit::Fits { runs: &runs, binding };
        let alignment = device.alignment() as usize / 4;
        let build = |fits: Option<&fit::Fits<'_>>| {
            let target = Target { on_cpu: false, buffers_a_kernel: buffers, alignment, fits };
            let compiled = Arc::new(compile(graph, outputs, options, &target)?);
            let executor = crate::gpu::GpuExecutor::new(device.clone(), compiled.clone())?;
            Ok(Program { compiled, executor: Executor::Gpu(Box::new(executor)) })
        };
        // Some op is too large for the device: only then is every one asked whether it fits, and replaced where not.
        let first = match build(None) {
            Err(Error::Limit { op, operands, .. }) => (op, operands),
            other => return other,
        };
        build(Some(&fits)).map_err(|error| match error {
            // A buffer of all that is computed piece by piece: it is named by what it is for.
            Error::Limit { what, needed, limit, operands, .. } if operands.is_empty() => {
                Error::Limit { op: first.0, what, needed, limit, operands: first.1 }
            }
            other => other,
        })
    }

    /// A second program with the same steps and memory of its own: a thread each may run them at the same time.
    ///
    /// # Errors
    /// The device has no room.
    pub fn fork(&self) -> Result<Program> {
        let executor = match &self.executor {
            Executor::Cpu(_) => Executor::Cpu(Box::new(cpu::CpuExecutor::new(self.compiled.clone())?)),
            #[cfg(feature = "gpu")]
            Executor::Gpu(executor) => Executor::Gpu(Box::new(crate::gpu::GpuExecutor::new(
                executor.device().clone(),
                self.compiled.clone(),
            )?)),
        };
        Ok(Program { compiled: self.compiled.clone(), executor })
    }

    /// Whether kernels may split their work over threads (CPU only). The result is the same to the bit.
    pub fn set_parallel(&mut self, parallel: Parallel) {
        #[allow(irrefutable_let_patterns)]
        if let Executor::Cpu(executor) = &mut self.executor {
            executor.parallel = parallel;
        }
    }

    /// Runs once: inputs in, variables updated, outputs out. An input that is not given keeps what it was last given; one
    /// that the graph has, but nothing needs, may be given and is ignored.
    ///
    /// # Errors
    /// An unknown input, one of another length or element type: the inputs are then as they were before. One that was never
    /// given; an index out of range or a distribution without probabilities inside the computation; a lost device.
    /// Variables are then as they were before.
    pub fn run(&mut self, inputs: &[(&str, &dyn Data)]) -> Result<Outputs<'_>> {
        // All or none are taken.
        for (name, data) in inputs {
            self.given_index(name, data.dtype(), data.bits().len())?;
        }
        for (name, data) in inputs {
            // Asked for once: what is checked is what is copied.
            let bits = data.bits();
            let Some(index) = self.given_index(name, data.dtype(), bits.len())? else { continue };
            self.input_bits(index).copy_from_slice(bits);
        }
        match &mut self.executor {
            Executor::Cpu(executor) => executor.run()?,
            #[cfg(feature = "gpu")]
            Executor::Gpu(executor) => executor.run()?,
        }
        Ok(Outputs { program: self })
    }

    /// The memory of a float input, to fill in place before [`Program::run`] (it saves one copy).
    ///
    /// # Errors
    /// An unknown input, or one of integers.
    pub fn input_mut(&mut self, name: &str) -> Result<&mut [f32]> {
        let length = self.input_type(name).map(|t| t.elements()).unwrap_or(0);
        let index = self.input_index(name, DType::F32, length)?;
        Ok(bytemuck::cast_slice_mut(self.input_bits(index)))
    }

    /// The memory of an integer input, as [`Program::input_mut`].
    ///
    /// # Errors
    /// An unknown input, or one of floats.
    pub fn input_mut_u32(&mut self, name: &str) -> Result<&mut [u32]> {
        let length = self.input_type(name).map(|t| t.elements()).unwrap_or(0);
        let index = self.input_index(name, DType::U32, length)?;
        Ok(self.input_bits(index))
    }

    /// The memory of an input of signed integers, as [`Program::input_mut`].
    ///
    /// # Errors
    /// An unknown input, or one of another type.
    pub fn input_mut_i32(&mut self, name: &str) -> Result<&mut [i32]> {
        let length = self.input_type(name).map(|t| t.elements()).unwrap_or(0);
        let index = self.input_index(name, DType::I32, length)?;
        Ok(bytemuck::cast_slice_mut(self.input_bits(index)))
    }

    /// As [`Program::input_mut`], for inputs that a program may have no use for: `None` where it has none of that name
    /// and of floats.
    pub fn find_input(&mut self, name: &str) -> Option<&mut [f32]> {
        self.position(name, DType::F32).map(|index| bytemuck::cast_slice_mut(self.input_bits(index)))
    }

    /// As [`Program::find_input`], for an input of integers.
    pub fn find_input_u32(&mut self, name: &str) -> Option<&mut [u32]> {
        self.position(name, DType::U32).map(|index| self.input_bits(index))
    }

    fn position(&self, name: &str, dtype: DType) -> Option<usize> {
        self.compiled.inputs.iter().position(|(n, of)| n == name && of.dtype == dtype)
    }

    fn input_bits(&mut self, index: usize) -> &mut [u32] {
        match &mut self.executor {
            Executor::Cpu(executor) => executor.input_mut(index),
            #[cfg(feature = "gpu")]
            Executor::Gpu(executor) => executor.input_mut(index),
        }
    }

    /// The outputs of the last run.
    pub fn outputs(&self) -> Outputs<'_> {
        Outputs { program: self }
    }

    /// The inputs that the program needs, with their types.
    pub fn inputs(&self) -> impl Iterator<Item = (&str, &TensorType)> {
        self.compiled.inputs.iter().map(|(name, of)| (name.as_str(), of))
    }

    /// What it is made of.
    pub fn summary(&self) -> Summary {
        let summary = self.compiled.summary();
        match &self.executor {
            Executor::Cpu(_) => summary,
            #[cfg(feature = "gpu")]
            Executor::Gpu(executor) => Summary {
                planned_bytes: executor.planned_bytes(),
                dispatches: executor.dispatches(),
                levels: executor.levels(),
                ..summary
            },
        }
    }

    /// How long the host was at work on the last run; `None` on the CPU.
    pub fn host_time(&self) -> Option<HostTime> {
        match &self.executor {
            Executor::Cpu(_) => None,
            #[cfg(feature = "gpu")]
            Executor::Gpu(executor) => Some(executor.host_time()),
        }
    }

    /// How long the last run took on a GPU; `None` on the CPU, and where the environment variable `SYNOD_GPU_TIMES` did not
    /// ask for it when the device was opened, or the device cannot tell.
    pub fn gpu_time(&self) -> Option<std::time::Duration> {
        match &self.executor {
            Executor::Cpu(_) => None,
            #[cfg(feature = "gpu")]
            Executor::Gpu(executor) => executor.gpu_time(),
        }
    }

    /// Where the time of all runs so far went on a GPU, by kernels: what `SYNOD_GPU_TIMES` prints at the end. `None` as
    /// for [`Program::gpu_time`].
    pub fn gpu_report(&self) -> Option<String> {
        match &self.executor {
            Executor::Cpu(_) => None,
            #[cfg(feature = "gpu")]
            Executor::Gpu(executor) => executor.gpu_report(),
        }
    }

    fn input_type(&self, name: &str) -> Option<&TensorType> {
        self.compiled.inputs.iter().find(|(n, _)| n == name).map(|(_, of)| of)
    }

    /// The input of a name, where there is a use for it.
    fn given_index(&self, name: &str, dtype: DType, length: usize) -> Result<Option<usize>> {
        match self.compiled.ignored.iter().find(|(n, _)| n == name) {
            Some((_, of)) => fits(name, of, dtype, length).map(|()| None),
            None => self.input_index(name, dtype, length).map(Some),
        }
    }

    fn input_index(&self, name: &str, dtype: DType, length: usize) -> Result<usize> {
        let inputs = &self.compiled.inputs;
        let Some(index) = inputs.iter().position(|(n, _)| n == name) else {
            let known = inputs.iter().chain(&self.compiled.ignored).map(|(n, _)| n.as_str());
            let hint = crate::error::nearest(name, known).map(|n| format!("; did you mean `{n}`?"));
            return Err(Error::Graph(format!(
                "the program has no input `{name}`{}",
                hint.unwrap_or_default()
            )));
        };
        fits(name, &inputs[index].1, dtype, length)?;
        Ok(index)
    }
}

/// Whether so many elements of a type are what an input is.
fn fits(name: &str, of: &TensorType, dtype: DType, length: usize) -> Result<()> {
    if of.dtype == dtype && of.elements() == length {
        return Ok(());
    }
    Err(Error::Graph(format!("input `{name}` is {of} and was given {length} elements of {dtype}")))
}

/// What the host did for a run on a GPU.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostTime {
    /// Before the GPU could begin: uploads and one submission (and, in a first run, encoding it).
    pub before_submission: std::time::Duration,
    /// While the GPU was at work: encoding the commands of the next run.
    pub while_running: std::time::Duration,
}

/// What the last run of a program computed, in the order in which the outputs were asked for at compilation.
pub struct Outputs<'p> {
    program: &'p Program,
}

impl<'p> Outputs<'p> {
    fn bits(&self, index: usize) -> &'p [u32] {
        match &self.program.executor {
            Executor::Cpu(executor) => executor.output(index),
            #[cfg(feature = "gpu")]
            Executor::Gpu(executor) => executor.output(index),
        }
    }

    /// Number of outputs.
    pub fn len(&self) -> usize {
        self.program.compiled.outputs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Type of output `index`, if there is one.
    pub fn tensor_type(&self, index: usize) -> Option<&'p TensorType> {
        self.program.compiled.outputs.get(index).map(|(_, of)| of)
    }

    /// Output `index` as floats; empty where there is no such output (or, for integers, read by their bits).
    pub fn f32(&self, index: usize) -> &'p [f32] {
        bytemuck::cast_slice(self.u32(index))
    }

    /// Output `index` as signed integers; empty where there is no such output (or, for others, read by their bits).
    pub fn i32(&self, index: usize) -> &'p [i32] {
        bytemuck::cast_slice(self.u32(index))
    }

    /// Output `index` as unsigned integers; empty where there is no such output (or, for others, their bits).
    pub fn u32(&self, index: usize) -> &'p [u32] {
        if index < self.len() { self.bits(index) } else { &[] }
    }

    /// The first number of output `index`; NaN where there is no such output.
    pub fn scalar(&self, index: usize) -> f32 {
        self.f32(index).first().copied().unwrap_or(f32::NAN)
    }
}
