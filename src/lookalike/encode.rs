//! Features encoded once: numbers standardised and cut into quantile bins, words as codes.
//!
//! An [`Encoder`] is learnt from a [`Frame`] and kept in the model, so that the same profile is
//! encoded the same way later and elsewhere. Trees read the bins; the additive model reads the
//! standardised numbers and looks the bins up.
//!
//! A column is learnt as its chunks pass by ([`Study`]) and encoded a chunk at a time ([`encode_values`]).
//! [`Encoder::learn`] and [`Encoder::encode`] do the same to a whole frame.

use std::sync::Arc;

use fearless_simd::{Level, dispatch};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::frame::{Column, Frame, Values};
use super::shrink::{shrunk, standardise};

/// What changes when the same values are encoded in another way: encoded features that are kept are then
/// made anew.
pub(crate) const ENCODING: u32 = 2;

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

/// Rows from one that quantiles are taken from to the next, among `rows`.
pub(crate) fn stride(rows: usize) -> usize {
    rows.div_ceil(QUANTILE_ROWS).max(1)
}

/// Encoded rows. Columns are shared, so that a choice of them costs nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Encoded {
    /// The number of rows.
    pub(crate) rows: usize,
    /// A bin a row, for each feature.
    pub(crate) bins: Vec<Arc<Vec<u8>>>,
    /// The standardised number a row (0 where missing), empty for words.
    pub(crate) numbers: Vec<Arc<Vec<f32>>>,
}

/// What is learnt of a column while its chunks pass by.
#[derive(Debug, Clone)]
pub(crate) enum Study {
    /// Every so many rows a number.
    Numbers {
        /// Rows from one to the next.
        stride: usize,
        /// The numbers.
        sample: Vec<f32>,
    },
    /// How many rows have each code.
    Words(Vec<u64>),
}

impl Study {
    /// Of numbers, in a column of `rows` rows.
    pub(crate) fn numbers(rows: usize) -> Self {
        Self::Numbers { stride: stride(rows), sample: Vec::new() }
    }

    /// Sees the values of the rows from `start`.
    pub(crate) fn see(&mut self, start: usize, values: &Values) {
        match (self, values) {
            (Self::Numbers { stride, sample }, Values::Numbers(values)) => {
                let skip = start.next_multiple_of(*stride) - start;
                sample.extend(values.iter().skip(skip).step_by(*stride));
            }
            (Self::Words(counts), Values::Words { codes, .. }) => {
                for &code in codes {
                    let code = code as usize;
                    if code >= counts.len() {
                        counts.resize(code + 1, 0);
                    }
                    counts[code] += 1;
                }
            }
            (Self::Numbers { .. }, Values::Words { .. }) | (Self::Words(_), Values::Numbers(_)) => {
            }
        }
    }

    /// The feature that all values make; where they carry nothing, why.
    pub(crate) fn learn(
        self,
        name: &str,
        labels: &[String],
        rows: usize,
    ) -> Result<Feature, &'static str> {
        let kind = match self {
            Self::Numbers { sample, .. } => learn_numbers(sample)?,
            Self::Words(mut counts) => {
                counts.resize(labels.len() + 1, 0);
                learn_words(&counts, labels, rows)?
            }
        };
        Ok(Feature { name: name.to_owned(), kind })
    }
}

impl Feature {
    /// The number of bins, the one for missing values among them.
    pub(crate) fn bins(&self) -> usize {
        match &self.kind {
            Kind::Number { edges, .. } => edges.len() + 2,
            Kind::Word { labels } => labels.len() + 2,
        }
    }

    /// The bin of a word; 0 where the feature holds numbers.
    pub(crate) fn word_bin(&self, word: &str) -> u8 {
        match &self.kind {
            Kind::Word { labels } => {
                labels.iter().position(|l| l == word).map_or(labels.len() + 1, |at| at + 1) as u8
            }
            Kind::Number { .. } => 0,
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
        let encode = |(feature, column): (&Feature, Column)| {
            let words = column.values.labels().iter().map(|word| feature.word_bin(word));
            let words: Vec<u8> = std::iter::once(0).chain(words).collect();
            encode_values(feature, column.values, &words)
        };
        let columns = self.features.par_iter().zip(columns).map(encode).collect();
        Encoded::of(rows, columns)
    }
}

/// A column, encoded.
pub(crate) type EncodedColumn = (Vec<u8>, Vec<f32>);

impl Encoded {
    /// Of `columns`, each of `rows` rows.
    pub(crate) fn of(rows: usize, columns: Vec<EncodedColumn>) -> Self {
        let shared = columns.into_iter().map(|(bins, numbers)| (Arc::new(bins), Arc::new(numbers)));
        let (bins, numbers) = shared.unzip();
        Self { rows, bins, numbers }
    }

    /// The rows at `places`, in their order.
    pub(crate) fn at(&self, places: &[u32]) -> Self {
        let column = |(bins, numbers): (&Arc<Vec<u8>>, &Arc<Vec<f32>>)| {
            let own = |place: &u32| numbers.get(*place as usize).copied();
            let bins = places.iter().map(|&place| bins[place as usize]).collect();
            (bins, places.iter().filter_map(own).collect())
        };
        let columns = self.bins.par_iter().zip(&self.numbers).map(column).collect();
        Self::of(places.len(), columns)
    }

