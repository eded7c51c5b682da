//! The recipe: what is learnt from a seed, the same for every task. No knob needs turning.
//!
//! 1. A training sample: seeds, known negatives, and enough of the others.
//! 2. For each fold, from all other folds: a logistic regression for each penalty of a path, boosted
//!    trees, and, of bags, more trees.
//! 3. The penalty and the number of boosted trees that rank held-out seeds best.
//! 4. Everybody is scored by the models of their own fold, and the three margins are blended.

use std::ops::Range;

use rayon::prelude::*;

use super::additive::{Additive, Terms};
use super::blend::Blend;
use super::boost::{self, Growth, Rows};
use super::curve::Curve;
use super::design::{Design, Line, Part};
use super::encode::{Encoded, Encoder};
use super::fold::{FoldModel, PARTS, fold_of};
use super::forest::{self, Bagging};
use super::linear::Path;
use super::metrics::auc;
use super::random::{chosen, draw};
use super::report::Stability;
use super::tree::{BLOCK_ROWS, Reorder, UNIT};

/// Penalties of the logistic regression, strongest first.
const PENALTIES: [f64; 6] = [3_000.0, 1_000.0, 300.0, 100.0, 30.0, 5.0];

/// Numbers of boosted trees that are tried.
const TREE_COUNTS: [usize; 4] = [50, 100, 200, 300];

/// Others in the training sample, for each seed and at least. More do not help: on bank, where there
/// are sixteen for each seed, half of them rank the hidden ones as well as all (AUC .7356 and .7357).
const OTHERS_PER_SEED: usize = 3;
const OTHERS_MIN: usize = 20_000;

/// Seeds that are learnt from at most, and known negatives; of more, so many are drawn. Ranks no longer
/// move with so many, and the sample stays in memory whatever the seed. All seeds measure the lift.
const SEEDS_MAX: usize = 50_000;

/// Seeds, and others, that a boosted tree sees about, where there are plenty. On the three public tasks
/// and three made ones a tree that saw a half or a quarter of 20,000 others, each counting for as many,
/// was as good (AUC within .001 but for one, within .002).
const TREE_ROWS: f64 = 5_000.0;

/// The same below [`DEEP_SEEDS`], where more cost little, and what a fit has of chance counts for more.
const TREE_ROWS_FEW: f64 = 8_000.0;

/// Seeds below which boosted trees ask three questions instead of four.
const DEEP_SEEDS: usize = 1_000;

/// Rows that the curve of scores is made of.
pub(crate) const CURVE_ROWS: usize = 1 << 18;

const SAMPLE_STREAM: u64 = 0x0073_616d_706c_6500;
const CURVE_STREAM: u64 = 0x0063_7572_7665_0000;
const BOOST_STREAM: u64 = 0x0062_6f6f_7374_0000;
const BAG_STREAM: u64 = 0x0062_6167_0000_0000;
const HALF_STREAM: u64 = 0x0068_616c_6600_0000;

/// What a profile is to a look-alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It may become a member.
    Candidate,
    /// It is known to belong.
    Seed,
    /// It is known not to belong.
    Negative,
    /// It may not become a member, whatever its score.
    Excluded,
}

/// Rows that are learnt from: fold by fold, ascending ids within a fold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample {
    /// The profiles.
    pub(crate) ids: Vec<u32>,
    /// What each of them is.
    pub(crate) roles: Vec<Role>,
    /// Their features.
    pub(crate) encoded: Encoded,
}

/// What is to be learnt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Problem<'a> {
    /// How columns were encoded.
    pub(crate) encoder: &'a Encoder,
    /// The rows that are learnt from.
    pub(crate) sample: &'a Sample,
    /// The folds.
    pub(crate) folds: u32,
    /// How many of everybody are what.
    pub(crate) census: Census,
}

/// How many profiles are what.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Census {
    /// Seeds.
    pub(crate) seeds: usize,
    /// Known negatives.
    pub(crate) negatives: usize,
    /// Candidates.
    pub(crate) candidates: usize,
    /// All.
    pub(crate) all: usize,
}

