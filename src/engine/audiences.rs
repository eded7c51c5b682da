//! Builds of projects that have audiences of look-alikes: whatever is needed comes first, be it SQL or
//! an audience, and audiences are found again where their seed or the data have changed.
//!
//! Each run of segments is one commit, and each audience is one. A reader sees each segment whole, and
//! none before what it is made from.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::audience::build::{Build, build};
use crate::audience::keep::mark_stale;
use crate::audience::{BuildRequest, BuiltSegment, Catalog, State, Status};
use crate::error::{Error, Result};
use crate::lookalike::{Model, Standing, run};
use crate::membership::wire::{self, Format};
use crate::model::{AsOf, BuildId, Name, TableName, millis_since};
use crate::query::Session;
use crate::segment::{Graph, Parsed, Selector};
use crate::store::{Store, StoreSnapshot};

use super::build::BuildOptions;
use super::lookalike::{At, LookalikeOptions, Place};
use super::open::Engine;

/// An audience that can be found again.
struct Audience {
    state: State,
    model: Box<Model>,
    standing: Standing,
    /// All segments that it is made from.
    needs: BTreeSet<String>,
}

/// What is still to be built.
struct Pending {
    graph: Graph,
    segments: BTreeSet<String>,
    audiences: BTreeMap<String, Audience>,
}

impl Pending {
    fn waits(&self, name: &str, seen: &mut BTreeSet<String>) -> bool {
        if !seen.insert(name.to_owned()) {
            return false;
        }
        self.graph.needs(name).any(|need| {
            self.audiences.contains_key(need)
                || (self.segments.contains(need) && self.waits(need, seen))
        })
    }

    /// Segments that need no audience that is still to be found.
    fn ready_segments(&mut self) -> BTreeSet<String> {
        let ready: BTreeSet<String> = self
            .segments
            .iter()
            .filter(|name| !self.waits(name, &mut BTreeSet::new()))
            .cloned()
            .collect();
        self.segments.retain(|name| !ready.contains(name));
        ready
    }

    /// Audiences whose needs are all there.
    fn ready_audiences(&mut self) -> Vec<(String, Audience)> {
        let waits = |audience: &Audience| {
            let mut needs = audience.needs.iter();
            needs.any(|n| self.segments.contains(n) || self.audiences.contains_key(n))
        };
        let ready: Vec<String> = self
            .audiences
            .iter()
            .filter(|(_, audience)| !waits(audience))
            .map(|(name, _)| name.clone())
            .collect();
        ready.into_iter().filter_map(|name| self.audiences.remove_entry(&name)).collect()
    }
}

/// A whole build on its way: what it is asked for, and what it did so far.
struct Course {
    as_of: AsOf,
    full: bool,
    build: BuildId,
    segments: Vec<BuiltSegment>,
}

