//! Two events of one profile with a time between them: A, then B within seven days, or A without B.
//!
//! They are written as a join of events with events, or as events for which others exist, or do not.

use crate::model::tables;
use crate::query::df::{
    Between, BinaryExpr, Exists, Expr, Join, Operator, ScalarValue, Transformed,
    TransformedResult as _, TreeNode as _,
};

use super::super::program::{EVENT, Leaf, SetExpr};
use super::condition::has_subquery;
use super::relation::{Columns, EventRows, Relation, Scope, column};
use super::{Compiler, Seen, opaque};

/// The relation of the left event's columns.
const FIRST: &str = "first";
/// The relation of the right event's columns.
const THEN: &str = "then";

/// Pairs of events of one profile, or events without another one.
#[derive(Debug, Clone)]
pub(super) struct Pairs {
    first: Vec<Expr>,
    then: Vec<Expr>,
    between: Vec<Expr>,
    /// Whether they are the first events that have no such other.
    without: bool,
    pub(super) among: Vec<SetExpr>,
    pub(super) columns: Columns,
}

/// The events that EXISTS, or NOT EXISTS, asks for beside the row that is looked at.
#[derive(Debug, Clone)]
pub(super) struct Beside {
    then: EventRows,
    /// Conditions that compare the two.
    between: Vec<Expr>,
    without: bool,
}

/// Microseconds between the two events, both bounds included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Distance {
    from_us: i64,
    to_us: i64,
}

impl Pairs {
    /// All pairs of an event of `left` and one of `right`.
    pub(super) fn new(left: EventRows, right: EventRows) -> Self {
        let tagged = |columns: Columns, tag| {
            columns.into_iter().map(move |c| c.and_then(|c| moved(&c, EVENT, tag)))
        };
        Self {
            columns: tagged(left.columns, FIRST).chain(tagged(right.columns, THEN)).collect(),
            first: left.conditions,
            then: right.conditions,
            between: Vec::new(),
            without: false,
            among: left.among.into_iter().chain(right.among).collect(),
        }
    }

    /// The rows of `rows` with such an event beside them, or without.
    pub(super) fn beside(rows: EventRows, beside: Beside) -> Self {
        let Beside { then, between, without } = beside;
        let places = rows.columns.len();
        let mut pairs = Self { without, ..Self::new(rows, then) };
        pairs.columns.truncate(places);
        for condition in between {
            pairs.add(condition);
        }
        pairs
    }

    /// Keeps the pairs that `condition` is true of.
    pub(super) fn add(&mut self, condition: Expr) {
        let is_of = |tag: &str| {
            let mut columns = condition.column_refs().into_iter();
            columns.all(|c| c.relation.as_ref().is_some_and(|r| r.table() == tag))
        };
        let (first, then) = (is_of(FIRST), is_of(THEN));
        match (first, then) {
            (true, _) => self.first.extend(moved(&condition, FIRST, EVENT)),
            (_, true) => self.then.extend(moved(&condition, THEN, EVENT)),
            _ => self.between.push(condition),
        }
    }
}

/// `expression` with its columns of `from` as columns of `to`.
fn moved(expression: &Expr, from: &str, to: &str) -> Option<Expr> {
    expression
        .clone()
        .transform_up(|e| {
            Ok(match &e {
                Expr::Column(c) if c.relation.as_ref().is_some_and(|r| r.table() == from) => {
                    Transformed::yes(column(to, &c.name))
                }
                _ => Transformed::no(e),
            })
        })
        .data()
        .ok()
}

impl Beside {
    /// What is not to be found beside a row of `left`: a row of `right` that `conditions` over both are
    /// true of.
    pub(super) fn of_join(
        join: &Join,
        left: &EventRows,
        right: EventRows,
        conditions: &[Expr],
    ) -> Seen<Self> {
        let both = Pairs::new(left.clone(), right.clone());
        let scope = Scope { schema: &join.schema, columns: &both.columns };
        let mut then = right;
        let mut between = Vec::new();
        for condition in conditions {
            let condition = scope.resolve(condition)?;
            let columns = condition.column_refs();
            if columns.iter().all(|c| c.relation.as_ref().is_some_and(|r| r.table() == THEN)) {
                then.conditions.extend(moved(&condition, THEN, EVENT));
            } else {
                between.push(condition);
            }
        }
        Self { then, between, without: true }.checked()
    }

    /// What is only asked of the row outside, or of its profile, would have to be turned round.
    fn checked(self) -> Seen<Self> {
        let is_plain = self.then.among.is_empty() && self.then.windows.is_empty();
        if is_plain && self.between.iter().all(compares_both) {
            Ok(self)
        } else {
            opaque("it compares two events, and asks for more")
        }
    }
}

/// `part`, a condition of a subquery on its row and the one outside, with the columns of both.
pub(super) fn compared(part: &Expr, inner: Scope<'_>, outer: Scope<'_>) -> Seen<Expr> {
    if has_subquery(part) {
        return opaque("a subquery in a subquery speaks of what is outside of both");
    }
    let mut failed = None;
    let mut tagged = |scope: Scope<'_>, column: Expr, tag| match scope.resolve(&column) {
        Ok(resolved) => Transformed::yes(moved(&resolved, EVENT, tag).unwrap_or(column)),
        Err(why) => {
            failed = Some(why);
            Transformed::no(column)
        }
    };
    let compared = part.clone().transform_up(|e| {
        Ok(match e {
            Expr::OuterReferenceColumn(_, column) => tagged(outer, Expr::Column(column), FIRST),
            Expr::Column(_) => tagged(inner, e, THEN),
            other => Transformed::no(other),
        })
    });
    match (failed, compared.data()) {
        (Some(why), _) => Err(why),
        (None, Ok(compared)) => Ok(compared),
        (None, Err(e)) => opaque(e.to_string()),
    }
}

