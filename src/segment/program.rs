//! A program: what a build has to find out, each thing once.
//!
//! The compiler turns every segment into a [`SetExpr`] over [`Leaf`]s. Leaves, the filters of event
//! rows and the aggregates over them are kept here by value, so that two segments which ask for the
//! same thing share it. The passes evaluate a program; they know nothing of segments.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::hash::Hash;

use arrow::datatypes::DataType;

use crate::query::df::{
    Column, Expr, LogicalPlan, ScalarValue, Transformed, TransformedResult as _, TreeNode as _,
};

/// The relation of columns of `profiles` in expressions of a program.
pub const PROFILE: &str = "profiles";
/// The relation of columns of `events`.
pub const EVENT: &str = "events";
/// The relation of windows: the name is the place in [`Windowed::windows`].
pub const WINDOW: &str = "window";
/// The relation of aggregates: the name is the place in [`Program::aggregates`].
pub const AGGREGATE: &str = "aggregate";

/// A set of profiles, as set algebra over leaves.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SetExpr {
    /// No profile.
    Nothing,
    /// Those that a leaf is true of.
    Leaf(LeafId),
    /// The members of another segment.
    Segment(String),
    /// Those in all of them.
    And(Vec<SetExpr>),
    /// Those in any of them.
    Or(Vec<SetExpr>),
    /// Those not in it. Only ever inside an [`SetExpr::And`] that says of whom.
    Not(Box<SetExpr>),
}

/// A leaf's place in [`Program::leaves`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeafId(pub usize);

/// A filter's place in [`Program::filters`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilterId(pub usize);

/// An aggregate's place in [`Program::aggregates`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AggregateId(pub usize);

/// Something that is true or not of each profile.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Leaf {
    /// A condition on the row in `profiles`.
    Attribute(Expr),
    /// At least one event passes the filter.
    Events(FilterId),
    /// A condition on aggregates, and perhaps attributes.
    Groups {
        /// The condition.
        condition: Expr,
        /// Profiles without such an event need not be asked: elsewhere they are left out.
        among: Option<FilterId>,
    },
    /// An event that passes `first`, and one that passes `then` with a time between
    /// `from_us` and `to_us` microseconds after it, both included; or, of the first, one
    /// that has no such other.
    Sequence {
        /// The earlier event, where `from_us` is not negative.
        first: FilterId,
        /// The other event.
        then: FilterId,
        /// The least distance.
        from_us: i64,
        /// The greatest distance.
        to_us: i64,
        /// Whether it is the first without the other.
        without: bool,
    },
    /// The first profiles of a set in some order: the only leaf that is not decided profile by
    /// profile.
    Ranked(Ranked),
    /// A row of events for which conditions are true that speak of the rows around it.
    Windowed(Windowed),
    /// The profiles of the rows that a query over events returns, a query that never looks at two
    /// profiles at once: windows by profile, groups by profile and more.
    Local(Local),
}

/// ORDER BY and LIMIT over profiles. Ties are broken by ascending `profile_id`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ranked {
    /// Who is ranked.
    pub among: SetExpr,
    /// The keys, over aggregates and attributes.
    pub keys: Vec<RankKey>,
    /// How many are passed over.
    pub skip: usize,
    /// How many are taken.
    pub take: usize,
}

/// One key of an order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RankKey {
    /// The value.
    pub value: Expr,
    /// Its type.
    pub data_type: DataType,
    /// Whether small values come first.
    pub ascending: bool,
    /// Whether nulls come first.
    pub nulls_first: bool,
}

/// Rows of a filter, what is known from the other rows of their profile, and conditions on both.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Windowed {
    /// The rows.
    pub rows: FilterId,
    /// What is known from other rows, in the order of their places in [`WINDOW`].
    pub windows: Vec<WindowCall>,
    /// All of them are true of a row.
    pub conditions: Vec<Expr>,
}

/// The least or greatest value of a profile's rows from one on, or until it; the rows in the order
/// of their time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WindowCall {
    /// Whether it is the least.
    pub is_least: bool,
    /// Of which rows.
    pub span: Span,
    /// The value of each row; null does not count.
    pub value: Expr,
    /// Its type: a whole number, a day or a moment.
    pub data_type: DataType,
}

