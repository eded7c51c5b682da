//! Delimited text, file by file: types from a sample, then records into batches.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;

use super::dialect::Dialect;
use super::files::SourceFile;
use super::guess::{Guess, Rules};
use super::input::{Input, encoding_name};
use super::names::{no_such_column, place_of};
use super::options::ReadOptions;
use super::records::{Record, Records};
use super::rows::{Output, Rows};
use super::table::{ColumnPlan, Plan};
use super::times::Reading;
use crate::error::{Error, Result};

/// How many bytes of records are sampled at most, whatever the number of rows.
const SAMPLE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The columns that the files have together, by name in the order in which they are met.
#[derive(Default)]
struct Union {
    names: Vec<String>,
    places: HashMap<String, usize>,
    guesses: Vec<Guess>,
}

impl Union {
    fn place(&mut self, name: &str) -> usize {
        if let Some(&place) = self.places.get(name) {
            return place;
        }
        self.places.insert(name.to_owned(), self.names.len());
        self.names.push(name.to_owned());
        self.guesses.push(Guess::default());
        self.names.len() - 1
    }
}

/// Finds the dialect of each file and the columns of all, looking at `sample_rows` rows of each.
///
/// # Errors
/// Where a file cannot be read, no file holds anything to tell columns by, or `types` declares a
/// column that none has.
pub(super) fn open(
    files: &[SourceFile],
    options: &ReadOptions,
    rules: &Rules,
    sample_rows: usize,
) -> Result<(Vec<ColumnPlan>, Vec<Dialect>)> {
    let mut union = Union::default();
    let mut dialects = Vec::with_capacity(files.len());
    for file in files {
        let dialect = Dialect::of(file, options, rules)?;
        let guesses = sample(file, &dialect, options, rules, sample_rows)?;
        for (name, guess) in dialect.names.iter().zip(guesses) {
            let place = union.place(name);
            union.guesses[place] = union.guesses[place].merge(guess);
        }
        dialects.push(dialect);
    }
    let shown = files.first().map_or("no file", |file| file.shown.as_str());
    if union.names.is_empty() {
        return Err(Error::data(format!("{shown} is empty: nothing tells its columns"))
            .with_hint("declare them, for instance columns: id, name, born"));
    }
    let mut columns: Vec<ColumnPlan> = union
        .names
        .iter()
        .zip(&union.guesses)
        .map(|(name, guess)| ColumnPlan::inferred(name, guess.data_type()))
        .collect();
    declare(&mut columns, &options.types, shown)?;
    Ok((columns, dialects))
}

/// Puts the declared types in the place of those inferred.
pub(super) fn declare(
    columns: &mut [ColumnPlan],
    types: &[(String, DataType)],
    shown: &str,
) -> Result<()> {
    let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    for (name, data_type) in types {
        let place = place_of(name, &names).ok_or_else(|| no_such_column(name, &names, shown))?;
        columns[place].data_type = data_type.clone();
        columns[place].reading = Reading::Declared;
    }
    Ok(())
}

fn sample(
    file: &SourceFile,
    dialect: &Dialect,
    options: &ReadOptions,
    rules: &Rules,
    rows_max: usize,
) -> Result<Vec<Guess>> {
    let width = dialect.names.len();
    let mut guesses = vec![Guess::default(); width];
    let mut records = dialect.records(Input::open(file, options, None)?)?;
    let (mut rows, mut bytes) = (0, 0);
    while rows < rows_max && bytes < SAMPLE_BYTES_MAX {
        let Some(record) = records.next()? else { break };
        rows += 1;
        bytes += record.raw.len();
        if record.fault().is_none() && record.len() == width {
            guesses.iter_mut().zip(record.iter()).for_each(|(guess, it)| guess.observe(it, rules));
        }
    }
    Ok(guesses)
}

/// One file of delimited text being read.
pub(super) struct DelimitedReader {
    records: Records,
    /// The place in the table of each field.
    places: Vec<usize>,
    names: Vec<String>,
    rows: Rows,
    plan: Arc<Plan>,
}

impl DelimitedReader {
    pub(super) fn open(
        file: &SourceFile,
        dialect: &Dialect,
        plan: &Arc<Plan>,
        output: Output,
    ) -> Result<Self> {
        let input = Input::open(file, &plan.options, Some(Arc::clone(&output.progress)))?;
        let place = |name: &String| plan.columns.iter().position(|column| column.name == *name);
        Ok(Self {
            records: dialect.records(input)?,
            places: dialect.names.iter().filter_map(place).collect(),
            names: dialect.names.clone(),
            rows: Rows::new(plan, &file.shown, output)?,
            plan: Arc::clone(plan),
        })
    }

    /// The next batch, or nothing at the end of the file.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub(super) fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        while !self.rows.is_full() {
            let Some(record) = self.records.next()? else { break };
            let rows = &mut self.rows;
            let fitted = check(&record, &self.names, &self.plan.options).and_then(|()| {
                let mut fields = self.places.iter().zip(record.iter());
                fields.try_for_each(|(&at, field)| rows.push_text(at, field, &self.plan.rules))
            });
            rows.end_row(record.line, record.raw, fitted);
        }
        if self.rows.is_empty() { Ok(None) } else { self.rows.finish().map(Some) }
    }
}

/// Whether the record has the right shape: closed, as many fields as there are names, UTF-8.
fn check(record: &Record<'_>, names: &[String], options: &ReadOptions) -> Result<(), String> {
    if let Some(fault) = record.fault() {
        return Err(fault);
    }
    if record.len() != names.len() {
        return Err(format!("expected {} fields, found {}", names.len(), record.len()));
    }
    if std::str::from_utf8(record.raw).is_ok() {
        return Ok(());
    }
    let broken = record.iter().position(|field| std::str::from_utf8(field).is_err()).unwrap_or(0);
    let name = &names[broken];
    Err(match (&options.encoding, encoding_name(options)) {
        (None, _) | (_, "UTF-8") => format!(
            "invalid UTF-8 in field \"{name}\"; the file may be latin1: encoding: windows-1252"
        ),
        (_, encoding) => format!("invalid {encoding} in field \"{name}\""),
    })
}
