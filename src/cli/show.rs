//! `throng show`: one segment, whole.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use clap::Args;

use crate::engine::Shown;
use crate::error::Result;

use super::Outcome;
use super::args::Global;
use super::output::{Output, maybe_count};

/// Show one segment: its SQL, what it needs, its last build
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  throng show vip
  throng show vip --format json | jq -r .sql")]
pub struct ShowArgs {
    /// The segment
    name: String,
}

pub(super) async fn run(args: &ShowArgs, global: &Global, output: &mut Output) -> Result<Outcome> {
    let engine = global.engine()?;
    output.set_root(engine.root());
    output.one(&engine.show(&args.name).await?, text)?;
    Ok(Outcome::Done)
}

fn text(shown: &Shown) -> String {
    let listing = &shown.listing;
    // A segment that no SQL defines has neither file nor text.
    let place = if shown.file.is_empty() { &listing.status } else { &shown.file };
    let mut out = format!("{}  ({place})\n", listing.name);
    let mut line = |what: &str, value: String| {
        if !value.is_empty() {
            let _infallible = writeln!(out, "  {what:<12} {value}");
        }
    };
    line("description", listing.description.clone());
    line("owner", shown.owner.clone().unwrap_or_default());
    line("tags", listing.tags.join(", "));
    line("status", listing.status.clone());
    line("members", maybe_count(listing.members));
    line("build", listing.build.map(|b| b.to_string()).unwrap_or_default());
    line("as of", listing.as_of.clone().unwrap_or_default());
    line("needs", shown.depends_on.join(", "));
    line("needed by", shown.dependants.join(", "));
    let reads: BTreeSet<&str> =
        shown.leaves.iter().flat_map(|leaf| &leaf.reads).map(String::as_str).collect();
    line("reads", reads.into_iter().collect::<Vec<_>>().join(", "));
    line("error", shown.error.clone().unwrap_or_default());
    if !shown.sql.is_empty() {
        let _infallible = write!(out, "\n{}\n", shown.sql.trim_end());
    }
    out
}
