//! The adapter that is chosen, what it offers, and what it reports when something goes wrong.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::pipeline::Pipelines;
use super::storage::GpuStorage;
use super::times;
use crate::device::Adapter;
use crate::error::{Error, Result};
use crate::graph::GpuLimits;
use crate::shape::TensorType;

/// The environment variable that chooses an adapter by a part of its name.
const CHOICE: &str = "SYNOD_ADAPTER";

/// The environment variable for subgroup operations: `1` uses them where they are there, `0` does not; without it hardware
/// does.
const SUBGROUPS: &str = "SYNOD_SUBGROUPS";

/// The environment variable for checks in shaders: `1` for all, `0` for none; without it builds with debug assertions
/// have all.
const CHECKS: &str = "SYNOD_SHADER_CHECKS";

/// The environment variable for the seconds that a GPU may take for one run before it counts as hung.
const PATIENCE: &str = "SYNOD_GPU_TIMEOUT";

/// Seconds that a GPU may take for one run, and a program that stands in for one.
const SECONDS: [u64; 2] = [60, 1800];

/// The most bytes of values that have a buffer each (see `slots`), and the share of the largest binding that they may
/// take: wgpu does not tell how much memory there is.
const APART: u64 = 1 << 30;
const APART_SHARE: u64 = 8;

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
    /// Whether shaders check indices and loops as they run. Users run them without, tests both ways.
    pub(super) checked: bool,
    /// Whether programs measure their dispatches (see `times`).
    pub(super) timed: bool,
    /// Up to this many bytes in all, the values of a program have a buffer each.
    pub(super) apart: u64,
    /// How long a run may take.
    patience: Duration,
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

/// An environment variable that says something.
fn switch(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// The adapter that the user asks for.
fn chosen() -> Option<String> {
    switch(CHOICE)
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
            device.apart = device.apart.min(bytes / APART_SHARE);
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
                None => {
                    let subgroups = switch(SUBGROUPS).map_or(description.is_hardware(), |value| value != "0");
                    match Self::from_adapter(adapter, subgroups, times::wanted()) {
                        Ok(device) => return Ok(Arc::new(device)),
                        Err(error) => reasons.push(error.to_string()),
                    }
                }
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

    /// A device, with subgroup operations and with times of kernels where they are wanted and there.
    fn from_adapter(adapter: &wgpu::Adapter, subgroups: bool, timed: bool) -> Result<Self> {
        let (offered, description) = (adapter.limits(), describe(&adapter.get_info()));
        let useful = if subgroups { wgpu::Features::SUBGROUP } else { wgpu::Features::empty() };
        let mut features = adapter.features() & useful;
        let can_be_timed = adapter.features().contains(times::features());
        if timed && can_be_timed {
            features |= times::features();
        } else if timed {
            times::warn_of_lack(&description.name);
        }
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
            subgroup_size: adapter.get_info().subgroup_max_size,
            rounds: match adapter.get_info().device_type {
                wgpu::DeviceType::Cpu => 65_535,
                _ => u64::MAX,
            },
        };
        let patience = match switch(PATIENCE) {
            Some(text) => match text.parse() {
                Ok(seconds) if seconds > 0 => seconds,
                _ => {
                    return Err(missing(
                        &description.name,
                        format!("{PATIENCE}={text}: not a number of seconds"),
                    ));
                }
            },
            None => SECONDS[usize::from(!description.is_hardware())],
        };
        let patience = Duration::from_secs(patience);
        let apart = APART.min(limits.binding_bytes / APART_SHARE);
        Ok(GpuDevice {
            device,
            queue,
            wgpu_limits: has,
            pipelines: Mutex::default(),
            checked: switch(CHECKS).map_or(cfg!(debug_assertions), |value| value != "0"),
            timed: timed && can_be_timed,
            apart,
            patience,
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

    /// Waits until a submission is done, but not for ever: a hung GPU is an error.
    pub(super) fn wait(&self, submission: wgpu::SubmissionIndex) -> Result<()> {
        let wait = wgpu::PollType::Wait { submission_index: Some(submission), timeout: Some(self.patience) };
        let polled = self.device.poll(wait);
        self.check()?;
        match polled {
            Ok(_) => Ok(()),
            Err(wgpu::PollError::Timeout) => Err(self.error(format!(
                "it has not finished what it was given within {} s: it hangs, or the work is too much for it \
                 ({PATIENCE}=SECONDS waits longer)",
                self.patience.as_secs()
            ))),
            Err(error) => Err(self.error(error.to_string())),
        }
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
#[path = "device_tests.rs"]
mod tests;
