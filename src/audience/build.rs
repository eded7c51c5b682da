//! A build: evaluates the selected segments in order, and commits all of them at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use futures::StreamExt as _;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::membership::Membership;
use crate::model::{AsOf, BuildId, TableName};
use crate::project::SqlFile;
use crate::query::{Limits, Session};
use crate::segment::{Graph, Parsed, Planned, Selector};
use crate::store::{Change, FileLayout, Store, StoreSnapshot, encode};

use super::catalog::{Catalog, State, Status};
use super::rows;

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
    /// Called as each segment is done: done so far, of how many, and the name.
    pub on_done: &'a (dyn Fn(usize, usize, &str) + Sync),
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
    /// Why it failed or was skipped.
    #[serde(skip)]
    pub error: Option<Error>,
}

/// The outcome of one segment's evaluation.
enum Outcome {
    Built { membership: Membership, inputs: String },
    Reused,
    Skipped(Error),
    Failed(Error),
}

/// A build on its way.
struct Running<'a> {
    request: &'a BuildRequest<'a>,
    session: Session,
    catalog: Catalog,
    parsed: BTreeMap<String, Result<Parsed>>,
    graph: Graph,
    /// The digests of the inputs of all segments that are defined in the session.
    inputs: BTreeMap<String, String>,
    outcomes: BTreeMap<String, (Outcome, u64)>,
}