impl Census {
    /// Of `roles`.
    pub(crate) fn of(roles: &[Role]) -> Self {
        let count = |role| roles.iter().filter(|r| **r == role).count();
        Self {
            seeds: count(Role::Seed),
            negatives: count(Role::Negative),
            candidates: count(Role::Candidate),
            all: roles.len(),
        }
    }

    /// Whether a profile is learnt from where `seeds` of the seeds are.
    fn samples(&self, seeds: usize) -> impl Fn(u32, Role) -> bool + Copy {
        let wanted = (seeds.min(SEEDS_MAX) * OTHERS_PER_SEED).max(OTHERS_MIN);
        let rate = |wanted: usize, of: usize| wanted as f64 / of.max(1) as f64;
        let seed_rate = rate(SEEDS_MAX, self.seeds);
        let negative_rate = rate(SEEDS_MAX, self.negatives);
        let other_rate = rate(wanted, self.all - seeds);
        move |id, role| {
            let rate = match role {
                Role::Seed => seed_rate,
                Role::Negative => negative_rate,
                Role::Candidate | Role::Excluded => other_rate,
            };
            rate >= 1.0 || chosen(draw(SAMPLE_STREAM, id), rate)
        }
    }

    /// Whether a profile is learnt from.
    pub(crate) fn sampled(&self) -> impl Fn(u32, Role) -> bool + Copy {
        self.samples(self.seeds)
    }
}

/// Rows as trees read them.
struct Binned {
    /// The bins, row by row, words put into the order of their seed rate.
    bins: Vec<u8>,
    /// How many bins each feature has.
    bin_counts: Vec<usize>,
    /// That order.
    reorder: Reorder,
}

impl Problem<'_> {
    /// The places of a fold in the sample.
    fn rows_of_fold(&self, fold: usize) -> Range<usize> {
        let ids = &self.sample.ids;
        let place = |fold: usize| ids.partition_point(|id| fold_of(*id, self.folds) < fold);
        place(fold)..place(fold + 1)
    }

    /// `rows` as trees read them, in the order that `is_seed` teaches.
    fn binned(&self, rows: &[u32], is_seed: &[bool]) -> Binned {
        let mut bins = self.sample.encoded.rows_of(rows);
        let features = &self.encoder.features;
        let words: Vec<Option<usize>> =
            features.iter().map(|f| f.is_word().then(|| f.bins())).collect();
        let bin_counts = features.iter().map(super::encode::Feature::bins).collect();
        let reorder = Reorder::learn(&bins, is_seed, &words);
        reorder.apply(&mut bins);
        Binned { bins, bin_counts, reorder }
    }
}

/// What was learnt, and what it chose on held-out seeds.
#[derive(Debug, Clone)]
pub(crate) struct Learnt {
    /// The models of each fold.
    pub(crate) folds: Vec<FoldModel>,
    /// How they are blended.
    pub(crate) blend: Blend,
    /// The penalty that was chosen.
    pub(crate) penalty: f64,
    /// The number of boosted trees that was chosen.
    pub(crate) boosted_trees: usize,
    /// Rows of the training sample.
    pub(crate) sample_rows: usize,
}

/// What one fold's training left: a model for each choice, and the margins of the held-out rows of
/// the sample for each.
struct FoldWork {
    lines: Vec<Line>,
    model: FoldModel,
    held_additive: Vec<Vec<f32>>,
    held_boosted: Vec<Vec<f32>>,
    held_bagged: Vec<f32>,
}

