//! The store: Delta Lake tables on an object store, and one log over all of them.
//!
//! Engine-side rooms read and write profiles, identifiers, events, memberships and builds through
//! [`Store`]; nobody else names `deltalake`. Nothing here knows SQL, and nothing here reads the clock.
//!
//! - [`location`]: a path or URL becomes an object store
//! - [`models`]: models of look-alikes, beside the tables; [`features`]: what they learn from, encoded
//! - [`record`]: the store log: one small JSON object a version, the commit point of all tables
//! - [`table`]: one Delta table at one version: schema, files, statistics
//! - [`schema`]: which Arrow types are kept, how schemas widen, how batches conform
//! - [`chunks`]: rows of single columns of a file, for the passes of the compiler
//! - [`kept`]: decoded columns that a warm session keeps; [`cache`]: within a limit
//! - [`mod@dictionary`]: columns of few values, as passes read them
//! - [`runs`]: where in a file of events each event lies
//! - [`encode`]: sorted batches to Parquet bytes with pages that a scan can skip
//! - [`stats`]: per-file minima and maxima, in Delta's JSON
//! - [`change`]: what a writer wants to do, and the commit of it
//! - [`since`]: the rows that a table gained and lost since an older version
//! - [`vacuum`]: files that no version needs any more
//!
//! # How a commit is atomic over several tables
//!
//! Delta makes one table atomic; an ingest touches three. So every commit is first written to the
//! store log as one object, created only if its number is free: that is the commit point. The object
//! holds the Delta actions of each table that changes, and these are then written as ordinary Delta
//! commits. Whoever opens the store after a crash in between finishes that second half (the actions
//! are there, and a Delta commit is created only if missing). Readers take the table versions that
//! the newest object names, and so always see one consistent version of all tables, while `DuckDB`,
//! Spark or Polars open each Delta table as it lies.
//!
//! Two writers cannot overwrite each other: the slower one finds its number taken, and either moves
//! behind the winner (where they touched different tables) or is told to start over.

pub mod cache;
pub mod change;
pub mod chunks;
pub mod dictionary;
pub mod encode;
pub mod features;
pub mod kept;
pub mod location;
pub mod models;
pub mod record;
pub mod runs;
pub mod schema;
pub mod since;
pub mod stats;
pub mod table;
pub mod vacuum;

use std::collections::BTreeMap;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path;
use url::Url;

use crate::error::{Error, Result};
use crate::model::{AsOf, ShardSize, TableName};

pub use cache::{Cache, CacheUse};
pub use change::{Change, Committed, TableChange};
pub use chunks::{ColumnRanges, Files, OpenFile};
pub use dictionary::{Dictionary, Places, dictionary};
pub use encode::{Encoded, FileLayout};
pub use location::Location;
pub use record::Record;
pub use runs::Run;
pub use since::FilesSince;
pub use stats::{ColumnStats, FileStats};
pub use table::{DataFile, TableSnapshot};

/// A store that exists: its tables and its log.
#[derive(Debug, Clone)]
pub struct Store {
    location: Location,
}

/// One consistent version of all tables.
#[derive(Debug, Clone)]
pub struct StoreSnapshot {
    /// The log record that names the versions.
    pub record: Record,
    tables: BTreeMap<TableName, Arc<TableSnapshot>>,
}

impl StoreSnapshot {
    /// The table `name` at this version.
    ///
    /// # Errors
    /// Where the store log names no such table.
    pub fn table(&self, name: TableName) -> Result<&Arc<TableSnapshot>> {
        self.tables
            .get(&name)
            .ok_or_else(|| Error::internal(format!("the store log names no table {name}")))
    }

    /// The tables that this version has.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<TableSnapshot>> {
        self.tables.values()
    }

    /// How many ids a shard of this store holds.
    ///
    /// # Errors
    /// Where the store log names an impossible size.
    pub fn shard_size(&self) -> Result<ShardSize> {
        ShardSize::of_ids(self.record.shard_ids)
    }
}

