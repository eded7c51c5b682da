//! Ids and bitmaps from elsewhere become static segments.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use arrow::ipc::reader::FileReader;
use serde::Serialize;

use crate::activation::ExportFormat;
use crate::audience::import::{ImportRequest, import};
use crate::audience::resolve::{Resolved, Resolver};
use crate::error::{Error, Result};
use crate::ingest::rows::write_rejects;
use crate::membership::wire;
use crate::model::{IdSpace, Name, millis_since};
use crate::query::Session;
use crate::source::{FileFormat, ReadOptions, Rejects, SourceFile, resolve};
use crate::store::{Committed, Store, StoreSnapshot};

use super::open::Engine;

/// How often an import starts over when another writer was faster.
const TRIES_MAX: usize = 5;
/// The largest bitmap file that is read: 2^31 ids take 256 MiB as bits, and twice that as digits.
const BITMAP_BYTES_MAX: u64 = 1 << 30;

/// What to import.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// The segment that it becomes.
    pub name: String,
    /// The file, relative to `base`.
    pub file: String,
    /// The folder that the file is relative to.
    pub base: PathBuf,
    /// Its format.
    pub format: ExportFormat,
    /// Which ids it holds.
    pub ids: IdSpace,
    /// The column of ids of a list; where absent, the one that is called as the ids are.
    pub column: Option<String>,
    /// Whether the first line of a CSV file names its columns; found out where absent.
    pub header: Option<bool>,
}

/// What was imported.
#[derive(Debug, Clone, Serialize)]
pub struct ImportReport {
    /// The segment.
    pub name: String,
    /// The build that it is.
    pub build: i64,
    /// Its members.
    pub members: u64,
    /// Members that it gained against the membership before.
    pub entered: u64,
    /// Members that it lost.
    pub exited: u64,
    /// The ids that the file held.
    pub ids: u64,
    /// Ids that are a profile's; more than members where a profile was named twice.
    pub known: u64,
    /// Ids that are nobody's, and lines that are no ids.
    pub rejected: u64,
    /// Where the rejected ids are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejects_file: Option<PathBuf>,
    /// Rejected ids by reason, the most frequent first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reject_reasons: Vec<(String, u64)>,
    /// The time it took.
    pub elapsed_ms: u64,
}

impl Engine {
    /// Imports a list of ids or a bitmap as a static segment, in one commit.
    ///
    /// # Errors
    /// Where the file is not what it should be, none of its ids is known, or a file of
    /// `sql/segments` has the name already.
    pub async fn import(&self, options: &ImportOptions) -> Result<ImportReport> {
        let started = Instant::now();
        let name = Name::parse(&options.name)?;
        if self.project.segments.iter().any(|file| file.name == name) {
            return Err(Error::input(format!("{name} is a segment of sql/segments already"))
                .with_hint("import under another name, and read it there: segments.OTHER"));
        }
        let store = self.store().await?;
        let mut lost = None;
        for _ in 0..TRIES_MAX {
            let snapshot = store.snapshot().await?;
            let rejects = Arc::new(Rejects::default());
            let resolved = self.resolved(options, &store, &snapshot, &rejects).await?;
            let mut report = self.report(&name, options, &resolved, &rejects)?;
            let request = ImportRequest {
                store: &store,
                snapshot: &snapshot,
                name: &name,
                membership: &resolved.membership,
                now: self.now,
                limits: self.limits,
            };
            let (imported, committed) = import(&request).await?;
            report.build = imported.build.0;
            (report.entered, report.exited) = (imported.entered, imported.exited);
            report.elapsed_ms = millis_since(started);
            match committed {
                Committed::Done(_) => return Ok(report),
                Committed::Conflict(error) => lost = Some(error),
            }
        }
        Err(lost.unwrap_or_else(|| Error::internal("an import was never tried")))
    }

