//! One membership into one file.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::csv::WriterBuilder;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::ipc::writer::FileWriter;
use arrow::json::LineDelimitedWriter;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::membership::Membership;
use crate::membership::wire::{self, Format};
use crate::model::tables::PROFILE_ID;
use crate::model::{Name, Namespace};
use crate::query::Session;
use crate::store::encode::to_parquet;

use super::format::{ExportFormat, Ids};

/// Rows in a batch of ids.
const BATCH_ROWS: usize = 65_536;

/// What to export.
#[derive(Debug, Clone)]
pub struct Export {
    /// The segment.
    pub name: Name,
    /// The file; it is replaced if it is there.
    pub to: PathBuf,
    /// Its format.
    pub format: ExportFormat,
    /// Which ids it holds.
    pub ids: Ids,
}

/// What was exported.
#[derive(Debug, Clone, Serialize)]
pub struct Exported {
    /// The segment.
    pub name: String,
    /// The file.
    pub file: PathBuf,
    /// Its format.
    pub format: String,
    /// The profiles in the segment.
    pub members: u64,
    /// The rows of the file, or the ids in the bitmap.
    pub rows: u64,
    /// Members that have no identifier of the namespace, and so are not in the file.
    pub without_identifier: u64,
    /// The file's size.
    pub bytes: u64,
}

/// Writes `membership` as `export` asks; `session` finds identifiers.
///
/// # Errors
/// Where a bitmap is asked to hold identifiers, or the file cannot be written. There is no half file.
pub async fn export(
    session: &Session,
    membership: &Membership,
    export: &Export,
) -> Result<Exported> {
    let mut exported = Exported {
        name: export.name.to_string(),
        file: export.to.clone(),
        format: export.format.to_string(),
        members: membership.len(),
        rows: membership.len(),
        without_identifier: 0,
        bytes: 0,
    };
    if export.format.is_bitmap() {
        if export.ids != Ids::Profile {
            return Err(Error::input(format!("{} holds profile_ids only", export.format))
                .with_hint("leave --ids out, or choose csv, ndjson, parquet or arrow"));
        }
        let format = match export.format {
            ExportFormat::Roaring64 => Format::Roaring64,
            _ => Format::Roaring,
        };
        let bytes = wire::encode(membership, format);
        exported.bytes = whole_file(&export.to, |file| {
            file.write_all(&bytes).map_err(|e| Error::io("write", &export.to, e))
        })?;
        return Ok(exported);
    }
    let batches = match &export.ids {
        Ids::Profile => profile_ids(membership)?,
        Ids::Namespace(namespace) => {
            session.define_segment(&export.name, membership.clone())?;
            let (batches, found) = identifiers(session, &export.name, namespace).await?;
            exported.without_identifier = membership.len().saturating_sub(found);
            batches
        }
    };
    exported.rows = batches.iter().map(|b| b.num_rows() as u64).sum();
    let schema = Arc::new(Schema::new(vec![match &export.ids {
        Ids::Profile => Field::new(PROFILE_ID, DataType::Int32, false),
        Ids::Namespace(namespace) => Field::new(namespace.as_str(), DataType::Utf8, false),
    }]));
    exported.bytes = whole_file(&export.to, |file| {
        write(file, export.format, &schema, &batches).map_err(|e| e.at(&export.to, None, None))
    })?;
    Ok(exported)
}

fn profile_ids(membership: &Membership) -> Result<Vec<RecordBatch>> {
    let batch = |ids| {
        let column: ArrayRef = Arc::new(ids);
        RecordBatch::try_from_iter([(PROFILE_ID, column)])
            .map_err(|e| Error::internal(format!("export: {e}")))
    };
    membership.batches(BATCH_ROWS).map(batch).collect()
}

/// The identifiers of a segment's members, by profile and value, and how many members have one.
async fn identifiers(
    session: &Session,
    segment: &Name,
    namespace: &Namespace,
) -> Result<(Vec<RecordBatch>, u64)> {
    let from = format!(
        "FROM identifiers AS i JOIN segments.\"{segment}\" AS s ON i.profile_id = s.profile_id \
         WHERE i.namespace = '{namespace}' AND i.home"
    );
    let sql = format!("SELECT i.value AS \"{namespace}\" {from} ORDER BY i.profile_id, i.value");
    let batches = session.plan(&sql, None).await?.collect().await?;
    let text = |batch: RecordBatch| {
        let column = cast(batch.column(0), &DataType::Utf8)
            .map_err(|e| Error::data(format!("identifiers: {e}")))?;
        RecordBatch::try_from_iter([(namespace.as_str(), column)])
            .map_err(|e| Error::internal(format!("export: {e}")))
    };
    let batches = batches.into_iter().map(text).collect::<Result<Vec<_>>>()?;
    let sql = format!("SELECT count(DISTINCT i.profile_id) AS n {from}");
    Ok((batches, session.plan(&sql, None).await?.single_count().await?))
}

fn write(
    file: &mut BufWriter<File>,
    format: ExportFormat,
    schema: &Arc<Schema>,
    batches: &[RecordBatch],
) -> Result<()> {
    let failed = |e: arrow::error::ArrowError| match e {
        arrow::error::ArrowError::IoError(_, io) => Error::io("write", Path::new("the export"), io),
        other => Error::internal(format!("export: {other}")),
    };
    match format {
        ExportFormat::Csv => {
            let mut writer = WriterBuilder::new().with_header(true).build(&mut *file);
            if batches.is_empty() {
                writer.write(&RecordBatch::new_empty(Arc::clone(schema))).map_err(failed)?;
            }
            batches.iter().try_for_each(|b| writer.write(b)).map_err(failed)
        }
        ExportFormat::Ndjson => {
            let mut writer = LineDelimitedWriter::new(&mut *file);
            batches.iter().try_for_each(|b| writer.write(b)).map_err(failed)?;
            writer.finish().map_err(failed)
        }
        ExportFormat::Arrow => {
            let mut writer = FileWriter::try_new(&mut *file, schema).map_err(failed)?;
            batches.iter().try_for_each(|b| writer.write(b)).map_err(failed)?;
            writer.finish().map_err(failed)
        }
        ExportFormat::Parquet => {
            let bytes = to_parquet(schema, batches)?;
            file.write_all(&bytes).map_err(|e| Error::io("write", Path::new("the export"), e))
        }
        ExportFormat::Roaring | ExportFormat::Roaring64 => {
            Err(Error::internal("a bitmap was written as a list"))
        }
    }
}

/// Writes a file beside `to` and moves it there once it is whole; its size.
fn whole_file(to: &Path, write: impl FnOnce(&mut BufWriter<File>) -> Result<()>) -> Result<u64> {
    let folder = to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|e| Error::io("make", folder, e))?;
    let name = to.file_name().and_then(|n| n.to_str()).unwrap_or("export");
    let part = folder.join(format!(".{name}.{}.part", std::process::id()));
    let outcome = (|| {
        let file = File::create(&part).map_err(|e| Error::io("write", &part, e))?;
        let mut writer = BufWriter::new(file);
        write(&mut writer)?;
        let file = writer.into_inner().map_err(|e| Error::io("write", to, e.into_error()))?;
        let bytes = file.metadata().map_err(|e| Error::io("write", to, e))?.len();
        std::fs::rename(&part, to).map_err(|e| Error::io("write", to, e))?;
        Ok(bytes)
    })();
    if outcome.is_err() {
        let _gone_already = std::fs::remove_file(&part);
    }
    outcome
}
