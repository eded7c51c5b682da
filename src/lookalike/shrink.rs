//! The signed logarithm that numbers are standardised after.
//!
//! The logarithm is written out, so that the compiler makes vectors of many at a time, and so that a
//! number is encoded to the same bits whatever C library a machine has.

use std::f64::consts::{LN_2, SQRT_2};

use fearless_simd::{Level, dispatch};

/// Makes of each value how many standard deviations its [`shrunk`] lies from the mean, at most `clip`; of
/// what is not finite 0.
pub(crate) fn standardise(values: &mut [f32], mean: f32, scale: f32, clip: f32) {
    dispatch!(Level::new(), _vectors => standardise_here(values, mean, scale, clip));
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "it is compiled for the vectors of whoever calls it")]
fn standardise_here(values: &mut [f32], mean: f32, scale: f32, clip: f32) {
    for value in values {
        let standard = (shrunk(*value) - mean) / scale;
        // Not `clamp`, which may panic: no vectors are made of what may.
        let standard = standard.max(-clip).min(clip);
        *value = if value.is_finite() { standard } else { 0.0 };
    }
}

/// Signed logarithm `sgn(x) ln(1 + |x|)`: counts and amounts spread over orders of magnitude, and
/// differences within one matter as much as between them. Of what is not finite it means nothing.
///
/// With `1 + |x| = m 2^k` and `m` between the roots of 1/2 and 2, it is `k ln 2` and, with `s = (m - 1) /
/// (m + 1)`, twice the series `s + s^3/3 + s^5/5 + ..`. What is left out of it is below 1e-12.
#[inline(always)]
pub(crate) fn shrunk(x: f32) -> f32 {
    const MANTISSA_BITS: u32 = f64::MANTISSA_DIGITS - 1;
    // A number with these bits and a whole number's in its lower half is 2^52 and that number.
    const WHOLE: f64 = (1_u64 << MANTISSA_BITS) as f64;
    let bits = (1.0 + f64::from(x.abs())).to_bits();
    let exponent = bits.wrapping_sub((SQRT_2 / 2.0).to_bits()) >> MANTISSA_BITS;
    let m = f64::from_bits(bits.wrapping_sub(exponent << MANTISSA_BITS));
    let exponent = f64::from_bits(exponent | WHOLE.to_bits()) - WHOLE;
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    let series = 1.0 / 9.0 + z * (1.0 / 11.0 + z * (1.0 / 13.0));
    let series = 1.0 + z * (1.0 / 3.0 + z * (1.0 / 5.0 + z * (1.0 / 7.0 + z * series)));
    ((exponent * LN_2 + 2.0 * s * series) as f32).copysign(x)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(x: f32) -> f64 {
        f64::from(x.abs()).ln_1p().copysign(f64::from(x))
    }

    proptest! {
        #[test]
        fn it_is_the_logarithm(x in prop_oneof![
            any::<f32>(), -1.0_f32..1.0, -1e6_f32..1e6, (0_u32..100_000).prop_map(|n| n as f32)
        ]) {
            let (own, plain) = (f64::from(shrunk(x)), plain(x));
            if x.is_finite() {
                prop_assert!((own - plain).abs() <= plain.abs() * 1e-7 + 1e-15, "{x} {own} {plain}");
            }
        }

        #[test]
        fn many_are_as_each(values in prop::collection::vec(any::<f32>(), 0..70)) {
            let mut many = values.clone();
            standardise(&mut many, 0.5, 2.0, 6.0);
            for (own, value) in many.iter().zip(values) {
                let one = ((shrunk(value) - 0.5) / 2.0).clamp(-6.0, 6.0);
                let one = if value.is_finite() { one } else { 0.0 };
                prop_assert_eq!(own.to_bits(), one.to_bits());
            }
        }
    }

    #[test]
    fn its_sign_and_order_are_those_of_the_number() {
        assert_eq!(shrunk(0.0).to_bits(), 0.0_f32.to_bits());
        assert_eq!(shrunk(-3.0).to_bits(), (-shrunk(3.0)).to_bits());
        let ascending = (0..2_000).map(|n| shrunk((n as f32 / 90.0 - 11.0).sinh()));
        assert!(ascending.collect::<Vec<f32>>().is_sorted());
    }
}
