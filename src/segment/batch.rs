//! A batch: the segments of a build, compiled together and evaluated together.
//!
//! Segments that are set algebra over leaves come out of the passes. What is opaque runs by itself
//! afterwards, as `DataFusion` runs it; segments that need an opaque one have their leaves evaluated in
//! the passes and are put together when it is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::membership::Membership;
use crate::model::ProfileId;
use crate::query::df::LogicalPlan;
use crate::query::{Limits, Session, crew};

use super::compile::Seen;
use super::evaluate::Planned;
use super::pass::{self, Chosen, Cost, Output, RunRequest, Within};
use super::program::{Leaf, LeafId, Program, SetExpr};

/// Segments compiled together.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    pub(super) program: Arc<Program>,
    pub(super) sets: BTreeMap<String, Seen<SetExpr>>,
    /// The names in the order they were given: each behind those that it needs.
    order: Vec<String>,
}

/// What the passes made of a batch.
#[derive(Debug)]
pub struct BatchRun {
    /// The memberships of the segments that the passes finished.
    pub memberships: BTreeMap<String, Membership>,
    /// The rows that each leaf looked at.
    pub leaf_rows: BTreeMap<LeafId, u64>,
    /// The leaves of segments that wait for an opaque one.
    leaves: BTreeMap<LeafId, Membership>,
    /// Who comes last of those that each leaf takes which ranks.
    pub(super) last: BTreeMap<LeafId, ProfileId>,
    /// How many of those that each leaf takes which ranks have no value to be ordered by, and come first.
    without: BTreeMap<LeafId, u64>,
    /// Each segment's share of the cost of the passes, 0..=1.
    pub shares: BTreeMap<String, f64>,
    /// What they read.
    pub cost: Cost,
}

/// A batch that is being compiled, segment by segment.
#[derive(Default)]
struct Compiling {
    batch: Batch,
    program: Program,
    failed: BTreeMap<String, Error>,
}

impl Compiling {
    fn add(&mut self, name: String, plan: Result<LogicalPlan>) {
        match plan.map(|plan| Planned::compiled(&plan, &mut self.program)) {
            Ok(set) => {
                if let Err(why) = &set {
                    tracing::debug!(segment = name, %why, "runs by itself");
                }
                self.batch.order.push(name.clone());
                self.batch.sets.insert(name, set);
            }
            Err(error) => {
                self.failed.insert(name, error);
            }
        }
    }

    fn done(self) -> (Batch, BTreeMap<String, Error>) {
        (Batch { program: Arc::new(self.program), ..self.batch }, self.failed)
    }
}

impl BatchRun {
    /// The members of leaf `id`, of a batch of leaves.
    pub fn leaf(&self, id: LeafId) -> Option<&Membership> {
        self.leaves.get(&id).or_else(|| self.memberships.get(&id.to_string()))
    }
}

impl Batch {
    /// This batch with segment `name` alone.
    #[must_use]
    pub fn only(&self, name: &str) -> Self {
        self.of(&BTreeSet::from([name.to_owned()]))
    }

    /// This batch with those of `names` alone.
    #[must_use]
    pub fn of(&self, names: &BTreeSet<String>) -> Self {
        let sets = self.sets.iter().filter(|(name, _)| names.contains(*name));
        Self {
            program: Arc::clone(&self.program),
            sets: sets.map(|(name, set)| (name.clone(), set.clone())).collect(),
            order: self.order.iter().filter(|name| names.contains(*name)).cloned().collect(),
        }
    }

    /// A batch of `leaves`, each by its own name.
    #[must_use]
    pub fn of_leaves(&self, leaves: &[LeafId]) -> Self {
        self.with_sets(leaves.iter().map(|leaf| (leaf.to_string(), SetExpr::Leaf(*leaf))))
    }

    /// A batch of other sets over the same leaves, by name.
    #[must_use]
    pub(super) fn with_sets(&self, sets: impl IntoIterator<Item = (String, SetExpr)>) -> Self {
        let mut batch = Self { program: Arc::clone(&self.program), ..Self::default() };
        for (name, set) in sets {
            batch.order.push(name.clone());
            batch.sets.insert(name, Ok(set));
        }
        batch
    }

    /// The names of its sets, in their order.
    pub fn names(&self) -> &[String] {
        &self.order
    }

    /// The segments that take profiles without a value first, each with how many those are and how many
    /// it takes.
    pub fn without_value(&self, run: &BatchRun) -> BTreeMap<String, (u64, u64)> {
        let mut of_segments = BTreeMap::new();
        for (leaf, without) in &run.without {
            let taken = run.leaf(*leaf).map_or(0, Membership::len);
            for name in self.sharers(*leaf) {
                of_segments.insert(name, (*without, taken));
            }
        }
        of_segments
    }

