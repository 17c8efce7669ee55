//! The public API with arbitrary sizes, values and orders of calls: errors are right, panics are not.
//!
//! Every target runs cases for its share of `SYNOD_FUZZ_SECONDS` (5 unless set). A case follows from its seed alone; what
//! fails is named with it. `SYNOD_FUZZ_SEED=N` runs case `N` of every target alone, `SYNOD_FUZZ_TRACE=1` prints every
//! seed before its case, for what ends the process.

mod actions;
mod kernels;
mod learning;
mod ops;
mod texts;
mod worlds;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant, SystemTime};

use synod::nn::initial::Stream;

/// Targets, which share the time.
const TARGETS: f64 = 13.0;

/// What a case is made of.
pub(crate) struct Random(Stream);

impl Random {
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0.below(n.max(1))
    }

    /// True once in `n` times.
    pub(crate) fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0.bits()
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// Mostly small, now and then next to a power of two or beyond all bounds.
    pub(crate) fn size(&mut self) -> usize {
        match self.below(12) {
            0 => 0,
            1 => (1usize << self.below(64)).wrapping_add(self.below(3)).wrapping_sub(1),
            2 => usize::MAX - self.below(3),
            3 => 16 + self.below(50),
            _ => 1 + self.below(9),
        }
    }

    /// Any float, the special ones more often than by chance.
    pub(crate) fn float(&mut self) -> f32 {
        match self.below(8) {
            0 => *self.pick(&[0.0, -0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 1e-40]),
            1 => f32::from_bits(self.bits() as u32),
            _ => (self.0.normal() * 3.0) as f32,
        }
    }

    pub(crate) fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.float()).collect()
    }

    /// `count`, or now and then another length.
    pub(crate) fn length(&mut self, count: usize) -> usize {
        match self.below(16) {
            0 => self.below(2 * count + 3),
            _ => count,
        }
    }

    /// Changes some bytes, cuts the rest off, or repeats a part.
    pub(crate) fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..1 + self.below(4) {
            if bytes.is_empty() {
                bytes.push(self.bits() as u8);
            }
            let at = self.below(bytes.len());
            match self.below(8) {
                0 => bytes.truncate(at),
                1 => {
                    let end = (at + self.below(40)).min(bytes.len());
                    let part = bytes[at..end].to_vec();
                    bytes.splice(at..at, part);
                }
                2 => {
                    let end = (at + self.below(9)).min(bytes.len());
                    bytes.drain(at..end);
                }
                3 => bytes[at] = *self.pick(b"0 9-.\n#\"[]{}:,=eE+\0\xff"),
                4 => bytes[at] = self.bits() as u8,
                _ => bytes[at] ^= 1 << self.below(8),
            }
        }
    }
}

/// Runs cases of a target until its time is up, and fails with the seeds of those that panicked.
pub(crate) fn fuzz(target: &str, case: impl Fn(&mut Random)) {
    let given = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<f64>().ok());
    let only = std::env::var("SYNOD_FUZZ_SEED").ok().and_then(|text| text.parse::<u64>().ok());
    let time = Duration::from_secs_f64(given("SYNOD_FUZZ_SECONDS").unwrap_or(5.0).clamp(0.0, 1e6) / TARGETS);
    let trace = std::env::var_os("SYNOD_FUZZ_TRACE").is_some();
    let since = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos() as u64);
    let base = only.unwrap_or(since & 0xffff_ffff_ffff);
    println!("{target}: SYNOD_FUZZ_SEED={base} and on");
    let (start, mut count, mut failures) = (Instant::now(), 0u64, Vec::new());
    while count == 0 || (only.is_none() && start.elapsed() < time && failures.len() < 5) {
        let seed = base.wrapping_add(count);
        count += 1;
        if trace {
            eprintln!("{target} SYNOD_FUZZ_SEED={seed}");
        }
        let begun = Instant::now();
        let done = catch_unwind(AssertUnwindSafe(|| case(&mut Random(Stream::new(seed)))));
        let message = match done {
            Ok(()) if begun.elapsed() < Duration::from_secs(60) => continue,
            Ok(()) => "took more than a minute".to_string(),
            Err(payload) => match (payload.downcast_ref::<String>(), payload.downcast_ref::<&str>()) {
                (Some(message), _) => message.clone(),
                (None, Some(message)) => message.to_string(),
                _ => "a panic".to_string(),
            },
        };
        failures.push(format!("SYNOD_FUZZ_SEED={seed}: {message}"));
    }
    println!("{target}: {count} cases");
    assert!(failures.is_empty(), "{target}\n{}", failures.join("\n"));
}
