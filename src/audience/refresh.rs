//! Segments brought up to date: only the profiles that something changed for are evaluated, and
//! spliced into the membership that the segment had.
//!
//! A segment can be refreshed where its last membership was right for an older version of the store
//! and a moment, and all that happened since can be followed: rows of `profiles` and `events` that
//! came or went, time bounds that moved, members of segments that it reads. What cannot be followed is
//! evaluated in full, and the result is the same bits either way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::error::Result;
use crate::membership::Membership;
use crate::model::{AsOf, BuildId, Name, TableName, millis_since};
use crate::query::crew;
use crate::segment::pass::Within;
use crate::segment::program::LeafId;
use crate::segment::{Batch, Changes, Planned, Touch, Touched};
use crate::store::FilesSince;

use super::build::{Outcome, Running, scaled};

/// Where more than one in so many rows changed, or profiles are touched, everything is evaluated: that
/// costs no more, and needs no looking for them.
const TOUCHED_SHARE: u64 = 4;

/// What segments are refreshed from: the store's version, and the moment, in microseconds.
type Base = (u64, i64);

/// A refresh that is worked out, but for its evaluation.
struct Refresh {
    /// The profiles that something happened to, by segment.
    touched: BTreeMap<String, Touched>,
    /// The leaves of those that take the first profiles in some order.
    ranks: BTreeMap<String, LeafId>,
}

/// A segment that was evaluated for those of whom it was open what it is.
struct Evaluated {
    name: String,
    touched: Touched,
    before: Membership,
    found: Found,
    ms: u64,
}

/// What an evaluation found.
enum Found {
    /// Nobody had to be evaluated.
    Nobody,
    /// The members among those who were.
    Of(Membership),
    /// All members.
    All(Membership),
}

/// What became of a segment: its members, where any entered or left it.
struct Spliced {
    name: String,
    before: Membership,
    now: Option<Membership>,
    touched: u64,
    ms: u64,
}

impl Evaluated {
    /// Puts what was found into the last membership. The few who moved are compared, and not the many who
    /// did not.
    fn spliced(self) -> Spliced {
        let Self { name, before, touched, found, ms } = self;
        let Touched { all, open, entered, left } = touched;
        let (entered, left) = match found {
            Found::Nobody => (entered, left),
            Found::Of(found) => {
                let (is, was) = (found.and(&open), before.and(&open));
                (entered.or(&is.and_not(&was)), left.or(&was.and_not(&is)))
            }
            Found::All(now) => (now.and_not(&before), before.and_not(&now)),
        };
        let is_moved = !entered.is_empty() || !left.is_empty();
        let now = is_moved.then(|| before.and_not(&left).or(&entered));
        Spliced { name, before, now, touched: all.len(), ms }
    }
}

