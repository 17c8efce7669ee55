//! Where programs run: the CPU, or a GPU through wgpu.

use crate::error::{Error, Result};
use crate::graph::{CpuStorage, Data, Graph, Tensor, Variable};
use crate::program::{CompileOptions, Program};
use crate::shape::TensorType;

/// A GPU of this machine, or a program that stands in for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adapter {
    /// The name that the driver gives it.
    pub name: String,
    /// The interface: `Vulkan`, `Metal`, `Dx12`.
    pub backend: String,
    /// `discrete`, `integrated`, `virtual`, `software` or `other`.
    pub kind: &'static str,
    /// The driver and its version.
    pub driver: String,
}

impl Adapter {
    /// Whether there is silicon behind it.
    pub fn is_hardware(&self) -> bool {
        self.kind != "software"
    }
}

impl std::fmt::Display for Adapter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}, {}, {})", self.name, self.kind, self.backend, self.driver)
    }
}

/// A place where programs run and variables live. Cloning the handle does not make another device.
#[derive(Clone)]
pub struct Device(Kind);

#[derive(Clone)]
enum Kind {
    Cpu,
    #[cfg(feature = "gpu")]
    Gpu(std::sync::Arc<crate::gpu::GpuDevice>),
}

impl Device {
    /// The CPU. Always there.
    pub fn cpu() -> Self {
        Device(Kind::Cpu)
    }

    /// The best GPU of this machine; a software adapter counts where there is no other. The environment variable
    /// `SYNOD_ADAPTER` chooses one by a part of its name.
    ///
    /// # Errors
    /// There is no adapter, it lacks something that every kernel needs, or the crate was built without `gpu`.
    pub fn gpu() -> Result<Self> {
        #[cfg(feature = "gpu")]
        return Ok(Device(Kind::Gpu(crate::gpu::GpuDevice::open()?)));
        #[cfg(not(feature = "gpu"))]
        Err(Error::Device {
            device: "gpu".into(),
            message: "synod was built without its `gpu` feature".into(),
        })
    }

    /// The best GPU whose name contains `name`, in any case of letters.
    ///
    /// # Errors
    /// As [`Device::gpu`]; the message lists the adapters that there are.
    pub fn gpu_named(name: &str) -> Result<Self> {
        #[cfg(feature = "gpu")]
        return Ok(Device(Kind::Gpu(crate::gpu::GpuDevice::open_named(Some(name))?)));
        #[cfg(not(feature = "gpu"))]
        Err(Error::Device {
            device: name.into(),
            message: "synod was built without its `gpu` feature".into(),
        })
    }

    /// As [`Device::gpu`], of which kernels bind no more than `bytes` of a tensor at once, as if the device could not: ops on
    /// larger tensors are cut into parts. For tests of programs whose tensors will be larger than what a GPU can bind.
    ///
    /// # Errors
    /// As [`Device::gpu`].
    pub fn gpu_binding_at_most(bytes: u64) -> Result<Self> {
        #[cfg(feature = "gpu")]
        return Ok(Device(Kind::Gpu(crate::gpu::GpuDevice::open_bounded(bytes)?)));
        #[cfg(not(feature = "gpu"))]
        {
            let _ = bytes;
            Self::gpu()
        }
    }

    /// All GPUs of this machine, best first; none where the crate was built without `gpu`.
    pub fn adapters() -> Vec<Adapter> {
        #[cfg(feature = "gpu")]
        return crate::gpu::GpuDevice::list();
        #[cfg(not(feature = "gpu"))]
        Vec::new()
    }

    /// Command buffers handed to a GPU so far: one a run, and one a read of a variable. 0 on the CPU.
    pub fn submissions(&self) -> u64 {
        match &self.0 {
            Kind::Cpu => 0,
            #[cfg(feature = "gpu")]
            Kind::Gpu(device) => device.submissions(),
        }
    }

    /// A hardware GPU where there is one, else the CPU. For small work the CPU may well be faster: what trains chooses by
    /// the work instead.
    pub fn auto() -> Self {
        Self::hardware_gpu().unwrap_or_else(Self::cpu)
    }

    /// The best GPU with silicon behind it, if there is one that kernels can run on.
    pub fn hardware_gpu() -> Option<Self> {
        #[cfg(feature = "gpu")]
        return crate::gpu::GpuDevice::open_hardware().ok().map(|device| Device(Kind::Gpu(device)));
        #[cfg(not(feature = "gpu"))]
        None
    }

    /// A device by name: `auto`, `cpu` or `gpu`.
    ///
    /// # Errors
    /// Another name, or no adapter for `gpu`.
    pub fn by_name(name: &str) -> Result<Self> {
        match name {
            "auto" => Ok(Self::auto()),
            "cpu" => Ok(Self::cpu()),
            "gpu" => Self::gpu(),
            other => Err(Error::config("device", format!("`{other}` is none of auto, cpu, gpu"))),
        }
    }

    /// The device's own name.
    pub fn name(&self) -> String {
        match &self.0 {
            Kind::Cpu => format!("cpu ({} threads)", rayon::current_num_threads()),
            #[cfg(feature = "gpu")]
            Kind::Gpu(device) => device.name(),
        }
    }

    /// Whether this is the CPU.
    pub fn is_cpu(&self) -> bool {
        matches!(self.0, Kind::Cpu)
    }

    /// Compiles what `outputs` and the graph's assignments need.
    ///
    /// # Errors
    /// The first mistake made while the graph was built; a variable of another device; a size over a limit of the
    /// device.
    pub fn compile(&self, graph: &Graph, outputs: &[Tensor<'_>]) -> Result<Program> {
        self.compile_with(graph, outputs, CompileOptions::default())
    }

    /// [`Device::compile`] with choices.
    ///
    /// # Errors
    /// As [`Device::compile`].
    pub fn compile_with(
        &self,
        graph: &Graph,
        outputs: &[Tensor<'_>],
        options: CompileOptions,
    ) -> Result<Program> {
        match &self.0 {
            Kind::Cpu => Program::on_cpu(graph, outputs, options),
            #[cfg(feature = "gpu")]
            Kind::Gpu(device) => Program::on_gpu(device, graph, outputs, options),
        }
    }

    /// A new variable with these elements in row-major order; the name is for errors and checkpoints.
    ///
    /// # Errors
    /// Another number or type of elements than `of` says, or no room on the device.
    pub fn variable(&self, name: &str, of: TensorType, data: &dyn Data) -> Result<Variable> {
        let given = data.bits().len();
        match of.shape.checked_elements() {
            Some(n) if n > 0 && n == given && data.dtype() == of.dtype => {}
            _ => {
                return Err(Error::Graph(format!(
                    "variable `{name}` of {of} was given {given} elements of {}",
                    data.dtype()
                )));
            }
        }
        let variable = match &self.0 {
            Kind::Cpu => Variable::new(name, of.clone(), Box::new(CpuStorage::zeroed(of.elements())?)),
            #[cfg(feature = "gpu")]
            Kind::Gpu(device) => Variable::new(name, of.clone(), Box::new(device.storage(name, &of)?)),
        };
        variable.write(data)?;
        Ok(variable)
    }
}
