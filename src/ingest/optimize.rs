//! Many small files into few sorted ones. Answers do not change, only what they cost.

use std::collections::BTreeMap;

use arrow::datatypes::SchemaRef;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::model::{AsOf, TableName};
use crate::query::{Limits, Session};
use crate::store::schema::conform;
use crate::store::{Change, DataFile, Store, StoreSnapshot};

use super::events::write_sorted;
use super::layout::FILE_ROWS_MAX;
use super::spool::Spool;

/// What an optimize did to one table.
#[derive(Debug, Clone, Serialize)]
pub struct Optimized {
    /// The table.
    pub table: TableName,
    /// Files that were read and replaced.
    pub files_before: u64,
    /// Files that took their place.
    pub files_after: u64,
    /// Their bytes before.
    pub bytes_before: u64,
    /// Their bytes after.
    pub bytes_after: u64,
}

/// Works out the change that lays all tables of `snapshot` out anew where they need it; the caller
/// commits. Nothing where all is well laid out.
///
/// # Errors
/// Where the store cannot be read or written.
pub async fn optimize(
    store: &Store,
    snapshot: &StoreSnapshot,
    limits: Limits,
    now: AsOf,
) -> Result<(Vec<Optimized>, Option<Change>)> {
    let mut change = Change::new("optimize", now);
    let mut done = Vec::new();
    for name in snapshot.tables().map(|table| table.name) {
        let work = Work { store, snapshot, limits, now, name };
        if let Some(optimized) = work.run(&mut change).await? {
            done.push(optimized);
        }
    }
    let change = (!done.is_empty()).then_some(change);
    Ok((done, change))
}

struct Work<'a> {
    store: &'a Store,
    snapshot: &'a StoreSnapshot,
    limits: Limits,
    now: AsOf,
    name: TableName,
}

impl Work<'_> {
    async fn run(&self, change: &mut Change) -> Result<Option<Optimized>> {
        let table = self.snapshot.table(self.name)?;
        let mut folders: BTreeMap<&str, Vec<&DataFile>> = BTreeMap::new();
        for file in &table.files {
            folders.entry(file.folder()).or_default().push(file);
        }
        let mut optimized = Optimized {
            table: self.name,
            files_before: 0,
            files_after: 0,
            bytes_before: 0,
            bytes_after: 0,
        };
        for (folder, files) in folders {
            if !self.needs_work(&files) {
                continue;
            }
            let written = self.rewrite(folder, &files).await?;
            optimized.files_before += files.len() as u64;
            optimized.files_after += written.len() as u64;
            optimized.bytes_before += files.iter().map(|f| f.size).sum::<u64>();
            optimized.bytes_after += written.iter().map(|f| f.size).sum::<u64>();
            let table = change.table(self.name);
            table.rearranges = true;
            table.removed.extend(files.into_iter().cloned());
            table.added.extend(written);
        }
        Ok((optimized.files_before > 0).then_some(optimized))
    }

    /// A folder is well laid out when it has as few files as its rows need, all sorted. Identifiers
    /// have no order of their own.
    fn needs_work(&self, files: &[&DataFile]) -> bool {
        let rows: u64 = files.iter().map(|f| f.stats.rows).sum();
        let few = rows.div_ceil(FILE_ROWS_MAX as u64).max(1);
        let unsorted = self.name != TableName::Identifiers && files.iter().any(|f| !f.is_sorted());
        files.len() as u64 > few || unsorted
    }

    async fn rewrite(&self, folder: &str, files: &[&DataFile]) -> Result<Vec<DataFile>> {
        let table = self.snapshot.table(self.name)?;
        let mut part = (**table).clone();
        part.files = files.iter().map(|f| (*f).clone()).collect();
        // Files in the order they were added would be better than by name, but rows that compare
        // equal have no order that a query may rely on.
        let session = Session::over_table(self.store, &part, self.limits.alone(), self.now)?;
        let mut spool = Spool::new(SchemaRef::clone(&table.schema), self.limits.memory_bytes / 2);
        let mut batches =
            session.plan(&format!("SELECT * FROM {}", self.name), None).await?.stream().await?;
        while let Some(batch) = batches.next().await? {
            spool.push((), conform(&batch, &table.schema)?)?;
        }
        let rows: u64 = files.iter().map(|f| f.stats.rows).sum();
        if spool.rows() != rows {
            return Err(Error::data(format!(
                "table {} should have {rows} rows in {folder}, {} were read",
                self.name,
                spool.rows()
            )));
        }
        let (parts, _guard) = spool.finish();
        let mut written = Vec::new();
        for ((), gathered) in parts {
            written.extend(write_sorted(self.store, self.name, folder, gathered).await?);
        }
        Ok(written)
    }
}
