//! Decoded columns that a warm session keeps: one array for each file, row group, column and range of
//! rows that a pass asked for.
//!
//! The second query over the same rows fetches and decodes nothing. Each range is decoded into an array
//! of its own, so that dropping it frees its memory. One-shot commands keep nothing and read as
//! [`Files::read`] does.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef};

use crate::error::Result;
use crate::model::TableName;

use super::cache::{Cache, CacheUse};
use super::chunks::{ColumnRanges, Files, OpenFile};
use super::dictionary::narrowed;
use super::{DataFile, Store, StoreSnapshot};

/// One part in so many of the room is not filled ahead.
const ROOM_LEFT: usize = 8;

/// Decoded columns within a limit.
pub(super) type KeptColumns = Cache<ColumnKey, ArrayRef>;

/// Which rows of which column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ColumnKey {
    /// The file, by its number among all that were opened.
    pub(super) file: u32,
    group: u32,
    column: u32,
    start: u32,
    end: u32,
}

impl ColumnKey {
    fn new(file: &OpenFile, group: usize, column: usize, rows: &Range<usize>) -> Option<Self> {
        let small = |n: usize| u32::try_from(n).ok();
        Some(Self {
            file: file.number(),
            group: small(group)?,
            column: small(column)?,
            start: small(rows.start)?,
            end: small(rows.end)?,
        })
    }
}

impl Files {
    /// Forgets the files that `snapshot` does not name, and their columns.
    ///
    /// # Errors
    /// Where `snapshot` lacks a table.
    pub fn keep_only(&self, store: &Store, snapshot: &StoreSnapshot) -> Result<()> {
        let mut named = HashSet::new();
        for table in [TableName::Profiles, TableName::Events] {
            let files = &snapshot.table(table)?.files;
            named.extend(files.iter().map(|file| store.file_path(table, file)));
        }
        self.retain(|path| named.contains(path));
        Ok(())
    }

    /// How full the cache of decoded columns is; nothing where there is none.
    pub fn usage(&self) -> Option<CacheUse> {
        self.kept().map(Cache::usage)
    }

    /// Reads `columns` of row group `group` of `file`, as [`Files::read`], but for each range an array
    /// of its own, and from memory where they are kept.
    ///
    /// # Errors
    /// Where the file cannot be read, or is broken.
    pub async fn read_parts(
        &self,
        file: &OpenFile,
        group: usize,
        columns: &[ColumnRanges<'_>],
    ) -> Result<Vec<Vec<ArrayRef>>> {
        let Some(kept) = self.kept() else {
            let arrays = self.read_anew(file, group, columns).await?;
            return Ok(arrays.iter().zip(columns).map(|(a, c)| cut(a, c.ranges)).collect());
        };
        let mut parts: Vec<Vec<Option<ArrayRef>>> = Vec::with_capacity(columns.len());
        let mut missing: Vec<(usize, usize)> = Vec::new();
        for (place, column) in columns.iter().enumerate() {
            let index = file.column_index(column.name);
            let found = column.ranges.iter().enumerate().map(|(at, rows)| {
                let key = index.and_then(|index| ColumnKey::new(file, group, index, rows));
                let array = key.and_then(|key| kept.get(&key));
                if array.is_none() {
                    missing.push((place, at));
                }
                array
            });
            parts.push(found.collect());
        }
        if !missing.is_empty() {
            self.fill(file, group, (columns, &missing), &mut parts).await?;
        }
        Ok(parts.into_iter().map(|ranges| ranges.into_iter().flatten().collect()).collect())
    }

    /// Reads the columns `names` of `file` of `table` into memory, for each of its runs; the file's whole
    /// row groups where it is none of events. Text without a dictionary is left out, and so is what does
    /// not fit.
    ///
    /// # Errors
    /// Where the file cannot be read, or is broken.
    pub async fn preload(
        &self,
        store: &Store,
        table: TableName,
        file: &DataFile,
        names: &[String],
    ) -> Result<()> {
        let Some(kept) = self.kept() else { return Ok(()) };
        let open = self.open(store, table, file).await?;
        for group in 0..open.groups() {
            let ranges: Vec<Range<usize>> = match table {
                TableName::Events => {
                    self.runs(&open, group).await?.iter().map(|run| run.rows.clone()).collect()
                }
                _ => std::iter::once(0..open.rows(group)).collect(),
            };
            for name in names.iter().filter(|name| open.is_compact(name)) {
                let rows: usize = ranges.iter().map(ExactSizeIterator::len).sum();
                let held = kept.usage();
                // Others read at the same time: the last of the room is left to what is asked for.
                let room = (held.bytes_max - held.bytes).saturating_sub(held.bytes_max / ROOM_LEFT);
                if rows * open.width(name) > room {
                    continue;
                }
                let wanted = [ColumnRanges { name, ranges: &ranges }];
                self.read_parts(&open, group, &wanted).await?;
            }
        }
        Ok(())
    }

    /// Reads and decodes the ranges of `columns` that are `missing` from `parts`.
    async fn fill(
        &self,
        file: &OpenFile,
        group: usize,
        (columns, missing): (&[ColumnRanges<'_>], &[(usize, usize)]),
        parts: &mut [Vec<Option<ArrayRef>>],
    ) -> Result<()> {
        let one = |place: usize, at: usize| ColumnRanges {
            name: columns[place].name,
            ranges: std::slice::from_ref(&columns[place].ranges[at]),
        };
        let wanted: Vec<ColumnRanges<'_>> =
            missing.iter().map(|&(place, at)| one(place, at)).collect();
        let bytes = self.fetch(file, group, &wanted).await?;
        for (&(place, at), column) in missing.iter().zip(&wanted) {
            let array = narrowed(file.decode(group, column, &bytes)?);
            let key = file
                .column_index(column.name)
                .and_then(|index| ColumnKey::new(file, group, index, &column.ranges[0]));
            if let (Some(key), Some(kept)) = (key, self.kept()) {
                kept.put(key, Arc::clone(&array), array.get_array_memory_size());
            }
            parts[place][at] = Some(array);
        }
        Ok(())
    }
}

/// `array`, which holds the rows of `ranges` one after the other, cut into them.
fn cut(array: &ArrayRef, ranges: &[Range<usize>]) -> Vec<ArrayRef> {
    let mut at = 0;
    let cuts = ranges.iter().map(|rows| {
        at += rows.len();
        array.slice(at - rows.len(), rows.len())
    });
    cuts.collect()
}
