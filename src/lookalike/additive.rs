//! The additive model: a logistic regression over features, kept as a slope and a table of bins for
//! each feature, so that everybody is scored from the columns as they lie.

use serde::{Deserialize, Serialize};

use super::design::{Design, LANES, Line};
use super::encode::{Encoded, Encoder, Kind};

/// Training rows that a word or a missing value must have to get a weight of its own.
const TERM_ROWS: usize = 8;

/// A score that is a sum over features.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Additive {
    /// What everybody has.
    pub(crate) intercept: f32,
    /// For each feature, the weight of its standardised number.
    pub(crate) slopes: Vec<f32>,
    /// For each feature, what each of its bins adds.
    pub(crate) tables: Vec<Vec<f32>>,
}

/// A column of numbers of the design.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Term {
    /// The standardised number of a feature.
    Number(usize),
    /// The normal score of a feature's bin: its rank, so that outliers and scale do not matter.
    Normal(usize),
    /// Whether a feature is missing.
    Missing(usize),
}

/// Which columns the design has.
#[derive(Debug, Clone, Default)]
pub(crate) struct Terms {
    numbers: Vec<Term>,
    /// Features of words, and the weight of each of their bins.
    words: Vec<(usize, Vec<Option<u32>>)>,
    /// Weights that words have.
    weights: usize,
}

impl Terms {
    /// The columns for `encoder`'s features, as far as `rows` can tell them apart.
    pub(crate) fn new(encoder: &Encoder, encoded: &Encoded, rows: &[u32]) -> Self {
        let mut terms = Self::default();
        for (at, feature) in encoder.features.iter().enumerate() {
            let mut counts = vec![0_usize; feature.bins()];
            for &row in rows {
                counts[usize::from(encoded.bins[at][row as usize])] += 1;
            }
            let tells = |count: usize| count >= TERM_ROWS && rows.len() - count >= TERM_ROWS;
            if feature.is_word() {
                let mut next = terms.weights as u32..;
                let weights: Vec<Option<u32>> =
                    counts.iter().map(|c| if tells(*c) { next.next() } else { None }).collect();
                terms.weights += weights.iter().flatten().count();
                terms.words.push((at, weights));
            } else {
                terms.numbers.extend([Term::Number(at), Term::Normal(at)]);
                if tells(counts[0]) {
                    terms.numbers.push(Term::Missing(at));
                }
            }
        }
        terms
    }

    /// The design of `rows`, which `seeds` tells to be seeds or not.
    pub(crate) fn design(
        &self,
        encoder: &Encoder,
        encoded: &Encoded,
        rows: &[u32],
        seeds: Vec<bool>,
    ) -> Design {
        // The columns that fill the width up are 0 everywhere, and so are their weights.
        let width = self.numbers.len().next_multiple_of(LANES);
        let slots = self.words.len();
        let mut numbers = vec![0.0; rows.len() * width];
        for (column, term) in self.numbers.iter().enumerate() {
            let cells = numbers.iter_mut().skip(column).step_by(width).zip(rows);
            match *term {
                Term::Number(at) => {
                    let numbers = &encoded.numbers[at];
                    cells.for_each(|(cell, &row)| *cell = numbers[row as usize]);
                }
                Term::Normal(at) => {
                    let Kind::Number { normal, .. } = &encoder.features[at].kind else { continue };
                    let bins = &encoded.bins[at];
                    cells.for_each(|(cell, &row)| {
                        *cell = normal[usize::from(bins[row as usize])];
                    });
                }
                Term::Missing(at) => {
                    let bins = &encoded.bins[at];
                    cells.for_each(|(cell, &row)| {
                        *cell = f32::from(u8::from(bins[row as usize] == 0));
                    });
                }
            }
        }
        let mut codes = vec![0; rows.len() * slots];
        for (column, (at, weights)) in self.words.iter().enumerate() {
            let cells = codes.iter_mut().skip(column).step_by(slots).zip(rows);
            let (bins, none) = (&encoded.bins[*at], self.weights as u32);
            cells.for_each(|(cell, &row)| {
                *cell = weights[usize::from(bins[row as usize])].unwrap_or(none);
            });
        }
        Design { width, numbers, words: self.weights, slots, codes, seeds }
    }

    /// The model that a line over these columns is.
    pub(crate) fn model(&self, encoder: &Encoder, line: &Line) -> Additive {
        let features = &encoder.features;
        let mut model = Additive {
            intercept: line.intercept,
            slopes: vec![0.0; features.len()],
            tables: features.iter().map(|f| vec![0.0; f.bins()]).collect(),
        };
        for (term, &weight) in self.numbers.iter().zip(&line.numbers) {
            match *term {
                Term::Number(at) => model.slopes[at] += weight,
                Term::Normal(at) => {
                    let Kind::Number { normal, .. } = &features[at].kind else { continue };
                    let table = model.tables[at].iter_mut().zip(normal);
                    table.for_each(|(entry, normal)| *entry += weight * normal);
                }
                Term::Missing(at) => model.tables[at][0] += weight,
            }
        }
        for (at, weights) in &self.words {
            for (entry, weight) in model.tables[*at].iter_mut().zip(weights) {
                *entry = weight.map_or(0.0, |weight| line.words[weight as usize]);
            }
        }
        model
    }
}

