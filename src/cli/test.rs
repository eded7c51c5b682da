//! `throng test`: the project's data tests.

use std::fmt::Write as _;

use clap::Args;
use serde_json::Value;

use crate::engine::TestOutcome;
use crate::error::{Error, Result};
use crate::model::AsOf;

use super::Outcome;
use super::args::{Global, checked};
use super::output::{Output, error_json, plural};

/// Run sql/tests: queries that must return no rows
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  throng test
  throng test && throng build      build only over data that is as it should be")]
pub struct TestArgs {
    /// What now() is [default: as_of in throng.toml, or the clock]
    #[arg(long, value_name = "TIME", value_parser = checked(AsOf::parse))]
    as_of: Option<AsOf>,
}

pub(super) async fn run(args: &TestArgs, global: &Global, output: &mut Output) -> Result<Outcome> {
    let engine = global.engine()?;
    output.set_root(engine.root());
    output.notes(&engine.notes());
    let outcomes = engine.test(args.as_of).await?;
    let values = outcomes.iter().map(to_json).collect::<Result<Vec<_>>>()?;
    output.list(&values, |_| text(&outcomes))?;
    if output.is_table() {
        for error in outcomes.iter().filter_map(|o| o.error.as_ref()) {
            output.error(error);
        }
    }
    let failed = outcomes.iter().any(|o| !o.passed);
    Ok(if failed { Outcome::Failed } else { Outcome::Done })
}

fn to_json(outcome: &TestOutcome) -> Result<Value> {
    let mut value = serde_json::to_value(outcome).map_err(|e| Error::internal(e.to_string()))?;
    if let (Some(error), Value::Object(fields)) = (&outcome.error, &mut value) {
        fields.insert("error".to_owned(), error_json(error));
    }
    Ok(value)
}

fn text(outcomes: &[TestOutcome]) -> String {
    let mut out = String::new();
    for outcome in outcomes {
        let verdict = match (&outcome.error, outcome.rows) {
            (Some(_), _) => "cannot run".to_owned(),
            (None, 0) => "passed".to_owned(),
            (None, rows) => format!("FAILED, {}", plural(rows, "offending row")),
        };
        let _infallible = writeln!(out, "{:<32} {verdict}", outcome.name);
    }
    let passed = outcomes.iter().filter(|o| o.passed).count();
    let _infallible = writeln!(out, "\n{passed} of {} tests passed", outcomes.len());
    out
}
