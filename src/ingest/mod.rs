//! Ingest: a source's rows become profiles, identifiers and events, in one commit.
//!
//! The engine calls [`ingest`] for one source at a time. Files are read by `source`, shaped by SQL
//! in `query`, given profile ids by `identity`, laid out and committed by `store`. Nothing is
//! committed before all of a source is read and its rejects are within their limit.
//!
//! - [`spec`]: what a source says of itself: kind, keys, time, event
//! - [`plan`]: which files are new, and the query over them
//! - [`spool`]: batches by shard (and month), spilled when memory runs short
//! - [`rows`]: the key, time and event columns of a batch, and what does not fit
//! - [`profiles`]: upserts by shard
//! - [`events`]: appends by shard and month
//! - [`identifiers`]: new identifiers and conflicts
//! - [`layout`]: the order of rows in a file
//! - [`optimize`]: many small files into few sorted ones

pub mod events;
pub mod identifiers;
pub mod layout;
pub mod optimize;
pub mod plan;
pub mod profiles;
pub mod rows;
pub mod spec;
pub mod spool;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::identity::IdentityIndex;
use crate::model::{AsOf, TableName};
use crate::query::{Limits, Session};
use crate::source::{Progress, Rejects};
use crate::store::{Change, Store, StoreSnapshot};

pub use spec::{Key, Rows, SourceSpec};

/// What the ingest of one source did.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Ingested {
    /// The source.
    pub source: String,
    /// Rows that were read, rejected ones among them.
    pub rows: u64,
    /// Profiles that were made.
    pub profiles_new: u64,
    /// Profiles that were there and got attributes.
    pub profiles_updated: u64,
    /// Events that were added.
    pub events: u64,
    /// Rows that did not fit.
    pub rejected: u64,
    /// Whether all of it had been ingested before, so that nothing was done.
    pub already_ingested: bool,
    /// Identifiers that were recorded.
    pub identifiers_new: u64,
    /// Identifiers that belong to another profile already.
    pub conflicts: u64,
    /// Files that were read, and files that were skipped since they had been ingested before.
    pub files: u64,
    /// See `files`.
    pub files_skipped: u64,
    /// Where the rejected rows are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejects_file: Option<PathBuf>,
    /// Rejected rows by reason, the most frequent first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reject_reasons: Vec<(String, u64)>,
    /// The time it took.
    pub elapsed_ms: u64,
}

/// Everything that an ingest needs to know besides its source.
#[derive(Debug, Clone)]
pub struct Context<'a> {
    /// Where the data goes.
    pub store: &'a Store,
    /// The version it is added to.
    pub snapshot: &'a StoreSnapshot,
    /// The folder that file patterns are relative to.
    pub base: &'a Path,
    /// The folder for rejected rows.
    pub rejects_folder: &'a Path,
    /// Threads and memory.
    pub limits: Limits,
    /// The clock.
    pub now: AsOf,
    /// Rows and bytes read so far, for whoever watches.
    pub progress: Arc<Progress>,
}

/// What an ingest wants to commit, if anything.
#[derive(Debug)]
pub struct Prepared {
    /// What it did, or will have done once `change` is committed.
    pub ingested: Ingested,
    /// The change, nothing where all was ingested before.
    pub change: Option<Change>,
}

/// Reads all of `spec` and lays it out; the caller commits.
///
/// # Errors
/// Where the source cannot be read or shaped, a column does not fit the store, or more rows are
/// rejected than the source bears. Files that were written then belong to no table, and `vacuum`
/// removes them.
pub async fn ingest(context: &Context<'_>, spec: &SourceSpec) -> Result<Prepared> {
    let session =
        Session::over(context.store, context.snapshot, context.limits.alone(), context.now)?;
    let rejects = Arc::new(Rejects::new(REJECTS_KEPT));
    let mut ingested = Ingested { source: spec.name.clone(), ..Ingested::default() };
    let Some(planned) = plan::plan(context, &session, spec, &rejects).await? else {
        ingested.already_ingested = true;
        return Ok(Prepared { ingested, change: None });
    };
    ingested.files = planned.files_new;
    ingested.files_skipped = planned.files_skipped;
    let namespaces: Vec<_> = spec.keys.iter().map(|k| k.namespace.clone()).collect();
    let mut index =
        IdentityIndex::load(&session, &namespaces, context.snapshot.record.next_profile_id).await?;
    let mut change = Change::new("ingest", context.now);
    match &spec.rows {
        Rows::Profiles => {
            let work = profiles::Work { context, spec, session: &session, rejects: &rejects };
            work.run(&planned, &mut index, &mut change, &mut ingested).await?;
            change.table(TableName::Profiles).transactions = planned.transactions;
        }
        Rows::Events { .. } => {
            let work = events::Work { context, spec, rejects: &rejects };
            work.run(&planned, &mut index, &mut change, &mut ingested).await?;
            change.table(TableName::Events).transactions = planned.transactions;
        }
    }
    change.next_profile_id = (index.given_out() > 0).then_some(index.next());
    ingested.profiles_new = u64::from(index.given_out());
    rows::settle_rejects(context, spec, &rejects, &mut ingested)?;
    Ok(Prepared { ingested, change: Some(change) })
}

/// Rejected rows that are kept for the user to look at; all are counted.
const REJECTS_KEPT: usize = 1_000_000;

/// The columns of `schema` besides `taken`, or an error where one has a name that Throng needs.
fn check_names<'a>(
    names: impl Iterator<Item = &'a str>,
    reserved: &[&str],
    spec: &SourceSpec,
) -> Result<()> {
    for name in names {
        if reserved.contains(&name) {
            return Err(Error::input(format!(
                "{}: the column \"{name}\" has a name that Throng gives out itself",
                spec.name
            ))
            .at(&spec.file, None, None)
            .with_hint(format!("rename it in the source's SQL: \"{name}\" AS original_{name}")));
        }
    }
    Ok(())
}
