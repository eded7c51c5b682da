//! Passes: a program evaluated, a scan of profiles and a scan of events for all of it.
//!
//! Work is split over shards, which never wait for each other. In a shard, one pass over profiles
//! evaluates every distinct condition on attributes; one pass over events feeds every distinct filter
//! and aggregate (more than one pass only where their states would not fit in memory). Sets are
//! words of bits until the end, where they become parts of roaring bitmaps.
//!
//! - [`plan`]: what has to be done, by filter; shards and their files
//! - [`events`], [`profiles`]: the two passes
//! - [`select`]: which rows of a run pass a filter
//! - [`condition`]: conditions and values of rows
//! - [`state`], [`distinct`], [`sequence`]: dense states of aggregates
//! - [`leaves`]: leaves and set algebra of one shard
//! - [`words`]: sets of bits

mod condition;
mod distinct;
mod events;
mod leaves;
mod plan;
mod profiles;
mod select;
mod sequence;
mod state;
mod words;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use futures::StreamExt as _;

use crate::error::{Error, Result};
use crate::membership::Membership;
use crate::query::{Limits, Session};

use super::program::{LeafId, Program, SetExpr};
use leaves::LeafSets;
use plan::{Shard, Work};
use words::Words;

pub use plan::Cost;

/// The share of the memory limit that states of aggregates may take.
const STATES_SHARE: usize = 2;

/// A set to be worked out.
#[derive(Debug, Clone)]
pub struct Output {
    /// What other outputs call it, in [`SetExpr::Segment`].
    pub name: String,
    /// The set. Segments in it are outputs before it, or known.
    pub expression: SetExpr,
}

/// What a run is over.
#[derive(Debug, Clone)]
pub struct RunRequest<'a> {
    /// Plans expressions, with `now()` pinned; its store is read.
    pub session: &'a Session,
    /// Threads and memory.
    pub limits: Limits,
    /// The leaves.
    pub program: &'a Arc<Program>,
    /// The sets.
    pub outputs: Arc<Vec<Output>>,
    /// Segments that outputs name and that are none of them.
    pub known: Arc<BTreeMap<String, Membership>>,
}

/// What a run worked out.
#[derive(Debug)]
pub struct Ran {
    /// The outputs in their order. One fails where a condition cannot be evaluated for some row
    /// that the query might never have evaluated it for: such a query is `DataFusion`'s to answer.
    pub memberships: Vec<Result<Membership>>,
    /// What it cost.
    pub cost: Cost,
    /// The rows that each leaf looked at.
    pub leaf_rows: BTreeMap<LeafId, u64>,
}

/// Works the outputs out.
///
/// # Errors
/// Where the store cannot be read.
pub async fn run(request: &RunRequest<'_>) -> Result<Ran> {
    let wanted: BTreeSet<LeafId> =
        request.outputs.iter().flat_map(|output| output.expression.leaves()).collect();
    let wanted = Arc::new(wanted);
    let base = request.session.base()?;
    let work = Arc::new(Work::new(request.session, base, request.program, &wanted)?);
    let shards = Shard::all(&base.snapshot)?;
    let threads = request.limits.threads.get();
    let budget = request.limits.memory_bytes / STATES_SHARE / threads;
    let tasks = shards.into_iter().map(|shard| {
        let task = ShardTask {
            work: Arc::clone(&work),
            wanted: Arc::clone(&wanted),
            outputs: Arc::clone(&request.outputs),
            known: Arc::clone(&request.known),
            budget,
        };
        async move {
            tokio::spawn(task.run(shard))
                .await
                .map_err(|e| Error::internal(format!("a pass stopped: {e}")))?
        }
    });
    let mut parts: Vec<(usize, Vec<Result<Membership>>)> = Vec::new();
    let mut stream = futures::stream::iter(tasks.enumerate().map(|(place, task)| async move {
        task.await.map(|(parts, passes)| (place, parts, passes))
    }))
    .buffer_unordered(threads);
    let mut passes = 0;
    while let Some(done) = stream.next().await {
        let (place, memberships, own) = done?;
        passes = passes.max(own);
        parts.push((place, memberships));
    }
    parts.sort_by_key(|(place, _)| *place);
    let (bytes, rows) = work.read();
    Ok(Ran {
        memberships: united(request.outputs.len(), parts),
        cost: Cost { bytes, rows, passes },
        leaf_rows: work.leaf_rows(&wanted),
    })
}

/// The shards' parts of each output as one membership.
fn united(outputs: usize, parts: Vec<(usize, Vec<Result<Membership>>)>) -> Vec<Result<Membership>> {
    let mut by_output: Vec<Result<Vec<Membership>>> =
        (0..outputs).map(|_| Ok(Vec::new())).collect();
    for (_, memberships) in parts {
        for (into, part) in by_output.iter_mut().zip(memberships) {
            match (into.as_mut(), part) {
                (Ok(parts), Ok(part)) => parts.push(part),
                (Ok(_), Err(error)) => *into = Err(error),
                (Err(_), _) => {}
            }
        }
    }
    by_output.into_iter().map(|parts| parts.map(Membership::from_shards)).collect()
}

/// The work on one shard.
struct ShardTask {
    work: Arc<Work>,
    wanted: Arc<BTreeSet<LeafId>>,
    outputs: Arc<Vec<Output>>,
    known: Arc<BTreeMap<String, Membership>>,
    budget: usize,
}

impl ShardTask {
    async fn run(self, shard: Shard) -> Result<(Vec<Result<Membership>>, usize)> {
        let mut sets = LeafSets::default();
        let mut attributes = profiles::run(&self.work, &self.work.profiles, &shard).await?;
        sets.attributes(&mut attributes);
        let parts = self.work.parts(shard.span, self.budget);
        for part in &parts {
            let found = events::run(&self.work, &shard, part).await?;
            sets.events(&self.work, &shard, &self.wanted, &attributes, &found);
        }
        Ok((self.memberships(&shard, &sets), parts.len()))
    }

    fn memberships(&self, shard: &Shard, sets: &LeafSets) -> Vec<Result<Membership>> {
        let mut done: HashMap<&str, Result<Words>> = HashMap::new();
        let mut memberships = Vec::with_capacity(self.outputs.len());
        for output in self.outputs.iter() {
            let segment = |name: &str| match (done.get(name), self.known.get(name)) {
                (Some(words), _) => words.clone(),
                (None, Some(membership)) => {
                    let mut words = Words::zeros(shard.span);
                    membership.fill_words(shard.start, &mut words.0);
                    Ok(words)
                }
                (None, None) => Err(Error::internal(format!("segment {name} is not known"))),
            };
            let words = sets.set(&output.expression, shard.span, &segment);
            memberships.push(match &words {
                Ok(words) => Ok(Membership::from_words(shard.start, &words.0)),
                Err(error) => Err(error.clone()),
            });
            done.insert(&output.name, words);
        }
        memberships
    }
}
