//! A build: evaluates the selected segments in order, and commits all of them at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use futures::StreamExt as _;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::membership::Membership;
use crate::model::{AsOf, BuildId, Name, TableName, millis_since};
use crate::project::SqlFile;
use crate::query::{Held, Limits, Session, crew};
use crate::segment::pass::Cost;
use crate::segment::{Batch, BatchRun, Graph, Parsed, Planned, Selector};
use crate::store::{Store, StoreSnapshot};

use super::before::Before;
use super::catalog::{Catalog, Status};

/// What to build, and over what.
pub struct BuildRequest<'a> {
    /// Where memberships go.
    pub store: &'a Store,
    /// The version of all tables that the whole build reads.
    pub snapshot: &'a StoreSnapshot,
    /// All segments of the project.
    pub segments: &'a [SqlFile],
    /// Which of them; all where it is empty.
    pub selectors: &'a [Selector],
    /// What `now()` is.
    pub as_of: AsOf,
    /// The clock.
    pub now: AsOf,
    /// Whether segments whose inputs did not change are evaluated all the same.
    pub full: bool,
    /// Threads and memory.
    pub limits: Limits,
    /// What earlier sessions over the same store left behind.
    pub held: Option<&'a Held>,
    /// Called as each segment is done: done so far, of how many, and the name.
    pub on_done: &'a (dyn Fn(usize, usize, &str) + Sync),
}

impl BuildRequest<'_> {
    /// A session in which `now()` is `as_of`.
    ///
    /// # Errors
    /// Where a table of the store cannot be scanned.
    pub(super) fn session(&self, as_of: AsOf) -> Result<Session> {
        let (store, snapshot, limits) = (self.store, self.snapshot, self.limits);
        match self.held {
            Some(held) => Session::over_held(store, snapshot, held.clone(), limits, as_of),
            None => Session::over(store, snapshot, limits, as_of),
        }
    }
}

/// What a build did.
#[derive(Debug, Clone)]
pub struct Build {
    /// Its number.
    pub build: BuildId,
    /// What `now()` was.
    pub as_of: AsOf,
    /// Each selected segment, by name.
    pub segments: Vec<BuiltSegment>,
}

/// One segment of a build.
#[derive(Debug, Clone, Serialize)]
pub struct BuiltSegment {
    /// Its name.
    pub name: String,
    /// What became of it.
    pub status: Status,
    /// Its members.
    pub members: Option<u64>,
    /// Members that it gained against its last membership.
    pub entered: Option<u64>,
    /// Members that it lost.
    pub exited: Option<u64>,
    /// The time its evaluation took.
    pub elapsed_ms: u64,
    /// How many profiles were evaluated, where only some were: those that something had changed for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluated: Option<u64>,
    /// What an analyst may want to know of it: words that it looks for and no row has, where it is empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Why it failed or was skipped.
    #[serde(skip)]
    pub error: Option<Error>,
}

/// What is to be done with a segment.
enum Decision {
    Evaluate(Box<Planned>),
    Done(Outcome),
}

/// The outcome of one segment's evaluation.
pub(super) enum Outcome {
    Built { membership: Membership, inputs: String },
    Reused,
    Skipped(Error),
    Failed(Error),
}

/// A build on its way.
pub(super) struct Running<'a> {
    pub(super) request: &'a BuildRequest<'a>,
    pub(super) session: Session,
    pub(super) catalog: Catalog,
    pub(super) parsed: BTreeMap<String, Result<Parsed>>,
    pub(super) graph: Graph,
    /// The digests of the inputs of all segments that are defined in the session.
    pub(super) inputs: BTreeMap<String, String>,
    pub(super) outcomes: BTreeMap<String, (Outcome, u64)>,
    /// How many profiles were evaluated, of segments that were refreshed.
    pub(super) touched: BTreeMap<String, u64>,
    /// Last memberships.
    pub(super) before: Before,
    /// What is to be said of segments.
    pub(super) notes: BTreeMap<String, Vec<String>>,
    /// The segments to be built.
    pub(super) selected: BTreeSet<String>,
}

