//! Files as users have them, read whole: what comes out, what is rejected and why.
//!
//! `text` and `parquet` hold the cases, `laws` what holds for any file, `real` the data sets beside
//! the project.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::compute::concat_batches;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::ArrowWriter;

use super::types::type_name;
use super::{Progress, ReadOptions, Reject, Rejects, SourceTable, resolve};
use crate::error::{Error, Result};

mod laws;
mod parquet_files;
mod real;
mod text;

/// A folder of files to read.
struct Files(tempfile::TempDir);

impl Files {
    fn of(files: &[(&str, &[u8])]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            std::fs::write(dir.path().join(name), bytes).unwrap();
        }
        Self(dir)
    }

    fn parquet(files: &[(&str, RecordBatch)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, batch) in files {
            let file = std::fs::File::create(dir.path().join(name)).unwrap();
            let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
            writer.write(batch).unwrap();
            writer.close().unwrap();
        }
        Self(dir)
    }

    fn open(&self, settings: &[(&str, &str)]) -> Result<SourceTable> {
        SourceTable::open(resolve("*", self.0.path())?, options(settings)?)
    }

    fn error(&self, settings: &[(&str, &str)]) -> Error {
        self.open(settings).unwrap_err()
    }
}

fn options(settings: &[(&str, &str)]) -> Result<ReadOptions> {
    let mut options = ReadOptions::default();
    for (key, value) in settings {
        assert!(options.set(key, value)?, "{key}");
    }
    Ok(options)
}

fn read(
    table: &SourceTable,
    projection: Option<&[usize]>,
    batch_rows: usize,
) -> (RecordBatch, Vec<Reject>) {
    let (rejects, progress) = (Arc::new(Rejects::new(1000)), Arc::new(Progress::default()));
    let batches =
        table.read(projection, batch_rows, Arc::clone(&rejects), Arc::clone(&progress)).unwrap();
    let batches: Vec<RecordBatch> = batches.collect::<Result<_>>().unwrap();
    assert!(batches.iter().all(|batch| batch.num_rows() <= batch_rows));
    let schema = table.schema();
    let schema =
        projection.map_or_else(|| Arc::clone(schema), |it| Arc::new(schema.project(it).unwrap()));
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(progress.rows(), rows as u64);
    assert_eq!(progress.bytes(), table.files().iter().map(|file| file.size).sum::<u64>());
    (concat_batches(&schema, &batches).unwrap(), rejects.take_kept())
}

/// The table as text: a line of names and types, a line a row, a line a reject.
fn shown(table: &SourceTable) -> String {
    let (batch, rejects) = read(table, None, 2);
    let mut out = String::new();
    let user = batch.num_columns() - 2;
    for field in &batch.schema().fields()[..user] {
        let name = type_name(field.data_type());
        write!(out, "{} {name}, ", field.name()).unwrap();
    }
    out.push('\n');
    let options = FormatOptions::new().with_null("-");
    for row in 0..batch.num_rows() {
        let cell = |at: usize| {
            ArrayFormatter::try_new(batch.column(at), &options).unwrap().value(row).to_string()
        };
        let cells: Vec<String> = (0..user).map(cell).collect();
        writeln!(out, "{}:{} {}", cell(user), cell(user + 1), cells.join("|")).unwrap();
    }
    for reject in rejects {
        writeln!(out, "! {}:{} {} <{}>", reject.file, reject.line, reject.reason, reject.text)
            .unwrap();
    }
    out
}

fn check(files: &[(&str, &[u8])], settings: &[(&str, &str)], expected: &str) {
    let table = Files::of(files);
    let found = shown(&table.open(settings).unwrap());
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|it| !it.is_empty()).collect();
    assert_eq!(found.lines().map(str::trim).collect::<Vec<_>>(), expected);
}
