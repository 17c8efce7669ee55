//! The role that shares out the work: the agent-steps of a round go to those whose work comes to most.
//!
//! What a role's work comes to is measured: its gain for each agent-step, by its own measure, averaged over time, as a part
//! of the largest that it was of late. A role whose work goes up and down, or comes to nothing, therefore gets less than one
//! that goes on getting better, whatever its unit. To that a
//! bonus is added for what was long not tried (Auer, Cesa-Bianchi and Fischer 2002, UCB1) and a preference; the shares are
//! the softmax. What a role did not use, or used beyond, is made up for later.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::broker::{Envelope, Message};
use super::config::{Mode, RoleMaking, RoleSettings};
use super::messages::{Assignment, Done, Restarted, Round};
use super::role::{Outbox, Proposal, Role, View};
use crate::error::{Error, Result};
use crate::registry::Member;
use crate::schema;
use crate::tensors::{Checkpoint, TensorData};

/// A role whose share comes to less than this part of a round waits until it has more.
const LEAST: f64 = 0.1;

/// What the largest gain of a role counts a slice of work later: what it learned at the very first is no measure for ever.
const KEPT: f64 = 0.9;

/// The settings of [`Coordinator`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CoordinatorConfig {
    /// How evenly work is shared: the softmax's temperature.
    #[schemars(range(min = 1e-3, max = 1e3))]
    pub temperature: f64,
    /// How fast old gains are forgotten.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub rate: f64,
    /// How much counts what was not tried for long.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub curiosity: f64,
    /// A preference for each role that works, in their order; roles beyond the list have 0.
    pub preferences: Vec<f64>,
}

impl Default for CoordinatorConfig {
    /// A temperature of a half, three tenths forgotten a time, a bonus of 0.2, no preference.
    fn default() -> Self {
        CoordinatorConfig { temperature: 0.5, rate: 0.3, curiosity: 0.2, preferences: Vec::new() }
    }
}

impl Member for CoordinatorConfig {
    const NAME: &'static str = "coordinator";
    const SUMMARY: &'static str =
        "shares out the work by what each role's work comes to, and settles conflicts";
}

impl RoleSettings for CoordinatorConfig {
    fn works(&self) -> bool {
        false
    }

    fn check(&self) -> Result<()> {
        schema::check("coordinator", self)?;
        match self.preferences.iter().all(|p| p.abs() <= 1e3) {
            true => Ok(()),
            false => Err(Error::config("coordinator.preferences", "numbers from -1000 to 1000")),
        }
    }

    fn role(&self, making: &RoleMaking) -> Result<Box<dyn Role>> {
        self.check()?;
        Ok(Box::new(Coordinator::new(self.clone(), making.mode, making.workers.clone())))
    }
}

/// What is known of a role.
#[derive(Debug, Clone, Default, PartialEq)]
struct Known {
    /// Gain for a thousand agent-steps, averaged, and the largest that it was of late in absolute value.
    pace: f64,
    largest: f64,
    /// Slices of work.
    slices: f64,
    /// Agent-steps that it has to its credit, and those that it was given last.
    credit: f64,
    given: f64,
}

/// Shares out the work.
pub struct Coordinator {
    config: CoordinatorConfig,
    mode: Mode,
    workers: Vec<(String, bool)>,
    known: Vec<Known>,
}

impl Coordinator {
    /// For these roles, of which each works on the tasks that count in the end or does not.
    pub fn new(config: CoordinatorConfig, mode: Mode, workers: Vec<(String, bool)>) -> Self {
        let known = vec![Known::default(); workers.len()];
        Coordinator { config, mode, workers, known }
    }

    /// How much a role's work comes to now, from -1 to 1: a part of the most that it was of late.
    fn expertise(&self, at: usize) -> f64 {
        let Known { pace, largest, .. } = self.known[at];
        if largest > 0.0 { pace / largest } else { 0.0 }
    }

