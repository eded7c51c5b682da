//! The store log: one JSON object a store version, and the commit point of all tables at once.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::{ObjectStore as _, ObjectStoreExt as _};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::model::TableName;

use super::location::{Location, storage};

/// The folder of the log within the store.
pub(super) const FOLDER: &str = "_throng_log";

/// The format this build writes, and the newest it reads.
pub const FORMAT: u32 = 1;

/// One version of the whole store.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// The format of the store; a newer one is refused.
    pub format: u32,
    /// The version, from 1; each commit has the next one.
    pub version: u64,
    /// When it was committed, RFC 3339.
    pub at: String,
    /// What did it: `create`, `ingest`, `build`, `optimize`.
    pub operation: String,
    /// How many ids a shard holds; fixed when the store is made.
    pub shard_ids: u64,
    /// The next `profile_id` to be given out; never goes down, so that no id is used twice.
    pub next_profile_id: u32,
    /// The number of the last build, 0 before the first.
    pub last_build: i64,
    /// Each table's Delta version, with the actions that lead there where this record changed it.
    pub tables: BTreeMap<TableName, TableState>,
}

/// One table's part of a [`Record`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TableState {
    /// The Delta version.
    pub version: u64,
    /// The last version that changed rows: laying them out anew does not.
    #[serde(default)]
    pub data_version: u64,
    /// The lines of the Delta commit, empty where the table did not change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<String>,
}

impl Record {
    /// Refuses a store that a newer Throng wrote.
    ///
    /// # Errors
    /// Where it is newer than this build reads.
    pub fn check_format(&self) -> Result<()> {
        check_format(self.format)
    }

    /// The record's bytes.
    pub(super) fn to_bytes(&self) -> Result<Bytes> {
        serde_json::to_vec(self)
            .map(Bytes::from)
            .map_err(|e| Error::internal(format!("a store record does not serialise: {e}")))
    }
}

fn check_format(format: u32) -> Result<()> {
    if format <= FORMAT {
        return Ok(());
    }
    Err(Error::data(format!(
        "the store has format {format}, written by a newer Throng; this one reads up to {FORMAT}"
    ))
    .with_hint("use the newer Throng; the store is unharmed"))
}

/// The object name of `version`.
pub(super) fn file_name(version: u64) -> String {
    format!("{version:020}.json")
}

/// The newest record, or nothing where there is no store.
pub(super) async fn latest(location: &Location) -> Result<Option<Record>> {
    match versions(location).await?.last() {
        Some(version) => read(location, *version).await.map(Some),
        None => Ok(None),
    }
}

/// All versions in the log, ascending.
pub(super) async fn versions(location: &Location) -> Result<Vec<u64>> {
    let objects: Vec<_> = location
        .root()
        .list(Some(&location.log_folder()))
        .try_collect()
        .await
        .map_err(|e| storage(&e))?;
    let mut versions: Vec<u64> = objects
        .iter()
        .filter_map(|o| o.location.filename()?.strip_suffix(".json")?.parse().ok())
        .collect();
    versions.sort_unstable();
    Ok(versions)
}

/// Whether there is a record of `version`.
pub(super) async fn exists(location: &Location, version: u64) -> Result<bool> {
    // On this machine's disk that is a call of a microsecond, not worth another thread.
    if let Some(file) = location.local_log_file(&file_name(version)) {
        return Ok(file.exists());
    }
    match location.root().head(&location.log_path(&file_name(version))).await {
        Ok(_) => Ok(true),
        Err(object_store::Error::NotFound { .. }) => Ok(false),
        Err(e) => Err(storage(&e)),
    }
}

/// The record of `version`.
pub(super) async fn read(location: &Location, version: u64) -> Result<Record> {
    let path = location.log_path(&file_name(version));
    let bytes = location
        .get(&path)
        .await?
        .ok_or_else(|| Error::data(format!("the store log lacks version {version}")))?;
    // The format is read first: a newer record may have fields that this build cannot read.
    let broken = |e: serde_json::Error| Error::data(format!("store record {path} is broken: {e}"));
    let json: serde_json::Value = serde_json::from_slice(&bytes).map_err(broken)?;
    let format = json.get("format").and_then(serde_json::Value::as_u64).unwrap_or(0);
    check_format(u32::try_from(format).unwrap_or(u32::MAX))?;
    serde_json::from_value(json).map_err(broken)
}
