//! `throng sql`: a prompt, or statements through a pipe, over one warm session.
//!
//! - [`statements`]: lines become statements
//! - [`commands`]: what each statement does
//! - [`prompt`]: a terminal: lines typed, history, completion, Ctrl-C
//! - [`editor`], [`keys`]: the line that is being typed, and what the terminal sends

mod commands;
mod editor;
mod keys;
mod prompt;
mod statements;

use std::io::{BufRead as _, IsTerminal as _};

use clap::Args;

use crate::error::{Error, Result};
use crate::model::AsOf;

use super::Outcome;
use super::args::{Global, checked};
use super::output::Output;
use commands::{Next, Runner};
use statements::Statements;

/// Ask many questions of one warm session
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  throng sql                            a prompt; .help lists its commands
  throng sql < questions.sql            each statement, one after the other
  echo '.count vip' | throng sql --format json

A statement ends with a semicolon. What was read stays in memory, in half of --memory, so that a
question like the one before is answered at once. With --format json each answer is one line.")]
pub struct SqlArgs {
    /// What now() is [default: as_of in throng.toml, or the moment the session begins]
    #[arg(long, value_name = "TIME", value_parser = checked(AsOf::parse))]
    as_of: Option<AsOf>,
    /// End at the first statement that fails
    #[arg(long)]
    bail: bool,
}

pub(super) async fn run(args: &SqlArgs, global: &Global, output: &mut Output) -> Result<Outcome> {
    let engine = global.engine()?;
    output.set_root(engine.root());
    let session = engine.warm(args.as_of)?;
    let runner = Runner::new(engine, session, output.clone());
    // Elsewhere terminals do not send keys as bytes: lines are then those of the system.
    if cfg!(unix) && std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        return prompt::run(runner, output).await;
    }
    piped(runner, args.bail).await
}

/// Answers the statements of stdin, which is no terminal.
async fn piped(mut runner: Runner, bail: bool) -> Result<Outcome> {
    let mut statements = Statements::default();
    let mut outcome = Outcome::Done;
    loop {
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        let read = read.map_err(|e| Error::input(format!("stdin cannot be read: {e}")))?;
        let complete = match read {
            0 => statements.finish().into_iter().collect(),
            _ => statements.push(line.trim_end_matches(['\n', '\r'])),
        };
        for statement in complete {
            match runner.run(&statement).await? {
                Next::Quit => return Ok(outcome),
                Next::Failed => outcome = Outcome::Failed,
                Next::Done => {}
            }
            if bail && outcome == Outcome::Failed {
                return Ok(outcome);
            }
        }
        if read == 0 {
            return Ok(outcome);
        }
    }
}
