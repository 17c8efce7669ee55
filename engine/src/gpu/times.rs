//! How long the dispatches of a program take on the GPU, by timestamps between them. With the environment variable
//! `SYNOD_GPU_TIMES=1` each program that has run says on stderr, when it is dropped, where its time went: the kernels
//! that took the most, with their share, the time of a run and their dispatches in it.

use std::fmt::Write;
use std::time::Duration;

use super::device::GpuDevice;
use crate::error::Result;

/// The environment variable that turns timestamps on.
const SWITCH: &str = "SYNOD_GPU_TIMES";
/// Kernels that a report names.
const NAMED: usize = 15;
/// Timestamps in one set, the most that wgpu allows.
const SET: usize = 4096;

/// What timestamps between dispatches need of a device.
pub(super) fn features() -> wgpu::Features {
    wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES
}

/// Whether the user asks for them.
pub(super) fn wanted() -> bool {
    std::env::var(SWITCH).is_ok_and(|value| !value.is_empty() && value != "0")
}

/// Says that they are asked for and cannot be had.
pub(super) fn warn_of_lack(device: &str) {
    eprintln!("{SWITCH}: {device} has no timestamps inside of passes, so no times of kernels are taken");
}

/// Timestamps of a program: one before its first dispatch, and one after each.
pub(super) struct Times {
    sets: Vec<wgpu::QuerySet>,
    resolved: wgpu::Buffer,
    staging: wgpu::Buffer,
    /// Names of kernels, and which one each dispatch is.
    kernels: Vec<String>,
    kernel_of: Vec<usize>,
    nanoseconds_a_tick: f64,
    spent: Spent,
    words: Box<[u32]>,
}

/// What all runs so far took.
#[derive(Default)]
struct Spent {
    runs: u32,
    last: Duration,
    /// Nanoseconds of each kernel.
    kernels: Vec<f64>,
}

impl Times {
    /// For dispatches of kernels with these names.
    pub fn new(device: &GpuDevice, names: &[String]) -> Result<Self> {
        use wgpu::BufferUsages as Usage;
        let count = names.len() + 1;
        let sets = (0..count.div_ceil(SET)).map(|i| {
            device.guarded("timestamps", || {
                device.device.create_query_set(&wgpu::QuerySetDescriptor {
                    label: Some("timestamps"),
                    ty: wgpu::QueryType::Timestamp,
                    count: SET.min(count - i * SET) as u32,
                })
            })
        });
        let mut kernels: Vec<String> = Vec::new();
        let mut kernel_of = Vec::with_capacity(names.len());
        for name in names {
            let known = kernels.iter().position(|k| k == name);
            kernel_of.push(known.unwrap_or(kernels.len()));
            if known.is_none() {
                kernels.push(name.clone());
            }
        }
        let bytes = 8 * count as u64;
        Ok(Times {
            sets: sets.collect::<Result<_>>()?,
            resolved: device.buffer("timestamps", bytes, Usage::QUERY_RESOLVE | Usage::COPY_SRC)?,
            staging: device.buffer("timestamps", bytes, Usage::MAP_READ | Usage::COPY_DST)?,
            spent: Spent { kernels: vec![0.0; kernels.len()], ..Spent::default() },
            kernels,
            kernel_of,
            nanoseconds_a_tick: f64::from(device.queue.get_timestamp_period()),
            words: vec![0; 2 * count].into_boxed_slice(),
        })
    }

    /// Takes the time before the first dispatch (0), or after dispatch `number - 1`.
    pub fn stamp(&self, pass: &mut wgpu::ComputePass<'_>, number: usize) {
        pass.write_timestamp(&self.sets[number / SET], (number % SET) as u32);
    }

    /// Puts all timestamps where [`Times::take`] finds them.
    pub fn resolve(&self, encoder: &mut wgpu::CommandEncoder) {
        let count = self.kernel_of.len() + 1;
        for (i, set) in self.sets.iter().enumerate() {
            let range = 0..SET.min(count - i * SET) as u32;
            encoder.resolve_query_set(set, range, &self.resolved, 8 * (i * SET) as u64);
        }
        encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.staging, 0, 8 * count as u64);
    }

    /// Adds the times of a run that was submitted.
    pub fn take(&mut self, device: &GpuDevice, submission: wgpu::SubmissionIndex) -> Result<()> {
        device.fetch(&self.staging, submission, &mut self.words)?;
        let tick = |i: usize| u64::from(self.words[2 * i]) | u64::from(self.words[2 * i + 1]) << 32;
        for (i, &kernel) in self.kernel_of.iter().enumerate() {
            // Where two timestamps stand in the wrong order, clocks of parts of the device differ: nothing, then.
            let ticks = tick(i + 1).saturating_sub(tick(i));
            self.spent.kernels[kernel] += ticks as f64 * self.nanoseconds_a_tick;
        }
        let ticks = tick(self.kernel_of.len()).saturating_sub(tick(0));
        self.spent.last = Duration::from_nanos((ticks as f64 * self.nanoseconds_a_tick) as u64);
        self.spent.runs += 1;
        Ok(())
    }

    /// How long the last run took on the device.
    pub fn last(&self) -> Duration {
        self.spent.last
    }

    /// The report; empty where nothing has run.
    pub fn report(&self) -> String {
        let runs = f64::from(self.spent.runs);
        if self.spent.runs == 0 {
            return String::new();
        }
        let total: f64 = self.spent.kernels.iter().sum();
        let mut order: Vec<usize> = (0..self.kernels.len()).collect();
        order.sort_by(|&a, &b| self.spent.kernels[b].total_cmp(&self.spent.kernels[a]));
        let mut text = format!(
            "GPU times of {} dispatches, {} runs: {:.1} us a run\n",
            self.kernel_of.len(),
            self.spent.runs,
            total / runs / 1e3
        );
        for &kernel in order.iter().take(NAMED) {
            let own = self.spent.kernels[kernel];
            let count = self.kernel_of.iter().filter(|&&k| k == kernel).count();
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "{:>6.1} % {:>10.1} us {count:>5} x {}",
                100.0 * own / total.max(1e-9),
                own / runs / 1e3,
                self.kernels[kernel]
            );
        }
        text
    }
}

impl Drop for Times {
    fn drop(&mut self) {
        eprint!("{}", self.report());
    }
}
