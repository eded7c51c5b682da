//! `throng build`: segments into memberships.

use clap::Args;
use serde_json::{Value, json};

use crate::engine::{BuildOptions, BuildReport, BuiltSegment, Status};
use crate::error::{Error, Result};
use crate::model::AsOf;

use super::Outcome;
use super::args::{Global, checked};
use super::output::{Output, align_right, duration, error_json, maybe_count, render, table};
use super::progress::Bar;

/// Evaluate segments and keep their memberships
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  throng build                         every segment whose inputs changed
  throng build vip 'win_*'             by name and by pattern
  throng build tag:email               by tag
  throng build +retargeting_mail       with the segments that it needs
  throng build newsletter_readers+     with the segments that need it
  throng build --as-of 2026-11-01      with now() pinned to a moment
  throng build --full                  also what did not change

A segment that fails keeps its last membership; the others are built, and the exit code is 1.")]
pub struct BuildArgs {
    /// Segments: names, patterns, tag:x, +name, name+ [default: all]
    #[arg(value_name = "SELECTOR")]
    selectors: Vec<String>,
    /// What now() is [default: as_of in throng.toml, or the clock]
    #[arg(long, value_name = "TIME", value_parser = checked(AsOf::parse))]
    as_of: Option<AsOf>,
    /// Evaluate segments even where nothing that they depend on changed
    #[arg(long)]
    full: bool,
}

pub(super) async fn run(args: BuildArgs, global: &Global, output: &mut Output) -> Result<Outcome> {
    let engine = global.engine()?;
    output.set_root(engine.root());
    output.notes(&engine.notes());
    let options = BuildOptions { selectors: args.selectors, as_of: args.as_of, full: args.full };
    let bar = Bar::counted(output, "building segments");
    let on_done = |done: usize, total: usize, _: &str| bar.set(done as u64, total as u64);
    let report = engine.build(&options, &on_done).await?;
    drop(bar);
    show(&report, output)
}

/// Writes what a build did; it failed where a segment did.
///
/// # Errors
/// Where stdout cannot be written.
pub(super) fn show(report: &BuildReport, output: &Output) -> Result<Outcome> {
    if output.is_json() {
        output.one(&to_json(report)?, |_| String::new())?;
    } else {
        if output.is_csv() {
            output.list(&report.segments.iter().map(row).collect::<Vec<_>>(), |_| String::new())?;
        } else {
            output.write(&text(report))?;
        }
        for segment in &report.segments {
            if let Some(error) = &segment.error {
                let error = error.clone().in_context(format!("segment {}", segment.name));
                output.error(&error);
            }
            for note in &segment.notes {
                output.say(format!("note: segment {} is empty: {note}", segment.name));
            }
        }
    }
    Ok(if report.is_good() { Outcome::Done } else { Outcome::Failed })
}

/// A line of CSV, with the same columns whatever became of the segment.
fn row(segment: &BuiltSegment) -> Value {
    json!({
        "name": segment.name,
        "status": segment.status,
        "members": segment.members,
        "entered": segment.entered,
        "exited": segment.exited,
        "elapsed_ms": segment.elapsed_ms,
        "evaluated": segment.evaluated,
        "notes": segment.notes.join("; "),
        "error": segment.error.as_ref().map(ToString::to_string),
    })
}

fn to_json(report: &BuildReport) -> Result<Value> {
    let segments = report.segments.iter().map(|segment| {
        let mut value =
            serde_json::to_value(segment).map_err(|e| Error::internal(e.to_string()))?;
        if let (Some(error), Value::Object(fields)) = (&segment.error, &mut value) {
            fields.insert("error".to_owned(), error_json(error));
        }
        Ok(value)
    });
    Ok(json!({
        "build": report.build,
        "as_of": report.as_of,
        "elapsed_ms": report.elapsed_ms,
        "segments": segments.collect::<Result<Vec<_>>>()?,
    }))
}

fn text(report: &BuildReport) -> String {
    let mut rows =
        table(&["segment", "status", "members", "entered", "exited", "evaluated", "time"]);
    let moved = |sign: &str, n: Option<u64>| match n {
        Some(0) | None => String::new(),
        Some(n) => format!("{sign}{}", super::output::count(n)),
    };
    for segment in &report.segments {
        let BuiltSegment { name, status, members, entered, exited, elapsed_ms, .. } = segment;
        let evaluated = match (status, segment.evaluated) {
            (_, Some(some)) => super::output::count(some),
            (Status::Built, None) => "all".to_owned(),
            _ => String::new(),
        };
        rows.add_row([
            name.clone(),
            status.as_str().to_owned(),
            maybe_count(*members),
            moved("+", *entered),
            moved("-", *exited),
            evaluated,
            duration(*elapsed_ms),
        ]);
    }
    (2..=6).for_each(|column| align_right(&mut rows, column));
    let statuses = report.segments.iter().map(|s| s.status.as_str());
    let mut tally = std::collections::BTreeMap::<&str, u64>::new();
    statuses.for_each(|s| *tally.entry(s).or_default() += 1);
    let tally: Vec<String> = tally.iter().map(|(status, n)| format!("{n} {status}")).collect();
    format!(
        "{}\nbuild {} as of {}: {} in {}\n",
        render(&rows),
        report.build,
        report.as_of,
        tally.join(", "),
        duration(report.elapsed_ms)
    )
}