impl Running<'_> {
    /// Refreshes those of `todo` that can be. They are done then, and the others are not touched.
    pub(super) async fn refresh(
        &mut self,
        todo: &[(String, Planned)],
        batch: &mut Batch,
    ) -> Result<()> {
        let started = Instant::now();
        let Some(refresh) = self.followed(todo, batch).await? else { return Ok(()) };
        let Refresh { touched, ranks } = refresh;
        let ms = millis_since(started);
        tracing::info!(ms, segments = touched.len(), "followed what changed");
        for (name, Touched { all, open, entered, left }) in &touched {
            let [all, open, entered, left] = [all, open, entered, left].map(Membership::len);
            tracing::debug!(segment = name, touched = all, open, entered, left, "followed");
        }
        // Those that are told of by what came, and those that nothing touched.
        let (told, open): (Vec<_>, Vec<_>) =
            touched.into_iter().partition(|(_, t)| t.open.is_empty());
        let told = told.into_iter().map(|(name, touched)| {
            let before = self.before.take(&name);
            Evaluated { name, touched, before, found: Found::Nobody, ms: 0 }
        });
        let told = told.collect();
        // Others may read them.
        self.splice(told).await?;
        let names: BTreeSet<String> = open.iter().map(|(name, _)| name.clone()).collect();
        let alone = batch.of(&names);
        let asked = alone.asks(asked(&open, self.before.known(), &alone, &ranks));
        let all = self.any(asked.iter().map(|ask| &ask.whom));
        // Few of each segment may be many of all: they are evaluated in full then.
        if !self.is_few(&all) {
            return Ok(());
        }
        let known = alone.known(&self.session);
        let within = Within { among: Some(&all), asked: Some(&asked), files: None };
        let mut run = alone.run_within(&self.session, self.request.limits, known, within).await?;
        let ms = millis_since(started);
        let profiles = all.len();
        tracing::info!(ms, segments = names.len(), profiles, rows = run.cost.rows, "refreshed");
        let mut done = Vec::new();
        for (name, touched) in open {
            let before = self.before.take(&name);
            let found = match ranks.get(&name) {
                Some(leaf) => {
                    alone.ranked_again(&run, *leaf, &before, &touched.all).map(Found::All)
                }
                None => run.memberships.remove(&name).map(Found::Of),
            };
            // One that could not be evaluated for some row is left to be evaluated in full.
            let Some(found) = found else {
                self.before.put(name, before);
                continue;
            };
            let ms = scaled(ms, run.shares.get(&name).copied().unwrap_or(0.0));
            done.push(Evaluated { name, touched, before, found, ms });
        }
        self.splice(done).await
    }

    /// Puts what was found into the last memberships, on all threads, and notes what became of them.
    async fn splice(&mut self, done: Vec<Evaluated>) -> Result<()> {
        let threads = self.request.limits.threads.get();
        for spliced in crew::map(done, threads, Evaluated::spliced).await? {
            let Spliced { name, before, now, touched, ms } = spliced;
            self.touched.insert(name.clone(), touched);
            if let Some(now) = now {
                self.before.put(name.clone(), before);
                self.built(&name, now, ms)?;
                continue;
            }
            if self.graph.needed_by(&name).next().is_some() {
                self.session.define_segment(&Name::parse(&name)?, before)?;
            }
            self.finished(&name, Outcome::Reused, ms);
        }
        Ok(())
    }

    /// Whom each segment that can be refreshed has to be evaluated for.
    async fn followed(
        &mut self,
        todo: &[(String, Planned)],
        batch: &mut Batch,
    ) -> Result<Option<Refresh>> {
        let Some((base, candidates)) = self.candidates(todo) else { return Ok(None) };
        let Some(changes) = self.changes(base.0).await? else { return Ok(None) };
        let earlier = self.plans_before(&candidates, todo, base.1).await?;
        let names = candidates.iter().map(String::as_str);
        let limits = self.request.limits;
        let touches = batch.touches(names, earlier, limits.threads.get()).await?;
        self.before.read().await?;
        let before = self.before.known();
        let found = batch.touched(&self.session, limits, &touches, (&changes, before)).await?;
        let mut touched = self.with_needs(todo, found, &touches);
        // Whoever had a place may lose it to somebody who is touched.
        let ranks: BTreeMap<String, LeafId> = moved_ranks(&touched, &touches);
        touched.retain(|name, own| match (ranks.get(name), before.get(name)) {
            (Some(_), Some(members)) => self.is_few(&own.open.or(members)),
            // One whom a window moved over widely is no reason to evaluate the others in full.
            _ => self.is_few(&own.open),
        });
        Ok((!touched.is_empty()).then_some(Refresh { touched, ranks }))
    }

    /// The members of any of `sets`.
    fn any<'s>(&self, sets: impl Iterator<Item = &'s Membership>) -> Membership {
        let ids = self.request.snapshot.record.next_profile_id as usize;
        let mut words = vec![0; ids.div_ceil(64)];
        sets.for_each(|set| set.fill_words(0, &mut words));
        Membership::from_words(0, &words)
    }

    /// Whether evaluating `profiles` alone is worth it.
    fn is_few(&self, profiles: &Membership) -> bool {
        let all = u64::from(self.request.snapshot.record.next_profile_id);
        profiles.len() * TOUCHED_SHARE <= all
    }

    /// `found`, with whom each segment is touched by through those that it reads; a segment of which
    /// that cannot be told is left out.
    fn with_needs(
        &self,
        todo: &[(String, Planned)],
        mut found: BTreeMap<String, Touched>,
        touches: &BTreeMap<String, Touch>,
    ) -> BTreeMap<String, Touched> {
        let mut touched: BTreeMap<String, Touched> = BTreeMap::new();
        // In the order of needs, so that what a segment reads is decided before it.
        for (name, _) in todo {
            let Some(mut own) = found.remove(name) else { continue };
            let mut is_followed = true;
            for need in &touches[name].segments {
                is_followed &= match touched.get(need) {
                    // Whom it takes is known when all are ranked, and may be somebody not touched.
                    Some(whom) if touches[need].ranks.is_some() => whom.all.is_empty(),
                    Some(whom) => {
                        own.add(&whom.all);
                        true
                    }
                    None => self.is_settled(need, name),
                };
            }
            if is_followed {
                touched.insert(name.clone(), own);
            }
        }
        touched
    }

    /// The segments that can be refreshed from the same base: the one that most have.
    fn candidates(&self, todo: &[(String, Planned)]) -> Option<(Base, Vec<String>)> {
        if self.request.full {
            return None;
        }
        let mut by_base: BTreeMap<Base, Vec<String>> = BTreeMap::new();
        for (name, _) in todo {
            let (Some(Ok(parsed)), Some(last)) = (self.parsed.get(name), self.catalog.get(name))
            else {
                continue;
            };
            let reads_others = parsed.tables.iter().any(|table| {
                ![TableName::Profiles, TableName::Events].iter().any(|t| t.as_str() == *table)
            });
            if last.is_right() && last.definition == parsed.definition && !reads_others {
                let base = (last.store_version, last.as_of.micros());
                by_base.entry(base).or_default().push(name.clone());
            }
        }
        by_base.into_iter().max_by_key(|(_, names)| names.len())
    }

    /// What happened to the rows since version `since` of the store, where that is known and not
    /// much.
    async fn changes(&self, since: u64) -> Result<Option<Changes>> {
        let (store, snapshot) = (self.request.store, self.request.snapshot);
        let mut changes = Changes::default();
        for (table, into) in
            [(TableName::Profiles, &mut changes.profiles), (TableName::Events, &mut changes.events)]
        {
            let Some(files) = store.files_since(snapshot, table, since).await? else {
                return Ok(None);
            };
            let rows = |files: &FilesSince| {
                files.added.iter().chain(&files.removed).map(|f| f.stats.rows).sum::<u64>()
            };
            // Profiles lie in one file a shard, so a file with one changed row is written anew whole.
            let is_much = rows(&files) * TOUCHED_SHARE > snapshot.table(table)?.rows();
            if table == TableName::Events && is_much {
                return Ok(None);
            }
            *into = files;
        }
        Ok(Some(changes))
    }

    /// The plans of `names` for the moment `as_of`, where it is another and they read it.
    async fn plans_before(
        &self,
        names: &[String],
        todo: &[(String, Planned)],
        as_of: i64,
    ) -> Result<BTreeMap<String, Planned>> {
        if as_of == self.request.as_of.micros() {
            return Ok(BTreeMap::new());
        }
        let reads_time = |name: &&String| todo.iter().any(|(n, p)| n == *name && p.uses_now());
        let moving: Vec<String> = names.iter().filter(reads_time).cloned().collect();
        let session = self.request.session(AsOf::from_micros(as_of)?)?;
        for name in self.graph.levels().iter().flatten() {
            session.declare_segment(&Name::parse(name)?)?;
        }
        let plans = self.plans(&session, &moving).await.into_iter();
        Ok(plans.filter_map(|(name, plan)| Some((name, plan.ok()?))).collect())
    }

    /// Whether segment `need` is what it was when `name` was last right.
    fn is_settled(&self, need: &str, name: &str) -> bool {
        let is_reused = match self.outcomes.get(need) {
            Some((Outcome::Reused, _)) => true,
            Some(_) => false,
            // It is not part of this build, unless it is still to be evaluated.
            None => !self.selected.contains(need),
        };
        let membership: Option<BuildId> = self.catalog.get(need).and_then(|s| s.membership_build);
        let last = self.catalog.get(name).map(|s| s.build);
        is_reused && membership.is_some() && membership <= last
    }
}