    async fn resolved(
        &self,
        options: &ImportOptions,
        store: &Store,
        snapshot: &StoreSnapshot,
        rejects: &Arc<Rejects>,
    ) -> Result<Resolved> {
        let files = resolve(&options.file, &options.base)?;
        let [file] = &files[..] else {
            return Err(Error::input(format!("{} are {} files", options.file, files.len()))
                .with_hint("import one file; a second import under the same name replaces it"));
        };
        let session = Session::over(store, snapshot, self.limits, self.now)?;
        let next = snapshot.record.next_profile_id;
        let mut resolver = Resolver::new(&session, &options.ids, next, rejects).await?;
        let column = options.column.as_deref();
        let here = |error: Error| error.at(Path::new(&file.shown), None, None);
        match options.format {
            ExportFormat::Bitmap(format) => {
                let numbers = wire::decode_numbers(&bytes_of(file)?, format).map_err(here)?;
                resolver.numbers(&numbers, &file.shown);
            }
            ExportFormat::Arrow => {
                resolver.batches(&arrow_batches(&file.path).map_err(here)?, column, &file.shown)?;
            }
            ExportFormat::Csv => resolver.list(file, &reading(FileFormat::Csv, options), column)?,
            ExportFormat::Ndjson => {
                resolver.list(file, &reading(FileFormat::Ndjson, options), column)?;
            }
            ExportFormat::Parquet => {
                resolver.list(file, &reading(FileFormat::Parquet, options), column)?;
            }
        }
        Ok(resolver.finish())
    }

    fn report(
        &self,
        name: &Name,
        options: &ImportOptions,
        resolved: &Resolved,
        rejects: &Arc<Rejects>,
    ) -> Result<ImportReport> {
        let path = self.project.rejects_folder().join(format!("{name}.csv"));
        let rejected = rejects.total();
        let reject_reasons = rejects.by_reason();
        if rejected > 0 {
            write_rejects(&path, rejects)?;
        } else {
            // One of an earlier import would look like this one's.
            let _was_there = std::fs::remove_file(&path);
        }
        if resolved.known == 0 && resolved.ids > 0 {
            let mut error = Error::data(format!("none of the {} ids is a profile's", resolved.ids))
                .with_hint(format!("nothing was imported; the ids are in {}", path.display()));
            if let Some((reason, _)) = reject_reasons.first() {
                error = error.with_hint(format!("the most frequent reason: {reason}"));
            }
            return Err(with_id_hint(error, options));
        }
        Ok(ImportReport {
            name: name.to_string(),
            build: 0,
            members: resolved.membership.len(),
            entered: 0,
            exited: 0,
            ids: resolved.ids,
            known: resolved.known,
            rejected,
            rejects_file: (rejected > 0).then_some(path),
            reject_reasons,
            elapsed_ms: 0,
        })
    }
}

/// Where nobody was found by a bitmap's numbers, they may be others than was said.
fn with_id_hint(error: Error, options: &ImportOptions) -> Error {
    match (options.format, &options.ids) {
        (ExportFormat::Bitmap(_), IdSpace::Namespace(namespace)) => error.with_hint(format!(
            "where {namespace} is no number, `throng export` writes profile_ids into bitmaps: import those with --ids profile_id"
        )),
        _ => error,
    }
}

fn reading(format: FileFormat, options: &ImportOptions) -> ReadOptions {
    let columns = (options.header == Some(false))
        .then(|| vec![options.column.clone().unwrap_or_else(|| options.ids.column().to_owned())]);
    ReadOptions { format: Some(format), header: options.header, columns, ..ReadOptions::default() }
}

fn bytes_of(file: &SourceFile) -> Result<Vec<u8>> {
    if file.size > BITMAP_BYTES_MAX {
        return Err(Error::limit(format!(
            "{} has {} bytes; a bitmap of all profiles there can be has fewer than {BITMAP_BYTES_MAX}",
            file.shown, file.size
        )));
    }
    std::fs::read(&file.path).map_err(|e| Error::io("read", &file.path, e))
}

fn arrow_batches(path: &Path) -> Result<Vec<arrow::array::RecordBatch>> {
    let file = File::open(path).map_err(|e| Error::io("read", path, e))?;
    let broken = |e: arrow::error::ArrowError| Error::data(format!("not an Arrow file: {e}"));
    let reader = FileReader::try_new(file, None).map_err(broken)?;
    reader.map(|batch| batch.map_err(broken)).collect()
}
