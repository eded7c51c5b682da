//! Logical plans for the segment compiler: analysed and simplified, not yet optimised.
//!
//! The compiler reads what the analyst wrote, so it wants subqueries as subqueries and HAVING as a
//! filter over an aggregate. `DataFusion` checks names, coerces types, pins the time and folds
//! constants; its joins for subqueries and its push-downs would only hide the shape.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, RecordBatch};
use arrow::datatypes::{
    DataType, Int32Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TransformedResult as _, TreeNode as _};
use datafusion::dataframe::DataFrame;
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{ExprSchemable as _, LogicalPlanBuilder, ident};
use datafusion::optimizer::OptimizerRule as _;
use datafusion::optimizer::simplify_expressions::SimplifyExpressions;
use datafusion::physical_plan::collect;
use datafusion::sql::unparser::Unparser;

use crate::error::{Error, Result};
use crate::model::{TableName, tables};

use super::narrow;
use super::plan::Plan;
use super::session::Session;

/// The function of the sets that GROUPING SETS, ROLLUP and CUBE make.
const GROUPING: &str = "grouping";

/// The rule that knows what that function is.
const RESOLVES_GROUPING: &str = "resolve_grouping_function";

/// The types of `DataFusion` that the compiler reads; no other room names the crate.
pub mod df {
    pub use datafusion::common::tree_node::{
        Transformed, TransformedResult, TreeNode, TreeNodeRecursion,
    };
    pub use datafusion::common::{Column, DFSchema, JoinType, ScalarValue, TableReference};
    pub use datafusion::error::Result;
    pub use datafusion::functions_aggregate::expr_fn::{avg, count, count_distinct, max, min, sum};
    pub use datafusion::logical_expr::expr::{
        AggregateFunction, Alias, Between, Case, Exists, InList, InSubquery, Like, ScalarFunction,
    };
    pub use datafusion::logical_expr::utils::{conjunction, disjunction, split_conjunction};
    pub use datafusion::logical_expr::{
        Aggregate, BinaryExpr, Distinct, Expr, ExprSchemable, Filter, Join, Limit, LogicalPlan,
        Operator, Projection, Subquery, SubqueryAlias, TableScan, Window, WindowFrameBound,
        WindowFrameUnits, WindowFunctionDefinition, lit,
    };
}

/// A table whose rows a pass puts in later.
#[derive(Debug)]
pub struct StandIn;

impl StandIn {
    /// A scan of a table called `name` that has no rows yet.
    ///
    /// # Errors
    /// Where two columns have one name.
    pub fn empty(name: df::TableReference, schema: &SchemaRef) -> df::Result<df::LogicalPlan> {
        Self::scan(name, schema, Vec::new())
    }

    /// `plan` with `id` as its only column.
    ///
    /// # Errors
    /// Where the plan has no such column.
    pub fn project(plan: df::LogicalPlan, id: df::Expr) -> df::Result<df::LogicalPlan> {
        LogicalPlanBuilder::from(plan).project([id])?.build()
    }

    fn scan(
        name: df::TableReference,
        schema: &SchemaRef,
        rows: Vec<RecordBatch>,
    ) -> df::Result<df::LogicalPlan> {
        let names = [tables::PROFILE_ID, tables::TS];
        let order = names.iter().filter(|n| schema.index_of(n).is_ok());
        let order = order.map(|n| ident(*n).sort(true, false)).collect::<Vec<_>>();
        let table = MemTable::try_new(SchemaRef::clone(schema), vec![rows])?;
        let table = table.with_sort_order(vec![order]);
        LogicalPlanBuilder::scan(name, provider_as_source(Arc::new(table)), None)?.build()
    }
}

