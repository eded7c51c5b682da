//! `throng generate`: the demo's data alone.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::engine::demo::generate;
use crate::error::Result;

use super::Outcome;
use super::output::{Output, bytes, plural};
use super::progress::Bar;

/// Make the demo's data alone, as Parquet files
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  throng generate --profiles 1000000 --events 10000000 --out shop-data
  throng generate --profiles 1000 --events 20000 --seed 7 --out small

The same numbers and seed give the same files.")]
pub struct GenerateArgs {
    /// How many profiles
    #[arg(long, value_name = "N")]
    profiles: u32,
    /// How many events
    #[arg(long, value_name = "N")]
    events: u64,
    /// Another seed gives another shop
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// The folder for profiles.parquet and events/*.parquet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(super) fn run(args: &GenerateArgs, output: &Output) -> Result<Outcome> {
    let bar = Bar::counted(output, "making rows");
    let written = generate(args.profiles, args.events, args.seed, &args.out, &|done, total| {
        bar.set(done, total);
    })?;
    drop(bar);
    let value = json!({
        "profiles": written.profiles,
        "events": written.events,
        "bytes": written.bytes,
        "files": written.event_files.len() + 1,
        "out": args.out,
    });
    output.one(&value, |_| {
        format!(
            "{} and {} in {} ({})\n",
            plural(written.profiles, "profile"),
            plural(written.events, "event"),
            args.out.display(),
            bytes(written.bytes)
        )
    })?;
    Ok(Outcome::Done)
}
