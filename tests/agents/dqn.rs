//! Q-learning on small problems with known answers.

use synod::action::Actions;
use synod::agent::actors::Choice;
use synod::agent::core::CoreConfig;
use synod::agent::team::{Team, TeamConfig};
use synod::comm::{Communication, TarMacConfig};
use synod::env::{AgentKind, Buffers, EpisodeReport, Spec, VecEnv};
use synod::train::curiosity::{CuriosityConfig, IcmConfig, RndConfig};
use synod::train::dqn::{Dqn, DqnConfig};
use synod::train::mixer::{Mixing, QmixConfig};
use synod::train::player::Player;
use synod::train::ppo::{Ppo, PpoConfig};
use synod::train::{Report, Trainer};
use synod::{Device, Result};

/// Which small problem.
#[derive(Clone, Copy, PartialEq)]
enum Game {
    /// Rashid et al. 2018, section 5: the first agent chooses a game; in one everything pays 7, in the other
    /// [[0, 1], [1, 8]].
    TwoStep,
    /// Each agent is shown a symbol of two a step and is paid for naming the one of three steps ago.
    Repeat,
}

/// Steps of an episode of `Game::Repeat`, and how long ago the symbol was.
const LENGTH: usize = 13;
const LAG: usize = 3;

/// Worlds of two agents in step.
struct Small {
    game: Game,
    spec: Spec,
    step: usize,
    /// The second step's game, by world.
    risky: Vec<bool>,
    /// By lane and step.
    symbols: Vec<u32>,
    random: u64,
    returns: Vec<f64>,
    reports: Vec<EpisodeReport>,
}

impl Small {
    fn new(game: Game, worlds: usize, seed: u64) -> Self {
        let kind = AgentKind::discrete("small", 2, if game == Game::TwoStep { 3 } else { 2 }, 2);
        Small {
            game,
            spec: Spec { worlds, kinds: vec![kind], state: 0, masked: false, limit: u32::MAX },
            step: 0,
            risky: vec![false; worlds],
            symbols: vec![0; 2 * worlds * LENGTH],
            random: seed,
            returns: vec![0.0; worlds],
            reports: Vec::new(),
        }
    }

    fn show(&self, out: &mut Buffers) {
        let size = self.spec.kinds[0].observation[0];
        out.observations.fill(0.0);
        for lane in 0..2 * self.spec.worlds {
            let which = match self.game {
                Game::TwoStep if self.step == 0 => 0,
                Game::TwoStep => 1 + usize::from(self.risky[lane / 2]),
                Game::Repeat => self.symbols[lane * LENGTH + self.step] as usize,
            };
            out.observations[lane * size + which] = 1.0;
        }
    }
}

impl VecEnv for Small {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, which: &[bool], out: &mut Buffers) -> Result<()> {
        if which.contains(&true) {
            self.step = 0;
            for symbol in &mut self.symbols {
                self.random = self.random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                *symbol = (self.random >> 40) as u32 & 1;
            }
            out.ended.fill(false);
            out.active.fill(true);
            out.rewards.fill(0.0);
            out.terminated.fill(false);
            out.truncated.fill(false);
            self.show(out);
        }
        Ok(())
    }

    fn step(&mut self, actions: &Actions, out: &mut Buffers) -> Result<()> {
        let actions = &actions.discrete;
        if out.ended.contains(&true) {
            // All worlds are in step: none goes on while the last observation is valued.
            out.rewards.fill(0.0);
            return Ok(());
        }
        for world in 0..self.spec.worlds {
            let pair = &actions[2 * world..2 * world + 2];
            for agent in 0..2 {
                let lane = 2 * world + agent;
                out.rewards[lane] = match self.game {
                    Game::TwoStep if self.step == 0 => 0.0,
                    Game::TwoStep if !self.risky[world] => 7.0,
                    Game::TwoStep => [0.0, 1.0, 8.0][pair[0] as usize + pair[1] as usize],
                    Game::Repeat if self.step < LAG => 0.0,
                    Game::Repeat => {
                        let shown = self.symbols[lane * LENGTH + self.step - LAG];
                        f32::from(u8::from(actions[lane] == shown)) / (LENGTH - LAG) as f32
                    }
                };
                self.returns[world] += f64::from(out.rewards[lane]) / 2.0;
            }
            if self.step == 0 {
                self.risky[world] = pair[0] == 1;
            }
        }
        self.step += 1;
        let last = self.step == if self.game == Game::TwoStep { 2 } else { LENGTH };
        if last {
            // One game ends by its rules, the other is cut off.
            out.terminated.fill(self.game == Game::TwoStep);
            out.truncated.fill(self.game == Game::Repeat);
            out.active.fill(false);
            out.ended.fill(true);
            for (world, sum) in self.returns.iter_mut().enumerate() {
                let values = vec![("return", std::mem::take(sum))];
                self.reports.push(EpisodeReport { world, label: String::new(), agents: 2, values });
            }
        } else {
            self.show(out);
        }
        Ok(())
    }

    fn take_reports(&mut self) -> Vec<EpisodeReport> {
        std::mem::take(&mut self.reports)
    }

    fn save(&self) -> Vec<u8> {
        let mut bytes = (self.step as u64).to_le_bytes().to_vec();
        bytes.extend(self.random.to_le_bytes());
        bytes.extend(self.risky.iter().map(|r| u8::from(*r)));
        bytes.extend(self.symbols.iter().map(|s| *s as u8));
        bytes.extend(self.returns.iter().flat_map(|r| r.to_le_bytes()));
        bytes
    }

    fn load(&mut self, bytes: &[u8]) -> Result<()> {
        let word = |at: usize| <[u8; 8]>::try_from(&bytes[at..at + 8]).unwrap();
        let worlds = self.spec.worlds;
        self.step = u64::from_le_bytes(word(0)) as usize;
        self.random = u64::from_le_bytes(word(8));
        self.risky = bytes[16..16 + worlds].iter().map(|b| *b > 0).collect();
        let at = 16 + worlds;
        let end = at + self.symbols.len();
        self.symbols = bytes[at..end].iter().map(|b| u32::from(*b)).collect();
        self.returns = (0..worlds).map(|w| f64::from_le_bytes(word(end + 8 * w))).collect();
        Ok(())
    }
}

