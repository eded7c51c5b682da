//! `throng status`: the store and what is in it.

use std::fmt::Write as _;

use clap::Args;

use crate::engine::StatusReport;
use crate::error::Result;

use super::Outcome;
use super::args::Global;
use super::output::{Output, align_right, bytes, count, render, table};

/// Show the store: version, tables, sizes
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  throng status
  throng status --format json | jq '.tables[] | {name, rows}'")]
pub struct StatusArgs {}

pub(super) async fn run(
    _args: &StatusArgs,
    global: &Global,
    output: &mut Output,
) -> Result<Outcome> {
    let engine = global.engine()?;
    output.set_root(engine.root());
    let status = engine.status().await?;
    if output.is_csv() {
        output.list(&status.tables, |_| String::new())?;
    } else {
        output.one(&status, text)?;
    }
    Ok(Outcome::Done)
}

fn text(status: &StatusReport) -> String {
    let mut out = format!(
        "store at {}: version {} ({}, {})\n\n",
        status.store, status.version, status.operation, status.committed_at
    );
    let mut rows = table(&["table", "rows", "files", "size"]);
    for table in &status.tables {
        rows.add_row([
            table.name.to_string(),
            count(table.rows),
            count(table.files),
            bytes(table.bytes),
        ]);
    }
    (1..=3).for_each(|column| align_right(&mut rows, column));
    let statuses: Vec<String> =
        status.segment_statuses.iter().map(|(s, n)| format!("{n} {s}")).collect();
    let _infallible = writeln!(out, "{}", render(&rows));
    let last = match status.last_build {
        0 => "no build yet".to_owned(),
        n => format!("last build {n}"),
    };
    let _infallible =
        writeln!(out, "{} segments ({}), {last}", status.segments, statuses.join(", "));
    out
}
