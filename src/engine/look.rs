//! Looking at segments, memberships and the store.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use serde::Serialize;

use crate::audience::catalog::State;
use crate::audience::history::history;
use crate::audience::{Catalog, HistoryEntry, Status};
use crate::error::Result;
use crate::model::{AsOf, TableName};
use crate::project::SqlFile;
use crate::query::{Session, placed};
use crate::segment::{Doubts, Effort, Graph, Parsed, Planned};
use crate::store::Store;

use super::open::Engine;
use super::warm::{counted, evaluated, is_name, query_of};

/// One line of `ls`.
#[derive(Debug, Clone, Serialize)]
pub struct Listing {
    /// The segment.
    pub name: String,
    /// Its members, nothing where it was never built.
    pub members: Option<u64>,
    /// The build that its membership is from.
    pub build: Option<i64>,
    /// The moment of that build, RFC 3339.
    pub as_of: Option<String>,
    /// What its last build made of it; `unbuilt`, or `changed` where its SQL is another one since.
    pub status: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its description.
    pub description: String,
}

/// One segment, whole.
#[derive(Debug, Clone, Serialize)]
pub struct Shown {
    /// What `ls` says.
    #[serde(flatten)]
    pub listing: Listing,
    /// Who looks after it.
    pub owner: Option<String>,
    /// Its file, below the project.
    pub file: String,
    /// Its text.
    pub sql: String,
    /// The segments that it reads.
    pub depends_on: Vec<String>,
    /// The segments that read it.
    pub dependants: Vec<String>,
    /// The parts that it is evaluated in.
    pub leaves: Vec<Leaf>,
    /// Why its last build failed.
    pub error: Option<String>,
}

/// A part of a segment that is evaluated as one.
#[derive(Debug, Clone, Serialize)]
pub struct Leaf {
    /// `attribute`, `events`, `aggregate`, `sequence`, `ranked` or `query`; `opaque` where
    /// `DataFusion` runs the whole query as it is, or it is not known yet.
    pub kind: String,
    /// The tables and segments that it reads.
    pub reads: Vec<String>,
}

/// The store and what is in it.
#[derive(Debug, Clone, Serialize)]
pub struct StatusReport {
    /// Where it is.
    pub store: String,
    /// Its version.
    pub version: u64,
    /// What committed that version.
    pub operation: String,
    /// When, RFC 3339.
    pub committed_at: String,
    /// Ids in a shard.
    pub shard_ids: u64,
    /// The last build, 0 before the first.
    pub last_build: i64,
    /// Segments in the project, and audiences of look-alikes.
    pub segments: u64,
    /// How many have which status.
    pub segment_statuses: BTreeMap<String, u64>,
    /// The tables.
    pub tables: Vec<TableStatus>,
}

/// One table.
#[derive(Debug, Clone, Serialize)]
pub struct TableStatus {
    /// Its name.
    pub name: TableName,
    /// Its rows.
    pub rows: u64,
    /// Its files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Its Delta version.
    pub version: u64,
}

