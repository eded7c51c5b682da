//! A WHERE or HAVING as set algebra.
//!
//! SQL's logic has three values, a set two. Only "is true" counts at the top, and for AND and OR it
//! is decided by "is true" of their parts. So NOT is pushed inwards until it stands before a single
//! condition, which the passes evaluate with NULLs as SQL says, or before a set of ids that are
//! never null, whose complement it is.

use crate::query::df::{
    BinaryExpr, Exists, Expr, InSubquery, LogicalPlan, Operator, TreeNode as _, TreeNodeRecursion,
    conjunction, disjunction, split_conjunction,
};

use super::super::program::{
    AGGREGATE, FilterId, Leaf, PROFILE, Program, SetExpr, is_never, is_of, is_true,
};
use super::relation::{Relation, Scope};
use super::sequence::compared;
use super::{Compiler, Seen, is_profile_id, opaque};

/// The rows of a subquery.
pub(super) struct Correlated {
    pub(super) relation: Relation,
    /// Whether they are of the profile of the row outside.
    pub(super) is_tied: bool,
    /// What else is asked of both.
    pub(super) between: Vec<Expr>,
}

impl Compiler<'_> {
    /// The profiles that all of `parts` are true of.
    pub(super) fn condition_all(
        &mut self,
        parts: &[&Expr],
        scope: Scope<'_>,
        groups: &[FilterId],
    ) -> Seen<SetExpr> {
        let parts = parts.iter().map(|p| ((*p).clone(), false)).collect();
        self.combined(parts, Operator::And, scope, groups)
    }

    /// The set that `part`, a condition on rows of events, is about where it speaks of their profile
    /// alone; nothing where it speaks of the event.
    pub(super) fn of_profile(&mut self, part: &Expr, scope: Scope<'_>) -> Seen<Option<SetExpr>> {
        if !has_subquery(part) {
            let resolved = scope.resolve(part)?;
            let of_profile = |r: &str| r == PROFILE || r == AGGREGATE;
            let mut relations = resolved
                .column_refs()
                .into_iter()
                .map(|c| c.relation.as_ref().is_some_and(|r| of_profile(r.table())));
            let first = relations.next();
            if first != Some(true) {
                if relations.any(|of_profile| of_profile) {
                    return opaque("a condition compares events with profiles");
                }
                return Ok(None);
            }
            if relations.any(|of_profile| !of_profile) {
                return opaque("a condition compares events with profiles");
            }
        }
        self.condition(part, false, scope, &[]).map(Some)
    }

    /// The profiles that `part` (or NOT `part`) is true of.
    fn condition(
        &mut self,
        part: &Expr,
        negated: bool,
        scope: Scope<'_>,
        groups: &[FilterId],
    ) -> Seen<SetExpr> {
        match part {
            Expr::Not(inner) => self.condition(inner, !negated, scope, groups),
            Expr::Alias(alias) => self.condition(&alias.expr, negated, scope, groups),
            Expr::BinaryExpr(BinaryExpr { op: op @ (Operator::And | Operator::Or), .. })
                if negated || has_subquery(part) || splits(part, scope) =>
            {
                let mut parts = Vec::new();
                flatten(part, *op, negated, &mut parts);
                // De Morgan: what is denied of both is denied of each.
                let op = match (op, negated) {
                    (Operator::And, false) | (Operator::Or, true) => Operator::And,
                    _ => Operator::Or,
                };
                self.combined(parts, op, scope, groups)
            }
            Expr::InSubquery(within) => self.within(within, negated, scope),
            Expr::Exists(exists) => self.exists(exists, negated, scope),
            _ if has_subquery(part) => opaque("a subquery stands inside an expression"),
            _ => {
                let resolved = scope.resolve(part)?;
                self.atom(if negated { !resolved } else { resolved }, groups)
            }
        }
    }

    /// Parts joined by `op`; those on aggregates stay one condition, which is evaluated at once.
    fn combined(
        &mut self,
        parts: Vec<(Expr, bool)>,
        op: Operator,
        scope: Scope<'_>,
        groups: &[FilterId],
    ) -> Seen<SetExpr> {
        let mut sets = Vec::new();
        let mut on_aggregates = Vec::new();
        for (part, negated) in parts {
            let simple = !has_subquery(&part);
            if simple && let Ok(resolved) = scope.resolve(&part) {
                let resolved = if negated { !resolved } else { resolved };
                if !Program::aggregates_in(&resolved).is_empty() {
                    on_aggregates.push(resolved);
                    continue;
                }
            }
            sets.push(self.condition(&part, negated, scope, groups)?);
        }
        let joined = match op {
            Operator::And => conjunction(on_aggregates),
            _ => disjunction(on_aggregates),
        };
        if let Some(joined) = joined {
            sets.push(self.atom(joined, groups)?);
        }
        Ok(if op == Operator::And { SetExpr::all(sets) } else { SetExpr::any(sets) })
    }

    /// One condition on columns.
    fn atom(&mut self, condition: Expr, groups: &[FilterId]) -> Seen<SetExpr> {
        if is_never(&condition) {
            return Ok(SetExpr::Nothing);
        }
        if is_true(&condition) {
            return Ok(self.program.everyone());
        }
        if condition.is_volatile() {
            return opaque("it has a random function");
        }
        let aggregates = Program::aggregates_in(&condition);
        let known = |c: &crate::query::df::Column| is_of(c, PROFILE) || is_of(c, AGGREGATE);
        if !condition.column_refs().into_iter().all(known) {
            return opaque("a condition compares events with profiles");
        }
        let leaf = if aggregates.is_empty() {
            Leaf::Attribute(condition)
        } else {
            let group = |a: usize| self.program.aggregates[a].group;
            let among = aggregates.iter().map(|a| group(a.0)).find(|g| groups.contains(g));
            Leaf::Groups { condition, among }
        };
        Ok(SetExpr::Leaf(self.program.leaf(leaf)))
    }

    fn within(&mut self, within: &InSubquery, negated: bool, scope: Scope<'_>) -> Seen<SetExpr> {
        if !is_profile_id(&scope.resolve(&within.expr)?) {
            return opaque("IN (SELECT ...) of another column than profile_id");
        }
        if !within.subquery.outer_ref_columns.is_empty() {
            return opaque("a subquery of IN names columns outside of it");
        }
        let set = self.set_of(&within.subquery.subquery, 0)?;
        Ok(if negated == within.negated { set } else { set.negated() })
    }

    /// EXISTS over rows that belong to the same profile.
    fn exists(&mut self, exists: &Exists, negated: bool, scope: Scope<'_>) -> Seen<SetExpr> {
        let found = self.correlated(&exists.subquery.subquery, scope)?;
        if !found.is_tied {
            return opaque("EXISTS without a condition on profile_id");
        }
        if !found.between.is_empty() {
            return opaque("a subquery compares more than profile_id with its outside");
        }
        let set = self.members(found.relation)?;
        Ok(if negated == exists.negated { set } else { set.negated() })
    }

    /// The rows of a subquery, and how they are bound to the query around it. What the subquery selects of
    /// them does not matter.
    pub(super) fn correlated(&mut self, plan: &LogicalPlan, outer: Scope<'_>) -> Seen<Correlated> {
        match plan {
            LogicalPlan::Projection(projection) => self.correlated(&projection.input, outer),
            LogicalPlan::SubqueryAlias(alias) => self.correlated(&alias.input, outer),
            other => self.tied(other, outer),
        }
    }

    /// As [`Compiler::correlated`], with the columns that `plan` has.
    fn tied(&mut self, plan: &LogicalPlan, outer: Scope<'_>) -> Seen<Correlated> {
        match plan {
            LogicalPlan::SubqueryAlias(alias) => self.tied(&alias.input, outer),
            LogicalPlan::Filter(filter) => {
                let mut found = self.tied(&filter.input, outer)?;
                let columns = found.relation.columns().clone();
                let inner = Scope { schema: filter.input.schema(), columns: &columns };
                let mut own = Vec::new();
                for part in split_conjunction(&filter.predicate) {
                    if !has_outer(part) {
                        own.push(part.clone());
                    } else if ties(part, inner, outer) {
                        found.is_tied = true;
                    } else {
                        found.between.push(compared(part, inner, outer)?);
                    }
                }
                if let Some(own) = conjunction(own) {
                    let schema = filter.input.schema();
                    found.relation = self.filtered(found.relation, schema, &own)?;
                }
                Ok(found)
            }
            other => {
                let relation = self.relation(other)?;
                Ok(Correlated { relation, is_tied: false, between: Vec::new() })
            }
        }
    }
}

