//! Passes: a program evaluated, a scan of profiles and a scan of events for all of it.
//!
//! Work is split over shards, which never wait for each other. In a shard, one pass over profiles
//! evaluates every distinct condition on attributes; one pass over events feeds every distinct filter
//! and aggregate (more than one pass only where their states would not fit in memory). Sets are
//! words of bits until the end, where they become parts of roaring bitmaps.
//!
//! - [`plan`]: what has to be done, by filter
//! - [`shard`]: the ids of a shard, their places in states, and the files with rows of them
//! - [`events`], [`profiles`]: the two passes
//! - [`slices`]: windows of time that lie in each other, each row fed once
//! - [`select`]: which rows of a run pass a filter
//! - [`condition`]: conditions and values of rows
//! - [`truths`]: what a condition says of the words of dictionaries
//! - [`state`], [`distinct`], [`sequence`]: dense states of aggregates
//! - [`collect`]: rows for queries of one profile at a time
//! - [`window`]: what a row knows of those around it
//! - [`rank`]: the first profiles in some order, of all shards
//! - [`having`]: conditions on groups that need no values gathered
//! - [`leaves`]: leaves and set algebra of one shard
//! - [`memo`]: sets of leaves that a warm session keeps
//! - [`whom`]: the profiles that each filter is asked for, where not for all
//! - [`words`]: sets of bits

mod collect;
mod condition;
mod distinct;
mod events;
mod having;
mod leaves;
mod memo;
mod plan;
mod profiles;
mod rank;
pub(super) mod select;
mod sequence;
mod shard;
mod slices;
mod state;
mod truths;
mod whom;
mod window;
mod words;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::membership::Membership;
use crate::query::{Limits, Session, crew};

use super::program::{Leaf, LeafId, Program, SetExpr};
use leaves::{Evidence, LeafSets};
use memo::Memo;
use plan::Work;
use rank::Candidates;
use shard::Shard;
use whom::{Asked, Whom};
use words::Words;

pub use plan::Cost;
pub use rank::Chosen;
pub use shard::View;
pub use whom::Ask;

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
    /// The sets. None of them has a leaf that ranks.
    pub outputs: Arc<Vec<Output>>,
    /// Leaves that rank.
    pub ranked: Arc<Vec<LeafId>>,
    /// Segments that outputs name and that are none of them.
    pub known: Arc<BTreeMap<String, Membership>>,
    /// What it looks at.
    pub within: Within<'a>,
}

/// What a run looks at, where it is not everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Within<'a> {
    /// These profiles only. What is worked out says nothing of others.
    pub among: Option<&'a Membership>,
    /// Of these, whom each leaf is asked for. What is worked out of it says nothing of others.
    pub asked: Option<&'a [Ask]>,
    /// These files in place of those of the store.
    pub files: Option<View<'a>>,
}

impl Within<'_> {
    fn is_everything(&self) -> bool {
        self.among.is_none() && self.files.is_none()
    }
}

