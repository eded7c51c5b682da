//! One Delta table at one version: its schema, its files and what is known about each.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use deltalake::kernel::engine::arrow_conversion::TryIntoArrow as _;
use deltalake::kernel::{Add, EagerSnapshot};
use deltalake::logstore::{LogStoreRef, StorageConfig, default_logstore};
use deltalake::table::state::DeltaTableState;
use futures::TryStreamExt as _;
use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::model::TableName;

use super::encode::Encoded;
use super::location::{Location, storage};
use super::stats::FileStats;

/// A Parquet file of a table.
#[derive(Debug, Clone)]
pub struct DataFile {
    /// The path below the table's folder.
    pub path: String,
    /// The size in bytes.
    pub size: u64,
    /// Rows, and each column's least and greatest value.
    pub stats: Arc<FileStats>,
    /// What the writer noted: `shard`, `month`, `sorted`.
    pub tags: BTreeMap<String, String>,
}

impl DataFile {
    /// The path as the object store has it.
    pub fn object_path(&self) -> Path {
        Path::from(self.path.as_str())
    }

    /// The folder that the file lies in: `shard-00002`, or nothing.
    pub fn folder(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// Whether its rows are known to be sorted as the table's layout wants.
    pub fn is_sorted(&self) -> bool {
        self.tags.contains_key("sorted")
    }

    pub(super) fn to_add(&self, now_ms: i64) -> Add {
        Add {
            path: self.path.clone(),
            partition_values: HashMap::new(),
            size: i64::try_from(self.size).unwrap_or(i64::MAX),
            modification_time: now_ms,
            data_change: true,
            stats: Some(self.stats.to_json()),
            tags: Some(self.tags.iter().map(|(k, v)| (k.clone(), Some(v.clone()))).collect()),
            ..Add::default()
        }
    }
}

/// One Delta table at one version.
#[derive(Debug, Clone)]
pub struct TableSnapshot {
    /// The table.
    pub name: TableName,
    /// Its Delta version.
    pub version: u64,
    /// Its columns.
    pub schema: SchemaRef,
    /// Its files, by path.
    pub files: Vec<DataFile>,
    pub(super) delta: EagerSnapshot,
}

impl TableSnapshot {
    pub(super) async fn load(location: &Location, name: TableName, version: u64) -> Result<Self> {
        let log = log_store(location, name)?;
        let delta = EagerSnapshot::try_new(log.as_ref(), Some(version))
            .await
            .map_err(|e| unreadable(name, &e))?;
        let schema: Schema = delta
            .schema()
            .as_ref()
            .try_into_arrow()
            .map_err(|e| Error::data(format!("the schema of table {name} is broken: {e}")))?;
        let mut files: Vec<DataFile> = delta
            .try_log_data()
            .map_err(|e| unreadable(name, &e))?
            .iter()
            .map(|view| data_file(&view))
            .collect::<Result<_>>()?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { name, version, schema: Arc::new(schema), files, delta })
    }

    /// Rows in all files.
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|f| f.stats.rows).sum()
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|f| f.size).sum()
    }

    /// When each file that left the table did so, in milliseconds since 1970, by path.
    pub(super) async fn removal_times(&self, location: &Location) -> Result<BTreeMap<String, i64>> {
        let log = log_store(location, self.name)?;
        let state = DeltaTableState::new(self.delta.clone());
        let views: Vec<_> = state
            .all_tombstones(log.as_ref())
            .try_collect()
            .await
            .map_err(|e| unreadable(self.name, &e))?;
        let time = |v: &deltalake::kernel::TombstoneView| {
            Some((v.path().into_owned(), v.deletion_timestamp()?))
        };
        Ok(views.iter().filter_map(time).collect())
    }

    pub(super) async fn transaction(
        &self,
        location: &Location,
        app_id: &str,
    ) -> Result<Option<i64>> {
        let log = log_store(location, self.name)?;
        self.delta
            .transaction_version(log.as_ref(), app_id)
            .await
            .map_err(|e| unreadable(self.name, &e))
    }
}

/// The Delta log of `table`, over the store's own client.
pub(super) fn log_store(location: &Location, table: TableName) -> Result<LogStoreRef> {
    Ok(default_logstore(
        location.table_store(table),
        location.root(),
        &location.table_url(table)?,
        &StorageConfig::default(),
    ))
}

fn unreadable(table: TableName, cause: &deltalake::DeltaTableError) -> Error {
    Error::data(format!("table {table} of the store cannot be read: {cause}"))
        .with_hint("was it changed by something other than Throng?")
}

#[expect(deprecated, reason = "deltalake offers the tags of a file in no other way")]
fn data_file(view: &deltalake::kernel::LogicalFileView) -> Result<DataFile> {
    of_add(view.add_action())
}

/// The file that `add` brings.
pub(super) fn of_add(add: Add) -> Result<DataFile> {
    if add.deletion_vector.is_some() {
        return Err(Error::data(format!("file {} has a deletion vector", add.path))
            .with_hint("Throng writes none; purge them with the tool that did"));
    }
    Ok(DataFile {
        size: u64::try_from(add.size).unwrap_or(0),
        stats: Arc::new(FileStats::from_json(add.stats.as_deref().unwrap_or("{}"))?),
        tags: add
            .tags
            .unwrap_or_default()
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
            .collect(),
        path: add.path,
    })
}

/// Uploads one file under a name of its own below `folder`.
pub(super) async fn put(
    location: &Location,
    table: TableName,
    folder: &str,
    encoded: Encoded,
) -> Result<DataFile> {
    let name = format!("{}.parquet", Uuid::new_v4().simple());
    let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
    let size = encoded.bytes.len() as u64;
    let file = DataFile { path, size, stats: Arc::new(encoded.stats), tags: encoded.tags };
    location
        .table_store(table)
        .put(&file.object_path(), encoded.bytes.into())
        .await
        .map_err(|e| storage(&e))?;
    Ok(file)
}
