//! Windows over the rows of a profile, which a pass has sorted by profile and time: one walk each.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray as _, Int64Array, RecordBatch};
use arrow::datatypes::{Field, Int32Type, Schema};

use crate::error::{Error, Result};
use crate::model::tables;
use crate::query::df::{Column, Expr, Transformed, TransformedResult as _, TreeNode as _};

use super::super::program::{Span, WINDOW, WindowCall, Windowed};
use super::condition::{Columns, Value};
use super::plan::Work;
use super::shard::Shard;
use super::state::{from_integers, integers};
use super::words::Words;

/// The profiles with a row of `rows` that the conditions of `windowed` are true of. `rows` are
/// sorted by profile and time.
pub(super) fn profiles(
    work: &Work,
    shard: &Shard,
    windowed: &Windowed,
    rows: &RecordBatch,
) -> Result<Words> {
    let read = Columns::of(rows);
    let ids = read.column(tables::PROFILE_ID)?;
    let ids = ids.as_primitive_opt::<Int32Type>().ok_or_else(|| Error::data("ids"))?;
    let ids = &ids.values()[..];
    let mut fields: Vec<Field> =
        rows.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    let mut columns = rows.columns().to_vec();
    for (place, call) in windowed.windows.iter().enumerate() {
        let values = Value::new(&work.session, &call.value, &work.event_schema)?;
        let values = integers(&values.values(&read)?)?;
        let walked: ArrayRef = Arc::new(walked(call, ids, &values));
        fields.push(Field::new(window_name(place), call.data_type.clone(), true));
        columns.push(from_integers(&walked, &call.data_type)?);
    }
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns)
        .map_err(|e| Error::internal(format!("windows: {e}")))?;
    let read = Columns::of(&batch);
    let mut passing = Words::ones(batch.num_rows());
    for condition in &windowed.conditions {
        let condition = Value::new(&work.session, &named(condition)?, &schema)?;
        passing.and(&condition.is_true(&read)?.0);
    }
    let mut found = Words::zeros(shard.span);
    passing.each(|row| {
        if let Some(place) = shard.place(ids[row]) {
            found.set(place);
        }
    });
    Ok(found)
}

fn window_name(place: usize) -> String {
    format!("{WINDOW}.{place}")
}

/// `condition` with its windows under the names that their columns have.
fn named(condition: &Expr) -> Result<Expr> {
    condition
        .clone()
        .transform_up(|e| {
            Ok(match &e {
                Expr::Column(c) if c.relation.as_ref().is_some_and(|r| r.table() == WINDOW) => {
                    let name = format!("{WINDOW}.{}", c.name);
                    Transformed::yes(Expr::Column(Column::new_unqualified(name)))
                }
                _ => Transformed::no(e),
            })
        })
        .data()
        .map_err(|e| Error::internal(format!("a condition: {e}")))
}

/// For each row the least or greatest value of its profile, from it on or until it; null where
/// there is none.
fn walked(call: &WindowCall, ids: &[i32], values: &Int64Array) -> Int64Array {
    let mut results: Vec<Option<i64>> = vec![None; ids.len()];
    let mut best: Option<i64> = None;
    let mut profile = None;
    let mut step = |row: usize| {
        if profile != Some(ids[row]) {
            (profile, best) = (Some(ids[row]), None);
        }
        if values.is_valid(row) {
            let value = values.value(row);
            let better = |old: i64| if call.is_least { old.min(value) } else { old.max(value) };
            best = Some(best.map_or(value, better));
        }
        results[row] = best;
    };
    match call.span {
        Span::UntilHere => (0..ids.len()).for_each(&mut step),
        Span::FromHere => (0..ids.len()).rev().for_each(&mut step),
    }
    results.into_iter().collect()
}