/// What a run worked out.
#[derive(Debug)]
pub struct Ran {
    /// The outputs in their order. One fails where a condition cannot be evaluated for some row
    /// that the query might never have evaluated it for: such a query is `DataFusion`'s to answer.
    pub memberships: Vec<Result<Membership>>,
    /// The sets of the leaves that rank.
    pub ranked: BTreeMap<LeafId, Result<Chosen>>,
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
    let leaves = request.outputs.iter().flat_map(|output| output.expression.leaves());
    let wanted = request.program.with_parts(leaves.chain(request.ranked.iter().copied()));
    let base = request.session.base()?;
    let within = request.within;
    let everything = View::of(&base.snapshot)?;
    let shards = Shard::all(&base.snapshot, within.files.unwrap_or(everything), within.among)?;
    let memo = within
        .is_everything()
        .then(|| Memo::of(request.session, request.program, &wanted, &shards).map(Arc::new));
    let memo = memo.flatten();
    let wanted = Arc::new(memo.as_ref().map_or(wanted.clone(), |memo| memo.unknown(&wanted)));
    let asked = within.asked.map(|asked| Asked::new(request.program, &wanted, asked));
    let work = Arc::new(Work::new(request.session, base, request.program, (&wanted, asked))?);
    let reads = Arc::new(Reads::of(request));
    // What is known already is put together at once, without waking another thread.
    let threads = if wanted.is_empty() { 1 } else { request.limits.threads.get() };
    let budget = request.limits.memory_bytes / STATES_SHARE / threads;
    let tasks = shards.into_iter().map(|shard| {
        let task = ShardTask {
            work: Arc::clone(&work),
            wanted: Arc::clone(&wanted),
            outputs: Arc::clone(&request.outputs),
            ranked: Arc::clone(&request.ranked),
            reads: Arc::clone(&reads),
            known: Arc::clone(&request.known),
            memo: memo.clone(),
            budget,
        };
        task.run(shard)
    });
    let done = crew::each(tasks.collect(), threads).await?;
    let done = done.into_iter().collect::<Result<Vec<_>>>()?;
    let passes = done.iter().map(|of_shard| of_shard.passes).max().unwrap_or(0);
    let (mut parts, mut candidates) = (Vec::new(), Vec::new());
    for of_shard in done {
        parts.push(of_shard.memberships);
        candidates.extend(of_shard.ranked);
    }
    let (bytes, rows) = work.read();
    Ok(Ran {
        memberships: united(request.outputs.len(), parts),
        ranked: ranked(request.program, candidates),
        cost: Cost { bytes, rows, passes },
        leaf_rows: work.leaf_rows(&wanted),
    })
}

/// The leaves that rank, from the candidates of all shards.
fn ranked(
    program: &Program,
    of_shards: Vec<(LeafId, Result<Candidates>)>,
) -> BTreeMap<LeafId, Result<Chosen>> {
    let mut candidates: BTreeMap<LeafId, Result<Vec<Candidates>>> = BTreeMap::new();
    for (leaf, own) in of_shards {
        let all = candidates.entry(leaf).or_insert_with(|| Ok(Vec::new()));
        match (all.as_mut(), own) {
            (Ok(all), Ok(own)) => all.push(own),
            (Ok(_), Err(error)) => *all = Err(error),
            (Err(_), _) => {}
        }
    }
    let sets = candidates.into_iter().map(|(leaf, candidates)| {
        let set = match &program.leaves[leaf.0] {
            Leaf::Ranked(ranked) => candidates.map(|c| rank::chosen(ranked, &c)),
            _ => Err(Error::internal(format!("leaf {leaf} does not rank"))),
        };
        (leaf, set)
    });
    sets.collect()
}

