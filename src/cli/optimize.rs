//! `throng optimize`: many small files into few sorted ones.

use std::fmt::Write as _;

use clap::Args;

use crate::engine::Optimized;
use crate::error::Result;

use super::Outcome;
use super::args::Global;
use super::output::{Output, bytes, plural};
use super::progress::Bar;

/// Lay the store's files out anew where many small ones came together
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  throng optimize
  throng optimize && throng vacuum       and remove the replaced files once they are old enough

Answers do not change, only what they cost.")]
pub struct OptimizeArgs {}

pub(super) async fn run(
    _args: &OptimizeArgs,
    global: &Global,
    output: &mut Output,
) -> Result<Outcome> {
    let engine = global.engine()?;
    output.set_root(engine.root());
    let bar = Bar::spinner(output, "laying files out anew");
    let done = engine.optimize().await?;
    drop(bar);
    if done.is_empty()
        && output.header("table,files_before,files_after,bytes_before,bytes_after")?
    {
        return Ok(Outcome::Done);
    }
    output.list(&done, text)?;
    Ok(Outcome::Done)
}

fn text(done: &[Optimized]) -> String {
    if done.is_empty() {
        return "nothing to do: every table is well laid out\n".to_owned();
    }
    let mut out = String::new();
    for table in done {
        let _infallible = writeln!(
            out,
            "{}: {} became {}, {} became {}",
            table.table,
            plural(table.files_before, "file"),
            table.files_after,
            bytes(table.bytes_before),
            bytes(table.bytes_after)
        );
    }
    out
}
