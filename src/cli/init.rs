//! `throng init`: a new project.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::engine::init;
use crate::error::Result;

use super::Outcome;
use super::output::Output;

/// Make a new project with commented examples
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  throng init shop        a folder shop with throng.toml, sql/sources, sql/segments, ...
  throng init .           the same in this folder")]
pub struct InitArgs {
    /// The project's folder; it is made if it is not there
    dir: PathBuf,
}

pub(super) fn run(args: &InitArgs, output: &Output) -> Result<Outcome> {
    let written = init(&args.dir)?;
    output.one(&json!({"project": args.dir, "files": written}), |_| {
        let files: Vec<String> = written.iter().map(|f| f.display().to_string()).collect();
        format!("made\n  {}\n", files.join("\n  "))
    })?;
    output.say(format!(
        "next: put files into {0}/data, look at {0}/sql/sources, then\n  cd {0} && throng ingest && throng build",
        args.dir.display()
    ));
    Ok(Outcome::Done)
}
