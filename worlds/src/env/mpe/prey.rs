//! A prey that has learned to flee, for hunters that learn alone: the network of the prey of a run of the preset `tag`
//! (seed 1, 5 million agent-steps of PPO against hunters that learned too), taken out by `examples/prey.rs`.

/// Numbers that it sees, features of both layers, and movements.
const SIZES: [usize; 4] = [14, 32, 32, super::particles::MOVES];

/// Weights `[inputs, outputs]` and biases of three linear layers, little-endian.
static NUMBERS: &[u8] = include_bytes!("prey.bin");

/// How many numbers the prey of MPE2's sizes sees: three hunters, one prey, two obstacles.
pub(super) const SEEN: usize = SIZES[0];

/// What it does about what it sees: the best of its movements.
pub(super) fn flee(seen: &[f32; SEEN]) -> u32 {
    let mut numbers =
        NUMBERS.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]));
    let mut layer: Vec<f32> = seen.to_vec();
    for (index, outputs) in SIZES[1..].iter().enumerate() {
        let mut next = vec![0.0f32; *outputs];
        for x in &layer {
            next.iter_mut().zip(&mut numbers).for_each(|(sum, weight)| *sum += x * weight);
        }
        next.iter_mut().zip(&mut numbers).for_each(|(sum, bias)| *sum += bias);
        if index + 2 < SIZES.len() {
            next.iter_mut().for_each(|x| *x = x.max(0.0));
        }
        layer = next;
    }
    let better = |best: usize, other: usize| if layer[other] > layer[best] { other } else { best };
    (0..layer.len()).fold(0, better) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_the_numbers_of_its_layers() {
        let layers = SIZES.windows(2).map(|pair| (pair[0] + 1) * pair[1]);
        assert_eq!(NUMBERS.len(), 4 * layers.sum::<usize>());
    }

    /// With all hunters close on one side and room on the other it runs for the room.
    #[test]
    fn it_runs_from_hunters() {
        let mut seen = [0.0f32; SEEN];
        // Obstacles far off; hunters to the left.
        seen[4..8].copy_from_slice(&[0.0, 0.9, 0.0, -0.9]);
        for hunter in 0..3 {
            seen[8 + 2 * hunter] = -0.25;
        }
        assert_eq!(flee(&seen), 2);
        (0..3).for_each(|hunter| seen[8 + 2 * hunter] = 0.25);
        assert_eq!(flee(&seen), 1);
    }
}
