//! L2 logistic regression along a path of penalties.
//!
//! Solved by L-BFGS (Nocedal 1980) that starts from the inverse of the Hessian at the base rate, so
//! that few steps are needed; the next penalty of the path starts where the last one ended.

use std::collections::VecDeque;

/// Steps kept by L-BFGS.
const MEMORY: usize = 8;

/// Steps per penalty at most; reached on separable data only.
const STEPS_MAX: usize = 60;

/// The gradient's largest entry, for each row, at which the solution is good enough for ranking.
const TOLERANCE: f64 = 1e-5;

/// The share of the loss that a step must gain to be worth another one: ranks no longer move then.
const GAIN_MIN: f64 = 1e-6;

/// Rows whose gradients are summed in single precision before they join the double sums.
const CHUNK_ROWS: usize = 256;

/// A design: `width` columns, row by row, and which rows are seeds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Design<'a> {
    /// The values.
    pub(crate) values: &'a [f32],
    /// Columns.
    pub(crate) width: usize,
    /// Which rows are seeds.
    pub(crate) seeds: &'a [bool],
}

/// A line: a weight a column, and one for all rows.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Line {
    /// The weights.
    pub(crate) weights: Vec<f32>,
    /// The margin where all columns are 0.
    pub(crate) intercept: f32,
}

impl Line {
    /// The margin of one row.
    pub(crate) fn margin(&self, row: &[f32]) -> f32 {
        dot(row, &self.weights) + self.intercept
    }
}

/// A sum of products in eight lanes, so that the compiler can use vectors; the order is fixed.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 8];
    let (a_blocks, a_rest) = a.as_chunks::<8>();
    let (b_blocks, b_rest) = b.as_chunks::<8>();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f32>() + rest
}

impl Design<'_> {
    fn rows(&self) -> usize {
        self.seeds.len()
    }

    fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.width..(row + 1) * self.width]
    }

    fn base(&self) -> f64 {
        let seeds = self.seeds.iter().filter(|s| **s).count() as f64;
        (seeds / self.rows().max(1) as f64).clamp(1e-6, 1.0 - 1e-6)
    }

    /// `X'X` over the columns and a last column of ones: what a Hessian at the base rate is made of.
    pub(crate) fn gram(&self) -> Vec<f64> {
        let size = self.width + 1;
        let mut gram = vec![0.0; size * size];
        let mut chunk = vec![0.0_f32; self.width * self.width];
        let mut sums = vec![0.0_f32; self.width];
        for start in (0..self.rows()).step_by(CHUNK_ROWS) {
            chunk.fill(0.0);
            sums.fill(0.0);
            for row in start..(start + CHUNK_ROWS).min(self.rows()) {
                let x = self.row(row);
                for (a, &value) in x.iter().enumerate() {
                    if value != 0.0 {
                        let line = &mut chunk[a * self.width..][..=a];
                        line.iter_mut().zip(x).for_each(|(sum, other)| *sum += value * other);
                    }
                }
                sums.iter_mut().zip(x).for_each(|(sum, value)| *sum += value);
            }
            for a in 0..self.width {
                for b in 0..=a {
                    gram[a * size + b] += f64::from(chunk[a * self.width + b]);
                }
                gram[self.width * size + a] += f64::from(sums[a]);
            }
        }
        gram[size * size - 1] = self.rows() as f64;
        gram
    }

    /// The loss and its gradient at `weights` (the intercept last), with `l2 / 2` times the squares of
    /// the weights.
    fn loss(&self, weights: &[f64], l2: f64, gradient: &mut [f64]) -> f64 {
        let line = line(weights);
        gradient.fill(0.0);
        let mut loss = 0.0;
        let mut chunk = vec![0.0_f32; self.width];
        for start in (0..self.rows()).step_by(CHUNK_ROWS) {
            chunk.fill(0.0);
            let mut intercept = 0.0;
            for row in start..(start + CHUNK_ROWS).min(self.rows()) {
                let x = self.row(row);
                let margin = f64::from(line.margin(x));
                let target = f64::from(u8::from(self.seeds[row]));
                // ln(1 + e^m) - t m, without overflow on either side.
                loss += margin.max(0.0) + (-margin.abs()).exp().ln_1p() - target * margin;
                let residual = 1.0 / (1.0 + (-margin).exp()) - target;
                intercept += residual;
                let residual = residual as f32;
                chunk.iter_mut().zip(x).for_each(|(sum, value)| *sum += residual * value);
            }
            gradient.iter_mut().zip(&chunk).for_each(|(sum, value)| *sum += f64::from(*value));
            gradient[self.width] += intercept;
        }
        for (slope, weight) in gradient.iter_mut().zip(weights).take(self.width) {
            *slope += l2 * weight;
            loss += l2 / 2.0 * weight * weight;
        }
        loss
    }
}

