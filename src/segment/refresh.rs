//! The profiles whom a refresh has to look at again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::error::Result;
use crate::membership::Membership;
use crate::query::df::LogicalPlan;
use crate::query::{Limits, Session, crew};
use crate::store::{DataFile, FilesSince};

use super::batch::{Batch, BatchRun};
use super::evaluate::Planned;
use super::pass::{Ask, View, Within};
use super::program::{Leaf, LeafId, Program, SetExpr};
use super::touch::{Touch, touch};
use super::verdict::Verdicts;

/// What happened to the tables that segments read.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// To `profiles`.
    pub profiles: FilesSince,
    /// To `events`.
    pub events: FilesSince,
}

/// The profiles of a segment that something happened to.
#[derive(Debug, Clone, Default)]
pub struct Touched {
    /// All of them.
    pub all: Membership,
    /// Those who have to be evaluated to tell what they are now.
    pub open: Membership,
    /// Those who were no members and are now. Nobody of `open`.
    pub entered: Membership,
    /// Those who were members and are none now. Nobody of `open`.
    pub left: Membership,
}

impl Touched {
    /// Adds `more`, of whom nothing else is known.
    pub fn add(&mut self, more: &Membership) {
        self.all = self.all.or(more);
        self.open = self.open.or(more);
        self.entered = self.entered.and_not(more);
        self.left = self.left.and_not(more);
    }

    /// Adds what else happened. Of those that both happened to, neither tells.
    fn also(&mut self, other: Self) {
        if self.all.is_empty() {
            *self = other;
            return;
        }
        let both = self.all.and(&other.all);
        self.all = self.all.or(&other.all);
        self.open = self.open.or(&other.open).or(&both);
        self.entered = self.entered.or(&other.entered).and_not(&both);
        self.left = self.left.or(&other.left).and_not(&both);
    }
}

/// What is asked of the rows that came, for one segment: whom they touch, and of those, who is told
/// of and who is not.
struct Asked {
    name: String,
    touched: SetExpr,
    open: SetExpr,
    entered: SetExpr,
    left: SetExpr,
}

/// Whom a segment is touched in, what is told of them, and those of whom nothing is.
struct Told {
    touched: SetExpr,
    verdicts: Verdicts,
    untold: SetExpr,
    /// Whether the verdicts may be others than what was.
    moves: bool,
}

/// What a segment's last membership is called beside it. No segment has such a name.
fn was(name: &str) -> String {
    format!("was {name}")
}