/// Whether `part` is `inner.profile_id = outer.profile_id`, either way round.
fn ties(part: &Expr, inner: Scope<'_>, outer: Scope<'_>) -> bool {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = part else { return false };
    let is_outer = |e: &Expr| {
        let Expr::OuterReferenceColumn(_, column) = e else { return false };
        outer.resolve(&Expr::Column(column.clone())).is_ok_and(|e| is_profile_id(&e))
    };
    let is_inner = |e: &Expr| inner.resolve(e).is_ok_and(|e| is_profile_id(&e));
    (is_outer(left) && is_inner(right)) || (is_inner(left) && is_outer(right))
}

/// Whether the AND or OR `part` is better taken apart: where no side of it is about aggregates.
fn splits(part: &Expr, scope: Scope<'_>) -> bool {
    scope.resolve(part).is_ok_and(|e| Program::aggregates_in(&e).is_empty())
}

fn flatten(part: &Expr, op: Operator, negated: bool, into: &mut Vec<(Expr, bool)>) {
    match part {
        Expr::BinaryExpr(binary) if binary.op == op => {
            flatten(&binary.left, op, negated, into);
            flatten(&binary.right, op, negated, into);
        }
        other => into.push((other.clone(), negated)),
    }
}

fn holds(expression: &Expr, test: impl Fn(&Expr) -> bool) -> bool {
    let mut found = false;
    // The closure never fails, so neither does the walk.
    let _walked = expression.apply(|e| {
        found |= test(e);
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found
}

pub(super) fn has_subquery(expression: &Expr) -> bool {
    holds(expression, |e| {
        matches!(
            e,
            Expr::InSubquery(_)
                | Expr::Exists(_)
                | Expr::ScalarSubquery(_)
                | Expr::SetComparison(_)
        )
    })
}

pub(super) fn has_outer(expression: &Expr) -> bool {
    holds(expression, |e| matches!(e, Expr::OuterReferenceColumn(..)))
}
