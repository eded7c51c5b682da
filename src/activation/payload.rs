//! A membership as the bytes of a file, in any format and any id space.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::csv::WriterBuilder;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::writer::FileWriter;
use arrow::json::LineDelimitedWriter;

use crate::error::{Error, Result};
use crate::membership::Membership;
use crate::membership::wire::{self, Format};
use crate::model::tables::PROFILE_ID;
use crate::store::encode::to_parquet;

use super::dictionary::Dictionary;
use super::format::ExportFormat;

/// Rows in a batch of ids.
const BATCH_ROWS: usize = 65_536;

/// The bytes of a file, and what is in them.
#[derive(Debug)]
pub struct Payload {
    /// The file.
    pub bytes: Vec<u8>,
    /// Ids in it.
    pub rows: u64,
    /// Members that have no identifier, and so are not in it.
    pub without_identifier: u64,
    /// Whether it holds the dictionary's identifiers, and not profile ids.
    pub has_identifiers: bool,
}

/// `membership` of the segment `name` as a file of `format`: the identifiers of `dictionary`, or
/// profile ids where there is none. A bitmap takes identifiers only where they are numbers.
///
/// # Errors
/// Where an id is too large for the format.
pub fn payload(
    name: &str,
    membership: &Membership,
    format: ExportFormat,
    dictionary: Option<&Dictionary>,
) -> Result<Payload> {
    match (format, dictionary) {
        (ExportFormat::Bitmap(format), Some(dictionary)) => match dictionary.numbers(membership) {
            Some((numbers, found)) => Ok(Payload {
                bytes: named(name, wire::encode_numbers(&numbers, format)?, format),
                rows: numbers.len(),
                without_identifier: membership.len().saturating_sub(found),
                has_identifiers: true,
            }),
            None => {
                Ok(of_profiles(membership, named(name, wire::encode(membership, format), format)))
            }
        },
        (ExportFormat::Bitmap(format), None) => {
            Ok(of_profiles(membership, named(name, wire::encode(membership, format), format)))
        }
        (list, None) => {
            let field = Field::new(PROFILE_ID, DataType::Int32, false);
            let schema = Arc::new(Schema::new(vec![field]));
            let batches = profile_ids(&schema, membership)?;
            Ok(of_profiles(membership, written(list, &schema, &batches)?))
        }
        (list, Some(dictionary)) => {
            let found = dictionary.rows(membership)?;
            let values = found.rows.project(&[1]).map_err(|e| failed(&e))?;
            let (schema, rows) = (values.schema(), values.num_rows() as u64);
            let batches = if rows == 0 { vec![] } else { vec![values] };
            Ok(Payload {
                bytes: written(list, &schema, &batches)?,
                rows,
                without_identifier: membership.len().saturating_sub(found.profiles),
                has_identifiers: true,
            })
        }
    }
}

fn of_profiles(membership: &Membership, bytes: Vec<u8>) -> Payload {
    Payload { bytes, rows: membership.len(), without_identifier: 0, has_identifiers: false }
}

/// A row of a `COPY` file has the segment's name before the bitmap, so that the rows of many go into
/// one table. No name has a character that `COPY` would want escaped.
fn named(name: &str, bytes: Vec<u8>, format: Format) -> Vec<u8> {
    match format {
        Format::Postgres | Format::Postgres64 => [name.as_bytes(), b"\t", &bytes].concat(),
        _ => bytes,
    }
}

fn profile_ids(schema: &SchemaRef, membership: &Membership) -> Result<Vec<RecordBatch>> {
    let batch = |ids| {
        let column: ArrayRef = Arc::new(ids);
        RecordBatch::try_new(Arc::clone(schema), vec![column]).map_err(|e| failed(&e))
    };
    membership.batches(BATCH_ROWS).map(batch).collect()
}

/// `batches` as the bytes of a list.
///
/// # Errors
/// Where a column cannot be written so.
pub fn written(
    format: ExportFormat,
    schema: &SchemaRef,
    batches: &[RecordBatch],
) -> Result<Vec<u8>> {
    let failed = |e: ArrowError| failed(&e);
    let mut bytes = Vec::new();
    match format {
        ExportFormat::Csv => {
            let mut writer = WriterBuilder::new().with_header(true).build(&mut bytes);
            if batches.is_empty() {
                writer.write(&RecordBatch::new_empty(Arc::clone(schema))).map_err(failed)?;
            }
            batches.iter().try_for_each(|b| writer.write(b)).map_err(failed)?;
        }
        ExportFormat::Ndjson => {
            let mut writer = LineDelimitedWriter::new(&mut bytes);
            batches.iter().try_for_each(|b| writer.write(b)).map_err(failed)?;
            writer.finish().map_err(failed)?;
        }
        ExportFormat::Arrow => {
            let mut writer = FileWriter::try_new(&mut bytes, schema).map_err(failed)?;
            batches.iter().try_for_each(|b| writer.write(b)).map_err(failed)?;
            writer.finish().map_err(failed)?;
        }
        ExportFormat::Parquet => bytes = to_parquet(schema, batches)?.into(),
        ExportFormat::Bitmap(_) => return Err(Error::internal("a bitmap was written as a list")),
    }
    Ok(bytes)
}

fn failed(cause: &ArrowError) -> Error {
    Error::internal(format!("export: {cause}"))
}
