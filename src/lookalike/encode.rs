//! Features encoded once: numbers standardised and cut into quantile bins, words as codes.
//!
//! An [`Encoder`] is learnt from a [`Frame`] and kept in the model, so that the same profile is
//! encoded the same way later and elsewhere. Trees read the bins; the additive model reads the
//! standardised numbers and looks the bins up.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::frame::{Column, Frame, Values};

/// Bins of a number, besides the one for missing values: histograms of 64 bins fit the first cache. What
/// finer bins would add in AUC was not measured by itself.
pub(crate) const NUMBER_BINS: usize = 64;

/// Words that have a bin of their own; the rest share one. A bin is one byte, and 0 is missing.
pub(crate) const WORD_BINS: usize = 253;

/// Rows that quantiles are taken from; the standard error of a quantile is then below .2 %, and a bin
/// holds 1.6 %.
const QUANTILE_ROWS: usize = 65_536;

/// Standard deviations beyond which a standardised number is cut off, so that no single profile
/// decides a score.
const CLIP: f32 = 6.0;

/// A feature that can be told apart in the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Feature {
    /// The column's name.
    pub(crate) name: String,
    /// How its values become bins.
    pub(crate) kind: Kind,
}

/// How a feature's values become bins; bin 0 is always a missing value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Bin `1 + n` where `n` edges are at most the value.
    Number {
        /// The lower bounds of bins 2 and up, ascending.
        edges: Vec<f32>,
        /// The mean, after [`shrunk`].
        mean: f32,
        /// The standard deviation, after [`shrunk`].
        scale: f32,
        /// The normal score of the middle of each bin; 0 for missing values.
        normal: Vec<f32>,
    },
    /// Bin `1 + n` for word `n`, and one more bin for all other words.
    Word {
        /// The words that have a bin, most frequent first.
        labels: Vec<String>,
    },
}

/// What a frame's columns become.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Encoder {
    /// The features, in the order of the frame's columns.
    pub(crate) features: Vec<Feature>,
}

/// A column that carries nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Useless {
    /// Its name.
    pub(crate) name: String,
    /// Why.
    pub(crate) why: &'static str,
}

/// Encoded rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Encoded {
    /// The number of rows.
    pub(crate) rows: usize,
    /// A bin a row, for each feature.
    pub(crate) bins: Vec<Vec<u8>>,
    /// The standardised number a row (0 where missing), empty for words.
    pub(crate) numbers: Vec<Vec<f32>>,
}

/// Signed logarithm: counts and amounts spread over orders of magnitude, and differences within one
/// matter as much as between them.
pub(crate) fn shrunk(x: f32) -> f32 {
    x.abs().ln_1p().copysign(x)
}

impl Feature {
    /// The number of bins, the one for missing values among them.
    pub(crate) fn bins(&self) -> usize {
        match &self.kind {
            Kind::Number { edges, .. } => edges.len() + 2,
            Kind::Word { labels } => labels.len() + 2,
        }
    }

    /// Whether it holds words.
    pub(crate) fn is_word(&self) -> bool {
        matches!(self.kind, Kind::Word { .. })
    }
}

impl Encoder {
    /// Learns how to encode `frame`; columns that carry nothing are left out and named. Their places
    /// in the frame are the second part.
    pub(crate) fn learn(frame: &Frame) -> (Self, Vec<usize>, Vec<Useless>) {
        let learnt: Vec<Result<Feature, &'static str>> =
            frame.columns.par_iter().map(|column| learn_column(column, frame.rows)).collect();
        let (mut encoder, mut kept, mut useless) = (Self::default(), Vec::new(), Vec::new());
        for (at, (column, learnt)) in frame.columns.iter().zip(learnt).enumerate() {
            match learnt {
                Ok(feature) => {
                    encoder.features.push(feature);
                    kept.push(at);
                }
                Err(why) => useless.push(Useless { name: column.name.clone(), why }),
            }
        }
        (encoder, kept, useless)
    }

