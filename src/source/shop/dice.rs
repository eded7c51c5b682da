//! Chance that can be repeated: a stream of numbers that follows from a seed, a purpose and a number.
//!
//! Every session and every profile throws its own dice, so that rows do not depend on the order in
//! which threads make them. Nothing here is fit for cryptography.

use std::f64::consts::TAU;

/// The increment of splitmix64 (Steele, Lea, Flood 2014): 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The finaliser of splitmix64: neighbouring inputs give unrelated outputs.
pub(super) const fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// What a stream is for; two purposes never share numbers.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    /// How a profile behaves: needed by its row and by each of its sessions.
    Habits,
    /// When a profile signed up and left.
    Life,
    /// The rest of a profile's row.
    Row,
    /// Who is active how much.
    Ranks,
    /// The products and their prices.
    Catalogue,
    /// How many sessions of a kind a day has.
    Plan,
    /// A session.
    Session,
    /// What follows a session days later.
    Echo,
}

/// A splitmix64 stream.
pub(super) struct Dice(u64);

impl Dice {
    /// The stream number `n` of `purpose` under `seed`.
    pub(super) const fn new(seed: u64, purpose: Purpose, n: u64) -> Self {
        let seed = mix(seed.wrapping_add(GOLDEN.wrapping_mul(purpose as u64 + 1)));
        Self(mix(seed.wrapping_add(n.wrapping_mul(GOLDEN))))
    }

    /// The next 64 bits.
    pub(super) const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// A number in 0..1, uniform.
    pub(super) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A whole number in 0..n, uniform but for a bias below n / 2^32; 0 where `n` is 0.
    pub(super) const fn below(&mut self, n: u32) -> u32 {
        (((self.bits() >> 32) * n as u64) >> 32) as u32
    }

    /// True with this probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of `items`, each as likely.
    pub(super) fn one_of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u32) as usize]
    }

    /// How often `probability` comes true in a row, at most `max` times.
    pub(super) fn streak(&mut self, probability: f64, max: u32) -> u32 {
        (0..max).take_while(|_| self.chance(probability)).count() as u32
    }

    /// An exponential waiting time with this mean.
    pub(super) fn wait(&mut self, mean: f64) -> f64 {
        -(1.0 - self.unit()).ln() * mean
    }

    /// A standard normal number (Box and Muller 1958).
    pub(super) fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.unit()).ln()).sqrt() * (TAU * self.unit()).cos()
    }
}

/// A skewed choice among a few things, drawn by one look into a table.
pub(super) struct Skew(Vec<u16>);

impl Skew {
    /// Enough that a weight of 1 in 1,000 is drawn within a tenth of its due.
    const SLOTS: usize = 1 << 13;

    /// Choices 0.. with these weights; a weight below 1 in 16,384 of the sum may never be drawn.
    pub(super) fn new(weights: impl IntoIterator<Item = f64>) -> Self {
        let mut sums: Vec<f64> = weights.into_iter().collect();
        let mut sum = 0.0;
        for weight in &mut sums {
            sum += *weight;
            *weight = sum;
        }
        let last = sums.len().saturating_sub(1);
        let slot = |i: usize| {
            let at = (i as f64 + 0.5) / Self::SLOTS as f64 * sum;
            sums.partition_point(|&end| end <= at).min(last) as u16
        };
        Self((0..Self::SLOTS).map(slot).collect())
    }

    /// `n` choices, the k-th in proportion to (k + offset) ^ -steepness (Zipf and Mandelbrot).
    pub(super) fn zipf(n: usize, steepness: f64, offset: f64) -> Self {
        Self::new((0..n).map(|k| (k as f64 + offset).powf(-steepness)))
    }

    /// One choice.
    pub(super) fn pick(&self, dice: &mut Dice) -> u16 {
        self.0[dice.below(Self::SLOTS as u32) as usize]
    }
}
