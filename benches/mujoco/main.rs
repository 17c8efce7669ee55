//! Steps a second of MuJoCo's bodies: `cargo bench -p synod-worlds --features mujoco --bench mujoco -- BODY WORLDS SECONDS`.
//! Episodes that end are reset inside the measured time, as a trainer would. Threads are rayon's (`RAYON_NUM_THREADS`).
//! `run` beside this file measures in turns with Gymnasium's vector environments and with EnvPool (`peers.py`).

use std::time::Instant;

use synod_worlds::env::mujoco::MujocoConfig;
use synod_worlds::env::{Buffers, Pcg64, WorldConfig};

fn main() -> synod_worlds::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let word = |at: usize, default: &'static str| words.get(at).map_or(default, String::as_str).to_owned();
    let number = |at: usize, default: &'static str| word(at, default).parse::<f64>().unwrap_or(1.0);
    let settings = serde_json::json!({ "body": word(0, "half_cheetah"), "worlds": number(1, "16") as usize });
    let config: MujocoConfig = serde_json::from_value(settings).expect("a body's name");
    let mut env = WorldConfig::new(config).build(1)?;
    let spec = env.spec().clone();
    let mut out = Buffers::new(&spec);
    env.reset(&vec![true; spec.worlds], &mut out)?;
    let mut random = Pcg64::new(1);
    let bounds = spec.kinds[0].actions.bounds();
    let rounds: Vec<_> = (0..64)
        .map(|_| {
            let mut actions = spec.actions();
            for (number, [low, high]) in actions.continuous.iter_mut().zip(bounds.iter().cycle()) {
                *number = low + (high - low) * random.double() as f32;
            }
            actions
        })
        .collect();
    let mut measure = |seconds: f64| -> synod_worlds::Result<f64> {
        let (start, mut steps) = (Instant::now(), 0);
        while start.elapsed().as_secs_f64() < seconds {
            env.step(&rounds[steps % rounds.len()], &mut out)?;
            steps += 1;
            if out.ended.contains(&true) {
                let ended = out.ended.clone();
                env.reset(&ended, &mut out)?;
                env.take_reports();
            }
        }
        Ok((steps * spec.worlds) as f64 / start.elapsed().as_secs_f64())
    };
    measure(0.3)?;
    println!("synod {} {} {:.0}", word(0, "half_cheetah"), spec.worlds, measure(number(2, "3"))?);
    Ok(())
}
