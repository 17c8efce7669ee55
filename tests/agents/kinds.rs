//! Unlike agents with networks of their own: they learn what each must, under every trainer, and share nothing.

use synod::action::Actions;
use synod::agent::actors::Choice;
use synod::agent::kinds::KindsConfig;
use synod::agent::team::Team;
use synod::agent::{AgentConfig, Policy};
use synod::env::uniform::Uniform;
use synod::env::{AgentKind, Buffers, EpisodeReport, Spec, VecEnv};
use synod::preset::Settings;
use synod::train::dqn::{Dqn, DqnConfig};
use synod::train::mixer::Mixing;
use synod::train::player::Player;
use synod::train::ppo::{Ppo, PpoConfig};
use synod::train::{Report, Trainer};
use synod::{Device, Result};

/// One agent sees a number and says whether it is positive; two others see one of three marks each and name it, one
/// step later again. Who is right is paid 1 a step: 2 is the most there is.
struct Unlike {
    spec: Spec,
    state: u64,
    /// `[worlds, 3]`: what each must say.
    right: Vec<u32>,
    step: u32,
    paid: Vec<f64>,
    reports: Vec<EpisodeReport>,
}

impl Unlike {
    fn new(worlds: usize, seed: u64) -> Self {
        let kinds = vec![AgentKind::discrete("sign", 1, 1, 2), AgentKind::discrete("mark", 2, 5, 3)];
        let spec = Spec { worlds, kinds, state: 0, masked: false, limit: u32::MAX };
        let (right, paid) = (vec![0; 3 * worlds], vec![0.0; worlds]);
        Unlike { spec, state: seed | 1, right, step: 0, paid, reports: Vec::new() }
    }

    fn alike(worlds: usize, seed: u64) -> Box<dyn VecEnv> {
        Uniform::of(Box::new(Unlike::new(worlds, seed))).unwrap()
    }

    fn show(&mut self, out: &mut Buffers) {
        let mut draw = || {
            self.state = self.state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (self.state >> 33) as u32
        };
        let worlds = self.spec.worlds;
        for (i, right) in self.right.iter_mut().enumerate() {
            *right = draw() % if i % 3 == 0 { 2 } else { 3 };
        }
        out.observations.fill(0.0);
        for world in 0..worlds {
            out.observations[world] = if self.right[3 * world] == 1 { 0.7 } else { -0.4 };
            for agent in 0..2 {
                let row = &mut out.observations[worlds + (2 * world + agent) * 5..][..5];
                row[self.right[3 * world + 1 + agent] as usize] = 1.0;
                row[4] = 1.0;
            }
        }
    }
}

impl VecEnv for Unlike {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, which: &[bool], out: &mut Buffers) -> Result<()> {
        // All worlds run in step.
        if which.contains(&true) {
            self.step = 0;
            out.ended.fill(false);
            out.active.fill(true);
            out.terminated.fill(false);
            out.truncated.fill(false);
            out.rewards.fill(0.0);
            self.paid.fill(0.0);
            self.show(out);
        }
        Ok(())
    }

    fn step(&mut self, actions: &Actions, out: &mut Buffers) -> Result<()> {
        let worlds = self.spec.worlds;
        self.step += 1;
        for world in 0..worlds {
            for agent in 0..3 {
                let at = if agent == 0 { world } else { worlds + 2 * world + agent - 1 };
                let paid = f32::from(u8::from(actions.discrete[at] == self.right[3 * world + agent]));
                out.rewards[3 * world + agent] = paid;
                self.paid[world] += f64::from(paid) / 3.0;
            }
        }
        let over = self.step == 2;
        out.terminated.fill(over);
        out.ended.fill(over);
        out.active.fill(!over);
        self.show(out);
        if over {
            self.reports.extend(self.paid.iter().enumerate().map(|(world, paid)| EpisodeReport {
                world,
                label: String::new(),
                agents: 3,
                values: vec![("return", *paid)],
            }));
        }
        Ok(())
    }

    fn take_reports(&mut self) -> Vec<EpisodeReport> {
        std::mem::take(&mut self.reports)
    }

    fn save(&self) -> Vec<u8> {
        let words =
            [self.state, u64::from(self.step)].into_iter().chain(self.right.iter().map(|r| u64::from(*r)));
        words.chain(self.paid.iter().map(|p| p.to_bits())).flat_map(u64::to_le_bytes).collect()
    }

    fn load(&mut self, bytes: &[u8]) -> Result<()> {
        let word = |i: usize| u64::from_le_bytes(bytes[8 * i..8 * i + 8].try_into().unwrap());
        (self.state, self.step) = (word(0), word(1) as u32);
        let count = self.right.len();
        self.right = (0..count).map(|i| word(2 + i) as u32).collect();
        self.paid = (0..self.paid.len()).map(|i| f64::from_bits(word(2 + count + i))).collect();
        Ok(())
    }
}