fn line(weights: &[f64]) -> Line {
    let (intercept, weights) = weights.split_last().expect("a line has an intercept");
    Line { weights: weights.iter().map(|w| *w as f32).collect(), intercept: *intercept as f32 }
}

/// The best line for each penalty of `path`, which should fall. `gram` is [`Design::gram`] of these rows or
/// of rows like them; `gram_share` scales it where there are fewer.
pub(crate) fn fit_path(
    design: &Design<'_>,
    path: &[f64],
    gram: &[f64],
    gram_share: f64,
) -> Vec<Line> {
    let base = design.base();
    let mut weights = vec![0.0; design.width + 1];
    weights[design.width] = (base / (1.0 - base)).ln();
    path.iter()
        .map(|&l2| {
            let scale = base * (1.0 - base) * gram_share;
            let factor = Factor::new(gram, design.width + 1, scale, l2);
            minimise(design, l2, &factor, &mut weights);
            line(&weights)
        })
        .collect()
}

/// One step that L-BFGS remembers.
struct Step {
    moved: Vec<f64>,
    turned: Vec<f64>,
    curvature: f64,
}

/// A place on the way: the weights, the loss there, and its slope.
struct Point {
    weights: Vec<f64>,
    loss: f64,
    gradient: Vec<f64>,
}

impl Point {
    fn at(design: &Design<'_>, l2: f64, weights: Vec<f64>) -> Self {
        let mut gradient = vec![0.0; weights.len()];
        let loss = design.loss(&weights, l2, &mut gradient);
        Self { weights, loss, gradient }
    }
}

fn minimise(design: &Design<'_>, l2: f64, factor: &Factor, weights: &mut Vec<f64>) {
    let rows = design.rows() as f64;
    let mut here = Point::at(design, l2, std::mem::take(weights));
    let mut steps: VecDeque<Step> = VecDeque::new();
    for _ in 0..STEPS_MAX {
        if here.gradient.iter().all(|g| g.abs() < TOLERANCE * rows) {
            break;
        }
        let direction = direction(&here.gradient, &steps, factor);
        let Some((length, next)) = search(design, l2, &here, &direction) else { break };
        let moved: Vec<f64> = direction.iter().map(|d| d * length).collect();
        let turned: Vec<f64> =
            next.gradient.iter().zip(&here.gradient).map(|(a, b)| a - b).collect();
        let curvature: f64 = moved.iter().zip(&turned).map(|(a, b)| a * b).sum();
        if curvature > 1e-12 {
            if steps.len() == MEMORY {
                steps.pop_front();
            }
            steps.push_back(Step { moved, turned, curvature });
        }
        let gained = here.loss - next.loss;
        here = next;
        if gained < GAIN_MIN * here.loss.abs() {
            break;
        }
    }
    *weights = here.weights;
}

/// A step along `direction` that lowers the loss enough (Armijo), halved until it does; nothing where the
/// loss does not fall that way.
fn search(design: &Design<'_>, l2: f64, here: &Point, direction: &[f64]) -> Option<(f64, Point)> {
    let slope: f64 = direction.iter().zip(&here.gradient).map(|(d, g)| d * g).sum();
    if slope >= 0.0 {
        return None;
    }
    let mut length = 1.0;
    for _ in 0..20 {
        let weights = here.weights.iter().zip(direction).map(|(w, d)| w + length * d).collect();
        let next = Point::at(design, l2, weights);
        if next.loss <= here.loss + 1e-4 * length * slope {
            return Some((length, next));
        }
        length /= 2.0;
    }
    None
}

/// The two loops of L-BFGS, with the Hessian at the base rate where others have a multiple of one.
fn direction(gradient: &[f64], steps: &VecDeque<Step>, factor: &Factor) -> Vec<f64> {
    let mut turn = gradient.to_vec();
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut shares = Vec::with_capacity(steps.len());
    for step in steps.iter().rev() {
        let share = product(&step.moved, &turn) / step.curvature;
        turn.iter_mut().zip(&step.turned).for_each(|(t, y)| *t -= share * y);
        shares.push(share);
    }
    factor.solve(&mut turn);
    for (step, share) in steps.iter().zip(shares.into_iter().rev()) {
        let back = product(&step.turned, &turn) / step.curvature;
        turn.iter_mut().zip(&step.moved).for_each(|(t, s)| *t += (share - back) * s);
    }
    for entry in &mut turn {
        *entry = -*entry;
    }
    turn
}