/// Which rows of a profile a window looks at, the current one included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Span {
    /// It and those behind it.
    FromHere,
    /// It and those before it.
    UntilHere,
}

/// A query over the rows of one filter, run shard by shard.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Local {
    /// The rows.
    pub rows: FilterId,
    /// Their columns that the query reads.
    pub columns: Vec<String>,
    /// The query; its first column is `profile_id`. It reads a table in place of which the rows of
    /// a shard are put.
    pub plan: Box<LogicalPlan>,
}

/// Which rows of `events` count: all of the conditions are true. They are in one order, without
/// duplicates.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventFilter(pub Vec<Expr>);

/// A number (or moment) per profile, from its events.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Aggregate {
    /// The rows of the group: without any, the profile has no group and every aggregate is null.
    pub group: FilterId,
    /// The rows that are aggregated, a part of the group's.
    pub rows: FilterId,
    /// What is made of them.
    pub function: Function,
    /// The value of each row; nothing for the rows themselves. Rows where it is null do not count.
    pub argument: Option<Expr>,
    /// The type of the result.
    pub data_type: DataType,
}

/// What an aggregate makes of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Function {
    /// How many.
    Count,
    /// How many different values.
    CountDistinct,
    /// Their sum.
    Sum,
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// The mean of floats.
    Mean,
    /// The profile's own id: null where there is no group.
    Id,
}

/// Everything that a build evaluates, each thing once.
#[derive(Debug, Clone, Default)]
pub struct Program {
    /// The leaves.
    pub leaves: Vec<Leaf>,
    /// The filters of event rows.
    pub filters: Vec<EventFilter>,
    /// The aggregates.
    pub aggregates: Vec<Aggregate>,
    leaf_ids: HashMap<Leaf, usize>,
    filter_ids: HashMap<EventFilter, usize>,
    aggregate_ids: HashMap<Aggregate, usize>,
}

impl Program {
    /// The leaf, which is put in where it is new.
    pub fn leaf(&mut self, leaf: Leaf) -> LeafId {
        LeafId(intern(&mut self.leaves, &mut self.leaf_ids, leaf))
    }

    /// The filter with these conditions.
    pub fn filter(&mut self, mut conditions: Vec<Expr>) -> FilterId {
        conditions.sort_by_cached_key(ToString::to_string);
        conditions.dedup();
        conditions.retain(|c| !is_true(c));
        FilterId(intern(&mut self.filters, &mut self.filter_ids, EventFilter(conditions)))
    }

    /// The aggregate.
    pub fn aggregate(&mut self, aggregate: Aggregate) -> AggregateId {
        AggregateId(intern(&mut self.aggregates, &mut self.aggregate_ids, aggregate))
    }

    /// Whether a set can be worked out shard by shard: no leaf of it ranks all profiles.
    pub fn is_local(&self, set: &SetExpr) -> bool {
        set.leaves().iter().all(|leaf| !matches!(self.leaves[leaf.0], Leaf::Ranked(_)))
    }

    /// `leaves` and those that they are made of.
    pub fn with_parts(&self, leaves: impl IntoIterator<Item = LeafId>) -> BTreeSet<LeafId> {
        let mut all = BTreeSet::new();
        for leaf in leaves {
            if let Leaf::Ranked(ranked) = &self.leaves[leaf.0] {
                all.extend(ranked.among.leaves());
            }
            all.insert(leaf);
        }
        all
    }

    /// Everybody with a row in `profiles`.
    pub fn everyone(&mut self) -> SetExpr {
        SetExpr::Leaf(self.leaf(Leaf::Attribute(Expr::Literal(ScalarValue::from(true), None))))
    }

    /// Everybody with a row in `events`.
    pub fn any_event(&mut self) -> LeafId {
        let all = self.filter(Vec::new());
        self.leaf(Leaf::Events(all))
    }

    /// `condition` with other aggregates: `place` gives the new place of each, or nothing where it
    /// stays.
    pub fn renumbered(
        condition: &Expr,
        place: impl Fn(AggregateId) -> Option<usize>,
    ) -> Option<Expr> {
        let renamed = condition.clone().transform_up(|e| {
            let place = aggregate(&e).and_then(&place);
            Ok(match place {
                Some(place) => {
                    Transformed::yes(Expr::Column(Column::new(Some(AGGREGATE), place.to_string())))
                }
                None => Transformed::no(e),
            })
        });
        renamed.data().ok()
    }

