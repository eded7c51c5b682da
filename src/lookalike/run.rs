//! One look-alike from a seed to an audience: gathers, learns, scores, selects, reports.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use crate::error::{Error, Result};
use crate::membership::Membership;
use crate::model::{AsOf, ProfileId, millis_since};
use crate::query::Session;

use super::everybody::Shelves;
use super::features::{FeatureQuery, LeftOut};
use super::keep::Keep;
use super::layout::Layout;
use super::model::Model;
use super::prepare::Preparing;
use super::recipe::Role;
use super::report::Report;
use super::size::Size;
use super::work::{Told, Work};

/// Seeds below which nothing can be learnt that would hold.
pub const SEEDS_MIN: u64 = 25;

/// Seeds below which the report warns.
pub const SEEDS_FEW: u64 = 100;

/// What to find, and for whom.
#[derive(Debug, Clone)]
pub struct Request {
    /// The seed's name, for messages.
    pub seed: String,
    /// Its members.
    pub members: Membership,
    /// Segments whose members are known not to belong.
    pub negatives: Vec<(String, Membership)>,
    /// Segments whose members may not be in the audience.
    pub excluded: Vec<(String, Membership)>,
    /// Where features come from.
    pub queries: Queries,
    /// Columns that the seed's own SQL names, in lower case.
    pub seed_columns: BTreeSet<String>,
    /// Columns that are left out.
    pub exclude_columns: Vec<String>,
    /// Columns that are used although a guard would leave them out.
    pub keep_columns: Vec<String>,
    /// Columns that no model may learn from, and whose groups are told.
    pub sensitive: Vec<String>,
    /// The sensitive column whose groups the audience is re-ranked by, to four fifths.
    pub four_fifths: Option<String>,
    /// How large the audience is to be.
    pub size: Size,
    /// Whether the seed's members join it.
    pub include_seed: bool,
    /// A model that is there already; where absent, one is learnt.
    pub model: Option<Box<Model>>,
    /// A profile whose score is explained.
    pub explain: Option<ProfileId>,
    /// What `now()` was.
    pub as_of: AsOf,
    /// The store's version, for the lineage.
    pub store_version: u64,
    /// Threads to learn and score with.
    pub threads: NonZeroUsize,
}

/// Where features come from.
#[derive(Debug, Clone, Default)]
pub struct Queries(pub(super) Vec<FeatureQuery>);

/// Everybody's scores, by `profile_id`.
#[derive(Debug, Clone, Default)]
pub struct Scores {
    /// The profiles, ascending.
    pub ids: Vec<i32>,
    /// The share of candidates that lie below.
    pub scores: Vec<f64>,
    /// The lift there.
    pub lifts: Vec<f64>,
}

/// A part of a score.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Contribution {
    /// The feature.
    pub feature: String,
    /// The profile's bucket of it.
    pub value: String,
    /// What the score, in standard deviations, would lose were the value the most frequent one.
    pub contribution: f64,
    /// How many times more frequent the bucket is in the seed than in the population; 0 where it is not
    /// shown.
    pub lift: f64,
}

/// Why a profile has its score.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Explanation {
    /// The profile.
    pub profile_id: u32,
    /// What it is to the look-alike: `candidate`, `seed`, `negative`, `excluded`.
    pub role: String,
    /// Its score.
    pub score: f64,
    /// Its lift.
    pub lift: f64,
    /// Whether it is in the audience.
    pub member: bool,
    /// What its score is made of, the largest first.
    pub contributions: Vec<Contribution>,
}

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// What it says about itself.
    pub report: Report,
    /// The model.
    pub model: Box<Model>,
    /// The audience.
    pub audience: Membership,
    /// Everybody's scores: candidates, and seeds where they were asked for.
    pub scores: Scores,
    /// Why the asked profile has its score.
    pub explanation: Option<Explanation>,
}

/// Finds the profiles most like a seed. Encoded features are kept beside the session's store, and those
/// that are there already are used; what is found is the same either way, to the bit.
///
/// # Errors
/// Where the seed is empty, too small or everybody, no feature can be used, or a feature query fails.
pub async fn run(session: &Session, request: Request) -> Result<Found> {
    let beside = session.base().map(|base| Keep::beside(&base.store, &base.snapshot));
    let keep = beside.unwrap_or_else(|_| Keep::nowhere());
    run_with(session, request, keep).await
}

