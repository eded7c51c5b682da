//! What the rows of a plan's node are, from the scans upwards.

use crate::model::tables;
use crate::query::SEGMENTS;
use crate::query::df::{
    Aggregate, Column, DFSchema, Distinct, Expr, JoinType, LogicalPlan, TableReference, TableScan,
    Transformed, TransformedResult as _, TreeNode as _, split_conjunction,
};

use super::super::program::{
    EVENT, FilterId, Leaf, PROFILE, SetExpr, WindowCall, is_never, reads_only,
};
use super::condition::{has_outer, has_subquery};
use super::sequence::Pairs;
use super::{Compiler, Seen, is_profile_id, opaque};

/// The columns of a node, each as an expression over columns of `events`, `profiles` and aggregates;
/// nothing where it cannot be said so.
pub(super) type Columns = Vec<Option<Expr>>;

/// The rows of a node.
#[derive(Debug, Clone)]
pub(super) enum Relation {
    /// Rows of `events`.
    Events(EventRows),
    /// At most one row a profile.
    Profiles(ProfileRows),
    /// Pairs of events of one profile.
    Pairs(Pairs),
}

/// Rows of `events` that pass conditions and belong to certain profiles.
#[derive(Debug, Clone)]
pub(super) struct EventRows {
    pub(super) conditions: Vec<Expr>,
    pub(super) among: Vec<SetExpr>,
    pub(super) columns: Columns,
    /// What the rows know of those around them.
    pub(super) windows: Vec<WindowCall>,
    /// Conditions behind the windows.
    pub(super) after: Vec<Expr>,
}

/// One row for each profile of a set.
#[derive(Debug, Clone)]
pub(super) struct ProfileRows {
    pub(super) among: Vec<SetExpr>,
    /// Groups that all of these profiles have.
    pub(super) groups: Vec<FilterId>,
    /// Whether each profile has one row; a LEFT JOIN with events may give it more.
    pub(super) is_unique: bool,
    pub(super) columns: Columns,
}

impl Relation {
    pub(super) fn columns(&self) -> &Columns {
        match self {
            Self::Events(rows) => &rows.columns,
            Self::Profiles(rows) => &rows.columns,
            Self::Pairs(pairs) => &pairs.columns,
        }
    }

    pub(super) fn columns_mut(&mut self) -> &mut Columns {
        match self {
            Self::Events(rows) => &mut rows.columns,
            Self::Profiles(rows) => &mut rows.columns,
            Self::Pairs(pairs) => &mut pairs.columns,
        }
    }

    /// Keeps the rows of profiles in `set`.
    pub(super) fn restrict(&mut self, set: SetExpr) {
        match self {
            Self::Events(rows) => rows.among.push(set),
            Self::Profiles(rows) => rows.among.push(set),
            Self::Pairs(pairs) => pairs.among.push(set),
        }
    }
}

/// A schema and what its columns are: what expressions of the node above are read in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) schema: &'a DFSchema,
    pub(super) columns: &'a Columns,
}

impl Scope<'_> {
    /// `expression` over columns of the tables.
    pub(super) fn resolve(&self, expression: &Expr) -> Seen<Expr> {
        if has_outer(expression) {
            return opaque("it names a column of the query around it");
        }
        let mut missing = None;
        let resolved = expression
            .clone()
            .transform_up(|e| {
                Ok(match &e {
                    Expr::Column(column) => {
                        if let Some(known) = self.column(column) {
                            Transformed::yes(known.clone())
                        } else {
                            missing = Some(column.flat_name());
                            Transformed::no(e)
                        }
                    }
                    Expr::Alias(alias) => Transformed::yes(alias.expr.as_ref().clone()),
                    _ => Transformed::no(e),
                })
            })
            .data();
        match (missing, resolved) {
            (None, Ok(resolved)) => Ok(resolved),
            (Some(name), _) => opaque(format!("column {name} is not one value a row here")),
            (None, Err(e)) => opaque(e.to_string()),
        }
    }

    fn column(&self, column: &Column) -> Option<&Expr> {
        let place = self.schema.maybe_index_of_column(column)?;
        self.columns.get(place)?.as_ref()
    }
}

