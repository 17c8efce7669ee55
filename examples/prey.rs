//! Takes the prey out of a run in which hunters and prey learned against each other, as the small file that the world
//! `simple_tag` has for `prey=trained`:
//!
//! ```sh
//! synod train tag --seed 1 --out runs/prey --set agent=kinds --set separate_parameters=false \
//!     --set agent.team.features=32 --set agent.team.identity=false --set agent.team.encoder.layers=2 \
//!     --set agent.team.critic=own
//! cargo run --release --example prey runs/prey/checkpoint.safetensors worlds/src/env/mpe/prey.bin
//! ```

use std::path::Path;

use synod::run::checkpoint::read as read_checkpoint;

/// The layers in their order: each its weights, `[inputs, outputs]`, and then its biases, as little-endian f32.
const LAYERS: [&str; 3] = ["encoder/0", "encoder/1", "actor"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(from), Some(to)) = (arguments.next(), arguments.next()) else {
        return Err("usage: prey CHECKPOINT FILE".into());
    };
    let checkpoint = read_checkpoint(Path::new(&from))?;
    let mut bytes = Vec::new();
    for layer in LAYERS {
        for part in ["weight", "bias"] {
            let numbers = checkpoint.tensor(&format!("agent/agent/{layer}/{part}"))?.to_f32()?;
            bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        }
    }
    std::fs::write(&to, &bytes)?;
    println!("{to}: {} numbers", bytes.len() / 4);
    Ok(())
}
