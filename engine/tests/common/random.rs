//! Random numbers for tests: a fresh seed each time, or the one in `SYNOD_TEST_SEED`.

/// A counter-based generator (SplitMix64: Steele, Lea and Flood 2014).
pub struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    /// From `SYNOD_TEST_SEED`, or else from the operating system.
    pub fn fresh() -> Self {
        let seed = match std::env::var("SYNOD_TEST_SEED") {
            Ok(text) => text.parse().expect("SYNOD_TEST_SEED is a whole number"),
            Err(_) => rand::random(),
        };
        Self::seeded(seed)
    }

    /// From a seed.
    pub fn seeded(seed: u64) -> Self {
        Random { seed, state: seed }
    }

    /// What it started from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A whole number from 0 to below `below`.
    pub fn below(&mut self, below: usize) -> usize {
        ((u128::from(self.bits()) * below as u128) >> 64) as usize
    }

    /// A number from `low` to `high`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// `n` floats from `low` to `high`.
    pub fn floats(&mut self, n: usize, low: f64, high: f64) -> Vec<f32> {
        (0..n).map(|_| self.uniform(low, high) as f32).collect()
    }
}