impl Compiler<'_> {
    /// The set of profile ids in column `column` of `plan`.
    pub(super) fn set_of(&mut self, plan: &LogicalPlan, column: usize) -> Seen<SetExpr> {
        match plan {
            LogicalPlan::Distinct(Distinct::All(input)) => return self.set_of(input, column),
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => {
                return self.set_of(&sort.input, column);
            }
            LogicalPlan::SubqueryAlias(alias) => return self.set_of(&alias.input, column),
            LogicalPlan::Union(union) => {
                let parts = union.inputs.iter().map(|input| self.set_of(input, column));
                return Ok(SetExpr::any(parts.collect::<Seen<Vec<_>>>()?));
            }
            LogicalPlan::Join(join)
                if matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti) =>
            {
                return self.semi_set(join, column);
            }
            LogicalPlan::EmptyRelation(empty) if !empty.produce_one_row => {
                return Ok(SetExpr::Nothing);
            }
            LogicalPlan::Projection(projection) => {
                // A column that is passed on may come from a node that is only a set.
                if let Some(Expr::Column(inner)) = projection.expr.get(column).map(unaliased)
                    && let Some(place) = projection.input.schema().maybe_index_of_column(inner)
                    && let Ok(set) = self.set_of(&projection.input, place)
                {
                    return Ok(set);
                }
            }
            _ => {}
        }
        let relation = match self.relation(plan) {
            Ok(relation) => relation,
            Err(why) => return self.local(plan, column).map_err(|_| why),
        };
        match relation.columns().get(column) {
            Some(Some(id)) if is_profile_id(id) => self.members(relation),
            _ => opaque("profile_id is computed"),
        }
    }

    /// The profiles that rows of `relation` belong to.
    pub(super) fn members(&mut self, relation: Relation) -> Seen<SetExpr> {
        Ok(match relation {
            Relation::Profiles(rows) => self.narrowed(SetExpr::all(rows.among)),
            Relation::Events(rows) if !rows.windows.is_empty() => self.windowed(rows),
            Relation::Events(rows) => {
                let happened = self.happened(rows.conditions);
                SetExpr::all([happened].into_iter().chain(rows.among))
            }
            Relation::Pairs(pairs) => self.sequence(pairs)?,
        })
    }

    /// `set` without "every profile" where a condition on profiles says that anyway.
    fn narrowed(&mut self, set: SetExpr) -> SetExpr {
        let everyone = self.program.everyone();
        let SetExpr::And(parts) = set else { return set };
        let of_profiles = |part: &SetExpr| matches!(part, SetExpr::Leaf(l) if matches!(self.program.leaves[l.0], Leaf::Attribute(_)));
        if parts.iter().filter(|part| of_profiles(part)).count() < 2 {
            return SetExpr::And(parts);
        }
        SetExpr::all(parts.into_iter().filter(|part| *part != everyone))
    }

    /// The profiles with at least one event that passes `conditions`.
    pub(super) fn happened(&mut self, conditions: Vec<Expr>) -> SetExpr {
        if conditions.iter().any(is_never) {
            return SetExpr::Nothing;
        }
        let filter = self.program.filter(conditions);
        SetExpr::Leaf(self.program.leaf(Leaf::Events(filter)))
    }

    pub(super) fn relation(&mut self, plan: &LogicalPlan) -> Seen<Relation> {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan),
            LogicalPlan::SubqueryAlias(alias) => self.relation(&alias.input),
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => self.relation(&sort.input),
            LogicalPlan::Projection(projection) => {
                let mut relation = self.relation(&projection.input)?;
                let columns = relation.columns().clone();
                let scope = Scope { schema: projection.input.schema(), columns: &columns };
                *relation.columns_mut() =
                    projection.expr.iter().map(|e| scope.resolve(e).ok()).collect();
                Ok(relation)
            }
            LogicalPlan::Filter(filter) => {
                if let LogicalPlan::Join(join) = filter.input.as_ref() {
                    return self.joined_where(join, &[&filter.predicate]);
                }
                let relation = self.relation(&filter.input)?;
                self.filtered(relation, filter.input.schema(), &filter.predicate)
            }
            LogicalPlan::Aggregate(aggregate) => self.grouped(aggregate),
            LogicalPlan::Join(join) => self.joined(join),
            LogicalPlan::Distinct(Distinct::All(_)) | LogicalPlan::Union(_) => self.ids_alone(plan),
            LogicalPlan::Limit(limit) => self.ranked(limit),
            LogicalPlan::Window(window) => self.windows(window),
            LogicalPlan::Distinct(Distinct::On(_)) => opaque("it has DISTINCT ON"),
            other => opaque(format!("it has {}", node_name(other))),
        }
    }

    /// A node whose only column is the profile's id: a set, each profile once.
    fn ids_alone(&mut self, plan: &LogicalPlan) -> Seen<Relation> {
        if !matches!(plan, LogicalPlan::Distinct(_)) || plan.schema().fields().len() != 1 {
            return opaque(format!("{} returns more than distinct ids", node_name(plan)));
        }
        let set = self.set_of(plan, 0)?;
        Ok(Relation::Profiles(ProfileRows {
            among: vec![set],
            groups: Vec::new(),
            is_unique: true,
            columns: vec![Some(column(PROFILE, tables::PROFILE_ID))],
        }))
    }

    fn scan(&mut self, scan: &TableScan) -> Seen<Relation> {
        let table = scan.table_name.table();
        let fields = scan.projected_schema.fields();
        if scan.fetch.is_some() || !scan.filters.is_empty() {
            return opaque("its scan is not plain");
        }
        let columns = |relation| -> Columns {
            fields.iter().map(|f| Some(column(relation, f.name()))).collect()
        };
        let rows = |among, relation| {
            Relation::Profiles(ProfileRows {
                among: vec![among],
                groups: Vec::new(),
                is_unique: true,
                columns: columns(relation),
            })
        };
        match (scan.table_name.schema(), table) {
            (Some(SEGMENTS), name) => Ok(rows(SetExpr::Segment(name.to_owned()), PROFILE)),
            (None | Some("public"), "profiles") => Ok(rows(self.program.everyone(), PROFILE)),
            (None | Some("public"), "events") => Ok(Relation::Events(EventRows {
                conditions: Vec::new(),
                among: Vec::new(),
                columns: columns(EVENT),
                windows: Vec::new(),
                after: Vec::new(),
            })),
            _ => opaque(format!("it reads table {table}")),
        }
    }

    pub(super) fn filtered(
        &mut self,
        mut relation: Relation,
        schema: &DFSchema,
        predicate: &Expr,
    ) -> Seen<Relation> {
        let columns = relation.columns().clone();
        let scope = Scope { schema, columns: &columns };
        let parts = split_conjunction(predicate);
        match &mut relation {
            Relation::Profiles(rows) => {
                let set = self.condition_all(&parts, scope, &rows.groups)?;
                rows.among.push(set);
            }
            Relation::Events(rows) => {
                let mut beside = Vec::new();
                for part in parts {
                    if let Some(other) = self.beside(part, scope)? {
                        beside.push(other);
                        continue;
                    }
                    if let Some(set) = self.of_profile(part, scope)? {
                        rows.among.push(set);
                        continue;
                    }
                    let condition = scope.resolve(part)?;
                    if condition.is_volatile() {
                        return opaque("it has a random function");
                    }
                    let behind = !rows.windows.is_empty();
                    if behind { &mut rows.after } else { &mut rows.conditions }.push(condition);
                }
                if let Some(one) = beside.pop() {
                    if !beside.is_empty() || !rows.windows.is_empty() {
                        return opaque("it compares three or more events");
                    }
                    relation = Relation::Pairs(Pairs::beside(rows.clone(), one));
                }
            }
            Relation::Pairs(pairs) => {
                for part in parts {
                    if let Some(set) = self.of_profile(part, scope)? {
                        pairs.among.push(set);
                    } else {
                        pairs.add(scope.resolve(part)?);
                    }
                }
            }
        }
        Ok(relation)
    }

    fn grouped(&mut self, node: &Aggregate) -> Seen<Relation> {
        let relation = self.relation(&node.input)?;
        let columns = relation.columns().clone();
        let scope = Scope { schema: node.input.schema(), columns: &columns };
        let keys = keys(&node.group_expr, scope)?;
        if node.aggr_expr.is_empty() {
            let set = self.members(relation)?;
            return Ok(Relation::Profiles(ProfileRows {
                among: vec![set],
                groups: Vec::new(),
                is_unique: true,
                columns: keys,
            }));
        }
        match relation {
            Relation::Events(rows) if !rows.windows.is_empty() => {
                opaque("it aggregates what a window returns")
            }
            Relation::Events(rows) => {
                self.aggregated(node, &rows, (keys, scope)).map(Relation::Profiles)
            }
            Relation::Profiles(_) => opaque("it aggregates rows that are one a profile"),
            Relation::Pairs(_) => opaque("it aggregates pairs of events"),
        }
    }
}