    /// The segments that have leaf `id`.
    pub fn sharers(&self, id: LeafId) -> Vec<String> {
        let has = |set: &Seen<SetExpr>| set.as_ref().is_ok_and(|s| s.leaves().contains(&id));
        self.sets.iter().filter(|(_, set)| has(set)).map(|(name, _)| name.clone()).collect()
    }

    /// Compiles `segments`, each of which comes behind those that it needs. Those that fail to be
    /// compiled at all (types that do not fit) are returned with their errors.
    pub fn compile(segments: &[(String, Planned)]) -> (Self, BTreeMap<String, Error>) {
        let mut compiling = Compiling::default();
        for (name, planned) in segments {
            compiling.add(name.clone(), planned.simplified());
        }
        compiling.done()
    }

    /// As [`Batch::compile`], on up to `threads` threads.
    ///
    /// # Errors
    /// Where a thread stops.
    pub async fn compile_on(
        segments: &[(String, Planned)],
        threads: usize,
    ) -> Result<(Self, BTreeMap<String, Error>)> {
        let simplified = |(name, planned): (String, Planned)| (name, planned.simplified());
        let mut compiling = Compiling::default();
        // Leaves are numbered in the order of the segments, whichever thread is faster.
        let add = |(name, plan)| compiling.add(name, plan);
        crew::map_then(segments.to_vec(), threads, simplified, add).await?;
        Ok(compiling.done())
    }

    /// The program behind the sets.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The set of segment `name`, or why it is opaque.
    pub fn set(&self, name: &str) -> Option<&Seen<SetExpr>> {
        self.sets.get(name)
    }

    /// The memberships that segments of the batch read and that are there in `session`.
    pub fn known(&self, session: &Session) -> BTreeMap<String, Membership> {
        let mut known = BTreeMap::new();
        for name in self.segments_read() {
            if let Some(membership) = session.segment(&name) {
                known.insert(name, membership);
            }
        }
        known
    }

    /// The segments that any of the batch reads.
    pub fn segments_read(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for set in self.sets.values().flatten() {
            names.extend(set.segments());
            for leaf in set.leaves() {
                if let Leaf::Ranked(ranked) = &self.program.leaves[leaf.0] {
                    names.extend(ranked.among.segments());
                }
            }
        }
        names
    }

    /// The members of segment `name` alone, whose plan is `planned`, and what the passes cost. The
    /// segments that it reads are defined in `session`.
    ///
    /// # Errors
    /// Where the store cannot be read, or the query fails.
    pub async fn members(
        &self,
        name: &str,
        planned: &Planned,
        session: &Session,
        limits: Limits,
    ) -> Result<(Membership, Cost)> {
        let alone = self.only(name);
        let mut run = alone.run(session, limits, alone.known(session)).await?;
        let finished = run.memberships.remove(name);
        let put_together = || self.combine(name, &run, &|other| session.segment(other));
        let membership = match finished.or_else(put_together) {
            Some(membership) => membership,
            None => planned.evaluate().await?,
        };
        Ok((membership, run.cost))
    }