    /// The aggregates that `condition` names.
    pub fn aggregates_in(condition: &Expr) -> Vec<AggregateId> {
        let mut found: Vec<AggregateId> =
            condition.column_refs().into_iter().filter_map(aggregate_of).collect();
        found.sort_unstable();
        found
    }
}

/// The aggregate that `expression` is.
pub(super) fn aggregate(expression: &Expr) -> Option<AggregateId> {
    match expression {
        Expr::Column(column) => aggregate_of(column),
        _ => None,
    }
}

fn aggregate_of(column: &Column) -> Option<AggregateId> {
    column.name.parse().ok().filter(|_| is_of(column, AGGREGATE)).map(AggregateId)
}

/// Whether `column` is one of `relation`.
pub(super) fn is_of(column: &Column, relation: &str) -> bool {
    column.relation.as_ref().is_some_and(|own| own.table() == relation)
}

/// Whether `expression` names a column of `relation`.
pub(super) fn reads(expression: &Expr, relation: &str) -> bool {
    expression.column_refs().into_iter().any(|column| is_of(column, relation))
}

/// Whether `expression` names no column of anything but `relation`.
pub(super) fn reads_only(expression: &Expr, relation: &str) -> bool {
    expression.column_refs().into_iter().all(|column| is_of(column, relation))
}

fn intern<T: Clone + Eq + Hash>(all: &mut Vec<T>, ids: &mut HashMap<T, usize>, one: T) -> usize {
    *ids.entry(one).or_insert_with_key(|one| {
        all.push(one.clone());
        all.len() - 1
    })
}

/// Whether `expression` is the constant true.
pub fn is_true(expression: &Expr) -> bool {
    matches!(expression, Expr::Literal(ScalarValue::Boolean(Some(true)), _))
}

/// Whether `expression` is a constant that lets no row through: false or null.
pub fn is_never(expression: &Expr) -> bool {
    match expression {
        Expr::Literal(ScalarValue::Boolean(value), _) => *value != Some(true),
        Expr::Literal(value, _) => value.is_null(),
        _ => false,
    }
}

impl SetExpr {
    /// Those in all of `parts`; nested ones are taken apart.
    pub fn all(parts: impl IntoIterator<Item = SetExpr>) -> SetExpr {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Self::And(inner) => flat.extend(inner),
                Self::Nothing => return Self::Nothing,
                other => flat.push(other),
            }
        }
        dedup(&mut flat);
        if flat.len() == 1 { flat.remove(0) } else { Self::And(flat) }
    }

    /// Those in any of `parts`.
    pub fn any(parts: impl IntoIterator<Item = SetExpr>) -> SetExpr {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Self::Or(inner) => flat.extend(inner),
                Self::Nothing => {}
                other => flat.push(other),
            }
        }
        dedup(&mut flat);
        match flat.len() {
            0 => Self::Nothing,
            1 => flat.remove(0),
            _ => Self::Or(flat),
        }
    }

    /// Those not in it.
    #[must_use]
    pub fn negated(self) -> SetExpr {
        match self {
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    /// The leaves in it, each once, ascending.
    pub fn leaves(&self) -> Vec<LeafId> {
        let mut found = Vec::new();
        self.visit(&mut |part| {
            if let Self::Leaf(leaf) = part {
                found.push(*leaf);
            }
        });
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The segments in it.
    pub fn segments(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        self.visit(&mut |part| {
            if let Self::Segment(name) = part {
                names.insert(name.clone());
            }
        });
        names
    }

    /// Calls `f` with this expression and all inside it.
    pub fn visit(&self, f: &mut dyn FnMut(&SetExpr)) {
        f(self);
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|p| p.visit(f)),
            Self::Not(inner) => inner.visit(f),
            Self::Nothing | Self::Leaf(_) | Self::Segment(_) => {}
        }
    }
}

fn dedup(parts: &mut Vec<SetExpr>) {
    let mut seen = std::collections::HashSet::new();
    parts.retain(|part| seen.insert(part.clone()));
}

impl fmt::Display for LeafId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0 + 1)
    }
}
