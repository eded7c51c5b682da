//! A Parquet file that appears under its name only when it is whole.

use std::fs;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use crate::error::{Error, Result};

/// Rows of a row group: as many as an export tool writes, few enough to be held by each thread.
const GROUP_ROWS: usize = 250_000;

/// A file being written beside its place; dropped before [`Output::finish`], it leaves nothing.
pub(super) struct Output {
    writer: Option<ArrowWriter<fs::File>>,
    path: PathBuf,
    draft: PathBuf,
}

impl Output {
    /// Begins the file that will stand at `path`. Columns in `counting` hold numbers that mostly
    /// rise, columns in `distinct` hold texts that seldom repeat; the others are dictionaries.
    pub(super) fn create(
        path: PathBuf,
        schema: SchemaRef,
        counting: &[&str],
        distinct: &[&str],
    ) -> Result<Self> {
        let mut draft = path.clone();
        draft.as_mut_os_string().push(".part");
        let file = fs::File::create(&draft).map_err(|e| Error::io("create", &draft, e))?;
        let level = ZstdLevel::try_new(1).map_err(|e| failed(&path, e))?;
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_created_by(concat!("throng ", env!("CARGO_PKG_VERSION")).to_owned());
        for column in counting {
            let column = ColumnPath::from(*column);
            properties = properties
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
        }
        for column in distinct {
            properties = properties.set_column_dictionary_enabled(ColumnPath::from(*column), false);
        }
        // Without Arrow's own schema, readers find plain text where we wrote dictionaries.
        let options = ArrowWriterOptions::new()
            .with_properties(properties.build())
            .with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(file, schema, options)
            .map_err(|e| failed(&path, e))?;
        Ok(Self { writer: Some(writer), path, draft })
    }

    /// Appends rows.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        writer.write(batch).map_err(|e| failed(&self.path, e))
    }

    /// Puts the whole file in its place and returns that and its size in bytes.
    pub(super) fn finish(mut self) -> Result<(PathBuf, u64)> {
        let writer = self.writer.as_mut();
        let writer = writer.ok_or_else(|| Error::internal("a file was finished twice"))?;
        writer.finish().map_err(|e| failed(&self.path, e))?;
        let bytes = writer.bytes_written() as u64;
        self.writer = None;
        fs::rename(&self.draft, &self.path).map_err(|e| Error::io("rename", &self.draft, e))?;
        Ok((self.path.clone(), bytes))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if self.writer.take().is_some() {
            // Best effort: no reader takes a draft that stays behind for a table.
            fs::remove_file(&self.draft).ok();
        }
    }
}

/// What the Parquet writer says, as an error on `path`.
fn failed(path: &Path, cause: ParquetError) -> Error {
    match cause {
        ParquetError::External(cause) => match cause.downcast::<std::io::Error>() {
            Ok(cause) => Error::io("write", path, *cause),
            Err(cause) => {
                Error::unavailable(format!("cannot write {}", path.display())).with_cause(cause)
            }
        },
        cause => Error::unavailable(format!("cannot write {}: {cause}", path.display()))
            .with_cause(cause),
    }
}