    /// The rows of `parts`, one part after the other.
    pub(crate) fn joined(parts: &[Self]) -> Self {
        let width = parts.first().map_or(0, |part| part.bins.len());
        let column = |at: usize| {
            let bins = parts.iter().flat_map(|part| part.bins[at].iter().copied()).collect();
            (bins, parts.iter().flat_map(|part| part.numbers[at].iter().copied()).collect())
        };
        let columns = (0..width).into_par_iter().map(column).collect();
        Self::of(parts.iter().map(|part| part.rows).sum(), columns)
    }

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
    let mut study = match &column.values {
        Values::Numbers(_) => Study::numbers(rows),
        Values::Words { .. } => Study::Words(Vec::new()),
    };
    study.see(0, &column.values);
    study.learn(&column.name, column.values.labels(), rows)
}

fn learn_numbers(mut sample: Vec<f32>) -> Result<Kind, &'static str> {
    let seen = sample.len();
    sample.retain(|value| value.is_finite());
    let missing = seen - sample.len();
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

fn learn_words(counts: &[u64], labels: &[String], rows: usize) -> Result<Kind, &'static str> {
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

/// Encodes a column, or a chunk of it; `words` holds the bin of each code.
pub(crate) fn encode_values(feature: &Feature, values: Values, words: &[u8]) -> EncodedColumn {
    match (&feature.kind, values) {
        (Kind::Number { edges, mean, scale, .. }, Values::Numbers(mut values)) => {
            let bins = if edges.len() < NUMBER_BINS {
                Ladder::new(edges).bins(&values)
            } else {
                // A model from elsewhere may have more.
                values.iter().map(|&v| number_bin(edges, v)).collect()
            };
            standardise(&mut values, *mean, *scale, CLIP);
            (bins, values)
        }
        (Kind::Word { .. }, Values::Words { codes, .. }) => {
            (codes.iter().map(|&code| words[code as usize]).collect(), Vec::new())
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

    fn bins(&self, values: &[f32]) -> Vec<u8> {
        let mut bins = vec![0; values.len()];
        dispatch!(Level::new(), _vectors => {
            bins.iter_mut().zip(values).for_each(|(bin, value)| *bin = self.bin(*value));
        });
        bins
    }

    /// What [`number_bin`] says.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "it is compiled for the vectors of whoever calls it")]
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
        let kind = learn_words(&[1, 1, 2, 3], &labels, 7).expect("words");
        assert_eq!(kind, Kind::Word { labels: vec!["c".into(), "b".into(), "a".into()] });
        let feature = Feature { name: "w".into(), kind };
        let strangers = vec!["zzz".to_owned(), "b".to_owned()];
        let values = Values::Words { codes: vec![1, 2, 0], labels: strangers };
        let column = Column { name: "w".into(), values };
        let encoder = Encoder { features: vec![feature] };
        assert_eq!(*encoder.encode(3, vec![column]).bins[0], [4, 2, 0]);
    }

    #[test]
    fn normal_quantiles_are_those_of_tables() {
        for (share, quantile) in [(0.5, 0.0), (0.975, 1.959_964), (0.01, -2.326_348)] {
            assert!((normal_quantile(share) - quantile).abs() < 1e-5);
        }
    }

    proptest! {
        #[test]
        fn chunks_are_learnt_and_encoded_as_the_whole_is(
            values in proptest::collection::vec(-20_i32..20, 1..300),
            cut in 0..300_usize,
            stride in 1..7_usize,
        ) {
            let cut = cut.min(values.len());
            let values: Vec<f32> = values.into_iter().map(|v| v as f32 / 3.0).collect();
            let mut whole = Study::Numbers { stride, sample: Vec::new() };
            whole.see(0, &Values::Numbers(values.clone()));
            let mut parts = Study::Numbers { stride, sample: Vec::new() };
            parts.see(0, &Values::Numbers(values[..cut].to_vec()));
            parts.see(cut, &Values::Numbers(values[cut..].to_vec()));
            let plain: Vec<f32> = values.iter().step_by(stride).copied().collect();
            for study in [&whole, &parts] {
                let Study::Numbers { sample, .. } = study else { panic!("numbers") };
                prop_assert_eq!(sample, &plain);
            }
            let Ok(feature) = parts.learn("x", &[], values.len()) else { return Ok(()) };
            let part = |values: &[f32]| {
                encode_values(&feature, Values::Numbers(values.to_vec()), &[])
            };
            let ends = [part(&values[..cut]), part(&values[cut..])];
            let ends = ends.map(|end| Encoded::of(end.0.len(), vec![end]));
            let all = Encoded::of(values.len(), vec![part(&values)]);
            prop_assert_eq!(Encoded::joined(&ends), all.clone());
            let places: Vec<u32> = (0..values.len() as u32).rev().collect();
            prop_assert_eq!(all.at(&places).at(&places), all);
        }

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
