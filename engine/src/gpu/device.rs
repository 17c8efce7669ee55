//! The adapter that is chosen, what it offers, and what it reports when something goes wrong.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::pipeline::Pipelines;
use super::storage::GpuStorage;
use crate::device::Adapter;
use crate::error::{Error, Result};
use crate::graph::GpuLimits;
use crate::shape::TensorType;

/// The environment variable that chooses an adapter by a part of its name.
const CHOICE: &str = "SYNOD_ADAPTER";

/// What every kernel may count on (the WebGPU default limits).
const STORAGE_BUFFERS: u32 = 8;
const INVOCATIONS: u32 = 256;
const WORKGROUP_BYTES: u32 = 16 * 1024;

fn describe(info: &wgpu::AdapterInfo) -> Adapter {
    Adapter {
        name: info.name.clone(),
        backend: format!("{:?}", info.backend),
        kind: match info.device_type {
            wgpu::DeviceType::DiscreteGpu => "discrete",
            wgpu::DeviceType::IntegratedGpu => "integrated",
            wgpu::DeviceType::VirtualGpu => "virtual",
            wgpu::DeviceType::Cpu => "software",
            wgpu::DeviceType::Other => "other",
        },
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_string(),
    }
}

/// What went wrong outside of a call that could have returned it.
#[derive(Default)]
struct Reports {
    lost: OnceLock<String>,
    error: Mutex<Option<String>>,
    any: AtomicBool,
}

/// A wgpu device with its queue, its limits and its pipelines.
pub(crate) struct GpuDevice {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) wgpu_limits: wgpu::Limits,
    pub(super) pipelines: Mutex<Pipelines>,
    limits: GpuLimits,
    description: Adapter,
    reports: Arc<Reports>,
    submissions: AtomicU64,
}

fn instance() -> &'static wgpu::Instance {
    static INSTANCE: OnceLock<wgpu::Instance> = OnceLock::new();
    INSTANCE.get_or_init(|| {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = wgpu::Backends::PRIMARY;
        wgpu::Instance::new(descriptor)
    })
}

/// The adapter that the user asks for.
fn chosen() -> Option<String> {
    std::env::var(CHOICE).ok().filter(|text| !text.is_empty())
}

/// Best first: hardware before software.
fn adapters() -> Vec<wgpu::Adapter> {
    let mut adapters = pollster::block_on(instance().enumerate_adapters(wgpu::Backends::PRIMARY));
    adapters.sort_by_key(|adapter| match adapter.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    });
    adapters
}

fn missing(device: &str, message: impl Into<String>) -> Error {
    Error::Device { device: device.to_string(), message: message.into() }
}

/// What kernels need and an adapter lacks, if anything.
fn lacks(adapter: &wgpu::Adapter) -> Option<String> {
    let limits = adapter.limits();
    let compute = wgpu::DownlevelFlags::COMPUTE_SHADERS;
    if !adapter.get_downlevel_capabilities().flags.contains(compute) {
        return Some("it has no compute shaders".into());
    }
    [
        ("storage buffers a dispatch", limits.max_storage_buffers_per_shader_stage, STORAGE_BUFFERS),
        ("invocations a workgroup", limits.max_compute_invocations_per_workgroup, INVOCATIONS),
        ("invocations along x", limits.max_compute_workgroup_size_x, INVOCATIONS),
        ("bytes of workgroup memory", limits.max_compute_workgroup_storage_size, WORKGROUP_BYTES),
    ]
    .into_iter()
    .find(|(_, has, needed)| has < needed)
    .map(|(what, has, needed)| format!("it has {has} {what}, and kernels need {needed}"))
}

impl GpuDevice {
    /// All adapters, best first.
    pub fn list() -> Vec<Adapter> {
        adapters().iter().map(|a| describe(&a.get_info())).collect()
    }

    /// The best adapter; with `SYNOD_ADAPTER` the best one whose name contains it, in any case of letters.
    pub fn open() -> Result<Arc<Self>> {
        Self::open_among(&adapters(), chosen().as_deref())
    }