impl Engine {
    /// All segments of the project, by name.
    ///
    /// # Errors
    /// Where the store cannot be read; without a store every segment is unbuilt.
    pub async fn list(&self) -> Result<Vec<Listing>> {
        let catalog = self.catalog().await?;
        let files = self.project.segments.iter().map(|file| listing(file, &catalog));
        let imported = self.imported(&catalog).map(imported_listing);
        let mut all: Vec<Listing> = files.chain(imported).collect();
        all.extend(self.lookalike_listings(&catalog).await?);
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// The segments that came from files of ids, without those that a SQL file has replaced.
    pub(super) fn imported<'a>(&'a self, catalog: &'a Catalog) -> impl Iterator<Item = &'a State> {
        let has_file = |name: &str| self.project.segments.iter().any(|s| s.name.as_str() == name);
        catalog.iter().filter(move |s| s.status == Status::Imported && !has_file(&s.segment))
    }

    /// The segment called `name`, whole.
    ///
    /// # Errors
    /// Where there is none.
    pub async fn show(&self, name: &str) -> Result<Shown> {
        let catalog = self.catalog().await?;
        let session = Session::new(self.limits, self.now)?;
        let parsed: Vec<Parsed> =
            self.project.segments.iter().filter_map(|f| Parsed::new(&session, f).ok()).collect();
        let graph = Graph::new(&parsed, []);
        if let Some(state) = self.imported(&catalog).find(|s| s.segment == name) {
            return Ok(imported_shown(state, &graph));
        }
        if let Some(mut shown) = self.lookalike_shown(&catalog, name).await? {
            shown.dependants = graph.needed_by(name).map(str::to_owned).collect();
            return Ok(shown);
        }
        let file = self.project.segment(name)?;
        let own = parsed.iter().find(|p| p.name() == &file.name);
        let reads = own.map(|p| {
            let segments = p.segments.iter().map(|s| format!("segments.{s}"));
            p.tables.iter().cloned().chain(segments).collect()
        });
        Ok(Shown {
            listing: listing(file, &catalog),
            owner: file.front.get("owner").map(str::to_owned),
            file: file.path.display().to_string(),
            sql: file.text.clone(),
            depends_on: graph.needs(name).map(str::to_owned).collect(),
            dependants: graph.needed_by(name).map(str::to_owned).collect(),
            leaves: match self.leaves(name).await {
                leaves if leaves.is_empty() => reads
                    .map(|reads| Leaf { kind: "opaque".to_owned(), reads })
                    .into_iter()
                    .collect(),
                leaves => leaves,
            },
            error: catalog.get(name).and_then(|s| s.error.clone()),
        })
    }

    /// The leaves of segment `name`; none where it is opaque, or cannot be planned now.
    async fn leaves(&self, name: &str) -> Vec<Leaf> {
        let Ok(together) = self.together(name, self.now).await else { return Vec::new() };
        let Some(Ok(set)) = together.batch.set(name) else { return Vec::new() };
        let program = together.batch.program();
        let leaf = |id| Leaf { kind: program.kind(id).to_owned(), reads: program.reads(id) };
        let mut leaves: Vec<Leaf> = set.leaves().into_iter().map(leaf).collect();
        let segments = together.batch.only(name).segments_read().into_iter();
        leaves.extend(segments.map(|segment| Leaf {
            kind: "segment".to_owned(),
            reads: vec![format!("segments.{segment}")],
        }));
        leaves
    }

    async fn catalog(&self) -> Result<Catalog> {
        let Some(store) = Store::find(self.location()?).await? else {
            return Ok(Catalog::default());
        };
        let snapshot = store.snapshot().await?;
        let session = Session::over(&store, &snapshot, self.limits, self.now)?;
        Catalog::load(&session).await
    }

    /// How many profiles `what` has now: a segment's name, a query that returns `profile_id`, or a
    /// query that counts by itself.
    ///
    /// # Errors
    /// Where it is none of these.
    pub async fn count(&self, what: &str, as_of: Option<AsOf>) -> Result<u64> {
        let as_of = self.as_of(as_of)?;
        if is_name(what) {
            let catalog = self.catalog().await?;
            let mut without_sql = self.imported(&catalog).chain(self.lookalikes(&catalog));
            if let Some(state) = without_sql.find(|s| s.segment == what.trim()) {
                return Ok(state.members.unwrap_or(0));
            }
            let file = self.project.segment(what.trim())?;
            let session = self.session_for(&file.text, Some(&file.path), as_of).await?;
            let parsed = Parsed::new(&session, file)?;
            let planned = Planned::new(&session, &parsed).await?;
            let found = evaluated(&session, self.limits, planned).await;
            return found.map(|m| m.len()).map_err(|e| placed(e, &file.text, Some(&file.path)));
        }
        let session = self.session_for(what, None, as_of).await?;
        counted(&session, self.limits, what).await
    }

    /// Why [`Engine::count`] may have counted nobody: words that `what` looks for and no row has.
    ///
    /// # Errors
    /// As [`Engine::count`].
    pub async fn doubts(&self, what: &str, as_of: Option<AsOf>) -> Result<Vec<String>> {
        let Some((sql, file)) = query_of(&self.project, what) else { return Ok(Vec::new()) };
        let session = self.session_for(sql, file, self.as_of(as_of)?).await?;
        Ok(Doubts::new(&session, Effort::Columns).of(&session.plan(sql, file).await?).await)
    }

    /// Runs any query.
    ///
    /// # Errors
    /// Where it does not parse, names what is not there, or fails.
    pub async fn query(
        &self,
        sql: &str,
        as_of: Option<AsOf>,
    ) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        let session = self.session_for(sql, None, self.as_of(as_of)?).await?;
        let plan = session.plan(sql, None).await?;
        Ok((plan.schema(), plan.collect().await?))
    }

