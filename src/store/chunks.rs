//! Row groups of a data file, column by column and range by range: what a pass of the compiler reads.
//!
//! A pass knows which rows of which columns it needs, so each column has ranges of its own. Only the
//! pages of those rows are fetched and decoded. Footers are read once and kept in a [`Files`] cache;
//! the name of a data file is never given twice, so what is kept is never stale.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch, new_null_array};
use arrow::compute::{cast, concat};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use bytes::{Buf as _, Bytes, buf::Reader};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use parquet::DecodeResult;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::basic::Encoding;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{
    ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataPushDecoder,
};
use parquet::file::page_index::offset_index::OffsetIndexMetaData;
use parquet::file::reader::{ChunkReader, Length};

use crate::error::{Error, Result};
use crate::model::{TableName, tables};

use super::kept::KeptColumns;
use super::location::storage;
use super::runs::{self, Run};
use super::{DataFile, Store};

/// Bytes at the end of a file that are fetched first: the footer and the page index of most files.
const TAIL_BYTES: u64 = 64 << 10;

/// Rows of a row group, by column.
#[derive(Debug, Clone)]
pub struct ColumnRanges<'a> {
    /// The column.
    pub name: &'a str,
    /// Ascending ranges of rows of the row group that do not overlap.
    pub ranges: &'a [Range<usize>],
}

/// The open files of a store.
#[derive(Debug, Clone)]
pub struct Files {
    store: Arc<dyn ObjectStore>,
    open: Arc<Mutex<HashMap<Path, Arc<OpenFile>>>>,
    kept: Option<Arc<KeptColumns>>,
    numbers: Arc<AtomicU32>,
    fetched_bytes: Arc<AtomicU64>,
}

/// A file whose footer was read.
#[derive(Debug)]
pub struct OpenFile {
    path: Path,
    number: u32,
    metadata: ArrowReaderMetadata,
    runs: Option<Vec<Arc<[Run]>>>,
}

impl Files {
    /// The files of `store`; none is open yet.
    pub fn new(store: &Store) -> Self {
        let store = store.object_store().1;
        let (open, numbers, fetched_bytes) = Default::default();
        Self { store, open, kept: None, numbers, fetched_bytes }
    }

    /// The files of `store`, with at most `bytes_max` of decoded columns kept in memory.
    pub fn keeping(store: &Store, bytes_max: usize) -> Self {
        Self { kept: Some(Arc::new(KeptColumns::new(bytes_max))), ..Self::new(store) }
    }

    /// The same files, with a count of their own of what is fetched.
    #[must_use]
    pub fn counting(&self) -> Self {
        Self { fetched_bytes: Arc::default(), ..self.clone() }
    }

