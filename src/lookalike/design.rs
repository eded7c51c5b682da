//! What a line is fitted to: numbers that every row has, and words of which a row has one a column.
//!
//! Words are most of the columns and nearly all of their entries are 0, so they are kept as the place
//! of the one weight that counts. What a row costs then depends on how many columns the data has, and
//! not on how many words are in them.

use std::ops::Range;

use fearless_simd::{Level, dispatch};

/// Rows whose gradients are summed in single precision before they join the double sums.
const CHUNK_ROWS: usize = 256;

/// Numbers that are multiplied side by side. Where a design's width is a multiple of it, no number is
/// left to be done alone.
pub(crate) const LANES: usize = 16;

/// Rows to learn a line from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Design {
    /// Columns of numbers.
    pub(crate) width: usize,
    /// Their values, row by row.
    pub(crate) numbers: Vec<f32>,
    /// Words that have a weight.
    pub(crate) words: usize,
    /// Columns of words.
    pub(crate) slots: usize,
    /// The word in each column of words, row by row; `words` where it has no weight.
    pub(crate) codes: Vec<u32>,
    /// Which rows are seeds.
    pub(crate) seeds: Vec<bool>,
}

/// A line: a weight for each number, one for each word, and one for all rows.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Line {
    /// The weights of numbers.
    pub(crate) numbers: Vec<f32>,
    /// The weights of words, and a last one that is 0, for words that have none.
    pub(crate) words: Vec<f32>,
    /// The margin where all numbers are 0 and no word has a weight.
    pub(crate) intercept: f32,
}

/// What Hessians at the base rate are made of: products of numbers with each other and with a last
/// column of ones, and how many rows have each word. What words have in common with other columns is
/// left out; it is for steps to find.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gram {
    /// The products, lower triangle, row by row.
    pub(crate) products: Vec<f64>,
    /// Rows with each word.
    pub(crate) words: Vec<f64>,
}

/// The rows of a design without those held out.
#[derive(Debug, Clone)]
pub(crate) struct Part<'a> {
    pub(crate) design: &'a Design,
    /// The rows that are not learnt from.
    pub(crate) held: Range<usize>,
}

impl Line {
    /// The line of weights in one list: numbers, words, the intercept.
    pub(crate) fn of(weights: &[f64], width: usize) -> Self {
        let single = |weights: &[f64]| weights.iter().map(|w| *w as f32).collect::<Vec<f32>>();
        let (intercept, weights) = weights.split_last().expect("a line has an intercept");
        let (numbers, words) = weights.split_at(width);
        let mut words = single(words);
        words.push(0.0);
        Self { numbers: single(numbers), words, intercept: *intercept as f32 }
    }
}

/// A sum of products in lanes, so that the compiler can use vectors; the order is fixed.
#[inline(always)]
#[expect(clippy::inline_always, reason = "it is compiled for the vectors of whoever calls it")]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        lanes.iter_mut().zip(a).zip(b).for_each(|((lane, a), b)| *lane += a * b);
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f32>() + rest
}

/// For each of `rows`, its products with `weights` into `sums`.
fn dots(rows: &[f32], weights: &[f32], sums: &mut [f32]) {
    dispatch!(Level::new(), _vectors => {
        for (row, sum) in rows.chunks_exact(weights.len().max(1)).zip(sums.iter_mut()) {
            *sum = dot(row, weights);
        }
    });
}

/// Adds `rows`, each as many times as its share says, to `sums`.
fn add_rows(rows: &[f32], shares: &[f32], sums: &mut [f32]) {
    dispatch!(Level::new(), _vectors => {
        for (row, share) in rows.chunks_exact(sums.len().max(1)).zip(shares) {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += share * value);
        }
    });
}

/// Adds the products of the `width` numbers of each row with each other to `sums`, lower triangle.
fn add_products(rows: &[f32], width: usize, sums: &mut [f32]) {
    dispatch!(Level::new(), _vectors => {
        for row in rows.chunks_exact(width.max(1)) {
            for (a, &value) in row.iter().enumerate() {
                if value != 0.0 {
                    let line = &mut sums[a * width..][..=a];
                    line.iter_mut().zip(row).for_each(|(sum, other)| *sum += value * other);
                }
            }
        }
    });
}

impl Design {
    /// Rows.
    pub(crate) fn rows(&self) -> usize {
        self.seeds.len()
    }

