//! `in_segment('name')` in a condition: short for `profile_id IN (SELECT profile_id FROM
//! segments.name)`, and written out as that before a query is planned. So a query that uses it is
//! known to read the segment, and whoever reads plans needs to know nothing of it. With a second
//! argument, `in_segment('name', e.profile_id)`, it says which column is meant.

use std::ops::ControlFlow;

use datafusion::error::DataFusionError;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Query, SetExpr, Value,
    visit_expressions_mut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use crate::model::Name;
use crate::model::tables::PROFILE_ID;

/// The function's name.
const NAME: &str = "in_segment";

/// Writes out every `in_segment` of `statement`.
///
/// # Errors
/// Where one has no segment's name in quotes.
pub(super) fn written_out(statement: &mut Statement) -> Result<(), DataFusionError> {
    match statement {
        Statement::Statement(statement) => {
            let outcome =
                visit_expressions_mut(statement.as_mut(), |expression| match call(expression) {
                    Some(call) => match condition(call) {
                        Ok(condition) => {
                            *expression = condition;
                            ControlFlow::Continue(())
                        }
                        Err(error) => ControlFlow::Break(error),
                    },
                    None => ControlFlow::Continue(()),
                });
            match outcome {
                ControlFlow::Break(error) => Err(error),
                ControlFlow::Continue(()) => Ok(()),
            }
        }
        Statement::Explain(explain) => written_out(&mut explain.statement),
        _ => Ok(()),
    }
}

/// The call, where `expression` is one.
fn call(expression: &Expr) -> Option<&Function> {
    let Expr::Function(function) = expression else { return None };
    function.name.to_string().eq_ignore_ascii_case(NAME).then_some(function)
}

fn condition(call: &Function) -> Result<Expr, DataFusionError> {
    let wrong = || {
        DataFusionError::Plan(
            "in_segment takes the name of a segment in quotes, and a column where it is not profile_id: in_segment('vip')"
                .to_owned(),
        )
    };
    let FunctionArguments::List(list) = &call.args else { return Err(wrong()) };
    let arguments = list.args.iter().map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => Some(expression),
        _ => None,
    });
    let arguments = arguments.collect::<Option<Vec<_>>>().ok_or_else(wrong)?;
    let (name, column) = match arguments[..] {
        [name] => (name, Expr::Identifier(Ident::new(PROFILE_ID))),
        [name, column] => (name, column.clone()),
        _ => return Err(wrong()),
    };
    let Expr::Value(value) = name else { return Err(wrong()) };
    let Value::SingleQuotedString(name) = &value.value else { return Err(wrong()) };
    let name = Name::parse(name).map_err(|e| DataFusionError::Plan(e.message().to_owned()))?;
    let subquery = Box::new(members(&name)?);
    // In parentheses, so that NOT before it means all of it.
    Ok(Expr::Nested(Box::new(Expr::InSubquery {
        expr: Box::new(column),
        subquery,
        negated: false,
    })))
}

/// The query of a segment's members.
fn members(name: &Name) -> Result<Query, DataFusionError> {
    let sql = format!("SELECT {PROFILE_ID} FROM segments.\"{name}\"");
    let broken = |what: String| DataFusionError::Internal(format!("{sql}: {what}"));
    let mut statements =
        Parser::parse_sql(&GenericDialect {}, &sql).map_err(|e| broken(e.to_string()))?;
    match statements.pop() {
        Some(datafusion::sql::sqlparser::ast::Statement::Query(query))
            if matches!(*query.body, SetExpr::Select(_)) =>
        {
            Ok(*query)
        }
        _ => Err(broken("no query".to_owned())),
    }
}
