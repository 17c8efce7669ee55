//! One episode of any world that draws itself, as a film.

use crate::Device;
use crate::action::Actions;
use crate::agent::Policy;
use crate::agent::actors::{Actors, Choice};
use crate::env::drawing::{Mark, Shape};
use crate::env::{Buffers, Drawing, EpisodeReport, Spec, VecEnv};
use crate::error::{Error, Result};
use crate::picture::cut;
use crate::picture::film::{Film, Frame};
use crate::picture::number::significant;
use crate::train::player::Player;

/// States that are kept: of longer episodes every second, every fourth and so on.
const MOST_STATES: usize = 1024;
/// Numbers in all drawings that are kept, about.
const MOST_NUMBERS: usize = 1 << 24;

/// A recorded episode.
pub struct Episode {
    /// What happened, state by state.
    pub film: Film,
    /// What it amounted to.
    pub report: EpisodeReport,
}

/// Plays one episode of a single world and films it: what the world looks like, which step it is, what was paid, and
/// whom each agent attends to where its policy says so.
///
/// # Errors
/// Several worlds, one that does not draw itself, or what the device or the world reports.
pub fn film_episode(
    device: &Device,
    environment: &mut dyn VecEnv,
    policy: &dyn Policy,
    choice: Choice,
    seed: u64,
) -> Result<Episode> {
    let (worlds, agents) = (environment.spec().worlds, environment.spec().agents());
    if worlds != 1 {
        return Err(Error::Usage(format!("one world can be filmed, not {worlds}")));
    }
    let mut world = Watched { inner: environment, rewards: Vec::new(), ended: false };
    let mut player = Player::new(device, policy, &world, choice, true)?;
    let mut recorder = Recorder { film: Film { agents, stride: 1, ..Film::default() }, numbers: 0 };
    let reports = player.play(&mut world, seed, |world: &Watched, actors: &Actors, step| {
        if step.is_multiple_of(recorder.film.stride) || world.ended {
            let nothing = "this world cannot be filmed: it does not draw itself, or is too large to be drawn";
            let drawing = world.inner.draw(0).ok_or_else(|| Error::Usage(nothing.into()))?;
            let caption = caption(&drawing, step, &world.rewards);
            recorder.keep(Frame { drawing, caption, attention: attention(actors, agents) });
        }
        Ok(())
    })?;
    match reports.into_iter().next() {
        Some(report) => Ok(Episode { film: recorder.film, report }),
        None => Err(Error::Usage("the episode ended before it began".into())),
    }
}

/// The world, with what it paid last and whether it is over.
struct Watched<'a> {
    inner: &'a mut dyn VecEnv,
    rewards: Vec<f32>,
    ended: bool,
}

impl VecEnv for Watched<'_> {
    fn spec(&self) -> &Spec {
        self.inner.spec()
    }

    fn reset(&mut self, which: &[bool], out: &mut Buffers) -> Result<()> {
        self.rewards.clear();
        self.ended = false;
        self.inner.reset(which, out)
    }

    fn step(&mut self, actions: &Actions, out: &mut Buffers) -> Result<()> {
        self.inner.step(actions, out)?;
        self.rewards.clone_from(&out.rewards);
        self.ended = out.ended[0];
        Ok(())
    }

    fn take_reports(&mut self) -> Vec<EpisodeReport> {
        self.inner.take_reports()
    }

    fn save(&self) -> Vec<u8> {
        self.inner.save()
    }

    fn load(&mut self, bytes: &[u8]) -> Result<()> {
        self.inner.load(bytes)
    }
}

/// Keeps states, within limits however long the episode is.
struct Recorder {
    film: Film,
    numbers: usize,
}

impl Recorder {
    fn keep(&mut self, mut frame: Frame) {
        let frames = &mut self.film.frames;
        // The ground is kept once.
        if let Some(before) = frames.last()
            && before.drawing.cells == frame.drawing.cells
        {
            frame.drawing.cells.clone_from(&before.drawing.cells);
        }
        self.numbers += numbers(&frame);
        frames.push(frame);
        while (frames.len() > MOST_STATES || self.numbers > MOST_NUMBERS) && frames.len() > 1 {
            let mut index = 0;
            frames.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.film.stride *= 2;
            self.numbers = frames.iter().map(numbers).sum();
        }
    }
}

/// About how many numbers a state has, its ground apart.
fn numbers(frame: &Frame) -> usize {
    let of = |mark: &Mark| match &mark.shape {
        Shape::Way { points } => 8 + 2 * points.len(),
        Shape::Label { text, .. } => 8 + text.len(),
        _ => 8,
    };
    frame.attention.len() + frame.drawing.marks.iter().map(of).sum::<usize>()
}

