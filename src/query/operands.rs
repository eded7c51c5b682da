//! What a query compares and computes with, as it is written: the operation of two types that do not
//! meet, the difference of two dates, and so on. Only messages ask for this, so it may guess.

use std::ops::ControlFlow;

use datafusion::common::TableReference;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Spanned as _,
    Statement, Value, visit_expressions,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use futures::FutureExt as _;

use super::places::Position;
use super::session::Session;

/// The functions of other products that tell how far two dates are apart.
pub(super) const DIFFERENCES: [&str; 4] =
    ["datediff", "date_diff", "timestampdiff", "months_between"];

/// How sure it has to be that an operation is the one that is looked for: one side at least is known.
const SURE: u8 = 3;

/// An operation that is written in a query.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) left: Expr,
    pub(super) op: BinaryOperator,
    pub(super) right: Expr,
}

impl Operation {
    /// Where it begins.
    pub(super) fn position(&self) -> Option<Position> {
        position(&self.left)
    }

    /// Whether it compares, and so is no sum.
    pub(super) fn compares(&self) -> bool {
        compares(&self.op)
    }

    /// Whether one of its sides compares, and so is true or false without being a column.
    pub(super) fn nests(&self) -> bool {
        let is_inner = |side: &Expr| matches!(side, Expr::BinaryOp { op, .. } if compares(op));
        is_inner(&self.left) || is_inner(&self.right)
    }

    /// Whether it is a sum.
    pub(super) fn adds(&self) -> bool {
        self.op == BinaryOperator::Plus
    }

    /// The number on one of its sides.
    pub(super) fn number(&self) -> Option<&str> {
        number(&self.right).or_else(|| number(&self.left))
    }
}

/// The operations of `sql`, the outer before the inner; `a IN (1, 2)` is two of them. None where it does
/// not parse.
pub(super) fn operations(sql: &str) -> Vec<Operation> {
    let mut found = Vec::new();
    let statements = Parser::parse_sql(&GenericDialect {}, sql).unwrap_or_default();
    let _never_breaks = visit_expressions::<Vec<Statement>, (), _>(&statements, |expression| {
        match expression {
            Expr::BinaryOp { left, op, right } => {
                let (left, right) = (left.as_ref().clone(), right.as_ref().clone());
                found.push(Operation { left, op: op.clone(), right });
            }
            Expr::InList { expr, list, .. } => found.extend(list.iter().map(|item| {
                let (left, op) = (expr.as_ref().clone(), BinaryOperator::Eq);
                Operation { left, op, right: item.clone() }
            })),
            _ => {}
        }
        ControlFlow::Continue(())
    });
    found
}

/// The first of `operations` whose sides have the types that a message names, where one is known to.
pub(super) fn of_types(
    operations: Vec<Operation>,
    types: (&str, &str),
    session: Option<&Session>,
) -> Option<Operation> {
    let of = |expression: &Expr| kinds(expression, session);
    let scored = operations.into_iter().filter_map(|operation| {
        let sides = [(of(&operation.left), types.0), (of(&operation.right), types.1)];
        let score = sides.iter().map(|(kinds, wanted)| match &kinds[..] {
            [] => Some(1),
            kinds if kinds.iter().any(|kind| kind == family(wanted)) => Some(2),
            _ => None,
        });
        Some((score.sum::<Option<u8>>()?, operation))
    });
    // The first of the best ones: `max_by_key` would take the last.
    let best =
        scored.filter(|(score, _)| *score >= SURE).reduce(|a, b| if a.0 < b.0 { b } else { a });
    best.map(|(_, operation)| operation)
}

