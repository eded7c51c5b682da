//! Several files as one table: the union of their columns, and their rows in order.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;

use super::delimited::{self, DelimitedReader};
use super::dialect::Dialect;
use super::files::SourceFile;
use super::guess::Rules;
use super::input::format_of;
use super::names::{FILE_COLUMN, LINE_COLUMN};
use super::ndjson::{self, NdjsonReader};
use super::options::{FileFormat, ReadOptions};
use super::parquet_file::{self, ParquetReader};
use super::rejects::{Progress, Rejects};
use super::rows::Output;
use super::times::Reading;
use crate::error::{Error, Result};

/// How many rows of a file its types are told from.
const SAMPLE_ROWS: usize = 20_000;
/// How many rows of all files together; with many files each gives fewer, but never fewer than
/// [`SAMPLE_ROWS_MIN`].
const SAMPLE_ROWS_TOTAL: usize = 200_000;
/// How many rows of a file are looked at however many files there are.
const SAMPLE_ROWS_MIN: usize = 1_000;

/// A column of the table, as it is read from text.
#[derive(Debug, Clone)]
pub(super) struct ColumnPlan {
    pub(super) name: String,
    pub(super) data_type: DataType,
    pub(super) reading: Reading,
    /// Whether all files keep it by reference to dictionaries of few values.
    pub(super) few_values: bool,
}

impl ColumnPlan {
    /// A column whose type was told from the files.
    pub(super) fn inferred(name: &str, data_type: DataType) -> Self {
        let reading = Reading::Inferred;
        Self { name: name.to_owned(), data_type, reading, few_values: false }
    }
}

/// What all files of the table are read by.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) columns: Vec<ColumnPlan>,
    pub(super) options: ReadOptions,
    pub(super) rules: Rules,
}

/// How one file is laid out.
#[derive(Debug, Clone)]
enum Layout {
    Delimited(Box<Dialect>),
    Ndjson(Arc<ndjson::Shape>),
    Parquet,
}

/// Several files as one table, whose schema is known and whose rows are not yet read.
///
/// ```
/// use std::sync::Arc;
/// use throng::source::{Progress, ReadOptions, Rejects, SourceTable, resolve};
/// let dir = tempfile::tempdir()?;
/// std::fs::write(dir.path().join("people.csv"), "id;name\n1;Ada\nx;Bob\n")?;
/// let mut options = ReadOptions::default();
/// options.set("types", "id bigint")?;
/// let table = SourceTable::open(resolve("*.csv", dir.path())?, options)?;
/// assert_eq!(table.schema().field(1).name(), "name");
///
/// let (rejects, progress) = (Arc::new(Rejects::new(10)), Arc::new(Progress::default()));
/// let batches = table.read(None, 8192, Arc::clone(&rejects), progress)?;
/// let rows: usize = batches.map(|batch| batch.map(|it| it.num_rows())).sum::<Result<_, _>>()?;
/// assert_eq!((rows, rejects.total()), (1, 1));
/// assert_eq!(rejects.take_kept()[0].reason, "column \"id\": \"x\" is no integer");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct SourceTable {
    files: Vec<SourceFile>,
    layouts: Vec<Layout>,
    plan: Arc<Plan>,
    schema: SchemaRef,
}

/// The batches of a read, in file order and row order.
pub type Batches = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

impl SourceTable {
    /// Looks at the files and settles the schema: the union of their columns by name, in the order
    /// in which they are met. A column that a file lacks is null there.
    ///
    /// Types of text come from a sample of each file (20,000 rows, fewer where there are many
    /// files); Parquet types are widened where nothing is lost.
    ///
    /// # Errors
    /// Where there is no file, files have different formats or types that do not go together, one
    /// cannot be read as what it claims to be, or the options do not fit the files.
    pub fn open(files: Vec<SourceFile>, options: ReadOptions) -> Result<Self> {
        let first = files.first().ok_or_else(|| Error::input("a source without files"))?;
        let format = format_of(first, &options)?;
        for file in &files[1..] {
            let other = format_of(file, &options)?;
            if other != format {
                let (a, b) = (format.as_str(), other.as_str());
                let message = format!("{} is {a}, {} is {b}", first.shown, file.shown);
                return Err(Error::input(message).with_hint("read them as two sources"));
            }
        }
        let rules = Rules::new(&options)?;
        let sample_rows = (SAMPLE_ROWS_TOTAL / files.len()).clamp(SAMPLE_ROWS_MIN, SAMPLE_ROWS);
        let (columns, layouts) = match format {
            FileFormat::Csv => {
                let (columns, dialects) = delimited::open(&files, &options, &rules, sample_rows)?;
                (columns, dialects.into_iter().map(Box::new).map(Layout::Delimited).collect())
            }
            FileFormat::Ndjson => {
                let (columns, shape) = ndjson::open(&files, &options, &rules, sample_rows)?;
                (columns, vec![Layout::Ndjson(Arc::new(shape)); files.len()])
            }
            FileFormat::Parquet => {
                (parquet_file::open(&files, &options)?, vec![Layout::Parquet; files.len()])
            }
        };
        let schema = schema_of(&columns);
        Ok(Self { files, layouts, plan: Arc::new(Plan { columns, options, rules }), schema })
    }