    /// As [`GpuDevice::open`], with bindings of at most so many bytes.
    pub fn open_bounded(bytes: u64) -> Result<Arc<Self>> {
        let mut device = Self::open()?;
        if let Some(device) = Arc::get_mut(&mut device) {
            device.limits.binding_bytes = device.limits.binding_bytes.min(bytes);
        }
        Ok(device)
    }

    /// As [`GpuDevice::open`], of those with silicon behind them.
    pub fn open_hardware() -> Result<Arc<Self>> {
        let mut adapters = adapters();
        adapters.retain(|adapter| describe(&adapter.get_info()).is_hardware());
        Self::open_among(&adapters, chosen().as_deref())
    }

    /// The best adapter whose name contains `name`.
    pub fn open_named(name: Option<&str>) -> Result<Arc<Self>> {
        Self::open_among(&adapters(), name)
    }

    fn open_among(all: &[wgpu::Adapter], name: Option<&str>) -> Result<Arc<Self>> {
        let fits = |adapter: &wgpu::Adapter| match name {
            Some(part) => adapter.get_info().name.to_lowercase().contains(&part.to_lowercase()),
            None => true,
        };
        let mut reasons = Vec::new();
        for adapter in all.iter().filter(|a| fits(a)) {
            let description = describe(&adapter.get_info());
            match lacks(adapter) {
                // In software subgroup operations are loops, and slower than workgroup memory (see BENCHMARKS.md).
                None => match Self::from_adapter(adapter, description.is_hardware()) {
                    Ok(device) => return Ok(Arc::new(device)),
                    Err(error) => reasons.push(error.to_string()),
                },
                Some(reason) => reasons.push(format!("{}: {reason}", description.name)),
            }
        }
        let known: Vec<String> = all.iter().map(|a| a.get_info().name).collect();
        let known = if known.is_empty() { "none".to_string() } else { known.join(", ") };
        Err(match (name, reasons.is_empty()) {
            (_, false) => missing("gpu", format!("no adapter can be used: {}", reasons.join("; "))),
            (Some(name), true) => {
                missing(name, format!("no adapter has this in its name; there is: {known}"))
            }
            (None, true) => missing(
                "gpu",
                "there is no Vulkan, Metal or Direct3D 12 adapter (on Linux, `mesa-vulkan-drivers` has one in software)",
            ),
        })
    }