impl Store {
    /// Opens the store at `location`, or makes an empty one there.
    ///
    /// # Errors
    /// Where the place cannot be written, or holds a store of a newer format.
    pub async fn open_or_create(location: Location, shard: ShardSize, now: AsOf) -> Result<Self> {
        location.make_folder()?;
        let store = Self { location };
        if record::latest(&store.location).await?.is_none() {
            change::create(&store.location, shard, now).await?;
        }
        Ok(store)
    }

    /// Opens the store at `location`.
    ///
    /// # Errors
    /// Where there is none, or one of a newer format.
    pub async fn open(location: Location) -> Result<Self> {
        let shown = location.shown().to_owned();
        Self::find(location).await?.ok_or_else(|| {
            Error::input(format!("there is no store at {shown}"))
                .with_hint("run `throng ingest` first, or `throng demo` to see one made")
        })
    }

    /// The store at `location`, if there is one.
    ///
    /// # Errors
    /// Where it has a newer format, or cannot be read.
    pub async fn find(location: Location) -> Result<Option<Self>> {
        Ok(record::latest(&location).await?.map(|_| Self { location }))
    }

    /// The newest consistent version of all tables; finishes a commit that a killed process left
    /// half applied.
    ///
    /// # Errors
    /// Where the store cannot be read, or has a newer format.
    pub async fn snapshot(&self) -> Result<StoreSnapshot> {
        let record = record::latest(&self.location)
            .await?
            .ok_or_else(|| Error::data("the store log is empty"))?;
        record.check_format()?;
        change::roll_forward(&self.location, &record).await?;
        // Much of it is work on what the logs say, so on all threads.
        let loads = record.tables.iter().map(|(name, state)| {
            let (location, name, version) = (self.location.clone(), *name, state.version);
            tokio::spawn(async move {
                let table = TableSnapshot::load(&location, name, version).await?;
                Ok::<_, Error>((name, Arc::new(table)))
            })
        });
        let loads: Vec<_> = loads.collect();
        let mut tables = BTreeMap::new();
        for load in loads {
            let stopped = |e| Error::internal(format!("reading the store stopped: {e}"));
            tables.extend([load.await.map_err(stopped)??]);
        }
        Ok(StoreSnapshot { record, tables })
    }

    /// Whether `snapshot` is still the newest version, which costs two questions of the object store.
    ///
    /// A commit has the number behind the newest one, and `vacuum` removes the oldest records first:
    /// where the next number is not there and the snapshot's own is, nothing came after it.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn is_newest(&self, snapshot: &StoreSnapshot) -> Result<bool> {
        let version = snapshot.record.version;
        let (own, next) = futures::try_join!(
            record::exists(&self.location, version),
            record::exists(&self.location, version + 1)
        )?;
        Ok(own && !next)
    }

    /// Where the store is.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// The object store that all files lie in, and its URL.
    pub fn object_store(&self) -> (Url, Arc<dyn ObjectStore>) {
        (self.location.root_url(), self.location.root())
    }

    /// The path of `file` of `table` in [`Store::object_store`].
    pub fn file_path(&self, table: TableName, file: &DataFile) -> Path {
        let (folder, file) = (self.location.table_path(table), file.object_path());
        folder.parts().chain(file.parts()).collect()
    }

    /// Encodes and uploads one file of `table`; it belongs to the table once a [`Change`] with the
    /// returned file is committed.
    ///
    /// # Errors
    /// Where the store cannot be written.
    pub async fn put(&self, table: TableName, folder: &str, encoded: Encoded) -> Result<DataFile> {
        table::put(&self.location, table, folder, encoded).await
    }

    /// Commits `change`, made from `base`; see [`change::commit`].
    ///
    /// # Errors
    /// Where the store cannot be written; nothing is committed then.
    pub async fn commit(&self, base: &StoreSnapshot, change: Change) -> Result<Committed> {
        change::commit(&self.location, base, change).await
    }

    /// Whether files that somebody ingested under `app_id` are already in `table`, and with which
    /// version; see [`TableSnapshot::transaction`].
    ///
    /// # Errors
    /// Where the Delta log cannot be read.
    pub async fn transaction(&self, table: &TableSnapshot, app_id: &str) -> Result<Option<i64>> {
        table.transaction(&self.location, app_id).await
    }
}