/// [`run`], with encoded features kept in `keep`.
pub(super) async fn run_with(session: &Session, request: Request, keep: Keep) -> Result<Found> {
    let mut request = request;
    let defining = drop_defining_items(&mut request);
    let task = Task { session, request: Arc::new(request), defining };
    // What was kept may be damaged, or go while it is read: then it is made anew, and at last in memory.
    for keep in [keep.clone(), keep.anew()] {
        match task.attempt(&keep).await {
            Err(error) if keep.lost() => tracing::info!(%error, "once more"),
            found => return found,
        }
    }
    task.attempt(&Keep::nowhere()).await
}

/// A request, and what is the same each time that it is tried.
struct Task<'a> {
    session: &'a Session,
    request: Arc<Request>,
    defining: Vec<LeftOut>,
}

impl Task<'_> {
    async fn attempt(&self, keep: &Keep) -> Result<Found> {
        let started = Instant::now();
        let (session, request) = (self.session, Arc::clone(&self.request));
        let everybody =
            session.plan("SELECT profile_id FROM profiles", None).await?.ids()?.mask().await?;
        let everybody = everybody.to_membership();
        let seeds = everybody.and_len(&request.members);
        check(&request, seeds, everybody.len())?;
        let ids: Vec<u32> = everybody.iter().map(ProfileId::get).collect();
        let layout = Arc::new(Layout::new(&ids));
        drop(ids);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(request.threads.get())
            .build()
            .map_err(|e| Error::internal(format!("no threads to learn with: {e}")))?;
        let pool = Arc::new(pool);
        let model = request.model.as_deref();
        let preparing = Preparing { session, layout: &layout, keep, pool: &pool, model };
        let shelves = preparing.shelves(&request.queries.0).await?;
        let mut told = Told::of(&shelves);
        told.left_out.extend(self.defining.iter().cloned());
        let outside = request.members.len() - seeds;
        if outside > 0 {
            told.notes.push(format!(
                "{outside} members of the seed have no profile and were passed over"
            ));
        }
        let roles = roles(&request, &layout);
        let shelves = Shelves { layout, shelves };
        let stages = vec![("features".to_owned(), millis_since(started))];
        let work = Work { request, shelves, roles, told, started, stages };
        tokio::task::spawn_blocking(move || pool.install(|| work.done()))
            .await
            .map_err(|e| Error::internal(format!("a look-alike stopped: {e}")))?
    }
}

/// Takes out queries of items that name what the seed's own SQL names: their columns are tastes, in
/// which nobody could tell one word from another.
fn drop_defining_items(request: &mut Request) -> Vec<LeftOut> {
    let (seed_columns, keep) = (&request.seed_columns, &request.keep_columns);
    let mut left_out = Vec::new();
    request.queries.0.retain(|query| {
        if !query.items || keep.contains(&query.name) {
            return true;
        }
        let named = super::lineage::columns_named(&query.sql, seed_columns);
        let Some(word) = named.first() else { return true };
        left_out.push(LeftOut {
            column: query.name.clone(),
            why: format!("the seed's own SQL names {word}"),
        });
        false
    });
    left_out
}

fn check(request: &Request, seeds: u64, population: u64) -> Result<()> {
    let seed = &request.seed;
    if population == 0 {
        return Err(Error::input("there are no profiles").with_hint("throng ingest brings them in"));
    }
    if request.model.is_some() {
        return Ok(());
    }
    if seeds == 0 {
        return Err(Error::input(format!("the seed {seed} is empty")).with_hint(
            "a look-alike learns from its members; `throng show` tells its last build",
        ));
    }
    if seeds < SEEDS_MIN {
        return Err(Error::input(format!(
            "the seed {seed} has {seeds} members; a look-alike needs {SEEDS_MIN}"
        ))
        .with_hint("with so few, what they share by chance outweighs what makes them alike")
        .with_hint("widen the segment: a longer window, a lower bar"));
    }
    if seeds == population {
        return Err(Error::input(format!("everybody is in the seed {seed}"))
            .with_hint("a look-alike is found among those who are not; narrow the segment"));
    }
    Ok(())
}

fn roles(request: &Request, layout: &Layout) -> Vec<Role> {
    let mut roles = vec![Role::Candidate; layout.len()];
    let mut mark = |members: &Membership, role: Role| {
        for id in members.iter() {
            if let Some(row) = layout.row(i64::from(id.get())) {
                roles[row] = role;
            }
        }
    };
    request.excluded.iter().for_each(|(_, members)| mark(members, Role::Excluded));
    request.negatives.iter().for_each(|(_, members)| mark(members, Role::Negative));
    mark(&request.members, Role::Seed);
    roles
}
