//! The part of a look-alike that runs no query: encoded columns in, audience out. Runs on the threads that
//! its caller gives it, and says the same on any number of them.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::membership::{Mask, Membership};
use crate::model::{ProfileId, millis_since};

use super::blend::Blend;
use super::columns::Columns;
use super::curve::Curve;
use super::encode::{Encoded, Encoder};
use super::everybody::{Everybody, Shelves};
use super::fair::{Groups, Selection};
use super::features::LeftOut;
use super::fold::{FoldModel, fold_of, folds_for};
use super::leaks::telltales;
use super::lift::{Banded, HeldOut, auc_band};
use super::model::{Lineage, Model};
use super::reasons::{Factor, factors};
use super::recipe::{
    CURVE_ROWS, Census, Learnt, Problem, Role, Sample, curve, learn, score, stability,
};
use super::report::{Fairness, LiftBands, Lifts, Metrics, Report, Stability};
use super::run::{Found, Request, SEEDS_FEW, Scores};
use super::shelf::{Depth, Shelf};
use super::survey::{Count, Survey, all_bins, all_members};
use super::why::Asked;

/// Factors that are told; the others say little.
const FACTORS_MAX: usize = 12;

/// The AUC of a guess.
const CHANCE: f64 = 0.5;

/// What the work is on.
pub(super) struct Work {
    pub(super) request: Arc<Request>,
    pub(super) shelves: Shelves,
    pub(super) roles: Vec<Role>,
    pub(super) told: Told,
    pub(super) started: Instant,
    pub(super) stages: Vec<(String, u64)>,
}

/// What the user is told of features.
pub(super) struct Told {
    pub(super) left_out: Vec<LeftOut>,
    pub(super) notes: Vec<String>,
    pub(super) reused: Vec<String>,
}

impl Told {
    /// What the shelves say by themselves.
    pub(super) fn of(shelves: &[Shelf]) -> Self {
        let reused = shelves.iter().filter(|shelf| shelf.reused);
        Self {
            left_out: shelves.iter().flat_map(|shelf| shelf.head.left_out.clone()).collect(),
            notes: shelves.iter().flat_map(|shelf| shelf.head.notes.clone()).collect(),
            reused: reused.map(|shelf| shelf.name.clone()).collect(),
        }
    }
}

/// Milliseconds by stage.
struct Watch {
    last: u64,
    started: Instant,
    stages: Vec<(String, u64)>,
}

impl Watch {
    fn stage(&mut self, name: &str) {
        let now = millis_since(self.started);
        self.stages.push((name.to_owned(), now - self.last));
        self.last = now;
    }
}

/// A model, and everybody's scores by it.
struct Ready<'a> {
    everybody: Everybody<'a>,
    counts: Vec<Vec<Count>>,
    model: Box<Model>,
    scores: Vec<f32>,
    held: HeldOut,
    stability: Option<Stability>,
}

impl Work {
    /// Does it.
    ///
    /// # Errors
    /// Where a column that was asked for is none, nobody is left to become a member, no feature is left, or
    /// encoded features are lost.
    pub(super) fn done(self) -> Result<Found> {
        let Self { request, mut shelves, roles, mut told, started, stages } = self;
        shelves.shelves.iter_mut().try_for_each(Shelf::hold)?;
        let last = stages.iter().map(|(_, ms)| ms).sum();
        let mut watch = Watch { last, started, stages };
        let columns = Columns::choose(&shelves, &request, &mut told.left_out)?;
        let census = Census::of(&roles);
        if census.candidates == 0 {
            return Err(Error::input("no candidates are left")
                .with_hint("everybody is in the seed or in an excluded segment"));
        }
        let place = Place { request: &request, shelves: &shelves, roles: &roles, census };
        let ready = match request.model.clone() {
            Some(model) => place.rescore(model, &columns, &mut told, &mut watch)?,
            None => place.learn(&columns, &mut told, &mut watch)?,
        };
        let from = |least: f64| place.count_from(&ready, least);
        let size = request.size.members(census.candidates as u64, &ready.held, from)?;
        let ids = &shelves.layout.ids;
        let selection = Selection { scores: &ready.scores, roles: &roles, ids, size };
        let sensitive = shelves.choose(columns.sensitive.iter().map(String::as_str));
        let (chosen, fairness) = select(&selection, &sensitive, &request)?;
        watch.stage("select");
        place.found(ready, &chosen, (told, fairness), watch)
    }
}

