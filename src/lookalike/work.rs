//! The part of a look-alike that needs no store: columns in, audience out. Runs on the threads that
//! its caller gives it, and says the same on any number of them.

use std::time::Instant;

use rayon::prelude::*;

use crate::error::{Error, Result, nearest};
use crate::membership::{Mask, Membership};
use crate::model::{ProfileId, millis_since};

use super::encode::{Encoded, Encoder};
use super::fair::{Groups, Selection};
use super::features::{Features, LeftOut};
use super::frame::Column;
use super::layout::Layout;
use super::lift::{HeldOut, auc_band};
use super::lineage;
use super::model::{Lineage, Model, projected};
use super::reasons::{Factor, bucket_of, factors};
use super::recipe::{Learnt, Problem, Role, curve, learn, score, stability};
use super::report::{Fairness, LiftBands, Lifts, Metrics, Report, Stability};
use super::run::{Contribution, Explanation, Found, Request, SEEDS_FEW, Scores};
use super::sparse::{Counts, Projection};

/// Factors that are told; the others say little.
const FACTORS_MAX: usize = 12;

/// Contributions that are told of one profile.
const CONTRIBUTIONS_MAX: usize = 12;

/// What the work is on.
pub(super) struct Work {
    pub(super) request: Request,
    pub(super) layout: Layout,
    pub(super) roles: Vec<Role>,
    pub(super) features: Features,
    pub(super) started: Instant,
    pub(super) loaded_ms: u64,
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

/// A model over everybody, encoded.
struct Ready {
    encoded: Encoded,
    model: Box<Model>,
    scores: Vec<f32>,
    held: HeldOut,
    stability: Option<Stability>,
}

/// Does it.
#[expect(clippy::too_many_lines, reason = "the stages of one look-alike, in order")]
pub(super) fn work(work: Work) -> Result<Found> {
    let Work { request, layout, roles, features, started, loaded_ms } = work;
    let stages = vec![("features".to_owned(), loaded_ms)];
    let mut watch = Watch { last: loaded_ms, started, stages };
    let Features { mut frame, from, counts, mut left_out, mut notes } = features;
    let sensitive = take_sensitive(&mut frame.columns, &request)?;
    left_out.extend(sensitive.iter().map(|column| LeftOut {
        column: column.name.clone(),
        why: "it is sensitive; no model learns from it".to_owned(),
    }));
    leave_out(&mut frame.columns, &from, &request, &mut left_out)?;
    let candidates = roles.iter().filter(|r| **r == Role::Candidate).count() as u64;
    if candidates == 0 {
        return Err(Error::input("no candidates are left")
            .with_hint("everybody is in the seed or in an excluded segment"));
    }
    let rows = layout.len();
    let place = Place { request: &request, layout: &layout, roles: &roles, candidates };
    let ready = match request.model.clone() {
        Some(model) => {
            let (encoded, absent) = model.encode(frame, counts.as_ref());
            notes.extend(absent_note(&absent));
            place.rescore(model, encoded, &mut watch)
        }
        None => place.learn(frame.columns, counts.as_ref(), &mut left_out, &mut watch)?,
    };
    let seeds = roles.iter().filter(|r| **r == Role::Seed).count() as u64;
    if request.model.is_none() && seeds < SEEDS_FEW {
        notes.push(format!(
            "{seeds} seeds are few: expect the lift to differ from what is told here, and see its bands"
        ));
    }
    let from = |least: f64| place.count_from(&ready, least);
    let size = request.size.members(candidates, &ready.held, from)?;
    let selection = Selection { scores: &ready.scores, roles: &roles, layout: &layout, size };
    let (chosen, fairness) = select(&selection, sensitive, &request)?;
    watch.stage("select");
    let mut member = vec![false; rows];
    for &row in &chosen {
        member[row as usize] = true;
    }
    let all = factors(&ready.model.encoder, &ready.encoded, &roles, &|row| member[row]);
    watch.stage("explain");
    let below = |row: usize| ready.model.curve.share(ready.scores[row]);
    let lowest = chosen.iter().map(|row| below(*row as usize)).fold(1.0, f64::min);
    let explanation =
        request.explain.map(|profile| place.explain(&ready, profile, &member, &all)).transpose()?;
    let audience = place.audience(&chosen);
    let scores = place.scores(&ready);
    watch.stage("score table");
    let audience_lift = ready.held.reach(size as f64 / candidates as f64).lift;
    let report = Report {
        seed: request.seed.clone(),
        seeds,
        candidates,
        population: rows as u64,
        as_of: request.as_of.to_string(),
        model: describe(&ready.model),
        metrics: ready.model.metrics.clone(),
        size: audience.len(),
        threshold: lowest,
        audience: None,
        audience_lift,
        reach: ready.held.table(),
        top_features: all.into_iter().take(FACTORS_MAX).collect(),
        features: ready.model.encoder.features.len() as u64,
        left_out,
        stability: ready.stability,
        fairness,
        notes,
        elapsed: watch.stages,
        elapsed_ms: millis_since(started),
    };
    Ok(Found { report, model: ready.model, audience, scores, explanation })
}

/// The best rows, re-ranked where that was asked for, and how the groups of sensitive columns fare.
fn select(
    selection: &Selection<'_>,
    sensitive: Vec<Column>,
    request: &Request,
) -> Result<(Vec<u32>, Vec<Fairness>)> {
    let rows = selection.roles.len();
    let groups: Vec<Groups> =
        sensitive.into_iter().filter_map(|column| Groups::new(column, rows)).collect();
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

/// Takes the sensitive columns out of the features.
fn take_sensitive(columns: &mut Vec<Column>, request: &Request) -> Result<Vec<Column>> {
    let mut wanted: Vec<&str> = request.sensitive.iter().map(String::as_str).collect();
    if let Some(column) = request.four_fifths.as_deref().filter(|c| !wanted.contains(c)) {
        wanted.push(column);
    }
    let mut found = Vec::new();
    for name in wanted {
        let at = position(columns, name)?;
        found.push(columns.remove(at));
    }
    Ok(found)
}

fn position(columns: &[Column], name: &str) -> Result<usize> {
    columns.iter().position(|c| c.name == name).ok_or_else(|| {
        let error = Error::input(format!("no feature is called \"{name}\""));
        match nearest(name, columns.iter().map(|c| c.name.as_str())) {
            Some(near) => error.with_hint(format!("did you mean {near}?")),
            None => {
                error.with_hint("features are the columns that the queries of sql/features return")
            }
        }
    })
}

/// Leaves out what was asked for, and what is made of the columns that define the seed.
fn leave_out(
    columns: &mut Vec<Column>,
    from: &[String],
    request: &Request,
    left_out: &mut Vec<LeftOut>,
) -> Result<()> {
    for name in request.exclude_columns.iter().chain(&request.keep_columns) {
        if left_out.iter().all(|out| &out.column != name) {
            position(columns, name)?;
        }
    }
    let mut defining = std::collections::BTreeMap::new();
    for query in &request.queries.0 {
        for (feature, words) in lineage::select_list(&query.sql) {
            let shared = words.intersection(&request.seed_columns).next().cloned();
            if let Some(word) = shared {
                defining.insert((query.name.clone(), feature), word);
            }
        }
    }
    let mut origin = from.iter();
    columns.retain(|column| {
        let query = origin.next();
        if request.exclude_columns.contains(&column.name) {
            left_out.push(LeftOut { column: column.name.clone(), why: "you said so".to_owned() });
            return false;
        }
        let lower = column.name.to_lowercase();
        let made_of = query.and_then(|query| defining.get(&(query.clone(), lower.clone())));
        let named = request.seed_columns.get(&lower);
        match made_of.or(named) {
            Some(word) if !request.keep_columns.contains(&column.name) => {
                left_out.push(LeftOut {
                    column: column.name.clone(),
                    why: format!("the seed's own SQL names {word}"),
                });
                false
            }
            _ => true,
        }
    });
    Ok(())
}

struct Place<'a> {
    request: &'a Request,
    layout: &'a Layout,
    roles: &'a [Role],
    candidates: u64,
}

impl Place<'_> {
    fn learn(
        &self,
        mut columns: Vec<Column>,
        counts: Option<&Counts>,
        left_out: &mut Vec<LeftOut>,
        watch: &mut Watch,
    ) -> Result<Ready> {
        let rows = self.layout.len();
        let projection = counts.and_then(Projection::learn);
        if let (Some(projection), Some(counts)) = (&projection, counts) {
            columns.extend(projected(projection, counts));
        }
        let frame = super::frame::Frame { rows, columns };
        let (mut encoder, kept, useless) = Encoder::learn(&frame);
        left_out
            .extend(useless.into_iter().map(|u| LeftOut { column: u.name, why: u.why.to_owned() }));
        let mut at = 0..;
        let columns =
            frame.columns.into_iter().filter(|_| at.next().is_some_and(|i| kept.contains(&i)));
        let mut encoded = encoder.encode(rows, columns.collect());
        self.drop_telltales(&mut encoder, &mut encoded, left_out);
        if encoder.features.is_empty() {
            let mut error = Error::input("no feature is left to learn from").with_hint(
                "write queries in sql/features that return profile_id and columns about it",
            );
            for out in left_out.iter().take(3) {
                error = error.with_hint(format!("{} was left out: {}", out.column, out.why));
            }
            return Err(error);
        }
        watch.stage("encode");
        let problem = Problem {
            encoder: &encoder,
            encoded: &encoded,
            layout: self.layout,
            roles: self.roles,
        };
        let learnt = learn(&problem);
        watch.stage("learn");
        let stability = stability(&problem, &learnt);
        watch.stage("stability");
        let scores = score(&learnt.folds, &learnt.blend, &encoded, self.layout);
        watch.stage("score");
        let curve = curve(&scores, self.roles, self.layout);
        let held = self.held(&scores, &curve);
        let metrics = self.metrics(&held);
        let Learnt { folds, blend, sample_rows, .. } = learnt;
        let lineage = Lineage {
            seed: self.request.seed.clone(),
            seeds: held.seeds() as u64,
            as_of: self.request.as_of.to_string(),
            store_version: self.request.store_version,
            features: self.request.queries.0.iter().map(|q| q.name.clone()).collect(),
            negatives: self.request.negatives.iter().map(|(name, _)| name.clone()).collect(),
            sample_rows: sample_rows as u64,
            weights: Vec::new(),
            standing: None,
        };
        let steps = held.steps();
        let model = Model::new(lineage, metrics, encoder, projection, folds, blend, curve, steps);
        watch.stage("measure");
        Ok(Ready { encoded, model: Box::new(model), scores, held, stability: Some(stability) })
    }

