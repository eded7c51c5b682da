//! `throng ls`: the segments.

use clap::Args;

use crate::engine::Listing;
use crate::error::Result;

use super::Outcome;
use super::args::Global;
use super::output::{Output, align_right, maybe_count, render, table};

/// List the segments
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  throng ls
  throng ls --format json | jq '.[] | select(.members > 1000) | .name'")]
pub struct LsArgs {}

pub(super) async fn run(_args: &LsArgs, global: &Global, output: &mut Output) -> Result<Outcome> {
    let engine = global.engine()?;
    output.set_root(engine.root());
    output.notes(&engine.notes());
    let segments = engine.list().await?;
    let is_told =
        segments.is_empty() && output.header("name,members,build,as_of,status,tags,description")?;
    if !is_told {
        output.list(&segments, text)?;
    }
    if segments.is_empty() {
        output
            .say("no segments yet: write a query that returns profile_id to sql/segments/NAME.sql");
    }
    Ok(Outcome::Done)
}

pub(super) fn text(segments: &[Listing]) -> String {
    let mut rows = table(&["segment", "members", "status", "as of", "tags", "description"]);
    for segment in segments {
        rows.add_row([
            segment.name.clone(),
            maybe_count(segment.members),
            segment.status.clone(),
            segment.as_of.clone().unwrap_or_else(|| "-".to_owned()),
            segment.tags.join(", "),
            segment.description.clone(),
        ]);
    }
    align_right(&mut rows, 1);
    render(&rows)
}
