//! A store table as a scan: the file list and statistics come from the Delta snapshot, the reading
//! from `DataFusion`'s Parquet source.
//!
//! Files that no row of a query can lie in are dropped when the query is planned, by the statistics
//! in the Delta log and without opening them; row groups and pages are dropped when a file is opened.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use chrono::{DateTime, NaiveDate};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::pruning::PrunableStatistics;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, DFSchema, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use object_store::ObjectMeta;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::model::{TableName, tables};
use crate::store::{DataFile, Store, TableSnapshot};

use super::selection;

/// A table of the store at one version.
#[derive(Debug)]
pub(super) struct StoreTable {
    schema: SchemaRef,
    files: Vec<PartitionedFile>,
    url: ObjectStoreUrl,
    reader: Arc<CachedParquetFileReaderFactory>,
    /// Whether the rows of each file ascend by `profile_id`, which no two rows share.
    in_order: bool,
}

impl StoreTable {
    pub(super) fn new(
        store: &Store,
        snapshot: &TableSnapshot,
        context: &SessionContext,
    ) -> Result<Self> {
        let schema = scan_schema(&snapshot.schema);
        let (url, client) = store.object_store();
        let url = ObjectStoreUrl::parse(&url)
            .map_err(|e| Error::internal(format!("{url} is no object store: {e}")))?;
        let files = snapshot
            .files
            .iter()
            .map(|file| {
                let meta = ObjectMeta {
                    location: store.file_path(snapshot.name, file),
                    last_modified: DateTime::UNIX_EPOCH,
                    size: file.size,
                    e_tag: None,
                    version: None,
                };
                PartitionedFile::new_from_meta(meta)
                    .with_statistics(Arc::new(statistics(file, &schema)))
            })
            .collect();
        let cache = context.runtime_env().cache_manager.get_file_metadata_cache();
        let reader = Arc::new(CachedParquetFileReaderFactory::new(client, cache));
        let sorted =
            |file: &DataFile| file.tags.get("sorted").is_some_and(|by| by == tables::PROFILE_ID);
        let in_order = snapshot.name == TableName::Profiles && snapshot.files.iter().all(sorted);
        Ok(Self { schema, files, url, reader, in_order })
    }

    /// The files that may hold a row for which all `filters` are true.
    fn matching(
        &self,
        state: &dyn Session,
        filters: &[Expr],
    ) -> DataFusionResult<Vec<PartitionedFile>> {
        let Some(filter) = conjunction(filters.iter().cloned()) else {
            return Ok(self.files.clone());
        };
        let df_schema = DFSchema::try_from(Arc::clone(&self.schema))?;
        let predicate = state.create_physical_expr(filter, &df_schema)?;
        let pruning = PruningPredicateBuilder::new()
            .with_file_schema(Arc::clone(&self.schema))
            .try_build(predicate)?;
        let statistics = self.files.iter().filter_map(|f| f.statistics.clone()).collect();
        let keep = pruning.prune(&PrunableStatistics::new(statistics, Arc::clone(&self.schema)))?;
        let files = self.files.iter().zip(keep);
        Ok(files.filter(|(_, keep)| *keep).map(|(file, _)| file.clone()).collect())
    }
}

#[async_trait]
impl TableProvider for StoreTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> DataFusionResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let (members, filters) = selection::of_filters(filters);
        let mut files = self.matching(state, &filters)?;
        if let Some(members) = &members {
            files = selection::chosen(files, &*self.reader, members, self.in_order).await?;
        }
        let mut statistics = total(&files, &self.schema);
        if members.is_some() {
            statistics = statistics.to_inexact();
        }
        let source = ParquetSource::new(Arc::clone(&self.schema))
            .with_table_parquet_options(state.default_table_options().parquet)
            .with_parquet_file_reader_factory(Arc::clone(&self.reader) as _);
        let groups = FileGroup::new(files).split_files(state.config().target_partitions());
        let groups = if groups.is_empty() { vec![FileGroup::default()] } else { groups };
        let config = FileScanConfigBuilder::new(self.url.clone(), Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

/// The schema that scans give: text and bytes as views, which Parquet decodes without copying.
pub fn scan_schema(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        let data_type = match field.data_type() {
            DataType::Utf8 => DataType::Utf8View,
            DataType::Binary => DataType::BinaryView,
            other => other.clone(),
        };
        Field::new(field.name(), data_type, field.is_nullable())
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn total(files: &[PartitionedFile], schema: &SchemaRef) -> Statistics {
    let mut rows = 0;
    let mut bytes = 0;
    for file in files {
        if let Some(statistics) = &file.statistics {
            rows += statistics.num_rows.get_value().copied().unwrap_or(0);
        }
        bytes += file.object_meta.size;
    }
    let mut statistics = Statistics::new_unknown(schema);
    statistics.num_rows = Precision::Exact(rows);
    statistics.total_byte_size = Precision::Inexact(usize::try_from(bytes).unwrap_or(usize::MAX));
    statistics
}

fn statistics(file: &DataFile, schema: &SchemaRef) -> Statistics {
    let rows = usize::try_from(file.stats.rows).unwrap_or(usize::MAX);
    let mut statistics = Statistics::new_unknown(schema);
    statistics.num_rows = Precision::Exact(rows);
    for (field, column) in schema.fields().iter().zip(&mut statistics.column_statistics) {
        match file.stats.columns.get(field.name()) {
            Some(known) => {
                column.min_value = exact(known.min.as_ref(), field.data_type());
                column.max_value = exact(known.max.as_ref(), field.data_type());
                if let Some(nulls) = known.nulls.and_then(|n| usize::try_from(n).ok()) {
                    column.null_count = Precision::Exact(nulls);
                }
            }
            None => *column = ColumnStatistics::new_unknown(),
        }
    }
    statistics
}

fn exact(value: Option<&Value>, data_type: &DataType) -> Precision<ScalarValue> {
    value.and_then(|v| scalar(v, data_type)).map_or(Precision::Absent, Precision::Exact)
}

/// A bound from the Delta log as a value of the column's type.
fn scalar(value: &Value, data_type: &DataType) -> Option<ScalarValue> {
    Some(match data_type {
        DataType::Int8 => ScalarValue::Int8(Some(value.as_i64()?.try_into().ok()?)),
        DataType::Int16 => ScalarValue::Int16(Some(value.as_i64()?.try_into().ok()?)),
        DataType::Int32 => ScalarValue::Int32(Some(value.as_i64()?.try_into().ok()?)),
        DataType::Int64 => ScalarValue::Int64(Some(value.as_i64()?)),
        // Not of floats: files of before 2026-11-28 have bounds that leave NaN out.
        DataType::Utf8View => ScalarValue::Utf8View(Some(value.as_str()?.to_owned())),
        DataType::Date32 => {
            let day = NaiveDate::parse_from_str(value.as_str()?, "%Y-%m-%d").ok()?;
            let days = day.signed_duration_since(NaiveDate::from_ymd_opt(1970, 1, 1)?).num_days();
            ScalarValue::Date32(Some(days.try_into().ok()?))
        }
        DataType::Timestamp(_, zone) => {
            let moment = DateTime::parse_from_rfc3339(value.as_str()?).ok()?;
            ScalarValue::TimestampMicrosecond(Some(moment.timestamp_micros()), zone.clone())
        }
        _ => return None,
    })
}
