//! The three models of one fold, and scoring with them.
//!
//! Profiles are dealt into folds by a hash of their id. The models of a fold learn from all other
//! folds, so whoever is scored was never seen by the models that score them: seeds and candidates
//! alike. The fold of a profile can be told again from its id, so a model file scores the same.

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
        let mut work = Block::new(encoded.bins.len());
        self.additive.score(encoded, start, additive);
        let blocks = boosted.chunks_mut(BLOCK_ROWS).zip(bagged.chunks_mut(BLOCK_ROWS));
        for (block, (boosted, bagged)) in blocks.enumerate() {
            let start = start + block * BLOCK_ROWS;
            work.fill(encoded, &self.reorder, start, boosted.len());
            work.boosted(&self.boosted, boosted);
            work.bagged(&self.bagged, bagged);
        }
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

/// The bins of a block of rows, words in their new order: by column and row by row.
struct Block {
    width: usize,
    rows: usize,
    columns: Vec<Vec<u8>>,
    lines: Vec<u8>,
    sums: Vec<i32>,
}

impl Block {
    fn new(width: usize) -> Self {
        Self {
            width,
            rows: 0,
            columns: vec![Vec::new(); width],
            lines: Vec::new(),
            sums: Vec::new(),
        }
    }

    fn fill(&mut self, encoded: &Encoded, reorder: &Reorder, start: usize, rows: usize) {
        self.rows = rows;
        self.lines.resize(rows * self.width, 0);
        for (feature, column) in self.columns.iter_mut().enumerate() {
            let bins = &encoded.bins[feature][start..start + rows];
            column.clear();
            match &reorder.0[feature] {
                None => column.extend_from_slice(bins),
                Some(places) => column.extend(bins.iter().map(|&bin| places[usize::from(bin)])),
            }
            let line = self.lines.iter_mut().skip(feature).step_by(self.width);
            line.zip(&*column).for_each(|(slot, &bin)| *slot = bin);
        }
    }

    fn boosted(&mut self, trees: &[Oblivious], out: &mut [f32]) {
        self.sums.clear();
        self.sums.resize(self.rows, 0);
        let columns: Vec<&[u8]> = self.columns.iter().map(Vec::as_slice).collect();
        for tree in trees {
            tree.add(&columns, &mut self.sums);
        }
        self.finish(out);
    }

    fn bagged(&mut self, trees: &[Cart], out: &mut [f32]) {
        self.sums.clear();
        self.sums.resize(self.rows, 0);
        for tree in trees {
            tree.add(&self.lines, self.width, &mut self.sums);
        }
        self.finish(out);
    }

    fn finish(&self, out: &mut [f32]) {
        out.iter_mut().zip(&self.sums).for_each(|(out, sum)| *out = *sum as f32 / UNIT);
    }
}
