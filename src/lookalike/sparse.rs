//! Sparse event features: who did what with which item, as a few dense columns.
//!
//! Counts become `ln(1 + n)`, weighted by how rare an item is (inverse document frequency), each
//! profile scaled to length one; then a randomised singular value decomposition (Halko, Martinsson
//! and Tropp 2011) finds the directions that most of it lies in. What it learns is a matrix of items
//! by directions, kept in the model, so that one profile can be projected later.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::random::{Dice, draw};

/// Directions that are kept, as many as the public protocol's best sparse features have.
pub(crate) const DIRECTIONS: usize = 32;

/// Directions that are sought besides, so that the last of those kept are good too.
const SPARE: usize = 10;

/// Rounds of power iteration; scikit-learn's default too.
const ROUNDS: usize = 5;

/// Profiles that an item needs to be a feature.
const ITEM_PROFILES_MIN: usize = 5;

/// Items at most, the most widespread first: what the model file has room for.
const ITEMS_MAX: usize = 20_000;

/// Profiles that directions are learnt from.
const LEARN_ROWS: usize = 100_000;

const STREAM: u64 = 0x5bd1_e995;

/// Counts by profile and item, in compressed rows: row `r` has the entries `starts[r]..starts[r + 1]`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    /// Where rows begin; one more than there are rows.
    pub(crate) starts: Vec<usize>,
    /// The item of each entry, ascending within a row.
    pub(crate) items: Vec<u32>,
    /// How often; positive.
    pub(crate) many: Vec<f32>,
    /// The items' names.
    pub(crate) names: Vec<String>,
}

impl Counts {
    /// From entries in any order; those of one row and item add up, and counts that are not positive
    /// numbers vanish.
    pub(crate) fn new(rows: usize, mut entries: Vec<(u32, u32, f32)>, names: Vec<String>) -> Self {
        entries.retain(|(.., count)| count.is_finite() && *count > 0.0);
        entries.par_sort_unstable_by(|a, b| {
            (a.0, a.1).cmp(&(b.0, b.1)).then_with(|| a.2.total_cmp(&b.2))
        });
        let mut counts = Self { starts: vec![0; rows + 1], names, ..Self::default() };
        let mut last = None;
        for (row, item, count) in entries {
            if last == Some((row, item)) {
                let at = counts.many.len() - 1;
                counts.many[at] += count;
                continue;
            }
            last = Some((row, item));
            counts.items.push(item);
            counts.many.push(count);
            counts.starts[row as usize + 1] += 1;
        }
        for row in 0..rows {
            counts.starts[row + 1] += counts.starts[row];
        }
        counts
    }

    /// Rows.
    pub(crate) fn rows(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// The items of `row` and how often.
    pub(crate) fn row(&self, row: usize) -> impl Iterator<Item = (usize, f32)> {
        let entries = self.starts[row]..self.starts[row + 1];
        let items = self.items[entries.clone()].iter().map(|&item| item as usize);
        items.zip(self.many[entries].iter().copied())
    }

    /// How many rows have each item.
    pub(crate) fn profiles(&self) -> Vec<usize> {
        let mut profiles = vec![0; self.names.len()];
        for &item in &self.items {
            profiles[item as usize] += 1;
        }
        profiles
    }
}

/// What was learnt of items.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Projection {
    /// The items, in the order of the matrix's rows.
    pub(crate) items: Vec<String>,
    /// How much a rare item counts more than a common one.
    rarity: Vec<f32>,
    /// A row an item, a column a direction.
    matrix: Vec<f32>,
    /// Columns.
    pub(crate) directions: usize,
}

impl Projection {
    /// Learns from `counts`, or nothing where too few items are shared by profiles.
    pub(crate) fn learn(counts: &Counts) -> Option<Self> {
        let rows = counts.rows();
        let profiles = counts.profiles();
        let mut kept: Vec<usize> =
            (0..profiles.len()).filter(|&item| profiles[item] >= ITEM_PROFILES_MIN).collect();
        kept.sort_by(|&a, &b| {
            profiles[b].cmp(&profiles[a]).then_with(|| counts.names[a].cmp(&counts.names[b]))
        });
        kept.truncate(ITEMS_MAX);
        let directions = DIRECTIONS.min(kept.len() / 2);
        if directions < 2 {
            return None;
        }
        let rarity =
            kept.iter().map(|&item| (rows as f64 / profiles[item] as f64).ln().max(0.0) as f32);
        let mut learnt = Self {
            items: kept.iter().map(|&item| counts.names[item].clone()).collect(),
            rarity: rarity.collect(),
            matrix: Vec::new(),
            directions,
        };
        let places = learnt.places(&counts.names);
        let stride = (rows / LEARN_ROWS).max(1) as u64;
        let sample: Vec<Vec<(u32, f32)>> = (0..rows as u32)
            .into_par_iter()
            .filter(|&row| stride == 1 || draw(STREAM, row).is_multiple_of(stride))
            .map(|row| learnt.weights(counts.row(row as usize), &places))
            .collect();
        learnt.matrix = decompose(&sample, kept.len(), directions);
        Some(learnt)
    }

