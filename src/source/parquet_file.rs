//! Parquet files: their types brought to those that Throng keeps, then whole row groups read in
//! order. No pages are skipped and no filter is pushed down, since arrow-rs cannot skip within the
//! delta blocks that `DuckDB` writes into version 2 pages.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, new_null_array};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::basic::{LogicalType, Type as PhysicalType};
use parquet::schema::types::SchemaDescriptor;

use super::convert::{Bad, convert};
use super::delimited::declare;
use super::files::SourceFile;
use super::names::usable_names;
use super::options::ReadOptions;
use super::rejects::Reject;
use super::rows::{Output, batch_of, file_array};
use super::table::{ColumnPlan, Plan};
use super::types::type_name;
use super::widen::{kept_type, widen};
use crate::error::{Error, Result};

/// The largest dictionary page, as it lies in the file, of a column with few values: some thousands
/// of short texts. Writers give dictionaries up at about a megabyte, unpacked.
const DICTIONARY_BYTES_MAX: i64 = 64 * 1024;

/// The columns of all files, their types widened to hold each other's values.
///
/// # Errors
/// Where a file is no Parquet file, or types do not go together and none is declared.
pub(super) fn open(files: &[SourceFile], options: &ReadOptions) -> Result<Vec<ColumnPlan>> {
    let mut columns: Vec<ColumnPlan> = Vec::new();
    let mut firsts: Vec<&str> = Vec::new();
    for file in files {
        let (_, metadata) = load(file, &[])?;
        let names = names_of(&metadata);
        for (root, found) in kept_types(&metadata).enumerate() {
            let name = &names[root];
            let few_values = has_few_values(&metadata, root);
            let Some(at) = columns.iter().position(|column| column.name == *name) else {
                columns.push(ColumnPlan { few_values, ..ColumnPlan::inferred(name, found) });
                firsts.push(&file.shown);
                continue;
            };
            columns[at].few_values &= few_values;
            let known = &columns[at].data_type;
            columns[at].data_type = match widen(known, &found) {
                Some(wider) => wider,
                None if options.types.iter().any(|(it, _)| it.eq_ignore_ascii_case(name)) => {
                    continue;
                }
                None => {
                    let (known, found) = (type_name(known), type_name(&found));
                    return Err(Error::data(format!(
                        "column \"{name}\" is {known} in {}, {found} in {}",
                        firsts[at], file.shown
                    ))
                    .with_hint(format!("declare what it is, for instance types: {name} text")));
                }
            };
        }
    }
    for column in columns.iter_mut().filter(|column| column.data_type == DataType::Null) {
        column.data_type = DataType::Utf8;
    }
    declare(&mut columns, &options.types, files.first().map_or("no file", |it| &it.shown))?;
    Ok(columns)
}

/// Opens the file and reads its footer; `dictionaries` names root columns to read as such.
fn load(file: &SourceFile, dictionaries: &[usize]) -> Result<(File, ArrowReaderMetadata)> {
    let shown = Path::new(&file.shown);
    let opened = File::open(&file.path).map_err(|cause| Error::io("read", shown, cause))?;
    let failed = |cause| not_parquet(file, cause);
    let found = ArrowReaderMetadata::load(&opened, ArrowReaderOptions::new()).map_err(failed)?;
    let wanted = reading_schema(&found, dictionaries);
    if wanted == **found.schema() {
        return Ok((opened, found));
    }
    let options = ArrowReaderOptions::new().with_schema(Arc::new(wanted));
    let metadata =
        ArrowReaderMetadata::try_new(Arc::clone(found.metadata()), options).map_err(failed)?;
    Ok((opened, metadata))
}

