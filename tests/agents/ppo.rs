//! PPO and SRMT on small problems with known answers.

use synod::action::Actions;
use synod::agent::core::{CoreConfig, SrmtCoreConfig};
use synod::agent::srmt::SrmtConfig;
use synod::agent::{AgentSettings, Policy};
use synod::env::pathfinding::{Pathfinding, PathfindingConfig};
use synod::env::{AgentKind, Buffers, EpisodeReport, Spec, VecEnv};
use synod::train::Trainer;
use synod::train::ppo::{Ppo, PpoConfig};
use synod::{Device, Result};

/// Each of two agents is shown a symbol of its own at the first step and must name the other's symbol at the third.
/// Only what passes through the other's memory can tell it: without that, one half is the best that anybody can do.
struct Relay {
    spec: Spec,
    step: usize,
    symbols: Vec<u32>,
    state: u64,
    reports: Vec<EpisodeReport>,
}

const LENGTH: usize = 3;

impl Relay {
    fn new(worlds: usize, seed: u64) -> Self {
        let kind = AgentKind { observation: vec![3, 1, 1], ..AgentKind::discrete("relay", 2, 3, 2) };
        let spec = Spec { worlds, kinds: vec![kind], state: 0, masked: false, limit: u32::MAX };
        Relay { spec, step: 0, symbols: vec![0; 2 * worlds], state: seed, reports: Vec::new() }
    }

    fn show(&self, out: &mut Buffers) {
        for (lane, symbol) in self.symbols.iter().enumerate() {
            let sign = if *symbol == 1 { 1.0 } else { -1.0 };
            let row = &mut out.observations[lane * 3..lane * 3 + 3];
            row.copy_from_slice(&[
                if self.step == 0 { sign } else { 0.0 },
                f32::from(u8::from(self.step + 1 == LENGTH)),
                1.0,
            ]);
        }
    }
}

