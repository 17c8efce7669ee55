//! Whether there is memory for what settings ask for, asked before it is taken: an allocation that fails ends the process.

use crate::error::{Error, Result};

/// Refuses a setting that asks for more bytes than there are; `None` is a number of bytes that overflows.
///
/// # Errors
/// [`Error::Config`] with the key, what it takes and what is available.
pub fn require(key: &str, bytes: Option<usize>) -> Result<()> {
    let (needed, short) = match bytes {
        None => ("more bytes than can be counted".to_string(), true),
        Some(bytes) => {
            // What the process may reserve (a limit of its own), and what the machine can give.
            let reserved = Vec::<u8>::new().try_reserve_exact(bytes).is_ok();
            let available = available().is_none_or(|there| bytes as u64 <= there);
            (format!("{:.1} GB", bytes as f64 / 1e9), !reserved || !available)
        }
    };
    if !short {
        return Ok(());
    }
    let there = available().map(|there| format!(", {:.1} GB are available", there as f64 / 1e9));
    let there = there.unwrap_or_default();
    Err(Error::config(key, format!("takes {needed} of memory, more than there is{there}")))
}

/// Bytes that the machine and the process's group can still give, where the system says so.
fn available() -> Option<u64> {
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|n| n.saturating_mul(1024))
    });
    let group = number("/sys/fs/cgroup/memory.max")
        .zip(number("/sys/fs/cgroup/memory.current"))
        .map(|(most, now)| most.saturating_sub(now));
    match (machine, group) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_more_than_there_is_names_its_setting() {
        assert!(require("learner.replay", Some(1 << 20)).is_ok());
        for bytes in [None, Some(usize::MAX / 2), Some(1 << 50)] {
            let error = require("learner.replay", bytes).unwrap_err().to_string();
            assert!(error.contains("`learner.replay`") && error.contains("memory"), "{error}");
        }
    }
}