impl Engine {
    /// Builds what `options` ask for, audiences of look-alikes in their place among the segments.
    pub(super) async fn build_in_order(
        &self,
        options: &BuildOptions,
        on_done: &(dyn Fn(usize, usize, &str) + Sync),
    ) -> Result<Build> {
        let as_of = self.as_of(options.as_of)?;
        let (store, snapshot) = self.opened().await?;
        let audiences = self.audiences(&store, &snapshot).await?;
        if audiences.is_empty() {
            if self.project.segments.is_empty() {
                return Err(Error::input("the project has no segments").with_hint(
                    "write one: sql/segments/vip.sql, a query that returns profile_id",
                ));
            }
            return self.build_segments((&store, &snapshot), options, as_of, on_done).await;
        }
        let mut pending = self.pending(audiences, &options.selectors)?;
        let build = BuildId(snapshot.record.last_build);
        let mut course = Course { as_of, full: options.full, build, segments: Vec::new() };
        loop {
            let ready = pending.ready_segments();
            let more = !ready.is_empty();
            self.add_segments(ready, on_done, &mut course).await?;
            let audiences = pending.ready_audiences();
            if audiences.is_empty() && !more {
                break;
            }
            for (name, audience) in audiences {
                let built = self.refresh(&name, &audience, &mut course).await;
                course.segments.push(built);
            }
        }
        // What is left needs itself, through an audience.
        for (name, audience) in std::mem::take(&mut pending.audiences) {
            let needs: Vec<&str> = audience.needs.iter().map(String::as_str).collect();
            let error = Error::input(format!(
                "{name} is learnt from {}, which cannot be built without it",
                needs.join(" and ")
            ))
            .with_hint("let the seed not read its own look-alikes");
            let built = self.gone_stale(&name, &audience, &mut course, error).await;
            course.segments.push(built);
        }
        let left = std::mem::take(&mut pending.segments);
        self.add_segments(left, on_done, &mut course).await?;
        course.segments.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Build { build: course.build, as_of, segments: course.segments })
    }

    async fn build_segments(
        &self,
        (store, snapshot): (&Store, &StoreSnapshot),
        options: &BuildOptions,
        as_of: AsOf,
        on_done: &(dyn Fn(usize, usize, &str) + Sync),
    ) -> Result<Build> {
        let selectors = options.selectors.iter();
        let selectors: Vec<Selector> = selectors.map(|s| Selector::parse(s)).collect();
        build(&BuildRequest {
            store,
            snapshot,
            segments: &self.project.segments,
            selectors: &selectors,
            as_of,
            now: self.now,
            full: options.full,
            limits: self.limits,
            held: self.held.as_ref(),
            on_done,
        })
        .await
    }

    async fn add_segments(
        &self,
        names: BTreeSet<String>,
        on_done: &(dyn Fn(usize, usize, &str) + Sync),
        course: &mut Course,
    ) -> Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        let (store, snapshot) = self.opened().await?;
        let selectors = names.into_iter().collect();
        let options = BuildOptions { selectors, as_of: None, full: course.full };
        let opened = (&store, &snapshot);
        let built = self.build_segments(opened, &options, course.as_of, on_done).await?;
        course.build = built.build;
        course.segments.extend(built.segments);
        Ok(())
    }

    /// The audiences that say what they were asked for.
    async fn audiences(
        &self,
        store: &Store,
        snapshot: &StoreSnapshot,
    ) -> Result<BTreeMap<String, Audience>> {
        // Most stores have none, and need not be asked what they built.
        if !store.has_models().await? {
            return Ok(BTreeMap::new());
        }
        let session = Session::over(store, snapshot, self.limits, self.now)?;
        let catalog = Catalog::load(&session).await?;
        let mut audiences = BTreeMap::new();
        for state in self.lookalikes(&catalog) {
            let Some(model) = self.model_of(state).await?.map(Box::new) else { continue };
            let Some(standing) = model.lineage.standing.clone() else { continue };
            let needs = self.needs(&standing, &session)?;
            let audience = Audience { state: state.clone(), model, standing, needs };
            audiences.insert(state.segment.clone(), audience);
        }
        Ok(audiences)
    }

    /// All segments that an audience is made from: those that it names, and those that its features
    /// read.
    fn needs(&self, standing: &Standing, session: &Session) -> Result<BTreeSet<String>> {
        let mut needs: BTreeSet<String> = standing.needs().map(str::to_owned).collect();
        for file in self.features_of(standing) {
            let references = session.references(&file.text, Some(&file.path))?;
            needs.extend(references.iter().filter_map(|r| r.segment().map(str::to_owned)));
        }
        Ok(needs)
    }

    fn features_of<'a>(
        &'a self,
        standing: &'a Standing,
    ) -> impl Iterator<Item = &'a crate::project::SqlFile> {
        let wanted = move |name: &str| {
            standing.features.is_empty() || standing.features.iter().any(|f| f == name)
        };
        self.project.features.iter().filter(move |file| wanted(file.name.as_str()))
    }

    /// What is to be built, as `selectors` say; all where there are none.
    fn pending(
        &self,
        mut audiences: BTreeMap<String, Audience>,
        selectors: &[String],
    ) -> Result<Pending> {
        let session = Session::new(self.limits, self.now)?;
        let parsed: Vec<Result<Parsed>> =
            self.project.segments.iter().map(|file| Parsed::new(&session, file)).collect();
        let files = self.project.segments.iter().zip(&parsed);
        let broken = files.filter(|(_, p)| p.is_err()).map(|(file, _)| file.name.to_string());
        let broken: Vec<String> = broken.collect();
        let graph = Graph::new(parsed.iter().flatten(), broken);
        if selectors.is_empty() {
            let segments = graph.select(&[])?;
            return Ok(Pending { graph, segments, audiences });
        }
        let (mut sql, mut chosen) = (Vec::new(), BTreeSet::new());
        for selector in selectors {
            let name = selector.trim_matches('+');
            let Some(audience) = audiences.get(name) else {
                sql.push(Selector::parse(selector));
                continue;
            };
            chosen.insert(name.to_owned());
            let file = |need: &&String| {
                self.project.segments.iter().any(|file| file.name.as_str() == need.as_str())
            };
            if selector.starts_with('+') {
                let needs = audience.needs.iter().filter(file);
                sql.extend(needs.map(|need| Selector::parse(&format!("+{need}"))));
            }
            if selector.ends_with('+') {
                sql.extend(graph.needed_by(name).map(|n| Selector::parse(&format!("{n}+"))));
            }
        }
        let segments = if sql.is_empty() { BTreeSet::new() } else { graph.select(&sql)? };
        audiences.retain(|name, _| chosen.contains(name));
        Ok(Pending { graph, segments, audiences })
    }

    /// The digest of all that decides an audience, apart from the moment: where it is what it was, the
    /// audience stays.
    pub(super) async fn trigger(
        &self,
        standing: &Standing,
        catalog: &Catalog,
        session: &Session,
        snapshot: &StoreSnapshot,
    ) -> Result<String> {
        let mut hasher = blake3::Hasher::new();
        let asked = serde_json::to_vec(standing)
            .map_err(|e| Error::internal(format!("a standing order: {e}")))?;
        hasher.update(&asked);
        for table in [TableName::Profiles, TableName::Events, TableName::Identifiers] {
            let version = snapshot.record.tables.get(&table).map(|t| t.data_version);
            hasher.update(format!("|{table}={version:?}").as_bytes());
        }
        for file in self.features_of(standing) {
            hasher.update(format!("|{}=", file.name).as_bytes());
            hasher.update(file.text.as_bytes());
        }
        for name in self.needs(standing, session)? {
            let members = self.members(catalog, session, &name).await?;
            hasher.update(format!("|{name}=").as_bytes());
            hasher.update(&wire::encode(&members, Format::Roaring));
        }
        Ok(hasher.finalize().to_hex()[..16].to_owned())
    }

    /// Finds an audience again where what it is made from has changed. One that cannot be found keeps
    /// the members that it had.
    async fn refresh(&self, name: &str, audience: &Audience, course: &mut Course) -> BuiltSegment {
        let started = Instant::now();
        match self.found_again(name, audience, course).await {
            Ok(built) => BuiltSegment { elapsed_ms: millis_since(started), ..built },
            Err(error) => self.gone_stale(name, audience, course, error).await,
        }
    }

    /// An audience that could not be found: the store is told too, so that lists say so until it is.
    async fn gone_stale(
        &self,
        name: &str,
        audience: &Audience,
        course: &mut Course,
        error: Error,
    ) -> BuiltSegment {
        match self.told_stale(&audience.state, course, &error).await {
            Ok(build) => course.build = build.unwrap_or(course.build),
            Err(other) => tracing::warn!(segment = name, error = %other, "not marked as stale"),
        }
        failed(name, &audience.state, error)
    }

    async fn told_stale(
        &self,
        state: &State,
        course: &Course,
        error: &Error,
    ) -> Result<Option<BuildId>> {
        let (store, snapshot) = self.opened().await?;
        let why = error.to_string();
        mark_stale(&store, &snapshot, (state, &why), course.as_of, self.now).await
    }

    async fn found_again(
        &self,
        name: &str,
        audience: &Audience,
        course: &mut Course,
    ) -> Result<BuiltSegment> {
        let as_of = course.as_of;
        let Audience { state, model, standing, .. } = audience;
        let (store, snapshot) = self.opened().await?;
        let session = Session::over(&store, &snapshot, self.limits, as_of)?;
        let catalog = Catalog::load(&session).await?;
        let trigger = self.trigger(standing, &catalog, &session, &snapshot).await?;
        let last = state.inputs.as_deref().and_then(|inputs| inputs.split_once(':'));
        let same = last.is_some_and(|(last, _)| last == trigger) && state.status != Status::Stale;
        if same && !course.full {
            return Ok(built(name, Status::Reused, state.members, (0, 0)));
        }
        let options = LookalikeOptions::of(standing.clone());
        let kept = (!standing.relearn).then(|| model.clone());
        let request = self
            .request(&options, kept, &At { session: &session, snapshot: &snapshot, as_of })
            .await?;
        let mut found = run(&session, request).await?;
        found.model.lineage.standing = Some(standing.clone());
        let place = Place { store: &store, snapshot: &snapshot, name: &Name::parse(name)?, as_of };
        let kept = self.keep(&place, &found, &trigger).await?;
        course.build = BuildId(kept.build);
        let moved = (kept.entered, kept.exited);
        Ok(built(name, Status::Built, Some(found.audience.len()), moved))
    }
}

fn built(
    name: &str,
    status: Status,
    members: Option<u64>,
    (entered, exited): (u64, u64),
) -> BuiltSegment {
    BuiltSegment {
        name: name.to_owned(),
        status,
        members,
        entered: Some(entered),
        exited: Some(exited),
        elapsed_ms: 0,
        evaluated: None,
        notes: Vec::new(),
        error: None,
    }
}

fn failed(name: &str, state: &State, error: Error) -> BuiltSegment {
    BuiltSegment { error: Some(error), ..built(name, Status::Stale, state.members, (0, 0)) }
}
