//! Predicates on segments reach the Parquet scan: a query that joins a table with a segment, or asks
//! for `profile_id IN (SELECT ... FROM segments.x)`, reads only the pages in which members can lie.
//!
//! An optimiser rule finds such joins and gives the scan of the store's table a filter more, the
//! function [`IsMember`], which carries the membership. [`chosen`] turns it into row selections by the
//! page indexes of the files: a page whose ids hold no member is skipped, and of a page of profiles
//! whose ids have no gaps only the members' rows are taken. The join stays, so an answer never
//! depends on any of this.

use std::sync::Arc;

use arrow::array::{AsArray as _, BooleanArray};
use arrow::datatypes::{DataType, Int32Type};
use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, JoinType};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::{ParquetAccessPlan, RowGroupAccess};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TableScan, Volatility,
};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use datafusion::parquet::arrow::arrow_reader::{ArrowReaderOptions, RowSelection, RowSelector};
use datafusion::parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use datafusion::parquet::file::page_index::column_index::ColumnIndexMetaData;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::{StreamExt as _, TryStreamExt as _};

use crate::membership::Membership;
use crate::model::ProfileId;
use crate::model::tables::PROFILE_ID;

use super::segments::{SegmentTable, Slot};
use super::table::StoreTable;

/// Files whose indexes are read at the same time.
const FILES_AT_ONCE: usize = 16;

/// Whether an id is among the members of a segment; made by the rule alone, it has no name in SQL.
#[derive(Debug)]
struct IsMember {
    slot: Slot,
    signature: Signature,
}

impl PartialEq for IsMember {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.slot, &other.slot)
    }
}

impl Eq for IsMember {}

impl std::hash::Hash for IsMember {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.slot).hash(state);
    }
}

impl ScalarUDFImpl for IsMember {
    fn name(&self) -> &'static str {
        "is_member"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let members = self.slot.get().ok_or_else(|| not_built("a segment"))?;
        let ids = ColumnarValue::values_to_arrays(&arguments.args)?;
        let [ids] = &ids[..] else { return Err(not_built("an id")) };
        let ids = ids.as_primitive::<Int32Type>();
        let is_in = |id: i32| ProfileId::try_from(id).is_ok_and(|id| members.contains(id));
        let found: BooleanArray = ids.iter().map(|id| id.map(is_in)).collect();
        Ok(ColumnarValue::Array(Arc::new(found)))
    }
}

fn not_built(what: &str) -> DataFusionError {
    DataFusionError::Internal(format!("{what} is missing"))
}

/// The rule; see the head of this file.
#[derive(Debug, Default)]
pub(super) struct RestrictToSegments;

impl OptimizerRule for RestrictToSegments {
    fn name(&self) -> &'static str {
        "restrict_to_segments"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Join(mut join) = plan else { return Ok(Transformed::no(plan)) };
        // In all of these a row without a partner on the other side changes nothing.
        let both =
            matches!(join.join_type, JoinType::Inner | JoinType::LeftSemi | JoinType::RightSemi);
        if !both {
            return Ok(Transformed::no(LogicalPlan::Join(join)));
        }
        let mut changed = false;
        for (left, right) in join.on.clone() {
            let (Expr::Column(left), Expr::Column(right)) = (left, right) else { continue };
            if let Some(slot) = members(&join.right, &right)
                && let Some(less) = restricted(&join.left, &left, &slot)
            {
                join.left = Arc::new(less);
                changed = true;
            }
            if let Some(slot) = members(&join.left, &left)
                && let Some(less) = restricted(&join.right, &right, &slot)
            {
                join.right = Arc::new(less);
                changed = true;
            }
        }
        let plan = LogicalPlan::Join(join);
        Ok(if changed { Transformed::yes(plan) } else { Transformed::no(plan) })
    }
}

/// The segment that `column` of `plan` comes from, where all of its values do.
fn members(plan: &LogicalPlan, column: &Column) -> Option<Slot> {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => members(&alias.input, &bare(column)),
        LogicalPlan::Filter(filter) => members(&filter.input, column),
        LogicalPlan::Projection(projection) => {
            let below = passed_through(&projection.expr, column)?;
            members(&projection.input, &below)
        }
        LogicalPlan::TableScan(scan) if column.name == PROFILE_ID => {
            let provider = source_as_provider(&scan.source).ok()?;
            provider.downcast_ref::<SegmentTable>().map(SegmentTable::slot)
        }
        _ => None,
    }
}

