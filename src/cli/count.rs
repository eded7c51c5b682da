//! `throng count`: how many, now.

use clap::Args;
use serde_json::json;

use crate::error::Result;
use crate::model::AsOf;

use super::Outcome;
use super::args::{Global, checked};
use super::output::{Output, count};

/// Say how many profiles a segment or a query has now
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  throng count vip
  throng count \"SELECT profile_id FROM events WHERE event = 'purchase' AND ts >= now() - INTERVAL '30 days'\"
  throng count vip --as-of 2026-06-01

Nothing is kept: `throng build` does that.")]
pub struct CountArgs {
    /// A segment's name, or a query that returns profile_id
    #[arg(value_name = "NAME|SQL")]
    what: String,
    /// What now() is [default: as_of in throng.toml, or the clock]
    #[arg(long, value_name = "TIME", value_parser = checked(AsOf::parse))]
    as_of: Option<AsOf>,
}

pub(super) async fn run(args: &CountArgs, global: &Global, output: &mut Output) -> Result<Outcome> {
    let engine = global.engine()?;
    output.set_root(engine.root());
    let as_of = args.as_of;
    let members = engine.count(&args.what, as_of).await?;
    output.one(&json!({"members": members}), |_| format!("{}\n", count(members)))?;
    if members == 0 {
        for note in engine.doubts(&args.what, as_of).await? {
            output.say(format!("note: {note}"));
        }
    }
    Ok(Outcome::Done)
}