    /// Scores everybody with a model that is there already.
    fn rescore(&self, model: Box<Model>, encoded: Encoded, watch: &mut Watch) -> Ready {
        watch.stage("encode");
        let scores = score(&model.folds, &model.blend, &encoded, self.layout);
        watch.stage("score");
        let held = self.held(&scores, &model.curve);
        Ready { encoded, model, scores, held, stability: None }
    }

    fn drop_telltales(
        &self,
        encoder: &mut Encoder,
        encoded: &mut Encoded,
        left_out: &mut Vec<LeftOut>,
    ) {
        for (at, auc) in super::leaks::telltales(encoder, encoded, self.roles).into_iter().rev() {
            if self.request.keep_columns.contains(&encoder.features[at].name) {
                continue;
            }
            let feature = encoder.features.remove(at);
            encoded.bins.remove(at);
            encoded.numbers.remove(at);
            left_out.push(LeftOut {
                column: feature.name,
                why: format!(
                    "alone it tells the seed with an AUC of {auc:.3}: it gives the answer away"
                ),
            });
        }
    }

    fn held(&self, scores: &[f32], curve: &super::curve::Curve) -> HeldOut {
        let seeds = (0..scores.len()).filter(|&row| self.roles[row] == Role::Seed);
        HeldOut::new(seeds.map(|row| curve.share(scores[row])), self.candidates)
    }

