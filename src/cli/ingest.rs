//! `throng ingest`: files into the store.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use clap::{Args, Subcommand};

use crate::engine::{DirectSource, Ingested, Progress, RejectsMax};
use crate::error::{Error, Result};

use super::Outcome;
use super::args::{Global, checked, working_folder};
use super::output::{Output, count, duration, plural, rate};
use super::progress::Bar;

/// Bring files into the store: run sql/sources, or name files
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  throng ingest                      every source in sql/sources: profiles first, then events
  throng ingest orders               one of them
  throng ingest profiles data/customers.csv --key user_id=customer_id --key email
  throng ingest events 'data/orders/*.csv.gz' --key user_id=customer_id \\
      --time order_date --event \"'purchase'\"
  throng ingest events clicks.ndjson --key user_id --time at --event type

Rows that do not fit are kept in rejects/SOURCE.csv with file, line and reason. A file that was
ingested before changes nothing."
)]
pub struct IngestArgs {
    #[command(subcommand)]
    direct: Option<Direct>,
    /// Sources to run [default: all]
    #[arg(value_name = "SOURCE")]
    sources: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Direct {
    /// One row a profile: attributes are added or replaced
    Profiles(Files),
    /// One row an event: rows are added
    Events(EventFiles),
}

#[derive(Debug, Args)]
struct Files {
    /// Files and globs: CSV, NDJSON, Parquet, also .gz and .zst
    #[arg(value_name = "FILE")]
    paths: Vec<String>,
    /// Who a row is about; the first key decides, further ones are recorded as identifiers
    #[arg(long = "key", value_name = "NAMESPACE[=COLUMN]")]
    keys: Vec<String>,
    /// Rows that may be rejected: a share such as 5%, or a number
    #[arg(long, value_name = "N|P%", value_parser = checked(rejects))]
    rejects: Option<String>,
    #[command(flatten)]
    reading: Reading,
}

#[derive(Debug, Args)]
struct EventFiles {
    #[command(flatten)]
    files: Files,
    /// The column that holds the moment
    #[arg(long, default_value = "ts", value_name = "COLUMN")]
    time: String,
    /// The column that holds the event's name, or the name itself in quotes
    #[arg(long, default_value = "event", value_name = "COLUMN|'LITERAL'")]
    event: String,
}

/// How files are read; what is not said is found out from the file.
#[derive(Debug, Args)]
#[command(next_help_heading = "Reading")]
struct Reading {
    /// csv, ndjson or parquet
    #[arg(long, value_name = "FORMAT")]
    file_format: Option<String>,
    /// The character between fields: , ; | tab, or blanks
    #[arg(long, value_name = "CHAR")]
    delimiter: Option<String>,
    /// The quoting character, or none
    #[arg(long, value_name = "CHAR")]
    quote: Option<String>,
    /// Whether the first line names the columns: yes or none
    #[arg(long, value_name = "yes|none")]
    header: Option<String>,
    /// The names of the columns, in order
    #[arg(long, value_name = "NAME,...")]
    columns: Option<String>,
    /// Such as windows-1252
    #[arg(long)]
    encoding: Option<String>,
    /// The decimal mark: point or comma
    #[arg(long, value_name = "MARK")]
    decimal: Option<String>,
    /// The zone of times that name none, such as Europe/Berlin
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// Time formats, such as %d.%m.%Y
    #[arg(long, value_name = "FORMAT|...")]
    times: Option<String>,
    /// Spellings of a missing value
    #[arg(long, value_name = "TEXT,...")]
    nulls: Option<String>,
    /// Types of columns, such as "zip text, amount decimal(12,2)"
    #[arg(long, value_name = "COLUMN TYPE,...")]
    types: Option<String>,
}

impl Reading {
    fn options(&self) -> Vec<(String, String)> {
        [
            ("format", &self.file_format),
            ("delimiter", &self.delimiter),
            ("quote", &self.quote),
            ("header", &self.header),
            ("columns", &self.columns),
            ("encoding", &self.encoding),
            ("decimal", &self.decimal),
            ("timezone", &self.timezone),
            ("times", &self.times),
            ("nulls", &self.nulls),
            ("types", &self.types),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value.clone()?)))
        .collect()
    }
}