/// The best rows, re-ranked where that was asked for, and how the groups of sensitive columns fare.
fn select(
    selection: &Selection<'_>,
    sensitive: &Everybody<'_>,
    request: &Request,
) -> Result<(Vec<u32>, Vec<Fairness>)> {
    let columns = sensitive.encoder.features.iter().zip(all_bins(sensitive)?);
    let groups: Vec<Groups> = columns.map(|(feature, bins)| Groups::new(feature, bins)).collect();
    let even = request.four_fifths.as_deref().map(|wanted| {
        groups.iter().find(|g| g.column() == wanted).ok_or_else(|| {
            Error::input(format!("column {wanted} has one value only: no groups to re-rank by"))
        })
    });
    let even = even.transpose()?;
    let chosen = even.map_or_else(|| selection.best(), |groups| selection.best_by_group(groups));
    let fairness = groups.iter().map(|g| {
        let reranked = even.is_some_and(|even| std::ptr::eq(even, g));
        selection.fairness(g, &chosen, reranked)
    });
    let fairness = fairness.collect();
    Ok((chosen, fairness))
}

fn describe(model: &Model) -> String {
    let parts = model.lineage.weights.iter().filter(|(_, weight)| *weight > 0.0);
    let parts: Vec<String> =
        parts.map(|(name, weight)| format!("{name} {:.0} %", weight * 100.0)).collect();
    parts.join(", ")
}

fn absent_note(absent: &[String]) -> Option<String> {
    (!absent.is_empty()).then(|| {
        format!(
            "the model knows features that are not there, and takes them as missing: {}",
            absent.join(", ")
        )
    })
}

/// Says so where held-out seeds may as well have been found by chance.
fn chance_note(metrics: &Metrics) -> Option<String> {
    let Banded { value, low, high } = metrics.auc_band;
    (low <= CHANCE).then(|| {
        format!(
            "nothing shows that these features tell the seed from the others: its AUC is {value:.2} ({low:.2} to {high:.2}), \
             and guessing has {CHANCE}; before you use the audience, widen the seed or write queries in sql/features that say more"
        )
    })
}

struct Place<'a> {
    request: &'a Request,
    shelves: &'a Shelves,
    roles: &'a [Role],
    census: Census,
}

