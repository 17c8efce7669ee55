//! A world of one's own with the whole command line around it: a thermostat that must keep a room at its set point.
//!
//! ```sh
//! cargo run --release --example own_world -- train thermostat
//! cargo run --release --example own_world -- eval runs/thermostat-0
//! cargo run --release --example own_world -- render runs/thermostat-0 -o room.gif
//! cargo run --release --example own_world -- settings thermostat world
//! ```

use std::process::ExitCode;

use synod::agent::team::TeamConfig;
use synod::env::drawing::{DISC, Drawing, LINE, RING, Role};
use synod::env::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View};
use synod::env::{AgentKind, Pcg64, VecEnv, WorldConfig, WorldSettings, Worlds};
use synod::preset::{self, Preset, Settings};
use synod::registry::{Family, Kind, Member};
use synod::schemars::JsonSchema;
use synod::serde::{Deserialize, Serialize};
use synod::train::ppo::PpoConfig;
use synod::{Result, schema};

/// The settings, which are a table `[world]` with `kind = "thermostat"`. Docstrings and ranges are what
/// `settings` prints, and what is checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "synod::serde", default, deny_unknown_fields)]
#[schemars(crate = "synod::schemars")]
pub struct Thermostat {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// What the weather takes from the room in a step, as a share of the difference.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub leak: f64,
    /// Steps of an episode.
    #[schemars(range(min = 1, max = 1 << 20))]
    pub steps: usize,
}

impl Default for Thermostat {
    fn default() -> Self {
        Thermostat { worlds: 64, leak: 0.1, steps: 50 }
    }
}

/// One room: degrees above the set point, degrees outside, and how many steps it has been comfortable.
#[derive(Debug, Clone)]
pub struct Room {
    inside: f64,
    outside: f64,
    good: u32,
}

/// What happens in one world. Everything else (many worlds, threads, seeds, ends of episodes, saving) is done.
impl Rules for Thermostat {
    type World = Room;
    const NAME: &'static str = "thermostat";
    const METRICS: &'static [&'static str] = &["comfort"];

    fn worlds(&self) -> usize {
        self.worlds
    }

    fn check(&self) -> Result<()> {
        schema::check("world", self)
    }

    /// One agent that sees two numbers and chooses among three: cool, wait, heat.
    fn kinds(&self) -> Vec<AgentKind> {
        vec![AgentKind::discrete("thermostat", 1, 2, 3)]
    }

    fn limit(&self) -> u32 {
        self.steps as u32
    }

    fn blank(&self) -> Room {
        Room { inside: 0.0, outside: 0.0, good: 0 }
    }

    fn reset(&self, room: &mut Room, _episode: u64, random: &mut Pcg64) {
        *room = Room { inside: 8.0 * random.double() - 4.0, outside: 20.0 * random.double() - 10.0, good: 0 };
    }

    fn step(&self, room: &mut Room, actions: Chosen, random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        let heating = f64::from(actions.discrete(0)[0]) - 1.0;
        room.inside += heating + self.leak * (room.outside - room.inside);
        room.outside += random.double() - 0.5;
        let good = room.inside.abs() < 1.0;
        room.good += u32::from(good);
        pay.rewards[0] = f32::from(u8::from(good)) / self.steps as f32;
        Outcome::GoesOn
    }

    fn observe(&self, room: &Room, view: &mut View) {
        view.observation(0, 0).copy_from_slice(&[room.inside as f32 / 4.0, room.outside as f32 / 10.0]);
    }

    fn metrics(&self, room: &Room) -> Vec<f64> {
        vec![f64::from(room.good) / self.steps as f64]
    }

    /// What `render` shows: the set point, the room beside it, the weather as a ring; warmer is higher.
    fn draw(&self, room: &Room) -> Option<Drawing> {
        let mut drawing = Drawing::new(6.0, 8.0);
        let height = |degrees: f64| 4.0 - (degrees.clamp(-12.0, 12.0) / 4.0) as f32;
        drawing.line(Role::Good, [0.5, height(0.0)], [5.5, height(0.0)], LINE);
        drawing.ring(Role::Thing, [4.5, height(room.outside)], RING, 0.0);
        drawing.disc(Role::Agent(0), [2.0, height(room.inside)], DISC);
        drawing.note = format!("{:+.1} degrees", room.inside);
        Some(drawing)
    }

    /// What `inspect` calls the actions.
    fn action_names(&self, _agent: usize) -> Vec<String> {
        ["cool", "wait", "heat"].map(String::from).to_vec()
    }

    fn visit(&self, room: &mut Room, codec: &mut Codec) -> Result<()> {
        codec.one(&mut room.inside)?;
        codec.one(&mut room.outside)?;
        codec.one(&mut room.good)
    }
}

/// Its place in the list of worlds.
impl Member for Thermostat {
    const NAME: &'static str = "thermostat";
    const SUMMARY: &'static str = "keep a room at its set point";
}

impl WorldSettings for Thermostat {
    fn worlds(&self) -> usize {
        self.worlds
    }

    fn with_worlds(&self, worlds: usize) -> WorldConfig {
        WorldConfig::new(Thermostat { worlds, ..self.clone() })
    }

    fn build(&self, seed: u64) -> Result<Box<dyn VecEnv>> {
        Ok(Box::new(Vectorised::<Self>::new(self.clone(), seed)?))
    }
}

/// The list's entry, and a preset that trains in it.
pub fn register() -> Result<()> {
    Worlds::registry().register(Kind::<Worlds>::of::<Thermostat>())?;
    preset::register(Preset {
        name: "thermostat",
        summary: "keep a room at its set point, by PPO",
        settings: || Settings {
            steps: 300_000,
            ..Settings::new(
                Thermostat::default(),
                TeamConfig { features: 32, identity: false, ..TeamConfig::default() },
                PpoConfig { learning_rate: 2e-3, ..PpoConfig::default() },
            )
        },
    })
}

fn main() -> ExitCode {
    synod::command::main_with(register)
}