impl Session {
    /// The ids that `plan` returns when its table holds `rows`, which are sorted by `profile_id`
    /// and `ts`. One thread: other shards keep the others busy.
    ///
    /// # Errors
    /// Where the query fails.
    pub async fn local_ids(&self, plan: &df::LogicalPlan, rows: RecordBatch) -> Result<Vec<i32>> {
        let failed = |e: DataFusionError| Error::data(e.strip_backtrace());
        let filled = plan
            .clone()
            .transform_down(|node| match &node {
                df::LogicalPlan::TableScan(scan) => {
                    let schema = scan.source.schema();
                    let rows = rows.clone().with_schema(Arc::clone(&schema))?;
                    StandIn::scan(scan.table_name.clone(), &schema, vec![rows])
                        .map(df::Transformed::yes)
                }
                _ => Ok(df::Transformed::no(node)),
            })
            .data()
            .map_err(failed)?;
        let mut state = self.state().clone();
        state.config_mut().options_mut().execution.target_partitions = 1;
        let exec = state.create_physical_plan(&filled).await.map_err(failed)?;
        let batches = collect(exec, state.task_ctx()).await.map_err(failed)?;
        let mut ids = Vec::new();
        for batch in &batches {
            let column = batch.column(0).as_primitive_opt::<Int32Type>();
            let column = column.ok_or_else(|| Error::internal("ids of another type"))?;
            ids.extend(column.iter().flatten());
        }
        Ok(ids)
    }
}

/// An expression that evaluates over batches.
#[derive(Debug, Clone)]
pub struct Formula {
    schema: SchemaRef,
    physical: Arc<dyn datafusion::physical_expr::PhysicalExpr>,
}

impl Formula {
    /// The value of each of `rows` rows, whose columns are those of the formula's schema in its
    /// order.
    ///
    /// # Errors
    /// Where a value cannot be computed: a division by zero, an overflow, a cast.
    pub fn evaluate(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<ArrayRef> {
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
        let failed = |e: &dyn std::fmt::Display| Error::data(format!("{e}"));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|e| failed(&e))?;
        self.physical
            .evaluate(&batch)
            .and_then(|value| value.into_array(rows))
            .map_err(|e| failed(&e))
    }
}

impl Session {
    /// `expression` over columns of `schema`, which it names without a table; `now()` is pinned.
    ///
    /// # Errors
    /// Where it names a column that is not there, or has no physical form.
    pub fn formula(&self, expression: &df::Expr, schema: &Schema) -> Result<Formula> {
        let failed = |e| Error::internal(format!("{expression} has no physical form: {e}"));
        let df_schema = DFSchema::try_from(schema.clone()).map_err(failed)?;
        let expression = with_durations(expression.clone(), &df_schema).map_err(failed)?;
        let physical =
            self.state().create_physical_expr(expression.clone(), &df_schema).map_err(failed)?;
        Ok(Formula { schema: Arc::new(schema.clone()), physical })
    }
}

/// `expression` with intervals of days and less as durations, where they are added to or taken from a
/// moment without a time zone or in UTC: a day has 24 hours there. Arrow adds a duration as a number,
/// and an interval by the calendar.
fn with_durations(expression: df::Expr, schema: &DFSchema) -> df::Result<df::Expr> {
    let is_plain = |of: &df::Expr| match of.get_type(schema) {
        Ok(DataType::Timestamp(TimeUnit::Microsecond, zone)) => {
            zone.is_none_or(|zone| ["UTC", "+00:00"].contains(&zone.as_ref()))
        }
        _ => false,
    };
    let replaced = expression.transform_up(|e| match e {
        df::Expr::BinaryExpr(df::BinaryExpr { left, op, right })
            if matches!(op, df::Operator::Plus | df::Operator::Minus) && is_plain(&left) =>
        {
            let duration = duration(&right);
            let is_changed = duration.is_some();
            let right = duration.map_or(right, Box::new);
            let whole = df::Expr::BinaryExpr(df::BinaryExpr { left, op, right });
            Ok(if is_changed { df::Transformed::yes(whole) } else { df::Transformed::no(whole) })
        }
        other => Ok(df::Transformed::no(other)),
    });
    replaced.data()
}