fn team(core: &str) -> TeamConfig {
    TeamConfig { features: 32, core: CoreConfig::named(core).unwrap(), ..TeamConfig::default() }
}

fn trainer(game: Game, team: &TeamConfig, config: DqnConfig, separate: bool, seed: u64) -> Dqn {
    let device = Device::cpu();
    let world = Small::new(game, 8, seed);
    let policy = Team::new(&device, team, &world.spec, separate, seed).unwrap();
    Dqn::new(&device, Box::new(policy), Box::new(world), config, 50_000, seed).unwrap()
}

/// The return of the greedy policy.
fn greedy(game: Game, trainer: &Dqn) -> f64 {
    let mut world = Small::new(game, 64, 12345);
    let choice = Choice::EpsilonGreedy;
    let mut player = Player::new(&Device::cpu(), trainer.policy(), &world, choice, false).unwrap();
    let reports = player.play(&mut world, 1, |_, _, _| Ok(())).unwrap();
    reports.iter().map(|r| r.value("return").unwrap()).sum::<f64>() / reports.len() as f64
}

/// Uniform data, as the paper's table: play is random throughout.
fn uniform(mixer: Mixing) -> DqnConfig {
    DqnConfig {
        rollout: 2,
        batch: 32,
        replay: 500,
        warmup: 64,
        target_every: 50,
        learning_rate: 2e-3,
        epsilon_end: 1.0,
        mixer,
        ..DqnConfig::default()
    }
}

#[test]
fn two_step_game_vdn_learns_7_and_qmix_8_from_uniform_data() {
    for seed in [1, 2, 3] {
        for (mixer, expected) in [(Mixing::Vdn, 7.0), (Mixing::Qmix(QmixConfig::default()), 8.0)] {
            let mut trainer = trainer(Game::TwoStep, &team("none"), uniform(mixer), false, seed);
            for _ in 0..1500 {
                trainer.step().unwrap();
            }
            assert_eq!(greedy(Game::TwoStep, &trainer), expected, "seed {seed}, {mixer:?}");
        }
    }
}

fn repeat(core: &str) -> (TeamConfig, DqnConfig) {
    let config = DqnConfig {
        // The step that values the last observation is one more.
        rollout: LENGTH + 1,
        batch: 16,
        sequence: LENGTH,
        replay: 8 * (LENGTH + 1) * 64,
        warmup: 8 * (LENGTH + 1),
        learning_rate: 3e-3,
        gamma: 0.0,
        target_every: 20,
        epsilon_fraction: 0.3,
        ..DqnConfig::default()
    };
    (team(core), config)
}

#[test]
fn recurrence_remembers_what_was_shown_three_steps_ago() {
    for (core, separate, seed) in [("gru", false, 1), ("lstm", false, 2), ("gru", true, 3)] {
        let (team, config) = repeat(core);
        let mut trainer = trainer(Game::Repeat, &team, config, separate, seed);
        for _ in 0..400 {
            trainer.step().unwrap();
        }
        let value = greedy(Game::Repeat, &trainer);
        assert!(value > 0.99, "seed {seed}, {core}: {value}");
    }
    let (team, config) = repeat("none");
    let mut trainer = trainer(Game::Repeat, &team, config, false, 1);
    for _ in 0..400 {
        trainer.step().unwrap();
    }
    let value = greedy(Game::Repeat, &trainer);
    assert!((0.4..0.6).contains(&value), "without memory: {value}");
}

/// Every switch at once: recurrence, burn-in, n steps, priorities, dueling, Huber, soft targets, masks.
fn everything(mixer: Mixing) -> (TeamConfig, DqnConfig) {
    let team = TeamConfig { dueling: true, ..team("lstm") };
    let config = DqnConfig {
        rollout: 4,
        updates: 2,
        batch: 8,
        sequence: 3,
        burn_in: 2,
        n_step: 2,
        replay: 8 * 40,
        warmup: 8 * 12,
        prioritised: true,
        huber: 1.0,
        target_every: 1,
        target_rate: 0.05,
        mixer,
        ..DqnConfig::default()
    };
    (team, config)
}

