//! Joins on `profile_id`.
//!
//! A join with rows that are one a profile keeps the other side's rows and restricts their profiles.
//! A join of events with events is a pair of events. Anything tied by other columns is not compiled.

use crate::query::df::{
    self, BinaryExpr, DFSchema, Expr, JoinType, LogicalPlan, Operator, split_conjunction,
};

use super::super::program::{Leaf, SetExpr, aggregate};
use super::relation::{Columns, EventRows, ProfileRows, Relation, Scope};
use super::sequence::{Beside, Pairs};
use super::{Compiler, Seen, is_profile_id, opaque};

/// The conditions of a join, those that tie the profiles of both sides taken out.
struct Ties {
    is_tied: bool,
    /// Over the columns of both sides.
    rest: Vec<Expr>,
}

impl Compiler<'_> {
    pub(super) fn joined(&mut self, join: &df::Join) -> Seen<Relation> {
        self.joined_where(join, &[])
    }

    /// `join`, of whose rows only those count that `conditions` are true of.
    pub(super) fn joined_where(&mut self, join: &df::Join, conditions: &[&Expr]) -> Seen<Relation> {
        match join.join_type {
            JoinType::Inner => self.inner(join, conditions),
            JoinType::Left => match self.relation(&join.left)? {
                Relation::Profiles(left) => {
                    let relation = self.left_outer(join, left)?;
                    self.filtered_all(relation, &join.schema, conditions)
                }
                Relation::Events(left) => self.without(join, left, conditions),
                Relation::Pairs(_) => opaque("a LEFT JOIN of pairs of events"),
            },
            JoinType::LeftSemi | JoinType::LeftAnti => {
                let mut relation = self.relation(&join.left)?;
                let (left, right) = semi_keys(join)?;
                let key = relation.columns().get(left).cloned().flatten();
                if !key.is_some_and(|k| is_profile_id(&k)) {
                    return opaque("a set operation on other columns than profile_id");
                }
                let set = self.set_of(&join.right, right)?;
                let is_anti = join.join_type == JoinType::LeftAnti;
                relation.restrict(if is_anti { set.negated() } else { set });
                self.filtered_all(relation, &join.schema, conditions)
            }
            other => opaque(format!("it has a {other} join")),
        }
    }

    /// INTERSECT and EXCEPT of queries that are only sets.
    pub(super) fn semi_set(&mut self, join: &df::Join, column: usize) -> Seen<SetExpr> {
        let (left, right) = semi_keys(join)?;
        if left != column {
            return opaque("a set operation on other columns than profile_id");
        }
        let (left, right) = (self.set_of(&join.left, left)?, self.set_of(&join.right, right)?);
        let is_anti = join.join_type == JoinType::LeftAnti;
        Ok(SetExpr::all([left, if is_anti { right.negated() } else { right }]))
    }

    fn filtered_all(
        &mut self,
        relation: Relation,
        schema: &DFSchema,
        conditions: &[&Expr],
    ) -> Seen<Relation> {
        match df::conjunction(conditions.iter().map(|c| (*c).clone())) {
            Some(all) => self.filtered(relation, schema, &all),
            None => Ok(relation),
        }
    }

    fn inner(&mut self, join: &df::Join, conditions: &[&Expr]) -> Seen<Relation> {
        let (left, right) = (self.relation(&join.left)?, self.relation(&join.right)?);
        let ties = ties(join, conditions, left.columns(), right.columns());
        if !ties.is_tied {
            return opaque("a join on other columns than profile_id");
        }
        let columns: Columns = left.columns().iter().chain(right.columns()).cloned().collect();
        let relation = match (left, right) {
            (Relation::Profiles(left), Relation::Profiles(right)) => {
                Relation::Profiles(ProfileRows {
                    among: left.among.into_iter().chain(right.among).collect(),
                    groups: left.groups.into_iter().chain(right.groups).collect(),
                    is_unique: left.is_unique && right.is_unique,
                    columns,
                })
            }
            (Relation::Events(rows), Relation::Profiles(profiles))
            | (Relation::Profiles(profiles), Relation::Events(rows)) => {
                if !profiles.is_unique {
                    return opaque("a join multiplies events");
                }
                if !rows.windows.is_empty() {
                    return opaque("a join of what a window returns");
                }
                let among = rows.among.iter().cloned().chain(profiles.among).collect();
                Relation::Events(EventRows { among, columns, ..rows })
            }
            (Relation::Events(left), Relation::Events(right))
                if left.windows.is_empty() && right.windows.is_empty() =>
            {
                Relation::Pairs(Pairs::new(left, right))
            }
            _ => return opaque("it joins three or more events"),
        };
        let rest: Vec<&Expr> = ties.rest.iter().collect();
        self.filtered_all(relation, &join.schema, &rest)
    }

    /// LEFT JOIN of profiles with their groups, or with events of which only their being there
    /// counts.
    fn left_outer(&mut self, join: &df::Join, left: ProfileRows) -> Seen<Relation> {
        let right = self.relation(&join.right)?;
        let ties = ties(join, &[], &left.columns, right.columns());
        if !ties.is_tied {
            return opaque("a join on other columns than profile_id");
        }
        let mut columns = left.columns.clone();
        let mut is_unique = left.is_unique;
        match right {
            Relation::Profiles(rows) => {
                let [group] = rows.groups[..] else {
                    return opaque("a LEFT JOIN with more than one group");
                };
                let whole = SetExpr::Leaf(self.program.leaf(Leaf::Events(group)));
                if rows.among != [whole] || !ties.rest.is_empty() {
                    return opaque("a LEFT JOIN with a part of a group");
                }
                for column in &rows.columns {
                    columns.push(match column {
                        Some(id) if is_profile_id(id) => Some(self.group_id(group)),
                        Some(aggregate) if is_aggregate(aggregate) => Some(aggregate.clone()),
                        _ => None,
                    });
                }
            }
            Relation::Events(rows) => {
                if !rows.among.is_empty() || !rows.windows.is_empty() {
                    return opaque("a LEFT JOIN with events of some profiles");
                }
                is_unique = false;
                let whole: Columns =
                    left.columns.iter().map(|_| None).chain(rows.columns.clone()).collect();
                let scope = Scope { schema: &join.schema, columns: &whole };
                let mut conditions = rows.conditions;
                for part in &ties.rest {
                    conditions.push(scope.resolve(part)?);
                }
                let group = self.program.filter(conditions);
                for column in &rows.columns {
                    let is_id = column.as_ref().is_some_and(is_profile_id);
                    columns.push(is_id.then(|| self.group_id(group)));
                }
            }
            Relation::Pairs(_) => return opaque("a LEFT JOIN with pairs of events"),
        }
        Ok(Relation::Profiles(ProfileRows {
            among: left.among,
            groups: left.groups,
            is_unique,
            columns,
        }))
    }

    /// LEFT JOIN of events with events of which only those count that found none: `WHERE b.ts IS NULL`.
    fn without(
        &mut self,
        join: &df::Join,
        left: EventRows,
        conditions: &[&Expr],
    ) -> Seen<Relation> {
        let Relation::Events(right) = self.relation(&join.right)? else {
            return opaque("a LEFT JOIN of events with something else");
        };
        let ties = ties(join, &[], &left.columns, &right.columns);
        if !ties.is_tied {
            return opaque("a join on other columns than profile_id");
        }
        if !left.windows.is_empty() {
            return opaque("a join of what a window returns");
        }
        let is_right = |e: &Expr| match e {
            Expr::Column(column) => {
                let field = join.right.schema().maybe_index_of_column(column);
                field.is_some_and(|at| !join.right.schema().field(at).is_nullable())
            }
            _ => false,
        };
        let (none, others): (Vec<&Expr>, Vec<&Expr>) = conditions
            .iter()
            .flat_map(|c| split_conjunction(c))
            .partition(|part| matches!(part, Expr::IsNull(inner) if is_right(inner)));
        if none.is_empty() {
            return opaque("a LEFT JOIN of events that keeps what it found");
        }
        let unknown = right.columns.len();
        let beside = Beside::of_join(join, &left, right, &ties.rest)?;
        let mut pairs = Pairs::beside(left, beside);
        pairs.columns.extend(std::iter::repeat_n(None, unknown));
        self.filtered_all(Relation::Pairs(pairs), &join.schema, &others)
    }
}