    /// The shares of the roles, which sum to 1.
    pub fn shares(&self) -> Vec<f64> {
        let count = self.workers.len().max(1) as f64;
        if self.mode == Mode::Fixed {
            return vec![1.0 / count; self.workers.len()];
        }
        let CoordinatorConfig { temperature, curiosity, preferences, .. } = &self.config;
        let all: f64 = self.known.iter().map(|known| known.slices).sum();
        let preferred: Vec<f64> = (0..self.workers.len())
            .map(|at| {
                let bonus = ((1.0 + all).ln() / (1.0 + self.known[at].slices)).sqrt();
                let own = preferences.get(at).copied().unwrap_or(0.0);
                (self.expertise(at) + curiosity * bonus + own) / temperature
            })
            .collect();
        let most = preferred.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = preferred.iter().map(|p| (p - most).exp()).collect();
        let sum: f64 = weights.iter().sum();
        weights.iter().map(|weight| weight / sum).collect()
    }

    fn assign(&mut self, steps: u64) -> Result<Outbox> {
        let mut outbox = Outbox::new();
        let (steps, shares) = (steps as f64, self.shares());
        for (known, share) in self.known.iter_mut().zip(shares) {
            known.credit += share * steps;
            known.given = 0.0;
        }
        let richest =
            |best: usize, at: usize| if self.known[at].credit > self.known[best].credit { at } else { best };
        let first = (0..self.workers.len()).fold(0, richest);
        for (at, (role, on_target)) in self.workers.iter().enumerate() {
            let known = &mut self.known[at];
            if known.credit >= LEAST * steps || at == first {
                known.given = known.credit.max(1.0);
                let (role, on_target, steps) = (role.clone(), *on_target, known.given as u64);
                outbox.publish(&Assignment { role, steps, on_target })?;
            }
        }
        Ok(outbox)
    }

    fn learn(&mut self, role: &str, steps: u64, gain: f64) {
        let Some(at) = self.workers.iter().position(|(name, _)| name == role) else { return };
        let (known, rate) = (&mut self.known[at], self.config.rate);
        known.credit -= steps as f64;
        known.slices += 1.0;
        let pace = 1000.0 * gain / steps.max(1) as f64;
        if pace.is_finite() {
            known.pace = if known.largest > 0.0 { rate * pace + (1.0 - rate) * known.pace } else { pace };
            known.largest = pace.abs().max(KEPT * known.largest);
        }
    }
}

impl Role for Coordinator {
    fn name(&self) -> &str {
        CoordinatorConfig::NAME
    }