#[test]
fn a_trainer_that_was_saved_and_loaded_goes_on_to_the_bit() {
    for (mixer, separate) in [(Mixing::None, true), (Mixing::Qmix(QmixConfig::default()), false)] {
        let (team, config) = everything(mixer);
        let make = || trainer(Game::Repeat, &team, config.clone(), separate, 5);
        let mut whole = make();
        // The replay has wrapped around.
        for _ in 0..13 {
            whole.step().unwrap();
        }
        let middle = whole.save().unwrap();
        let mut resumed = make();
        resumed.load(&middle).unwrap();
        for _ in 0..8 {
            assert_eq!(whole.step().unwrap(), resumed.step().unwrap());
        }
        assert!(whole.save().unwrap() == resumed.save().unwrap());
    }
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (team, config) = everything(Mixing::Qmix(QmixConfig::default()));
            let config = DqnConfig { learning_shards: 4, acting_shards: 2, ..config };
            let mut trainer = trainer(Game::Repeat, &team, config, false, 5);
            let reports: Vec<Report> = (0..6).map(|_| trainer.step().unwrap()).collect();
            (reports, trainer.save().unwrap())
        })
    };
    assert!(run(1) == run(2));
}

#[test]
fn settings_and_checkpoints_that_cannot_be_are_refused_by_name() {
    let device = Device::cpu();
    let (_, base) = everything(Mixing::None);
    for (config, key) in [
        (DqnConfig { learning_shards: 3, ..base.clone() }, "learner.learning_shards"),
        (DqnConfig { acting_shards: 3, ..base.clone() }, "learner.acting_shards"),
        (DqnConfig { n_step: 0, ..base.clone() }, "learner.n_step"),
        (DqnConfig { gamma: f32::NAN, ..base.clone() }, "learner.gamma"),
        (DqnConfig { replay: usize::MAX, ..base.clone() }, "learner.replay"),
    ] {
        let world = Small::new(Game::Repeat, 8, 1);
        let policy = Team::new(&device, &team("gru"), &world.spec, false, 1).unwrap();
        let error = Dqn::new(&device, Box::new(policy), Box::new(world), config, 1, 1).err().unwrap();
        assert!(error.to_string().contains(key), "{error}");
    }
    let spec = Small::new(Game::Repeat, 8, 1).spec;
    let communication = Communication::new(TarMacConfig { heads: 5, gated: false });
    let heads = TeamConfig { communication, ..team("none") };
    let error = Team::new(&device, &heads, &spec, false, 1).err().unwrap();
    assert!(error.to_string().contains("agent.communication.heads"), "{error}");

    let (team, config) = everything(Mixing::None);
    let mut trainer = trainer(Game::Repeat, &team, config, false, 5);
    trainer.step().unwrap();
    let mut bad = trainer.save().unwrap();
    let actions = vec![9u32; bad.tensor("replay/actions").unwrap().elements()];
    bad.insert("replay/actions", synod::train::TensorData::u32(&[actions.len()], &actions).unwrap());
    let error = trainer.load(&bad).unwrap_err().to_string();
    assert!(error.contains("replay/actions"), "{error}");
}

fn curiosities() -> [CuriosityConfig; 2] {
    [
        CuriosityConfig::Icm(IcmConfig { features: 16, epochs: 2, ..IcmConfig::default() }),
        CuriosityConfig::Rnd(RndConfig { features: 16, epochs: 2, ..RndConfig::default() }),
    ]
}

/// Saves after some steps, and compares what follows with what follows in a fresh trainer that loads it.
fn resumes(make: &dyn Fn() -> Box<dyn Trainer>) {
    let mut whole = make();
    for _ in 0..7 {
        whole.step().unwrap();
    }
    let middle = whole.save().unwrap();
    let mut resumed = make();
    resumed.load(&middle).unwrap();
    for _ in 0..4 {
        let report = whole.step().unwrap();
        assert_eq!(report, resumed.step().unwrap());
        // Rewards of the worlds and of the agents' own are told apart.
        assert!(report.value("intrinsic_reward").unwrap() > 0.0);
    }
    assert!(whole.save().unwrap() == resumed.save().unwrap());
}

#[test]
fn curiosity_resumes_to_the_bit_under_both_trainers() {
    for curiosity in curiosities() {
        resumes(&|| {
            let (team, config) = everything(Mixing::Vdn);
            let config = DqnConfig { curiosity: curiosity.clone(), ..config };
            Box::new(trainer(Game::Repeat, &team, config, false, 5))
        });
        resumes(&|| {
            let device = Device::cpu();
            let world = Small::new(Game::Repeat, 8, 3);
            let policy = Team::new(&device, &team("gru"), &world.spec, false, 3).unwrap();
            let config = PpoConfig {
                minibatches: 2,
                learning_shards: 2,
                acting_shards: 2,
                curiosity: curiosity.clone(),
                ..PpoConfig::srmt()
            };
            Box::new(Ppo::new(&device, Box::new(policy), Box::new(world), config, 1000, 3).unwrap())
        });
    }
}