/// `plan` with the scan that `column` comes from restricted to the members, where that changes
/// nothing but rows that the join drops.
fn restricted(plan: &LogicalPlan, column: &Column, slot: &Slot) -> Option<LogicalPlan> {
    let input = |input: &LogicalPlan, column: &Column| {
        let less = restricted(input, column, slot)?;
        plan.with_new_exprs(plan.expressions(), vec![less]).ok()
    };
    match plan {
        LogicalPlan::SubqueryAlias(alias) => input(&alias.input, &bare(column)),
        LogicalPlan::Filter(filter) => input(&filter.input, column),
        LogicalPlan::Projection(projection) => {
            input(&projection.input, &passed_through(&projection.expr, column)?)
        }
        // Groups of other ids are dropped whole, and no other group loses a row.
        LogicalPlan::Aggregate(aggregate) => {
            let is_group =
                aggregate.group_expr.iter().any(|e| matches!(e, Expr::Column(c) if c == column));
            if is_group { input(&aggregate.input, column) } else { None }
        }
        LogicalPlan::TableScan(scan) => scanned(scan, column, slot),
        _ => None,
    }
}

fn scanned(scan: &TableScan, column: &Column, slot: &Slot) -> Option<LogicalPlan> {
    let provider = source_as_provider(&scan.source).ok()?;
    // A scan that stops early would stop elsewhere.
    if provider.downcast_ref::<StoreTable>().is_none()
        || scan.fetch.is_some()
        || column.name != PROFILE_ID
    {
        return None;
    }
    let filter = IsMember {
        slot: Slot::clone(slot),
        signature: Signature::exact(vec![DataType::Int32], Volatility::Immutable),
    };
    let column = Expr::Column(Column::new(Some(scan.table_name.clone()), PROFILE_ID));
    let filter = Expr::ScalarFunction(ScalarFunction::new_udf(
        Arc::new(ScalarUDF::from(filter)),
        vec![column],
    ));
    if scan.filters.contains(&filter) {
        return None;
    }
    let mut scan = scan.clone();
    scan.filters.push(filter);
    Some(LogicalPlan::TableScan(scan))
}

/// The column below a projection that `column` only passes on.
fn passed_through(expressions: &[Expr], column: &Column) -> Option<Column> {
    expressions.iter().find_map(|expression| match expression {
        Expr::Column(below) if below.name == column.name => Some(below.clone()),
        Expr::Alias(alias) if alias.name == column.name => match &*alias.expr {
            Expr::Column(below) => Some(below.clone()),
            _ => None,
        },
        _ => None,
    })
}

/// The column below an alias, which gave it another table's name.
fn bare(column: &Column) -> Column {
    Column::new_unqualified(column.name.clone())
}

/// The segments among the filters of a scan as one set, and the other filters.
pub(super) fn of_filters(filters: &[Expr]) -> (Option<Membership>, Vec<Expr>) {
    let mut members: Option<Membership> = None;
    let mut others = Vec::new();
    for filter in filters {
        let slot = match filter {
            Expr::ScalarFunction(call) => {
                call.func.inner().as_ref().downcast_ref::<IsMember>().map(|f| Slot::clone(&f.slot))
            }
            _ => None,
        };
        match slot {
            Some(slot) => {
                if let Some(set) = slot.get() {
                    members = Some(members.map_or_else(|| set.clone(), |all| all.and(set)));
                }
            }
            None => others.push(filter.clone()),
        }
    }
    (members, others)
}

/// `files` without those that no member lies in, each with the rows that members can lie in.
/// `in_order` says that rows ascend by `profile_id` and no id comes twice.
pub(super) async fn chosen(
    files: Vec<PartitionedFile>,
    reader: &dyn ParquetFileReaderFactory,
    members: &Membership,
    in_order: bool,
) -> Result<Vec<PartitionedFile>> {
    let metrics = ExecutionPlanMetricsSet::new();
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
    let choices = files.into_iter().map(|file| {
        let (metrics, options) = (&metrics, &options);
        async move {
            let metadata = reader
                .create_reader(0, file.clone(), None, metrics)?
                .get_metadata(Some(options))
                .await?;
            let plan = access(&metadata, members, in_order);
            let is_read = plan.inner().iter().any(RowGroupAccess::should_scan);
            Ok::<_, DataFusionError>(is_read.then(|| file.with_extension(plan)))
        }
    });
    let files: Vec<Option<PartitionedFile>> =
        futures::stream::iter(choices).buffered(FILES_AT_ONCE).try_collect().await?;
    Ok(files.into_iter().flatten().collect())
}