/// Those of `touched` that take the first profiles in some order, and that somebody is touched in.
fn moved_ranks(
    touched: &BTreeMap<String, Touched>,
    touches: &BTreeMap<String, Touch>,
) -> BTreeMap<String, LeafId> {
    let moved = touched.iter().filter(|(_, touched)| !touched.open.is_empty());
    moved.filter_map(|(name, _)| Some((name.clone(), touches[name].ranks?))).collect()
}

/// Whom each segment is evaluated for: those of whom it is open, those of whom others that read it ask,
/// and the members of those that take the first in some order.
fn asked(
    open: &[(String, Touched)],
    before: &BTreeMap<String, Membership>,
    batch: &Batch,
    ranks: &BTreeMap<String, LeafId>,
) -> BTreeMap<String, Membership> {
    let mut asked: BTreeMap<String, Membership> = BTreeMap::new();
    for (name, touched) in open {
        let members = before.get(name).filter(|_| ranks.contains_key(name));
        let all = members.map_or_else(|| touched.open.clone(), |m| touched.open.or(m));
        asked.insert(name.clone(), all);
    }
    for name in batch.names().iter().rev() {
        let Some(whom) = asked.get(name).cloned() else { continue };
        for need in batch.only(name).segments_read() {
            if let Some(all) = asked.get_mut(&need) {
                *all = all.or(&whom);
            }
        }
    }
    asked
}
