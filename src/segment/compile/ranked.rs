//! ORDER BY with LIMIT over rows that are one a profile: the best, the last, the next hundred.

use std::sync::Arc;

use crate::query::df::{Expr, ExprSchemable as _, Limit, LogicalPlan, Projection, ScalarValue};

use super::super::program::{AGGREGATE, Leaf, PROFILE, RankKey, Ranked, SetExpr};
use super::relation::{ProfileRows, Relation, Scope};
use super::{Compiler, Seen, opaque};

impl Compiler<'_> {
    pub(super) fn ranked(&mut self, limit: &Limit) -> Seen<Relation> {
        let skip = rows(limit.skip.as_deref(), 0);
        let take = limit.fetch.as_deref().and_then(|fetch| rows(Some(fetch), 0));
        let (Some(skip), Some(take)) = (skip, take) else {
            return opaque("its LIMIT is not a number");
        };
        // Columns that are put together of sorted rows: the same rows are chosen before that.
        if let LogicalPlan::Projection(projection) = limit.input.as_ref() {
            let below = Limit { input: Arc::clone(&projection.input), ..limit.clone() };
            let below = Arc::new(LogicalPlan::Limit(below));
            let Ok(above) = Projection::try_new(projection.expr.clone(), below) else {
                return opaque("it sorts in a way that is not compiled");
            };
            return self.relation(&LogicalPlan::Projection(above));
        }
        let LogicalPlan::Sort(sort) = limit.input.as_ref() else {
            return opaque("LIMIT without ORDER BY takes any rows");
        };
        if sort.fetch.is_some() {
            return opaque("it sorts in a way that is not compiled");
        }
        let Relation::Profiles(rows) = self.relation(&sort.input)? else {
            return opaque("LIMIT chooses among events");
        };
        if !rows.is_unique {
            return opaque("LIMIT chooses among rows of which a profile may have several");
        }
        let scope = Scope { schema: sort.input.schema(), columns: &rows.columns };
        let among = SetExpr::all(rows.among.clone());
        if !self.program.is_local(&among) {
            return opaque("LIMIT of a LIMIT");
        }
        let mut keys = Vec::new();
        for key in &sort.expr {
            let Ok(data_type) = key.expr.get_type(sort.input.schema().as_ref()) else {
                return opaque("a key of its order has no type");
            };
            let value = scope.resolve(&key.expr)?;
            let is_known = |r: &str| r == PROFILE || r == AGGREGATE;
            let mut columns = value.column_refs().into_iter();
            if !columns.all(|c| c.relation.as_ref().is_some_and(|r| is_known(r.table()))) {
                return opaque("a key of its order is not one a profile");
            }
            let (ascending, nulls_first) = (key.asc, key.nulls_first);
            keys.push(RankKey { value, data_type, ascending, nulls_first });
        }
        let leaf = self.program.leaf(Leaf::Ranked(Ranked { among, keys, skip, take }));
        Ok(Relation::Profiles(ProfileRows {
            among: vec![SetExpr::Leaf(leaf)],
            groups: rows.groups,
            is_unique: true,
            columns: rows.columns,
        }))
    }
}

/// The number that `expression` is; `absent` where there is none.
fn rows(expression: Option<&Expr>, absent: usize) -> Option<usize> {
    match expression {
        None => Some(absent),
        Some(Expr::Literal(ScalarValue::Int64(Some(n)), _)) => usize::try_from(*n).ok(),
        Some(Expr::Literal(ScalarValue::UInt64(Some(n)), _)) => usize::try_from(*n).ok(),
        Some(_) => None,
    }
}
