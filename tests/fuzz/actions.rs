//! Spaces of actions that are none, and distributions that are given what does not fit them.

use synod::action::distribution::ACTION_INPUTS;
use synod::action::{Action, ActionSpace, Actions, Bounded, Distribution};
use synod::{Device, Graph};

use crate::{Random, fuzz};

fn space(random: &mut Random, depth: usize) -> ActionSpace {
    match random.below(if depth > 0 { 5 } else { 4 }) {
        0 => ActionSpace::Discrete(random.size()),
        1 => ActionSpace::MultiDiscrete((0..random.below(4)).map(|_| random.size()).collect()),
        2 => {
            let count = random.below(4);
            ActionSpace::uniform(count, -1.0, 1.0 + random.below(3) as f32)
        }
        3 => {
            let count = random.below(4);
            let high = random.length(count);
            ActionSpace::Continuous { low: random.floats(count), high: random.floats(high) }
        }
        _ => ActionSpace::Product((0..random.below(4)).map(|_| space(random, depth - 1)).collect()),
    }
}

#[test]
fn spaces() {
    let device = Device::cpu();
    fuzz("spaces", |random| {
        let (own, other) = (space(random, 3), space(random, 2));
        let (known, _) = (own.check().is_ok(), other.check());
        let _ = (own.to_string(), own.bounds(), own.sizes(), own.one_choice("it"), own.parameters());
        let rows = random.size();
        let numbers = rows.saturating_mul(own.integers().max(own.floats()));
        // What is right may still be large.
        if !(1 << 16..=1 << 36).contains(&numbers) {
            let mut zeros = Actions::zeros(&own, rows);
            zeros.continuous.iter_mut().for_each(|x| *x = random.float());
            let _ = (zeros.check_values(&own), zeros.check_values(&other));
            zeros.hold(&other.bounds());
        }
        if own.parameters() > 64 || other.parameters() > 64 {
            return;
        }
        let graph = Graph::new();
        let lanes = random.below(4);
        let (parameters, options) = (random.length(own.parameters()), random.length(own.options()));
        let input = graph.input("parameters", [lanes, parameters]);
        let masks = random.once_in(2).then(|| graph.input("masks", [lanes, options]));
        let bounded = *random.pick(&[Bounded::Gaussian, Bounded::Tanh]);
        let Ok(of) = own.distribution(input, masks, bounded) else { return };
        assert!(known, "{own:?} is no space, and yet there is a distribution");
        let key = graph.input_u32("key", [2]);
        let given = Action::input(&graph, if random.once_in(4) { &other } else { &own }, &[lanes]);
        let mut outputs = Vec::new();
        for action in [of.sample(key), of.mode(), given] {
            outputs.extend(of.log_probability(action));
            outputs.extend(action.features(&own));
            outputs.extend([action.discrete.map(|x| x.to_f32()), action.continuous].into_iter().flatten());
        }
        outputs.extend(of.entropy(key));
        let width = other.parameters();
        if let Ok(further) = other.distribution(graph.full([lanes, width], 0.5), None, bounded) {
            outputs.extend(of.kl(&further, key));
            outputs.extend(Distribution::product([of.clone(), further]).and_then(|both| both.entropy(key)));
        }
        if graph.check().is_err() {
            return;
        }
        let Ok(mut program) = device.compile(&graph, &outputs) else { return };
        for name in ["parameters", "masks", ACTION_INPUTS[1]] {
            if let Some(input) = program.find_input(name) {
                input.iter_mut().for_each(|x| *x = random.float());
            }
        }
        if let Some(input) = program.find_input_u32(ACTION_INPUTS[0]) {
            input.iter_mut().for_each(|x| *x = random.size() as u32);
        }
        let _ = program.run(&[]);
    });
}
