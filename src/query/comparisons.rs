//! What `DataFusion` 55 answers otherwise than SQL says, put so that it does not.
//!
//! - A cast that loses places is not taken away from a comparison: see [`super::narrow`].
//! - The difference of two times is a length, and is compared with an INTERVAL by its length: a day has 24
//!   hours and a month 30 days, as in `PostgreSQL` and `DuckDB`. `DataFusion` would compare the parts of
//!   intervals, of which a difference has no days.
//! - A date is no number of days: one that is compared with a whole number is refused, as a moment is.
//! - EXISTS over a query that always has a row is true. An OFFSET in it would be ignored, and is refused.
//!
//! A rule of the analyzer: it goes over plans of the compiler and over those that `DataFusion` runs.

use arrow::datatypes::{DataType, IntervalMonthDayNano, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{
    Transformed, TransformedResult as _, TreeNode as _, TreeNodeRecursion,
};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::{Between, Exists, InList};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, Cast, Expr, ExprSchemable as _, FetchType, LogicalPlan, Operator, SkipType,
    TryCast, lit, not,
};
use datafusion::optimizer::AnalyzerRule;

use super::narrow;

const DAY_NS: i128 = 86_400_000_000_000;
const MONTH_DAYS: i128 = 30;

/// The rule.
#[derive(Debug)]
pub(super) struct Comparisons;

impl AnalyzerRule for Comparisons {
    fn name(&self) -> &'static str {
        "comparisons"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        if !has_candidates(&plan)? {
            return Ok(plan);
        }
        plan.transform_up_with_subqueries(rewritten).data()
    }
}

/// Whether there is anything to look at: most plans need not be made anew.
fn has_candidates(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            found |= expression.exists(|e| Ok(is_candidate(e)))?;
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })
    })?;
    Ok(found)
}

fn is_candidate(expression: &Expr) -> bool {
    match expression {
        Expr::Exists(_) => true,
        Expr::Cast(Cast { field, .. }) | Expr::TryCast(TryCast { field, .. }) => {
            let to = field.data_type();
            to.is_integer() || to.is_decimal() || matches!(to, DataType::Interval(_)) || is_date(to)
        }
        _ => false,
    }
}

fn rewritten(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = merge_schema(&plan.inputs());
    let names = NamePreserver::new(&plan);
    plan.map_expressions(|expression| {
        let name = names.save(&expression);
        let replaced = expression.transform_up(|e| replaced(e, &schema))?;
        Ok(replaced.update_data(|e| name.restore(e)))
    })
}

fn replaced(expression: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let new = match &expression {
        Expr::Cast(Cast { expr, field }) => narrowed(expr, field.data_type(), false, schema)?,
        Expr::TryCast(TryCast { expr, field }) => narrowed(expr, field.data_type(), true, schema)?,
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => {
            refuse_days([left.as_ref(), right], schema)?;
            of_lengths(left, *op, right, schema)?
        }
        Expr::InList(InList { expr, list, .. }) => {
            refuse_days(std::iter::once(expr.as_ref()).chain(list), schema)?;
            None
        }
        Expr::Between(Between { expr, negated, low, high }) => {
            let sides = [expr.as_ref(), low, high];
            if let Some((date, number)) = days(sides, schema)? {
                return refused(format!("Failed to coerce types {date} and {number} in BETWEEN"));
            }
            let least = of_lengths(expr, Operator::GtEq, low, schema)?;
            let greatest = of_lengths(expr, Operator::LtEq, high, schema)?;
            let both = least.zip(greatest).map(|(least, greatest)| least.and(greatest));
            both.map(|both| if *negated { not(both) } else { both })
        }
        Expr::Exists(Exists { subquery, negated }) => {
            always_exists(&subquery.subquery)?.then(|| lit(!negated))
        }
        _ => None,
    };
    Ok(new.map_or_else(|| Transformed::no(expression), Transformed::yes))
}

fn narrowed(value: &Expr, to: &DataType, is_safe: bool, schema: &DFSchema) -> Result<Option<Expr>> {
    // Most casts are of other types, and need not be asked what they cast.
    if !to.is_integer() && !to.is_decimal() {
        return Ok(None);
    }
    let narrows = narrow::narrows(&value.get_type(schema)?, to);
    Ok(narrows.then(|| narrow::call(value.clone(), to, is_safe)))
}