    fn topics(&self) -> Vec<&'static str> {
        vec![Round::TOPIC, Done::TOPIC, Restarted::TOPIC]
    }

    fn handle(&mut self, message: &Envelope, _view: &View) -> Result<Outbox> {
        if let Some(Round { steps, .. }) = message.read()? {
            return self.assign(steps);
        }
        if let Some(Done { role, steps, gain, .. }) = message.read()? {
            self.learn(&role, steps, gain);
        }
        if let Some(Restarted { role, .. }) = message.read()?
            && let Some(at) = self.workers.iter().position(|(name, _)| *name == role)
        {
            // What it was given is lost, and came to nothing.
            let given = self.known[at].given;
            self.learn(&role, given as u64, 0.0);
        }
        Ok(Outbox::new())
    }

    /// The proposal of the highest score; of equal ones that of the role whose work comes to most.
    fn resolve(&mut self, proposals: &[Proposal], _view: &View) -> Result<Option<usize>> {
        let expertise = |by: &str| {
            let at = self.workers.iter().position(|(name, _)| name == by);
            at.map_or(-1.0, |at| self.expertise(at))
        };
        let key = |at: usize| (proposals[at].score, expertise(&proposals[at].by));
        let better = |best: usize, at: usize| {
            let ((score, own), (other_score, other)) = (key(at), key(best));
            if score.total_cmp(&other_score).then(own.total_cmp(&other)).is_gt() { at } else { best }
        };
        Ok((0..proposals.len()).reduce(better))
    }

    fn save(&self) -> Result<Checkpoint> {
        let mut checkpoint = Checkpoint::new();
        let numbers: Vec<f64> = self
            .known
            .iter()
            .flat_map(|known| [known.pace, known.largest, known.slices, known.credit, known.given])
            .collect();
        checkpoint.insert("known", TensorData::f64(&[self.known.len(), 5], &numbers)?);
        Ok(checkpoint)
    }

    fn load(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let numbers = checkpoint.tensor("known")?.to_f64()?;
        if numbers.len() != 5 * self.known.len() {
            return Err(Error::Usage("the checkpoint's coordinator has other roles to give work to".into()));
        }
        for (known, row) in self.known.iter_mut().zip(numbers.chunks_exact(5)) {
            *known = Known { pace: row[0], largest: row[1], slices: row[2], credit: row[3], given: row[4] };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coordinator(mode: Mode) -> Coordinator {
        let workers = ["a", "b"].map(|name| (name.to_string(), false)).to_vec();
        Coordinator::new(CoordinatorConfig { curiosity: 0.0, ..CoordinatorConfig::default() }, mode, workers)
    }

    fn given(outbox: &Outbox) -> Vec<(String, u64)> {
        let steps = |body: &serde_json::Value| body["steps"].as_u64().unwrap_or(0);
        let of = |(_, body): &(String, serde_json::Value)| {
            (body["role"].as_str().unwrap_or("").to_string(), steps(body))
        };
        outbox.messages.iter().map(of).collect()
    }

    #[test]
    fn work_goes_to_those_who_still_get_better() -> Result<()> {
        let mut team = coordinator(Mode::Emergent);
        assert_eq!(team.shares(), [0.5, 0.5]);
        // One goes on getting better; the work of the other goes up and down, and comes to nothing.
        for time in 0..60 {
            team.learn("a", 1000, 1.0);
            team.learn("b", 1000, if time % 2 == 0 { 1.0 } else { -1.0 });
        }
        // The average of gains of 1 and -1 with a rate of 0.3 swings by 0.3 / 1.7 about 0, and was last below it.
        let expected = (2.0f64.exp(), (-2.0 * 0.3 / 1.7f64).exp());
        let share = expected.0 / (expected.0 + expected.1);
        assert!((team.shares()[0] - share).abs() < 1e-3, "{:?}", team.shares());
        // The unit of a gain does not matter.
        let mut other = coordinator(Mode::Emergent);
        for time in 0..60 {
            other.learn("a", 1000, 1e6);
            other.learn("b", 1000, if time % 2 == 0 { 1e-6 } else { -1e-6 });
        }
        assert!((other.shares()[0] - share).abs() < 1e-3);
        let mut fixed = coordinator(Mode::Fixed);
        fixed.learn("a", 1000, 1.0);
        assert_eq!(fixed.shares(), [0.5, 0.5]);
        Ok(())
    }

    #[test]
    fn what_was_used_beyond_is_made_up_for() -> Result<()> {
        let mut team = coordinator(Mode::Fixed);
        assert_eq!(given(&team.assign(1000)?), [("a".into(), 500), ("b".into(), 500)]);
        team.learn("a", 1400, 0.0);
        team.learn("b", 500, 0.0);
        // a is 900 ahead: it waits for two rounds.
        assert_eq!(given(&team.assign(1000)?), [("b".into(), 500)]);
        team.learn("b", 500, 0.0);
        assert_eq!(given(&team.assign(1000)?), [("a".into(), 100), ("b".into(), 500)]);
        Ok(())
    }

    #[test]
    fn conflicts_go_to_the_better_and_then_to_the_more_able() -> Result<()> {
        let mut team = coordinator(Mode::Emergent);
        team.learn("b", 1000, 1.0);
        let of = |by: &str, score: f64| Proposal {
            name: "x".into(),
            by: by.into(),
            based_on: 0,
            value: Checkpoint::new(),
            score,
        };
        let view = View::default();
        assert_eq!(team.resolve(&[of("a", 2.0), of("b", 1.0)], &view)?, Some(0));
        assert_eq!(team.resolve(&[of("a", 1.0), of("b", 1.0)], &view)?, Some(1));
        assert_eq!(team.resolve(&[of("a", 1.0), of("stranger", 1.0)], &view)?, Some(0));
        let mut other = coordinator(Mode::Emergent);
        other.load(&team.save()?)?;
        assert_eq!(other.known, team.known);
        Ok(())
    }
}
