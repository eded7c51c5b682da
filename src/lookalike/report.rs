//! What a look-alike says about itself: numbers for programs, and the page for people.

use serde::{Deserialize, Serialize};

use super::features::LeftOut;
use super::lift::{Banded, ReachAt};
use super::reasons::Factor;

/// How well held-out seeds are ranked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// The chance that a held-out seed scores above a candidate. Candidates who belong too, and whom
    /// nobody knows, pull it down: the truth lies above it.
    pub auc: f64,
    /// Its band.
    pub auc_band: Banded,
    /// The average precision at which held-out seeds are found among all.
    pub average_precision: f64,
    /// Lift at 1, 5 and 10 % of the candidates.
    pub lift: Lifts,
    /// Their bands.
    pub lift_bands: LiftBands,
}

/// Lift at 1, 5 and 10 %.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Lifts {
    /// At 1 %.
    #[serde(rename = "1")]
    pub at_1: f64,
    /// At 5 %.
    #[serde(rename = "5")]
    pub at_5: f64,
    /// At 10 %.
    #[serde(rename = "10")]
    pub at_10: f64,
}

/// The bands of lift at 1, 5 and 10 %.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LiftBands {
    /// At 1 %.
    #[serde(rename = "1")]
    pub at_1: Banded,
    /// At 5 %.
    #[serde(rename = "5")]
    pub at_5: Banded,
    /// At 10 %.
    #[serde(rename = "10")]
    pub at_10: Banded,
}

/// How alike two audiences are that were learnt from two halves of the seed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Stability {
    /// The share of one half's best tenth that is in the other's, 0..=1.
    pub overlap_share: f64,
    /// What two unrelated rankings would share.
    pub by_chance: f64,
}

/// How a group of a sensitive column fares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupRate {
    /// The group.
    pub group: String,
    /// Its share of the candidates, 0..=1.
    pub candidate_share: f64,
    /// Its share of the seed.
    pub seed_share: f64,
    /// Its share of the audience.
    pub audience_share: f64,
    /// The share of the group that is selected.
    pub selection_rate: f64,
    /// Against the group that is selected most.
    pub ratio: f64,
}

/// How fair an audience is towards the groups of a sensitive column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fairness {
    /// The column.
    pub column: String,
    /// Its groups; those with few members are left out.
    pub groups: Vec<GroupRate>,
    /// The smallest ratio.
    pub lowest_ratio: f64,
    /// Whether the smallest ratio is at least four fifths.
    pub four_fifths: bool,
    /// The share of held-out seeds that the audience would find less if it were re-ranked to four
    /// fifths, or finds less as it was.
    pub reranking_cost: f64,
    /// Whether it was re-ranked.
    pub reranked: bool,
}

/// A look-alike, whole.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The seed.
    pub seed: String,
    /// Profiles in it.
    pub seeds: u64,
    /// Profiles that could become members.
    pub candidates: u64,
    /// Profiles in all.
    pub population: u64,
    /// What `now()` was, RFC 3339.
    pub as_of: String,
    /// The models that were blended, with their weights.
    pub model: String,
    /// How good it is.
    pub metrics: Metrics,
    /// Members of the audience.
    pub size: u64,
    /// The lowest score in it, as the share of candidates that lie below.
    pub threshold: f64,
    /// The segment that was kept, and the build that it is.
    pub audience: Option<Kept>,
    /// The audience's lift on held-out seeds.
    pub audience_lift: Banded,
    /// Reach against lift.
    pub reach: Vec<ReachAt>,
    /// What sets the seed apart, the most telling first.
    pub top_features: Vec<Factor>,
    /// Features that were used.
    pub features: u64,
    /// The feature queries whose encoded columns were there already.
    pub reused: Vec<String>,
    /// Columns that were not used, and why.
    pub left_out: Vec<LeftOut>,
    /// Two half seeds against each other.
    pub stability: Option<Stability>,
    /// Sensitive columns.
    pub fairness: Vec<Fairness>,
    /// What the user should know.
    pub notes: Vec<String>,
    /// Milliseconds by stage.
    pub elapsed: Vec<(String, u64)>,
    /// Milliseconds in all.
    pub elapsed_ms: u64,
}

/// A segment that was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Its name.
    pub name: String,
    /// The build that it is.
    pub build: i64,
    /// Members that it gained.
    pub entered: u64,
    /// Members that it lost.
    pub exited: u64,
}
