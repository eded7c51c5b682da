//! A source's files as a table: one partition, rows in the order of the files.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};

use crate::source::{Progress, Rejects, SourceTable};

/// Rows in a batch that is read ahead: large enough that the hand-over between threads costs nothing.
const BATCH_ROWS: usize = 32_768;

/// Batches that the reading thread may be ahead.
const BATCHES_AHEAD: usize = 4;

/// Files that scan as one table.
#[derive(Debug)]
pub(super) struct FilesTable {
    table: Arc<SourceTable>,
    rejects: Arc<Rejects>,
    progress: Arc<Progress>,
}

impl FilesTable {
    pub(super) fn new(table: SourceTable, rejects: Arc<Rejects>, progress: Arc<Progress>) -> Self {
        Self { table: Arc::new(table), rejects, progress }
    }
}

#[async_trait]
impl TableProvider for FilesTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.table.schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(columns) => Arc::new(self.table.schema().project(columns)?),
            None => Arc::clone(self.table.schema()),
        };
        let partition = FilesPartition {
            schema: Arc::clone(&schema),
            projection: projection.cloned(),
            table: Arc::clone(&self.table),
            rejects: Arc::clone(&self.rejects),
            progress: Arc::clone(&self.progress),
        };
        let exec =
            StreamingTableExec::try_new(schema, vec![Arc::new(partition)], None, [], false, limit)?;
        Ok(Arc::new(exec))
    }
}

#[derive(Debug)]
struct FilesPartition {
    schema: Arc<Schema>,
    projection: Option<Vec<usize>>,
    table: Arc<SourceTable>,
    rejects: Arc<Rejects>,
    progress: Arc<Progress>,
}

impl PartitionStream for FilesPartition {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder =
            RecordBatchReceiverStream::builder(Arc::clone(&self.schema), BATCHES_AHEAD);
        let sender = builder.tx();
        let (table, projection) = (Arc::clone(&self.table), self.projection.clone());
        let (rejects, progress) = (Arc::clone(&self.rejects), Arc::clone(&self.progress));
        builder.spawn_blocking(move || {
            let external = |e| DataFusionError::External(Box::new(e));
            let batches = table
                .read(projection.as_deref(), BATCH_ROWS, rejects, progress)
                .map_err(external)?;
            for batch in batches {
                if sender.blocking_send(batch.map_err(external)).is_err() {
                    // The query needs no more rows.
                    break;
                }
            }
            Ok(())
        });
        builder.build()
    }
}
