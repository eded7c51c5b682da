//! Chance that is repeatable: every draw is a hash of what it is drawn for, never a state that
//! threads share. So a fold or a bag is the same on any number of threads, and can be told again
//! from a profile's id alone.

/// The finaliser of splitmix64 (Steele, Lea and Flood 2014): every input bit moves every output bit.
pub(crate) const fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The draw for `id` within `stream`, evenly from all 64-bit numbers.
pub(crate) const fn draw(stream: u64, id: u32) -> u64 {
    mix(mix(stream) ^ id as u64)
}

/// Whether a draw is among the `rate` (0..=1) that are chosen.
pub(crate) fn chosen(draw: u64, rate: f64) -> bool {
    unit(draw) < rate
}

/// A draw as a number in 0..1.
pub(crate) fn unit(draw: u64) -> f64 {
    (draw >> 11) as f64 / (1_u64 << 53) as f64
}

/// A run of draws for one task.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// Dice that `stream` decides.
    pub(crate) const fn new(stream: u64) -> Self {
        Self(mix(stream))
    }

    /// The next draw.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `below`, which is not 0.
    pub(crate) fn below(&mut self, below: usize) -> usize {
        // Lemire's multiply-shift: no modulo, and a bias below 2^-32 for any list that fits memory.
        ((u128::from(self.next()) * below as u128) >> 64) as usize
    }

    /// A draw from the standard normal distribution (Box and Muller).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - unit(self.next())).ln()).sqrt();
        radius * (std::f64::consts::TAU * unit(self.next())).cos()
    }

    /// `count` different numbers below `of`, in the order they were drawn.
    pub(crate) fn sample(&mut self, of: usize, count: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..of).collect();
        let count = count.min(of);
        for at in 0..count {
            let other = at + self.below(of - at);
            all.swap(at, other);
        }
        all.truncate(count);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_even_and_repeatable() {
        let picked = (0..100_000).filter(|&id| chosen(draw(7, id), 0.25)).count();
        assert!((24_500..25_500).contains(&picked), "{picked}");
        assert_eq!(draw(7, 1), draw(7, 1));
        assert_ne!(draw(7, 1), draw(8, 1));
    }

    #[test]
    fn samples_hold_each_number_once() {
        let mut sample = Dice::new(3).sample(20, 20);
        sample.sort_unstable();
        assert!(sample.into_iter().eq(0..20));
        assert_eq!(Dice::new(3).sample(5, 9).len(), 5);
    }

    #[test]
    fn normal_draws_have_mean_0_and_variance_1() {
        let mut dice = Dice::new(1);
        let draws: Vec<f64> = (0..20_000).map(|_| dice.normal()).collect();
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        let variance = draws.iter().map(|d| d * d).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }
}