    fn metrics(&self, held: &HeldOut) -> Metrics {
        let (auc, average_precision) = held.quality();
        let [one, five, ten] = [0.01, 0.05, 0.1].map(|share| held.reach(share).lift);
        Metrics {
            auc,
            auc_band: auc_band(auc, held.seeds() as f64, self.candidates as f64),
            average_precision,
            lift: Lifts { at_1: one.value, at_5: five.value, at_10: ten.value },
            lift_bands: LiftBands { at_1: one, at_5: five, at_10: ten },
        }
    }

    /// The candidates whose score is at least `least`.
    fn count_from(&self, ready: &Ready, least: f64) -> u64 {
        let enough = |(score, role): (&f32, &Role)| {
            *role == Role::Candidate && ready.model.curve.share(*score) >= least
        };
        ready.scores.par_iter().zip(self.roles).filter(|pair| enough(*pair)).count() as u64
    }

    fn audience(&self, chosen: &[u32]) -> Membership {
        let mut mask = Mask::new();
        for &row in chosen {
            // Every row is a profile's, so every id is one.
            if let Some(id) = ProfileId::new(self.layout.ids[row as usize]) {
                mask.insert(id);
            }
        }
        let audience = mask.to_membership();
        if self.request.include_seed { audience.or(&self.request.members) } else { audience }
    }

