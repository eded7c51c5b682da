//! The command and its global flags, as typed; and the engine that they open.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::engine::{Engine, EngineOptions, parse_bytes};
use crate::error::{Error, Result};
use crate::model::AsOf;

/// SQL in, audiences out: customer segments as roaring bitmaps, from SQL files.
#[derive(Debug, Parser)]
#[command(
    name = "throng",
    version,
    propagate_version = true,
    after_help = "\
Examples:
  throng demo                     a made-up shop, from data to audiences
  throng init shop && cd shop     a project of your own
  throng ingest                   run sql/sources
  throng build                    build every segment
  throng ls                       see their sizes
  throng export vip --to vip.csv --as csv --ids user_id"
)]
pub struct Cli {
    /// The flags of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The flags of every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The project's folder [default: the nearest one above with a throng.toml]
    #[arg(long, global = true, value_name = "DIR")]
    pub project: Option<PathBuf>,
    /// How results are written to stdout
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: OutputFormat,
    /// Say nothing but results and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Log what happens inside; twice for more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Threads to use [default: all cores]
    #[arg(long, global = true, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// Memory for queries and ingest, such as 2GB
    #[arg(long, global = true, value_name = "SIZE", value_parser = checked(parse_bytes))]
    pub memory: Option<usize>,
}

/// How results are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people.
    #[default]
    Table,
    /// One JSON value, or one a line.
    Json,
    /// A header and comma-separated lines.
    Csv,
}

/// What to do.
#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one of it in a process")]
pub enum Verb {
    /// Make a new project with commented examples
    Init(super::init::InitArgs),
    /// Make a shop up, ingest it, build segments and export audiences
    Demo(super::demo::DemoArgs),
    /// Make the demo's data alone, as Parquet files
    Generate(super::generate::GenerateArgs),
    /// Bring files into the store: run sql/sources, or name files
    Ingest(super::ingest::IngestArgs),
    /// Evaluate segments and keep their memberships
    Build(super::build::BuildArgs),
    /// List the segments
    Ls(super::ls::LsArgs),
    /// Show one segment: its SQL, what it needs, its last build
    Show(super::show::ShowArgs),
    /// Show how a segment or a query is evaluated, and what it shares with others
    Explain(super::explain::ExplainArgs),
    /// Say why a profile is in a segment, or is not
    Why(super::why::WhyArgs),
    /// Say how many profiles a segment or a query has now
    Count(super::count::CountArgs),
    /// Run any SQL over the store
    Query(super::query::QueryArgs),
    /// Ask many questions of one warm session
    Sql(super::sql::SqlArgs),
    /// Show what past builds made of a segment
    History(super::history::HistoryArgs),
    /// Say how a segment changed between two builds
    Diff(super::diff::DiffArgs),
    /// Find the profiles most like those of a segment
    Lookalike(Box<super::lookalike::LookalikeArgs>),
    /// Write members to files: ids, or bitmaps of many engines
    Export(super::export::ExportArgs),
    /// Make a segment of a list of ids or a bitmap from elsewhere
    Import(super::import::ImportArgs),
    /// Compare segments two by two: members in common, Jaccard, lift, containment
    Overlap(super::overlap::OverlapArgs),
    /// Say whom segments reach together, and in which order each adds most
    Reach(super::reach::ReachArgs),
    /// Show what a segment's members are like, against all profiles
    ProfileOf(super::profile_of::ProfileOfArgs),
    /// Run sql/tests: queries that must return no rows
    Test(super::test::TestArgs),
    /// Lay the store's files out anew where many small ones came together
    Optimize(super::optimize::OptimizeArgs),
    /// Remove files that no version of the store needs
    Vacuum(super::vacuum::VacuumArgs),
    /// Show the store: version, tables, sizes
    Status(super::status::StatusArgs),
    /// Print completions for a shell
    Completions(super::completions::CompletionsArgs),
    /// Print the manual page, or write one for each command
    Man(super::man::ManArgs),
}

impl Global {
    /// What these flags tell an engine that works in `root`.
    pub fn engine_options(&self, root: PathBuf) -> EngineOptions {
        let cloud = ["AWS_", "GOOGLE_", "AZURE_"];
        let storage = std::env::vars()
            .filter(|(name, _)| cloud.iter().any(|prefix| name.starts_with(prefix)))
            .map(|(name, value)| (name.to_lowercase(), value))
            .collect();
        EngineOptions {
            root,
            threads: self.threads,
            memory_bytes: self.memory,
            storage,
            now: clock(),
        }
    }

    /// The engine of the project that these flags name.
    ///
    /// # Errors
    /// Where there is no project, or its configuration is wrong.
    pub fn engine(&self) -> Result<Engine> {
        let root = match &self.project {
            Some(root) => root.clone(),
            None => Engine::find(&working_folder()?)?,
        };
        Engine::open(self.engine_options(root))
    }
}

/// What time it is.
pub fn clock() -> AsOf {
    AsOf::from(chrono::Utc::now())
}

/// The folder that the command was called in.
///
/// # Errors
/// Where it was removed.
pub fn working_folder() -> Result<PathBuf> {
    std::env::current_dir().map_err(|e| Error::unavailable(format!("no working folder: {e}")))
}

/// A value that `parse` reads, for clap: what it cannot read is a wrong command line, and the hints
/// stand behind the message.
pub fn checked<T>(
    parse: fn(&str) -> Result<T>,
) -> impl Fn(&str) -> std::result::Result<T, String> + Clone + Send + Sync + 'static
where
    T: 'static,
{
    move |text| {
        parse(text).map_err(|error| {
            let hints = error.hints().iter().map(|hint| format!("\nhint: {hint}"));
            format!("{}{}", error.message(), hints.collect::<String>())
        })
    }
}
