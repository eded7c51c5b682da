//! Queries that count profiles: `SELECT count(*) FROM profiles WHERE ..` is the size of a set, and a set
//! can be compiled.

use datafusion::common::Column;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Aggregate, Distinct, Expr, LogicalPlan, LogicalPlanBuilder};

use crate::model::TableName;
use crate::model::tables::PROFILE_ID;

use super::plan::{Ids, Plan};
use super::session::SEGMENTS;

impl Plan {
    /// The profiles that the query counts, where it does nothing but count profiles: `count(*)` over rows
    /// that are one a profile, or `count(DISTINCT profile_id)` over any rows.
    pub fn counted(&self) -> Option<Ids> {
        let (input, id) = counted(self.logical())?;
        let ids = LogicalPlanBuilder::from(input.clone()).project([Expr::Column(id)]);
        Some(Ids::of(self.with(ids.and_then(LogicalPlanBuilder::build).ok()?)))
    }
}

/// The rows that `plan` counts, and the column of them that is the profile.
fn counted(plan: &LogicalPlan) -> Option<(&LogicalPlan, Column)> {
    match plan {
        // The number as it is, whatever its name.
        LogicalPlan::Projection(p) if p.expr.len() == 1 => {
            let is_plain = matches!(unaliased(&p.expr[0]), Expr::Column(_));
            is_plain.then(|| counted(&p.input))?
        }
        LogicalPlan::SubqueryAlias(a) => counted(&a.input),
        LogicalPlan::Aggregate(a) if a.group_expr.is_empty() && a.aggr_expr.len() == 1 => {
            let id = counted_id(a)?;
            Some((&a.input, id))
        }
        _ => None,
    }
}

/// The profile that `count` of the only aggregate counts.
fn counted_id(node: &Aggregate) -> Option<Column> {
    let Expr::AggregateFunction(AggregateFunction { func, params }) = unaliased(&node.aggr_expr[0])
    else {
        return None;
    };
    let is_plain = params.filter.is_none() && params.order_by.is_empty();
    if func.name() != "count" || !is_plain {
        return None;
    }
    match &params.args[..] {
        [Expr::Column(column)] if column.name == PROFILE_ID && params.distinct => {
            is_profile(&node.input, column).then(|| column.clone())
        }
        [Expr::Literal(value, _)] if !value.is_null() && !params.distinct => id_of(&node.input),
        [Expr::Column(column)] if !params.distinct => id_of(&node.input).filter(|id| id == column),
        _ => None,
    }
}

/// Whether `column` of `plan` holds integers that are ids by name; what else it holds, the set refuses.
fn is_profile(plan: &LogicalPlan, column: &Column) -> bool {
    let field = plan.schema().qualified_field_from_column(column);
    field.is_ok_and(|(_, field)| field.data_type() == &arrow::datatypes::DataType::Int32)
}

/// The column of `plan` that is another profile in every row, and never null.
fn id_of(plan: &LogicalPlan) -> Option<Column> {
    let schema = plan.schema();
    let at = |place: usize| Column::from(schema.qualified_field(place));
    match plan {
        LogicalPlan::TableScan(scan) => {
            let (schema_name, table) = (scan.table_name.schema(), scan.table_name.table());
            let is_profiles = matches!(schema_name, None | Some("public"))
                && table == TableName::Profiles.as_str();
            let is_one_a_profile = is_profiles || schema_name == Some(SEGMENTS);
            let place = schema.iter().position(|(_, field)| field.name() == PROFILE_ID)?;
            (is_one_a_profile && scan.fetch.is_none()).then(|| at(place))
        }
        LogicalPlan::Filter(f) => id_of(&f.input),
        LogicalPlan::Sort(s) if s.fetch.is_none() => id_of(&s.input),
        LogicalPlan::SubqueryAlias(a) => {
            let inner = id_of(&a.input)?;
            a.input.schema().maybe_index_of_column(&inner).map(at)
        }
        LogicalPlan::Projection(p) => {
            let inner = id_of(&p.input)?;
            let is_id = |e: &Expr| matches!(unaliased(e), Expr::Column(c) if *c == inner);
            p.expr.iter().position(is_id).map(at)
        }
        // Each group is a profile, where the key is never null.
        LogicalPlan::Aggregate(a) => {
            let [Expr::Column(key)] = &a.group_expr[..] else { return None };
            is_never_null_id(&a.input, key).then(|| at(0))
        }
        LogicalPlan::Distinct(Distinct::All(input)) => {
            let [column] = &input.schema().columns()[..] else { return None };
            is_never_null_id(input, column).then(|| at(0))
        }
        _ => None,
    }
}

fn is_never_null_id(plan: &LogicalPlan, column: &Column) -> bool {
    let field = plan.schema().qualified_field_from_column(column);
    column.name == PROFILE_ID
        && is_profile(plan, column)
        && field.is_ok_and(|(_, field)| !field.is_nullable())
}

fn unaliased(expression: &Expr) -> &Expr {
    match expression {
        Expr::Alias(alias) => unaliased(&alias.expr),
        other => other,
    }
}
