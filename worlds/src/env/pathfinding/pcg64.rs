//! NumPy's default random generator, bit for bit: `SeedSequence` -> PCG64 (XSL-RR 128/64), with the draws of
//! `numpy.random.default_rng` that pathfinding instances are made of. POGEMA makes every draw with it, so an
//! instance is equal to POGEMA's only where these are equal to NumPy's.
//!
//! O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms for Random Number
//! Generation" (2014); Lemire, "Fast Random Integer Generation in an Interval" (2019).

const MULTIPLIER: u128 = 0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645;

/// A stream of random numbers equal to `numpy.random.default_rng(seed)`.
///
/// ```
/// use synod_worlds::env::pathfinding::Pcg64;
/// // numpy.random.default_rng(0).random() == 0.6369616873214543
/// assert_eq!(Pcg64::new(0).double(), 0.6369616873214543);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pcg64 {
    state: u128,
    increment: u128,
    /// The high half of the last 64-bit draw, kept for the next 32-bit draw.
    half: Option<u32>,
}

impl Pcg64 {
    /// The stream of `default_rng(seed)`.
    pub fn new(seed: u64) -> Self {
        let (low, high) = (seed as u32, (seed >> 32) as u32);
        if high == 0 { Self::from_entropy(&[low]) } else { Self::from_entropy(&[low, high]) }
    }

    /// The stream of `default_rng` seeded with these 32-bit words (`SeedSequence`'s `entropy`).
    pub fn from_entropy(entropy: &[u32]) -> Self {
        let words = seed_words(entropy);
        let wide = |at: usize| ((words[at] as u128) << 64) | words[at + 1] as u128;
        let mut random = Pcg64 { state: 0, increment: (wide(2) << 1) | 1, half: None };
        random.advance();
        random.state = random.state.wrapping_add(wide(0));
        random.advance();
        random
    }

    fn advance(&mut self) {
        self.state = self.state.wrapping_mul(MULTIPLIER).wrapping_add(self.increment);
    }

    /// 64 random bits.
    pub fn bits64(&mut self) -> u64 {
        self.advance();
        let mixed = (self.state >> 64) as u64 ^ self.state as u64;
        mixed.rotate_right((self.state >> 122) as u32)
    }

    /// 32 random bits: the low half of a 64-bit draw first, its high half at the next call.
    pub fn bits32(&mut self) -> u32 {
        if let Some(high) = self.half.take() {
            return high;
        }
        let bits = self.bits64();
        self.half = Some((bits >> 32) as u32);
        bits as u32
    }

    /// Uniform in [0, 1) with 53 bits.
    pub fn double(&mut self) -> f64 {
        (self.bits64() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// Uniform in `0..bound` as `integers(0, bound)` draws it for bounds up to 2^32 (Lemire's method on 32 bits).
    /// A bound of 0 or 1 gives 0 and draws nothing.
    pub fn below(&mut self, bound: u32) -> u32 {
        if bound <= 1 {
            return 0;
        }
        let mut product = self.bits32() as u64 * bound as u64;
        if (product as u32) < bound {
            let threshold = bound.wrapping_neg() % bound;
            while (product as u32) < threshold {
                product = self.bits32() as u64 * bound as u64;
            }
        }
        (product >> 32) as u32
    }

    /// Uniform in `0..=top` by masked rejection, as `shuffle` draws it.
    fn masked(&mut self, top: u32) -> u32 {
        if top == 0 {
            return 0;
        }
        let mask = u32::MAX >> top.leading_zeros();
        loop {
            let value = self.bits32() & mask;
            if value <= top {
                return value;
            }
        }
    }

    /// Shuffles as `shuffle` does a list: Fisher-Yates from the end.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = self.masked(i as u32) as usize;
            items.swap(i, j);
        }
    }

