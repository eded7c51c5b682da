//! The command line: parses what was typed, calls the engine, renders what it says.
//!
//! Results go to stdout, everything for people to stderr. Exit codes: 0 done, 1 failed, 2 usage.
//! Nothing here knows how anything is done.
//!
//! - [`args`]: the command and its global flags
//! - [`output`]: tables, JSON, CSV, numbers for people, errors
//! - [`progress`]: bars on a terminal, nothing in a pipe
//! - one file a verb: `init`, `demo`, `generate`, `ingest`, `build`, `ls`, `show`, `explain`, `why`, `count`, `query`, `sql`,
//!   `history`, `diff`, `lookalike`, `export`, `import`, `overlap`, `reach`, `profile-of`, `status`, `test`, `optimize`,
//!   `vacuum`, `completions`, `man`

#![expect(clippy::doc_markdown, reason = "doc comments of arguments are help texts")]

pub mod args;
pub mod output;
pub mod progress;

mod build;
mod completions;
mod count;
mod demo;
mod diff;
mod explain;
mod export;
mod generate;
mod history;
mod import;
mod ingest;
mod init;
mod lookalike;
mod ls;
mod man;
mod optimize;
mod overlap;
mod profile_of;
mod query;
mod reach;
mod show;
mod sql;
mod status;
mod test;
mod vacuum;
mod why;

use std::num::NonZeroUsize;
use std::process::ExitCode;

use clap::Parser as _;

use crate::error::{Error, Result};

use args::{Cli, Verb};
use output::Output;

/// Whether a command did all that it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Exit code 0.
    Done,
    /// It ran and said what is wrong: exit code 1.
    Failed,
}

/// Stack of a worker thread. `DataFusion` plans recurse; two megabytes are not enough for deep ones in
/// a build without optimisation.
const STACK_BYTES: usize = 16 << 20;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log(cli.global.verbose);
    let mut output = Output::new(cli.global.format, cli.global.quiet);
    match run(cli, &mut output) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::FAILURE,
        Err(error) => {
            output.error(&error);
            ExitCode::FAILURE
        }
    }
}

fn start_log(verbose: u8) {
    let level = match verbose {
        0 => "error",
        1 => "throng=info",
        2 => "throng=debug,deltalake_core=info",
        _ => "debug",
    };
    let filter = tracing_subscriber::EnvFilter::new(level);
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

fn run(cli: Cli, output: &mut Output) -> Result<Outcome> {
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let threads = cli.global.threads.unwrap_or(cores).get();
    // One more for the prompt: a join without a key keeps all others busy, and Ctrl-C must be heard.
    let spare = usize::from(matches!(cli.verb, Verb::Sql(_)));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads + spare)
        .enable_all()
        .thread_stack_size(STACK_BYTES)
        .build()
        .map_err(|e| Error::internal(format!("no threads: {e}")))?;
    // On a worker thread, since the main one has whatever stack the shell gave it.
    let mut task_output = output.clone();
    let task = async move { (dispatch(cli, &mut task_output).await, task_output) };
    let (outcome, told) = runtime
        .block_on(runtime.spawn(task))
        .map_err(|e| Error::internal(format!("the command stopped: {e}")))?;
    // A statement that was given up may still be busy, or memory that the system takes back anyway may not
    // be given back yet: nobody waits for that. The threads are not told to stop either, they end with the
    // process: glibc 2.36 was seen to crash where a thread is let go just as it ends, and a command that did
    // all it should seemed to have failed.
    std::mem::forget(runtime);
    // It knows the project's folder now, and so can show the line that an error is about.
    *output = told;
    outcome
}

async fn dispatch(cli: Cli, output: &mut Output) -> Result<Outcome> {
    let global = &cli.global;
    match cli.verb {
        Verb::Init(args) => init::run(&args, output),
        Verb::Demo(args) => demo::run(&args, global, output).await,
        Verb::Generate(args) => generate::run(&args, output),
        Verb::Ingest(args) => ingest::run(&args, global, output).await,
        Verb::Build(args) => build::run(args, global, output).await,
        Verb::Ls(args) => ls::run(&args, global, output).await,
        Verb::Show(args) => show::run(&args, global, output).await,
        Verb::Count(args) => count::run(&args, global, output).await,
        Verb::Query(args) => query::run(&args, global, output).await,
        Verb::Sql(args) => sql::run(&args, global, output).await,
        Verb::Explain(args) => explain::run(&args, global, output).await,
        Verb::Why(args) => why::run(&args, global, output).await,
        Verb::History(args) => history::run(&args, global, output).await,
        Verb::Diff(args) => diff::run(&args, global, output).await,
        Verb::Lookalike(args) => lookalike::run(&args, global, output).await,
        Verb::Export(args) => export::run(&args, global, output).await,
        Verb::Import(args) => import::run(&args, global, output).await,
        Verb::Overlap(args) => overlap::run(&args, global, output).await,
        Verb::Reach(args) => reach::run(&args, global, output).await,
        Verb::ProfileOf(args) => profile_of::run(&args, global, output).await,
        Verb::Test(args) => test::run(&args, global, output).await,
        Verb::Optimize(args) => optimize::run(&args, global, output).await,
        Verb::Vacuum(args) => vacuum::run(&args, global, output).await,
        Verb::Status(args) => status::run(&args, global, output).await,
        Verb::Completions(args) => completions::run(&args, output),
        Verb::Man(args) => man::run(&args, output),
    }
}
