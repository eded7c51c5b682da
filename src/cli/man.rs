//! `throng man`: the manual page.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _};

use crate::error::{Error, Result};

use super::Outcome;
use super::args::Cli;
use super::output::Output;

/// Print the manual page, or write one for each command
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  throng man | man -l -
  throng man --dir /usr/local/share/man/man1")]
pub struct ManArgs {
    /// Write a page for each command to this folder
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn run(args: &ManArgs, output: &Output) -> Result<Outcome> {
    let command = Cli::command();
    if let Some(dir) = &args.dir {
        std::fs::create_dir_all(dir).map_err(|e| Error::io("make", dir, e))?;
        clap_mangen::generate_to(command, dir).map_err(|e| Error::io("write to", dir, e))?;
        return Ok(Outcome::Done);
    }
    let mut bytes = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut bytes)
        .map_err(|e| Error::internal(format!("the manual page: {e}")))?;
    output.write(&String::from_utf8_lossy(&bytes))?;
    Ok(Outcome::Done)
}
