//! The three models of one fold, and scoring with them.
//!
//! Profiles are dealt into folds by a hash of their id. The models of a fold learn from all other
//! folds, so whoever is scored was never seen by the models that score them: seeds and candidates
//! alike. The fold of a profile can be told again from its id, so a model file scores the same.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::additive::Additive;
use super::encode::Encoded;
use super::random::draw;
use super::tree::{BLOCK_ROWS, Cart, Oblivious, Reorder, UNIT};

/// Folds where seeds are plenty: each model then learns from four fifths of them.
pub(crate) const FOLDS: u32 = 5;

/// Folds where there are fewer than [`FEW_SEEDS`]: each seed counts, so a model learns from nine tenths.
pub(crate) const FOLDS_FEW: u32 = 10;

/// Seeds below which there are [`FOLDS_FEW`] folds.
pub(crate) const FEW_SEEDS: usize = 1_000;

/// The models that are blended.
pub(crate) const PARTS: usize = 3;

/// Their names, in order.
pub(crate) const PART_NAMES: [&str; PARTS] =
    ["logistic regression", "boosted trees", "bagged trees"];

const STREAM: u64 = 0x006c_6f6f_6b61_6c69;

/// How many folds a look-alike of `seeds` seeds has.
pub(crate) const fn folds_for(seeds: usize) -> u32 {
    if seeds < FEW_SEEDS { FOLDS_FEW } else { FOLDS }
}

/// The fold of a profile, of so many.
pub(crate) const fn fold_of(id: u32, folds: u32) -> usize {
    (draw(STREAM, id) % folds as u64) as usize
}

/// What one fold is scored with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct FoldModel {
    /// The logistic regression.
    pub(crate) additive: Additive,
    /// The order of words' bins in both kinds of trees.
    pub(crate) reorder: Reorder,
    /// The boosted trees.
    pub(crate) boosted: Vec<Oblivious>,
    /// The bagged trees.
    pub(crate) bagged: Vec<Cart>,
}

impl FoldModel {
    /// The margins of the rows from `start`, one slice a part, all of the same length.
    pub(crate) fn score(&self, encoded: &Encoded, start: usize, out: [&mut [f32]; PARTS]) {
        let [additive, boosted, bagged] = out;
        self.additive.score(encoded, start, additive);
        let mut moved = vec![Vec::new(); encoded.bins.len()];
        let (mut lines, mut sums) = (Vec::new(), Vec::new());
        let blocks = boosted.chunks_mut(BLOCK_ROWS).zip(bagged.chunks_mut(BLOCK_ROWS));
        for (block, (boosted, bagged)) in blocks.enumerate() {
            let start = start + block * BLOCK_ROWS;
            let columns = self.columns(encoded, start..start + boosted.len(), &mut moved);
            sums.resize(boosted.len(), 0);
            sums.fill(0);
            self.boosted.iter().for_each(|tree| tree.add(&columns, &mut sums));
            finish(&sums, boosted);
            sums.fill(0);
            if !self.bagged.is_empty() {
                row_by_row(&columns, &mut lines);
                self.bagged.iter().for_each(|tree| tree.add(&lines, columns.len(), &mut sums));
            }
            finish(&sums, bagged);
        }
    }

    /// The bins of some rows by feature, words in their new order: those are put into `moved`.
    fn columns<'a>(
        &self,
        encoded: &'a Encoded,
        rows: Range<usize>,
        moved: &'a mut [Vec<u8>],
    ) -> Vec<&'a [u8]> {
        let features = encoded.bins.iter().zip(&self.reorder.0).zip(moved);
        let columns = features.map(|((bins, places), moved)| {
            let bins = &bins[rows.clone()];
            let Some(places) = places else { return bins };
            moved.clear();
            moved.extend(bins.iter().map(|&bin| places[usize::from(bin)]));
            moved.as_slice()
        });
        columns.collect()
    }

    /// The margins of one profile: `bin` and `number` tell its features.
    pub(crate) fn score_one(
        &self,
        bin: impl Fn(usize) -> u8 + Copy,
        number: impl Fn(usize) -> f32,
    ) -> [f32; PARTS] {
        let placed = |feature| self.reorder.place(feature, bin(feature));
        let boosted: i32 = self.boosted.iter().map(|tree| tree.value(placed)).sum();
        let bagged: i32 = self.bagged.iter().map(|tree| tree.value(placed)).sum();
        [self.additive.margin(bin, number), boosted as f32 / UNIT, bagged as f32 / UNIT]
    }
}

/// Puts columns of a block of rows into `lines`, row by row.
fn row_by_row(columns: &[&[u8]], lines: &mut Vec<u8>) {
    let width = columns.len();
    lines.resize(width * columns.first().map_or(0, |bins| bins.len()), 0);
    for (feature, bins) in columns.iter().enumerate() {
        let line = lines.iter_mut().skip(feature).step_by(width);
        line.zip(*bins).for_each(|(slot, &bin)| *slot = bin);
    }
}

fn finish(sums: &[i32], out: &mut [f32]) {
    out.iter_mut().zip(sums).for_each(|(out, sum)| *out = *sum as f32 / UNIT);
}
