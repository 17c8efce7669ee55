//! What a central critic knows, and that nobody does what is forbidden.

use synod::action::Actions;
use synod::agent::core::CoreConfig;
use synod::agent::team::{Critic, Team, TeamConfig};
use synod::env::{AgentKind, Buffers, EpisodeReport, Spec, VecEnv};
use synod::optim::Schedule;
use synod::train::dqn::{Dqn, DqnConfig};
use synod::train::ppo::{Ppo, PpoConfig};
use synod::train::{Report, Trainer};
use synod::{Device, Error, Result};

const AGENTS: usize = 2;
const ACTIONS: usize = 3;

/// Episodes of one step. A coin that no agent sees, but that is the state of the world, pays 2 or -2. The last of the
/// allowed actions, which change at random, pays 1 more. What is forbidden is an error.
struct Coin {
    spec: Spec,
    random: u64,
    coins: Vec<f32>,
    best: f64,
    count: f64,
}

impl Coin {
    fn new(worlds: usize, seed: u64) -> Self {
        let kind = AgentKind::discrete("coin", AGENTS, 1, ACTIONS);
        Coin {
            spec: Spec { worlds, kinds: vec![kind], state: 1, masked: true, limit: u32::MAX },
            random: seed,
            coins: vec![0.0; worlds],
            best: 0.0,
            count: 0.0,
        }
    }

    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.random >> 40
    }
}

impl VecEnv for Coin {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, which: &[bool], out: &mut Buffers) -> Result<()> {
        for world in (0..self.spec.worlds).filter(|w| which[*w]) {
            self.coins[world] = if self.draw() & 1 == 0 { -2.0 } else { 2.0 };
            out.state[world] = self.coins[world];
            out.ended[world] = false;
            for lane in AGENTS * world..AGENTS * (world + 1) {
                out.observations[lane] = 1.0;
                (out.active[lane], out.terminated[lane]) = (true, false);
                // Any of the seven sets of allowed actions.
                let set = 1 + self.draw() % 7;
                for a in 0..ACTIONS {
                    out.masks[lane * ACTIONS + a] = (set >> a & 1) as f32;
                }
            }
        }
        Ok(())
    }

    fn step(&mut self, actions: &Actions, out: &mut Buffers) -> Result<()> {
        let actions = &actions.discrete;
        for (lane, &action) in actions.iter().enumerate() {
            let allowed = &out.masks[lane * ACTIONS..(lane + 1) * ACTIONS];
            if allowed[action as usize] == 0.0 {
                return Err(Error::Usage(format!("action {action} is forbidden")));
            }
            let best = allowed.iter().rposition(|m| *m > 0.0) == Some(action as usize);
            out.rewards[lane] = self.coins[lane / AGENTS] + f32::from(u8::from(best));
            (self.best, self.count) = (self.best + f64::from(u8::from(best)), self.count + 1.0);
        }
        out.terminated.fill(true);
        out.ended.fill(true);
        Ok(())
    }

    fn take_reports(&mut self) -> Vec<EpisodeReport> {
        let share = std::mem::take(&mut self.best) / std::mem::replace(&mut self.count, 0.0);
        vec![EpisodeReport { world: 0, label: String::new(), agents: AGENTS, values: vec![("best", share)] }]
    }

    fn save(&self) -> Vec<u8> {
        let mut bytes = self.random.to_le_bytes().to_vec();
        bytes.extend(self.coins.iter().map(|c| u8::from(*c > 0.0)));
        bytes
    }

    fn load(&mut self, bytes: &[u8]) -> Result<()> {
        self.random = u64::from_le_bytes(bytes[..8].try_into().unwrap());
        self.coins = bytes[8..].iter().map(|b| if *b > 0 { 2.0 } else { -2.0 }).collect();
        Ok(())
    }
}

fn value(report: &Report, name: &str) -> f64 {
    report.values.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("no `{name}`")).1
}

fn ppo(critic: Critic, core: &str, seed: u64) -> Ppo {
    let world = Coin::new(16, seed);
    let core = CoreConfig::named(core).unwrap();
    let config = TeamConfig { features: 32, critic, core, ..TeamConfig::default() };
    let policy = Team::new(&Device::cpu(), &config, &world.spec, false, seed).unwrap();
    let config = PpoConfig {
        minibatches: 2,
        epochs: 2,
        learning_rate: 3e-3,
        kl_target: 0.0,
        entropy_coefficient: 0.0,
        value_clip: 0.0,
        learning_shards: 2,
        acting_shards: 2,
        ..PpoConfig::srmt()
    };
    Ppo::new(&Device::cpu(), Box::new(policy), Box::new(world), config, 100_000, seed).unwrap()
}

/// The critic that sees the coin foresees what is paid; without it a variance of 4 is left (the loss is half of it).
#[test]
fn a_central_critic_knows_what_no_agent_sees() {
    for seed in 0..2 {
        for core in ["none", "lstm"] {
            let losses = [Critic::Central, Critic::Own, Critic::Shared].map(|critic| {
                let mut trainer = ppo(critic, core, seed);
                let reports: Vec<Report> = (0..160).map(|_| trainer.step().unwrap()).collect();
                let last = |name: &str| reports[140..].iter().map(|r| value(r, name)).sum::<f64>() / 20.0;
                assert!(last("best") > 0.95, "{critic:?}, seed {seed}: {}", last("best"));
                last("loss/value")
            });
            assert!(losses[0] < 0.1, "seed {seed}: {losses:?}");
            assert!(losses[1] > 1.0 && losses[2] > 1.0, "seed {seed}: {losses:?}");
        }
    }
}

/// Masks and states are part of what a checkpoint keeps.
#[test]
fn training_goes_on_exactly() {
    let mut trainer = ppo(Critic::Central, "gru", 5);
    (0..3).for_each(|_| drop(trainer.step().unwrap()));
    let checkpoint = trainer.save().unwrap();
    let mut other = ppo(Critic::Central, "gru", 5);
    other.load(&checkpoint).unwrap();
    for _ in 0..3 {
        let (mut a, mut b) = (trainer.step().unwrap(), other.step().unwrap());
        // What the worlds count between reports is not theirs to keep.
        for report in [&mut a, &mut b] {
            report.values.retain(|(name, _)| name != "best");
        }
        assert_eq!(a.values, b.values);
    }
}

#[test]
fn q_learners_do_not_touch_what_is_forbidden() {
    let world = Coin::new(16, 9);
    let team = TeamConfig { features: 32, ..TeamConfig::default() };
    let policy = Team::new(&Device::cpu(), &team, &world.spec, false, 9).unwrap();
    let config = DqnConfig {
        batch: 256,
        learning_rate: 1e-3,
        schedule: Schedule::Linear { last: 0.0 },
        warmup: 100,
        epsilon_end: 0.0,
        ..DqnConfig::default()
    };
    let mut trainer =
        Dqn::new(&Device::cpu(), Box::new(policy), Box::new(world), config, 100_000, 9).unwrap();
    let reports: Vec<Report> = (0..780).map(|_| trainer.step().unwrap()).collect();
    let best = reports[760..].iter().map(|r| value(r, "best")).sum::<f64>() / 20.0;
    assert!(best > 0.9, "{best}");
}

#[test]
fn a_central_critic_needs_a_state() {
    let mut world = Coin::new(4, 1);
    world.spec.state = 0;
    let config = TeamConfig { critic: Critic::Central, ..TeamConfig::default() };
    let error = Team::new(&Device::cpu(), &config, &world.spec, false, 1).err().unwrap();
    assert!(error.to_string().contains("agent.critic"), "{error}");
}
