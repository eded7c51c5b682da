//! Which rows of a run pass a filter.
//!
//! A run has one event name, so the filter is first specialised to that name: what speaks of the
//! name alone becomes true or false, and an OR over names falls apart. Bounds on the time are compared
//! with those of the file, and with the rows only where the file reaches over them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::error::{Error, Result};
use crate::model::tables;
use crate::query::Session;
use crate::query::df::{Between, BinaryExpr, Expr, Operator, ScalarValue, lit, split_conjunction};

use super::super::program::{EventFilter, is_never, is_true};
use super::condition::{Value, bare};
use super::words::Words;

/// Microseconds since 1970, from the first to before the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in super::super) struct TimeRange {
    pub(in super::super) from: i64,
    pub(in super::super) before: i64,
}

impl TimeRange {
    pub(in super::super) const ALL: Self = Self { from: i64::MIN, before: i64::MAX };

    /// The moments in both.
    pub(in super::super) fn narrowed(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), before: self.before.min(other.before) }
    }

    /// Whether no moment of `least..=greatest` is in it.
    pub(super) fn misses(self, (least, greatest): (i64, i64)) -> bool {
        greatest < self.from || least >= self.before
    }

    /// Whether every moment of `least..=greatest` is in it.
    pub(super) fn covers(self, (least, greatest): (i64, i64)) -> bool {
        least >= self.from && greatest < self.before
    }
}

/// A filter for the rows of one event name.
#[derive(Debug, Clone)]
pub(super) struct Special {
    pub(super) time: TimeRange,
    /// The conditions that are left, as places in [`Specials::atom`].
    pub(super) rest: Vec<usize>,
}

/// The filters of a pass for one event name: nothing where no row of it can pass.
pub(super) type ForEvent = Arc<Vec<Option<Special>>>;

/// Filters specialised to event names, and the conditions that remain, each once.
#[derive(Debug)]
pub(super) struct Specials {
    session: Session,
    schema: SchemaRef,
    /// Those that are asked for, with the time that they are; the others let nothing through.
    filters: Vec<Option<(EventFilter, TimeRange)>>,
    by_event: HashMap<String, ForEvent>,
    names: HashMap<(Expr, String), bool>,
    atoms: Vec<Arc<Value>>,
    atom_ids: HashMap<Expr, usize>,
}

impl Specials {
    pub(super) fn new(
        session: &Session,
        schema: &SchemaRef,
        filters: Vec<Option<(EventFilter, TimeRange)>>,
    ) -> Self {
        Self {
            session: session.clone(),
            schema: Arc::clone(schema),
            filters,
            by_event: HashMap::new(),
            names: HashMap::new(),
            atoms: Vec::new(),
            atom_ids: HashMap::new(),
        }
    }

    /// All filters for rows of `event`, in the order of the filters.
    pub(super) fn of(&mut self, event: &str) -> Result<ForEvent> {
        if let Some(known) = self.by_event.get(event) {
            return Ok(Arc::clone(known));
        }
        let filters = std::mem::take(&mut self.filters);
        let all = filters.iter().map(|filter| match filter {
            Some((filter, time)) => self.specialise(filter, *time, event),
            None => Ok(None),
        });
        let all = all.collect::<Result<Vec<_>>>();
        self.filters = filters;
        let all = Arc::new(all?);
        self.by_event.insert(event.to_owned(), Arc::clone(&all));
        Ok(all)
    }

    /// Condition `place` of a [`Special`].
    pub(super) fn atom(&self, place: usize) -> Arc<Value> {
        Arc::clone(&self.atoms[place])
    }

    fn atom_id(&mut self, condition: &Expr) -> Result<usize> {
        if let Some(known) = self.atom_ids.get(condition) {
            return Ok(*known);
        }
        self.atoms.push(Arc::new(Value::new(&self.session, condition, &self.schema)?));
        self.atom_ids.insert(condition.clone(), self.atoms.len() - 1);
        Ok(self.atoms.len() - 1)
    }

    fn specialise(
        &mut self,
        filter: &EventFilter,
        time: TimeRange,
        event: &str,
    ) -> Result<Option<Special>> {
        let mut special = Special { time, rest: Vec::new() };
        for condition in &filter.0 {
            let partial = self.partial(condition, event)?;
            for part in split_conjunction(&partial) {
                if is_never(part) {
                    return Ok(None);
                }
                match time_range(part) {
                    Some(range) => special.time = special.time.narrowed(range),
                    None if is_true(part) => {}
                    None => special.rest.push(self.atom_id(part)?),
                }
            }
        }
        Ok((special.time.from < special.time.before).then_some(special))
    }