    fn scores(&self, ready: &Ready) -> Scores {
        let shown = |row: &u32| match self.roles[*row as usize] {
            Role::Candidate => true,
            Role::Seed => self.request.include_seed,
            Role::Negative | Role::Excluded => false,
        };
        let mut rows: Vec<u32> = (0..self.layout.len() as u32).filter(shown).collect();
        rows.par_sort_unstable_by_key(|&row| self.layout.ids[row as usize]);
        let scores: Vec<f64> = rows
            .par_iter()
            .map(|&row| ready.model.curve.share(ready.scores[row as usize]))
            .collect();
        Scores {
            ids: rows.iter().map(|&row| self.layout.ids[row as usize].cast_signed()).collect(),
            lifts: scores.par_iter().map(|&below| ready.model.steps.lift(below)).collect(),
            scores,
        }
    }

    /// What each feature adds to one profile's score: the score now, less what it would be with the most
    /// frequent bin of that feature.
    fn explain(
        &self,
        ready: &Ready,
        profile: ProfileId,
        member: &[bool],
        factors: &[Factor],
    ) -> Result<Explanation> {
        let row = self
            .layout
            .row(i64::from(profile.get()))
            .ok_or_else(|| Error::input(format!("there is no profile {profile}")))?;
        let (encoded, model) = (&ready.encoded, &ready.model);
        let own = |f: usize| encoded.bins[f][row];
        let number = |f: usize| encoded.numbers[f].get(row).copied().unwrap_or(0.0);
        let score = model.score_one(profile.get(), own, number);
        let contribution = |at: usize| {
            let feature = &model.encoder.features[at];
            let mut counts = vec![[0_u64; 3]; feature.bins()];
            for (&bin, role) in encoded.bins[at].iter().zip(self.roles) {
                counts[usize::from(bin)][if *role == Role::Seed { 0 } else { 2 }] += 1;
            }
            let usual = (0..counts.len()).max_by_key(|&bin| counts[bin][2]).unwrap_or(0) as u8;
            let other = (0..encoded.rows).find(|&other| encoded.bins[at][other] == usual);
            let bin = |f: usize| if f == at { usual } else { own(f) };
            let number = |f: usize| {
                let from = if f == at { other.unwrap_or(row) } else { row };
                encoded.numbers[f].get(from).copied().unwrap_or(0.0)
            };
            let value = bucket_of(feature, own(at), &counts);
            let factor = factors.iter().find(|factor| factor.feature == feature.name);
            let bucket = factor.and_then(|f| f.buckets.iter().find(|b| b.bucket == value));
            Contribution {
                feature: feature.name.clone(),
                lift: bucket.map_or(0.0, |bucket| bucket.lift),
                value,
                contribution: f64::from(score - model.score_one(profile.get(), bin, number)),
            }
        };
        let mut contributions: Vec<Contribution> =
            (0..model.encoder.features.len()).into_par_iter().map(contribution).collect();
        contributions.sort_by(|a, b| {
            let (x, y) = (a.contribution.abs(), b.contribution.abs());
            y.total_cmp(&x).then_with(|| a.feature.cmp(&b.feature))
        });
        contributions.truncate(CONTRIBUTIONS_MAX);
        let below = model.curve.share(score);
        Ok(Explanation {
            profile_id: profile.get(),
            role: match self.roles[row] {
                Role::Candidate => "candidate",
                Role::Seed => "seed",
                Role::Negative => "negative",
                Role::Excluded => "excluded",
            }
            .to_owned(),
            score: below,
            lift: model.steps.lift(below),
            member: member[row],
            contributions,
        })
    }
}
