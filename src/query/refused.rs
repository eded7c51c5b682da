//! Clauses that `DataFusion` parses and takes no notice of: an answer as if they were not there would be
//! another one than was asked for.

use std::ops::ControlFlow;

use datafusion::error::DataFusionError;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{TableFactor, Visit as _, Visitor};

use super::written::mentions;

/// Looks for TABLESAMPLE.
struct Samples;

impl Visitor for Samples {
    type Break = ();

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<()> {
        match table {
            TableFactor::Table { sample: Some(_), .. }
            | TableFactor::Derived { sample: Some(_), .. } => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Refuses `statement`, which is `text`, where a part of it would be ignored.
///
/// # Errors
/// Where there is one.
pub(super) fn check(statement: &Statement, text: &str) -> Result<(), DataFusionError> {
    // Most queries need not be walked through.
    if !mentions(text, "sample") {
        return Ok(());
    }
    let found = match statement {
        Statement::Statement(statement) => statement.visit(&mut Samples).is_break(),
        Statement::Explain(explain) => return check(&explain.statement, text),
        _ => false,
    };
    if !found {
        return Ok(());
    }
    Err(DataFusionError::Plan(
        "TABLESAMPLE is not supported; profile_id % 100 = 0 takes one profile in a hundred"
            .to_owned(),
    ))
}