    /// `count` different numbers below `bound`, as `choice(bound, count, replace=False)` draws them for bounds up to
    /// 10,000 (Floyd's algorithm, then a shuffle by bounded draws). A count above the bound counts as the bound.
    pub fn choose(&mut self, bound: u32, count: u32) -> Vec<u32> {
        let count = count.min(bound);
        let mut taken = vec![false; bound as usize];
        let mut chosen = Vec::with_capacity(count as usize);
        for last in bound - count..bound {
            let drawn = self.below(last + 1);
            let number = if taken[drawn as usize] { last } else { drawn };
            taken[number as usize] = true;
            chosen.push(number);
        }
        for last in (1..chosen.len()).rev() {
            let other = self.below(last as u32 + 1) as usize;
            chosen.swap(last, other);
        }
        chosen
    }

    /// One draw of `binomial(1, probability)` by inversion; a probability of 0 draws nothing.
    pub fn bernoulli(&mut self, probability: f64) -> bool {
        if probability <= 0.0 {
            return false;
        }
        if probability > 0.5 { !self.inversion(1.0 - probability) } else { self.inversion(probability) }
    }

    /// NumPy's `random_binomial_inversion` for n = 1, with its rounding.
    fn inversion(&mut self, p: f64) -> bool {
        let q = 1.0 - p;
        let none = q.ln().exp();
        let one = p * none / q;
        loop {
            let mut u = self.double();
            if u <= none {
                return false;
            }
            u -= none;
            if u <= one {
                return true;
            }
        }
    }

    /// The whole state, for [`Pcg64::from_words`]: state and increment (high word first), the kept half and whether
    /// there is one.
    pub fn words(&self) -> [u64; 5] {
        [
            (self.state >> 64) as u64,
            self.state as u64,
            (self.increment >> 64) as u64,
            self.increment as u64,
            self.half.map_or(0, |h| (1 << 32) | h as u64),
        ]
    }

    /// The stream whose state [`Pcg64::words`] gave.
    pub fn from_words(words: [u64; 5]) -> Self {
        Pcg64 {
            state: ((words[0] as u128) << 64) | words[1] as u128,
            increment: ((words[2] as u128) << 64) | words[3] as u128 | 1,
            half: (words[4] >> 32 != 0).then_some(words[4] as u32),
        }
    }
}

/// NumPy's `SeedSequence(entropy).generate_state(4, uint64)`.
fn seed_words(entropy: &[u32]) -> [u64; 4] {
    fn hash(value: u32, constant: &mut u32, multiplier: u32) -> u32 {
        let value = value ^ *constant;
        *constant = constant.wrapping_mul(multiplier);
        let value = value.wrapping_mul(*constant);
        value ^ (value >> 16)
    }
    fn mix(x: u32, y: u32) -> u32 {
        let r = 0xca01_f9dd_u32.wrapping_mul(x).wrapping_sub(0x4973_f715_u32.wrapping_mul(y));
        r ^ (r >> 16)
    }
    const MULTIPLIER_A: u32 = 0x931e_8875;
    let mut constant = 0x43b0_d7e5;
    let mut pool = [0u32; 4];
    for (i, slot) in pool.iter_mut().enumerate() {
        *slot = hash(entropy.get(i).copied().unwrap_or(0), &mut constant, MULTIPLIER_A);
    }
    for from in 0..4 {
        for to in 0..4 {
            if from != to {
                pool[to] = mix(pool[to], hash(pool[from], &mut constant, MULTIPLIER_A));
            }
        }
    }
    for &word in entropy.iter().skip(4) {
        for slot in &mut pool {
            *slot = mix(*slot, hash(word, &mut constant, MULTIPLIER_A));
        }
    }
    let mut constant = 0x8b51_f9dd;
    let mut word = |i: usize| hash(pool[i % 4], &mut constant, 0x58f3_8ded) as u64;
    std::array::from_fn(|i| {
        let low = word(2 * i);
        low | (word(2 * i + 1) << 32)
    })
}
