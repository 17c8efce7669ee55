//! Replays, actors and trainers that are given what is not theirs.

use synod::Device;
use synod::action::{ActionSpace, Actions};
use synod::agent::actors::{Actors, Choice, Seen};
use synod::agent::team::{Team, TeamConfig};
use synod::env::WorldConfig;
use synod::preset::Settings;
use synod::train::replay::{Draw, Priority, Replay, Sizes};
use synod::train::rollout::Experience;
use synod::train::{Checkpoint, TensorData};

use crate::{Random, fuzz};

/// A space of actions with up to so many options or floats in each part.
fn space(most: &mut dyn FnMut(usize) -> usize) -> ActionSpace {
    match most(4) {
        1 => ActionSpace::Discrete(most(3)),
        2 => ActionSpace::MultiDiscrete(vec![most(3), most(2)]),
        3 => ActionSpace::uniform(most(2).min(9), -1.0, 1.0),
        _ => ActionSpace::Product(vec![ActionSpace::Discrete(most(3)), ActionSpace::uniform(1, 0.0, 2.0)]),
    }
}

fn experience(sizes: &Sizes, random: &mut Random) -> Experience {
    let time = if random.once_in(8) { random.below(9) } else { sizes.stride.clamp(1, 8) };
    let (agents, worlds, observation) = (sizes.agents.min(9), sizes.worlds.min(9), sizes.observation.min(9));
    let lanes = time * agents * worlds;
    let space = if random.once_in(60) { ActionSpace::Discrete(2) } else { sizes.actions.clone() };
    let mut length = |count: usize| if random.once_in(60) { random.length(2 * count) } else { count };
    let mut floats = |count: usize| vec![1.0; length(count)];
    Experience {
        observations: floats(lanes * observation),
        ages: floats(lanes),
        present: floats(lanes),
        weights: floats(lanes),
        log_probabilities: floats(lanes),
        values: floats(lanes + agents * worlds),
        rewards: floats(lanes),
        masks: floats(if sizes.masked { lanes * sizes.actions.options().min(9) } else { 0 }),
        world_state: floats(time * worlds * sizes.world_state.min(9)),
        state: sizes.state.iter().map(|size| floats(agents * worlds * size.min(&9))).collect(),
        noise: [sizes.stride as u64, 3],
        answers: Actions::default(),
        answered: Vec::new(),
        actions: Actions {
            continuous: floats(lanes * sizes.actions.floats().min(9)),
            discrete: vec![0; length(lanes * sizes.actions.integers())],
        },
        space,
        terminated: vec![false; length(lanes)],
        truncated: vec![true; length(lanes)],
        time,
        agents,
        worlds,
        observation,
    }
}

#[test]
fn replays() {
    fuzz("replays", |random| {
        let mut size = |most: usize| if random.once_in(40) { random.size() } else { 1 + random.below(most) };
        let (stride, length) = (size(4), size(5));
        let sizes = Sizes {
            steps: stride.saturating_mul(size(20)),
            agents: size(3),
            worlds: size(3),
            observation: size(3),
            actions: space(&mut size),
            masked: size(2) == 1,
            world_state: size(2).saturating_sub(1),
            state: (0..size(3).min(3)).map(|i| i % 3).collect(),
            stride,
            length,
        };
        // What is right may still be large.
        let each = sizes.observation.saturating_add(sizes.actions.parameters()).saturating_add(8);
        let numbers = [sizes.steps, sizes.agents, sizes.worlds, each, sizes.world_state.max(1)];
        let total = numbers.iter().fold(1usize, |all, n| all.saturating_mul(*n));
        if total > 1 << 22 {
            // More than there is room for anywhere.
            if sizes.steps.saturating_mul(sizes.worlds) > 1 << 50 {
                assert!(Replay::new(sizes, true).is_err());
            }
            return;
        }
        let Ok(mut replay) = Replay::new(sizes.clone(), random.once_in(2)) else { return };
        let priority = Priority { alpha: random.float(), beta: random.float() };
        for _ in 0..random.below(12) {
            let given = experience(&sizes, random);
            let _ = (replay.add(&given), given.advantages(0.9, 0.9));
            let place = |random: &mut Random| if random.once_in(9) { random.size() } else { random.below(5) };
            let draw = Draw { world: place(random), slot: place(random), weight: random.float() };
            let errors = random.floats(2);
            let _ = replay.set_priorities(&[draw; 3], &errors, priority);
            let (first, count, n) = (place(random), place(random), place(random));
            let _ = replay.targets(draw, (first, count), n, random.float(), random.once_in(2), &|_, _| 0.5);
            let _ = (replay.len(), replay.is_ready());
        }
        let mut saved = Checkpoint::new();
        replay.save(&mut saved).unwrap();
        let mut other = saved.clone();
        damage(&mut other, random);
        if replay.load(&other).is_err() {
            let mut now = Checkpoint::new();
            replay.save(&mut now).unwrap();
            assert!(now == saved, "a refused load changed a replay");
        }
        let given = experience(&sizes, random);
        let _ = replay.add(&given);
    });
}