/// The kinds that `expression` may be of; none where nothing tells.
fn kinds(expression: &Expr, session: Option<&Session>) -> Vec<String> {
    let one = |kind: &str| vec![kind.to_owned()];
    match expression {
        Expr::Identifier(name) => columns(&name.value, session),
        Expr::CompoundIdentifier(names) => {
            names.last().map_or_else(Vec::new, |name| columns(&name.value, session))
        }
        Expr::Nested(inner) => kinds(inner, session),
        Expr::Interval(_) => one("Interval"),
        Expr::Function(f) if is_called(f, &["now", "current_timestamp"]) => one("Timestamp"),
        Expr::Function(f) if is_called(f, &["current_date", "today"]) => one("Date"),
        Expr::BinaryOp { op, .. } if compares(op) => one("Boolean"),
        Expr::BinaryOp { op: BinaryOperator::And | BinaryOperator::Or, .. } => one("Boolean"),
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) if digits.contains('.') => one("Float"),
            Value::Number(..) => one("Int"),
            Value::SingleQuotedString(_) => one("Utf"),
            Value::Boolean(_) => one("Boolean"),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// The kinds of the columns called `name`, in whichever tables of the store have one.
fn columns(name: &str, session: Option<&Session>) -> Vec<String> {
    let Some(session) = session else { return Vec::new() };
    let tables = session.table_names().into_iter().filter(|table| !table.contains('.'));
    let kind = |table: String| {
        // Tables of the store are in memory: they answer at once.
        let found = session.context().table_provider(TableReference::bare(table)).now_or_never();
        let schema = found?.ok()?.schema();
        let field = schema.field_with_name(&name.to_lowercase()).ok()?;
        Some(family(&field.data_type().to_string()).to_owned())
    };
    let mut kinds: Vec<String> = tables.filter_map(kind).collect();
    kinds.dedup();
    kinds
}

/// A type without its width: `Int` of `Int64`, `Timestamp` of `Timestamp(ns, "UTC")`.
fn family(name: &str) -> &str {
    let letters = name.find(|c: char| !c.is_alphabetic()).unwrap_or(name.len());
    let name = name[..letters].trim_start_matches("Large");
    if name == "UInt" { "Int" } else { name }
}

/// `DATEDIFF('day', a, b) < 30` in words that are known: `a > now() - INTERVAL '30 days'`; nothing where
/// a query says it in another way.
pub(super) fn without_difference(operations: &[Operation]) -> Option<String> {
    operations.iter().find_map(|operation| {
        let (call, op, number) = match (&operation.left, &operation.right) {
            (Expr::Function(call), right) => (call, operation.op.clone(), number(right)?),
            (left, Expr::Function(call)) => (call, turned(&operation.op), number(left)?),
            _ => return None,
        };
        if !is_called(call, &DIFFERENCES) {
            return None;
        }
        let (unit, older, newer) = difference(call)?;
        let span = format!("INTERVAL '{number} {unit}s'");
        match (is_now(&older), is_now(&newer)) {
            (false, true) => Some(format!("{older} {} now() - {span}", turned(&op))),
            (true, false) => Some(format!("{newer} {op} now() + {span}")),
            _ => Some(format!("{newer} {op} {older} + {span}")),
        }
    })
}

/// The unit, the earlier and the later moment of a call.
fn difference(call: &Function) -> Option<(String, String, String)> {
    let FunctionArguments::List(list) = &call.args else { return None };
    let arguments: Vec<String> = list
        .args
        .iter()
        .map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => Some(expression.to_string()),
            _ => None,
        })
        .collect::<Option<_>>()?;
    let unit = |text: &str| text.trim_matches('\'').trim_end_matches(['s', 'S']).to_lowercase();
    match &arguments[..] {
        [unit_, older, newer] => Some((unit(unit_), older.clone(), newer.clone())),
        // MySQL's has no unit, and the later moment first.
        [newer, older] if is_called(call, &["months_between"]) => {
            Some(("month".to_owned(), older.clone(), newer.clone()))
        }
        [newer, older] => Some(("day".to_owned(), older.clone(), newer.clone())),
        _ => None,
    }
}

fn is_now(text: &str) -> bool {
    let names =
        ["now", "current_date", "current_timestamp", "getdate", "sysdate", "curdate", "today"];
    names.contains(&text.trim_end_matches("()").to_lowercase().as_str())
}

fn turned(op: &BinaryOperator) -> BinaryOperator {
    match op {
        BinaryOperator::Lt => BinaryOperator::Gt,
        BinaryOperator::LtEq => BinaryOperator::GtEq,
        BinaryOperator::Gt => BinaryOperator::Lt,
        BinaryOperator::GtEq => BinaryOperator::LtEq,
        other => other.clone(),
    }
}

fn compares(op: &BinaryOperator) -> bool {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq)
}

fn is_called(call: &Function, names: &[&str]) -> bool {
    let name = call.name.to_string();
    names.iter().any(|known| name.eq_ignore_ascii_case(known))
}

fn number(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => Some(digits),
            _ => None,
        },
        _ => None,
    }
}

/// Where `expression` begins, if that is known.
fn position(expression: &Expr) -> Option<Position> {
    let start = expression.span().start;
    (start.line > 0).then_some((start.line, start.column))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_of_dates_keeps_its_direction() {
        let hint = |condition: &str| {
            without_difference(&operations(&format!("SELECT 1 FROM e WHERE {condition}")))
        };
        let is = |condition: &str, hinted: &str| {
            assert_eq!(hint(condition).as_deref(), Some(hinted), "{condition}");
        };
        is("DATEDIFF('day', ts, CURRENT_DATE) < 30", "ts > now() - INTERVAL '30 days'");
        is("datediff(week, e.ts, now()) >= 2", "e.ts <= now() - INTERVAL '2 weeks'");
        is("30 > datediff(CURRENT_DATE, ts)", "ts > now() - INTERVAL '30 days'");
        is("datediff(day, now(), ends) <= 7", "ends <= now() + INTERVAL '7 days'");
        is("datediff(day, a, b) < 3", "b < a + INTERVAL '3 days'");
        assert_eq!(hint("avg(datediff(day, a, b)) < 3"), None);
        assert_eq!(hint("abs(ts) < 3"), None);
    }

    #[test]
    fn an_operation_is_found_by_its_types() {
        let all = operations("SELECT 1 FROM e WHERE a = 'x' AND b > 3 AND ts > INTERVAL '1 day'");
        let found = of_types(all.clone(), ("Float64", "Int64"), None);
        assert_eq!(found.and_then(|o| o.position()), Some((1, 35)));
        let found = of_types(all.clone(), ("Float64", "Interval(MonthDayNano)"), None);
        assert_eq!(found.and_then(|o| o.position()), Some((1, 45)));
        assert!(of_types(all, ("Float64", "List(Utf8)"), None).is_none());
    }

    #[test]
    fn a_type_has_a_family() {
        assert_eq!([family("UInt8"), family("Int64"), family("LargeUtf8")], ["Int", "Int", "Utf"]);
        assert_eq!([family("Timestamp(ns, \"UTC\")"), family("Utf8View")], ["Timestamp", "Utf"]);
    }
}