/// Whether `condition` speaks of both events, and of nothing else.
fn compares_both(condition: &Expr) -> bool {
    let columns = condition.column_refs();
    let of = |tag: &str| {
        let is_of =
            |c: &&crate::query::df::Column| c.relation.as_ref().is_some_and(|r| r.table() == tag);
        columns.iter().copied().filter(|c| is_of(c)).count()
    };
    let (first, then) = (of(FIRST), of(THEN));
    first > 0 && then > 0 && first + then == columns.len()
}

impl Compiler<'_> {
    /// The events that `part` asks for beside a row of events, where it is an EXISTS that compares the two;
    /// nothing where it is another condition.
    pub(super) fn beside(&mut self, part: &Expr, scope: Scope<'_>) -> Seen<Option<Beside>> {
        let Expr::Exists(Exists { subquery, negated }) = part else { return Ok(None) };
        let found = self.correlated(&subquery.subquery, scope)?;
        if !found.is_tied || found.between.is_empty() {
            return Ok(None);
        }
        let Relation::Events(then) = found.relation else {
            return opaque("a subquery compares more than profile_id with its outside");
        };
        Beside { then, between: found.between, without: *negated }.checked().map(Some)
    }

    /// The profiles with such a pair.
    pub(super) fn sequence(&mut self, pairs: Pairs) -> Seen<SetExpr> {
        let Pairs { first, then, between, .. } = &pairs;
        if first.iter().chain(then).chain(between).any(Expr::is_volatile) {
            return opaque("it has a random function");
        }
        let mut distance = Distance { from_us: i64::MIN, to_us: i64::MAX };
        for condition in between {
            distance.narrow(condition)?;
        }
        let set = if distance == (Distance { from_us: i64::MIN, to_us: i64::MAX }) {
            let (first, then) = (self.happened(pairs.first), self.happened(pairs.then));
            SetExpr::all([first, if pairs.without { then.negated() } else { then }])
        } else {
            let leaf = Leaf::Sequence {
                first: self.program.filter(pairs.first),
                then: self.program.filter(pairs.then),
                from_us: distance.from_us,
                to_us: distance.to_us,
                without: pairs.without,
            };
            SetExpr::Leaf(self.program.leaf(leaf))
        };
        Ok(SetExpr::all([set].into_iter().chain(pairs.among)))
    }
}

impl Distance {
    fn narrow(&mut self, condition: &Expr) -> Seen<()> {
        match condition {
            Expr::Between(Between { expr, negated: false, low, high }) => {
                self.compare(expr, Operator::GtEq, low)?;
                self.compare(expr, Operator::LtEq, high)
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => self.compare(left, *op, right),
            _ => opaque("a condition between two events that is not about their times"),
        }
    }

    /// Reads `left op right`, one of which is a time of the first event, the other of the second.
    fn compare(&mut self, left: &Expr, op: Operator, right: &Expr) -> Seen<()> {
        let (Some((l, l_us)), Some((r, r_us))) = (moment(left), moment(right)) else {
            return opaque("a condition between two events that is not about their times");
        };
        // then + t op first + f  is  then - first  op  f - t.
        let (op, us) = match (l.as_str(), r.as_str()) {
            (THEN, FIRST) => (op, r_us - l_us),
            (FIRST, THEN) => (op.swap().unwrap_or(op), l_us - r_us),
            _ => return opaque("a condition compares an event with itself"),
        };
        match op {
            Operator::Gt => self.from_us = self.from_us.max(us.saturating_add(1)),
            Operator::GtEq => self.from_us = self.from_us.max(us),
            Operator::Lt => self.to_us = self.to_us.min(us.saturating_sub(1)),
            Operator::LtEq => self.to_us = self.to_us.min(us),
            Operator::Eq => {
                self.from_us = self.from_us.max(us);
                self.to_us = self.to_us.min(us);
            }
            _ => return opaque("times of two events are compared in another way"),
        }
        Ok(())
    }
}

/// `ts`, `ts + interval` or `ts - interval`: whose, and the microseconds added.
fn moment(expression: &Expr) -> Option<(String, i64)> {
    match expression {
        Expr::Column(c) if c.name == tables::TS => {
            Some((c.relation.as_ref()?.table().to_owned(), 0))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Plus, right }) => {
            let ((whose, us), more) = match (moment(left), moment(right)) {
                (Some(found), None) => (found, micros(right)?),
                (None, Some(found)) => (found, micros(left)?),
                _ => return None,
            };
            Some((whose, us.checked_add(more)?))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Minus, right }) => {
            let (whose, us) = moment(left)?;
            Some((whose, us.checked_sub(micros(right)?)?))
        }
        _ => None,
    }
}

/// Microseconds of a day; times are UTC, whose days are all alike.
const DAY_US: i64 = 86_400_000_000;

/// A constant interval of a fixed length. Months have none.
fn micros(expression: &Expr) -> Option<i64> {
    let Expr::Literal(value, _) = expression else { return None };
    match value {
        ScalarValue::IntervalMonthDayNano(Some(i))
            if i.months == 0 && i.nanoseconds % 1_000 == 0 =>
        {
            i64::from(i.days).checked_mul(DAY_US)?.checked_add(i.nanoseconds / 1_000)
        }
        ScalarValue::IntervalDayTime(Some(i)) => {
            let days = i64::from(i.days).checked_mul(DAY_US)?;
            days.checked_add(i64::from(i.milliseconds) * 1_000)
        }
        _ => None,
    }
}