    /// Encodes `columns`, which must be those that were learnt, in their order. The columns are taken
    /// so that raw and encoded values never lie in memory together for more than a column a thread.
    pub(crate) fn encode(&self, rows: usize, columns: Vec<Column>) -> Encoded {
        let pairs: Vec<(Vec<u8>, Vec<f32>)> = self
            .features
            .par_iter()
            .zip(columns)
            .map(|(feature, column)| encode_column(feature, column))
            .collect();
        let (bins, numbers) = pairs.into_iter().unzip();
        Encoded { rows, bins, numbers }
    }
}

impl Encoded {
    /// The bins of `rows` of all features, row by row.
    pub(crate) fn rows_of(&self, rows: &[u32]) -> Vec<u8> {
        let width = self.bins.len();
        let mut out = vec![0; rows.len() * width];
        for (at, bins) in self.bins.iter().enumerate() {
            for (slot, &row) in rows.iter().enumerate() {
                out[slot * width + at] = bins[row as usize];
            }
        }
        out
    }
}

fn learn_column(column: &Column, rows: usize) -> Result<Feature, &'static str> {
    let kind = match &column.values {
        Values::Numbers(values) => learn_numbers(values)?,
        Values::Words { codes, labels } => learn_words(codes, labels, rows)?,
    };
    Ok(Feature { name: column.name.clone(), kind })
}

fn learn_numbers(values: &[f32]) -> Result<Kind, &'static str> {
    let stride = values.len().div_ceil(QUANTILE_ROWS).max(1);
    let mut sample: Vec<f32> =
        values.iter().step_by(stride).copied().filter(|v| v.is_finite()).collect();
    let missing = values.iter().step_by(stride).count() - sample.len();
    if sample.is_empty() {
        return Err("it is always missing");
    }
    sample.sort_unstable_by(f32::total_cmp);
    if sample[0] >= sample[sample.len() - 1] && missing == 0 {
        return Err("it has the same value everywhere");
    }
    let edges = edges(&sample);
    let logs = sample.iter().map(|&v| f64::from(shrunk(v)));
    let mean = logs.clone().sum::<f64>() / sample.len() as f64;
    let variance = logs.map(|v| (v - mean).powi(2)).sum::<f64>() / sample.len() as f64;
    let normal = normal_scores(&sample, &edges);
    let scale = if variance > 1e-12 { variance.sqrt() as f32 } else { 1.0 };
    Ok(Kind::Number { edges, mean: mean as f32, scale, normal })
}

/// Lower bounds of bins with about as many rows each; a value that fills a bin alone has it alone.
fn edges(sorted: &[f32]) -> Vec<f32> {
    let mut edges = Vec::new();
    let mut left = sorted.len();
    let mut in_bin = 0;
    let mut at = 0;
    while at < sorted.len() {
        let value = sorted[at];
        let equal = sorted[at..].partition_point(|v| *v <= value);
        let bins_left = NUMBER_BINS - edges.len();
        let fair = left.div_ceil(bins_left.max(1));
        let starts = in_bin > 0 && (in_bin >= fair || equal >= fair);
        if starts && bins_left > 1 {
            edges.push(value);
            left -= in_bin;
            in_bin = 0;
        }
        in_bin += equal;
        at += equal;
    }
    edges
}

/// The normal score of the middle rank of each bin.
fn normal_scores(sorted: &[f32], edges: &[f32]) -> Vec<f32> {
    let rank = |value: f32| sorted.partition_point(|v| *v < value) as f64;
    let mut bounds = vec![0.0];
    bounds.extend(edges.iter().map(|&edge| rank(edge)));
    bounds.push(sorted.len() as f64);
    let middle = bounds.windows(2).map(|b| f64::midpoint(b[0], b[1]) / sorted.len() as f64);
    std::iter::once(0.0).chain(middle.map(|share| normal_quantile(share) as f32)).collect()
}