    /// Where each of `names` is among the items.
    fn places(&self, names: &[String]) -> Vec<Option<u32>> {
        let known: std::collections::HashMap<&str, u32> =
            self.items.iter().map(String::as_str).zip(0..).collect();
        names.iter().map(|name| known.get(name.as_str()).copied()).collect()
    }

    /// A row of length one.
    fn weights(
        &self,
        row: impl Iterator<Item = (usize, f32)>,
        places: &[Option<u32>],
    ) -> Vec<(u32, f32)> {
        let mut weights: Vec<(u32, f32)> = row
            .filter_map(|(item, count)| {
                let place = places[item]?;
                Some((place, count.ln_1p() * self.rarity[place as usize]))
            })
            .collect();
        let length = weights.iter().map(|(_, w)| w * w).sum::<f32>().sqrt();
        if length > 0.0 {
            for (_, weight) in &mut weights {
                *weight /= length;
            }
        }
        weights
    }

    /// The columns of some rows of `counts`, a direction each.
    pub(crate) fn project(&self, counts: &Counts, rows: &[usize]) -> Vec<Vec<f32>> {
        let places = self.places(&counts.names);
        let rows: Vec<Vec<f32>> = rows
            .par_iter()
            .map(|&row| {
                let weights = self.weights(counts.row(row), &places);
                times(&weights, &self.matrix, self.directions)
            })
            .collect();
        (0..self.directions).map(|at| rows.iter().map(|row| row[at]).collect()).collect()
    }
}

fn times(row: &[(u32, f32)], matrix: &[f32], width: usize) -> Vec<f32> {
    let mut out = vec![0.0; width];
    for &(item, weight) in row {
        let line = &matrix[item as usize * width..][..width];
        out.iter_mut().zip(line).for_each(|(sum, value)| *sum += weight * value);
    }
    out
}

/// The first right singular vectors of `rows`: `items` by `directions`.
fn decompose(rows: &[Vec<(u32, f32)>], items: usize, directions: usize) -> Vec<f32> {
    let width = (directions + SPARE).min(items);
    let mut columns: Vec<Vec<(u32, f32)>> = vec![Vec::new(); items];
    for (row, entries) in rows.iter().enumerate() {
        for &(item, weight) in entries {
            columns[item as usize].push((row as u32, weight));
        }
    }
    let mut dice = Dice::new(STREAM);
    let mut basis: Vec<f32> = (0..items * width).map(|_| dice.normal() as f32).collect();
    orthonormalise(&mut basis, width);
    for _ in 0..ROUNDS {
        let left = multiply(rows, &basis, width);
        basis = multiply(&columns, &left, width);
        orthonormalise(&mut basis, width);
    }
    let left = multiply(rows, &basis, width);
    let mut gram = vec![0.0_f64; width * width];
    for line in left.chunks_exact(width) {
        for a in 0..width {
            for b in 0..width {
                gram[a * width + b] += f64::from(line[a]) * f64::from(line[b]);
            }
        }
    }
    let turns = eigenvectors(gram, width);
    let mut out = vec![0.0; items * directions];
    for item in 0..items {
        for (at, turn) in turns.iter().take(directions).enumerate() {
            let line = &basis[item * width..][..width];
            out[item * directions + at] =
                line.iter().zip(turn).map(|(v, t)| f64::from(*v) * t).sum::<f64>() as f32;
        }
    }
    out
}

fn multiply(rows: &[Vec<(u32, f32)>], matrix: &[f32], width: usize) -> Vec<f32> {
    let mut out = vec![0.0; rows.len() * width];
    out.par_chunks_exact_mut(width)
        .zip(rows)
        .for_each(|(line, row)| line.copy_from_slice(&times(row, matrix, width)));
    out
}

/// Makes the columns of a matrix orthonormal (Gram and Schmidt, twice, as once is not enough in single
/// precision). A column that depends on those before it becomes zero.
fn orthonormalise(matrix: &mut [f32], width: usize) {
    let rows = matrix.len() / width;
    let mut columns: Vec<Vec<f64>> = (0..width)
        .map(|at| (0..rows).map(|row| f64::from(matrix[row * width + at])).collect())
        .collect();
    for at in 0..width {
        let (done, rest) = columns.split_at_mut(at);
        let column = &mut rest[0];
        let before = length(column);
        for _ in 0..2 {
            for other in &*done {
                let share: f64 = column.iter().zip(other).map(|(a, b)| a * b).sum();
                column.iter_mut().zip(other).for_each(|(a, b)| *a -= share * b);
            }
        }
        let after = length(column);
        let scale = if after > 1e-9 * before.max(1e-30) { 1.0 / after } else { 0.0 };
        for value in column {
            *value *= scale;
        }
    }
    for (row, line) in matrix.chunks_exact_mut(width).enumerate() {
        line.iter_mut().zip(&columns).for_each(|(slot, column)| *slot = column[row] as f32);
    }
}