/// What of a file has to be read.
fn access(metadata: &ParquetMetaData, members: &Membership, in_order: bool) -> ParquetAccessPlan {
    let mut plan = ParquetAccessPlan::new_all(metadata.num_row_groups());
    let columns = metadata.file_metadata().schema_descr().columns();
    let Some(column) = columns.iter().position(|c| c.path().parts() == [PROFILE_ID]) else {
        return plan;
    };
    let Some((indexes, offsets)) = metadata.column_index().zip(metadata.offset_index()) else {
        return plan;
    };
    for group in 0..metadata.num_row_groups() {
        let index = indexes.get(group).and_then(|columns| columns.get(column));
        let pages = offsets.get(group).and_then(|columns| columns.get(column));
        let (Some(ColumnIndexMetaData::INT32(index)), Some(pages)) = (index, pages) else {
            continue;
        };
        let rows = metadata.row_group(group).num_rows();
        let starts = pages.page_locations().iter().map(|page| page.first_row_index);
        let ends = starts.clone().skip(1).chain([rows]);
        let mut selectors = Selectors::default();
        for (page, (start, end)) in starts.zip(ends).enumerate() {
            let rows = usize::try_from(end - start).unwrap_or(0);
            match index.min_value(page).zip(index.max_value(page)) {
                Some((min, max)) => selectors.page(members, (*min, *max), rows, in_order),
                None => selectors.push(rows, true),
            }
        }
        match selectors.selected {
            0 => plan.skip(group),
            selected if selected < selectors.rows => {
                plan.scan_selection(group, RowSelection::from(selectors.list));
            }
            _ => {}
        }
    }
    plan
}

/// Runs of rows that are read or skipped.
#[derive(Default)]
struct Selectors {
    list: Vec<RowSelector>,
    rows: usize,
    selected: usize,
}

impl Selectors {
    fn push(&mut self, rows: usize, selected: bool) {
        if rows == 0 {
            return;
        }
        self.rows += rows;
        self.selected += if selected { rows } else { 0 };
        match self.list.last_mut() {
            Some(last) if last.skip != selected => last.row_count += rows,
            _ if selected => self.list.push(RowSelector::select(rows)),
            _ => self.list.push(RowSelector::skip(rows)),
        }
    }

    /// A page of `rows` whose ids lie from `ends.0` to `ends.1`.
    fn page(&mut self, members: &Membership, ends: (i32, i32), rows: usize, in_order: bool) {
        let id = |id: i32| ProfileId::try_from(id).ok();
        let (Some(first), Some(last)) = (id(ends.0), id(ends.1)) else {
            return self.push(rows, true);
        };
        if first > last {
            return self.push(rows, true);
        }
        let span = usize::try_from(last.get() - first.get()).unwrap_or(usize::MAX);
        if !in_order || span != rows.saturating_sub(1) {
            return self.push(rows, members.range(first, last).next().is_some());
        }
        // Without gaps: the row of an id is its distance from the first.
        let mut done = 0;
        for member in members.range(first, last) {
            let row = usize::try_from(member.get() - first.get()).unwrap_or(0);
            self.push(row - done, false);
            self.push(1, true);
            done = row + 1;
        }
        self.push(rows - done, false);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_rows_of_a_page_without_gaps_are_those_of_its_members(
            ids in proptest::collection::btree_set(0..400_u32, 0..60),
            first in 0..300_i32,
            rows in 1..90_usize,
        ) {
            let members: Membership = ids.iter().filter_map(|id| ProfileId::new(*id)).collect();
            let last = first + i32::try_from(rows)? - 1;
            let mut exact = Selectors::default();
            exact.page(&members, (first, last), rows, true);
            let mut at = first;
            let mut found = Vec::new();
            for selector in &exact.list {
                let next = at + i32::try_from(selector.row_count)?;
                if !selector.skip {
                    found.extend((at..next).map(i32::cast_unsigned));
                }
                at = next;
            }
            prop_assert_eq!(at, last + 1);
            let wanted: Vec<u32> =
                ids.range(first.cast_unsigned()..=last.cast_unsigned()).copied().collect();
            prop_assert_eq!(&found, &wanted);

            // Where ids may come twice, a page is read whole or not at all.
            let mut whole = Selectors::default();
            whole.page(&members, (first, last), rows, false);
            let expected = if wanted.is_empty() { 0 } else { rows };
            prop_assert_eq!((whole.rows, whole.selected), (rows, expected));
        }
    }
}
