//! L2 logistic regression along a path of penalties.
//!
//! Solved by L-BFGS (Nocedal 1980) that starts from the inverse of the Hessian at the base rate, so
//! that few steps are needed; the next penalty of the path starts where the last one ended, with what
//! was learnt of the Hessian on the way there.

use std::collections::VecDeque;

use super::design::{Design, Gram, Line, Part};

/// Steps kept by L-BFGS.
const MEMORY: usize = 32;

/// Steps per penalty at most; reached on separable data only.
const STEPS_MAX: usize = 60;

/// The gradient's largest entry, for each row, at which the solution is good enough for ranking.
const TOLERANCE: f64 = 1e-5;

/// The share of the loss that a step must gain to be worth another one: ranks no longer move then.
const GAIN_MIN: f64 = 1e-6;

/// A path of penalties, strongest first, with what each of its fits starts from.
#[derive(Debug)]
pub(crate) struct Path(Vec<(f64, Factor)>);

impl Path {
    /// The path `penalties` over rows such as those of `design`: all of them, or those of a fold.
    pub(crate) fn new(design: &Design, penalties: &[f64]) -> Self {
        let (gram, base) = (design.gram(), design.base());
        let factor = |&l2: &f64| (l2, Factor::new(&gram, base * (1.0 - base), l2));
        Self(penalties.iter().map(factor).collect())
    }

    /// The best line for each penalty.
    pub(crate) fn fit(&self, part: &Part<'_>) -> Vec<Line> {
        let base = part.base();
        let mut weights = vec![0.0; part.design.weights()];
        weights[part.design.weights() - 1] = (base / (1.0 - base)).ln();
        let mut steps = VecDeque::new();
        let mut before = None;
        let fit = |(l2, factor): &(f64, Factor)| {
            let harder = l2 - before.replace(*l2).unwrap_or(*l2);
            for step in &mut steps {
                Step::penalise(step, harder);
            }
            minimise(part, *l2, factor, &mut weights, &mut steps);
            Line::of(&weights, part.design.width)
        };
        self.0.iter().map(fit).collect()
    }
}

/// One step that L-BFGS remembers.
struct Step {
    moved: Vec<f64>,
    turned: Vec<f64>,
    curvature: f64,
}

impl Step {
    /// What the step would have been with a penalty that is `by` larger: what it turned is known exactly.
    fn penalise(&mut self, by: f64) {
        // The intercept, which is last, has no penalty.
        let slopes = self.turned.iter_mut().zip(&self.moved).rev().skip(1);
        slopes.for_each(|(turned, moved)| *turned += by * moved);
        self.curvature = product(&self.moved, &self.turned);
    }
}

/// A place on the way: the weights, the loss there, and its slope.
struct Point {
    weights: Vec<f64>,
    loss: f64,
    gradient: Vec<f64>,
}

impl Point {
    fn at(part: &Part<'_>, l2: f64, weights: Vec<f64>) -> Self {
        let mut gradient = vec![0.0; weights.len()];
        let loss = part.loss(&weights, l2, &mut gradient);
        Self { weights, loss, gradient }
    }
}