impl<'a> Place<'a> {
    fn learn(&self, columns: &Columns, told: &mut Told, watch: &mut Watch) -> Result<Ready<'a>> {
        told.left_out.extend(columns.useless.iter().cloned());
        let folds = folds_for(self.census.seeds);
        let everybody = self.shelves.choose(columns.used.iter().map(String::as_str));
        let wanted = self.wanted(folds);
        let mut survey = Survey::of(&everybody, self.roles, &wanted.all)?;
        let everybody = self.without_telltales(everybody, &mut survey, &mut told.left_out);
        let encoder = everybody.encoder.clone();
        Self::check_features(&encoder, &told.left_out)?;
        watch.stage("survey");
        let sample = wanted.sample(&survey, &self.shelves.layout.ids, self.roles);
        let others = survey.wanted.at(&wanted.places(&wanted.others));
        survey.wanted = Encoded::default();
        let census = self.census;
        let problem = Problem { encoder: &encoder, sample: &sample, folds, census };
        let learnt = learn(&problem);
        watch.stage("learn");
        let stability = stability(&problem, &learnt, &others);
        watch.stage("stability");
        drop((sample, others));
        let Learnt { folds, blend, sample_rows, .. } = learnt;
        let scores = self.score(&everybody, &folds, &blend)?;
        watch.stage("score");
        let curve = curve(&scores, self.roles, &self.shelves.layout.ids);
        let held = self.held(&scores, &curve);
        let metrics = self.metrics(&held);
        let lineage = self.lineage(held.seeds(), sample_rows);
        let tastes = self.shelves.shelves.iter().find_map(|shelf| shelf.head.projection.clone());
        let steps = held.steps();
        let model = Model::new(lineage, metrics, encoder, tastes, folds, blend, curve, steps);
        if self.census.seeds < SEEDS_FEW as usize {
            told.notes.push(format!(
                "{} seeds are few: expect the lift to differ from what is told here, and see its bands",
                self.census.seeds
            ));
        }
        watch.stage("measure");
        let (model, stability) = (Box::new(model), Some(stability));
        Ok(Ready { everybody, counts: survey.counts, model, scores, held, stability })
    }

    /// Scores everybody with a model that is there already.
    fn rescore(
        &self,
        model: Box<Model>,
        columns: &Columns,
        told: &mut Told,
        watch: &mut Watch,
    ) -> Result<Ready<'a>> {
        let (everybody, absent) = self.shelves.choose_for(&model.encoder, &columns.used);
        told.notes.extend(absent_note(&absent));
        let counts = Survey::of(&everybody, self.roles, &[])?.counts;
        watch.stage("survey");
        let scores = self.score(&everybody, &model.folds, &model.blend)?;
        watch.stage("score");
        let held = self.held(&scores, &model.curve);
        Ok(Ready { everybody, counts, model, scores, held, stability: None })
    }

    /// The rows that are taken out of all: those that are learnt from, and candidates of the first fold.
    fn wanted(&self, folds: u32) -> Wanted {
        let ids = &self.shelves.layout.ids;
        let sampled = self.census.sampled();
        let rows = 0..ids.len() as u32;
        let is_sampled = |row: &u32| sampled(ids[*row as usize], self.roles[*row as usize]);
        let mut sample: Vec<u32> = rows.clone().into_par_iter().filter(is_sampled).collect();
        let is_other = |row: &u32| {
            let row = *row as usize;
            self.roles[row] == Role::Candidate && fold_of(ids[row], folds) == 0
        };
        let others: Vec<u32> = rows.filter(is_other).take(CURVE_ROWS).collect();
        let mut all = sample.clone();
        all.extend(&others);
        all.sort_unstable();
        all.dedup();
        sample.sort_by_cached_key(|row| {
            let id = ids[*row as usize];
            (fold_of(id, folds), id)
        });
        Wanted { all, sample, others }
    }

    fn without_telltales(
        &self,
        everybody: Everybody<'a>,
        survey: &mut Survey,
        left_out: &mut Vec<LeftOut>,
    ) -> Everybody<'a> {
        let mut gone = Vec::new();
        for (at, auc) in telltales(&everybody.encoder, &survey.counts).into_iter().rev() {
            let name = &everybody.encoder.features[at].name;
            if self.request.keep_columns.contains(name) {
                continue;
            }
            left_out.push(LeftOut {
                column: name.clone(),
                why: format!(
                    "alone it tells the seed with an AUC of {auc:.3}: it gives the answer away"
                ),
            });
            survey.counts.remove(at);
            survey.wanted.bins.remove(at);
            survey.wanted.numbers.remove(at);
            gone.push(at);
        }
        everybody.without(&gone)
    }

    fn check_features(encoder: &Encoder, left_out: &[LeftOut]) -> Result<()> {
        if !encoder.features.is_empty() {
            return Ok(());
        }
        let mut error = Error::input("no feature is left to learn from")
            .with_hint("write queries in sql/features that return profile_id and columns about it");
        for out in left_out.iter().take(3) {
            error = error.with_hint(format!("{} was left out: {}", out.column, out.why));
        }
        Err(error)
    }

    /// Everybody's scores, a chunk at a time.
    fn score(
        &self,
        everybody: &Everybody<'_>,
        folds: &[FoldModel],
        blend: &Blend,
    ) -> Result<Vec<f32>> {
        let layout = &self.shelves.layout;
        let mut scores = vec![0.0; layout.len()];
        everybody.each(Depth::All, |chunk, encoded| {
            let rows = layout.chunk(chunk);
            let runs: Vec<Range<usize>> = layout
                .runs(chunk, folds.len() as u32)
                .map(|run| run.start - rows.start..run.end - rows.start)
                .collect();
            score(folds, blend, encoded, &runs, &mut scores[rows]);
        })?;
        Ok(scores)
    }

    fn lineage(&self, seeds: usize, sample_rows: usize) -> Lineage {
        Lineage {
            seed: self.request.seed.clone(),
            seeds: seeds as u64,
            as_of: self.request.as_of.to_string(),
            store_version: self.request.store_version,
            features: self.request.queries.0.iter().map(|q| q.name.clone()).collect(),
            negatives: self.request.negatives.iter().map(|(name, _)| name.clone()).collect(),
            sample_rows: sample_rows as u64,
            weights: Vec::new(),
            standing: None,
        }
    }

    fn held(&self, scores: &[f32], curve: &Curve) -> HeldOut {
        let seeds = (0..scores.len()).filter(|&row| self.roles[row] == Role::Seed);
        let candidates = self.census.candidates as u64;
        HeldOut::new(seeds.map(|row| curve.share(scores[row])), candidates)
    }

    fn metrics(&self, held: &HeldOut) -> Metrics {
        let (auc, average_precision) = held.quality();
        let [one, five, ten] = [0.01, 0.05, 0.1].map(|share| held.reach(share).lift);
        Metrics {
            auc,
            auc_band: auc_band(auc, held.seeds() as f64, self.census.candidates as f64),
            average_precision,
            lift: Lifts { at_1: one.value, at_5: five.value, at_10: ten.value },
            lift_bands: LiftBands { at_1: one, at_5: five, at_10: ten },
        }
    }

    /// The candidates whose score is at least `least`.
    fn count_from(&self, ready: &Ready<'_>, least: f64) -> u64 {
        let enough = |(score, role): (&f32, &Role)| {
            *role == Role::Candidate && ready.model.curve.share(*score) >= least
        };
        ready.scores.par_iter().zip(self.roles).filter(|pair| enough(*pair)).count() as u64
    }

    /// What was found, where the rows `chosen` are the audience.
    fn found(
        &self,
        ready: Ready<'_>,
        chosen: &[u32],
        (mut told, fairness): (Told, Vec<Fairness>),
        mut watch: Watch,
    ) -> Result<Found> {
        let Ready { everybody, counts, model, scores, held, stability } = ready;
        let members = all_members(&everybody, chosen)?;
        let factors = factors(&everybody.encoder, &counts, &members);
        let (everybody, roles, counts) = (&everybody, self.roles, &counts);
        let asked = Asked { everybody, model: &model, roles, counts, factors: &factors, chosen };
        let explanation = self.request.explain.map(|who| asked.explain(who)).transpose()?;
        watch.stage("explain");
        let below = |row: &u32| model.curve.share(scores[*row as usize]);
        let threshold = chosen.iter().map(below).fold(1.0, f64::min);
        let audience = self.audience(chosen);
        let candidates = self.census.candidates as u64;
        let audience_lift = held.reach(chosen.len() as f64 / candidates as f64).lift;
        let scores = self.scores(&model, &scores);
        watch.stage("score table");
        told.notes.extend(chance_note(&model.metrics));
        let report = Report {
            seed: self.request.seed.clone(),
            seeds: self.census.seeds as u64,
            candidates,
            population: self.census.all as u64,
            as_of: self.request.as_of.to_string(),
            model: describe(&model),
            metrics: model.metrics.clone(),
            size: audience.len(),
            threshold,
            audience: None,
            audience_lift,
            reach: held.table(),
            top_features: factors
                .into_iter()
                .filter(Factor::stands_out)
                .take(FACTORS_MAX)
                .collect(),
            features: model.encoder.features.len() as u64,
            reused: told.reused,
            left_out: told.left_out,
            stability,
            fairness,
            notes: told.notes,
            elapsed: watch.stages,
            elapsed_ms: millis_since(watch.started),
        };
        Ok(Found { report, model, audience, scores, explanation })
    }

    fn audience(&self, chosen: &[u32]) -> Membership {
        let mut mask = Mask::new();
        for &row in chosen {
            // Every row is a profile's, so every id is one.
            if let Some(id) = ProfileId::new(self.shelves.layout.ids[row as usize]) {
                mask.insert(id);
            }
        }
        let audience = mask.to_membership();
        if self.request.include_seed { audience.or(&self.request.members) } else { audience }
    }

    fn scores(&self, model: &Model, scores: &[f32]) -> Scores {
        let shown = |row: &u32| match self.roles[*row as usize] {
            Role::Candidate => true,
            Role::Seed => self.request.include_seed,
            Role::Negative | Role::Excluded => false,
        };
        let ids = &self.shelves.layout.ids;
        let mut rows: Vec<u32> = (0..ids.len() as u32).filter(shown).collect();
        rows.par_sort_unstable_by_key(|&row| ids[row as usize]);
        let below: Vec<f64> =
            rows.par_iter().map(|&row| model.curve.share(scores[row as usize])).collect();
        Scores {
            ids: rows.iter().map(|&row| ids[row as usize].cast_signed()).collect(),
            lifts: below.par_iter().map(|&below| model.steps.lift(below)).collect(),
            scores: below,
        }
    }
}

/// Rows that are taken out of all.
struct Wanted {
    /// All of them, ascending.
    all: Vec<u32>,
    /// Those that are learnt from, fold by fold, ascending ids within a fold.
    sample: Vec<u32>,
    /// Candidates of the first fold.
    others: Vec<u32>,
}

impl Wanted {
    /// Where `rows` are among all of them.
    fn places(&self, rows: &[u32]) -> Vec<u32> {
        let place = |row: &u32| self.all.partition_point(|other| other < row) as u32;
        rows.par_iter().map(place).collect()
    }

    fn sample(&self, survey: &Survey, ids: &[u32], roles: &[Role]) -> Sample {
        Sample {
            ids: self.sample.iter().map(|row| ids[*row as usize]).collect(),
            roles: self.sample.iter().map(|row| roles[*row as usize]).collect(),
            encoded: survey.wanted.at(&self.places(&self.sample)),
        }
    }
}
