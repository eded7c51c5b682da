//! The stages of a look-alike one by one over made-up columns, for benches. No command calls it.

use std::hint::black_box;

use rayon::prelude::*;

use crate::membership::{Mask, Membership};
use crate::model::ProfileId;

use super::additive::{LINE_ROWS, add_scaled};
use super::encode::{Encoded, Encoder};
use super::fold::{fold_of, folds_for};
use super::frame::{Column, Frame};
use super::layout::Layout;
use super::random::{Dice, draw};
use super::recipe::{Census, Learnt, Problem, Role, Sample, learn, score};
use super::tree::{BLOCK_ROWS, Oblivious};

/// Columns of normal draws, encoded; a seed that the first four tell of.
#[derive(Debug)]
pub struct Kernels {
    encoder: Encoder,
    encoded: Encoded,
    layout: Layout,
    roles: Vec<Role>,
    weights: Vec<f32>,
    trees: Vec<Oblivious>,
    scores: Vec<f32>,
}

fn frame(rows: usize, features: usize) -> Frame {
    let column = |feature: usize| {
        let values = (0..rows as u32).map(|row| {
            // The sum of four even draws is normal enough, and quick.
            let draw = draw(feature as u64, row);
            let part = |shift: u32| (draw >> shift & 0xffff) as f32 / 65_536.0 - 0.5;
            1.7 * (part(0) + part(16) + part(32) + part(48))
        });
        Column::numbers(format!("f{feature}"), values.collect())
    };
    Frame { rows, columns: (0..features).into_par_iter().map(column).collect() }
}

impl Kernels {
    /// `rows` profiles with `features` features, of which about `seeds` are in the seed.
    pub fn new(rows: usize, features: usize, seeds: usize) -> Self {
        let frame = frame(rows, features);
        let ids: Vec<u32> = (0..rows as u32).collect();
        let (encoder, ..) = Encoder::learn(&frame);
        let encoded = encoder.encode(rows, frame.columns);
        let rate = seeds as f32 / rows as f32;
        let role = |row: usize| {
            let hint: f32 = encoded.numbers.iter().take(4).map(|numbers| numbers[row]).sum();
            let chance = rate * (0.7 * hint - 0.98).exp();
            let picked = super::random::unit(draw(999, row as u32)) < f64::from(chance);
            if picked { Role::Seed } else { Role::Candidate }
        };
        let roles = (0..rows).map(role).collect();
        let mut dice = Dice::new(12);
        let weights: Vec<f32> = (0..features).map(|_| dice.normal() as f32).collect();
        let question = |dice: &mut Dice| (dice.below(features) as u16, dice.below(60) as u8 + 2);
        let trees = (0..100)
            .map(|_| Oblivious {
                levels: (0..5).map(|_| question(&mut dice)).collect(),
                leaves: (0..32).map(|_| super::tree::fixed(dice.normal())).collect(),
            })
            .collect();
        let mut made = Self {
            layout: Layout::new(&ids),
            encoder,
            encoded,
            roles,
            weights,
            trees,
            scores: vec![0.0; rows],
        };
        let mut scores = std::mem::take(&mut made.scores);
        made.linear(&mut scores);
        made.scores = scores;
        made
    }

    /// Learns an encoding of as many fresh columns, and encodes them; the bytes that it takes.
    pub fn encode(&self) -> usize {
        let frame = frame(self.encoded.rows, self.encoder.features.len());
        let (encoder, ..) = Encoder::learn(&frame);
        let encoded = encoder.encode(self.encoded.rows, frame.columns);
        encoded.bins.iter().map(|bins| bins.len()).sum::<usize>() * 5
    }

    /// One weight a column: the kernel of the logistic regression, on the numbers as they lie.
    pub fn linear(&self, out: &mut [f32]) {
        out.par_chunks_mut(LINE_ROWS).enumerate().for_each(|(block, out)| {
            let start = block * LINE_ROWS;
            out.fill(0.0);
            let columns = self.encoded.numbers.iter().zip(&self.weights);
            let columns: Vec<(f32, &[f32])> = columns
                .map(|(numbers, weight)| (*weight, &numbers[start..start + out.len()]))
                .collect();
            add_scaled(&columns, out);
        });
    }

    /// A hundred trees of 32 leaves, on the bins as they lie.
    pub fn trees(&self, out: &mut [i32]) {
        out.par_chunks_mut(BLOCK_ROWS).enumerate().for_each(|(block, out)| {
            let start = block * BLOCK_ROWS;
            out.fill(0);
            let columns: Vec<&[u8]> =
                self.encoded.bins.iter().map(|bins| &bins[start..start + out.len()]).collect();
            for tree in &self.trees {
                tree.add(&columns, out);
            }
        });
    }

    /// The rows of the best `count` scores.
    pub fn top(&self, count: usize) -> Vec<u32> {
        super::top::top(&self.scores, |_| true, |row| draw(1, row as u32), count)
    }

    /// The profiles of the best `count` scores, as a set.
    pub fn top_set(&self, count: usize) -> Membership {
        let mut mask = Mask::new();
        let ids = self.top(count).into_iter().map(|row| self.layout.ids[row as usize]);
        ids.filter_map(ProfileId::new).for_each(|id| mask.insert(id));
        mask.to_membership()
    }

    /// Learns from the seed; what it learnt is opaque.
    pub fn learn(&self) -> Lesson {
        let census = Census::of(&self.roles);
        let folds = folds_for(census.seeds);
        let sampled = census.sampled();
        let ids = &self.layout.ids;
        let is_sampled = |row: &u32| sampled(ids[*row as usize], self.roles[*row as usize]);
        let mut rows: Vec<u32> = (0..ids.len() as u32).filter(is_sampled).collect();
        rows.sort_by_cached_key(|row| (fold_of(ids[*row as usize], folds), ids[*row as usize]));
        let sample = Sample {
            ids: rows.iter().map(|row| ids[*row as usize]).collect(),
            roles: rows.iter().map(|row| self.roles[*row as usize]).collect(),
            encoded: self.encoded.at(&rows),
        };
        Lesson(learn(&Problem { encoder: &self.encoder, sample: &sample, folds, census }))
    }

    /// Scores everybody by what was learnt.
    pub fn score(&self, Lesson(learnt): &Lesson, out: &mut [f32]) {
        let folds = learnt.folds.len() as u32;
        for chunk in 0..self.layout.chunks() {
            let own = self.layout.chunk(chunk);
            let runs: Vec<_> = self.layout.runs(chunk, folds).collect();
            score(&learnt.folds, &learnt.blend, &self.encoded, &runs, &mut out[own]);
        }
    }

    /// Encodes, learns, scores, and takes the best `count`: how many they are.
    pub fn whole(&self, count: usize) -> u64 {
        black_box(self.encode());
        let mut scores = vec![0.0; self.encoded.rows];
        self.score(&self.learn(), &mut scores);
        black_box(scores);
        self.top_set(count).len()
    }
}

/// What was learnt from a seed.
#[derive(Debug)]
pub struct Lesson(Learnt);
