//! What a run shows while it goes: a bar where stderr is a terminal, a line every few seconds where it is not.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::picture::number::{short, significant};

/// Where a run stands.
#[derive(Clone, Copy, Debug)]
pub struct Status<'a> {
    /// Agent-steps so far.
    pub steps: u64,
    /// Agent-steps to go to.
    pub total: u64,
    /// Agent-steps a second lately; zero before there is a measurement.
    pub rate: f64,
    /// The values chosen to be shown, smoothed.
    pub values: &'a [(String, f64)],
}

impl Status<'_> {
    /// `12.3 k/s  return 0.513  csr 0.91  2 min left`
    pub fn describe(&self) -> String {
        let mut parts = Vec::new();
        if self.rate > 0.0 {
            parts.push(format!("{}/s", short(self.rate)));
        }
        parts.extend(self.values.iter().map(|(name, value)| format!("{name} {}", significant(*value))));
        if self.rate > 0.0 && self.steps < self.total {
            parts.push(format!("{} left", duration((self.total - self.steps) as f64 / self.rate)));
        }
        parts.join("  ")
    }
}

/// Something that shows a run.
pub trait Progress {
    /// Called after every iteration.
    fn update(&mut self, status: &Status<'_>);
    /// A sentence for the user (where it resumed, where it stopped).
    fn message(&mut self, text: &str);
    /// The loop is over, well or not.
    fn finish(&mut self) {}
}

/// Shows nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn update(&mut self, _: &Status<'_>) {}
    fn message(&mut self, _: &str) {}
}

/// Lines of text, at most one every `interval`.
#[derive(Debug)]
pub struct Lines<W: Write> {
    out: W,
    title: String,
    interval: Duration,
    last: Option<Instant>,
}

impl<W: Write> Lines<W> {
    /// Lines that begin with `title`.
    pub fn new(out: W, title: &str, interval: Duration) -> Self {
        Lines { out, title: title.to_string(), interval, last: None }
    }
}

impl<W: Write> Progress for Lines<W> {
    fn update(&mut self, status: &Status<'_>) {
        let due = self.last.is_none_or(|last| last.elapsed() >= self.interval);
        if due || status.steps >= status.total {
            self.last = Some(Instant::now());
            // The last iteration may go a little beyond.
            let share = (100.0 * status.steps as f64 / status.total.max(1) as f64).min(100.0);
            // Nobody may be reading any more; the training is worth more than the line.
            let _ = writeln!(
                self.out,
                "{}: {share:.1} %, {} of {} steps  {}",
                self.title,
                short(status.steps as f64),
                short(status.total as f64),
                status.describe()
            );
        }
    }

    fn message(&mut self, text: &str) {
        let _ = writeln!(self.out, "{text}");
    }
}

/// A bar on stderr.
#[derive(Debug)]
struct Bar(ProgressBar);

impl Progress for Bar {
    fn update(&mut self, status: &Status<'_>) {
        self.0.set_length(status.total);
        self.0.set_position(status.steps.min(status.total));
        self.0.set_message(status.describe());
    }

    fn message(&mut self, text: &str) {
        self.0.suspend(|| {
            let _ = writeln!(std::io::stderr(), "{text}");
        });
    }

    fn finish(&mut self) {
        self.0.abandon();
    }
}

/// What suits stderr: a bar on a terminal, otherwise a line every five seconds.
pub fn on_stderr(title: &str) -> Box<dyn Progress> {
    if !std::io::stderr().is_terminal() {
        return Box::new(Lines::new(std::io::stderr(), title, Duration::from_secs(5)));
    }
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    if let Ok(style) =
        ProgressStyle::with_template("{prefix} {bar:28.green/black.bright} {percent:>3} %  {msg}")
    {
        bar.set_style(style.progress_chars("━╸━"));
    }
    bar.set_prefix(title.to_string());
    Box::new(Bar(bar))
}

/// A bar that counts things done, with their rate and the time left. It shows only on a terminal.
pub struct Counter(ProgressBar);

impl Counter {
    /// A counter of `what` on stderr.
    pub fn on_stderr(what: &str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(
            "{bar:28.green/black.bright} {pos}/{len} {prefix}, {per_sec}, {eta} left",
        ) {
            bar.set_style(style.progress_chars("━╸━"));
        }
        bar.set_prefix(what.to_string());
        Counter(bar)
    }

    /// So many of so many are done.
    pub fn show(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}

/// `8 s`, `4 min 10 s`, `2 h 5 min`, `3 d 4 h`
pub fn duration(seconds: f64) -> String {
    let s = seconds.clamp(0.0, 1e12).round() as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        3600..86400 => format!("{} h {} min", s / 3600, s / 60 % 60),
        _ => format!("{} d {} h", s / 86400, s / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        for (seconds, text) in
            [(0.4, "0 s"), (250.0, "4 min 10 s"), (7500.0, "2 h 5 min"), (273600.0, "3 d 4 h")]
        {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn lines_say_where_the_run_stands() {
        let mut out = Vec::new();
        let values = [("return".to_string(), 0.5), ("csr".to_string(), 0.25)];
        let mut lines = Lines::new(&mut out, "bottleneck", Duration::from_secs(3600));
        for steps in [500, 750, 1000] {
            lines.update(&Status { steps, total: 1000, rate: 10.0, values: &values });
        }
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "bottleneck: 50.0 %, 500 of 1.00 k steps  10/s  return 0.500  csr 0.250  50 s left\n\
             bottleneck: 100.0 %, 1.00 k of 1.00 k steps  10/s  return 0.500  csr 0.250\n"
        );
    }
}