/// A limit on rejects that can be read.
fn rejects(text: &str) -> Result<String> {
    RejectsMax::parse(text).map(|_| text.to_owned())
}

pub(super) async fn run(
    args: &IngestArgs,
    global: &Global,
    output: &mut Output,
) -> Result<Outcome> {
    let engine = global.engine()?;
    output.set_root(engine.root());
    output.notes(&engine.notes());
    let bar = Mutex::new(None);
    let on_start = |source: &str, progress: Arc<Progress>| {
        if let Ok(mut bar) = bar.lock() {
            *bar = None;
            *bar = Some(Bar::rows(output, source, progress));
        }
    };
    let on_done = |ingested: &Ingested| {
        if let Ok(mut bar) = bar.lock() {
            *bar = None;
        }
        // A pipe that was closed must not undo what was ingested.
        if !output.is_csv() {
            let _nobody_listens = output.one(ingested, text);
        }
    };
    let sources = args.direct.as_ref().map_or(Some(args.sources.clone()), as_sources);
    let all = match (sources, &args.direct) {
        (None, Some(direct)) => {
            let source = direct_source(direct)?;
            let ingested = engine.ingest_files(&source, &on_start).await?;
            on_done(&ingested);
            vec![ingested]
        }
        (sources, _) => engine.ingest(&sources.unwrap_or_default(), &on_start, &on_done).await?,
    };
    if output.is_csv() {
        output.list(&all, |_| String::new())?;
    }
    Ok(Outcome::Done)
}

/// `throng ingest profiles events` names two sources: there are no keys.
fn as_sources(direct: &Direct) -> Option<Vec<String>> {
    let (name, files) = match direct {
        Direct::Profiles(files) => ("profiles", files),
        Direct::Events(events) => ("events", &events.files),
    };
    let sources = || std::iter::once(name.to_owned()).chain(files.paths.clone()).collect();
    files.keys.is_empty().then(sources)
}

fn direct_source(direct: &Direct) -> Result<DirectSource> {
    let (files, events) = match direct {
        Direct::Profiles(files) => (files, None),
        Direct::Events(events) => {
            (&events.files, Some((events.time.clone(), events.event.clone())))
        }
    };
    if files.paths.is_empty() {
        return Err(Error::input("no files are named")
            .with_hint("throng ingest profiles FILE... --key user_id"));
    }
    Ok(DirectSource {
        files: files.paths.clone(),
        base: working_folder()?,
        keys: files.keys.clone(),
        events,
        options: files.reading.options(),
        rejects: files.rejects.clone(),
    })
}

fn text(ingested: &Ingested) -> String {
    if ingested.already_ingested {
        return format!("{}: nothing new, all of it was ingested before\n", ingested.source);
    }
    let mut parts = vec![format!("{} rows", count(ingested.rows))];
    let mut add = |n: u64, what: &str| {
        if n > 0 {
            parts.push(format!("{} {what}", count(n)));
        }
    };
    add(ingested.events, "events");
    add(ingested.profiles_new, "new profiles");
    add(ingested.profiles_updated, "updated profiles");
    add(ingested.conflicts, "identifiers of other profiles (kept as conflicts)");
    add(ingested.rejected, "rejected");
    let mut text = format!(
        "{}: {} in {} ({})\n",
        ingested.source,
        parts.join(", "),
        duration(ingested.elapsed_ms),
        rate(ingested.rows, ingested.elapsed_ms)
    );
    if ingested.files_skipped > 0 {
        let _infallible =
            writeln!(text, "  {} skipped, ingested before", plural(ingested.files_skipped, "file"));
    }
    for (reason, rows) in ingested.reject_reasons.iter().take(3) {
        let _infallible = writeln!(text, "  rejected {}: {reason}", plural(*rows, "row"));
    }
    if let Some(file) = &ingested.rejects_file {
        let _infallible = writeln!(text, "  see {}", file.display());
    }
    text
}