/// Changes the content of a tensor, takes one away, or gives one another shape.
fn damage(checkpoint: &mut Checkpoint, random: &mut Random) {
    let names: Vec<String> = checkpoint.tensors.keys().cloned().collect();
    for _ in 0..1 + random.below(2) {
        let name = random.pick(&names).clone();
        let Some(tensor) = checkpoint.tensors.remove(&name) else { continue };
        let mut bytes = tensor.bytes().to_vec();
        let damaged = match random.below(6) {
            0 => continue,
            1 => TensorData::u8(&[3], &[1, 2, 3]),
            2 => {
                random.damage(&mut bytes);
                TensorData::u8(&[bytes.len()], &bytes)
            }
            _ => {
                for _ in 0..1 + random.below(3) {
                    let at = random.below(bytes.len());
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = random.bits() as u8;
                    }
                }
                TensorData::new(tensor.shape(), tensor.element_type(), bytes)
            }
        };
        checkpoint.insert(name, damaged.unwrap());
    }
}

#[test]
fn actors() {
    let device = Device::cpu();
    let env = WorldConfig::named("simple_spread").unwrap().with_worlds(2).build(1).unwrap();
    let spec = env.spec().clone();
    let config = TeamConfig { features: 4, ..TeamConfig::default() };
    let team = Team::new(&device, &config, &spec, false, 1).unwrap();
    let actors =
        std::cell::RefCell::new(Actors::new(&device, &team, &spec, 1, Choice::Sample, false).unwrap());
    let lanes = 2 * spec.agents();
    fuzz("actors", |random| {
        let (observations, masks) =
            (random.length(spec.observation_length()), random.length(spec.mask_length()));
        let (ages, present, state) =
            (random.length(lanes), random.length(lanes), random.length(2 * spec.state));
        let observations = random.floats(observations);
        let (ages, present) = (random.floats(ages), vec![1.0; present]);
        let (masks, state) = (vec![1.0; masks], random.floats(state));
        let seen = Seen {
            observations: &observations,
            ages: &ages,
            present: &present,
            masks: &masks,
            state: &state,
        };
        let mut actors = actors.borrow_mut();
        let _ = actors.act(seen, [random.bits(), random.bits()]);
        let _ = actors.value(seen, [random.bits(), 1]);
        let _ = actors.tell(&mut vec![0u32; random.length(lanes)].into());
        let parts: Vec<Vec<f32>> = (0..random.below(3)).map(|_| vec![0.0; random.below(20)]).collect();
        let _ = actors.set_state(&parts);
    });
}

/// A refused load leaves a trainer as it was, whatever is refused; a trainer goes on after one that is taken.
#[test]
fn trainers() {
    let device = Device::cpu();
    let plans = [
        ("two-step-vdn", &["world.worlds=4", "agent.features=8"][..]),
        ("tag", &["world.worlds=4", "agent.features=8", "learner.rollout=4", "learner.minibatches=1"]),
        ("taxi-hierarchical", &["world.worlds=4", "agent.features=8"]),
        ("deep-sea-rnd", &["agent.features=8"]),
        (
            "spread-matd3",
            &[
                "world.worlds=4",
                "agent.features=8",
                "learner.critic_features=8",
                "learner.replay=500",
                "learner.warmup=100",
                "learner.batch=8",
            ],
        ),
        ("climbing-hysteretic", &[]),
        ("lqr-ppo", &["world.worlds=4", "agent.features=8", "learner.rollout=4", "learner.minibatches=1"]),
    ];
    // Made once: compiling takes longer than all else.
    let trainers: Vec<_> = plans
        .iter()
        .map(|(name, items)| {
            let items: Vec<String> = items.iter().map(|item| item.to_string()).collect();
            let mut trainer = Settings::with_items(name, &items).unwrap().trainer(&device).unwrap();
            trainer.step().unwrap();
            let before = trainer.save().unwrap();
            (*name, before, std::cell::RefCell::new(trainer))
        })
        .collect();
    fuzz("trainers", |random| {
        let (name, before, trainer) = random.pick(&trainers);
        let mut trainer = trainer.borrow_mut();
        let mut other = before.clone();
        damage(&mut other, random);
        match trainer.load(&other) {
            Err(_) => assert!(trainer.save().unwrap() == *before, "a refused load changed {name}"),
            // Weights that are not finite may end a step with an error.
            Ok(()) => {
                let _ = trainer.step();
                trainer.load(before).unwrap();
                assert!(trainer.save().unwrap() == *before, "{name} is not what it was");
            }
        }
    });
}
