//! What `--device auto` takes. A GPU is not faster as such: it waits some microseconds for each kernel, and the networks of
//! agents are small. So the work decides, by the rule of [`Work::verdict`], and where that is open, a short trial of both. The
//! device that was taken is written into the run's `config.toml`: a resumed run goes on where it was.

use std::time::{Duration, Instant};

use super::Settings;
use crate::Device;
use crate::error::Result;
use crate::program::Summary;
use crate::train::Trainer;

/// Operations that a thread of the CPU does while a GPU waits for one kernel: about 5 us of 40 GFLOP/s.
const OPERATIONS_A_KERNEL: f64 = 2e5;
/// As long as a kernel has less than this many times what all threads do meanwhile, the CPU is taken unasked: a GPU does not do
/// its part of the work in no time. No GPU has been measured yet, so the bound is on the safe side.
const SMALL: f64 = 4.0;
/// From this many times on the GPU is taken unasked: a trial on the CPU would take too long.
const LARGE: f64 = 64.0;

/// One learning step, as the CPU does it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Work {
    /// Floating-point operations of all shards.
    pub operations: f64,
    /// Kernels of one shard; a GPU has a single shard, and at least one dispatch for each.
    pub kernels: usize,
}

/// What a rule says about a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The CPU is faster.
    Cpu,
    /// The GPU is faster.
    Gpu,
    /// Only a trial can tell.
    Open,
}

/// What `auto` came to.
pub struct Choice {
    /// The device.
    pub device: Device,
    /// Why, as half a sentence.
    pub reason: String,
}

impl Work {
    /// That of `shards` programs.
    pub fn of(program: &Summary, shards: usize) -> Work {
        Work { operations: shards as f64 * program.operations as f64, kernels: program.steps.max(1) }
    }

    /// Operations of a kernel, all shards together.
    pub fn operations_a_kernel(&self) -> f64 {
        self.operations / self.kernels as f64
    }

    /// What is faster than so many threads of a CPU, if that can be told without a trial.
    ///
    /// ```
    /// use synod::preset::choice::{Verdict, Work};
    ///
    /// // A learning step of `bottleneck`: 319 MFLOP in 1,321 kernels.
    /// let small = Work { operations: 319e6, kernels: 1321 };
    /// assert_eq!(small.verdict(2), Verdict::Cpu);
    /// let large = Work { operations: 1e13, kernels: 1321 };
    /// assert_eq!((large.verdict(2), large.verdict(64)), (Verdict::Gpu, Verdict::Gpu));
    /// ```
    pub fn verdict(&self, threads: usize) -> Verdict {
        let ratio = self.operations_a_kernel() / (OPERATIONS_A_KERNEL * threads.max(1) as f64);
        match ratio {
            r if r < SMALL => Verdict::Cpu,
            r if r < LARGE => Verdict::Open,
            _ => Verdict::Gpu,
        }
    }
}

/// `0.24 MFLOP a kernel in 1321 kernels`.
impl std::fmt::Display for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2} MFLOP a kernel in {} kernels", self.operations_a_kernel() / 1e6, self.kernels)
    }
}

/// What `auto` does, in a sentence, for lists of devices.
pub fn rule() -> String {
    let bound = |times: f64| times * OPERATIONS_A_KERNEL * rayon::current_num_threads() as f64 / 1e6;
    format!(
        "the CPU for learning steps of less than {:.0} MFLOP a kernel, the GPU from {:.0} MFLOP on, and between them what is \
         faster in a trial",
        bound(SMALL),
        bound(LARGE)
    )
}

/// The device for a run, and the trainer on it. Settings for `auto` are told what was taken; the device of any others is
/// their own.
///
/// # Errors
/// As [`Settings::trainer`], and where there is no such device.
pub fn choose(settings: &mut Settings) -> Result<(Choice, Box<dyn Trainer>)> {
    if settings.device != "auto" {
        let device = Device::by_name(&settings.device)?;
        let trainer = settings.trainer(&device)?;
        return Ok((Choice { device, reason: "as asked for".into() }, trainer));
    }
    let (choice, trainer) = choose_among(settings, Device::hardware_gpu())?;
    settings.device = if choice.device.is_cpu() { "cpu" } else { "gpu" }.into();
    Ok((choice, trainer))
}

/// The device on which a trained run acts where `auto` is asked for: that on which it was trained, where it is here. Acting
/// for a few worlds is less work than learning.
pub fn to_act(settings: &Settings) -> Device {
    let trained_on_gpu = settings.device == "gpu";
    trained_on_gpu.then(Device::hardware_gpu).flatten().unwrap_or_else(Device::cpu)
}

