//! Queries that never look at two profiles at once, and that no other leaf describes: windows by
//! profile, groups by profile and category, aggregates that passes have no state for.
//!
//! `DataFusion` runs them, shard by shard, over rows that a pass has read and sorted by profile and
//! time; so it needs no sort and no shuffle, and sees the rows of one filter alone.

use crate::model::tables;
use crate::query::df::{
    Aggregate, Distinct, Expr, LogicalPlan, TableReference, Transformed, TransformedResult as _,
    TreeNode as _,
};

use crate::query::StandIn;

use super::super::program::{EVENT, Leaf, Local, SetExpr, is_of};
use super::condition::has_subquery;
use super::relation::{EventRows, Relation};
use super::{Compiler, Seen, is_profile_id, opaque};

/// The node that rows of events are put in place of.
struct Base {
    rows: EventRows,
    /// The events' columns that the node's columns are.
    columns: Vec<String>,
    node: LogicalPlan,
}

impl Compiler<'_> {
    /// The profiles of the rows that `plan` returns, its column `column` being their ids.
    pub(super) fn local(&mut self, plan: &LogicalPlan, column: usize) -> Seen<SetExpr> {
        let base = self.base(plan)?;
        if !keeps_profiles(plan, column) {
            return opaque("it looks at more than one profile at a time");
        }
        let id = Expr::Column(plan.schema().columns()[column].clone());
        let node = base.node.clone();
        let table = stand_in(&base)?;
        let replaced = plan
            .clone()
            .transform_down(|p| {
                Ok(if p == node { Transformed::yes(table.clone()) } else { Transformed::no(p) })
            })
            .data()
            .and_then(|plan| StandIn::project(plan, id));
        let plan = match replaced {
            Ok(plan) => Box::new(plan),
            Err(e) => return opaque(e.to_string()),
        };
        let rows = self.program.filter(base.rows.conditions);
        let local = Local { rows, columns: base.columns, plan };
        let leaf = SetExpr::Leaf(self.program.leaf(Leaf::Local(local)));
        Ok(SetExpr::all([leaf].into_iter().chain(base.rows.among)))
    }

    /// The lowest node of the chain below `plan` that is more than rows of events has this input.
    fn base(&mut self, plan: &LogicalPlan) -> Seen<Base> {
        let input = match plan {
            LogicalPlan::Projection(p) => &p.input,
            LogicalPlan::Filter(f) => &f.input,
            LogicalPlan::SubqueryAlias(a) => &a.input,
            LogicalPlan::Sort(s) if s.fetch.is_none() => &s.input,
            LogicalPlan::Distinct(Distinct::All(input)) => input,
            LogicalPlan::Window(w) => &w.input,
            LogicalPlan::Aggregate(a) => &a.input,
            _ => return opaque("it is no chain of queries over events"),
        };
        let rows = match self.relation(input) {
            Ok(Relation::Events(rows)) if rows.windows.is_empty() => rows,
            _ => return self.base(input),
        };
        let mut columns = Vec::new();
        for column in &rows.columns {
            match column {
                Some(Expr::Column(c)) if is_of(c, EVENT) => {
                    columns.push(c.name.clone());
                }
                _ => return opaque("it computes over columns that are not those of events"),
            }
        }
        Ok(Base { rows, columns, node: input.as_ref().clone() })
    }
}

/// A table with the columns of the base, under the names that the plan above knows them by.
fn stand_in(base: &Base) -> Seen<LogicalPlan> {
    let schema = base.node.schema();
    let mut qualifier: Option<&TableReference> = None;
    for (place, (own, _)) in schema.iter().enumerate() {
        if place > 0 && own != qualifier {
            return opaque("it reads columns of more than one table");
        }
        qualifier = own;
    }
    let Some(qualifier) = qualifier else { return opaque("its columns have no table") };
    match StandIn::empty(qualifier.clone(), schema.inner()) {
        Ok(plan) => Ok(plan),
        Err(e) => opaque(e.to_string()),
    }
}

/// Whether every node of the chain keeps the rows of different profiles apart, and column `column`
/// is the profile's id.
fn keeps_profiles(plan: &LogicalPlan, column: usize) -> bool {
    let schema = plan.schema();
    let field = schema.qualified_field(column);
    let follow = |input: &LogicalPlan, expression: &Expr| match expression {
        Expr::Column(c) => {
            input.schema().maybe_index_of_column(c).is_some_and(|at| keeps_profiles(input, at))
        }
        _ => false,
    };
    match plan {
        LogicalPlan::TableScan(_) => field.1.name() == tables::PROFILE_ID,
        LogicalPlan::Filter(f) => {
            !has_subquery(&f.predicate)
                && !f.predicate.is_volatile()
                && keeps_profiles(&f.input, column)
        }
        LogicalPlan::SubqueryAlias(a) => keeps_profiles(&a.input, column),
        LogicalPlan::Sort(s) => s.fetch.is_none() && keeps_profiles(&s.input, column),
        LogicalPlan::Distinct(Distinct::All(input)) => keeps_profiles(input, column),
        LogicalPlan::Projection(p) => {
            let volatile = p.expr.iter().any(|e| e.is_volatile() || has_subquery(e));
            let unaliased = |e: &Expr| e.clone().unalias();
            !volatile && p.expr.get(column).is_some_and(|e| follow(&p.input, &unaliased(e)))
        }
        LogicalPlan::Aggregate(a) => groups_by(a, column, &follow),
        LogicalPlan::Window(w) => {
            let by_profile = |e: &Expr| match e.clone().unalias() {
                Expr::WindowFunction(call) => call
                    .params
                    .partition_by
                    .iter()
                    .any(|key| is_profile_id(key) && follow(&w.input, key)),
                _ => false,
            };
            // The window's own columns come behind those of its input.
            column < w.input.schema().fields().len()
                && w.window_expr.iter().all(by_profile)
                && keeps_profiles(&w.input, column)
        }
        _ => false,
    }
}

fn groups_by(
    aggregate: &Aggregate,
    column: usize,
    follow: &dyn Fn(&LogicalPlan, &Expr) -> bool,
) -> bool {
    let volatile = aggregate.aggr_expr.iter().any(Expr::is_volatile);
    let key = aggregate.group_expr.get(column);
    !volatile && key.is_some_and(|e| follow(&aggregate.input, &e.clone().unalias()))
}