/// Small networks; the signs' smaller still and with a memory, which they do not need.
fn config() -> KindsConfig {
    serde_json::from_value(serde_json::json!({
        "team": { "features": 16 },
        "own": { "sign": { "features": 4, "core": "gru", "identity": false } },
    }))
    .unwrap()
}

fn policy(seed: u64) -> Team {
    Team::of_kinds(&Device::cpu(), &config(), Unlike::alike(8, seed).spec(), false, seed).unwrap()
}

/// The return of the policy without chance.
fn greedy(policy: &dyn Policy, choice: Choice) -> f64 {
    let mut env = Unlike::alike(64, 99);
    let mut player = Player::new(&Device::cpu(), policy, env.as_ref(), choice, false).unwrap();
    let reports = player.play(env.as_mut(), 1, |_, _, _| Ok(())).unwrap();
    reports.iter().map(|r| r.value("return").unwrap()).sum::<f64>() / reports.len() as f64
}

fn ppo(seed: u64) -> Ppo {
    let config = PpoConfig { rollout: 8, learning_rate: 1e-2, minibatches: 1, ..PpoConfig::default() };
    let env = Unlike::alike(8, seed);
    Ppo::new(&Device::cpu(), Box::new(policy(seed)), env, config, 100_000, seed).unwrap()
}

fn dqn(mixer: Mixing, seed: u64) -> Dqn {
    let config = DqnConfig {
        rollout: 4,
        batch: 32,
        replay: 2_000,
        warmup: 64,
        learning_rate: 1e-2,
        gamma: 0.0,
        target_every: 20,
        mixer,
        ..DqnConfig::default()
    };
    let env = Unlike::alike(8, seed);
    Dqn::new(&Device::cpu(), Box::new(policy(seed)), env, config, 20_000, seed).unwrap()
}

#[test]
fn unlike_agents_learn_under_every_trainer() {
    for seed in [1, 2, 3] {
        let mut trainer = ppo(seed);
        (0..120).for_each(|_| drop(trainer.step().unwrap()));
        let value = greedy(trainer.policy(), Choice::Greedy);
        assert!(value > 1.99, "PPO, seed {seed}: {value}");
        for mixer in [Mixing::None, Mixing::Vdn] {
            let mut trainer = dqn(mixer, seed);
            (0..250).for_each(|_| drop(trainer.step().unwrap()));
            let value = greedy(trainer.policy(), Choice::EpsilonGreedy);
            assert!(value > 1.99, "{mixer:?}, seed {seed}: {value}");
        }
    }
}

#[test]
fn what_was_saved_goes_on_to_the_bit() {
    let both: [fn() -> Box<dyn Trainer>; 2] = [|| Box::new(ppo(5)), || Box::new(dqn(Mixing::Vdn, 5))];
    for make in both {
        let mut whole = make();
        (0..20).for_each(|_| drop(whole.step().unwrap()));
        let middle = whole.save().unwrap();
        let mut resumed = make();
        resumed.load(&middle).unwrap();
        for _ in 0..3 {
            let (a, b): (Report, Report) = (whole.step().unwrap(), resumed.step().unwrap());
            assert_eq!(a, b);
        }
        assert!(whole.save().unwrap() == resumed.save().unwrap());
    }
}