fn is_date(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Date32 | DataType::Date64)
}

/// The types of a date and of the whole number that was made one, so many days after 1970, where that
/// happened to one of the `sides` of a comparison.
fn days<'a>(
    sides: impl IntoIterator<Item = &'a Expr>,
    schema: &DFSchema,
) -> Result<Option<(&'a DataType, DataType)>> {
    for side in sides {
        let Expr::Cast(Cast { expr, field }) = side else { continue };
        if is_date(field.data_type())
            && let number = expr.get_type(schema)?
            && number.is_integer()
        {
            return Ok(Some((field.data_type(), number)));
        }
    }
    Ok(None)
}

fn refuse_days<'a>(sides: impl IntoIterator<Item = &'a Expr>, schema: &DFSchema) -> Result<()> {
    match days(sides, schema)? {
        // As it is said of moments.
        Some((date, number)) => {
            refused(format!("expressions have incompatible types: {date} and {number}"))
        }
        None => Ok(()),
    }
}

fn refused<T>(why: impl Into<String>) -> Result<T> {
    Err(DataFusionError::Plan(why.into()))
}

fn is_comparison(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

/// A length of time.
enum Length<'a> {
    /// From the second moment to the first.
    Difference(&'a Expr, &'a Expr),
    /// A duration that was computed elsewhere.
    Duration(&'a Expr),
    /// So many nanoseconds.
    Constant(i128),
}

impl<'a> Length<'a> {
    /// The length that `side` of a comparison of intervals is; nothing where it has none of its own.
    fn of(side: &'a Expr, schema: &DFSchema) -> Result<Option<Self>> {
        let inner = match side {
            Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field })
                if matches!(field.data_type(), DataType::Interval(_)) =>
            {
                expr
            }
            other => return Ok(constant(other).map(Self::Constant)),
        };
        if !matches!(inner.get_type(schema)?, DataType::Duration(_)) {
            return Ok(None);
        }
        if let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Minus, right }) = inner.as_ref() {
            let (left_type, right_type) = (left.get_type(schema)?, right.get_type(schema)?);
            if left_type == right_type && is_utc(&left_type) {
                return Ok(Some(Self::Difference(left, right)));
            }
        }
        Ok(Some(Self::Duration(inner)))
    }

    fn expression(&self) -> Option<Expr> {
        match self {
            Self::Difference(left, right) => Some((*left).clone() - (*right).clone()),
            Self::Duration(duration) => Some((*duration).clone()),
            Self::Constant(_) => None,
        }
    }
}

/// Whether an hour after a moment of `data_type` is what it is everywhere: there are no clocks to change.
fn is_utc(data_type: &DataType) -> bool {
    match data_type {
        DataType::Timestamp(_, None) => true,
        DataType::Timestamp(_, Some(zone)) => ["UTC", "+00:00"].contains(&zone.as_ref()),
        _ => false,
    }
}

/// The nanoseconds of a constant interval.
fn constant(interval: &Expr) -> Option<i128> {
    match interval {
        Expr::Negative(inner) => constant(inner).map(|ns| -ns),
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), _) => {
            let IntervalMonthDayNano { months, days, nanoseconds } = *interval;
            let days = i128::from(months) * MONTH_DAYS + i128::from(days);
            Some(days * DAY_NS + i128::from(nanoseconds))
        }
        Expr::Literal(ScalarValue::IntervalYearMonth(Some(months)), _) => {
            Some(i128::from(*months) * MONTH_DAYS * DAY_NS)
        }
        Expr::Literal(ScalarValue::IntervalDayTime(Some(interval)), _) => {
            let ms = i128::from(interval.milliseconds) * 1_000_000;
            Some(i128::from(interval.days) * DAY_NS + ms)
        }
        _ => None,
    }
}