    /// Weights that a line over it has.
    pub(crate) fn weights(&self) -> usize {
        self.width + self.words + 1
    }

    fn codes(&self, row: usize) -> &[u32] {
        &self.codes[row * self.slots..(row + 1) * self.slots]
    }

    /// The margins of `rows`, in their order.
    pub(crate) fn margins(&self, line: &Line, rows: Range<usize>) -> Vec<f32> {
        let numbers = &self.numbers[rows.start * self.width..rows.end * self.width];
        let mut margins = vec![0.0; rows.len()];
        dots(numbers, &line.numbers, &mut margins);
        for (margin, row) in margins.iter_mut().zip(rows) {
            let words: f32 = self.codes(row).iter().map(|code| line.words[*code as usize]).sum();
            *margin = *margin + words + line.intercept;
        }
        margins
    }

    /// The share of seeds, kept away from 0 and 1.
    pub(crate) fn base(&self) -> f64 {
        let seeds = self.seeds.iter().filter(|s| **s).count() as f64;
        (seeds / self.rows().max(1) as f64).clamp(1e-6, 1.0 - 1e-6)
    }

    /// All rows.
    pub(crate) fn whole(&self) -> Part<'_> {
        Part { design: self, held: 0..0 }
    }

    /// See [`Gram`].
    pub(crate) fn gram(&self) -> Gram {
        let size = self.width + 1;
        let mut products = vec![0.0; size * size];
        let mut words = vec![0.0; self.words + 1];
        let mut chunk = vec![0.0_f32; self.width * self.width];
        let mut sums = vec![0.0_f32; self.width];
        for start in (0..self.rows()).step_by(CHUNK_ROWS) {
            chunk.fill(0.0);
            sums.fill(0.0);
            let rows = start..(start + CHUNK_ROWS).min(self.rows());
            let numbers = &self.numbers[rows.start * self.width..rows.end * self.width];
            add_products(numbers, self.width, &mut chunk);
            add_rows(numbers, &[1.0; CHUNK_ROWS], &mut sums);
            for &code in &self.codes[rows.start * self.slots..rows.end * self.slots] {
                words[code as usize] += 1.0;
            }
            for a in 0..self.width {
                for b in 0..=a {
                    products[a * size + b] += f64::from(chunk[a * self.width + b]);
                }
                products[self.width * size + a] += f64::from(sums[a]);
            }
        }
        products[size * size - 1] = self.rows() as f64;
        words.truncate(self.words);
        Gram { products, words }
    }
}