/// A Cholesky factor: lower triangle, row by row.
struct Factor {
    lower: Vec<f64>,
    size: usize,
}

impl Factor {
    /// Of `scale * gram + l2 I`; the last row (the intercept) gets no penalty.
    fn new(gram: &[f64], size: usize, scale: f64, l2: f64) -> Self {
        let mut lower = vec![0.0; size * size];
        for a in 0..size {
            for b in 0..=a {
                let mut value = gram[a * size + b] * scale;
                if a == b {
                    // A little more than nothing, so that columns that say the same do no harm.
                    value += if a + 1 == size { 1e-6 } else { l2.max(1e-6) };
                }
                let done: f64 = (0..b).map(|k| lower[a * size + k] * lower[b * size + k]).sum();
                value -= done;
                lower[a * size + b] =
                    if a == b { value.max(1e-12).sqrt() } else { value / lower[b * size + b] };
            }
        }
        Self { lower, size }
    }

    fn solve(&self, vector: &mut [f64]) {
        let size = self.size;
        for a in 0..size {
            let done: f64 = (0..a).map(|k| self.lower[a * size + k] * vector[k]).sum();
            vector[a] = (vector[a] - done) / self.lower[a * size + a];
        }
        for a in (0..size).rev() {
            let done: f64 = (a + 1..size).map(|k| self.lower[k * size + a] * vector[k]).sum();
            vector[a] = (vector[a] - done) / self.lower[a * size + a];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookalike::random::Dice;

    fn data(rows: usize) -> (Vec<f32>, Vec<bool>) {
        let mut dice = Dice::new(11);
        let (mut values, mut seeds) = (Vec::new(), Vec::new());
        for _ in 0..rows {
            let row: Vec<f32> = (0..3).map(|_| dice.normal() as f32).collect();
            let margin = f64::from(1.5 * row[0] - row[1]) - 1.0;
            seeds.push(crate::lookalike::random::unit(dice.next()) < 1.0 / (1.0 + (-margin).exp()));
            values.extend(row);
        }
        (values, seeds)
    }

    #[test]
    fn it_finds_the_weights_that_made_the_data() {
        let (values, seeds) = data(20_000);
        let design = Design { values: &values, width: 3, seeds: &seeds };
        let lines = fit_path(&design, &[1e5, 1.0], &design.gram(), 1.0);
        for (found, true_weight) in lines[1].weights.iter().zip([1.5, -1.0, 0.0]) {
            assert!((found - true_weight).abs() < 0.06, "{lines:?}");
        }
        assert!((lines[1].intercept + 1.0).abs() < 0.06);
        assert!(lines[0].weights[0].abs() < 0.1, "a strong penalty holds weights down");
    }

    #[test]
    fn the_gradient_vanishes_where_it_stops() {
        let (values, seeds) = data(3_000);
        let design = Design { values: &values, width: 3, seeds: &seeds };
        let lines = fit_path(&design, &[30.0], &design.gram(), 0.5);
        let mut weights: Vec<f64> = lines[0].weights.iter().map(|w| f64::from(*w)).collect();
        weights.push(f64::from(lines[0].intercept));
        let mut gradient = vec![0.0; 4];
        let loss = design.loss(&weights, 30.0, &mut gradient);
        // It is some hundreds where the path begins; a ten-thousandth of a row moves no rank.
        assert!(gradient.iter().all(|g| g.abs() < 0.3), "{gradient:?}");
        // And the gradient is the slope of the loss.
        let step = 1e-3;
        weights[0] += step;
        let mut other = vec![0.0; 4];
        let moved = design.loss(&weights, 30.0, &mut other);
        assert!(((moved - loss) / step - f64::midpoint(gradient[0], other[0])).abs() < 0.5);
    }

    #[test]
    fn separable_data_and_columns_of_nothing_end_in_finite_weights() {
        let values = [1.0, 0.0, 1.0, 0.0, -1.0, 0.0, -1.0, 0.0];
        let seeds = [true, true, false, false];
        let design = Design { values: &values, width: 2, seeds: &seeds };
        let lines = fit_path(&design, &[0.0], &design.gram(), 1.0);
        assert!(lines[0].weights.iter().all(|w| w.is_finite()));
    }
}
