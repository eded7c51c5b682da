//! Sorted batches to the bytes of one Parquet file.

use std::collections::BTreeMap;

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Float64Type, SchemaRef};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::error::{Error, Result};
use crate::model::{TableName, tables};

use super::runs;
use super::stats::FileStats;

/// Rows in a row group: large enough for dictionaries to pay, small enough that a scan of one event
/// name in a shard's month decodes little else (measured in docs/performance.md).
const ROW_GROUP_ROWS: usize = 262_144;

/// Rows in a page, the least that a scan can skip. A rare event has some hundred rows in a file, so
/// smaller pages would only cost headers.
const PAGE_ROWS: usize = 8_192;

/// How a table's files are sorted and marked.
#[derive(Debug, Clone, Copy)]
pub struct FileLayout {
    /// The columns that the rows are sorted by, empty where they are as they came.
    pub sorted_by: &'static [&'static str],
}

impl FileLayout {
    /// The order that scans of `table` are made for.
    pub const fn of(table: TableName) -> Self {
        let sorted_by: &[&str] = match table {
            TableName::Profiles => &[tables::PROFILE_ID],
            TableName::Events => &[tables::EVENT, tables::PROFILE_ID, tables::TS],
            TableName::Identifiers => &[],
            TableName::Memberships => &["segment", "build", "shard"],
            TableName::Builds => &["build", "segment"],
            TableName::Scores => &["lookalike", tables::PROFILE_ID],
        };
        Self { sorted_by }
    }

    /// Rows as they came.
    pub const fn unsorted() -> Self {
        Self { sorted_by: &[] }
    }
}

/// A Parquet file in memory, and what it holds.
#[derive(Debug)]
pub struct Encoded {
    /// The file.
    pub bytes: Bytes,
    /// Rows, minima and maxima.
    pub stats: FileStats,
    /// Notes for [`super::DataFile::tags`].
    pub tags: BTreeMap<String, String>,
}

/// Encodes `batches`, which all have `schema` and are sorted as `layout` says.
///
/// # Errors
/// Where Parquet cannot hold a column.
pub fn encode(schema: &SchemaRef, batches: &[RecordBatch], layout: FileLayout) -> Result<Encoded> {
    let failed = |e| Error::internal(format!("a Parquet file cannot be written: {e}"));
    let properties = properties(schema, batches, layout);
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, SchemaRef::clone(schema), Some(properties))
        .map_err(failed)?;
    for batch in batches {
        writer.write(batch).map_err(failed)?;
    }
    if layout.sorted_by.first() == Some(&tables::EVENT)
        && let Some(note) = runs::note(batches)
    {
        writer.append_key_value_metadata(note);
    }
    let metadata = writer.close().map_err(failed)?;
    let stats = FileStats::of_parquet(schema, &metadata)?;
    let mut tags = BTreeMap::new();
    if !layout.sorted_by.is_empty() {
        tags.insert("sorted".to_owned(), layout.sorted_by.join(","));
    }
    Ok(Encoded { bytes: bytes.into(), stats, tags })
}

/// `batches` as a Parquet file for others to read: in the order they have, with default settings.
///
/// # Errors
/// Where Parquet cannot hold a column.
pub fn to_parquet(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Bytes> {
    Ok(encode(schema, batches, FileLayout::unsorted())?.bytes)
}

fn properties(schema: &SchemaRef, batches: &[RecordBatch], layout: FileLayout) -> WriterProperties {
    let sorting = layout.sorted_by.iter().filter_map(|name| schema.index_of(name).ok());
    let sorting = sorting
        .filter_map(|index| i32::try_from(index).ok())
        .map(|column_idx| SortingColumn { column_idx, descending: false, nulls_first: false });
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).unwrap_or_default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(PAGE_ROWS / 8)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_sorting_columns(Some(sorting.collect()));
    // Neighbours are close in sorted ids and times, so their differences are short; a dictionary of
    // nearly distinct values would only be given up again after a megabyte.
    for name in [tables::PROFILE_ID, tables::TS] {
        if schema.index_of(name).is_ok() {
            builder = builder
                .set_column_dictionary_enabled(ColumnPath::from(name), false)
                .set_column_encoding(ColumnPath::from(name), Encoding::DELTA_BINARY_PACKED);
        }
    }
    // Parquet's bounds leave NaN out, which is greater than all of them here: whoever skips by them, or
    // takes a column with equal bounds for a constant, would lose it.
    for (place, field) in schema.fields().iter().enumerate() {
        if batches.iter().any(|batch| has_nan(batch.column(place))) {
            let path = ColumnPath::from(field.name().as_str());
            builder = builder.set_column_statistics_enabled(path, EnabledStatistics::None);
        }
    }
    if schema.index_of("bitmap").is_ok() {
        // Roaring bytes do not repeat and their order means nothing. Compressed, those of 200 segments of
        // a million profiles were 5.8 MB instead of 7.1, for 18 ms of a build's 900.
        builder = builder
            .set_column_compression(ColumnPath::from("bitmap"), Compression::UNCOMPRESSED)
            .set_column_dictionary_enabled(ColumnPath::from("bitmap"), false)
            .set_column_statistics_enabled(ColumnPath::from("bitmap"), EnabledStatistics::None);
    }
    builder.build()
}

fn has_nan(column: &ArrayRef) -> bool {
    match column.data_type() {
        DataType::Float32 => {
            column.as_primitive::<Float32Type>().values().iter().any(|v| v.is_nan())
        }
        DataType::Float64 => {
            column.as_primitive::<Float64Type>().values().iter().any(|v| v.is_nan())
        }
        _ => false,
    }
}