    /// Runs the passes. `known` are the memberships of segments outside of the batch that some of it
    /// read.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn run(
        &self,
        session: &Session,
        limits: Limits,
        known: BTreeMap<String, Membership>,
    ) -> Result<BatchRun> {
        self.run_within(session, limits, known, Within::default()).await
    }

    /// Runs the passes over a part of the store; see [`Batch::run`].
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn run_within(
        &self,
        session: &Session,
        limits: Limits,
        known: BTreeMap<String, Membership>,
        within: Within<'_>,
    ) -> Result<BatchRun> {
        let (outputs, ranked, early) = self.outputs(&known);
        let mut run = BatchRun {
            memberships: BTreeMap::new(),
            leaf_rows: BTreeMap::new(),
            leaves: BTreeMap::new(),
            last: BTreeMap::new(),
            without: BTreeMap::new(),
            shares: BTreeMap::new(),
            cost: Cost::default(),
        };
        if outputs.is_empty() && ranked.is_empty() {
            return Ok(run);
        }
        let outputs = Arc::new(outputs);
        let request = RunRequest {
            session,
            limits,
            program: &self.program,
            outputs: Arc::clone(&outputs),
            ranked: Arc::new(ranked),
            known: Arc::new(known),
            within,
        };
        let ran = pass::run(&request).await?;
        run.cost = ran.cost;
        for (output, membership) in outputs.iter().zip(ran.memberships) {
            // One that failed is left out, and so runs by itself: what the query would not have
            // evaluated may have failed here.
            let membership = match membership {
                Ok(membership) => membership,
                Err(error) => {
                    tracing::debug!(output = output.name, %error, "runs by itself");
                    continue;
                }
            };
            match &output.expression {
                SetExpr::Leaf(leaf) if !early.contains(&output.name) => {
                    run.leaves.insert(*leaf, membership);
                }
                _ => {
                    run.memberships.insert(output.name.clone(), membership);
                }
            }
        }
        for (leaf, chosen) in ran.ranked {
            let Ok(Chosen { members, last, without }) = chosen else { continue };
            if without > 0 {
                run.without.insert(leaf, without);
            }
            run.leaves.insert(leaf, members);
            run.last.extend(last.map(|last| (leaf, last)));
        }
        run.shares = self.shares(&early, &ran.leaf_rows);
        run.leaf_rows = ran.leaf_rows;
        Ok(run)
    }

    /// What the passes work out: segments that they can finish, leaves of those that wait, and
    /// leaves that rank.
    fn outputs(
        &self,
        known: &BTreeMap<String, Membership>,
    ) -> (Vec<Output>, Vec<LeafId>, BTreeSet<String>) {
        let mut outputs = Vec::new();
        let mut early: BTreeSet<String> = BTreeSet::new();
        let mut waiting: BTreeSet<LeafId> = BTreeSet::new();
        let is_there = |set: &SetExpr, early: &BTreeSet<String>| {
            let mut all = true;
            set.visit(&mut |part| {
                if let SetExpr::Segment(other) = part {
                    all &= early.contains(other) || known.contains_key(other);
                }
            });
            all
        };
        for name in &self.order {
            let Some(Ok(set)) = self.sets.get(name) else { continue };
            if self.program.is_local(set) && is_there(set, &early) {
                outputs.push(Output { name: name.clone(), expression: set.clone() });
                early.insert(name.clone());
            } else {
                waiting.extend(set.leaves());
            }
        }
        let mut ranked = Vec::new();
        for leaf in waiting {
            match &self.program.leaves[leaf.0] {
                Leaf::Ranked(of) if is_there(&of.among, &early) => ranked.push(leaf),
                // Whom it ranks is not known yet: the query runs by itself.
                Leaf::Ranked(_) => {}
                // "#3" is no segment's name.
                _ => {
                    outputs
                        .push(Output { name: leaf.to_string(), expression: SetExpr::Leaf(leaf) });
                }
            }
        }
        (outputs, ranked, early)
    }

    /// How the cost falls to segments: a leaf costs the rows that it looks at, and those who share it
    /// pay the same.
    fn shares(
        &self,
        early: &BTreeSet<String>,
        leaf_rows: &BTreeMap<LeafId, u64>,
    ) -> BTreeMap<String, f64> {
        let mut sharers: BTreeMap<LeafId, u32> = BTreeMap::new();
        let leaves = |name: &String| match self.sets.get(name) {
            Some(Ok(set)) => set.leaves(),
            _ => Vec::new(),
        };
        for leaf in early.iter().flat_map(leaves) {
            *sharers.entry(leaf).or_default() += 1;
        }
        #[expect(clippy::cast_precision_loss, reason = "a share is for people to read")]
        let cost = |leaf: &LeafId| {
            let rows = leaf_rows.get(leaf).copied().unwrap_or(0) as f64 + 1.0;
            rows / f64::from(sharers.get(leaf).copied().unwrap_or(1))
        };
        let costs: BTreeMap<String, f64> = early
            .iter()
            .map(|name| (name.clone(), leaves(name).iter().map(cost).sum::<f64>()))
            .collect();
        let total = costs.values().sum::<f64>().max(1.0);
        costs.into_iter().map(|(name, cost)| (name, cost / total)).collect()
    }

    /// Puts segment `name` together from its leaves and `segments`, which are there by now; nothing
    /// where it is opaque, or a leaf of it could not be evaluated.
    pub fn combine(
        &self,
        name: &str,
        run: &BatchRun,
        segments: &dyn Fn(&str) -> Option<Membership>,
    ) -> Option<Membership> {
        match self.sets.get(name)? {
            Ok(set) => combined(set, &run.leaves, segments),
            Err(_) => None,
        }
    }
}

fn combined(
    set: &SetExpr,
    leaves: &BTreeMap<LeafId, Membership>,
    segments: &dyn Fn(&str) -> Option<Membership>,
) -> Option<Membership> {
    match set {
        SetExpr::Nothing => Some(Membership::new()),
        SetExpr::Leaf(leaf) => leaves.get(leaf).cloned(),
        SetExpr::Segment(name) => segments(name),
        SetExpr::Or(parts) => parts.iter().try_fold(Membership::new(), |any, part| {
            Some(any.or(&combined(part, leaves, segments)?))
        }),
        SetExpr::And(parts) => {
            let (denied, required): (Vec<_>, Vec<_>) =
                parts.iter().partition(|p| matches!(p, SetExpr::Not(_)));
            let mut required = required.into_iter();
            let first = combined(required.next()?, leaves, segments)?;
            let all = required
                .try_fold(first, |all, part| Some(all.and(&combined(part, leaves, segments)?)))?;
            denied.into_iter().try_fold(all, |all, part| {
                let SetExpr::Not(inner) = part else { return None };
                Some(all.and_not(&combined(inner, leaves, segments)?))
            })
        }
        // A complement has no one it is taken from here.
        SetExpr::Not(_) => None,
    }
}