fn not_parquet(file: &SourceFile, cause: parquet::errors::ParquetError) -> Error {
    let head = File::open(&file.path).and_then(|mut opened| {
        let mut head = [0; 4];
        std::io::Read::read_exact(&mut opened, &mut head).map(|()| head)
    });
    let shown = &file.shown;
    let error = match head {
        Ok([0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd]) => {
            Error::data(format!("{shown} is a compressed Parquet file"))
                .with_hint("unpack it; Parquet compresses its columns by itself")
        }
        Ok([b'P', b'A', b'R', b'1']) => {
            Error::data(format!("{shown} is a Parquet file that is damaged or cut short: {cause}"))
                .with_hint("fetch or export the file again")
        }
        _ => Error::data(format!("{shown} is no Parquet file"))
            .with_hint("say what it is, for instance format: csv, or --as csv at an import"),
    };
    error.with_cause(cause)
}

/// The schema to decode into: text plainly or as dictionaries, whatever the writer held it in, and
/// INT96 times in microseconds, since nanoseconds end in 2262.
fn reading_schema(metadata: &ArrowReaderMetadata, dictionaries: &[usize]) -> Schema {
    let roots = metadata.parquet_schema().root_schema().get_fields();
    let fields =
        metadata.schema().fields().iter().zip(roots).enumerate().map(|(at, (field, root))| {
            let data_type = match field.data_type() {
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
                    if dictionaries.contains(&at) =>
                {
                    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
                }
                DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
                DataType::Dictionary(_, value) if is_text(value) => DataType::Utf8,
                DataType::Timestamp(TimeUnit::Nanosecond, _)
                    if root.is_primitive() && root.get_physical_type() == PhysicalType::INT96 =>
                {
                    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
                }
                other => other.clone(),
            };
            Field::new(field.name(), data_type, field.is_nullable())
        });
    Schema::new(fields.collect::<Vec<_>>())
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn names_of(metadata: &ArrowReaderMetadata) -> Vec<String> {
    usable_names(metadata.schema().fields().iter().map(|field| field.name().as_str()))
}

/// The types that Throng keeps the file's columns in.
fn kept_types(metadata: &ArrowReaderMetadata) -> impl Iterator<Item = DataType> {
    let uuids = uuids(metadata.parquet_schema());
    metadata
        .schema()
        .fields()
        .iter()
        .zip(uuids)
        .map(|(field, uuid)| if uuid { DataType::Utf8 } else { kept_type(field.data_type()) })
}

/// Whether the file keeps this root column, a text, by reference to small dictionaries.
fn has_few_values(metadata: &ArrowReaderMetadata, root: usize) -> bool {
    let schema = metadata.parquet_schema();
    let mut leaves =
        (0..schema.num_columns()).filter(|&leaf| schema.get_column_root_idx(leaf) == root);
    let Some(leaf) = leaves.next() else { return false };
    let text = is_text(metadata.schema().field(root).data_type());
    text && metadata.metadata().row_groups().iter().all(|group| {
        let chunk = group.column(leaf);
        chunk.dictionary_page_offset().is_some_and(|dictionary| {
            let bytes = chunk.data_page_offset() - dictionary;
            (1..=DICTIONARY_BYTES_MAX).contains(&bytes)
        })
    })
}

/// Which root columns are UUIDs.
fn uuids(schema: &SchemaDescriptor) -> Vec<bool> {
    let roots = schema.root_schema().get_fields();
    roots
        .iter()
        .map(|root| root.get_basic_info().logical_type_ref() == Some(&LogicalType::Uuid))
        .collect()
}

/// One Parquet file being read.
pub(super) struct ParquetReader {
    batches: ParquetRecordBatchReader,
    /// For each column of the table, its place in the decoded batches if the file has it.
    places: Vec<Option<usize>>,
    /// The row after the last that was read, from 1.
    next_row: i64,
    rows_total: u64,
    bytes_told: u64,
    file: SourceFile,
    plan: Arc<Plan>,
    output: Output,
}

impl ParquetReader {
    pub(super) fn open(file: &SourceFile, plan: &Arc<Plan>, output: Output) -> Result<Self> {
        let (_, metadata) = load(file, &[])?;
        let names = names_of(&metadata);
        let column_of = |name: &String| plan.columns.iter().position(|it| it.name == *name);
        let columns: Vec<Option<usize>> = names.iter().map(column_of).collect();
        let wanted = |at: &usize| columns[*at].is_some_and(|it| output.projection.contains(&it));
        let roots: Vec<usize> = (0..names.len()).filter(wanted).collect();
        let dictionary = |at: &usize| {
            let column = columns[*at].map(|it| &plan.columns[it].data_type);
            matches!(column, Some(DataType::Dictionary(..)))
        };
        let dictionaries: Vec<usize> = roots.iter().copied().filter(dictionary).collect();
        let (opened, metadata) = load(file, &dictionaries)?;
        let place = |column: usize| roots.iter().position(|&root| columns[root] == Some(column));
        let places = (0..plan.columns.len()).map(place).collect();
        let rows_total = metadata.metadata().file_metadata().num_rows().cast_unsigned();
        let mask = ProjectionMask::roots(metadata.parquet_schema(), roots.iter().copied());
        let batches = ParquetRecordBatchReaderBuilder::new_with_metadata(opened, metadata)
            .with_projection(mask)
            .with_batch_size(output.batch_rows)
            .build()
            .map_err(|cause| damaged(file, cause))?;
        let (file, plan) = (file.clone(), Arc::clone(plan));
        Ok(Self { batches, places, next_row: 1, rows_total, bytes_told: 0, file, plan, output })
    }

    /// The next batch, or nothing at the end of the file.
    ///
    /// # Errors
    /// Where the file is damaged.
    pub(super) fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let Some(batch) = self.batches.next() else {
                self.tell_bytes(self.file.size);
                return Ok(None);
            };
            let batch = batch.map_err(|cause| damaged(&self.file, cause))?;
            let batch = self.finish(&batch)?;
            let done = self.next_row.cast_unsigned().saturating_sub(1);
            let bytes =
                u128::from(self.file.size) * u128::from(done) / u128::from(self.rows_total.max(1));
            self.tell_bytes(u64::try_from(bytes).unwrap_or(self.file.size));
            if batch.num_rows() > 0 {
                self.output.progress.add_rows(batch.num_rows());
                return Ok(Some(batch));
            }
        }
    }

    /// Brings a decoded batch to the table's types and leaves out the rows that do not fit.
    fn finish(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let first = self.next_row;
        self.next_row += i64::try_from(rows).unwrap_or(i64::MAX);
        let mut bad = Bad::default();
        let mut arrays: Vec<Option<ArrayRef>> = Vec::with_capacity(self.places.len());
        for (at, (column, place)) in self.plan.columns.iter().zip(&self.places).enumerate() {
            arrays.push(match place {
                _ if !self.output.projection.contains(&at) => None,
                None => Some(new_null_array(&column.data_type, rows)),
                Some(place) => {
                    Some(convert(batch.column(*place), column, &self.plan.rules, &mut bad)?)
                }
            });
        }
        let lines: ArrayRef = Arc::new((first..self.next_row).collect::<Int64Array>());
        let out = batch_of(&self.output, rows, |at| match at.checked_sub(arrays.len()) {
            None => arrays[at].clone(),
            Some(0) => Some(file_array(&self.file.shown, rows)),
            Some(_) => Some(Arc::clone(&lines)),
        })?;
        if bad.is_empty() {
            return Ok(out);
        }
        let fits: BooleanArray = (0..rows).map(|row| Some(!bad.contains_key(&row))).collect();
        for (row, (reason, text)) in bad {
            let line = first.cast_unsigned() + row as u64;
            self.output.rejects.push(Reject::of_record(
                &self.file.shown,
                line,
                reason,
                text.as_bytes(),
            ));
        }
        filter_record_batch(&out, &fits)
            .map_err(|cause| Error::internal("a batch cannot be filtered").with_cause(cause))
    }

    fn tell_bytes(&mut self, bytes: u64) {
        self.output.progress.add_bytes(bytes.saturating_sub(self.bytes_told));
        self.bytes_told = self.bytes_told.max(bytes);
    }
}

fn damaged(file: &SourceFile, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let cause = cause.into();
    Error::data(format!("{} cannot be read further: {cause}", file.shown))
        .with_hint("the file may be damaged; fetch or export it again")
        .with_cause(cause)
}