fn minimise(
    part: &Part<'_>,
    l2: f64,
    factor: &Factor,
    weights: &mut Vec<f64>,
    steps: &mut VecDeque<Step>,
) {
    let rows = part.rows() as f64;
    let mut here = Point::at(part, l2, std::mem::take(weights));
    for _ in 0..STEPS_MAX {
        if here.gradient.iter().all(|g| g.abs() < TOLERANCE * rows) {
            break;
        }
        let direction = direction(&here.gradient, steps, factor);
        let Some((length, next)) = search(part, l2, &here, &direction) else { break };
        let moved: Vec<f64> = direction.iter().map(|d| d * length).collect();
        let turned: Vec<f64> =
            next.gradient.iter().zip(&here.gradient).map(|(a, b)| a - b).collect();
        let curvature = product(&moved, &turned);
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
fn search(part: &Part<'_>, l2: f64, here: &Point, direction: &[f64]) -> Option<(f64, Point)> {
    let slope = product(direction, &here.gradient);
    if slope >= 0.0 {
        return None;
    }
    let mut length = 1.0;
    for _ in 0..20 {
        let weights = here.weights.iter().zip(direction).map(|(w, d)| w + length * d).collect();
        let next = Point::at(part, l2, weights);
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

/// The Cholesky factor of a Hessian: that of numbers and the intercept, lower triangle, row by row; and
/// the diagonal for words.
#[derive(Debug)]
struct Factor {
    lower: Vec<f64>,
    size: usize,
    words: Vec<f64>,
}

/// A sum of products in four lanes; the order is fixed.
fn product(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 4];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    for (a, b) in a.iter().zip(b) {
        lanes.iter_mut().zip(a).zip(b).for_each(|((lane, a), b)| *lane += a * b);
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f64>() + rest
}

impl Factor {
    /// Of `scale * gram + l2 I`; the intercept gets no penalty.
    fn new(gram: &Gram, scale: f64, l2: f64) -> Self {
        let size = gram.products.len().isqrt();
        let mut lower = vec![0.0; size * size];
        for a in 0..size {
            for b in 0..=a {
                let mut value = gram.products[a * size + b] * scale;
                if a == b {
                    // A little more than nothing, so that columns that say the same do no harm.
                    value += if a + 1 == size { 1e-6 } else { l2.max(1e-6) };
                }
                value -= product(&lower[a * size..][..b], &lower[b * size..][..b]);
                lower[a * size + b] =
                    if a == b { value.max(1e-12).sqrt() } else { value / lower[b * size + b] };
            }
        }
        let words = gram.words.iter().map(|rows| rows * scale + l2.max(1e-6)).collect();
        Self { lower, size, words }
    }

    /// Turns a gradient (numbers, words, intercept) by the inverse.
    fn solve(&self, vector: &mut [f64]) {
        let (size, words) = (self.size, self.words.len());
        for (entry, diagonal) in vector[size - 1..].iter_mut().zip(&self.words) {
            *entry /= diagonal;
        }
        // Numbers and the intercept lie together for as long as they are solved.
        vector.swap(size - 1, size - 1 + words);
        for a in 0..size {
            let done = product(&self.lower[a * size..][..a], &vector[..a]);
            vector[a] = (vector[a] - done) / self.lower[a * size + a];
        }
        for a in (0..size).rev() {
            let value = vector[a] / self.lower[a * size + a];
            vector[a] = value;
            let line = &self.lower[a * size..][..a];
            vector[..a].iter_mut().zip(line).for_each(|(entry, l)| *entry -= l * value);
        }
        vector.swap(size - 1, size - 1 + words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookalike::design::tests::made;

    #[test]
    fn it_finds_the_weights_that_made_the_data() {
        let design = made(30_000);
        let lines = Path::new(&design, &[1e5, 1.0]).fit(&design.whole());
        for (found, true_weight) in lines[1].numbers.iter().zip([1.5, -1.0, 0.0]) {
            assert!((found - true_weight).abs() < 0.06, "{lines:?}");
        }
        assert!((lines[1].words[0] - 1.2).abs() < 0.1, "{lines:?}");
        assert!(lines[1].words[1..].iter().all(|w| w.abs() < 0.1), "{lines:?}");
        assert!((lines[1].intercept + 1.0).abs() < 0.1);
        assert!(lines[0].numbers[0].abs() < 0.1, "a strong penalty holds weights down");
    }

    #[test]
    fn the_gradient_vanishes_where_it_stops() {
        let design = made(3_000);
        let part = Part { design: &design, held: 1_000..1_500 };
        let lines = Path::new(&design, &[30.0]).fit(&part);
        let line = &lines[0];
        let all = line.numbers.iter().chain(&line.words[..5]).chain([&line.intercept]);
        let weights: Vec<f64> = all.map(|w| f64::from(*w)).collect();
        let mut gradient = vec![0.0; weights.len()];
        part.loss(&weights, 30.0, &mut gradient);
        // It is some hundreds where the path begins; a ten-thousandth of a row moves no rank.
        assert!(gradient.iter().all(|g| g.abs() < 0.5), "{gradient:?}");
    }

    #[test]
    fn a_factor_turns_a_hessian_back() {
        let design = made(200);
        let gram = design.gram();
        let factor = Factor::new(&gram, 0.2, 3.0);
        let wanted: Vec<f64> = (0..9).map(|at| f64::from(at) - 3.5).collect();
        let size = design.width + 1;
        let place = |at: usize| if at + 1 == size { 8 } else { at };
        let mut vector = vec![0.0; 9];
        for a in 0..size {
            for b in 0..size {
                let (row, column) = (a.max(b), a.min(b));
                let mut value = gram.products[row * size + column] * 0.2;
                value += if a != b {
                    0.0
                } else if a + 1 == size {
                    1e-6
                } else {
                    3.0
                };
                vector[place(a)] += value * wanted[place(b)];
            }
        }
        for word in 0..design.words {
            vector[3 + word] = (gram.words[word] * 0.2 + 3.0) * wanted[3 + word];
        }
        factor.solve(&mut vector);
        assert!(vector.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-9), "{vector:?}");
    }

    #[test]
    fn separable_data_and_columns_of_nothing_end_in_finite_weights() {
        let design = Design {
            width: 2,
            numbers: vec![1.0, 0.0, 1.0, 0.0, -1.0, 0.0, -1.0, 0.0],
            seeds: vec![true, true, false, false],
            ..Design::default()
        };
        let lines = Path::new(&design, &[0.0]).fit(&design.whole());
        assert!(lines[0].numbers.iter().all(|w| w.is_finite()));
    }
}
