//! `throng export`: a segment's members in a file.

use std::path::PathBuf;

use clap::Args;

use crate::engine::{ExportFormat, ExportRequest, Exported, Ids};
use crate::error::Result;

use super::Outcome;
use super::args::Global;
use super::output::{Output, bytes, plural};

/// Write a segment's members to a file: ids, or a bitmap
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  throng export vip --to vip.csv --as csv --ids user_id
  throng export vip --to vip-mail.ndjson --as ndjson --ids email
  throng export vip --to vip.parquet --as parquet
  throng export vip --to vip.roaring --as roaring         portable 32-bit roaring of profile_ids

Formats: csv, ndjson, parquet, arrow (lists of ids); roaring, roaring64 (bitmaps of profile_ids).")]
pub struct ExportArgs {
    /// The segment
    name: String,
    /// The file; it is replaced if it is there
    #[arg(long, value_name = "PATH")]
    to: PathBuf,
    /// csv, ndjson, parquet, arrow, roaring or roaring64
    #[arg(long = "as", value_name = "FORMAT")]
    file_format: String,
    /// Which ids: profile_id, or a namespace such as user_id or email
    #[arg(long, default_value = "profile_id", value_name = "profile_id|NAMESPACE")]
    ids: String,
}

pub(super) async fn run(
    args: &ExportArgs,
    global: &Global,
    output: &mut Output,
) -> Result<Outcome> {
    let engine = global.engine()?;
    output.set_root(engine.root());
    let request = ExportRequest {
        name: args.name.clone(),
        to: args.to.clone(),
        format: ExportFormat::parse(&args.file_format)?,
        ids: Ids::parse(&args.ids)?,
    };
    let exported = engine.export(&request).await?;
    output.one(&exported, text)?;
    if exported.without_identifier > 0 {
        output.say(format!(
            "note: {} of {} have no {} and are not in the file",
            plural(exported.without_identifier, "member"),
            exported.members,
            args.ids
        ));
    }
    Ok(Outcome::Done)
}

fn text(exported: &Exported) -> String {
    format!(
        "{}: {} to {} ({})\n",
        exported.name,
        plural(exported.rows, "row"),
        exported.file.display(),
        bytes(exported.bytes)
    )
}