    /// A device, with subgroup operations where they are wanted and there.
    fn from_adapter(adapter: &wgpu::Adapter, subgroups: bool) -> Result<Self> {
        let (offered, description) = (adapter.limits(), describe(&adapter.get_info()));
        let useful = if subgroups { wgpu::Features::SUBGROUP } else { wgpu::Features::empty() };
        let features = adapter.features() & useful;
        let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("synod"),
            required_features: features,
            required_limits: offered,
            ..Default::default()
        }))
        .map_err(|e| missing(&description.name, e.to_string()))?;
        let reports = Arc::new(Reports::default());
        let lost = reports.clone();
        device.set_device_lost_callback(move |reason, message| {
            let _ = lost.lost.set(format!("lost ({reason:?}): {message}"));
            lost.any.store(true, Ordering::Release);
        });
        let uncaptured = reports.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let mut first = uncaptured.error.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert_with(|| error.to_string());
            uncaptured.any.store(true, Ordering::Release);
        }));
        let has = device.limits();
        let limits = GpuLimits {
            binding_bytes: has.max_storage_buffer_binding_size.min(has.max_buffer_size),
            storage_buffers: has.max_storage_buffers_per_shader_stage,
            workgroups: has.max_compute_workgroups_per_dimension,
            invocations: has.max_compute_invocations_per_workgroup,
            workgroup_bytes: has.max_compute_workgroup_storage_size,
            subgroups: features.contains(wgpu::Features::SUBGROUP),
        };
        Ok(GpuDevice {
            device,
            queue,
            wgpu_limits: has,
            pipelines: Mutex::default(),
            limits,
            description,
            reports,
            submissions: AtomicU64::new(0),
        })
    }

    /// What kernels choose by.
    pub fn limits(&self) -> &GpuLimits {
        &self.limits
    }

    /// Bytes at whose multiples values start: where bindings may, and vectors of four floats.
    pub fn alignment(&self) -> u64 {
        u64::from(self.wgpu_limits.min_storage_buffer_offset_alignment.max(16))
    }

    /// Name, kind, interface and driver.
    pub fn name(&self) -> String {
        self.description.to_string()
    }

    /// Command buffers submitted so far.
    pub fn submissions(&self) -> u64 {
        self.submissions.load(Ordering::Relaxed)
    }

    /// Memory for a variable.
    pub fn storage(self: &Arc<Self>, name: &str, of: &TensorType) -> Result<GpuStorage> {
        GpuStorage::new(self.clone(), name, of)
    }

    /// An error that names this device.
    pub(super) fn error(&self, message: impl Into<String>) -> Error {
        missing(&self.description.name, message)
    }

    /// Whatever was reported since the last time.
    pub(super) fn check(&self) -> Result<()> {
        if !self.reports.any.load(Ordering::Acquire) {
            return Ok(());
        }
        if let Some(message) = self.reports.lost.get() {
            return Err(self.error(message.clone()));
        }
        self.reports.any.store(false, Ordering::Release);
        match lock(&self.reports.error).take() {
            Some(message) => Err(self.error(message)),
            None => Ok(()),
        }
    }

    /// Calls `make` and turns what wgpu has against it into an error that starts with `what`.
    pub(super) fn guarded<T>(&self, what: &str, make: impl FnOnce() -> T) -> Result<T> {
        self.check()?;
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let internal = self.device.push_error_scope(wgpu::ErrorFilter::Internal);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let made = make();
        let errors = [
            pollster::block_on(validation.pop()),
            pollster::block_on(internal.pop()),
            pollster::block_on(memory.pop()),
        ];
        match errors.into_iter().flatten().next() {
            Some(error) => Err(self.error(format!("{what}: {error}"))),
            None => Ok(made),
        }
    }

    /// A buffer of `bytes` (rounded up to whole words; at least one).
    pub(super) fn buffer(&self, what: &str, bytes: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        let size = bytes.max(4).next_multiple_of(4);
        if size > self.wgpu_limits.max_buffer_size {
            return Err(Error::Limit {
                op: what.to_string(),
                what: "buffer (bytes)".into(),
                needed: size,
                limit: self.wgpu_limits.max_buffer_size,
                operands: String::new(),
            });
        }
        self.guarded(what, || {
            self.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(what),
                size,
                usage,
                mapped_at_creation: false,
            })
        })
    }

    /// Submits one command buffer.
    pub(super) fn submit(&self, commands: wgpu::CommandBuffer) -> wgpu::SubmissionIndex {
        self.submissions.fetch_add(1, Ordering::Relaxed);
        self.queue.submit([commands])
    }

    /// Hears what has happened so far, without waiting.
    pub(super) fn poll(&self) -> Result<()> {
        let polled = self.device.poll(wgpu::PollType::Poll);
        self.check()?;
        polled.map_err(|e| self.error(e.to_string()))?;
        Ok(())
    }

    /// Waits until a submission is done.
    pub(super) fn wait(&self, submission: wgpu::SubmissionIndex) -> Result<()> {
        let wait = wgpu::PollType::Wait { submission_index: Some(submission), timeout: None };
        let polled = self.device.poll(wait);
        self.check()?;
        polled.map_err(|e| self.error(e.to_string()))?;
        Ok(())
    }

    /// Waits for `submission` and copies the first words of `staging`, which it has written, to `words`.
    pub(super) fn fetch(
        &self,
        staging: &wgpu::Buffer,
        submission: wgpu::SubmissionIndex,
        words: &mut [u32],
    ) -> Result<()> {
        let slice = staging.slice(..4 * words.len() as u64);
        slice.map_async(wgpu::MapMode::Read, |_| {});
        if let Err(error) = self.wait(submission) {
            staging.unmap();
            return Err(error);
        }
        match slice.get_mapped_range() {
            Ok(view) => bytemuck::cast_slice_mut(words).copy_from_slice(&view),
            Err(error) => {
                staging.unmap();
                self.check()?;
                return Err(self.error(format!("reading results: {error}")));
            }
        }
        staging.unmap();
        Ok(())
    }
}

