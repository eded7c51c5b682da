//! `throng reach`: whom several segments reach together.

use std::path::PathBuf;

use clap::Args;

use crate::engine::insight::upset;
use crate::engine::{InsightOptions, Reach};
use crate::error::Result;

use super::Outcome;
use super::args::Global;
use super::output::{Output, align_right, count, render, table};
use super::overlap::{picture, save};

/// Say whom segments reach together, and in which order each adds most
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  throng reach vip newsletter_readers app_users
  throng reach 'tag:channel' --base dach_customers
  throng reach vip at_risk lapsed --plot reach.svg

Counts are exact. `added` are members that no segment before has, `only here` those that no other has.
JSON also has the groups: who is in which segments and in no others, for up to 12 segments.")]
pub struct ReachArgs {
    /// Names, patterns, tag:x, +name, name+
    segments: Vec<String>,
    /// Look within this segment, instead of all profiles
    #[arg(long, value_name = "SEGMENT")]
    base: Option<String>,
    /// Draw an UpSet plot, as .svg or .html
    #[arg(long, value_name = "FILE", value_parser = picture)]
    plot: Option<PathBuf>,
}

pub(super) async fn run(args: &ReachArgs, global: &Global, output: &mut Output) -> Result<Outcome> {
    let engine = global.engine()?;
    output.set_root(engine.root());
    let options = InsightOptions { segments: args.segments.clone(), base: args.base.clone() };
    let reach = engine.reach(&options).await?;
    if output.is_csv() {
        output.list(&reach.steps, |_| String::new())?;
    } else {
        output.one(&reach, text)?;
    }
    if let Some(file) = &args.plot {
        save(file, &upset(&reach)?)?;
    }
    Ok(Outcome::Done)
}

fn text(reach: &Reach) -> String {
    let mut rows = table(&["segment", "members", "only here", "added", "reach", "share"]);
    for step in &reach.steps {
        rows.add_row([
            step.segment.clone(),
            count(step.members),
            count(step.only_here),
            count(step.added),
            count(step.reach),
            format!("{:.1} %", 100.0 * step.share),
        ]);
    }
    (1..6).for_each(|column| align_right(&mut rows, column));
    format!(
        "{}{} of {} {} ({:.1} %)\n",
        render(&rows),
        count(reach.reach),
        count(reach.base_members),
        reach.base,
        100.0 * reach.share
    )
}
