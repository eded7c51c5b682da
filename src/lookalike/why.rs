//! Why one profile has its score.

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::model::ProfileId;

use super::everybody::Everybody;
use super::model::Model;
use super::reasons::{Factor, bucket_of};
use super::recipe::Role;
use super::run::{Contribution, Explanation};
use super::shelf::Depth;
use super::survey::Count;

/// Contributions that are told of one profile.
const CONTRIBUTIONS_MAX: usize = 12;

/// What an explanation is made from.
pub(super) struct Asked<'a> {
    pub(super) everybody: &'a Everybody<'a>,
    pub(super) model: &'a Model,
    pub(super) roles: &'a [Role],
    /// The counts of the bins of each feature.
    pub(super) counts: &'a [Vec<Count>],
    pub(super) factors: &'a [Factor],
    /// The audience's rows, ascending.
    pub(super) chosen: &'a [u32],
}

/// The most frequent bin of a feature, and the number of the first profile that has it.
#[derive(Clone, Copy, Default)]
struct Usual {
    bin: u8,
    number: Option<f32>,
}

impl Asked<'_> {
    /// What each feature adds to the score of `profile`: the score now, less what it would be with the most
    /// frequent bin of that feature.
    ///
    /// # Errors
    /// Where there is no such profile, or its features are lost.
    pub(super) fn explain(&self, profile: ProfileId) -> Result<Explanation> {
        let layout = self.everybody.layout();
        let row = layout
            .row(i64::from(profile.get()))
            .ok_or_else(|| Error::input(format!("there is no profile {profile}")))?;
        let chunk = layout.chunk_of(row);
        let encoded = self.everybody.read(chunk, Depth::All)?;
        let at = row - layout.chunk(chunk).start;
        let own = |f: usize| encoded.bins[f][at];
        let number = |f: usize| encoded.numbers[f].get(at).copied().unwrap_or(0.0);
        let model = self.model;
        let score = model.score_one(profile.get(), own, number);
        let usual = self.usual()?;
        let contribution = |at: usize| {
            let feature = &model.encoder.features[at];
            let Usual { bin: usual, number: other } = usual[at];
            let bin = |f: usize| if f == at { usual } else { own(f) };
            let number =
                |f: usize| if f == at { other.unwrap_or_else(|| number(f)) } else { number(f) };
            let value = bucket_of(feature, own(at), &self.counts[at]);
            let factor = self.factors.iter().find(|factor| factor.feature == feature.name);
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
            role: role(self.roles[row]).to_owned(),
            score: below,
            lift: model.steps.lift(below),
            member: self.chosen.binary_search(&(row as u32)).is_ok(),
            contributions,
        })
    }

    /// The most frequent bin of each feature among those who are no seeds.
    fn usual(&self) -> Result<Vec<Usual>> {
        let most = |counts: &Vec<Count>| {
            (0..counts.len()).max_by_key(|&bin| counts[bin].others).unwrap_or(0) as u8
        };
        let usual = self.counts.iter().map(|counts| Usual { bin: most(counts), number: None });
        let mut usual: Vec<Usual> = usual.collect();
        let features = &self.model.encoder.features;
        for chunk in 0..self.everybody.layout().chunks() {
            let encoded = self.everybody.read(chunk, Depth::All)?;
            for (at, usual) in usual.iter_mut().enumerate().filter(|(_, u)| u.number.is_none()) {
                let first = encoded.bins[at].iter().position(|bin| *bin == usual.bin);
                usual.number = first.and_then(|row| encoded.numbers[at].get(row).copied());
            }
            let is_open =
                |(at, usual): (usize, &Usual)| usual.number.is_none() && !features[at].is_word();
            if !usual.iter().enumerate().any(is_open) {
                break;
            }
        }
        Ok(usual)
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Candidate => "candidate",
        Role::Seed => "seed",
        Role::Negative => "negative",
        Role::Excluded => "excluded",
    }
}