/// The quantile of the standard normal distribution (Acklam's rational approximation, relative error
/// below 1.2e-9).
#[expect(clippy::unreadable_literal, reason = "coefficients as published")]
pub(crate) fn normal_quantile(share: f64) -> f64 {
    const A: [f64; 6] = [
        -39.69683028665376,
        220.9460984245205,
        -275.9285104469687,
        138.357751867269,
        -30.66479806614716,
        2.506628277459239,
    ];
    const B: [f64; 5] = [
        -54.47609879822406,
        161.5858368580409,
        -155.6989798598866,
        66.80131188771972,
        -13.28068155288572,
    ];
    const C: [f64; 6] = [
        -0.007784894002430293,
        -0.3223964580411365,
        -2.400758277161838,
        -2.549732539343734,
        4.374664141464968,
        2.938163982698783,
    ];
    const D: [f64; 4] =
        [0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416];
    const LOW: f64 = 0.02425;
    let poly = |c: &[f64], x: f64| c.iter().fold(0.0, |sum, c| sum * x + c);
    let p = share.clamp(1e-9, 1.0 - 1e-9);
    let tail = |p: f64| {
        let q = (-2.0 * p.ln()).sqrt();
        poly(&C, q) / (poly(&D, q) * q + 1.0)
    };
    if p < LOW {
        tail(p)
    } else if p > 1.0 - LOW {
        -tail(1.0 - p)
    } else {
        let q = p - 0.5;
        let r = q * q;
        poly(&A, r) * q / (poly(&B, r) * r + 1.0)
    }
}

fn learn_words(codes: &[u32], labels: &[String], rows: usize) -> Result<Kind, &'static str> {
    let mut counts = vec![0_u64; labels.len() + 1];
    for &code in codes {
        counts[code as usize] += 1;
    }
    let missing = counts[0];
    let mut used: Vec<usize> = (1..counts.len()).filter(|&code| counts[code] > 0).collect();
    if used.is_empty() {
        return Err("it is always missing");
    }
    if used.len() == 1 && missing == 0 {
        return Err("it has the same value everywhere");
    }
    if used.len() * 2 > rows && used.len() > WORD_BINS {
        return Err("nearly every profile has a value of its own");
    }
    used.sort_by(|&a, &b| {
        counts[b].cmp(&counts[a]).then_with(|| labels[a - 1].cmp(&labels[b - 1]))
    });
    used.truncate(WORD_BINS);
    Ok(Kind::Word { labels: used.into_iter().map(|code| labels[code - 1].clone()).collect() })
}

fn encode_column(feature: &Feature, column: Column) -> (Vec<u8>, Vec<f32>) {
    match (&feature.kind, column.values) {
        (Kind::Number { edges, mean, scale, .. }, Values::Numbers(mut values)) => {
            let bins = if edges.len() < NUMBER_BINS {
                let ladder = Ladder::new(edges);
                values.iter().map(|&v| ladder.bin(v)).collect()
            } else {
                // A model from elsewhere may have more.
                values.iter().map(|&v| number_bin(edges, v)).collect()
            };
            for value in &mut values {
                *value = if value.is_finite() {
                    ((shrunk(*value) - mean) / scale).clamp(-CLIP, CLIP)
                } else {
                    0.0
                };
            }
            (bins, values)
        }
        (Kind::Word { labels }, Values::Words { codes, labels: words }) => {
            let bin_of: Vec<u8> =
                std::iter::once(0).chain(words.iter().map(|w| word_bin(labels, w))).collect();
            (codes.iter().map(|&code| bin_of[code as usize]).collect(), Vec::new())
        }
        // A column whose type changed since the model was made knows nothing about anybody.
        (Kind::Number { .. }, Values::Words { codes, .. }) => {
            (vec![0; codes.len()], vec![0.0; codes.len()])
        }
        (Kind::Word { .. }, Values::Numbers(values)) => (vec![0; values.len()], Vec::new()),
    }
}

/// Edges for bins of many numbers: as many steps for each, and none that the processor has to guess.
struct Ladder([f32; NUMBER_BINS]);

