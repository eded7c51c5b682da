//! Two events of one profile with a time between them: A, then B within seven days.

use crate::model::tables;
use crate::query::df::{
    Between, BinaryExpr, Expr, Operator, ScalarValue, Transformed, TransformedResult as _,
    TreeNode as _,
};

use super::super::program::{EVENT, Leaf, SetExpr};
use super::relation::{Columns, EventRows, column};
use super::{Compiler, Seen, opaque};

/// The relation of the left event's columns.
const FIRST: &str = "first";
/// The relation of the right event's columns.
const THEN: &str = "then";

/// Pairs of events of one profile.
#[derive(Debug, Clone)]
pub(super) struct Pairs {
    first: Vec<Expr>,
    then: Vec<Expr>,
    between: Vec<Expr>,
    pub(super) among: Vec<SetExpr>,
    pub(super) columns: Columns,
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
            among: left.among.into_iter().chain(right.among).collect(),
        }
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

impl Compiler<'_> {
    /// The profiles with such a pair.
    pub(super) fn sequence(&mut self, pairs: Pairs) -> Seen<SetExpr> {
        let mut distance = Distance { from_us: i64::MIN, to_us: i64::MAX };
        for condition in &pairs.between {
            distance.narrow(condition)?;
        }
        let set = if distance == (Distance { from_us: i64::MIN, to_us: i64::MAX }) {
            SetExpr::all([self.happened(pairs.first), self.happened(pairs.then)])
        } else {
            let leaf = Leaf::Sequence {
                first: self.program.filter(pairs.first),
                then: self.program.filter(pairs.then),
                from_us: distance.from_us,
                to_us: distance.to_us,
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
