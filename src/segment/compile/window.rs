//! The next or the last time of something: MIN or MAX over the rows of a profile from the current
//! one on, or up to it. `DataFusion` has these too, a value at a time; a pass walks the rows once.

use crate::model::tables;
use crate::query::df::{
    Expr, ScalarValue, Window, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition,
};

use super::super::program::{EVENT, Leaf, SetExpr, Span, WINDOW, WindowCall, Windowed, reads_only};
use super::relation::{EventRows, Relation, Scope, column};
use super::{Compiler, Seen, is_profile_id, opaque};

impl Compiler<'_> {
    pub(super) fn windows(&mut self, node: &Window) -> Seen<Relation> {
        let Relation::Events(mut rows) = self.relation(&node.input)? else {
            return opaque("a window over something else than events");
        };
        if !rows.windows.is_empty() {
            return opaque("a window over a window");
        }
        let columns = rows.columns.clone();
        let scope = Scope { schema: node.input.schema(), columns: &columns };
        for (place, expression) in node.window_expr.iter().enumerate() {
            let field = node.schema.field(columns.len() + place);
            let call = read(expression, field.data_type().clone(), scope)?;
            rows.columns.push(Some(column(WINDOW, &rows.windows.len().to_string())));
            rows.windows.push(call);
        }
        Ok(Relation::Events(rows))
    }

    /// The profiles with a row for which the conditions behind the windows are true.
    pub(super) fn windowed(&mut self, rows: EventRows) -> SetExpr {
        let windowed = Windowed {
            rows: self.program.filter(rows.conditions),
            windows: rows.windows,
            conditions: rows.after,
        };
        let leaf = SetExpr::Leaf(self.program.leaf(Leaf::Windowed(windowed)));
        SetExpr::all([leaf].into_iter().chain(rows.among))
    }
}

fn read(
    expression: &Expr,
    data_type: arrow::datatypes::DataType,
    scope: Scope<'_>,
) -> Seen<WindowCall> {
    let unread = || opaque("a window that is not the least or greatest from here on or until here");
    let Expr::WindowFunction(call) = expression.clone().unalias() else { return unread() };
    let parameters = &call.params;
    let is_least = match &call.fun {
        WindowFunctionDefinition::AggregateUDF(function) if function.name() == "min" => true,
        WindowFunctionDefinition::AggregateUDF(function) if function.name() == "max" => false,
        _ => return unread(),
    };
    let unbounded = |value: &ScalarValue| value.is_null();
    let frame = &parameters.window_frame;
    let span = match (frame.units, &frame.start_bound, &frame.end_bound) {
        (
            WindowFrameUnits::Rows,
            WindowFrameBound::CurrentRow,
            WindowFrameBound::Following(end),
        ) if unbounded(end) => Span::FromHere,
        (
            WindowFrameUnits::Rows,
            WindowFrameBound::Preceding(start),
            WindowFrameBound::CurrentRow,
        ) if unbounded(start) => Span::UntilHere,
        _ => return unread(),
    };
    let ([value], [partition], [order]) =
        (&parameters.args[..], &parameters.partition_by[..], &parameters.order_by[..])
    else {
        return unread();
    };
    let order_by = scope.resolve(&order.expr)?;
    let is_ts = matches!(&order_by, Expr::Column(c) if c.name == tables::TS);
    let plain = parameters.filter.is_none()
        && parameters.null_treatment.is_none()
        && !parameters.distinct
        && order.asc
        && is_ts
        && is_profile_id(&scope.resolve(partition)?);
    let value = scope.resolve(value)?;
    let is_integer = data_type.is_integer()
        || matches!(
            data_type,
            arrow::datatypes::DataType::Timestamp(..) | arrow::datatypes::DataType::Date32
        );
    if !plain || !is_integer || value.is_volatile() || !reads_only(&value, EVENT) {
        return unread();
    }
    Ok(WindowCall { is_least, span, value, data_type })
}