/// A constant interval without months as microseconds.
fn duration(interval: &df::Expr) -> Option<df::Expr> {
    const DAY: i64 = 86_400_000_000;
    let df::Expr::Literal(df::ScalarValue::IntervalMonthDayNano(Some(interval)), _) = interval
    else {
        return None;
    };
    if interval.months != 0 || interval.nanoseconds % 1_000 != 0 {
        return None;
    }
    let days = i64::from(interval.days).checked_mul(DAY)?;
    let us = days.checked_add(interval.nanoseconds / 1_000)?;
    Some(df::Expr::Literal(df::ScalarValue::DurationMicrosecond(Some(us)), None))
}

impl Plan {
    /// The plan with names resolved, types coerced, the time pinned and constants folded.
    ///
    /// # Errors
    /// Where types do not fit.
    pub fn simplified(&self) -> Result<df::LogicalPlan> {
        let state = self.session().state();
        // One rule, once: it repeats itself as long as it finds something. An optimizer would go over the
        // whole plan again to see that nothing is left.
        let rule = SimplifyExpressions::new();
        let mut analyzer = state.analyzer().clone();
        if !self.mentions(GROUPING) {
            // It walks through all expressions, to look for calls of that function.
            analyzer.rules.retain(|rule| rule.name() != RESOLVES_GROUPING);
        }
        analyzer
            .execute_and_check(self.logical().clone(), state.config_options(), |_, _| {})
            .and_then(|plan| plan.transform_up_with_subqueries(|node| rule.rewrite(node, state)))
            .data()
            .map_err(|e| self.failed(&e))
    }
}

/// `expression` as a person would write it; columns without their table.
pub fn to_sql(expression: &df::Expr) -> String {
    let bare = expression.clone().transform_up(|e| {
        Ok(match e {
            df::Expr::Column(c) => {
                df::Transformed::yes(df::Expr::Column(df::Column::new_unqualified(c.name)))
            }
            df::Expr::ScalarFunction(_) => match narrow::as_written(&e) {
                Some(cast) => df::Transformed::yes(cast),
                None => df::Transformed::no(e),
            },
            // What a person writes as text or a time needs no cast around it.
            df::Expr::Literal(value, _) => df::Transformed::yes(plain(value)),
            other => df::Transformed::no(other),
        })
    });
    let bare = bare.data().unwrap_or_else(|_| expression.clone());
    match Unparser::default().with_pretty(true).expr_to_sql(&bare) {
        Ok(sql) => sql.to_string().replace(['"', '`'], ""),
        Err(_) => bare.to_string(),
    }
}

fn plain(value: df::ScalarValue) -> df::Expr {
    use df::ScalarValue::{Date32, TimestampMicrosecond, TimestampNanosecond, Utf8, Utf8View};
    let text = |text: String| df::Expr::Literal(Utf8(Some(text)), None);
    match value {
        Utf8View(value) => df::Expr::Literal(Utf8(value), None),
        TimestampMicrosecond(Some(_), _) | TimestampNanosecond(Some(_), _) | Date32(Some(_)) => {
            let shown = arrow::compute::cast(
                &value
                    .to_array()
                    .unwrap_or_else(|_| arrow::array::new_null_array(&DataType::Null, 1)),
                &DataType::Utf8,
            );
            match shown {
                Ok(shown) => text(shown.as_string::<i32>().value(0).to_owned()),
                Err(_) => df::Expr::Literal(value, None),
            }
        }
        other => df::Expr::Literal(other, None),
    }
}