/// The shards' parts of each output as one membership.
fn united(outputs: usize, parts: Vec<Vec<Result<Membership>>>) -> Vec<Result<Membership>> {
    let mut by_output: Vec<Result<Vec<Membership>>> =
        (0..outputs).map(|_| Ok(Vec::new())).collect();
    for memberships in parts {
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
    ranked: Arc<Vec<LeafId>>,
    reads: Arc<Reads>,
    known: Arc<BTreeMap<String, Membership>>,
    memo: Option<Arc<Memo>>,
    budget: usize,
}

/// The outputs that others are made of. Sets of the rest are let go as soon as they are memberships.
#[derive(Debug)]
struct Reads {
    /// Those that other outputs read.
    by_outputs: HashSet<String>,
    /// Those that leaves that rank read, and what those are made of.
    ranked: HashSet<String>,
}

impl Reads {
    fn of(request: &RunRequest<'_>) -> Self {
        let outputs = request.outputs.iter();
        let by_outputs = outputs.clone().flat_map(|output| output.expression.segments()).collect();
        let mut ranked: HashSet<String> = HashSet::new();
        for leaf in request.ranked.iter() {
            if let Leaf::Ranked(of) = &request.program.leaves[leaf.0] {
                ranked.extend(of.among.segments());
            }
        }
        // An output is behind those that it reads.
        for output in outputs.rev() {
            if ranked.contains(&output.name) {
                ranked.extend(output.expression.segments());
            }
        }
        Self { by_outputs, ranked }
    }
}

/// What a shard contributes.
struct OfShard {
    memberships: Vec<Result<Membership>>,
    ranked: Vec<(LeafId, Result<Candidates>)>,
    passes: usize,
}

impl ShardTask {
    async fn run(self, shard: Shard) -> Result<OfShard> {
        let mut sets = LeafSets::default();
        if let Some(memo) = &self.memo {
            memo.recall(&shard, &mut sets);
        }
        let mut attributes = profiles::run(&self.work, &self.work.profiles, &shard).await?;
        sets.attributes(&mut attributes);
        let parts = self.work.parts(shard.span, self.budget);
        let whom = self.work.asked.as_ref().map(|asked| asked.in_shard(&shard));
        let known: HashMap<&str, Words> =
            self.known.iter().map(|(name, set)| (name.as_str(), shard.words(set))).collect();
        let mut ranked = BTreeMap::new();
        for part in &parts {
            let mut found = events::run(&self.work, (&shard, whom.as_ref()), part).await?;
            collect::run(&self.work, &shard, &self.wanted, &mut found, &mut sets).await?;
            let (work, attributes, found) = (&*self.work, &attributes, &found);
            let evidence = Evidence { work, shard: &shard, attributes, found };
            sets.events(&self.wanted, (evidence, whom.as_ref()));
            self.rank(&sets, (evidence, whom.as_ref()), &known, &mut ranked);
        }
        if let Some(memo) = &self.memo {
            memo.keep(&shard, &sets);
        }
        let memberships = self.memberships(&shard, &sets, &known);
        Ok(OfShard { memberships, ranked: ranked.into_iter().collect(), passes: parts.len() })
    }

    /// The candidates of leaves that rank, as soon as their aggregates are there.
    fn rank(
        &self,
        sets: &LeafSets,
        (evidence, whom): (Evidence<'_>, Option<&Whom>),
        known: &HashMap<&str, Words>,
        into: &mut BTreeMap<LeafId, Result<Candidates>>,
    ) {
        let open: Vec<LeafId> =
            self.ranked.iter().filter(|leaf| !into.contains_key(leaf)).copied().collect();
        if open.is_empty() {
            return;
        }
        let shard = evidence.shard;
        let mut words = HashMap::new();
        for output in self.outputs.iter().filter(|output| self.reads.ranked.contains(&output.name))
        {
            let own = words_of(output, (shard, sets), (known, &words));
            words.insert(output.name.as_str(), own);
        }
        let segment = |name: &str| segment(name, known, &words);
        for leaf in open {
            let Leaf::Ranked(ranked) = &self.work.program.leaves[leaf.0] else { continue };
            let whom = whom.and_then(|whom| whom.leaf(leaf));
            let own = sets.ranked(ranked, (evidence, whom), &segment);
            into.extend(own.map(|own| (leaf, own)));
        }
    }

    /// The outputs in their order.
    fn memberships(
        &self,
        shard: &Shard,
        sets: &LeafSets,
        known: &HashMap<&str, Words>,
    ) -> Vec<Result<Membership>> {
        let mut read = HashMap::new();
        let mut memberships = Vec::with_capacity(self.outputs.len());
        for output in self.outputs.iter() {
            let words = words_of(output, (shard, sets), (known, &read));
            let membership = words.as_ref().map(|words| shard.membership(words));
            memberships.push(membership.map_err(Error::clone));
            if self.reads.by_outputs.contains(&output.name) {
                read.insert(output.name.as_str(), words);
            }
        }
        memberships
    }
}

/// The set of `output` in a shard.
fn words_of(
    output: &Output,
    (shard, sets): (&Shard, &LeafSets),
    (known, done): (&HashMap<&str, Words>, &HashMap<&str, Result<Words>>),
) -> Result<Words> {
    let segment = |name: &str| segment(name, known, done);
    sets.set(&output.expression, shard.span, &segment).map(|bits| Words(bits.into_owned()))
}

/// The set of segment `name` in a shard.
fn segment(
    name: &str,
    known: &HashMap<&str, Words>,
    done: &HashMap<&str, Result<Words>>,
) -> Result<Words> {
    match (done.get(name), known.get(name)) {
        (Some(words), _) => words.clone(),
        (None, Some(words)) => Ok(words.clone()),
        (None, None) => Err(Error::internal(format!("segment {name} is not known"))),
    }
}