impl Batch {
    /// What touches the profiles of each of `names`; those of which that cannot be told are left out.
    /// `before` has the plans for the earlier moment, where they are others; they are made ready on up to
    /// `threads` threads.
    ///
    /// # Errors
    /// Where a thread stops.
    pub async fn touches<'a>(
        &mut self,
        names: impl IntoIterator<Item = &'a str>,
        before: BTreeMap<String, Planned>,
        threads: usize,
    ) -> Result<BTreeMap<String, Touch>> {
        let simplified = |(name, planned): (String, Planned)| (name, planned.simplified());
        let before = crew::map(before.into_iter().collect(), threads, simplified).await?;
        let before: BTreeMap<String, Result<LogicalPlan>> = before.into_iter().collect();
        let mut touches = BTreeMap::new();
        for name in names {
            let Some(Ok(now)) = self.set(name).cloned() else { continue };
            let program = Arc::make_mut(&mut self.program);
            let before = match before.get(name) {
                None => Some(now.clone()),
                Some(Ok(plan)) => Planned::compiled(plan, program).ok(),
                Some(Err(_)) => None,
            };
            if let Some(touch) = before.and_then(|before| touch(program, &before, &now)) {
                touches.insert(name.to_owned(), touch);
            }
        }
        Ok(touches)
    }

    /// The profiles whom `changes` and the passing of time touched, by segment; `before` are the
    /// segments' last memberships. Segments that others read are not followed here. A segment is left
    /// out where its conditions cannot be evaluated for some row.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn touched(
        &mut self,
        session: &Session,
        limits: Limits,
        touches: &BTreeMap<String, Touch>,
        (changes, before): (&Changes, &BTreeMap<String, Membership>),
    ) -> Result<BTreeMap<String, Touched>> {
        let mut touched: BTreeMap<String, Touched> =
            touches.keys().map(|name| (name.clone(), Touched::default())).collect();
        let Changes { profiles, events } = changes;
        let is_told = events.removed.is_empty() && !events.added.is_empty();
        let came = if is_told { self.asked_of_rows(touches) } else { Vec::new() };
        let moved = self.asked_of_time(touches);
        let any = Arc::make_mut(&mut self.program).any_event();
        let lookup = Lookup { batch: self, session, limits };
        if is_told {
            let files = Some(View { profiles: &[], events: &events.added });
            let whom = lookup.whom(any, files).await?;
            let within = Within { among: Some(&whom), files, ..Within::default() };
            lookup.ask(&came, within, before, &mut touched).await?;
        }
        for files in [&events.added, &events.removed] {
            if !is_told && !files.is_empty() {
                let sets = touches.iter().map(|(name, touch)| (name.as_str(), &touch.events));
                let view = View { profiles: &[], events: files };
                lookup.add(sets, Some(view), &mut touched).await?;
            }
        }
        lookup.ask(&moved, Within::default(), before, &mut touched).await?;
        if !profiles.is_empty() {
            lookup.attributes(touches, profiles, &mut touched).await?;
        }
        Ok(touched)
    }

    /// What is asked of rows that came.
    fn asked_of_rows(&mut self, touches: &BTreeMap<String, Touch>) -> Vec<Asked> {
        self.asked(touches, &|program, set, was, touch| {
            let verdicts = program.verdicts(set, was, &touch.events);
            let (touched, untold) = (touch.events.clone(), SetExpr::Nothing);
            Told { touched, verdicts, untold, moves: true }
        })
    }

    /// What is asked of all rows, of the time that passed.
    fn asked_of_time(&mut self, touches: &BTreeMap<String, Touch>) -> Vec<Asked> {
        self.asked(touches, &|program, set, was, touch| {
            let verdicts = program.verdicts_with(set, (was, &touch.moved), &touch.verdicts);
            let (touched, untold) = (touch.moved.clone(), touch.flipped.clone());
            // Time alone tells who stays.
            Told { touched, verdicts, untold, moves: false }
        })
    }

    /// What is asked for each segment: `told` has the program, the segment, its last members, and what
    /// touches it.
    fn asked(
        &mut self,
        touches: &BTreeMap<String, Touch>,
        told: &dyn Fn(&mut Program, &SetExpr, &SetExpr, &Touch) -> Told,
    ) -> Vec<Asked> {
        let program = Arc::make_mut(&mut self.program);
        let mut all = Vec::new();
        for (name, touch) in touches {
            let Some(Ok(set)) = self.sets.get(name) else { continue };
            let was = SetExpr::Segment(was(name));
            let Told { touched, verdicts, untold, moves } = told(program, set, &was, touch);
            let Verdicts { members, others } = verdicts;
            if touched == SetExpr::Nothing {
                continue;
            }
            // Who is ranked where is not told profile by profile.
            let told = match touch.ranks {
                Some(_) => SetExpr::Nothing,
                None => SetExpr::any([members.clone(), others.clone()]),
            };
            let moves = |sets: [SetExpr; 2]| match touch.ranks {
                None if moves => SetExpr::all([touched.clone()].into_iter().chain(sets)),
                _ => SetExpr::Nothing,
            };
            let open = SetExpr::all([touched.clone(), told.negated()]);
            all.push(Asked {
                name: name.clone(),
                entered: moves([members, was.clone().negated()]),
                left: moves([others, was]),
                open: SetExpr::any([open, untold]),
                touched,
            });
        }
        all
    }

    /// Whom leaves are evaluated for, where each segment is evaluated for those of `asked`.
    pub fn asks(&self, asked: BTreeMap<String, Membership>) -> Vec<Ask> {
        let leaves = |name: &str| match self.set(name) {
            Some(Ok(set)) => self.program.with_parts(set.leaves()),
            _ => BTreeSet::new(),
        };
        asked.into_iter().map(|(name, whom)| Ask { leaves: leaves(&name), whom }).collect()
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
        touched: &mut BTreeMap<String, Touched>,
    ) -> Result<()> {
        let sets = sets.into_iter().filter(|(_, set)| **set != SetExpr::Nothing);
        let batch = self.batch.with_sets(sets.map(|(name, set)| (name.to_owned(), set.clone())));
        let within = Within { files, ..Within::default() };
        let run = batch.run_within(self.session, self.limits, BTreeMap::new(), within).await?;
        for name in batch.names() {
            match (run.memberships.get(name), touched.get_mut(name)) {
                (Some(more), Some(all)) => all.add(more),
                _ => {
                    touched.remove(name);
                }
            }
        }
        Ok(())
    }

    /// Adds whom each of `asked` touches in what `within` looks at, and what is told of them.
    async fn ask(
        &self,
        asked: &[Asked],
        within: Within<'_>,
        before: &BTreeMap<String, Membership>,
        touched: &mut BTreeMap<String, Touched>,
    ) -> Result<()> {
        let known = asked
            .iter()
            .map(|one| (was(&one.name), before.get(&one.name).cloned().unwrap_or_default()));
        let sets = asked.iter().flat_map(|Asked { name, touched, open, entered, left }| {
            let named = |what: &str, set: &SetExpr| (format!("{what} {name}"), set.clone());
            [
                named("touched", touched),
                named("open", open),
                named("entered", entered),
                named("left", left),
            ]
        });
        let sets = sets.filter(|(_, set)| *set != SetExpr::Nothing);
        let batch = self.batch.with_sets(sets);
        let mut run = batch.run_within(self.session, self.limits, known.collect(), within).await?;
        for Asked { name, touched: all, open, entered, left } in asked {
            let mut found = |what: &str, set: &SetExpr| match set {
                SetExpr::Nothing => Some(Membership::new()),
                _ => run.memberships.remove(&format!("{what} {name}")),
            };
            let Some(all) = found("touched", all) else {
                touched.remove(name);
                continue;
            };
            let Some(into) = touched.get_mut(name) else { continue };
            let sets = (found("open", open), found("entered", entered), found("left", left));
            into.also(match sets {
                (Some(open), Some(entered), Some(left)) => Touched { all, open, entered, left },
                // Some rows alone may fail where all rows do not.
                _ => Touched { open: all.clone(), all, ..Touched::default() },
            });
        }
        Ok(())
    }

    /// The profiles with rows in `files`; `any` is the leaf of those with any event.
    async fn whom(&self, any: LeafId, files: Option<View<'_>>) -> Result<Membership> {
        let within = Within { files, ..Within::default() };
        let batch = self.batch.of_leaves(&[any]);
        let run = batch.run_within(self.session, self.limits, BTreeMap::new(), within).await?;
        Ok(run.leaf(any).cloned().unwrap_or_default())
    }

    /// Adds the profiles whose rows changed so that some condition on them is no longer what it was.
    async fn attributes(
        &self,
        touches: &BTreeMap<String, Touch>,
        changed: &FilesSince,
        touched: &mut BTreeMap<String, Touched>,
    ) -> Result<()> {
        touched.retain(|name, _| !touches[name].reads_attributes);
        let pairs: BTreeSet<(LeafId, LeafId)> =
            touched.keys().flat_map(|name| touches[name].attributes.iter().copied()).collect();
        // The rows that were there, at the moment before, and those that are, now.
        let (old, new): (BTreeSet<LeafId>, BTreeSet<LeafId>) = pairs.into_iter().unzip();
        let before = self.leaves(old, &changed.removed).await?;
        let now = self.leaves(new, &changed.added).await?;
        let mut failed = BTreeSet::new();
        for (name, all) in touched.iter_mut() {
            for (old, new) in &touches[name].attributes {
                match (before.get(old), now.get(new)) {
                    (Some(before), Some(now)) => all.add(&before.xor(now)),
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
        leaves: BTreeSet<LeafId>,
        files: &[DataFile],
    ) -> Result<BTreeMap<LeafId, Membership>> {
        if files.is_empty() {
            return Ok(leaves.into_iter().map(|leaf| (leaf, Membership::new())).collect());
        }
        let leaves: Vec<LeafId> = leaves.into_iter().collect();
        let batch = self.batch.of_leaves(&leaves);
        let files = Some(View { profiles: files, events: &[] });
        let within = Within { files, ..Within::default() };
        let run = batch.run_within(self.session, self.limits, BTreeMap::new(), within).await?;
        let sets = leaves.iter().filter_map(|leaf| Some((*leaf, run.leaf(*leaf)?.clone())));
        Ok(sets.collect())
    }
}
