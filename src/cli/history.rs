//! `throng history`: what past builds made of a segment.

use clap::Args;

use crate::engine::HistoryEntry;
use crate::error::Result;

use super::Outcome;
use super::args::Global;
use super::output::{Output, align_right, duration, maybe_count, table};

/// Show what past builds made of a segment
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  throng history vip
  throng history vip --format csv > vip-history.csv")]
pub struct HistoryArgs {
    /// The segment
    name: String,
}

pub(super) async fn run(
    args: &HistoryArgs,
    global: &Global,
    output: &mut Output,
) -> Result<Outcome> {
    let engine = global.engine()?;
    output.set_root(engine.root());
    output.list(&engine.history(&args.name).await?, text)?;
    Ok(Outcome::Done)
}

fn text(entries: &[HistoryEntry]) -> String {
    let header = ["build", "as of", "status", "members", "entered", "exited", "time", "definition"];
    let mut rows = table(&header);
    for entry in entries {
        rows.add_row([
            entry.build.to_string(),
            entry.as_of.clone(),
            entry.status.as_str().to_owned(),
            maybe_count(entry.members),
            maybe_count(entry.entered),
            maybe_count(entry.exited),
            duration(entry.elapsed_ms),
            entry.definition.clone(),
        ]);
    }
    for column in [0, 3, 4, 5, 6] {
        align_right(&mut rows, column);
    }
    format!("{rows}\n")
}