    /// `condition` with what the event's name decides decided. Only "is true" counts here, so null
    /// is false: nothing above it is a NOT.
    fn partial(&mut self, condition: &Expr, event: &str) -> Result<Expr> {
        if let Expr::BinaryExpr(BinaryExpr {
            left,
            op: op @ (Operator::And | Operator::Or),
            right,
        }) = condition
        {
            let left = self.partial(left, event)?;
            let right = self.partial(right, event)?;
            let is_and = *op == Operator::And;
            let decides = |e: &Expr| if is_and { is_never(e) } else { is_true(e) };
            let neutral = |e: &Expr| if is_and { is_true(e) } else { is_never(e) };
            return Ok(if decides(&left) || neutral(&right) {
                left
            } else if decides(&right) || neutral(&left) {
                right
            } else if is_and {
                left.and(right)
            } else {
                left.or(right)
            });
        }
        let columns = condition.column_refs();
        if columns.is_empty() || columns.iter().any(|c| c.name != tables::EVENT) {
            return Ok(condition.clone());
        }
        let key = (condition.clone(), event.to_owned());
        if let Some(known) = self.names.get(&key) {
            return Ok(lit(*known));
        }
        let is_true = match simple(condition, event) {
            Some(known) => known,
            None => match evaluated(&self.session, condition, event) {
                Ok(known) => known,
                // Its rows say why, to the filter that it is of.
                Err(_) => return Ok(condition.clone()),
            },
        };
        self.names.insert(key, is_true);
        Ok(lit(is_true))
    }
}

/// `event = 'x'` and `event <> 'x'`, without asking `DataFusion`.
fn simple(condition: &Expr, event: &str) -> Option<bool> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = condition else { return None };
    let (Expr::Column(_), Expr::Literal(value, _)) = (left.as_ref(), right.as_ref()) else {
        return None;
    };
    let ScalarValue::Utf8View(Some(value)) = value else { return None };
    match op {
        Operator::Eq => Some(value == event),
        Operator::NotEq => Some(value != event),
        _ => None,
    }
}

fn evaluated(session: &Session, condition: &Expr, event: &str) -> Result<bool> {
    let schema = Schema::new(vec![Field::new(tables::EVENT, DataType::Utf8View, true)]);
    let names: ArrayRef = Arc::new(StringViewArray::from_iter_values([event]));
    let values = session.formula(&bare(condition)?, &schema)?.evaluate(vec![names], 1)?;
    let values = arrow::compute::cast(&values, &DataType::Boolean)
        .map_err(|e| Error::internal(format!("{condition}: {e}")))?;
    Ok(Words::of_true(arrow::array::AsArray::as_boolean(&values)).has(0))
}

/// The moments that `condition` lets through, where it compares `ts` with a constant.
pub(in super::super) fn time_range(condition: &Expr) -> Option<TimeRange> {
    let after = |us: i64| us.saturating_add(1);
    match condition {
        Expr::Between(Between { expr, negated: false, low, high }) if is_ts(expr) => {
            Some(TimeRange { from: moment(low)?, before: after(moment(high)?) })
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (us, op) = match (is_ts(left), is_ts(right)) {
                (true, false) => (moment(right)?, *op),
                (false, true) => (moment(left)?, op.swap()?),
                _ => return None,
            };
            let all = TimeRange::ALL;
            Some(match op {
                Operator::GtEq => TimeRange { from: us, ..all },
                Operator::Gt => TimeRange { from: after(us), ..all },
                Operator::Lt => TimeRange { before: us, ..all },
                Operator::LtEq => TimeRange { before: after(us), ..all },
                Operator::Eq => TimeRange { from: us, before: after(us) },
                _ => return None,
            })
        }
        _ => None,
    }
}

fn is_ts(expression: &Expr) -> bool {
    matches!(expression, Expr::Column(c) if c.name == tables::TS)
}

/// The microseconds of a constant moment.
pub(in super::super) fn moment(expression: &Expr) -> Option<i64> {
    match expression {
        Expr::Literal(ScalarValue::TimestampMicrosecond(Some(us), _), _) => Some(*us),
        _ => None,
    }
}