/// Learns.
pub(crate) fn learn(problem: &Problem<'_>) -> Learnt {
    let Problem { encoder, sample, folds, census } = *problem;
    let rows: Vec<u32> = (0..sample.ids.len() as u32).collect();
    let is_seed: Vec<bool> = sample.roles.iter().map(|role| *role == Role::Seed).collect();
    let terms = Terms::new(encoder, &sample.encoded, &rows);
    let design = terms.design(encoder, &sample.encoded, &rows, is_seed.clone());
    let trainer = Trainer {
        problem,
        rows: &rows,
        is_seed: &is_seed,
        terms: &terms,
        path: &Path::new(&design, &PENALTIES),
        design: &design,
        growth: growth(census.seeds, rows.len()),
        bagging: bagging(census.seeds, census.all),
    };
    let folds: Vec<FoldWork> =
        (0..folds as usize).into_par_iter().map(|fold| trainer.fold(fold)).collect();
    trainer.choose(folds)
}

fn growth(seeds: usize, rows: usize) -> Growth {
    let tree_rows = if seeds < DEEP_SEEDS { TREE_ROWS_FEW } else { TREE_ROWS };
    let share = |count: usize| (tree_rows / count.max(1) as f64).clamp(0.2, 0.8);
    Growth {
        trees: TREE_COUNTS[TREE_COUNTS.len() - 1],
        depth: if seeds < DEEP_SEEDS { 3 } else { 4 },
        rate: 0.03,
        l2: 10.0,
        feature_share: 0.5,
        seed_share: share(seeds),
        other_share: share(rows.saturating_sub(seeds)),
    }
}

fn bagging(seeds: usize, rows: usize) -> Bagging {
    Bagging {
        // More trees even out the draws of bags; fewer are enough where bags are large, and there
        // everybody has to walk them.
        trees: if rows < 200_000 { 100 } else { 50 },
        // Noise in a leaf falls with the root of its rows, so leaves grow with the root of seeds.
        leaf_rows: ((0.75 * (seeds as f64).sqrt()).round() as usize).max(5),
        depth: 16,
        seeds_max: 10_000,
    }
}

struct Trainer<'a> {
    problem: &'a Problem<'a>,
    rows: &'a [u32],
    is_seed: &'a [bool],
    terms: &'a Terms,
    design: &'a Design,
    path: &'a Path,
    growth: Growth,
    bagging: Bagging,
}