/// Each kind has the parameters of a network made for it alone, of its own sizes, and what one learns is no affair of
/// the other.
#[test]
fn networks_are_apart() {
    let policy = policy(3);
    let of = |prefix: &str| -> Vec<String> {
        let named = policy.parameters().iter().filter(|(name, _)| name.starts_with(prefix));
        named.map(|(name, shape)| format!("{name} {shape:?}")).collect()
    };
    assert!(
        of("sign/").iter().any(|p| p.contains("core/gru")) && !of("mark/").iter().any(|p| p.contains("gru"))
    );
    let shapes = |prefix: &str, name: &str| {
        let found = policy.parameters().iter().find(|(n, _)| *n == format!("{prefix}/{name}")).unwrap();
        found.1.to_vec()
    };
    // One number in four features, two options; five numbers and which of two it is in sixteen, three options.
    assert_eq!(
        (shapes("sign", "encoder/0/weight"), shapes("sign", "actor/weight")),
        (vec![1, 4], vec![4, 2])
    );
    assert_eq!(
        (shapes("mark", "encoder/0/weight"), shapes("mark", "actor/weight")),
        (vec![7, 16], vec![16, 3])
    );

    // The gradient of what the marks do for the signs' network is nothing at all.
    let device = Device::cpu();
    let graph = synod::Graph::new();
    let weights = policy.parameters().weights(&graph);
    let spec = Unlike::alike(2, 1).spec().clone();
    let sequence = synod::agent::Sequence::input(
        &graph,
        &policy,
        [1, 3, 2],
        &spec.kinds[0].observation,
        synod::agent::Mode::Learning,
    );
    let state = synod::agent::state_inputs(&graph, &policy, [3, 2]);
    let unrolled = policy.unroll(&graph, &weights, sequence, &state).unwrap();
    let marks =
        unrolled.parameters.slice(1, 1, 2).square().sum_all() + unrolled.values.slice(1, 1, 2).sum_all();
    let gradient = policy.parameters().gradient(marks, &weights).unwrap();
    let mut program = device.compile(&graph, &[gradient]).unwrap();
    if let Some(input) = program.find_input("observations") {
        input.iter_mut().enumerate().for_each(|(i, x)| *x = (i % 5) as f32 - 2.0);
    }
    for name in ["ages", "present", "state0"] {
        if let Some(input) = program.find_input(name) {
            input.fill(1.0);
        }
    }
    let gradient = program.run(&[]).unwrap().f32(0).to_vec();
    let (mut own, mut other) = (0.0f32, 0.0f32);
    for (name, first, end) in policy.parameters().extents() {
        let size: f32 = gradient[first..end].iter().map(|g| g.abs()).sum();
        *if name.starts_with("mark/") { &mut own } else { &mut other } += size;
    }
    assert!(own > 0.0 && other == 0.0, "{own} {other}");
}

#[test]
fn settings_say_what_does_not_fit() {
    let check = |items: &[&str], word: &str| {
        let items: Vec<String> = items.iter().map(|item| item.to_string()).collect();
        let error = Settings::with_items("tag", &items)
            .and_then(|settings| settings.policy(&Device::cpu()).map(drop))
            .expect_err(word)
            .to_string();
        assert!(error.contains(word), "{error}");
    };
    let kinds = ["agent=kinds", "separate_parameters=false"];
    check(&[&kinds[..], &["agent.own.preys.features=8"]].concat(), "preys");
    check(&[&kinds[..], &["agent.own.agent.feature=8"]].concat(), "feature");
    check(&[&kinds[..], &["agent.own.agent.features=0"]].concat(), "features");
    check(&["agent=kinds"], "separate_parameters");
    check(&[&kinds[..], &["agent.own.agent.communication=gat"]].concat(), "together");
    // And what fits is a run like any other, in worlds with one kind and with continuous actions of unlike widths too.
    for (preset, items) in [
        ("tag", &["agent=kinds", "separate_parameters=false", "agent.own.agent.features=8"][..]),
        ("spread-ippo", &["agent=kinds"]),
        ("speaker-listener", &["agent=kinds", "agent.team.critic=central"]),
        ("speaker-listener", &["agent=kinds", "world.actions=continuous", "show_last_action=true"]),
        ("bottleneck", &["agent=kinds", "agent.team.encoder=convolutional", "agent.team.core=srmt"]),
    ] {
        let items: Vec<String> = items.iter().map(|item| item.to_string()).collect();
        let mut settings = Settings::with_items(preset, &items).unwrap();
        settings.world = settings.world.with_worlds(64);
        let again: Settings = serde_json::from_value(serde_json::to_value(&settings).unwrap()).unwrap();
        assert_eq!(again, settings);
        let mut trainer = settings.trainer(&Device::cpu()).unwrap();
        let report = trainer.step().unwrap();
        assert!(report.value("kl").is_some_and(f64::is_finite), "{preset}");
    }
    assert_eq!(AgentConfig::named("kinds").unwrap().said(), 0);
}
