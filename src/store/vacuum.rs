//! Removes files that no table needs any more: replaced ones, and what killed writers left behind.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta};
use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore as _, ObjectStoreExt as _};

use crate::error::{Error, Result};
use crate::model::{AsOf, TableName};

use super::location::{Location, storage};
use super::{Store, StoreSnapshot, record};

/// How many old records of the store log stay, whatever their age: enough to see what happened.
const RECORDS_KEPT: usize = 100;

/// What [`vacuum`] removed, or would remove.
#[derive(Debug, Clone, Copy, Default)]
pub struct Vacuumed {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The moment that is `age` before `now`, in microseconds.
pub(super) fn cutoff(age: TimeDelta, now: AsOf) -> i64 {
    now.micros().saturating_sub(age.num_microseconds().unwrap_or(i64::MAX))
}

/// Removes files that the newest version does not name and that are older than `keep`, so that a
/// reader or writer that still works on an older version is left in peace.
///
/// With `dry_run` nothing is removed.
///
/// # Errors
/// Where the store cannot be listed or written.
pub async fn vacuum(
    store: &Store,
    snapshot: &StoreSnapshot,
    older_than: TimeDelta,
    now: AsOf,
    dry_run: bool,
) -> Result<Vacuumed> {
    let location = store.location();
    let cutoff = cutoff(older_than, now);
    let mut doomed = Vec::new();
    for table in snapshot.tables() {
        doomed.extend(unneeded(store, snapshot, table.name).await?);
    }
    doomed.extend(old_records(location).await?);
    doomed.retain(|object| object.last_modified.timestamp_micros() < cutoff);
    let mut vacuumed = Vacuumed::default();
    for object in doomed {
        vacuumed.files += 1;
        vacuumed.bytes += object.size;
        if !dry_run {
            location.root().delete(&object.location).await.map_err(|e| storage(&e))?;
        }
    }
    Ok(vacuumed)
}

async fn unneeded(
    store: &Store,
    snapshot: &StoreSnapshot,
    table: TableName,
) -> Result<Vec<ObjectMeta>> {
    let files = &snapshot.table(table)?.files;
    let needed: BTreeSet<Path> = files.iter().map(|f| store.file_path(table, f)).collect();
    let folder = store.location().table_path(table);
    let log = folder.clone().join("_delta_log");
    let mut objects = list(store.location(), &folder).await?;
    objects.retain(|o| !needed.contains(&o.location) && !o.location.prefix_matches(&log));
    // A file counts as old from the moment it was replaced: somebody may just be reading it.
    let removed = snapshot.table(table)?.removal_times(store.location()).await?;
    for object in &mut objects {
        let name = object.location.as_ref().strip_prefix(folder.as_ref());
        let removed = name.and_then(|name| removed.get(name.trim_start_matches('/')));
        if let Some(time) = removed.copied().and_then(DateTime::from_timestamp_millis) {
            object.last_modified = object.last_modified.max(time);
        }
    }
    Ok(objects)
}

async fn old_records(location: &Location) -> Result<Vec<ObjectMeta>> {
    let mut objects = list(location, &location.log_folder()).await?;
    objects.sort_by(|a, b| a.location.cmp(&b.location));
    let versions = record::versions(location).await?.len();
    objects.truncate(versions.saturating_sub(RECORDS_KEPT));
    Ok(objects)
}

async fn list(location: &Location, folder: &Path) -> Result<Vec<ObjectMeta>> {
    location
        .root()
        .list(Some(folder))
        .try_collect()
        .await
        .map_err(|e: object_store::Error| Error::in_context(storage(&e), "listing the store"))
}