impl Trainer<'_> {
    /// The places in the sample that fold `fold` holds out.
    fn held(&self, fold: usize) -> Range<usize> {
        self.problem.rows_of_fold(fold)
    }

    /// `all` of the sample without those held out.
    fn without<T: Copy>(all: &[T], held: &Range<usize>) -> Vec<T> {
        let (before, behind) = (&all[..held.start], &all[held.end..]);
        before.iter().chain(behind).copied().collect()
    }

    fn fold(&self, fold: usize) -> FoldWork {
        let held = self.held(fold);
        let is_seed = Self::without(self.is_seed, &held);
        let lines = self.path.fit(&Part { design: self.design, held: held.clone() });
        let margins = |line| self.design.margins(line, held.clone());
        let held_additive = lines.iter().map(margins).collect();
        let binned = self.problem.binned(&Self::without(self.rows, &held), &is_seed);
        let Binned { bins, bin_counts, reorder } = binned;
        let train = Rows { bins: &bins, bin_counts: &bin_counts, seeds: &is_seed };
        let boosted = boost::grow(&train, &self.growth, BOOST_STREAM + fold as u64);
        let bagged = forest::grow(&train, &self.bagging, BAG_STREAM + fold as u64);
        let mut held_bins = self.problem.sample.encoded.rows_of(&self.rows[held]);
        reorder.apply(&mut held_bins);
        let width = bin_counts.len();
        let held_rows = || held_bins.chunks_exact(width);
        let mut held_boosted = vec![Vec::new(); TREE_COUNTS.len()];
        for row in held_rows() {
            let (mut sum, mut done) = (0, 0);
            for (&count, margins) in TREE_COUNTS.iter().zip(&mut held_boosted) {
                sum += boosted[done..count].iter().map(|t| t.value(|f| row[f])).sum::<i32>();
                done = count;
                margins.push(sum as f32 / UNIT);
            }
        }
        let bagged_margin =
            |row: &[u8]| bagged.iter().map(|t| t.value(|f| row[f])).sum::<i32>() as f32 / UNIT;
        FoldWork {
            held_bagged: held_rows().map(bagged_margin).collect(),
            lines,
            model: FoldModel { additive: Additive::default(), reorder, boosted, bagged },
            held_additive,
            held_boosted,
        }
    }

    /// The choices that rank held-out seeds best, and the blend of what they leave.
    fn choose(&self, folds: Vec<FoldWork>) -> Learnt {
        let together = |pick: &dyn Fn(&FoldWork) -> &Vec<f32>| -> Vec<f32> {
            folds.iter().flat_map(pick).copied().collect()
        };
        let best = |choices: Vec<Vec<f32>>| -> (usize, Vec<f32>) {
            let scored = choices.into_par_iter().map(|c| (auc(&c, self.is_seed), c));
            let scored: Vec<(f64, Vec<f32>)> = scored.collect();
            let mut best = 0;
            for at in 1..scored.len() {
                // The simpler choice stays unless the other is truly better.
                if scored[at].0 > scored[best].0 + 1e-6 {
                    best = at;
                }
            }
            let mut scored = scored;
            (best, scored.swap_remove(best).1)
        };
        let additive = (0..PENALTIES.len()).map(|at| together(&|f| &f.held_additive[at])).collect();
        let boosted = (0..TREE_COUNTS.len()).map(|at| together(&|f| &f.held_boosted[at])).collect();
        let (penalty, additive) = best(additive);
        let (trees, boosted) = best(boosted);
        let bagged = together(&|f| &f.held_bagged);
        let (blend, _aucs) =
            Blend::learn([&additive, &boosted, &bagged], self.is_seed, self.bagging.trees);
        let finish = |work: FoldWork| {
            let mut model = work.model;
            model.boosted.truncate(TREE_COUNTS[trees]);
            model.additive = self.terms.model(self.problem.encoder, &work.lines[penalty]);
            // What counts nothing need not be kept, nor walked.
            if blend.weights[1] < NEGLIGIBLE {
                model.boosted.clear();
            }
            if blend.weights[2] < NEGLIGIBLE {
                model.bagged.clear();
            }
            model
        };
        Learnt {
            blend: blend.without_negligible(NEGLIGIBLE),
            folds: folds.into_iter().map(finish).collect(),
            penalty: PENALTIES[penalty],
            boosted_trees: TREE_COUNTS[trees],
            sample_rows: self.rows.len(),
        }
    }
}

/// The weight below which a part is left out.
const NEGLIGIBLE: f32 = 0.005;

/// How alike two look-alikes are that are learnt from two halves of the seed. What is learnt is a lighter
/// model, without bags and with the choices of the whole; it is compared on `others`, candidates of the
/// first fold, which neither half saw.
pub(crate) fn stability(problem: &Problem<'_>, learnt: &Learnt, others: &Encoded) -> Stability {
    const BEST_SHARE: f64 = 0.1;
    let halves: Vec<Vec<u32>> = [0, 1]
        .into_par_iter()
        .map(|half| {
            let scores = half_scores(problem, learnt, others, half);
            let wanted = (others.rows as f64 * BEST_SHARE).ceil() as usize;
            super::top::top(&scores, |_| true, |row| row as u64, wanted)
        })
        .collect();
    let second: std::collections::HashSet<u32> = halves[1].iter().copied().collect();
    let shared = halves[0].iter().filter(|row| second.contains(row)).count();
    Stability {
        overlap_share: shared as f64 / halves[0].len().max(1) as f64,
        by_chance: BEST_SHARE,
    }
}