/// Builds.
///
/// A segment that fails does not stop the others: it keeps its last membership, and those that need
/// it are skipped.
///
/// # Errors
/// Where a selector names nothing, the store cannot be read or written, or another build was faster.
pub async fn build(request: &BuildRequest<'_>) -> Result<Build> {
    let session = Session::over(request.store, request.snapshot, request.limits, request.as_of)?;
    let catalog = Catalog::load(&session).await?;
    let parsed: BTreeMap<String, Result<Parsed>> = request
        .segments
        .iter()
        .map(|file| (file.name.to_string(), Parsed::new(&session, file)))
        .collect();
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
        self.session.define_segment(&crate::model::Name::parse(name)?, membership)?;
        self.inputs.insert(name.to_owned(), inputs);
        Ok(())
    }

    /// Level by level, so that what a segment needs is defined before it is planned.
    async fn evaluate(&mut self, selected: &BTreeSet<String>) -> Result<()> {
        let mut done = 0;
        for level in self.graph.levels() {
            let names: Vec<String> =
                level.into_iter().filter(|name| selected.contains(name)).collect();
            let outcomes: Vec<(String, Outcome, u64)> = {
                let this = &*self;
                let work = names.into_iter().map(|name| async move {
                    let started = Instant::now();
                    let outcome = this.outcome(&name).await;
                    (name, outcome, millis(started))
                });
                let mut stream =
                    futures::stream::iter(work).buffer_unordered(this.request.limits.threads.get());
                let mut outcomes = Vec::new();
                while let Some(one) = stream.next().await {
                    done += 1;
                    (this.request.on_done)(done, selected.len(), &one.0);
                    outcomes.push(one);
                }
                outcomes
            };
            self.settle(outcomes).await?;
        }
        Ok(())
    }

    /// Defines what a level built, for the levels behind it.
    async fn settle(&mut self, outcomes: Vec<(String, Outcome, u64)>) -> Result<()> {
        let reused: Vec<&str> = outcomes
            .iter()
            .filter(|(_, outcome, _)| matches!(outcome, Outcome::Reused))
            .map(|(name, ..)| name.as_str())
            .filter(|name| self.graph.needed_by(name).next().is_some())
            .collect();
        let mut memberships = self.catalog.memberships(&self.session, reused).await?;
        for (name, outcome, elapsed_ms) in outcomes {
            match &outcome {
                Outcome::Built { membership, inputs } => {
                    self.define(&name, membership.clone(), inputs.clone())?;
                }
                Outcome::Reused => {
                    let inputs = self.catalog.get(&name).and_then(|s| s.inputs.clone());
                    if let Some(membership) = memberships.remove(&name) {
                        self.define(&name, membership, inputs.unwrap_or_default())?;
                    }
                }
                Outcome::Failed(_) | Outcome::Skipped(_) => {}
            }
            self.outcomes.insert(name, (outcome, elapsed_ms));
        }
        Ok(())
    }

    async fn outcome(&self, name: &str) -> Outcome {
        match self.try_outcome(name).await {
            Ok(outcome) => outcome,
            Err(error) => Outcome::Failed(error),
        }
    }

    async fn try_outcome(&self, name: &str) -> Result<Outcome> {
        let segment = match self.parsed.get(name) {
            Some(Ok(segment)) => segment,
            Some(Err(error)) => return Err(error.clone()),
            None => return Err(Error::internal(format!("segment {name} was not parsed"))),
        };
        if let Some(cycle) = self.graph.cycle(name) {
            return Err(cycle.at(&segment.file.path, None, None));
        }
        if let Some(skipped) = self.missing_need(segment)? {
            return Ok(Outcome::Skipped(skipped));
        }
        let planned = Planned::new(&self.session, segment).await?;
        let inputs = self.inputs_of(segment, planned.uses_now());
        let last = self.catalog.get(name);
        let same = last.is_some_and(|s| {
            s.inputs.as_ref() == Some(&inputs)
                && s.membership_build.is_some()
                && s.status != Status::Stale
        });
        if same && !self.request.full {
            return Ok(Outcome::Reused);
        }
        Ok(Outcome::Built { membership: planned.evaluate().await?, inputs })
    }

    /// Why `segment` cannot be evaluated now, where something that it needs is not there.
    fn missing_need(&self, segment: &Parsed) -> Result<Option<Error>> {
        for need in &segment.segments {
            if self.inputs.contains_key(need) {
                continue;
            }
            let here = |error: Error| error.at(&segment.file.path, None, None);
            if self.outcomes.contains_key(need) {
                return Ok(Some(here(Error::input(format!("it needs {need}, which failed")))));
            }
            if self.parsed.contains_key(need) {
                if self.graph.cycle(need).is_some() {
                    return Ok(Some(here(Error::input(format!(
                        "it needs {need}, which needs itself"
                    )))));
                }
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

    async fn commit(self) -> Result<Build> {
        let record = &self.request.snapshot.record;
        let build = BuildId(record.last_build + 1);
        let rebuilt = self.outcomes.iter().filter_map(|(name, (outcome, _))| match outcome {
            Outcome::Built { .. } => Some(name.as_str()),
            _ => None,
        });
        let before = self.catalog.memberships(&self.session, rebuilt).await?;
        let mut segments = Vec::new();
        let mut states = Vec::new();
        for (name, (outcome, elapsed_ms)) in &self.outcomes {
            let (built, state) = self.report(build, name, outcome, *elapsed_ms, before.get(name));
            segments.push(built);
            states.push(state);
        }
        let mut change = Change::new("build", self.request.now);
        change.build = Some(build.0);
        self.put(&mut change, build, &states).await?;
        match self.request.store.commit(self.request.snapshot, change).await? {
            crate::store::Committed::Done(_) => {}
            crate::store::Committed::Conflict(error) => return Err(error),
        }
        Ok(Build { build, as_of: self.request.as_of, segments })
    }

    async fn put(&self, change: &mut Change, build: BuildId, states: &[State]) -> Result<()> {
        let (store, snapshot) = (self.request.store, self.request.snapshot);
        let built = self.outcomes.iter().filter_map(|(name, (outcome, _))| match outcome {
            Outcome::Built { membership, .. } => {
                let definition = self.parsed.get(name)?.as_ref().ok()?.definition.as_str();
                Some((name.as_str(), definition, membership))
            }
            _ => None,
        });
        let schema = &snapshot.table(TableName::Memberships)?.schema;
        let size = snapshot.shard_size()?;
        let rows = rows::memberships(schema, build, self.request.as_of, size, built)?;
        if rows.num_rows() > 0 {
            let encoded = encode::encode(schema, &[rows], FileLayout::of(TableName::Memberships))?;
            let file = store.put(TableName::Memberships, "", encoded).await?;
            change.table(TableName::Memberships).added.push(file);
        }
        let schema = &snapshot.table(TableName::Builds)?.schema;
        let rows = rows::builds(schema, states, snapshot.record.version)?;
        let encoded = encode::encode(schema, &[rows], FileLayout::of(TableName::Builds))?;
        let file = store.put(TableName::Builds, "", encoded).await?;
        change.table(TableName::Builds).added.push(file);
        Ok(())
    }

    /// What the build says about one segment, and what it keeps.
    #[expect(clippy::too_many_arguments, reason = "what a build knows of one segment")]
    fn report(
        &self,
        build: BuildId,
        name: &str,
        outcome: &Outcome,
        elapsed_ms: u64,
        before: Option<&Membership>,
    ) -> (BuiltSegment, State) {
        let last = self.catalog.get(name);
        let kept = last.and_then(|s| s.membership_build);
        let (status, error) = match outcome {
            Outcome::Built { .. } => (Status::Built, None),
            Outcome::Reused => (Status::Reused, None),
            Outcome::Skipped(error) => (Status::Skipped, Some(error)),
            Outcome::Failed(error) if kept.is_some() => (Status::Stale, Some(error)),
            Outcome::Failed(error) => (Status::Failed, Some(error)),
        };
        let empty = Membership::new();
        let (members, entered, exited) = if let Outcome::Built { membership, .. } = outcome {
            let before = before.unwrap_or(&empty);
            let entered = membership.and_not_len(before);
            (Some(membership.len()), Some(entered), Some(before.and_not_len(membership)))
        } else {
            let unmoved = kept.map(|_| 0);
            (last.and_then(|s| s.members), unmoved, unmoved)
        };
        let inputs = match outcome {
            Outcome::Built { inputs, .. } => Some(inputs.clone()),
            _ => last.and_then(|s| s.inputs.clone()),
        };
        let is_built = matches!(outcome, Outcome::Built { .. });
        let definition = match self.parsed.get(name) {
            Some(Ok(parsed)) => parsed.definition.clone(),
            _ => last.map(|s| s.definition.clone()).unwrap_or_default(),
        };
        let built = BuiltSegment {
            name: name.to_owned(),
            status,
            members,
            entered,
            exited,
            elapsed_ms,
            error: error.cloned(),
        };
        let state = State {
            segment: name.to_owned(),
            build,
            as_of: self.request.as_of,
            status,
            members,
            entered,
            exited,
            elapsed_ms,
            definition,
            membership_build: if is_built { Some(build) } else { kept },
            inputs,
            error: error.map(ToString::to_string),
        };
        (built, state)
    }
}

fn millis(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}
