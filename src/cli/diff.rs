//! `throng diff`: a segment between two builds.

use clap::Args;

use crate::engine::Diff;
use crate::error::Result;

use super::Outcome;
use super::args::Global;
use super::output::{Output, count};

/// Say how a segment changed between two builds
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  throng diff vip                                   the last change
  throng diff vip --from 3 --to 7
  throng export vip --changes-since 3 --to vip.csv --as csv --ids email     who they are")]
pub struct DiffArgs {
    /// The segment
    name: String,
    /// The older build [default: the one before the last change]
    #[arg(long, value_name = "BUILD")]
    from: Option<i64>,
    /// The newer build [default: the last one]
    #[arg(long, value_name = "BUILD")]
    to: Option<i64>,
}

pub(super) async fn run(args: &DiffArgs, global: &Global, output: &mut Output) -> Result<Outcome> {
    let engine = global.engine()?;
    output.set_root(engine.root());
    output.one(&engine.diff(&args.name, args.from, args.to).await?, text)?;
    Ok(Outcome::Done)
}

fn text(diff: &Diff) -> String {
    let before = match diff.from {
        Some(build) => format!("{} members in build {build}", count(diff.members_before)),
        None => "no membership before".to_owned(),
    };
    format!(
        "{}: {before}, {} in build {}\n  {} entered, {} exited, {} stayed\n",
        diff.name,
        count(diff.members),
        diff.to,
        count(diff.entered),
        count(diff.exited),
        count(diff.stayed)
    )
}