/// A lock whose content is good even where some thread panicked while it held it.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Graph, Variable};
    use crate::program::{CompileOptions, Program};

    /// What was found; without it the test fails, or, where the user leaves the GPU out, says so and ends.
    fn unless_skipped<T>(found: Option<T>) -> Option<T> {
        if found.is_none() {
            assert!(std::env::var("SYNOD_SKIP_GPU").is_ok_and(|v| v == "1"), "no adapter can be used");
            eprintln!("SYNOD_SKIP_GPU=1: not tested on a GPU");
        }
        found
    }

    #[test]
    fn a_lost_device_is_an_error_everywhere() {
        let Some(device) = unless_skipped(GpuDevice::open().ok()) else { return };
        let of = TensorType::f32([4]);
        let variable = Variable::new("v", of.clone(), Box::new(device.storage("v", &of).unwrap()));
        let g = Graph::new();
        let next = g.variable(&variable) + g.input("x", [4]);
        g.assign(&variable, next);
        let program = |outputs: &[_]| Program::on_gpu(&device, &g, outputs, CompileOptions::default());
        let (mut reading, mut silent) = (program(&[next]).unwrap(), program(&[]).unwrap());
        reading.run(&[("x", &[1.0f32; 4])]).unwrap();
        device.device.destroy();
        let is_device = |result: Result<()>| match result {
            Err(Error::Device { device: name, .. }) => assert_eq!(name, device.description.name),
            other => panic!("{other:?}"),
        };
        is_device(reading.run(&[]).map(|_| ()));
        is_device(silent.run(&[("x", &[1.0f32; 4])]).map(|_| ()));
        is_device(variable.read().map(|_| ()));
        is_device(variable.write(&[0.0f32; 4]));
        is_device(program(&[next]).map(|_| ()));
        is_device(device.storage("w", &of).map(|_| ()));
    }

    /// Sums over a workgroup, with subgroup operations and without: rows longer than a workgroup and shorter ones.
    #[test]
    fn devices_with_subgroups_and_without_compute_the_same() {
        let adapters = adapters();
        // lavapipe and every adapter of the last ten years has subgroups: without, this would compare a thing with itself.
        let has = |a: &&wgpu::Adapter| lacks(a).is_none() && a.features().contains(wgpu::Features::SUBGROUP);
        let Some(adapter) = unless_skipped(adapters.iter().find(has)) else { return };
        let open = |wanted| GpuDevice::from_adapter(adapter, wanted).unwrap();
        let devices = [true, false].map(|subgroups| Arc::new(open(subgroups)));
        assert_eq!([true, false], [0, 1].map(|i: usize| devices[i].limits().subgroups));
        for width in [33, 64, 127, 300, 1025] {
            let rows = 5;
            let values: Vec<f32> =
                (0..rows * width).map(|i| ((i * 7919 + width) % 1013) as f32 / 200.0 - 2.5).collect();
            let results = [0, 1].map(|i: usize| {
                let g = Graph::new();
                let x = g.input("x", [rows, width]);
                let (scale, bias) = (g.full([width], 1.5), g.full([width], 0.5));
                let (soft, normal) = (x.softmax(-1), x.layer_norm(scale, bias, 1e-5));
                let loss = (x.log_softmax(-1) * normal).sum_all() + (soft * soft * x).sum_all();
                let slope = g.grad(loss, &[x]).unwrap()[0];
                let outputs = [soft, normal, x.sum(&[1]), x.max(&[1]), slope];
                let mut program =
                    Program::on_gpu(&devices[i], &g, &outputs, CompileOptions::default()).unwrap();
                let out = program.run(&[("x", &values)]).unwrap();
                (0..outputs.len()).flat_map(|o| out.f32(o).to_vec()).collect::<Vec<f32>>()
            });
            for (a, b) in results[0].iter().zip(&results[1]) {
                assert!((a - b).abs() <= 1e-4 * (1.0 + b.abs()), "{width}: {a} and {b}");
            }
            // The sums are right, not only alike.
            let first = 2 * rows * width;
            for (row, sum) in values.chunks(width).zip(&results[0][first..]) {
                let exact: f64 = row.iter().map(|v| f64::from(*v)).sum();
                assert!((f64::from(*sum) - exact).abs() < 1e-3, "{width}: {sum}, not {exact}");
            }
        }
    }
}