impl Ladder {
    fn new(edges: &[f32]) -> Self {
        // No finite number reaches the edges that fill it up.
        let mut ladder = [f32::INFINITY; NUMBER_BINS];
        ladder.iter_mut().zip(edges).for_each(|(slot, edge)| *slot = *edge);
        Self(ladder)
    }

    /// What [`number_bin`] says.
    fn bin(&self, value: f32) -> u8 {
        let (mut at, mut step) = (0, NUMBER_BINS / 2);
        while step > 0 {
            at += step * usize::from(self.0[(at + step - 1) % NUMBER_BINS] <= value);
            step /= 2;
        }
        if value.is_finite() { 1 + at as u8 } else { 0 }
    }
}

/// The bin of a number; anything that is not finite is missing.
pub(crate) fn number_bin(edges: &[f32], value: f32) -> u8 {
    if value.is_finite() { 1 + edges.partition_point(|e| *e <= value) as u8 } else { 0 }
}

fn word_bin(labels: &[String], word: &str) -> u8 {
    labels.iter().position(|l| l == word).map_or(labels.len() + 1, |at| at + 1) as u8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn learn_one(values: Vec<f32>) -> Result<Feature, &'static str> {
        let rows = values.len();
        learn_column(&Column::numbers("x", values), rows)
    }

    #[test]
    fn what_carries_nothing_is_named() {
        assert_eq!(learn_one(vec![f32::NAN; 5]), Err("it is always missing"));
        assert_eq!(learn_one(vec![2.0; 5]), Err("it has the same value everywhere"));
        assert_eq!(learn_one(vec![f32::INFINITY; 5]), Err("it is always missing"));
        assert!(learn_one(vec![2.0, f32::NAN]).is_ok());
    }

    #[test]
    fn words_are_ordered_by_frequency_and_strangers_share_a_bin() {
        let labels = vec!["a".to_owned(), "b".to_owned(), "c".to_owned()];
        let codes = vec![0, 2, 2, 1, 3, 3, 3];
        let kind = learn_words(&codes, &labels, 7).expect("words");
        assert_eq!(kind, Kind::Word { labels: vec!["c".into(), "b".into(), "a".into()] });
        let feature = Feature { name: "w".into(), kind };
        let strangers = vec!["zzz".to_owned(), "b".to_owned()];
        let column = Column {
            name: "w".into(),
            values: Values::Words { codes: vec![1, 2, 0], labels: strangers },
        };
        assert_eq!(encode_column(&feature, column).0, [4, 2, 0]);
    }

    #[test]
    fn normal_quantiles_are_those_of_tables() {
        for (share, quantile) in [(0.5, 0.0), (0.975, 1.959_964), (0.01, -2.326_348)] {
            assert!((normal_quantile(share) - quantile).abs() < 1e-5);
        }
    }

    proptest! {
        #[test]
        fn bins_keep_the_order_of_values(mut values in proptest::collection::vec(-50_i32..50, 2..400)) {
            values.push(-100);
            let values: Vec<f32> = values.into_iter().map(|v| v as f32 / 3.0).collect();
            let feature = learn_one(values.clone()).expect("two values at least");
            let Kind::Number { edges, normal, .. } = &feature.kind else { panic!("a number") };
            prop_assert!(edges.windows(2).all(|e| e[0] < e[1]));
            prop_assert!(feature.bins() <= NUMBER_BINS + 2);
            prop_assert_eq!(normal.len(), feature.bins());
            let ladder = Ladder::new(edges);
            let others = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1e30, 1e30, 0.0];
            for value in values.iter().copied().chain(others) {
                prop_assert_eq!(ladder.bin(value), number_bin(edges, value));
            }
            for pair in values.windows(2) {
                let (a, b) = (number_bin(edges, pair[0]), number_bin(edges, pair[1]));
                prop_assert!(a >= 1 && b >= 1);
                if pair[0] <= pair[1] { prop_assert!(a <= b) } else { prop_assert!(a >= b) }
            }
        }
    }
}