impl Additive {
    /// The margins of the rows from `start`, as many as `out` is long.
    pub(crate) fn score(&self, encoded: &Encoded, start: usize, out: &mut [f32]) {
        for (block, out) in out.chunks_mut(LINE_ROWS).enumerate() {
            self.score_block(encoded, start + block * LINE_ROWS, out);
        }
    }

    fn score_block(&self, encoded: &Encoded, start: usize, out: &mut [f32]) {
        let end = start + out.len();
        out.fill(self.intercept);
        let numbers = self.slopes.iter().zip(&encoded.numbers).filter(|(slope, _)| **slope != 0.0);
        let columns: Vec<(f32, &[f32])> =
            numbers.map(|(slope, numbers)| (*slope, &numbers[start..end])).collect();
        add_scaled(&columns, out);
        for (table, bins) in self.tables.iter().zip(&encoded.bins) {
            if table.iter().any(|entry| *entry != 0.0) {
                add_looked_up(table, &bins[start..end], out);
            }
        }
    }

    /// The margin of one profile: `bin` and `number` tell its features.
    pub(crate) fn margin(&self, bin: impl Fn(usize) -> u8, number: impl Fn(usize) -> f32) -> f32 {
        let mut margin = self.intercept;
        for (at, &slope) in self.slopes.iter().enumerate().filter(|(_, slope)| **slope != 0.0) {
            margin += slope * number(at);
        }
        for (at, table) in self.tables.iter().enumerate() {
            if table.iter().any(|entry| *entry != 0.0) {
                margin += table[usize::from(bin(at))];
            }
        }
        margin
    }
}

/// Rows that [`add_scaled`] is given at a time: their sums stay in the first cache, and runs of columns are long
/// enough for the processor to fetch ahead. On 1 M rows of 64 columns, two threads: 29 GB/s with 512 rows, 35
/// with 1,024, 42 with 2,048, and 44 from here on.
pub(crate) const LINE_ROWS: usize = 4_096;

/// Columns that [`add_scaled`] reads side by side.
const SIDE_BY_SIDE: usize = 8;

/// `out += weight * column` for each column: the kernel of linear scoring. Eight columns at a time, so that
/// sums stay in registers; they are added one after the other, as if each had its own pass.
pub(crate) fn add_scaled(columns: &[(f32, &[f32])], out: &mut [f32]) {
    let (groups, rest) = columns.as_chunks::<SIDE_BY_SIDE>();
    for group in groups {
        let rows = out.len();
        // Written out: the compiler makes vectors of rows then, and keeps their sums in registers.
        let [c0, c1, c2, c3, c4, c5, c6, c7] = group.map(|(_, column)| &column[..rows]);
        let weights = group.map(|(weight, _)| weight);
        for (row, out) in out.iter_mut().enumerate() {
            let mut sum = *out;
            sum += weights[0] * c0[row];
            sum += weights[1] * c1[row];
            sum += weights[2] * c2[row];
            sum += weights[3] * c3[row];
            sum += weights[4] * c4[row];
            sum += weights[5] * c5[row];
            sum += weights[6] * c6[row];
            sum += weights[7] * c7[row];
            *out = sum;
        }
    }
    for (weight, column) in rest {
        for (sum, value) in out.iter_mut().zip(*column) {
            *sum += weight * value;
        }
    }
}

fn add_looked_up(table: &[f32], bins: &[u8], out: &mut [f32]) {
    // A bin is a byte, and the array has an entry for each: no bounds are checked in the loop.
    let mut entries = [0.0_f32; 256];
    entries[..table.len()].copy_from_slice(table);
    for (sum, &bin) in out.iter_mut().zip(bins) {
        *sum += entries[usize::from(bin)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookalike::frame::{Column, Frame, Values};
    use crate::lookalike::random::Dice;

    #[test]
    fn the_tables_score_what_the_design_scores() {
        let mut dice = Dice::new(21);
        let mut numbers: Vec<f32> = (0..400).map(|_| dice.normal() as f32).collect();
        numbers.iter_mut().step_by(9).for_each(|v| *v = f32::NAN);
        let codes: Vec<u32> = (0..400).map(|_| dice.below(4) as u32).collect();
        let labels = ["a", "b", "c"].map(str::to_owned).to_vec();
        let words = Column { name: "w".into(), values: Values::Words { codes, labels } };
        let frame = Frame { rows: 400, columns: vec![Column::numbers("n", numbers), words] };
        let (encoder, ..) = Encoder::learn(&frame);
        let encoded = encoder.encode(400, frame.columns);
        let rows: Vec<u32> = (0..400).collect();
        let terms = Terms::new(&encoder, &encoded, &rows);
        let design = terms.design(&encoder, &encoded, &rows, vec![false; 400]);
        assert_eq!((terms.numbers.len(), design.words, design.slots), (3, 4, 1));
        let weights: Vec<f64> = (0..design.weights()).map(|_| dice.normal()).collect();
        let line = Line::of(&weights, design.width);
        let model = terms.model(&encoder, &line);
        let mut scores = vec![0.0; 390];
        model.score(&encoded, 10, &mut scores);
        let margins = design.margins(&line, 10..400);
        for ((row, score), plain) in (10..).zip(scores).zip(margins) {
            assert!((plain - score).abs() < 1e-5);
            let one = model.margin(|f| encoded.bins[f][row], |f| encoded.numbers[f][row]);
            assert_eq!(one.to_bits(), score.to_bits());
        }
    }
}