impl Session {
    /// The one row that `values` make over the rows of `table` that `conditions` are true of, as
    /// text: values of aggregates, or of the columns of one row. Nothing where there is no row.
    ///
    /// # Errors
    /// Where the query fails.
    pub async fn one_row(
        &self,
        table: &str,
        conditions: Vec<df::Expr>,
        values: Vec<df::Expr>,
    ) -> Result<Option<Vec<String>>> {
        let failed = |e: DataFusionError| Error::data(e.strip_backtrace());
        let is_aggregate = values.iter().any(|e| matches!(e, df::Expr::AggregateFunction(_)));
        let rows = self.context().table(table).await.map_err(failed)?;
        let rows = conditions.into_iter().try_fold(rows, DataFrame::filter).map_err(failed)?;
        let rows = if is_aggregate { rows.aggregate(vec![], values) } else { rows.select(values) };
        let batches = rows.map_err(failed)?.collect().await.map_err(failed)?;
        let Some(batch) = batches.iter().find(|b| b.num_rows() > 0) else { return Ok(None) };
        let options = FormatOptions::default().with_null("null");
        let texts = batch.columns().iter().map(|column| {
            let text = ArrayFormatter::try_new(column.as_ref(), &options);
            text.map(|t| t.value(0).to_string()).unwrap_or_default()
        });
        Ok(Some(texts.collect()))
    }

    /// The moments, in microseconds and in their order, of the rows of `events` that `conditions` are true
    /// of.
    ///
    /// # Errors
    /// Where the query fails.
    pub async fn moments(&self, conditions: Vec<df::Expr>) -> Result<Vec<i64>> {
        let failed = |e: DataFusionError| Error::data(e.strip_backtrace());
        let rows = self.context().table(TableName::Events.as_str()).await.map_err(failed)?;
        let rows = conditions.into_iter().try_fold(rows, DataFrame::filter).map_err(failed)?;
        let rows = rows.select(vec![ident(tables::TS)]).map_err(failed)?;
        let mut moments = Vec::new();
        for batch in rows.collect().await.map_err(failed)? {
            let ts = batch.column(0).as_primitive_opt::<TimestampMicrosecondType>();
            let ts = ts.ok_or_else(|| Error::internal("ts of another type"))?;
            moments.extend(ts.iter().flatten());
        }
        moments.sort_unstable();
        Ok(moments)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use arrow::array::TimestampMicrosecondArray;
    use arrow::datatypes::{Field, IntervalMonthDayNano};
    use proptest::prelude::*;

    use super::*;
    use crate::model::AsOf;
    use crate::query::Limits;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_duration_adds_what_an_interval_does(
            moments in prop::collection::vec(proptest::option::of(-1_i64 << 52..1 << 52), 1..20),
            (days, seconds, zone) in (-4_000..4_000, -900_000_i64..900_000, 0..3_usize),
            is_plus in any::<bool>(),
        ) {
            let zone = [None, Some("UTC"), Some("Europe/Berlin")][zone];
            let array = TimestampMicrosecondArray::from(moments).with_timezone_opt(zone);
            let array: ArrayRef = Arc::new(array);
            let field = Field::new("at", array.data_type().clone(), true);
            let schema = Schema::new(vec![field]);
            let limits = Limits::with_threads(NonZeroUsize::MIN);
            let session = Session::new(limits, AsOf::parse("2026-11-01").expect("a time"));
            let session = session.expect("a session");
            let interval = IntervalMonthDayNano::new(0, days, seconds * 1_000_000_000);
            let interval = df::ScalarValue::IntervalMonthDayNano(Some(interval));
            let interval = df::Expr::Literal(interval, None);
            let at = ident("at");
            let sum = if is_plus { at + interval } else { at - interval };
            let formula = session.formula(&sum, &schema).expect("a formula");
            let df_schema = DFSchema::try_from(schema).expect("a schema");
            let plain = session.state().create_physical_expr(sum, &df_schema).expect("a plan");
            let rows = array.len();
            let plain = Formula { schema: Arc::clone(&formula.schema), physical: plain };
            // A moment that clocks skip in spring is none: then both fail.
            let quick = formula.evaluate(vec![Arc::clone(&array)], rows).ok();
            let plain = plain.evaluate(vec![array], rows).ok();
            prop_assert_eq!(&quick, &plain);
        }
    }
}