/// Builds.
///
/// A segment that fails does not stop the others: it keeps its last membership, and those that need
/// it are skipped.
///
/// # Errors
/// Where a selector names nothing, the store cannot be read or written, or another build was faster.
pub async fn build(request: &BuildRequest<'_>) -> Result<Build> {
    let started = Instant::now();
    let session = request.session(request.as_of)?;
    let reads = session.clone();
    let reading = tokio::spawn(async move { Catalog::load(&reads).await });
    let parses = session.clone();
    let parsed = move |file: SqlFile| (file.name.to_string(), Parsed::new(&parses, &file));
    let threads = request.limits.threads.get();
    let parsed: BTreeMap<String, Result<Parsed>> =
        crew::map(request.segments.to_vec(), threads, parsed).await?.into_iter().collect();
    let stopped = |e| Error::internal(format!("reading stopped: {e}"));
    let catalog = reading.await.map_err(stopped)??;
    tracing::info!(ms = millis_since(started), "parsed, and read what was built before");
    let broken = parsed.iter().filter(|(_, p)| p.is_err()).map(|(name, _)| name.clone());
    let graph = Graph::new(parsed.values().flatten(), broken.collect::<Vec<_>>());
    let selected = graph.select(request.selectors)?;
    let mut running = Running {
        request,
        session,
        catalog,
        parsed,
        graph,
        inputs: BTreeMap::new(),
        outcomes: BTreeMap::new(),
        touched: BTreeMap::new(),
        before: Before::default(),
        notes: BTreeMap::new(),
        selected: selected.clone(),
    };
    running.define_unselected(&selected).await?;
    running.evaluate(&selected).await?;
    running.commit().await
}