    /// What past builds made of the segment called `name`, the last one first.
    ///
    /// # Errors
    /// Where there never was a segment of that name.
    pub async fn history(&self, name: &str) -> Result<Vec<HistoryEntry>> {
        let (store, snapshot) = self.opened().await?;
        let session = Session::over(&store, &snapshot, self.limits, self.now)?;
        let entries = history(&session, name).await?;
        if entries.is_empty() {
            return Err(self.unbuilt(name, &Catalog::load(&session).await?));
        }
        Ok(entries)
    }

    /// The store and what is in it.
    ///
    /// # Errors
    /// Where there is no store, or it cannot be read.
    pub async fn status(&self) -> Result<StatusReport> {
        let (store, snapshot) = self.opened().await?;
        let tables = snapshot.tables().map(|table| TableStatus {
            name: table.name,
            rows: table.rows(),
            files: table.files.len() as u64,
            bytes: table.bytes(),
            version: table.version,
        });
        let tables = tables.collect();
        let session = Session::over(&store, &snapshot, self.limits, self.now)?;
        let catalog = Catalog::load(&session).await?;
        let mut segment_statuses = BTreeMap::new();
        for file in &self.project.segments {
            *segment_statuses.entry(listing(file, &catalog).status).or_default() += 1;
        }
        let mut segments = self.project.segments.len() as u64;
        for state in self.lookalikes(&catalog) {
            segments += 1;
            *segment_statuses
                .entry(super::lookalike::shown_status(state).to_owned())
                .or_default() += 1;
        }
        let record = snapshot.record;
        Ok(StatusReport {
            store: store.location().shown().to_owned(),
            version: record.version,
            operation: record.operation,
            committed_at: record.at,
            shard_ids: record.shard_ids,
            last_build: record.last_build,
            segments,
            segment_statuses,
            tables,
        })
    }
}

/// A segment without a file of SQL, in a list.
fn imported_listing(state: &State) -> Listing {
    Listing {
        name: state.segment.clone(),
        members: state.members,
        build: state.membership_build.map(|b| b.0),
        as_of: Some(state.as_of.to_string()),
        status: state.status.as_str().to_owned(),
        tags: Vec::new(),
        description: "Imported".to_owned(),
    }
}

fn imported_shown(state: &State, graph: &Graph) -> Shown {
    Shown {
        listing: imported_listing(state),
        owner: None,
        file: String::new(),
        sql: String::new(),
        depends_on: Vec::new(),
        dependants: graph.needed_by(&state.segment).map(str::to_owned).collect(),
        leaves: Vec::new(),
        error: None,
    }
}

fn listing(file: &SqlFile, catalog: &Catalog) -> Listing {
    let state = catalog.get(file.name.as_str());
    let changed = |s: &State| {
        matches!(s.status, Status::Built | Status::Reused)
            && s.definition != crate::segment::parse::definition(&file.text)
    };
    let status = match state {
        None => "unbuilt",
        Some(state) if changed(state) => "changed",
        Some(state) => state.status.as_str(),
    };
    Listing {
        name: file.name.to_string(),
        members: state.and_then(|s| s.members),
        build: state.and_then(|s| s.membership_build).map(|b| b.0),
        as_of: state.map(|s| s.as_of.to_string()),
        status: status.to_owned(),
        tags: file.front.tags(),
        description: file.front.description().to_owned(),
    }
}
