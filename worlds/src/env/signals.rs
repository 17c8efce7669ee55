//! What signalling games have in common: senders are shown something, one receiver has to name the answer on the last
//! step. What the senders tell, and by which signs, is the agents' own matter: no world carries their messages.

use super::drawing::{DISC, Drawing, LINE, RING, Role};
use super::vectorised::{Codec, Outcome, Pay, View};
use crate::error::{Error, Result};

/// Steps that an episode may have.
pub(super) const MAX_STEPS: usize = 1 << 10;
/// Numbers that all senders of one world may see together.
pub(super) const MOST_SHOWN: usize = 1 << 22;
/// Answers that a receiver may have to choose from.
pub(super) const MOST_ANSWERS: usize = 1 << 12;
/// Senders that a picture has room for.
const MOST_DRAWN: usize = 64;

/// One round of a signalling game between two steps.
#[derive(Debug, Clone)]
pub struct Round {
    answer: u32,
    /// What all senders see, one after another.
    shown: Vec<f32>,
    step: u32,
    /// What the receiver named on the last step; before, the number of answers.
    guess: u32,
    answers: u32,
}

impl Round {
    /// A round with room for so many numbers that senders see.
    pub(super) fn blank(answers: usize, shown: usize) -> Round {
        let answers = answers as u32;
        Round { answer: 0, shown: vec![0.0; shown], step: 0, guess: answers, answers }
    }

    /// Starts over with that answer; what senders see is zeros, to be written.
    pub(super) fn begin(&mut self, answer: u32) -> &mut [f32] {
        (self.answer, self.step, self.guess) = (answer, 0, self.answers);
        self.shown.fill(0.0);
        &mut self.shown
    }

    /// What the receiver has to name.
    pub fn answer(&self) -> u32 {
        self.answer
    }

    /// What the senders see: `[senders, numbers]`, one kind after another.
    pub fn shown(&self) -> &[f32] {
        &self.shown
    }

    /// What the receiver named, once it has.
    pub fn guess(&self) -> Option<u32> {
        Some(self.guess).filter(|guess| *guess < self.answers)
    }

    /// Whether the receiver named the answer.
    pub fn solved(&self) -> bool {
        self.guess == self.answer
    }

    /// The receiver names an answer; only on the last of `steps` does that count.
    pub(super) fn name(&mut self, guess: u32, steps: usize, pay: &mut Pay) -> Outcome {
        self.step += 1;
        if (self.step as usize) < steps {
            return Outcome::GoesOn;
        }
        self.guess = guess;
        pay.rewards.fill(if self.solved() { 1.0 } else { 0.0 });
        Outcome::Ends
    }

    /// Writes what all see: senders of each of `kinds` their part, the receiver whether its answer counts now, a
    /// centralised critic the answer (one-hot) and the same flag.
    pub(super) fn show(&self, kinds: usize, steps: usize, view: &mut View) {
        let last = f32::from(u8::from(self.step as usize + 1 >= steps));
        let mut rest = &self.shown[..];
        for kind in 0..kinds {
            let seen = view.observations(kind);
            let (own, others) = rest.split_at(seen.len().min(rest.len()));
            seen[..own.len()].copy_from_slice(own);
            rest = others;
        }
        view.observations(kinds).fill(last);
        let state = view.state();
        state.fill(0.0);
        state[self.answer as usize] = 1.0;
        state[self.answers as usize] = last;
    }

    /// What senders are shown where each has `answers` numbers and a flag that says whether they matter, sender by sender.
    fn flagged(&self) -> impl Iterator<Item = (&[f32], bool)> {
        let answers = self.answers as usize;
        self.shown.chunks_exact(answers + 1).map(move |row| (&row[..answers], row[answers] == 1.0))
    }

    /// As [`Round::draw`], of senders with such flags.
    pub(super) fn draw_flagged(&self, steps: usize) -> Drawing {
        let senders: Vec<_> =
            self.flagged().map(|(seen, knows)| Sender { knows, sees: letters(seen) }).collect();
        self.draw(&senders, steps)
    }