fn is_aggregate(expression: &Expr) -> bool {
    aggregate(expression).is_some()
}

/// The columns that a set operation compares, left and right.
fn semi_keys(join: &df::Join) -> Seen<(usize, usize)> {
    let ([(left, right)], None) = (&join.on[..], &join.filter) else {
        return opaque("a set operation on more columns than profile_id");
    };
    let place = |e: &Expr, plan: &LogicalPlan| match e {
        Expr::Column(column) => plan.schema().maybe_index_of_column(column),
        _ => None,
    };
    match (place(left, &join.left), place(right, &join.right)) {
        (Some(left), Some(right)) => Ok((left, right)),
        _ => opaque("a set operation on computed columns"),
    }
}

/// Takes the conditions of `join` apart.
fn ties(join: &df::Join, conditions: &[&Expr], left: &Columns, right: &Columns) -> Ties {
    let left = Scope { schema: join.left.schema(), columns: left };
    let right = Scope { schema: join.right.schema(), columns: right };
    let is_id = |e: &Expr, scope: Scope<'_>| scope.resolve(e).is_ok_and(|e| is_profile_id(&e));
    let mut found = Ties { is_tied: false, rest: Vec::new() };
    for (l, r) in &join.on {
        if is_id(l, left) && is_id(r, right) {
            found.is_tied = true;
        } else {
            found.rest.push(l.clone().eq(r.clone()));
        }
    }
    let own = join.filter.iter().flat_map(split_conjunction);
    for part in own.chain(conditions.iter().flat_map(|c| split_conjunction(c))) {
        let tied = match part {
            Expr::BinaryExpr(BinaryExpr { left: l, op: Operator::Eq, right: r }) => {
                (is_id(l, left) && is_id(r, right)) || (is_id(r, left) && is_id(l, right))
            }
            _ => false,
        };
        if tied {
            found.is_tied = true;
        } else {
            found.rest.push(part.clone());
        }
    }
    found
}