    /// The bytes of columns that were fetched from the store.
    pub fn fetched_bytes(&self) -> u64 {
        self.fetched_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn kept(&self) -> Option<&KeptColumns> {
        self.kept.as_deref()
    }

    /// Forgets the files that `is_wanted` says are of no version in use any more, and their columns.
    pub(super) fn retain(&self, is_wanted: impl Fn(&Path) -> bool) {
        let mut open = self.lock();
        open.retain(|path, _| is_wanted(path));
        let numbers: HashSet<u32> = open.values().map(|file| file.number).collect();
        drop(open);
        if let Some(kept) = self.kept() {
            kept.retain(|key| numbers.contains(&key.file));
        }
    }

    /// Opens `file` of `table`, or finds it open.
    ///
    /// # Errors
    /// Where it cannot be read, or is no Parquet file.
    pub async fn open(
        &self,
        store: &Store,
        table: TableName,
        file: &DataFile,
    ) -> Result<Arc<OpenFile>> {
        let path = store.file_path(table, file);
        if let Some(known) = self.lock().get(&path) {
            return Ok(Arc::clone(known));
        }
        let metadata = footer(self.store.as_ref(), &path, file.size).await?;
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let open = Arc::new(OpenFile::new(path.clone(), number, &metadata)?);
        // Another shard may have been faster: one file, one number.
        Ok(Arc::clone(self.lock().entry(path).or_insert(open)))
    }

    /// Reads `columns` of row group `group` of `file`: for each an array of the rows of its ranges,
    /// one after the other. Text comes as a dictionary where the file has one, and as views
    /// otherwise; a column that the file does not have is all null, of type `Null`.
    ///
    /// # Errors
    /// Where the file cannot be read, or is broken.
    pub async fn read(
        &self,
        file: &OpenFile,
        group: usize,
        columns: &[ColumnRanges<'_>],
    ) -> Result<Vec<ArrayRef>> {
        if self.kept.is_some() && columns.iter().all(|column| column.ranges.len() == 1) {
            let parts = self.read_parts(file, group, columns).await?;
            return Ok(parts.into_iter().flatten().collect());
        }
        self.read_anew(file, group, columns).await
    }

    /// As [`Files::read`], from the store.
    pub(super) async fn read_anew(
        &self,
        file: &OpenFile,
        group: usize,
        columns: &[ColumnRanges<'_>],
    ) -> Result<Vec<ArrayRef>> {
        let sparse = self.fetch(file, group, columns).await?;
        columns.iter().map(|column| file.decode(group, column, &sparse)).collect()
    }

    /// The bytes that hold `columns`.
    pub(super) async fn fetch(
        &self,
        file: &OpenFile,
        group: usize,
        columns: &[ColumnRanges<'_>],
    ) -> Result<Sparse> {
        let mut spans = Vec::new();
        for column in columns {
            spans.extend(file.spans(group, column));
        }
        spans.sort_unstable_by_key(|s| (s.start, s.end));
        spans.dedup();
        let bytes = spans.iter().map(|s| s.end - s.start).sum();
        self.fetched_bytes.fetch_add(bytes, Ordering::Relaxed);
        let bytes = self.store.get_ranges(&file.path, &spans).await.map_err(|e| storage(&e))?;
        Ok(Sparse(Arc::new(spans.iter().map(|s| s.start).zip(bytes).collect())))
    }

    /// The runs of equal event names in row group `group` of `file`, a file of events.
    ///
    /// # Errors
    /// Where the file does not note them and cannot be read.
    pub async fn runs(&self, file: &OpenFile, group: usize) -> Result<Arc<[Run]>> {
        if let Some(runs) = &file.runs {
            return Ok(runs.get(group).map_or_else(Arc::default, Arc::clone));
        }
        let all = 0..file.rows(group);
        let ranges = std::slice::from_ref(&all);
        let column = ColumnRanges { name: tables::EVENT, ranges };
        let events = self.read(file, group, &[column]).await?;
        let events = cast(&events[0], &DataType::Utf8)
            .map_err(|e| Error::data(format!("the column event holds no text: {e}")))?;
        Ok(runs::of_column(events.as_string::<i32>()).into())
    }

    /// The names that any event in `files` has.
    ///
    /// # Errors
    /// As [`Files::open`] and [`Files::runs`].
    pub async fn event_names(&self, store: &Store, files: &[DataFile]) -> Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        for file in files {
            let open = self.open(store, TableName::Events, file).await?;
            for group in 0..open.groups() {
                for run in self.runs(&open, group).await?.iter() {
                    if !names.contains(&run.event) {
                        names.insert(run.event.clone());
                    }
                }
            }
        }
        Ok(names)
    }

    /// The names that events in files have that are open.
    pub fn open_event_names(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for run in
            self.lock().values().flat_map(|file| file.runs.iter().flatten()).flat_map(|r| r.iter())
        {
            if !names.contains(&run.event) {
                names.insert(run.event.clone());
            }
        }
        names
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Path, Arc<OpenFile>>> {
        self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl OpenFile {
    fn new(path: Path, number: u32, metadata: &Arc<ParquetMetaData>) -> Result<Self> {
        let broken = |e: ParquetError| broken(&path, &e);
        let plain = ArrowReaderMetadata::try_new(Arc::clone(metadata), ArrowReaderOptions::new())
            .map_err(broken)?;
        let schema = compact_schema(plain.schema(), metadata);
        let options = ArrowReaderOptions::new().with_schema(schema);
        let compact = ArrowReaderMetadata::try_new(Arc::clone(metadata), options);
        let runs = runs::of_footer(metadata);
        let runs = runs.map(|groups| groups.into_iter().map(Arc::from).collect());
        Ok(Self { metadata: compact.map_err(broken)?, runs, path, number })
    }

    /// The path in the object store, which no other file has or will have.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its number among all files that were opened together.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// The place of column `name`, where the file has it.
    pub(super) fn column_index(&self, name: &str) -> Option<usize> {
        self.metadata.schema().index_of(name).ok()
    }

    /// Whether the file has column `name`, and each row of it takes a few bytes in memory.
    pub(super) fn is_compact(&self, name: &str) -> bool {
        let field = self.metadata.schema().field_with_name(name);
        field.is_ok_and(|field| {
            !matches!(field.data_type(), DataType::Utf8View | DataType::BinaryView)
        })
    }

    /// The bytes that a row of column `name` takes in memory, about.
    pub(super) fn width(&self, name: &str) -> usize {
        let field = self.metadata.schema().field_with_name(name);
        field.map_or(0, |field| match field.data_type() {
            DataType::Dictionary(..) => 4,
            DataType::List(_) => 12,
            other => other.primitive_width().unwrap_or(1),
        })
    }

    /// How many row groups there are.
    pub fn groups(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    /// The rows of row group `group`.
    pub fn rows(&self, group: usize) -> usize {
        usize::try_from(self.metadata.metadata().row_group(group).num_rows()).unwrap_or(0)
    }

    fn chunks<'a>(
        &'a self,
        group: usize,
        name: &'a str,
    ) -> impl Iterator<Item = (usize, &'a ColumnChunkMetaData)> {
        let columns = self.metadata.metadata().row_group(group).columns().iter().enumerate();
        columns.filter(move |(_, c)| c.column_path().parts().first().is_some_and(|p| p == name))
    }

    /// The byte ranges that hold `column`: the dictionary, and the pages of the rows.
    fn spans(&self, group: usize, column: &ColumnRanges<'_>) -> Vec<Range<u64>> {
        let rows = self.rows(group);
        let wanted: usize = column.ranges.iter().map(ExactSizeIterator::len).sum();
        let mut spans = Vec::new();
        for (leaf, chunk) in self.chunks(group, column.name) {
            let (start, length) = chunk.byte_range();
            let pages = self.metadata.metadata().offset_index().and_then(|i| i[group].get(leaf));
            match pages.map(OffsetIndexMetaData::page_locations).filter(|p| !p.is_empty()) {
                Some(pages) if wanted < rows => {
                    let first = u64::try_from(pages[0].offset).unwrap_or(start);
                    if start < first {
                        spans.push(start..first);
                    }
                    spans.extend(selection(column.ranges, rows).scan_ranges(pages));
                }
                _ => spans.push(start..start + length),
            }
        }
        spans
    }

    pub(super) fn decode(
        &self,
        group: usize,
        column: &ColumnRanges<'_>,
        bytes: &Sparse,
    ) -> Result<ArrayRef> {
        let rows = self.rows(group);
        let wanted: usize = column.ranges.iter().map(ExactSizeIterator::len).sum();
        let Ok(root) = self.metadata.schema().index_of(column.name) else {
            return Ok(new_null_array(&DataType::Null, wanted));
        };
        let mask = ProjectionMask::roots(self.metadata.parquet_schema(), [root]);
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(
            bytes.clone(),
            self.metadata.clone(),
        )
        .with_row_groups(vec![group])
        .with_projection(mask)
        .with_batch_size(wanted.max(1));
        if wanted < rows {
            builder = builder.with_row_selection(selection(column.ranges, rows));
        }
        let reader = builder.build().map_err(|e| broken(&self.path, &e))?;
        let batches: Vec<RecordBatch> =
            reader.collect::<std::result::Result<_, _>>().map_err(|e| broken(&self.path, &e))?;
        let arrays: Vec<&dyn Array> = batches.iter().map(|b| b.column(0).as_ref()).collect();
        match batches.as_slice() {
            [one] => Ok(Arc::clone(one.column(0))),
            [] => Ok(new_null_array(self.metadata.schema().field(root).data_type(), 0)),
            _ => concat(&arrays).map_err(|e| broken(&self.path, &e)),
        }
    }
}

fn selection(ranges: &[Range<usize>], rows: usize) -> RowSelection {
    RowSelection::from_consecutive_ranges(ranges.iter().cloned(), rows)
}

fn broken(path: &Path, cause: &dyn std::error::Error) -> Error {
    Error::data(format!("the store's file {path} is broken: {cause}"))
        .with_hint("restore it from a copy, or ingest its source into a new store")
}

/// Reads the footer and the page index of the file of `size` bytes at `path`.
async fn footer(store: &dyn ObjectStore, path: &Path, size: u64) -> Result<Arc<ParquetMetaData>> {
    let failed = |e: ParquetError| broken(path, &e);
    let mut decoder = ParquetMetaDataPushDecoder::try_new(size)
        .map_err(failed)?
        .with_page_index_policy(PageIndexPolicy::Optional)
        .with_column_index_policy(PageIndexPolicy::Skip);
    let tail = size.saturating_sub(TAIL_BYTES)..size;
    let bytes = store.get_range(path, tail.clone()).await.map_err(|e| storage(&e))?;
    decoder.push_range(tail, bytes).map_err(failed)?;
    loop {
        match decoder.try_decode().map_err(failed)? {
            DecodeResult::Data(metadata) => return Ok(Arc::new(metadata)),
            DecodeResult::Finished => return Err(Error::data(format!("file {path} is empty"))),
            DecodeResult::NeedsData(ranges) => {
                let bytes = store.get_ranges(path, &ranges).await.map_err(|e| storage(&e))?;
                decoder.push_ranges(ranges, bytes).map_err(failed)?;
            }
        }
    }
}

/// The schema to read a file with: text as a dictionary where all of its pages are encoded so, and
/// as views otherwise.
fn compact_schema(schema: &SchemaRef, metadata: &ParquetMetaData) -> SchemaRef {
    let is_encoded = |name: &str| {
        metadata.row_groups().iter().all(|group| {
            let mut chunks = group
                .columns()
                .iter()
                .filter(|c| c.column_path().parts().first().is_some_and(|p| p == name));
            chunks.all(|c| {
                c.page_encoding_stats_mask().is_some_and(|m| m.is_only(Encoding::RLE_DICTIONARY))
            })
        })
    };
    let fields = schema.fields().iter().map(|field| {
        let data_type = compact_type(field.data_type(), is_encoded(field.name()));
        Field::new(field.name(), data_type, field.is_nullable())
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn compact_type(data_type: &DataType, is_encoded: bool) -> DataType {
    let compact_field = |field: &FieldRef| {
        let data_type = compact_type(field.data_type(), is_encoded);
        Arc::new(field.as_ref().clone().with_data_type(data_type))
    };
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View if is_encoded => {
            DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
        }
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
        DataType::List(field) if is_encoded && field.data_type().is_string() => {
            DataType::List(compact_field(field))
        }
        other => other.clone(),
    }
}

/// Some byte ranges of a file, by where they start.
#[derive(Clone)]
pub(super) struct Sparse(Arc<Vec<(u64, Bytes)>>);

impl Sparse {
    fn from(&self, start: u64) -> ParquetResult<Bytes> {
        let after = self.0.partition_point(|(at, _)| *at <= start);
        let found = after.checked_sub(1).and_then(|i| self.0.get(i));
        let (at, bytes) = found.ok_or_else(|| missing(start))?;
        let skip = usize::try_from(start - at).map_err(|_| missing(start))?;
        if skip > bytes.len() {
            return Err(missing(start));
        }
        Ok(bytes.slice(skip..))
    }
}

fn missing(start: u64) -> ParquetError {
    ParquetError::General(format!("byte {start} was not fetched"))
}

impl Length for Sparse {
    fn len(&self) -> u64 {
        self.0.last().map_or(0, |(at, bytes)| at + bytes.len() as u64)
    }
}

impl ChunkReader for Sparse {
    type T = Reader<Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let bytes = self.from(start)?;
        if bytes.len() < length {
            return Err(missing(start + bytes.len() as u64));
        }
        Ok(bytes.slice(..length))
    }
}