/// The columns that `group_expr` makes: `profile_id`, and besides it only what a profile has one of.
fn keys(group_expr: &[Expr], scope: Scope<'_>) -> Seen<Columns> {
    let mut is_by_profile = false;
    let mut keys = Columns::new();
    for key in group_expr {
        let key = match key {
            Expr::GroupingSet(_) => return opaque("it groups in several ways at once"),
            key => scope.resolve(key)?,
        };
        if is_profile_id(&key) {
            is_by_profile = true;
            keys.push(Some(column(PROFILE, tables::PROFILE_ID)));
            continue;
        }
        if has_subquery(&key) {
            return opaque("a subquery stands inside an expression");
        }
        if key.is_volatile() || !reads_only(&key, PROFILE) {
            return opaque("it groups by something else than profile_id");
        }
        keys.push(Some(key));
    }
    if is_by_profile { Ok(keys) } else { opaque("it groups by something else than profile_id") }
}

/// Column `name` of `relation`.
pub(super) fn column(relation: &str, name: &str) -> Expr {
    Expr::Column(Column::new(Some(TableReference::bare(relation)), name))
}

fn unaliased(expression: &Expr) -> &Expr {
    match expression {
        Expr::Alias(alias) => unaliased(&alias.expr),
        other => other,
    }
}

fn node_name(plan: &LogicalPlan) -> String {
    plan.display().to_string().split(':').next().unwrap_or_default().to_owned()
}
