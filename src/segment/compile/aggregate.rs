//! Aggregates over a profile's events.

use arrow::datatypes::DataType;

use crate::query::df::{self, AggregateFunction, Case, Expr, ScalarValue};

use super::super::program::{
    AGGREGATE, Aggregate, EVENT, FilterId, Function, Leaf, SetExpr, reads_only,
};
use super::relation::{Columns, EventRows, ProfileRows, Scope, column};
use super::{Compiler, Seen, opaque};

impl Compiler<'_> {
    /// GROUP BY `profile_id`, and what else `keys` are, over rows of events.
    pub(super) fn aggregated(
        &mut self,
        node: &df::Aggregate,
        rows: &EventRows,
        (keys, scope): (Columns, Scope<'_>),
    ) -> Seen<ProfileRows> {
        let group = self.program.filter(rows.conditions.clone());
        let first = keys.len();
        let mut columns = keys;
        for (place, expression) in node.aggr_expr.iter().enumerate() {
            let data_type = node.schema.field(first + place).data_type();
            let (function, argument, own) = read(call(expression)?, data_type, scope)?;
            if !argument.iter().chain(&own).all(|e| reads_only(e, EVENT)) {
                return opaque("an aggregate is over columns of profiles");
            }
            let conditions = rows.conditions.iter().cloned().chain(own);
            let rows = self.program.filter(conditions.collect());
            let data_type = data_type.clone();
            let aggregate = Aggregate { group, rows, function, argument, data_type };
            columns.push(Some(self.reference(aggregate)));
        }
        let has_group = self.program.leaf(Leaf::Events(group));
        let mut among = vec![SetExpr::Leaf(has_group)];
        among.extend(rows.among.iter().cloned());
        Ok(ProfileRows { among, groups: vec![group], is_unique: true, columns })
    }

    fn reference(&mut self, aggregate: Aggregate) -> Expr {
        let id = self.program.aggregate(aggregate);
        column(AGGREGATE, &id.0.to_string())
    }

    /// The id of profiles that have the group, as a column that is null for the others.
    pub(super) fn group_id(&mut self, group: FilterId) -> Expr {
        self.reference(Aggregate {
            group,
            rows: group,
            function: Function::Id,
            argument: None,
            data_type: DataType::Int32,
        })
    }
}

fn call(expression: &Expr) -> Seen<&AggregateFunction> {
    match expression {
        Expr::AggregateFunction(call) => Ok(call),
        Expr::Alias(alias) => call(&alias.expr),
        other => opaque(format!("{other} is no aggregate")),
    }
}

/// What `call` computes: function, argument, and the conditions on rows that are its own.
fn read(
    call: &AggregateFunction,
    data_type: &DataType,
    scope: Scope<'_>,
) -> Seen<(Function, Option<Expr>, Vec<Expr>)> {
    let name = call.func.name();
    let parameters = &call.params;
    let [argument] = &parameters.args[..] else {
        return opaque(format!("{name} takes other than one argument"));
    };
    if !parameters.order_by.is_empty() || parameters.null_treatment.is_some() {
        return opaque(format!("{name} asks for an order"));
    }
    let mut argument = scope.resolve(argument)?;
    let mut own = Vec::new();
    if let Some(filter) = &parameters.filter {
        let filter = scope.resolve(filter)?;
        own.extend(df::split_conjunction(&filter).into_iter().cloned());
    }
    if argument.is_volatile() || own.iter().any(Expr::is_volatile) {
        return opaque("it has a random function");
    }
    let mut function = match (name, parameters.distinct) {
        ("count", false) => Function::Count,
        ("count", true) => Function::CountDistinct,
        ("sum", false) => Function::Sum,
        ("min", _) => Function::Min,
        ("max", _) => Function::Max,
        ("avg", false) if data_type == &DataType::Float64 => Function::Mean,
        _ => return opaque(format!("{name} is not compiled")),
    };
    // With a FILTER there may be no rows at all, and then the sum is null and no count.
    let is_count = function == Function::Sum && own.is_empty();
    if let Some((condition, value)) = counted(&argument).filter(|_| is_count) {
        own.extend(df::split_conjunction(&condition).into_iter().cloned());
        (function, argument) = (Function::Count, value);
    } else if let Some((condition, value)) = when_alone(&argument) {
        own.extend(df::split_conjunction(&condition).into_iter().cloned());
        argument = value;
    }
    if !is_kept(function, data_type) {
        return opaque(format!("{name} of {data_type} is not compiled"));
    }
    let constant = matches!(&argument, Expr::Literal(value, _) if !value.is_null());
    let argument = (function != Function::Count || !constant).then_some(argument);
    Ok((function, argument, own))
}

/// Whether the passes have a state for results of this type.
fn is_kept(function: Function, data_type: &DataType) -> bool {
    match function {
        Function::Count | Function::CountDistinct | Function::Id => true,
        Function::Sum => {
            matches!(data_type, DataType::Int64 | DataType::Float64 | DataType::Decimal128(..))
        }
        Function::Mean => data_type == &DataType::Float64,
        Function::Min | Function::Max => matches!(
            data_type,
            DataType::Int8
                | DataType::Int16
                | DataType::Int32
                | DataType::Int64
                | DataType::Float64
                | DataType::Decimal128(..)
                | DataType::Date32
                | DataType::Timestamp(..)
        ),
    }
}

/// `CASE WHEN c THEN 1 ELSE 0 END`, whose sum is the number of rows with c: the condition and the 1.
/// (A sum over a group that has rows is never null there.)
fn counted(argument: &Expr) -> Option<(Expr, Expr)> {
    let Expr::Case(Case { expr: None, when_then_expr, else_expr: Some(otherwise) }) = argument
    else {
        return None;
    };
    let [(when, then)] = &when_then_expr[..] else { return None };
    let is =
        |e: &Expr, n: i64| matches!(e, Expr::Literal(ScalarValue::Int64(Some(v)), _) if *v == n);
    (is(then, 1) && is(otherwise, 0)).then(|| (when.as_ref().clone(), then.as_ref().clone()))
}

/// `CASE WHEN c THEN x END`: the condition and x. Rows without c are null, and do not count.
fn when_alone(argument: &Expr) -> Option<(Expr, Expr)> {
    let Expr::Case(Case { expr: None, when_then_expr, else_expr }) = argument else { return None };
    let is_null = |e: &Expr| matches!(e, Expr::Literal(value, _) if value.is_null());
    if else_expr.as_deref().is_some_and(|e| !is_null(e)) {
        return None;
    }
    let [(when, then)] = &when_then_expr[..] else { return None };
    Some((when.as_ref().clone(), then.as_ref().clone()))
}
