//! The key, time and event columns of a batch, and what does not fit.

use std::io::Write as _;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::error::{Error, Result};
use crate::identity::{Claim, IdentityIndex, key_text};
use crate::model::{Namespace, ProfileId};
use crate::source::{FILE_COLUMN, LINE_COLUMN, Reject, Rejects};
use crate::store::schema::timestamp;

use super::identifiers::NewIdentifiers;
use super::spec::{Key, SourceSpec};
use super::{Context, Ingested};

/// Moments before 1900 or from 2200 on are mistakes: a zero date, a year typed with five digits.
const MOMENTS: std::ops::Range<i64> = -2_208_988_800_000_000..7_258_118_400_000_000;

/// Where rows come from, for rejects.
pub(super) struct Origin {
    files: Option<StringArray>,
    lines: Option<arrow::array::Int64Array>,
    first_row: u64,
    source: String,
}

impl Origin {
    /// The origin of the rows of `batch`, the first of which is row `first_row` of the query.
    pub(super) fn of(batch: &RecordBatch, first_row: u64, spec: &SourceSpec) -> Self {
        let column = |name, kind: &DataType| {
            batch.column_by_name(name).and_then(|column| cast(column, kind).ok())
        };
        Self {
            files: column(FILE_COLUMN, &DataType::Utf8).map(|c| c.as_string().clone()),
            lines: column(LINE_COLUMN, &DataType::Int64)
                .map(|c| c.as_primitive::<Int64Type>().clone()),
            first_row,
            source: spec.file.display().to_string(),
        }
    }

    /// The reject of row `row` of `batch`. Rows without an origin are named by their place in the
    /// query's result.
    fn reject(&self, batch: &RecordBatch, row: usize, reason: String) -> Reject {
        let line = self.lines.as_ref().map(|lines| lines.value(row));
        Reject {
            file: self.files.as_ref().map_or(self.source.clone(), |f| f.value(row).to_owned()),
            line: line
                .and_then(|l| u64::try_from(l).ok())
                .unwrap_or(self.first_row + row as u64 + 1),
            reason,
            text: row_text(batch, row),
        }
    }
}

/// The values of a row, so that a user can tell which one it was.
fn row_text(batch: &RecordBatch, row: usize) -> String {
    let options = FormatOptions::default();
    let mut values = Vec::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        if [FILE_COLUMN, LINE_COLUMN].contains(&field.name().as_str()) {
            continue;
        }
        let value = ArrayFormatter::try_new(column, &options).map(|f| f.value(row).to_string());
        values.push(value.unwrap_or_default());
    }
    values.join(",")
}

/// Resolves keys to profiles, batch by batch.
pub(super) struct Resolver<'a> {
    pub(super) keys: &'a [Key],
    pub(super) index: &'a mut IdentityIndex,
    pub(super) found: NewIdentifiers,
    pub(super) conflicts: u64,
}

/// One batch's rows: whose each is, and `None` where it was rejected.
pub(super) struct Resolved {
    pub(super) ids: Vec<Option<ProfileId>>,
    /// The first key's values, which profiles keep as a column.
    pub(super) first_key: StringArray,
}

impl Resolver<'_> {
    /// The profile of each row of `batch` that `fits`; profiles are given out in row order.
    pub(super) fn resolve(
        &mut self,
        batch: &RecordBatch,
        fits: &dyn Fn(usize) -> std::result::Result<(), String>,
        origin: &Origin,
        rejects: &Rejects,
    ) -> Result<Resolved> {
        let texts = self
            .keys
            .iter()
            .map(|key| key_text(column(batch, &key.column)?, &key.namespace))
            .collect::<Result<Vec<_>>>()?;
        let mut ids = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let first = texts.iter().position(|t| t.is_valid(row));
            let outcome = fits(row).and_then(|()| first.ok_or_else(|| self.no_key()));
            match outcome {
                Ok(slot) => ids.push(Some(self.profile(&texts, slot, row)?)),
                Err(reason) => {
                    rejects.push(origin.reject(batch, row, reason));
                    ids.push(None);
                }
            }
        }
        let first_key =
            texts.into_iter().next().unwrap_or_else(|| StringArray::new_null(ids.len()));
        Ok(Resolved { ids, first_key })
    }

    fn no_key(&self) -> String {
        let columns: Vec<&str> = self.keys.iter().map(|k| k.column.as_str()).collect();
        format!("no value in {}", columns.join(", "))
    }

    fn profile(&mut self, texts: &[StringArray], slot: usize, row: usize) -> Result<ProfileId> {
        let value = texts[slot].value(row);
        let (id, is_new) = self.index.home(slot, value)?;
        if is_new {
            self.found.push(id, &self.keys[slot].namespace, value, true);
        }
        for (other, text) in texts.iter().enumerate().skip(slot + 1) {
            if text.is_null(row) {
                continue;
            }
            let namespace: &Namespace = &self.keys[other].namespace;
            match self.index.claim(other, text.value(row), id)? {
                Claim::Known | Claim::OldConflict => {}
                Claim::New => self.found.push(id, namespace, text.value(row), true),
                Claim::NewConflict => {
                    self.conflicts += 1;
                    self.found.push(id, namespace, text.value(row), false);
                }
            }
        }
        Ok(id)
    }
}

/// The column `name` of `batch`.
pub(super) fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch
        .column_by_name(name)
        .ok_or_else(|| Error::internal(format!("the query lost its column {name}")))
}