/// The scores of `others` by a model of one half of the seed.
fn half_scores(problem: &Problem<'_>, learnt: &Learnt, others: &Encoded, half: u64) -> Vec<f32> {
    let Problem { encoder, sample, census, .. } = *problem;
    let held = problem.rows_of_fold(0);
    let sampled = census.samples(census.seeds / 2);
    let in_half = |row: &u32| {
        let (row, id) = (*row as usize, sample.ids[*row as usize]);
        let role = sample.roles[row];
        let own = role != Role::Seed || draw(HALF_STREAM, id) % 2 == half;
        !held.contains(&row) && own && sampled(id, role)
    };
    let rows: Vec<u32> = (0..sample.ids.len() as u32).filter(in_half).collect();
    let is_seed: Vec<bool> =
        rows.iter().map(|&row| sample.roles[row as usize] == Role::Seed).collect();
    let seeds = is_seed.iter().filter(|s| **s).count();
    let terms = Terms::new(encoder, &sample.encoded, &rows);
    let design = terms.design(encoder, &sample.encoded, &rows, is_seed.clone());
    let line = Path::new(&design, &[learnt.penalty]).fit(&design.whole()).swap_remove(0);
    let line = terms.model(encoder, &line);
    let mut growth = growth(seeds, rows.len());
    growth.trees = learnt.boosted_trees;
    let Binned { bins, bin_counts, reorder } = problem.binned(&rows, &is_seed);
    let train = Rows { bins: &bins, bin_counts: &bin_counts, seeds: &is_seed };
    let model = FoldModel {
        additive: line,
        reorder,
        boosted: boost::grow(&train, &growth, HALF_STREAM + half),
        bagged: Vec::new(),
    };
    let mut scores = vec![0.0; others.rows];
    score_run((&model, &learnt.blend.without_bags()), others, 0, &mut scores);
    scores
}

/// Scores the rows from `start` by the models of their fold.
fn score_run(
    (model, blend): (&FoldModel, &Blend),
    encoded: &Encoded,
    start: usize,
    out: &mut [f32],
) {
    /// Rows a task scores.
    const TASK_ROWS: usize = 32 * BLOCK_ROWS;
    out.par_chunks_mut(TASK_ROWS).enumerate().for_each(|(at, part)| {
        let mut margins = [const { Vec::new() }; PARTS];
        for margins in &mut margins {
            margins.resize(part.len(), 0.0);
        }
        let [a, b, c] = &mut margins;
        model.score(encoded, start + at * TASK_ROWS, [a, b, c]);
        for (row, score) in part.iter_mut().enumerate() {
            *score = blend.score([margins[0][row], margins[1][row], margins[2][row]]);
        }
    });
}

/// Scores a chunk's rows, each by the models of its own fold; `runs` are the rows of each fold within the
/// chunk.
pub(crate) fn score(
    folds: &[FoldModel],
    blend: &Blend,
    encoded: &Encoded,
    runs: &[Range<usize>],
    out: &mut [f32],
) {
    let mut rest = out;
    let mut tasks = Vec::new();
    let mut by_start: Vec<(&Range<usize>, &FoldModel)> = runs.iter().zip(folds).collect();
    by_start.sort_by_key(|(run, _)| (run.start, run.end));
    for (run, model) in by_start {
        let (own, behind) = rest.split_at_mut(run.len());
        rest = behind;
        tasks.push((model, run.start, own));
    }
    tasks
        .into_par_iter()
        .for_each(|(model, start, own)| score_run((model, blend), encoded, start, own));
}

/// Where a score lies among those of candidates.
pub(crate) fn curve(scores: &[f32], roles: &[Role], ids: &[u32]) -> Curve {
    let candidates = roles.iter().filter(|r| **r == Role::Candidate).count();
    let rate = CURVE_ROWS as f64 / candidates.max(1) as f64;
    let picked = |row: &usize| {
        roles[*row] == Role::Candidate
            && (rate >= 1.0 || chosen(draw(CURVE_STREAM, ids[*row]), rate))
    };
    let mut picked: Vec<f32> = (0..scores.len()).filter(picked).map(|row| scores[row]).collect();
    Curve::of(&mut picked)
}