/// A comparison of two lengths, at least one of which is measured; nothing for any other comparison.
fn of_lengths(left: &Expr, op: Operator, right: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
    if !is_interval(left, schema)? || !is_interval(right, schema)? {
        return Ok(None);
    }
    let lengths = (Length::of(left, schema)?, Length::of(right, schema)?);
    Ok(match lengths {
        (None | Some(Length::Constant(_)), None | Some(Length::Constant(_))) => None,
        (Some(length), Some(Length::Constant(ns))) => Some(with_constant(&length, op, ns, schema)?),
        (Some(Length::Constant(ns)), Some(length)) => {
            // What has no mirror image is its own.
            let op = op.swap().unwrap_or(op);
            Some(with_constant(&length, op, ns, schema)?)
        }
        (Some(left), Some(right)) => {
            let sides = left.expression().zip(right.expression());
            sides.map(|(left, right)| compared(nanoseconds(left), op, nanoseconds(right)))
        }
        _ => {
            return refused(
                "a difference of times can be compared with a constant INTERVAL, or with another difference",
            );
        }
    })
}

fn is_interval(side: &Expr, schema: &DFSchema) -> Result<bool> {
    // Asked first, since the type of other expressions costs a walk through them.
    match side {
        Expr::Cast(_)
        | Expr::TryCast(_)
        | Expr::Literal(..)
        | Expr::Negative(_)
        | Expr::Column(_) => Ok(matches!(side.get_type(schema)?, DataType::Interval(_))),
        _ => Ok(false),
    }
}

/// A comparison of `length` with so many nanoseconds. A difference is compared as the times that it is of,
/// `a < b + INTERVAL`, or `b > now() - INTERVAL` where the first is fixed: such bounds are looked up.
fn with_constant(length: &Length<'_>, op: Operator, ns: i128, schema: &DFSchema) -> Result<Expr> {
    if let (Length::Difference(left, right), Some(interval)) = (length, interval(ns)) {
        let (left, right) = ((*left).clone(), (*right).clone());
        let is_fixed = left.column_refs().is_empty() && !left.is_volatile();
        return Ok(match op.swap() {
            Some(swapped) if is_fixed => compared(right, swapped, left - interval),
            _ => compared(left, op, right + interval),
        });
    }
    let Some(duration) = length.expression() else {
        return Err(DataFusionError::Internal("two constants are compared as such".to_owned()));
    };
    let unit = match duration.get_type(schema)? {
        DataType::Duration(unit) => unit,
        _ => TimeUnit::Nanosecond,
    };
    // More than fits is more than there is: the longest duration is compared in its place.
    let whole = |per: i128| (ns % per == 0).then(|| fitting(ns / per));
    let constant = match unit {
        TimeUnit::Second => whole(1_000_000_000).map(|n| ScalarValue::DurationSecond(Some(n))),
        TimeUnit::Millisecond => {
            whole(1_000_000).map(|n| ScalarValue::DurationMillisecond(Some(n)))
        }
        TimeUnit::Microsecond => whole(1_000).map(|n| ScalarValue::DurationMicrosecond(Some(n))),
        TimeUnit::Nanosecond => None,
    };
    if let Some(constant) = constant {
        return Ok(compared(duration, op, lit(constant)));
    }
    let constant = lit(ScalarValue::DurationNanosecond(Some(fitting(ns))));
    Ok(compared(nanoseconds(duration), op, constant))
}

fn fitting(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
}

/// An interval of days and nanoseconds, of the length of `ns`.
fn interval(ns: i128) -> Option<Expr> {
    let (days, rest) = (ns / DAY_NS, ns % DAY_NS);
    let interval =
        IntervalMonthDayNano::new(0, i32::try_from(days).ok()?, i64::try_from(rest).ok()?);
    Some(lit(ScalarValue::IntervalMonthDayNano(Some(interval))))
}

fn nanoseconds(duration: Expr) -> Expr {
    Expr::Cast(Cast::new(Box::new(duration), DataType::Duration(TimeUnit::Nanosecond)))
}

fn compared(left: Expr, op: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr { left: Box::new(left), op, right: Box::new(right) })
}