/// Checks that `schema` has the column `name`, which the source says is its `what`.
pub(super) fn check_column(
    schema: &arrow::datatypes::Schema,
    name: &str,
    what: &str,
    spec: &SourceSpec,
) -> Result<()> {
    if schema.index_of(name).is_ok() {
        return Ok(());
    }
    let names = schema.fields().iter().map(|f| f.name().as_str());
    let names = names.filter(|n| ![FILE_COLUMN, LINE_COLUMN].contains(n));
    let error =
        Error::input(format!("source {} has no column \"{name}\" for its {what}", spec.name))
            .at(&spec.file, None, None);
    Err(match crate::error::nearest(name, names.clone()) {
        Some(near) => error.with_hint(format!("did you mean \"{near}\"?")),
        None => {
            error.with_hint(format!("its columns are {}", names.collect::<Vec<_>>().join(", ")))
        }
    })
}

/// Moments of a batch, microseconds UTC, and why a row has none.
pub(super) struct Moments {
    pub(super) values: arrow::array::TimestampMicrosecondArray,
    name: String,
}

impl Moments {
    /// Reads the column `name`; a moment without a zone is in `zone`.
    pub(super) fn read(batch: &RecordBatch, name: &str, zone: &str) -> Result<Self> {
        let column = column(batch, name)?;
        let zoned = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some(zone.into()));
        let unreadable = |e: arrow::error::ArrowError| {
            Error::input(format!("the time \"{name}\" is {}: {e}", column.data_type()))
        };
        let moments = match column.data_type() {
            DataType::Timestamp(_, Some(_)) => cast(column, &timestamp()).map_err(unreadable)?,
            kind if kind.is_integer() || kind.is_floating() => {
                return Err(Error::input(format!("the time \"{name}\" is {kind}, not a time"))
                    .with_hint("say what the number counts: to_timestamp_seconds(...), to_timestamp_millis(...)"));
            }
            _ => {
                let zoned = cast(column, &zoned).map_err(unreadable)?;
                cast(&zoned, &timestamp()).map_err(unreadable)?
            }
        };
        let values = moments.as_primitive::<TimestampMicrosecondType>().clone();
        Ok(Self { values, name: name.to_owned() })
    }

    /// Whether row `row` has a moment that can be true.
    pub(super) fn fits(&self, row: usize) -> std::result::Result<(), String> {
        if self.values.is_null(row) {
            return Err(format!("no time in {}", self.name));
        }
        if MOMENTS.contains(&self.values.value(row)) {
            return Ok(());
        }
        let shown = self.values.value_as_datetime(row);
        let shown =
            shown.map_or_else(|| "a time beyond the calendar".to_owned(), |t| t.to_string());
        Err(format!("{} is {shown}, not between 1900 and 2200", self.name))
    }
}

/// Writes the rejects file, fills in the counts, and fails where there are more than allowed.
pub(super) fn settle_rejects(
    context: &Context<'_>,
    spec: &SourceSpec,
    rejects: &Arc<Rejects>,
    ingested: &mut Ingested,
) -> Result<()> {
    ingested.rejected = rejects.total();
    ingested.reject_reasons = rejects.by_reason();
    let path = context.rejects_folder.join(format!("{}.csv", spec.name));
    if ingested.rejected == 0 {
        // One of an earlier ingest would look like this one's.
        let _was_there = std::fs::remove_file(&path);
        return Ok(());
    }
    write_rejects(&path, rejects)?;
    ingested.rejects_file = Some(path.clone());
    let all = ingested.rejected == ingested.rows;
    if !all && spec.rejects_max.allows(ingested.rejected, ingested.rows) {
        return Ok(());
    }
    let limit = if all { "none fits".to_owned() } else { format!("it bears {}", spec.rejects_max) };
    let mut error = Error::data(format!(
        "{} of {} rows of source {} do not fit; {limit}",
        ingested.rejected, ingested.rows, spec.name
    ))
    .at(&spec.file, None, None);
    if let Some((reason, rows)) = ingested.reject_reasons.first() {
        error = error.with_hint(format!("the most frequent reason, {rows} times: {reason}"));
    }
    Err(error
        .with_hint(format!("nothing was ingested; the rows are in {}", path.display()))
        .with_hint("if they may be lost, allow more in the source's head: -- rejects: 30%"))
}

/// Writes the rejects that were kept to `path`, by file and line.
///
/// # Errors
/// Where it cannot be written.
pub fn write_rejects(path: &std::path::Path, rejects: &Rejects) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder).map_err(|e| Error::io("make", folder, e))?;
    let failed =
        |e: csv::Error| Error::unavailable(format!("cannot write {}: {e}", path.display()));
    let mut writer = csv::Writer::from_path(path).map_err(failed)?;
    writer.write_record(["file", "line", "reason", "row"]).map_err(failed)?;
    let mut kept = rejects.take_kept();
    kept.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    for reject in kept {
        let line = reject.line.to_string();
        writer.write_record([&reject.file, &line, &reject.reason, &reject.text]).map_err(failed)?;
    }
    writer.flush().map_err(|e| Error::io("write", path, e))?;
    writer
        .into_inner()
        .map_err(|e| Error::internal(e.to_string()))?
        .flush()
        .map_err(|e| Error::io("write", path, e))
}
