//! Evaluations of a run while it trains, and the checkpoint of what acted in the best of them.
//!
//! `best.safetensors` stands beside the latest checkpoint. It holds what acts ([`Trainer::save_agent`]) and no more: nothing
//! can be trained on from it, but it can be evaluated, drawn, and another run can start from its weights. The latest
//! checkpoint names the step and the score of the best, so that a run that was resumed keeps the same one.
//!
//! [`Trainer::save_agent`]: crate::train::Trainer::save_agent
//!
//! ```
//! use synod::run::best::Evaluate;
//! use synod::train::Checkpoint;
//! /// Counts what it is asked to evaluate.
//! struct Count(u64);
//! impl Evaluate for Count {
//!     fn evaluate(&mut self, _agent: &Checkpoint) -> synod::Result<Vec<(String, f64)>> {
//!         self.0 += 1;
//!         Ok(vec![("score".to_string(), 0.0)])
//!     }
//! }
//! let mut count = Count(0);
//! count.evaluate(&Checkpoint::new())?;
//! assert_eq!(count.0, 1);
//! # Ok::<(), synod::Error>(())
//! ```

use super::checkpoint;
use super::directory::Directory;
use super::folder::BEST;
use crate::error::Result;
use crate::train::Checkpoint;

/// Plays with what a trainer has learned so far.
pub trait Evaluate {
    /// Plays some episodes with the agent of a checkpoint that [`Trainer::save_agent`](crate::train::Trainer::save_agent)
    /// gave, and gives the means of what came of them, by name. The first is the score, of which more is better. The same
    /// agent has to give the same numbers: a run that was killed evaluates once more what it lost.
    ///
    /// # Errors
    /// Whatever the worlds or the device report; the run stops then.
    fn evaluate(&mut self, agent: &Checkpoint) -> Result<Vec<(String, f64)>>;
}

/// The best evaluation of a run so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Best {
    /// Agent-steps that the run had made.
    pub step: u64,
    /// The score; of equal ones the latest.
    pub score: f64,
}

impl Best {
    /// As text for a checkpoint, exact to the bit.
    pub(super) fn to_text(self) -> String {
        format!("{:016x} {}", self.score.to_bits(), self.step)
    }

    /// From the text of [`Best::to_text`], in the checkpoint of step `now`; `None` where it is something else.
    pub(super) fn from_text(text: &str, now: u64) -> Option<Best> {
        let (score, step) = text.split_once(' ')?;
        let score = f64::from_bits(u64::from_str_radix(score, 16).ok()?);
        let step = step.parse().ok()?;
        (score.is_finite() && step <= now).then_some(Best { step, score })
    }

    /// What the checkpoint that a run goes on from says of the best, where `best.safetensors` is still that. A killed run
    /// may have found a better one after its checkpoint. It finds that again; or, with other settings, it does not, and
    /// then the best is that of the run as it went on.
    pub(super) fn resume(directory: &Directory, recorded: Option<Best>) -> Option<Best> {
        let texts = checkpoint::read_metadata(&directory.join(BEST)).ok()?;
        let step: u64 = texts.get("synod.step")?.parse().ok()?;
        recorded.filter(|best| best.step == step)
    }

    /// Whether a score takes its place.
    pub(super) fn is_beaten_by(self, score: f64) -> bool {
        score >= self.score
    }

    /// Writes the agent that had this score in place of the best before it.
    pub(super) fn keep(self, directory: &Directory, mut agent: Checkpoint) -> Result<()> {
        agent.set("synod.step", self.step);
        agent.set("synod.score", self.score);
        checkpoint::replace_in(directory, BEST, &agent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_checkpoint_says_of_the_best_is_not_trusted() {
        let best = Best { step: 7, score: 0.1 + 0.2 };
        assert_eq!(Best::from_text(&best.to_text(), 7), Some(best));
        assert_eq!(Best::from_text(&best.to_text(), 6), None, "a step that the run has not made");
        for score in [f64::NAN, f64::INFINITY] {
            assert_eq!(Best::from_text(&Best { step: 1, score }.to_text(), 7), None);
        }
        for text in ["", " ", "7", "x 7", "3fd3333333333334 ", "3fd3333333333334 -1", "3fd3333333333334 7 7"]
        {
            assert_eq!(Best::from_text(text, 7), None, "{text:?}");
        }
    }
}
