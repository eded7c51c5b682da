//! Memberships as tables: `segments.NAME` has one column, `profile_id`, ascending and distinct.

use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::memory::MemorySourceConfig;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;

use crate::membership::Membership;
use crate::model::Name;
use crate::model::tables::PROFILE_ID;

/// Ids in a batch; `DataFusion`'s own batch size.
const BATCH_ROWS: usize = 8_192;

/// Where the membership of a declared segment will be.
pub(super) type Slot = Arc<OnceLock<Membership>>;

/// A membership that scans; the ids are unpacked when a query reads them.
#[derive(Debug)]
pub(super) struct SegmentTable {
    schema: SchemaRef,
    name: String,
    slot: Slot,
}

impl SegmentTable {
    pub(super) fn new(name: &Name, slot: Slot) -> Self {
        let field = Field::new(PROFILE_ID, DataType::Int32, false);
        Self { schema: Arc::new(Schema::new(vec![field])), name: name.to_string(), slot }
    }

    /// Where the membership is, or will be.
    pub(super) fn slot(&self) -> Slot {
        Slot::clone(&self.slot)
    }
}

#[async_trait]
impl TableProvider for SegmentTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let membership = self.slot.get().ok_or_else(|| {
            DataFusionError::Plan(format!("segment {} is not built yet", self.name))
        })?;
        let batches = membership
            .batches(BATCH_ROWS)
            .map(|ids| {
                let columns: Vec<ArrayRef> = vec![Arc::new(ids)];
                RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(Into::into)
            })
            .collect::<DataFusionResult<Vec<_>>>()?;
        let exec = MemorySourceConfig::try_new_exec(
            &[batches],
            Arc::clone(&self.schema),
            projection.cloned(),
        )?;
        Ok(exec)
    }
}