/// Whether `query` has a row whatever there is.
///
/// # Errors
/// Where `DataFusion` would ignore a part of it.
fn always_exists(query: &LogicalPlan) -> Result<bool> {
    match query {
        LogicalPlan::Projection(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Distinct(_) => {
            query.inputs().first().map_or(Ok(false), |q| always_exists(q))
        }
        LogicalPlan::Limit(limit) => {
            let skips = !matches!(limit.get_skip_type(), Ok(SkipType::Literal(0)));
            let takes = matches!(limit.get_fetch_type(), Ok(FetchType::Literal(None | Some(1..))));
            if skips || !takes {
                return refused("OFFSET, and a LIMIT of 0, are not supported in EXISTS");
            }
            always_exists(&limit.input)
        }
        LogicalPlan::Aggregate(aggregate) => Ok(aggregate.group_expr.is_empty()),
        LogicalPlan::Filter(filter) => match filter.input.as_ref() {
            LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() => {
                refused("HAVING without GROUP BY is not supported in EXISTS")
            }
            _ => Ok(false),
        },
        _ => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use proptest::prelude::*;

    use crate::model::AsOf;
    use crate::query::{Limits, Session};

    const OPERATORS: [&str; 6] = ["=", "<>", "<", "<=", ">", ">="];

    fn holds(op: &str, left: i128, right: i128) -> bool {
        match op {
            "=" => left == right,
            "<>" => left != right,
            "<" => left < right,
            "<=" => left <= right,
            ">" => left > right,
            _ => left >= right,
        }
    }

    fn counted(sql: &str) -> crate::error::Result<u64> {
        let limits = Limits::with_threads(NonZeroUsize::MIN);
        let session = Session::new(limits, AsOf::parse("2026-11-01")?)?;
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async { session.plan(sql, None).await?.single_count().await })
    }

    /// 2026-11-01T00:00Z, and a year before.
    const NOW_US: i64 = 1_793_491_200_000_000;
    const YEAR_US: i64 = 365 * 86_400_000_000;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn a_difference_is_compared_by_its_length(
            moments in prop::collection::vec(
                (proptest::option::of(NOW_US - YEAR_US..NOW_US), NOW_US - YEAR_US..NOW_US),
                1..20,
            ),
            days in -400_i64..400,
            exact in any::<prop::sample::Index>(),
            (op, form) in (prop::sample::select(OPERATORS.to_vec()), 0..5),
        ) {
            // Half of the time somebody is exactly that far away.
            let (a, b) = moments[exact.index(moments.len())];
            let length_us = match a.filter(|_| days % 2 == 0) {
                Some(a) => a - b,
                None => days * 86_400_000_000,
            };
            let interval = format!("INTERVAL '{length_us} microseconds'");
            let rows: Vec<String> = moments
                .iter()
                .map(|(a, b)| format!("({}, {b})", a.map_or("NULL".to_owned(), |a| a.to_string())))
                .collect();
            let (condition, expected): (String, Box<dyn Fn(i64, i64) -> bool>) = match form {
                0 => (format!("a - b {op} {interval}"), Box::new(move |a, b| holds(op, (a - b).into(), length_us.into()))),
                1 => (format!("{interval} {op} a - b"), Box::new(move |a, b| holds(op, length_us.into(), (a - b).into()))),
                2 => (format!("now() - a {op} {interval}"), Box::new(move |a, _| holds(op, (NOW_US - a).into(), length_us.into()))),
                3 => (format!("d {op} {interval}"), Box::new(move |a, b| holds(op, (a - b).into(), length_us.into()))),
                _ => (
                    format!("a - b NOT BETWEEN {interval} AND INTERVAL '1 month'"),
                    Box::new(move |a, b| !(length_us..=30 * 86_400_000_000).contains(&(a - b))),
                ),
            };
            let sql = format!(
                "WITH t AS (SELECT to_timestamp_micros(column1) AS a, to_timestamp_micros(column2) AS b
                            FROM (VALUES {})),
                      u AS (SELECT a, b, CASE WHEN a IS NULL THEN NULL ELSE a - b END AS d FROM t)
                 SELECT count(*) FROM u WHERE {condition}",
                rows.join(", ")
            );
            let expected = moments.iter().filter(|(a, b)| a.is_some_and(|a| expected(a, *b))).count();
            prop_assert_eq!(counted(&sql).expect("a count"), expected as u64, "{}", condition);
        }

        #[test]
        fn a_cast_that_loses_places_is_made_before_the_comparison(
            cents in prop::collection::vec(proptest::option::of(-100_000_i64..100_000), 1..20),
            limit in -1_000_i64..1_000,
            (op, is_safe) in (prop::sample::select(OPERATORS.to_vec()), any::<bool>()),
        ) {
            let rows: Vec<String> = cents
                .iter()
                .map(|c| c.map_or("(NULL)".to_owned(), |c| format!("({c} / 100.0)")))
                .collect();
            let cast = if is_safe { "TRY_CAST" } else { "CAST" };
            let table = format!(
                "(SELECT CAST(column1 AS DECIMAL(12, 2)) AS amount FROM (VALUES {}))",
                rows.join(", ")
            );
            // What the cast makes of each, with nothing to compare.
            let all = format!("SELECT sum({cast}(amount AS INT) * 0 + 1) FROM {table}");
            let known = cents.iter().flatten().count() as u64;
            prop_assume!(known > 0);
            prop_assert_eq!(counted(&all).expect("a count"), known);
            let of = |condition: &str| {
                counted(&format!("SELECT count(*) FROM {table} WHERE {condition}")).expect("a count")
            };
            let plain = of(&format!("{cast}(amount AS INT) {op} {limit}"));
            let kept = of(&format!("coalesce({cast}(amount AS INT), NULL) + 0 {op} {limit}"));
            prop_assert_eq!(plain, kept);
        }
    }

    #[test]
    fn a_month_has_thirty_days_and_a_day_has_24_hours() {
        let count = |a: &str, b: &str, condition: &str| {
            let sql = format!(
                "SELECT count(*) FROM (VALUES (TIMESTAMP '{a}', TIMESTAMP '{b}')) AS t (a, b) WHERE {condition}"
            );
            counted(&sql).expect("a count")
        };
        assert_eq!(count("2026-03-31", "2026-03-01", "a - b = INTERVAL '1 month'"), 1);
        assert_eq!(count("2026-03-02", "2026-03-01", "a - b = INTERVAL '24 hours'"), 1);
        assert_eq!(count("2026-03-02", "2026-03-01", "a - b > INTERVAL '1 day'"), 0);
        assert_eq!(count("2026-03-02", "2026-03-01", "b - a < - INTERVAL '23 hours'"), 1);
        assert_eq!(count("2026-03-02", "2026-03-01", "a - b = a - b"), 1);
    }

    #[test]
    fn a_cast_is_compared_after_it_was_made() {
        let count = |condition: &str| {
            let sql = format!(
                "SELECT count(*) FROM (SELECT CAST(column1 AS DECIMAL(12, 2)) AS amount
                                       FROM (VALUES (40.00), (40.20), (41.00)))
                 WHERE {condition}"
            );
            counted(&sql).expect("a count")
        };
        assert_eq!(count("CAST(amount AS INT) = 40"), 2);
        assert_eq!(count("amount::INT IN (40, 50)"), 2);
        assert_eq!(count("CAST(amount AS INT) > 40 AND amount < 41"), 0);
        assert_eq!(count("TRY_CAST(amount AS SMALLINT) BETWEEN 40 AND 40"), 2);
        assert_eq!(count("CAST(amount AS DECIMAL(12, 1)) = 40.2"), 1);
        assert_eq!(count("CAST(amount AS DECIMAL(14, 4)) = 40.2"), 1);
    }

    #[test]
    fn what_always_has_a_row_exists() {
        let count = |exists: &str| {
            counted(&format!("SELECT count(*) FROM (VALUES (1), (2)) AS p (id) WHERE {exists}"))
        };
        let events = "FROM (VALUES (2)) AS e (id) WHERE e.id = p.id";
        assert_eq!(count(&format!("EXISTS (SELECT count(*) {events})")).expect("a count"), 2);
        assert_eq!(count(&format!("NOT EXISTS (SELECT max(e.id) {events})")).expect("a count"), 0);
        assert_eq!(count(&format!("EXISTS (SELECT 1 {events} LIMIT 1)")).expect("a count"), 1);
        for ignored in [
            format!("EXISTS (SELECT 1 {events} OFFSET 1)"),
            format!("EXISTS (SELECT 1 {events} LIMIT 0)"),
            format!("EXISTS (SELECT max(e.id) {events} HAVING count(*) = 0)"),
        ] {
            let error = count(&ignored).expect_err("it would be ignored");
            assert!(error.message().contains("not supported in EXISTS"), "{ignored}: {error}");
        }
    }
}