impl VecEnv for Relay {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, which: &[bool], out: &mut Buffers) -> Result<()> {
        // All worlds run in step.
        if which.contains(&true) {
            self.step = 0;
            for symbol in &mut self.symbols {
                self.state = self.state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                *symbol = (self.state >> 40) as u32 & 1;
            }
            out.ended.fill(false);
            out.active.fill(true);
            out.rewards.fill(0.0);
            out.terminated.fill(false);
            self.show(out);
        }
        Ok(())
    }

    fn step(&mut self, actions: &Actions, out: &mut Buffers) -> Result<()> {
        let actions = &actions.discrete;
        self.step += 1;
        let last = self.step == LENGTH;
        for lane in 0..actions.len() {
            out.rewards[lane] = f32::from(u8::from(last && actions[lane] == self.symbols[lane ^ 1]));
            out.terminated[lane] = last;
            out.active[lane] = !last;
        }
        out.ended.fill(last);
        if last {
            for (world, pair) in out.rewards.chunks(2).enumerate() {
                let values = vec![("return", f64::from(pair[0] + pair[1]) / 2.0)];
                self.reports.push(EpisodeReport { world, label: "relay".into(), agents: 2, values });
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
        Vec::new()
    }

    fn load(&mut self, _bytes: &[u8]) -> Result<()> {
        Ok(())
    }
}

fn heads(core: &str, heads: usize) -> CoreConfig {
    let heads = serde_json::Map::from_iter([("heads".to_string(), heads.into())]);
    CoreConfig::named(core).unwrap().with(heads).unwrap()
}

fn small(core: &str) -> SrmtConfig {
    SrmtConfig { core: heads(core, 2), channels: 4, blocks: 0, features: 16 }
}

/// The paper's network for the bottleneck with another core, for such worlds.
fn bottleneck(core: &str, world: &dyn VecEnv, seed: u64) -> Box<dyn Policy> {
    let config = SrmtConfig { core: CoreConfig::named(core).unwrap(), ..SrmtConfig::bottleneck() };
    config.policy(&Device::cpu(), world.spec(), false, seed).unwrap()
}

fn settings(rollout: usize) -> PpoConfig {
    PpoConfig {
        rollout,
        epochs: 2,
        minibatches: 4,
        learning_rate: 3e-3,
        kl_target: 0.0,
        entropy_coefficient: 0.01,
        max_gradient_norm: 1.0,
        learning_shards: 2,
        acting_shards: 2,
        ..PpoConfig::srmt()
    }
}

/// The return over ten iterations as soon as it is over .95, or after so many. How many it takes changes with the
/// rounding of the processor's kernels.
fn relay_return(core: &str, seed: u64, separate: bool, iterations: usize) -> f64 {
    let device = Device::cpu();
    let world = Relay::new(64, seed);
    let policy = small(core).policy(&device, world.spec(), separate, seed).unwrap();
    let mut trainer = Ppo::new(&device, policy, Box::new(world), settings(2 * LENGTH), 1, seed).unwrap();
    let mut recent = Vec::new();
    let mut last = 0.0;
    for _ in 0..iterations {
        recent.push(trainer.step().unwrap().value("return").unwrap());
        let tail = &recent[recent.len().saturating_sub(10)..];
        last = tail.iter().sum::<f64>() / 10.0;
        if last > 0.95 {
            break;
        }
    }
    last
}

#[test]
fn what_another_agent_saw_can_be_learned_through_the_shared_memory_alone() {
    for seed in [1, 2, 3] {
        let shared = relay_return("srmt", seed, false, 1_000);
        assert!(shared > 0.95, "seed {seed}: SRMT reaches {shared}");
    }
    let own = relay_return("rmt", 1, false, 250);
    assert!((0.4..0.6).contains(&own), "without shared memory the other's symbol was known: {own}");
}

#[test]
fn agents_with_parameters_of_their_own_learn_it_too() {
    let shared = relay_return("srmt", 1, true, 1_000);
    assert!(shared > 0.95, "{shared}");
}

/// Acting step by step and unrolling a rollout are two programs: they must agree on what was done, across the ends of
/// episodes, for every network. With a learning rate of 0 the divergence between them is all there is.
#[test]
fn learning_sees_what_acting_did() {
    let device = Device::cpu();
    for core in ["srmt", "rmt", "attention", "gru", "lstm", "none"] {
        let world = PathfindingConfig { max_episode_steps: 5, seed: 3, ..PathfindingConfig::bottleneck(16) };
        let ppo = PpoConfig { learning_rate: 0.0, ..settings(12) };
        let world = Box::new(Pathfinding::new(world).unwrap());
        let policy = bottleneck(core, world.as_ref(), 7);
        let mut trainer = Ppo::new(&device, policy, world, ppo, 1, 7).unwrap();
        for _ in 0..3 {
            let report = trainer.step().unwrap();
            let divergence = report.value("kl").unwrap();
            assert!(divergence.abs() < 1e-9, "{core}: {divergence}");
            assert!(report.value("entropy").unwrap() > 1.0);
        }
    }
}

#[test]
fn a_trainer_that_was_saved_and_loaded_goes_on_to_the_bit() {
    let device = Device::cpu();
    let make = || {
        let world = PathfindingConfig { max_episode_steps: 20, seed: 3, ..PathfindingConfig::bottleneck(16) };
        let world = Box::new(Pathfinding::new(world).unwrap());
        let policy = bottleneck("srmt", world.as_ref(), 7);
        Ppo::new(&device, policy, world, settings(8), 1, 7).unwrap()
    };
    let mut whole = make();
    for _ in 0..3 {
        whole.step().unwrap();
    }
    let middle = whole.save().unwrap();
    let mut resumed = make();
    resumed.load(&middle).unwrap();
    for _ in 0..3 {
        assert_eq!(whole.step().unwrap(), resumed.step().unwrap());
    }
    assert!(whole.save().unwrap() == resumed.save().unwrap());
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let device = Device::cpu();
            let world = PathfindingConfig { seed: 5, ..PathfindingConfig::bottleneck(32) };
            let world = Box::new(Pathfinding::new(world).unwrap());
            let policy = bottleneck("srmt", world.as_ref(), 5);
            let mut trainer = Ppo::new(&device, policy, world, settings(8), 1, 5).unwrap();
            trainer.step().unwrap();
            trainer.save().unwrap()
        })
    };
    assert!(run(1) == run(2));
}

#[test]
fn settings_that_cannot_be_are_refused_by_name() {
    let device = Device::cpu();
    let spec = Relay::new(64, 1).spec;
    let policy = || small("srmt").policy(&device, &spec, false, 1).unwrap();
    for (ppo, key) in [
        (PpoConfig { minibatches: 5, ..settings(4) }, "learner.minibatches"),
        (PpoConfig { learning_shards: 3, ..settings(4) }, "learner.learning_shards"),
        (PpoConfig { acting_shards: 5, ..settings(4) }, "learner.acting_shards"),
        (PpoConfig { gamma: f32::NAN, ..settings(4) }, "learner.gamma"),
    ] {
        let error = Ppo::new(&device, policy(), Box::new(Relay::new(64, 1)), ppo, 1, 1).err().unwrap();
        assert!(error.to_string().contains(key), "{error}");
    }
    let core = CoreConfig::new(SrmtCoreConfig { heads: 3, ..SrmtCoreConfig::default() });
    let config = SrmtConfig { core, ..small("srmt") };
    let error = config.policy(&device, &spec, false, 1).err().unwrap();
    assert!(error.to_string().contains("agent.core.heads"), "{error}");
}

/// No plan can do with less than what is live at once.
#[test]
fn the_memory_of_a_learning_step_is_planned_near_its_bound() {
    for preset in ["bottleneck", "mazes"] {
        let trainer = synod::preset::Settings::preset(preset).unwrap().trainer(&Device::cpu()).unwrap();
        let (program, _) = trainer.learning().unwrap();
        let ratio = program.planned_bytes as f64 / program.live_bytes as f64;
        println!("{preset}: {} bytes planned, {ratio:.3} times the bound", program.planned_bytes);
        assert!((1.0..1.2).contains(&ratio), "{preset}: {ratio}");
    }
}
