//! `throng import`: ids and bitmaps from elsewhere as a static segment.

use std::fmt::Write as _;

use clap::Args;

use crate::engine::{Engine, ExportFormat, Ids, ImportOptions, ImportReport};
use crate::error::Result;

use super::Outcome;
use super::args::{Global, checked, working_folder};
use super::output::{Output, count, duration, plural};

/// Make a segment of a list of ids or a bitmap from elsewhere
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  throng import seed seed.csv --as csv --ids email
  throng import seed ids.txt --as csv --ids user_id --no-header
  throng import best crm.parquet --as parquet --ids user_id --column customer_id
  throng import from_clickhouse state.bin --as clickhouse64 --ids user_id
  throng query \"SELECT count(*) FROM segments.seed\"

Ids that no profile has are counted and kept in rejects/NAME.csv. A second import under the same
name replaces the members and keeps the history. Formats: those of `throng export`.")]
pub struct ImportArgs {
    /// The segment that it becomes
    name: String,
    /// The file
    file: String,
    /// csv, ndjson, parquet, arrow, or a bitmap format of `throng export`
    #[arg(long = "as", value_name = "FORMAT", value_parser = checked(ExportFormat::parse))]
    file_format: ExportFormat,
    /// Which ids it holds: profile_id, or a namespace such as user_id or email
    #[arg(long, value_name = "profile_id|NAMESPACE", value_parser = checked(Ids::parse))]
    ids: Ids,
    /// The column of ids [default: the one that is called as the ids are]
    #[arg(long, value_name = "NAME")]
    column: Option<String>,
    /// The first line of a CSV file is an id already
    #[arg(long)]
    no_header: bool,
}

pub(super) async fn run(
    args: &ImportArgs,
    global: &Global,
    output: &mut Output,
) -> Result<Outcome> {
    let engine: Engine = global.engine()?;
    output.set_root(engine.root());
    let options = ImportOptions {
        name: args.name.clone(),
        file: args.file.clone(),
        base: working_folder()?,
        format: args.file_format,
        ids: args.ids.clone(),
        column: args.column.clone(),
        header: args.no_header.then_some(false),
    };
    output.one(&engine.import(&options).await?, text)?;
    Ok(Outcome::Done)
}

fn text(report: &ImportReport) -> String {
    let mut text = format!(
        "{}: {} of {} in build {} ({})\n",
        report.name,
        plural(report.members, "member"),
        plural(report.ids, "id"),
        report.build,
        duration(report.elapsed_ms)
    );
    for (reason, ids) in report.reject_reasons.iter().take(3) {
        let _infallible = writeln!(text, "  rejected {}: {reason}", count(*ids));
    }
    if let Some(file) = &report.rejects_file {
        let _infallible = writeln!(text, "  see {}", file.display());
    }
    text
}