    /// The answer, for an agent whose flag says that it knows it.
    pub(super) fn known_to(&self, agent: usize) -> Option<u32> {
        self.flagged().nth(agent).filter(|(_, knows)| *knows).map(|_| self.answer)
    }

    /// Writes or reads everything that changes.
    pub(super) fn visit(&mut self, codec: &mut Codec) -> Result<()> {
        codec.one(&mut self.answer)?;
        codec.all(&mut self.shown)?;
        codec.one(&mut self.step)?;
        codec.one(&mut self.guess)
    }

    pub(super) fn valid(&self, steps: usize) -> bool {
        self.answer < self.answers && self.guess <= self.answers && self.step as usize <= steps
    }

    /// Senders above, a line to the receiver from those that know, and what the receiver named.
    pub(super) fn draw(&self, senders: &[Sender], steps: usize) -> Drawing {
        let drawn = &senders[..senders.len().min(MOST_DRAWN)];
        let columns = drawn.len().clamp(6, 16);
        let rows = drawn.len().div_ceil(columns) as f32;
        let mut drawing = Drawing::new(columns as f32, 1.2 * rows + 2.4);
        let receiver = [columns as f32 / 2.0, 1.2 * rows + 1.2];
        let place = |i: usize| {
            let row = drawn.len().saturating_sub(columns * (i / columns)).min(columns);
            let left = (columns - row) as f32 / 2.0;
            [left + (i % columns) as f32 + 0.5, 1.2 * (i / columns) as f32 + 0.5]
        };
        for (i, _) in drawn.iter().enumerate().filter(|(_, sender)| sender.knows) {
            drawing.line(Role::Agent(i), place(i), receiver, LINE);
        }
        for (i, sender) in drawn.iter().enumerate() {
            drawing.ring(Role::Agent(i), place(i), RING, if sender.knows { 0.5 } else { 0.0 });
            drawing.disc(Role::Agent(i), place(i), DISC);
            let [x, y] = place(i);
            drawing.label(Role::Ink, [x, y + 0.55], 0.2, sender.sees.as_str());
        }
        let role = match self.guess() {
            None => Role::Ground,
            Some(_) if self.solved() => Role::Good,
            Some(_) => Role::Bad,
        };
        drawing.ring(role, receiver, RING, 0.5);
        drawing.disc(Role::Agent(senders.len()), receiver, DISC);
        drawing.note = format!("step {} of {steps}, answer {}", (self.step as usize).min(steps), self.answer);
        if let Some(guess) = self.guess() {
            drawing.note += &format!(", named {guess}");
            drawing.label(Role::Ink, [receiver[0], receiver[1] + 0.75], 0.36, guess.to_string());
        }
        drawing
    }
}

/// A sender in a picture.
pub(super) struct Sender {
    /// Whether what it is shown matters.
    pub knows: bool,
    /// What it is shown, in a few letters.
    pub sees: String,
}

/// The place of the 1 in a one-hot row, in letters; `-` where there is none.
pub(super) fn letters(row: &[f32]) -> String {
    row.iter().position(|number| *number == 1.0).map_or("-".into(), |place| place.to_string())
}

/// Names of a receiver's answers.
pub(super) fn answers(count: usize) -> Vec<String> {
    (0..count).map(|answer| format!("answer {answer}")).collect()
}

/// The only action of those who talk alone.
pub(super) fn silent() -> Vec<String> {
    vec!["nothing".into()]
}

/// Refuses more numbers for the senders of one world than [`MOST_SHOWN`].
pub(super) fn check_shown(key: &str, senders: usize, each: usize) -> Result<()> {
    match senders.checked_mul(each) {
        Some(numbers) if numbers <= MOST_SHOWN => Ok(()),
        _ => Err(Error::config(
            format!("world.{key}"),
            format!("expected at most {MOST_SHOWN} numbers for the senders together, got {senders} x {each}"),
        )),
    }
}