impl Running<'_> {
    /// Segments that are needed but not selected are read as they are.
    async fn define_unselected(&mut self, selected: &BTreeSet<String>) -> Result<()> {
        let needed: BTreeSet<&str> = selected
            .iter()
            .flat_map(|name| self.graph.needs(name))
            .filter(|name| !selected.contains(*name))
            .collect();
        let memberships = self.catalog.memberships(&self.session, needed).await?;
        for (name, membership) in memberships {
            let inputs = self.catalog.get(&name).and_then(|s| s.inputs.clone()).unwrap_or_default();
            self.define(&name, membership, inputs)?;
        }
        Ok(())
    }

    fn define(&mut self, name: &str, membership: Membership, inputs: String) -> Result<()> {
        self.session.define_segment(&Name::parse(name)?, membership)?;
        self.inputs.insert(name.to_owned(), inputs);
        Ok(())
    }

    /// Plans everything, decides what has to be evaluated, and evaluates that together.
    async fn evaluate(&mut self, selected: &BTreeSet<String>) -> Result<()> {
        let started = Instant::now();
        let order: Vec<String> =
            self.graph.levels().into_iter().flatten().filter(|n| selected.contains(n)).collect();
        for name in &order {
            self.session.declare_segment(&Name::parse(name)?)?;
        }
        let mut open = Vec::new();
        for name in order {
            match self.unchanged(&name) {
                Some(inputs) => {
                    self.inputs.insert(name.clone(), inputs);
                    self.done(&name, Outcome::Reused, started);
                }
                None => open.push(name),
            }
        }
        let mut plans = self.plans(&self.session, &open).await;
        tracing::info!(segments = open.len(), ms = millis_since(started), "planned");
        let mut todo: Vec<(String, Planned)> = Vec::new();
        for name in &open {
            match self.decided(name, plans.remove(name)) {
                Ok(Decision::Evaluate(planned)) => todo.push((name.clone(), *planned)),
                Ok(Decision::Done(outcome)) => self.done(name, outcome, Instant::now()),
                Err(error) => self.done(name, Outcome::Failed(error), started),
            }
        }
        let names = todo.iter().map(|(name, _)| name.clone()).collect();
        self.before.read_ahead(&self.catalog, &self.session, names);
        self.define_reused().await?;
        let threads = self.request.limits.threads.get();
        let (mut batch, failed) = Batch::compile_on(&todo, threads).await?;
        for (name, error) in failed {
            self.done(&name, Outcome::Failed(error), started);
        }
        tracing::info!(ms = millis_since(started), "compiled");
        self.refresh(&todo, &mut batch).await?;
        let is_open = |name: &&String| !self.outcomes.contains_key(*name);
        let batch = batch.of(&todo.iter().map(|(name, _)| name).filter(is_open).cloned().collect());
        let known = batch.known(&self.session);
        let passes = Instant::now();
        let mut run = batch.run(&self.session, self.request.limits, known).await?;
        let passes_ms = millis_since(passes);
        let Cost { bytes, rows, passes } = run.cost;
        tracing::info!(ms = passes_ms, bytes, rows, passes, "passes ran");
        for (name, membership) in std::mem::take(&mut run.memberships) {
            let share = run.shares.get(&name).copied().unwrap_or(0.0);
            self.built(&name, membership, scaled(passes_ms, share))?;
        }
        let started = Instant::now();
        self.rest(&todo, &batch, &run).await?;
        tracing::info!(ms = millis_since(started), "the rest ran");
        self.doubt(&todo, (&batch, &run)).await;
        self.note_orphans();
        crew::drop_later((todo, batch, run));
        Ok(())
    }

    /// The plan of each segment in `order` that parses, over `session`; planned on all threads.
    pub(super) async fn plans(
        &self,
        session: &Session,
        order: &[String],
    ) -> BTreeMap<String, Result<Planned>> {
        let tasks = order.iter().filter_map(|name| {
            let Some(Ok(segment)) = self.parsed.get(name) else { return None };
            let (session, segment) = (session.clone(), segment.clone());
            let name = name.clone();
            Some(async move {
                let planning = tokio::spawn(async move { Planned::new(&session, &segment).await });
                let planned = planning
                    .await
                    .unwrap_or_else(|e| Err(Error::internal(format!("planning stopped: {e}"))));
                (name, planned)
            })
        });
        let tasks: Vec<_> = tasks.collect();
        futures::stream::iter(tasks)
            .buffer_unordered(self.request.limits.threads.get())
            .collect()
            .await
    }

    /// The inputs of segment `name`, where they are those of its last membership: then it need not even be
    /// planned. Nothing where that is not so, or takes a plan to tell.
    fn unchanged(&self, name: &str) -> Option<String> {
        let Some(Ok(segment)) = self.parsed.get(name) else { return None };
        let last = self.catalog.get(name)?;
        let is_known = |need: &String| self.inputs.contains_key(need);
        if self.request.full
            || !segment.segments.iter().all(is_known)
            || self.graph.cycle(name).is_some()
            || !matches!(self.missing_need(segment), Ok(None))
        {
            return None;
        }
        // Its plan says whether it asks for the time. The same query over the same tables asked before.
        let inputs = [false, true].map(|uses_now| self.inputs_of(segment, uses_now));
        inputs.into_iter().find(|inputs| last.has_members_of(inputs))
    }

    /// What is to be done with segment `name`, those before it being decided.
    fn decided(&mut self, name: &str, planned: Option<Result<Planned>>) -> Result<Decision> {
        let segment = match self.parsed.get(name) {
            Some(Ok(segment)) => segment.clone(),
            Some(Err(error)) => return Err(error.clone()),
            None => return Err(Error::internal(format!("segment {name} was not parsed"))),
        };
        if let Some(cycle) = self.graph.cycle(name) {
            return Err(cycle.at(&segment.file.path, None, None));
        }
        if let Some(skipped) = self.missing_need(&segment)? {
            return Ok(Decision::Done(Outcome::Skipped(skipped)));
        }
        let planned =
            planned.ok_or_else(|| Error::internal(format!("segment {name} was not planned")))??;
        let inputs = self.inputs_of(&segment, planned.uses_now());
        let same = self.catalog.get(name).is_some_and(|last| last.has_members_of(&inputs));
        self.inputs.insert(name.to_owned(), inputs);
        if same && !self.request.full {
            return Ok(Decision::Done(Outcome::Reused));
        }
        Ok(Decision::Evaluate(Box::new(planned)))
    }

    /// Gives reused segments that others read their memberships.
    async fn define_reused(&self) -> Result<()> {
        let reused = self.outcomes.iter().filter(|(_, (o, _))| matches!(o, Outcome::Reused));
        let read: Vec<&str> = reused
            .map(|(name, _)| name.as_str())
            .filter(|name| self.graph.needed_by(name).next().is_some())
            .collect();
        for (name, membership) in self.catalog.memberships(&self.session, read).await? {
            self.session.define_segment(&Name::parse(&name)?, membership)?;
        }
        Ok(())
    }

    /// What the passes did not finish: opaque segments, and those behind them. Level by level, since
    /// a query can be run once what it reads is there.
    async fn rest(
        &mut self,
        todo: &[(String, Planned)],
        batch: &Batch,
        run: &BatchRun,
    ) -> Result<()> {
        let plans: BTreeMap<&str, &Planned> = todo.iter().map(|(n, p)| (n.as_str(), p)).collect();
        for level in self.graph.levels() {
            let mut alone = Vec::new();
            for name in level {
                let Some(planned) = plans.get(name.as_str()) else { continue };
                if self.outcomes.contains_key(&name) {
                    continue;
                }
                if let Some(skipped) = self.failed_need(&name) {
                    self.done(&name, Outcome::Skipped(skipped), Instant::now());
                    continue;
                }
                match batch.combine(&name, run, &|n| self.session.segment(n)) {
                    Some(membership) => self.built(&name, membership, 0)?,
                    None => alone.push((name, (*planned).clone())),
                }
            }
            for (name, result, elapsed_ms) in self.alone(alone).await {
                tracing::debug!(segment = name, ms = elapsed_ms, "ran by itself");
                match result {
                    Ok(membership) => self.built(&name, membership, elapsed_ms)?,
                    Err(error) => self.finished(&name, Outcome::Failed(error), elapsed_ms),
                }
            }
        }
        Ok(())
    }

    /// Runs queries as `DataFusion` runs them, as many at a time as there are threads.
    async fn alone(
        &self,
        queries: Vec<(String, Planned)>,
    ) -> Vec<(String, Result<Membership>, u64)> {
        let tasks = queries.into_iter().map(|(name, planned)| async move {
            let started = Instant::now();
            let running = tokio::spawn(async move { planned.evaluate().await });
            let result = running
                .await
                .unwrap_or_else(|e| Err(Error::internal(format!("a query stopped: {e}"))));
            (name, result, millis_since(started))
        });
        let threads = self.request.limits.threads.get();
        futures::stream::iter(tasks).buffer_unordered(threads).collect().await
    }

    pub(super) fn built(
        &mut self,
        name: &str,
        membership: Membership,
        elapsed_ms: u64,
    ) -> Result<()> {
        if self.graph.needed_by(name).next().is_some() {
            self.session.define_segment(&Name::parse(name)?, membership.clone())?;
        }
        let inputs = self.inputs.get(name).cloned().unwrap_or_default();
        self.finished(name, Outcome::Built { membership, inputs }, elapsed_ms);
        Ok(())
    }

    fn done(&mut self, name: &str, outcome: Outcome, started: Instant) {
        self.finished(name, outcome, millis_since(started));
    }

    pub(super) fn finished(&mut self, name: &str, outcome: Outcome, elapsed_ms: u64) {
        self.report_done(name);
        self.outcomes.insert(name.to_owned(), (outcome, elapsed_ms));
    }

    fn report_done(&self, name: &str) {
        (self.request.on_done)(self.outcomes.len() + 1, self.selected.len(), name);
    }

    /// Why a segment that was planned cannot be evaluated: one that it needs failed meanwhile.
    fn failed_need(&self, name: &str) -> Option<Error> {
        let Some(Ok(segment)) = self.parsed.get(name) else { return None };
        let failed = segment.segments.iter().find(|need| {
            let outcome = self.outcomes.get(*need);
            matches!(outcome, Some((Outcome::Failed(_) | Outcome::Skipped(_), _)))
        })?;
        let error = Error::input(format!("it needs {failed}, which failed"));
        Some(error.at(&segment.file.path, None, None))
    }

    /// Why `segment` cannot be evaluated now, where something that it needs is not there.
    fn missing_need(&self, segment: &Parsed) -> Result<Option<Error>> {
        for need in &segment.segments {
            let here = |error: Error| error.at(&segment.file.path, None, None);
            let outcome = self.outcomes.get(need).map(|(outcome, _)| outcome);
            let has_failed = matches!(outcome, Some(Outcome::Failed(_) | Outcome::Skipped(_)));
            if self.inputs.contains_key(need) && !has_failed {
                continue;
            }
            if self.graph.cycle(need).is_some() {
                let message = format!("it needs {need}, which needs itself");
                return Ok(Some(here(Error::input(message))));
            }
            if has_failed {
                return Ok(Some(here(Error::input(format!("it needs {need}, which failed")))));
            }
            if self.parsed.contains_key(need) {
                return Err(here(Error::input(format!("it needs {need}, which was never built")))
                    .with_hint(format!("build it too: throng build +{}", segment.name())));
            }
            let error = here(Error::input(format!("no segment \"{need}\"")));
            let names = self.parsed.keys().map(String::as_str);
            return Err(match crate::error::nearest(need, names) {
                Some(near) => error.with_hint(format!("did you mean segments.{near}?")),
                None => error.with_hint("`throng ls` lists the segments"),
            });
        }
        Ok(None)
    }

    /// The digest of all that decides the membership of `segment`.
    fn inputs_of(&self, segment: &Parsed, uses_now: bool) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(segment.definition.as_bytes());
        for table in TableName::ALL {
            if segment.tables.contains(table.as_str()) {
                let version =
                    self.request.snapshot.record.tables.get(&table).map(|t| t.data_version);
                hasher.update(format!("|{table}={version:?}").as_bytes());
            }
        }
        for need in &segment.segments {
            let inputs = self.inputs.get(need).map_or("", String::as_str);
            hasher.update(format!("|{need}={inputs}").as_bytes());
        }
        if uses_now {
            hasher.update(format!("|{}", self.request.as_of).as_bytes());
        }
        hasher.finalize().to_hex()[..16].to_owned()
    }
}

/// `share` of `ms`, rounded.
pub(super) fn scaled(ms: u64, share: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a share of a build's milliseconds, for people to read"
    )]
    let own = (ms as f64 * share).round() as u64;
    own
}