    /// The user's columns, all nullable, then [`FILE_COLUMN`] and [`LINE_COLUMN`].
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The files, in the order in which they are read.
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// The same table over fewer files; files that this table does not have are left out.
    #[must_use]
    pub fn with_files(&self, files: Vec<SourceFile>) -> Self {
        let place = |path: &PathBuf| self.files.iter().position(|file| file.path == *path);
        let (files, layouts) = files
            .into_iter()
            .filter_map(|file| place(&file.path).map(|at| (file, self.layouts[at].clone())))
            .unzip();
        Self { files, layouts, plan: Arc::clone(&self.plan), schema: Arc::clone(&self.schema) }
    }

    /// The same table with text columns of few distinct values as `Dictionary(Int32, Utf8)`, where
    /// Parquet files keep them so (dictionary pages of at most 64 KiB in every row group of every
    /// file): decoding them then copies no text. Other columns, and other formats, stay as they
    /// are.
    #[must_use]
    pub fn with_dictionaries(&self) -> Self {
        let mut columns = self.plan.columns.clone();
        let text = |it: &&mut ColumnPlan| it.few_values && it.data_type == DataType::Utf8;
        for column in columns.iter_mut().filter(text) {
            column.data_type = dictionary();
        }
        let schema = schema_of(&columns);
        let (options, rules) = (self.plan.options.clone(), self.plan.rules.clone());
        Self { plan: Arc::new(Plan { columns, options, rules }), schema, ..self.clone() }
    }

    /// Streams the rows in file order and row order, as batches of at most `batch_rows`; only the
    /// columns of `projection`, in its order, or all. Memory is bounded by a batch.
    ///
    /// Rows that do not fit go to `rejects`. For text formats a row is rejected whichever columns
    /// are asked for; of a Parquet file only the columns that are read are checked.
    ///
    /// # Errors
    /// Where the projection names no column. The iterator yields an error, and ends, where a file
    /// cannot be read further.
    pub fn read(
        &self,
        projection: Option<&[usize]>,
        batch_rows: usize,
        rejects: Arc<Rejects>,
        progress: Arc<Progress>,
    ) -> Result<Batches> {
        let projection =
            projection.map_or_else(|| (0..self.schema.fields().len()).collect(), <[_]>::to_vec);
        let schema = self.schema.project(&projection).map_err(|cause| {
            Error::internal("a projection names a column that is not there").with_cause(cause)
        })?;
        let batch_rows = batch_rows.max(1);
        let schema = Arc::new(schema);
        let output = Output { projection, schema, batch_rows, rejects, progress };
        let todo = self.files.iter().cloned().zip(self.layouts.iter().cloned()).collect();
        Ok(Box::new(FilesInTurn { todo, now: None, plan: Arc::clone(&self.plan), output }))
    }
}

/// Text by reference to a dictionary.
fn dictionary() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

fn schema_of(columns: &[ColumnPlan]) -> SchemaRef {
    let own = columns.iter().map(|it| Field::new(&it.name, it.data_type.clone(), true));
    let origin = [
        Field::new(FILE_COLUMN, dictionary(), false),
        Field::new(LINE_COLUMN, DataType::Int64, false),
    ];
    Arc::new(Schema::new(own.chain(origin).collect::<Vec<_>>()))
}

/// The file being read.
enum Reader {
    Delimited(Box<DelimitedReader>),
    Ndjson(Box<NdjsonReader>),
    Parquet(Box<ParquetReader>),
}

impl Reader {
    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        match self {
            Self::Delimited(reader) => reader.next_batch(),
            Self::Ndjson(reader) => reader.next_batch(),
            Self::Parquet(reader) => reader.next_batch(),
        }
    }
}

/// A read under way.
struct FilesInTurn {
    todo: VecDeque<(SourceFile, Layout)>,
    now: Option<Reader>,
    plan: Arc<Plan>,
    output: Output,
}

impl FilesInTurn {
    fn open_next(&mut self) -> Option<Result<Reader>> {
        let (file, layout) = self.todo.pop_front()?;
        let (plan, output) = (&self.plan, self.output.clone());
        Some(match layout {
            Layout::Delimited(dialect) => DelimitedReader::open(&file, &dialect, plan, output)
                .map(|reader| Reader::Delimited(Box::new(reader))),
            Layout::Ndjson(shape) => NdjsonReader::open(&file, shape, plan, output)
                .map(|reader| Reader::Ndjson(Box::new(reader))),
            Layout::Parquet => ParquetReader::open(&file, plan, output)
                .map(|reader| Reader::Parquet(Box::new(reader))),
        })
    }

    /// Ends the read.
    fn stop(&mut self) {
        self.todo.clear();
        self.now = None;
    }
}

impl Iterator for FilesInTurn {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.now.is_none() {
                match self.open_next()? {
                    Ok(reader) => self.now = Some(reader),
                    Err(error) => {
                        self.stop();
                        return Some(Err(error));
                    }
                }
            }
            match self.now.as_mut()?.next_batch() {
                Ok(Some(batch)) => return Some(Ok(batch)),
                Ok(None) => self.now = None,
                Err(error) => {
                    self.stop();
                    return Some(Err(error));
                }
            }
        }
    }
}