impl Part<'_> {
    /// The rows that are learnt from.
    pub(crate) fn rows(&self) -> usize {
        self.design.rows() - self.held.len()
    }

    /// The share of seeds, kept away from 0 and 1.
    pub(crate) fn base(&self) -> f64 {
        let seeds = |rows: &[bool]| rows.iter().filter(|s| **s).count() as f64;
        let all = seeds(&self.design.seeds) - seeds(&self.design.seeds[self.held.clone()]);
        (all / self.rows().max(1) as f64).clamp(1e-6, 1.0 - 1e-6)
    }

    /// Runs of rows of at most [`CHUNK_ROWS`], without those held out.
    fn chunks(&self) -> impl Iterator<Item = Range<usize>> {
        let runs = [0..self.held.start, self.held.end..self.design.rows()];
        runs.into_iter().flat_map(|run| {
            let end = run.end;
            run.step_by(CHUNK_ROWS).map(move |start| start..(start + CHUNK_ROWS).min(end))
        })
    }

    /// The logistic loss and its gradient at `weights`, with `l2 / 2` times the squares of all but the
    /// intercept.
    pub(crate) fn loss(&self, weights: &[f64], l2: f64, gradient: &mut [f64]) -> f64 {
        let design = self.design;
        let line = Line::of(weights, design.width);
        gradient.fill(0.0);
        let mut loss = 0.0;
        let mut numbers = vec![0.0_f32; design.width];
        // One more than there are words: what rows without a weighted word add is not wanted.
        let mut words = vec![0.0_f64; design.words + 1];
        let mut intercept = 0.0;
        for rows in self.chunks() {
            let mut residuals = design.margins(&line, rows.clone());
            // ln(1 + e^m) - t m, without overflow on either side. Logarithms add up to that of a product: no
            // factor is above 2, so one of a chunk's rows is far from what a number can be.
            let mut product = 1.0;
            for (residual, row) in residuals.iter_mut().zip(rows.clone()) {
                let margin = f64::from(*residual);
                let target = f64::from(u8::from(design.seeds[row]));
                let away = (-margin.abs()).exp();
                product *= 1.0 + away;
                loss += margin.max(0.0) - target * margin;
                let chance = if margin >= 0.0 { 1.0 } else { away } / (1.0 + away);
                let wrong = chance - target;
                intercept += wrong;
                for &code in design.codes(row) {
                    words[code as usize] += wrong;
                }
                *residual = wrong as f32;
            }
            loss += product.ln();
            numbers.fill(0.0);
            let values = &design.numbers[rows.start * design.width..rows.end * design.width];
            add_rows(values, &residuals, &mut numbers);
            gradient.iter_mut().zip(&numbers).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        gradient[design.width..][..design.words].copy_from_slice(&words[..design.words]);
        let (last, slopes) = gradient.split_last_mut().expect("a line has an intercept");
        *last = intercept;
        for (slope, weight) in slopes.iter_mut().zip(weights) {
            *slope += l2 * weight;
            loss += l2 / 2.0 * weight * weight;
        }
        loss
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::lookalike::random::{Dice, unit};

    /// Three numbers and two columns of words with known weights, and a label drawn from them.
    pub(crate) fn made(rows: usize) -> Design {
        let mut dice = Dice::new(11);
        let mut design = Design { width: 3, words: 5, slots: 2, ..Design::default() };
        for _ in 0..rows {
            let row: Vec<f32> = (0..3).map(|_| dice.normal() as f32).collect();
            let (first, second) = (dice.below(4) as u32, dice.below(3) as u32);
            // The fourth word of the first column has no weight: it shares the place of strangers.
            let codes =
                [if first == 3 { 5 } else { first }, if second == 2 { 5 } else { second + 3 }];
            let margin =
                f64::from(1.5 * row[0] - row[1]) + if first == 0 { 1.2 } else { 0.0 } - 1.0;
            design.seeds.push(unit(dice.next()) < 1.0 / (1.0 + (-margin).exp()));
            design.numbers.extend(row);
            design.codes.extend(codes);
        }
        design
    }

    /// The same rows with a column of 0 and 1 for each word.
    fn widened(design: &Design) -> Design {
        let mut wide = Design { width: design.width + design.words, ..Design::default() };
        for row in 0..design.rows() {
            wide.numbers.extend(&design.numbers[row * design.width..][..design.width]);
            let has = |word: u32| f32::from(u8::from(design.codes(row).contains(&word)));
            wide.numbers.extend((0..design.words as u32).map(has));
        }
        wide.seeds.clone_from(&design.seeds);
        wide
    }

    #[test]
    fn places_of_words_say_what_columns_of_ones_say() {
        let design = made(700);
        let wide = widened(&design);
        let weights: Vec<f64> = (0..9).map(|at| f64::from(at) / 5.0 - 0.7).collect();
        for held in [0..0, 0..300, 255..256, 600..700] {
            let (mut a, mut b) = (vec![0.0; 9], vec![0.0; 9]);
            let part = Part { design: &design, held: held.clone() };
            let loss = part.loss(&weights, 2.0, &mut a);
            let plain = Part { design: &wide, held }.loss(&weights, 2.0, &mut b);
            assert!((loss - plain).abs() < 1e-3, "{loss} {plain}");
            assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-3), "{a:?} {b:?}");
        }
        let (gram, plain) = (design.gram(), wide.gram());
        for word in 0..design.words {
            let at = design.width + word;
            assert!((gram.words[word] - plain.products[at * 9 + at]).abs() < 1e-6);
        }
        assert!((gram.products[0] - plain.products[0]).abs() < 1e-3);
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_loss() {
        let design = made(500);
        let mut weights: Vec<f64> = (0..9).map(|at| f64::from(at) / 9.0 - 0.4).collect();
        let (mut here, mut there) = (vec![0.0; 9], vec![0.0; 9]);
        for at in 0..9 {
            let loss = design.whole().loss(&weights, 3.0, &mut here);
            weights[at] += 1e-3;
            let moved = design.whole().loss(&weights, 3.0, &mut there);
            assert!(((moved - loss) / 1e-3 - f64::midpoint(here[at], there[at])).abs() < 0.1);
        }
    }
}
