//! `throng export`: a segment's members in a file.

use std::path::PathBuf;

use clap::Args;

use crate::engine::{Engine, ExportFormat, ExportRequest, Exported, Ids};
use crate::error::{Error, Result};

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
  throng export vip --to - --as csv | wc -l
  throng export vip --to vip.roaring --as roaring         portable 32-bit roaring of profile_ids

Lists of ids: csv, ndjson, parquet, arrow. Bitmaps: roaring, roaring64, clickhouse, clickhouse64,
clickhouse-sql, clickhouse64-sql, starrocks (also doris), postgres, postgres64, elasticsearch,
elasticsearch64, druid, pinot, databricks, matrixone.")]
pub struct ExportArgs {
    /// The segment
    name: String,
    /// The file; it is replaced if it is there. - is stdout
    #[arg(long, value_name = "PATH")]
    to: PathBuf,
    /// csv, ndjson, parquet, arrow, or a bitmap format
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
    if args.to.as_os_str() == "-" {
        return to_stdout(&engine, request, output).await;
    }
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
    if let Some(dictionary) = &exported.dictionary {
        output.say(format!(
            "note: {} is no number, so the bitmap holds profile_ids; {} has both",
            args.ids,
            dictionary.file.display()
        ));
    }
    Ok(Outcome::Done)
}

/// Through a file, so that what is written is whole even where the reader is slow.
async fn to_stdout(
    engine: &Engine,
    mut request: ExportRequest,
    output: &Output,
) -> Result<Outcome> {
    let name = format!("throng-export-{}", std::process::id());
    request.to = std::env::temp_dir().join(name);
    let exported = engine.export(&request).await?;
    let bytes = std::fs::read(&request.to).map_err(|e| Error::io("read", &request.to, e))?;
    std::fs::remove_file(&request.to).map_err(|e| Error::io("remove", &request.to, e))?;
    if let Some(dictionary) = exported.dictionary {
        std::fs::remove_file(&dictionary.file)
            .map_err(|e| Error::io("remove", &dictionary.file, e))?;
        let namespace = dictionary.namespace;
        return Err(Error::input(format!(
            "a bitmap of profile_ids needs a file for its dictionary of {namespace}"
        ))
        .with_hint("name a file with --to, or leave --ids out"));
    }
    output.write_bytes(&bytes)?;
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
