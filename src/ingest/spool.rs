//! Batches by shard (and month), kept in memory and spilled to disk when that runs short.
//!
//! Rows of one key come back in the order in which they were pushed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

use crate::error::{Error, Result};

/// Batches by key.
#[derive(Debug)]
pub struct Spool<K> {
    schema: SchemaRef,
    parts: BTreeMap<K, Part>,
    bytes: usize,
    bytes_max: usize,
    folder: Option<Folder>,
}

#[derive(Debug, Default)]
struct Part {
    batches: Vec<RecordBatch>,
    bytes: usize,
    rows: u64,
    spilled: Vec<PathBuf>,
}

/// All rows of one key.
#[derive(Debug)]
pub struct Gathered {
    schema: SchemaRef,
    part: Part,
}

impl<K: Ord + Clone> Spool<K> {
    /// A spool that holds about `bytes_max` bytes in memory.
    pub fn new(schema: SchemaRef, bytes_max: usize) -> Self {
        Self { schema, parts: BTreeMap::new(), bytes: 0, bytes_max, folder: None }
    }

    /// Adds the rows of `batch`, which must own its buffers, to `key`.
    ///
    /// # Errors
    /// Where memory ran short and the disk is full.
    pub fn push(&mut self, key: K, batch: RecordBatch) -> Result<()> {
        let bytes = batch.get_array_memory_size();
        let part = self.parts.entry(key).or_default();
        part.rows += batch.num_rows() as u64;
        part.bytes += bytes;
        part.batches.push(batch);
        self.bytes += bytes;
        while self.bytes > self.bytes_max {
            self.spill_largest()?;
        }
        Ok(())
    }

    fn spill_largest(&mut self) -> Result<()> {
        let Some(part) = self.parts.values_mut().max_by_key(|part| part.bytes) else {
            self.bytes = 0;
            return Ok(());
        };
        if self.folder.is_none() {
            self.folder = Some(Folder::new()?);
        }
        let Some(folder) = &self.folder else { return Ok(()) };
        let path = folder.next_file();
        let batch = concat_batches(&self.schema, &part.batches).map_err(|e| spill_failed(&e))?;
        write(&path, &batch)?;
        part.spilled.push(path);
        part.batches.clear();
        self.bytes -= part.bytes;
        part.bytes = 0;
        Ok(())
    }

    /// Rows in all keys.
    pub fn rows(&self) -> u64 {
        self.parts.values().map(|p| p.rows).sum()
    }

    /// Takes out the keys and their rows, by key; the folder of spilled rows lives as long as the
    /// second value.
    pub fn finish(self) -> (Vec<(K, Gathered)>, SpillGuard) {
        let schema = self.schema;
        let parts = self
            .parts
            .into_iter()
            .map(|(key, part)| (key, Gathered { schema: SchemaRef::clone(&schema), part }));
        (parts.collect(), SpillGuard { _folder: self.folder })
    }
}

/// Keeps spilled rows on the disk until it is dropped.
#[derive(Debug)]
pub struct SpillGuard {
    _folder: Option<Folder>,
}

impl Gathered {
    /// The number of rows.
    pub fn rows(&self) -> u64 {
        self.part.rows
    }

    /// The rows, in batches of at most about `rows_max` rows, in the order they were pushed.
    ///
    /// # Errors
    /// Where spilled rows cannot be read back.
    pub fn batches(self, rows_max: usize) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        for path in &self.part.spilled {
            batches.extend(read(path)?);
        }
        batches.extend(self.part.batches);
        let mut out = Vec::new();
        let (mut run, mut rows) = (Vec::new(), 0);
        for batch in batches {
            rows += batch.num_rows();
            run.push(batch);
            if rows >= rows_max {
                out.push(concat_batches(&self.schema, &run).map_err(|e| spill_failed(&e))?);
                run.clear();
                rows = 0;
            }
        }
        if rows > 0 {
            out.push(concat_batches(&self.schema, &run).map_err(|e| spill_failed(&e))?);
        }
        Ok(out)
    }
}

/// A folder of temporary files that goes when it is dropped.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    files: AtomicU64,
}

impl Folder {
    fn new() -> Result<Self> {
        let name = format!("throng-spill-{}", uuid::Uuid::new_v4().simple());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).map_err(|e| Error::io("make", &path, e))?;
        Ok(Self { path, files: AtomicU64::new(0) })
    }

    fn next_file(&self) -> PathBuf {
        self.path.join(format!("{}.arrow", self.files.fetch_add(1, Ordering::Relaxed)))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!(%error, "spilled rows stay at {}", self.path.display());
        }
    }
}

fn spill_failed(cause: &arrow::error::ArrowError) -> Error {
    Error::limit(format!("rows cannot be set aside: {cause}"))
        .with_hint("give the ingest more --memory, or free some disk space")
}

fn write(path: &PathBuf, batch: &RecordBatch) -> Result<()> {
    let file = File::create(path).map_err(|e| Error::io("write", path, e))?;
    let mut writer = StreamWriter::try_new(BufWriter::new(file), &batch.schema())
        .map_err(|e| spill_failed(&e))?;
    writer.write(batch).and_then(|()| writer.finish()).map_err(|e| spill_failed(&e))
}

fn read(path: &PathBuf) -> Result<Vec<RecordBatch>> {
    let file = File::open(path).map_err(|e| Error::io("read", path, e))?;
    let reader = StreamReader::try_new(BufReader::new(file), None).map_err(|e| spill_failed(&e))?;
    reader.collect::<std::result::Result<_, _>>().map_err(|e| spill_failed(&e))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray as _, Int32Array};
    use arrow::datatypes::{DataType, Field, Int32Type, Schema};

    use super::*;

    fn check(bytes_max: usize) {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int32, false)]));
        let mut spool = Spool::new(Arc::clone(&schema), bytes_max);
        for n in 0..100 {
            let column: ArrayRef = Arc::new(Int32Array::from(vec![n]));
            let batch = RecordBatch::try_new(Arc::clone(&schema), vec![column]).expect("a batch");
            spool.push(n % 3, batch).expect("pushed");
        }
        assert_eq!(spool.rows(), 100);
        let (parts, _guard) = spool.finish();
        for (key, gathered) in parts {
            let batches = gathered.batches(10).expect("read back");
            let values: Vec<i32> = batches
                .iter()
                .flat_map(|b| b.column(0).as_primitive::<Int32Type>().values().to_vec())
                .collect();
            assert_eq!(values, (0..100).filter(|n| n % 3 == key).collect::<Vec<_>>());
        }
    }

    #[test]
    fn rows_come_back_in_order_from_memory() {
        check(usize::MAX);
    }

    #[test]
    fn rows_come_back_in_order_from_disk() {
        check(1_000);
    }
}