/// The world's name, the step, what was paid for it, and what the world adds.
fn caption(drawing: &Drawing, step: usize, rewards: &[f32]) -> String {
    let mut parts = vec![cut(&drawing.title, 40), format!("step {step}")];
    let number = |reward: f64| significant((reward * 1e4).round() / 1e4);
    match rewards {
        [] => {}
        [first, rest @ ..] if rest.iter().all(|reward| reward == first) => {
            parts.push(format!("reward {}", number(f64::from(*first))));
        }
        few if few.len() <= 4 => {
            let each: Vec<String> = few.iter().map(|reward| number(f64::from(*reward))).collect();
            parts.push(format!("rewards {}", each.join(" ")));
        }
        many => {
            let mean = many.iter().map(|reward| f64::from(*reward)).sum::<f64>() / many.len() as f64;
            parts.push(format!("mean reward {}", number(mean)));
        }
    }
    if !drawing.note.is_empty() {
        parts.push(cut(&drawing.note, 60));
    }
    parts.join(", ")
}

/// `[agents, agents]`: the mean over heads; empty where the policy has none.
fn attention(actors: &Actors, agents: usize) -> Vec<f32> {
    // [agents, 1, heads, agents]
    let heads = actors.attention.len() / (agents * agents).max(1);
    if heads == 0 {
        return Vec::new();
    }
    (0..agents * agents)
        .map(|i| {
            let (reader, read) = (i / agents, i % agents);
            let of = |head: usize| actors.attention[(reader * heads + head) * agents + read];
            (0..heads).map(of).sum::<f32>() / heads as f32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::WorldConfig;
    use crate::env::matrix_game::MatrixGameConfig;
    use crate::preset::Settings;

    #[test]
    fn long_episodes_are_thinned_evenly() {
        let film = Film { agents: 1, stride: 1, ..Film::default() };
        let mut recorder = Recorder { film, numbers: 0 };
        let steps = 10 * MOST_STATES;
        for step in 0..=steps {
            if step.is_multiple_of(recorder.film.stride) {
                let mut drawing = Drawing::new(1.0, 1.0);
                drawing.disc(crate::env::drawing::Role::Goal, [0.5; 2], 0.1);
                recorder.keep(Frame { drawing, caption: step.to_string(), attention: Vec::new() });
            }
        }
        let Film { frames, stride, .. } = &recorder.film;
        assert!((MOST_STATES / 2..=MOST_STATES).contains(&frames.len()), "{}", frames.len());
        for (i, frame) in frames.iter().enumerate() {
            assert_eq!(frame.caption, (i * stride).to_string());
        }
        assert_eq!(recorder.numbers, 8 * frames.len());
    }

    #[test]
    fn one_world_that_draws_itself_is_filmed() {
        let device = Device::cpu();
        let of = |world: WorldConfig, worlds: usize| {
            let settings = Settings { world, ..Settings::preset("lever-commnet").unwrap() };
            let policy = settings.policy(&device).unwrap();
            let mut worlds = settings.judging_worlds(worlds, 1).unwrap();
            film_episode(&device, worlds.as_mut(), policy.as_ref(), Choice::Sample, 1)
        };
        let episode = of(WorldConfig::named("lever").unwrap(), 1).unwrap();
        let captions: Vec<&str> = episode.film.frames.iter().map(|frame| frame.caption.as_str()).collect();
        assert_eq!((captions.len(), captions[0]), (2, "lever, step 0"));
        let paid = format!("lever, step 1, reward {}", significant(episode.report.value("return").unwrap()));
        assert!(captions[1].starts_with(&paid), "{captions:?}");
        let refused = |world, worlds, part: &str| {
            let error = of(world, worlds).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(error.contains(part), "{error}");
        };
        refused(WorldConfig::named("lever").unwrap(), 2, "one world");
        let games = vec![vec![vec![1.0; 20]; 20]];
        let large = MatrixGameConfig { worlds: 1, games, rounds: 1, ..MatrixGameConfig::default() };
        refused(WorldConfig::new(large), 1, "cannot be filmed");
    }

    #[test]
    fn captions_say_what_was_paid() {
        let mut drawing = Drawing { title: "tag".into(), ..Drawing::new(1.0, 1.0) };
        assert_eq!(caption(&drawing, 0, &[]), "tag, step 0");
        assert_eq!(caption(&drawing, 1, &[0.5, 0.5]), "tag, step 1, reward 0.500");
        assert_eq!(caption(&drawing, 2, &[10.0, -1.0]), "tag, step 2, rewards 10.0 -1.00");
        drawing.note = "over".into();
        assert_eq!(caption(&drawing, 3, &[1.0, 2.0, 0.0, 0.0, 0.0]), "tag, step 3, mean reward 0.600, over");
    }
}