fn choose_among(settings: &Settings, gpu: Option<Device>) -> Result<(Choice, Box<dyn Trainer>)> {
    let cpu = Device::cpu();
    let trainer = settings.trainer(&cpu)?;
    let Some(gpu) = gpu else {
        return Ok((Choice { device: cpu, reason: "there is no hardware GPU".into() }, trainer));
    };
    let Some((program, shards)) = trainer.learning() else {
        return Ok((
            Choice { device: cpu, reason: "the learner does not say what a step costs".into() },
            trainer,
        ));
    };
    let work = Work::of(&program, shards);
    let threads = rayon::current_num_threads();
    match work.verdict(threads) {
        Verdict::Cpu => {
            let reason = format!("a learning step has {work}: too little for a GPU");
            Ok((Choice { device: cpu, reason }, trainer))
        }
        Verdict::Gpu => {
            let reason = format!("a learning step has {work}: too much for {threads} threads");
            let trainer = settings.trainer(&gpu)?;
            Ok((Choice { device: gpu, reason }, trainer))
        }
        Verdict::Open => tried(settings, [cpu, gpu], &format!("a learning step has {work}")),
    }
}

/// The faster of CPU and GPU; the reason starts with `why`.
fn tried(settings: &Settings, [cpu, gpu]: [Device; 2], why: &str) -> Result<(Choice, Box<dyn Trainer>)> {
    let rate = |device: &Device| trial(settings.trainer(device)?.as_mut());
    let (own, other) = (rate(&cpu)?, rate(&gpu)?);
    let reason =
        format!("{why}; in a trial the CPU made {own:.0} agent-steps a second and the GPU {other:.0}");
    let device = if other > own { gpu } else { cpu };
    // A trial leaves its trainer ahead of the run.
    let trainer = settings.trainer(&device)?;
    Ok((Choice { device, reason }, trainer))
}

/// Agent-steps a second, after a first iteration that makes everything ready.
fn trial(trainer: &mut dyn Trainer) -> Result<f64> {
    const LEAST: Duration = Duration::from_millis(500);
    const ITERATIONS: usize = 20;
    let first = trainer.step()?.steps;
    let start = Instant::now();
    let mut last = first;
    for _ in 0..ITERATIONS {
        last = trainer.step()?.steps;
        if start.elapsed() >= LEAST {
            break;
        }
    }
    Ok((last - first) as f64 / start.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_decides() {
        let work = |operations: f64| Work { operations, kernels: 10 };
        assert_eq!(work(0.0).verdict(1), Verdict::Cpu);
        assert_eq!(work(7.9e6).verdict(1), Verdict::Cpu);
        assert_eq!(work(8.1e6).verdict(1), Verdict::Open);
        assert_eq!(work(8.1e6).verdict(2), Verdict::Cpu);
        assert_eq!(work(1e9).verdict(1), Verdict::Gpu);
    }

    #[test]
    fn small_presets_take_the_cpu_even_where_there_is_a_gpu() {
        let gpu = Device::gpu();
        assert!(
            gpu.is_ok() || std::env::var("SYNOD_SKIP_GPU").is_ok_and(|v| v == "1"),
            "no adapter can be used"
        );
        for name in ["bottleneck", "spread-ippo"] {
            let settings = Settings::preset(name).unwrap();
            let (choice, _) = choose_among(&settings, gpu.as_ref().ok().cloned()).unwrap();
            assert!(choice.device.is_cpu(), "{name}: {}", choice.reason);
        }
    }

    #[test]
    fn what_auto_took_is_written_down() {
        let mut settings = Settings::preset("two-step-vdn").unwrap();
        assert_eq!(settings.device, "auto");
        let (choice, _) = choose(&mut settings).unwrap();
        assert!(choice.device.is_cpu() && settings.device == "cpu", "{}", choice.reason);
        assert!(settings.to_toml().unwrap().contains("device = \"cpu\""));
        assert!(to_act(&settings).is_cpu());
        // And taken again without a question.
        assert_eq!(choose(&mut settings).unwrap().0.reason, "as asked for");
    }

    #[test]
    fn a_trial_takes_the_faster_one_and_leaves_the_run_at_its_start() {
        let settings = Settings::preset("two-step-vdn").unwrap();
        let gpu = match Device::gpu() {
            Ok(gpu) => gpu,
            Err(error) => {
                assert!(std::env::var("SYNOD_SKIP_GPU").is_ok_and(|v| v == "1"), "{error}");
                return;
            }
        };
        // A software adapter is far slower, in a run of this size.
        let (choice, mut trainer) = tried(&settings, [Device::cpu(), gpu], "so it is").unwrap();
        assert!(choice.device.is_cpu(), "{}", choice.reason);
        assert!(choice.reason.starts_with("so it is; in a trial the CPU made "), "{}", choice.reason);
        let fresh = settings.trainer(&Device::cpu()).unwrap().step().unwrap();
        assert_eq!(trainer.step().unwrap().steps, fresh.steps);
    }
}
