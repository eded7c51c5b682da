//! `throng query`: any SQL over the store.

use clap::Args;

use crate::error::Result;
use crate::model::AsOf;

use super::Outcome;
use super::args::{Global, checked};
use super::output::Output;

/// Run any SQL over the store
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  throng query \"SELECT event, count(*) AS n FROM events GROUP BY event ORDER BY n DESC\"
  throng query \"SELECT p.country, count(*) FROM profiles p JOIN segments.vip USING (profile_id) GROUP BY 1\"
  throng query \"SELECT * FROM builds\" --format csv > builds.csv

Tables: profiles, events, identifiers, memberships, builds, and segments.NAME for each built segment.")]
pub struct QueryArgs {
    /// The query
    sql: String,
    /// What now() is [default: as_of in throng.toml, or the clock]
    #[arg(long, value_name = "TIME", value_parser = checked(AsOf::parse))]
    as_of: Option<AsOf>,
}

pub(super) async fn run(args: &QueryArgs, global: &Global, output: &mut Output) -> Result<Outcome> {
    let engine = global.engine()?;
    output.set_root(engine.root());
    let (schema, batches) = engine.query(&args.sql, args.as_of).await?;
    output.batches(&schema, &batches)?;
    Ok(Outcome::Done)
}