fn length(vector: &[f64]) -> f64 {
    vector.iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// The eigenvectors of a symmetric matrix, the largest eigenvalue first (Jacobi's rotations). The sign
/// of each is such that its largest entry is positive.
fn eigenvectors(mut matrix: Vec<f64>, size: usize) -> Vec<Vec<f64>> {
    let mut vectors: Vec<Vec<f64>> =
        (0..size).map(|a| (0..size).map(|b| f64::from(u8::from(a == b))).collect()).collect();
    for _ in 0..60 {
        let mut moved = false;
        for p in 0..size {
            for q in p + 1..size {
                let off = matrix[p * size + q];
                if off.abs() <= 1e-13 * (matrix[p * size + p] * matrix[q * size + q]).abs().sqrt() {
                    continue;
                }
                moved = true;
                let theta = (matrix[q * size + q] - matrix[p * size + p]) / (2.0 * off);
                let t = 1.0_f64.copysign(theta) / (theta.abs() + theta.hypot(1.0));
                let cos = 1.0 / t.hypot(1.0);
                let sin = t * cos;
                for k in 0..size {
                    let (a, b) = (matrix[k * size + p], matrix[k * size + q]);
                    matrix[k * size + p] = cos * a - sin * b;
                    matrix[k * size + q] = sin * a + cos * b;
                }
                for k in 0..size {
                    let (a, b) = (matrix[p * size + k], matrix[q * size + k]);
                    matrix[p * size + k] = cos * a - sin * b;
                    matrix[q * size + k] = sin * a + cos * b;
                }
                let (head, tail) = vectors.split_at_mut(q);
                for (a, b) in head[p].iter_mut().zip(&mut tail[0]) {
                    (*a, *b) = (cos * *a - sin * *b, sin * *a + cos * *b);
                }
            }
        }
        if !moved {
            break;
        }
    }
    let mut order: Vec<usize> = (0..size).collect();
    order.sort_by(|&a, &b| matrix[b * size + b].total_cmp(&matrix[a * size + a]));
    order
        .into_iter()
        .map(|at| {
            let vector = &vectors[at];
            let top =
                vector.iter().fold(0.0_f64, |top, v| if v.abs() > top.abs() { *v } else { top });
            vector.iter().map(|v| v * top.signum()).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_add_up_and_nonsense_vanishes() {
        let names = vec!["a".to_owned(), "b".to_owned()];
        let entries = vec![(2, 1, 1.0), (0, 0, 2.0), (2, 1, 3.0), (1, 0, f32::NAN), (1, 1, -2.0)];
        let counts = Counts::new(3, entries, names);
        assert_eq!(counts.starts, [0, 1, 1, 2]);
        assert_eq!(counts.row(2).collect::<Vec<_>>(), [(1, 4.0)]);
        assert_eq!(counts.profiles(), [1, 1]);
    }

    #[test]
    fn eigenvectors_solve_the_matrix() {
        let mut dice = Dice::new(8);
        let size = 9;
        let mut matrix = vec![0.0; size * size];
        for a in 0..size {
            for b in 0..=a {
                let value = dice.normal();
                (matrix[a * size + b], matrix[b * size + a]) = (value, value);
            }
        }
        let vectors = eigenvectors(matrix.clone(), size);
        let mut last = f64::INFINITY;
        for vector in vectors {
            let image: Vec<f64> = (0..size)
                .map(|a| (0..size).map(|b| matrix[a * size + b] * vector[b]).sum())
                .collect();
            let value: f64 = image.iter().zip(&vector).map(|(a, b)| a * b).sum();
            assert!(image.iter().zip(&vector).all(|(i, v)| (i - value * v).abs() < 1e-9));
            assert!(value <= last + 1e-9);
            last = value;
        }
    }

    #[test]
    fn tastes_become_directions() {
        // Two tastes over twelve items; who shares one lies close together, the others apart.
        let mut dice = Dice::new(5);
        let mut entries = Vec::new();
        for row in 0..600_u32 {
            let taste = row % 2;
            for _ in 0..5 {
                entries.push((row, taste * 6 + dice.below(6) as u32, 1.0));
            }
        }
        let names = (0..12).map(|i| format!("item {i}")).collect();
        let counts = Counts::new(600, entries, names);
        let projection = Projection::learn(&counts).expect("enough items");
        let rows: Vec<usize> = (0..counts.rows()).collect();
        let columns = projection.project(&counts, &rows);
        assert_eq!((columns.len(), columns[0].len()), (6, 600));
        let product = |a: usize, b: usize| columns.iter().map(|c| c[a] * c[b]).sum::<f32>();
        assert!(product(0, 2) > 0.3 && product(0, 1).abs() < 0.1);
        assert_eq!(Projection::learn(&counts), Some(projection));
    }

    #[test]
    fn too_few_items_are_no_feature() {
        let counts = Counts::new(9, vec![(0, 0, 1.0)], vec!["a".to_owned()]);
        assert_eq!(Projection::learn(&counts), None);
    }
}
