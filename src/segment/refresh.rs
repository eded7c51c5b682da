//! The profiles whom a refresh has to look at again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::error::Result;
use crate::membership::Membership;
use crate::query::{Limits, Session};
use crate::store::{DataFile, FilesSince};

use super::batch::{Batch, BatchRun};
use super::evaluate::Planned;
use super::pass::{View, Within};
use super::program::{Leaf, LeafId, SetExpr};
use super::touch::{Touch, touch};

/// What happened to the tables that segments read.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// To `profiles`.
    pub profiles: FilesSince,
    /// To `events`.
    pub events: FilesSince,
}

impl Batch {
    /// What touches the profiles of each of `names`; those of which that cannot be told are left out.
    /// `before` has the plans for the earlier moment, where they are others.
    pub fn touches<'a>(
        &mut self,
        names: impl IntoIterator<Item = &'a str>,
        before: &BTreeMap<String, Planned>,
    ) -> BTreeMap<String, Touch> {
        let mut touches = BTreeMap::new();
        for name in names {
            let Some(Ok(now)) = self.set(name).cloned() else { continue };
            let program = Arc::make_mut(&mut self.program);
            let before = match before.get(name) {
                None => Some(now.clone()),
                Some(planned) => planned.compile(program).ok().and_then(std::result::Result::ok),
            };
            if let Some(touch) = before.and_then(|before| touch(program, &before, &now)) {
                touches.insert(name.to_owned(), touch);
            }
        }
        touches
    }

    /// The profiles whom `changes` and the passing of time touched, by segment. Segments that others
    /// read are not followed here. A segment is left out where its conditions cannot be evaluated for
    /// some row.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn touched(
        &self,
        session: &Session,
        limits: Limits,
        touches: &BTreeMap<String, Touch>,
        changes: &Changes,
    ) -> Result<BTreeMap<String, Membership>> {
        let lookup = Lookup { batch: self, session, limits };
        let mut touched: BTreeMap<String, Membership> =
            touches.keys().map(|name| (name.clone(), Membership::new())).collect();
        for events in [&changes.events.added, &changes.events.removed] {
            if !events.is_empty() {
                let sets = touches.iter().map(|(name, touch)| (name.as_str(), &touch.events));
                lookup.add(sets, Some(View { profiles: &[], events }), &mut touched).await?;
            }
        }
        let moved = touches.iter().map(|(name, touch)| (name.as_str(), &touch.moved));
        lookup.add(moved, None, &mut touched).await?;
        if !changes.profiles.is_empty() {
            lookup.attributes(touches, &changes.profiles, &mut touched).await?;
        }
        Ok(touched)
    }

    /// Whom `leaf` takes now, which ranks, where `run` over those who are `touched` and the members
    /// `before` tells. Nothing where others may have moved up.
    ///
    /// Whoever was no member and is not touched came behind every member, and still comes behind those
    /// that are not touched. So none of them gets in where all places are taken by the time that the last
    /// member who is not touched comes.
    pub fn ranked_again(
        &self,
        run: &BatchRun,
        leaf: LeafId,
        before: &Membership,
        touched: &Membership,
    ) -> Option<Membership> {
        let Leaf::Ranked(ranked) = &self.program.leaves[leaf.0] else { return None };
        let places = ranked.take as u64;
        let members = run.leaf(leaf)?;
        let still = before.and_not(touched);
        let is_out = still.and_not_len(members) > 0;
        let is_last = run.last.get(&leaf).is_some_and(|last| still.contains(*last));
        let is_full = members.len() == places && (is_out || is_last);
        // Where places were free, everybody was in who could be.
        (before.len() < places || is_full).then(|| members.clone())
    }
}

/// Where it is looked for touched profiles.
struct Lookup<'a> {
    batch: &'a Batch,
    session: &'a Session,
    limits: Limits,
}

impl Lookup<'_> {
    /// Adds the members of `sets` over `files` to what is touched of each.
    async fn add<'a>(
        &self,
        sets: impl IntoIterator<Item = (&'a str, &'a SetExpr)>,
        files: Option<View<'_>>,
        touched: &mut BTreeMap<String, Membership>,
    ) -> Result<()> {
        let sets = sets.into_iter().filter(|(_, set)| **set != SetExpr::Nothing);
        let batch = self.batch.with_sets(sets.map(|(name, set)| (name.to_owned(), set.clone())));
        let within = Within { among: None, files };
        let run = batch.run_within(self.session, self.limits, BTreeMap::new(), within).await?;
        for name in batch.names() {
            match (run.memberships.get(name), touched.get_mut(name)) {
                (Some(more), Some(all)) => *all = all.or(more),
                _ => {
                    touched.remove(name);
                }
            }
        }
        Ok(())
    }

    /// Adds the profiles whose rows changed so that some condition on them is no longer what it was.
    async fn attributes(
        &self,
        touches: &BTreeMap<String, Touch>,
        changed: &FilesSince,
        touched: &mut BTreeMap<String, Membership>,
    ) -> Result<()> {
        touched.retain(|name, _| !touches[name].reads_attributes);
        let leaves: BTreeSet<LeafId> =
            touched.keys().flat_map(|name| touches[name].attributes.iter().copied()).collect();
        let leaves: Vec<LeafId> = leaves.into_iter().collect();
        let before = self.leaves(&leaves, &changed.removed).await?;
        let now = self.leaves(&leaves, &changed.added).await?;
        let mut failed = BTreeSet::new();
        for (name, all) in touched.iter_mut() {
            for leaf in &touches[name].attributes {
                match (before.get(leaf), now.get(leaf)) {
                    (Some(before), Some(now)) => *all = all.or(&before.xor(now)),
                    _ => {
                        failed.insert(name.clone());
                    }
                }
            }
        }
        touched.retain(|name, _| !failed.contains(name));
        Ok(())
    }

    /// Of which profiles in `files` each of `leaves` is true.
    async fn leaves(
        &self,
        leaves: &[LeafId],
        files: &[DataFile],
    ) -> Result<BTreeMap<LeafId, Membership>> {
        if files.is_empty() {
            return Ok(leaves.iter().map(|leaf| (*leaf, Membership::new())).collect());
        }
        let batch = self.batch.of_leaves(leaves);
        let files = Some(View { profiles: files, events: &[] });
        let within = Within { among: None, files };
        let run = batch.run_within(self.session, self.limits, BTreeMap::new(), within).await?;
        let sets = leaves.iter().filter_map(|leaf| Some((*leaf, run.leaf(*leaf)?.clone())));
        Ok(sets.collect())
    }
}
