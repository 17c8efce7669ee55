//! Worlds of any settings, stepped with any actions, saved, damaged and loaded.

use synod::action::Actions;
use synod::env::{Buffers, VecEnv, WorldConfig};

use crate::{Random, fuzz};

/// Puts other numbers in place of some.
fn disturb(value: &mut serde_json::Value, random: &mut Random) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, field) in fields {
                if name != "kind" {
                    disturb(field, random);
                }
            }
        }
        serde_json::Value::Array(items) => {
            items.iter_mut().for_each(|item| disturb(item, random));
            if random.once_in(20) {
                items.pop();
            }
        }
        serde_json::Value::Bool(flag) => *flag ^= random.once_in(4),
        serde_json::Value::Number(number) if random.once_in(6) => {
            let other = match number.is_f64() {
                true => serde_json::Number::from_f64(f64::from(random.float())),
                false if random.once_in(4) => Some(random.size().into()),
                false => Some(random.below(12).into()),
            };
            *number = other.unwrap_or_else(|| number.clone());
        }
        _ => {}
    }
}

fn play(env: &mut dyn VecEnv, out: &mut Buffers, random: &mut Random) {
    let spec = env.spec().clone();
    let worlds = spec.worlds;
    for _ in 0..random.below(12) {
        match random.below(10) {
            0 => {
                let which: Vec<bool> = (0..random.length(worlds)).map(|_| random.once_in(2)).collect();
                let _ = env.reset(&which, out);
            }
            1 => drop(env.take_reports()),
            2 => {
                let mut other = out.clone();
                other.observations.pop();
                let _ = env.step(&spec.actions(), &mut other);
            }
            _ => {
                let any = random.once_in(10);
                let mut actions = Actions::default();
                for kind in &spec.kinds {
                    for _ in 0..worlds * kind.count {
                        let more = if any { 2 } else { 0 };
                        let sizes = kind.actions.sizes().into_iter();
                        actions.discrete.extend(sizes.map(|size| random.below(size + more) as u32));
                        actions.continuous.extend(random.floats(kind.actions.floats()));
                    }
                }
                actions.discrete.truncate(random.length(actions.discrete.len()));
                actions.continuous.truncate(random.length(actions.continuous.len()));
                let _ = env.step(&actions, out);
                if out.ended.contains(&true) && random.once_in(2) {
                    let ended = out.ended.clone();
                    env.reset(&ended, out).unwrap();
                }
            }
        }
    }
}

#[test]
fn worlds() {
    fuzz("worlds", |random| {
        let (kind, _) = *random.pick(&WorldConfig::kinds());
        let mut settings = serde_json::to_value(WorldConfig::named(kind).unwrap().with_worlds(2)).unwrap();
        if !random.once_in(3) {
            disturb(&mut settings, random);
        }
        let Ok(config) = serde_json::from_value::<WorldConfig>(settings) else { return };
        let Ok(mut env) = config.build(random.bits()) else { return };
        let spec = env.spec().clone();
        // What is right may still be large.
        if spec.worlds > 8 || spec.observation_length().saturating_add(spec.mask_length()) > 1 << 20 {
            return;
        }
        let mut out = Buffers::new(&spec);
        let _ = env.step(&spec.actions(), &mut out);
        if env.reset(&vec![true; spec.worlds], &mut out).is_err() {
            return;
        }
        play(env.as_mut(), &mut out, random);
        let own = env.save();
        let mut bytes = own.clone();
        random.damage(&mut bytes);
        match env.load(&bytes) {
            Ok(()) => {
                play(env.as_mut(), &mut out, random);
                env.load(&own).unwrap_or_else(|e| panic!("{kind}: {e}"));
            }
            Err(_) => assert_eq!(env.save(), own, "a refused load changed a world of {kind}"),
        }
        play(env.as_mut(), &mut out, random);
    });
}
