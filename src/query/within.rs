//! A query over a part of all profiles, where that costs a part of the time and memory.

use std::ops::Range;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableScan, lit};

use crate::error::Result;
use crate::model::tables::PROFILE_ID;

use super::plan::Plan;
use super::session::SEGMENTS;

impl Plan {
    /// The rows of the query whose `profile_id` lies in `ids`; nothing where reading them means to read
    /// all profiles all the same (a share of a total, a rank), or where the query returns no `profile_id`.
    ///
    /// # Errors
    /// Where the query cannot be optimised.
    pub fn within(&self, ids: Range<u32>) -> Result<Option<Self>> {
        let schema = self.logical().schema();
        let mut found = schema.iter().filter(|(_, field)| field.name() == PROFILE_ID);
        let (Some(field), None) = (found.next(), found.next()) else { return Ok(None) };
        let id = || Expr::from(field);
        // As Int32, which the column is: a cast of it would keep files from being skipped.
        let (start, end) = (lit(ids.start.cast_signed()), lit(ids.end.cast_signed()));
        let inside = id().gt_eq(start).and(id().lt(end));
        let plan = LogicalPlanBuilder::from(self.logical().clone())
            .filter(inside)
            .and_then(LogicalPlanBuilder::build)
            .and_then(|plan| self.session().state().optimize(&plan))
            .map_err(|e| self.failed(&e))?;
        Ok(reads_a_part(&plan).then(|| self.with(plan)))
    }
}

/// Whether every scan of `plan` is of some profiles only. Sets of profiles are in memory anyhow.
fn reads_a_part(plan: &LogicalPlan) -> bool {
    let mut part = true;
    let visited = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            part &= scan.table_name.schema() == Some(SEGMENTS) || is_part(scan);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    visited.is_ok() && part
}

fn is_part(scan: &TableScan) -> bool {
    let names_id = |filter: &Expr| filter.column_refs().iter().any(|c| c.name == PROFILE_ID);
    scan.filters.iter().filter(|filter| names_id(filter)).count() > 0
}
