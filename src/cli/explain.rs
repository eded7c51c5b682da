//! `throng explain`: how a segment is evaluated.

use std::fmt::Write as _;

use clap::Args;

use crate::engine::{Explained, Steps};
use crate::error::Result;
use crate::model::AsOf;

use super::Outcome;
use super::args::{Global, checked};
use super::output::{Output, align_right, bytes, count, maybe_count, render, table};

/// Show how a segment or a query is evaluated, and what it shares with others
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  throng explain vip
  throng explain vip --passes          with the plan after each step of the compiler
  throng explain vip --format json | jq -r .set
  throng explain \"SELECT profile_id FROM events WHERE event = 'purchase'\"

The set is made of leaves: conditions on profiles, on events, on aggregates of events. A build
evaluates each leaf once, however many segments have it.")]
pub struct ExplainArgs {
    /// A segment's name, or a query that returns profile_id
    #[arg(value_name = "NAME|SQL")]
    what: String,
    /// Show the plan after each step of the compiler
    #[arg(long)]
    passes: bool,
    /// What now() is [default: as_of in throng.toml, or the clock]
    #[arg(long, value_name = "TIME", value_parser = checked(AsOf::parse))]
    as_of: Option<AsOf>,
}

pub(super) async fn run(
    args: &ExplainArgs,
    global: &Global,
    output: &mut Output,
) -> Result<Outcome> {
    let engine = global.engine()?;
    output.set_root(engine.root());
    let steps = if args.passes { Steps::Shown } else { Steps::Left };
    let explained = engine.explain(&args.what, args.as_of, steps).await?;
    output.one(&explained, text)?;
    Ok(Outcome::Done)
}

pub(super) fn text(explained: &Explained) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        let _infallible = writeln!(out, "{text}");
    };
    match (&explained.set, &explained.opaque) {
        (Some(set), _) => line(format!("{} = {set}\n", explained.name)),
        (None, why) => {
            let why = why.as_deref().unwrap_or("it is not compiled");
            line(format!("{} runs by itself as DataFusion runs it: {why}\n", explained.name));
        }
    }
    if !explained.leaves.is_empty() {
        let mut rows = table(&["leaf", "kind", "rows", "members", "shared with", "what it asks"]);
        for leaf in &explained.leaves {
            let shared = match leaf.shared_with.len() {
                0 => String::new(),
                1..=2 => leaf.shared_with.join(", "),
                n => format!("{} and {} more", leaf.shared_with[0], n - 1),
            };
            rows.add_row([
                leaf.leaf.clone(),
                leaf.kind.clone(),
                count(leaf.rows),
                maybe_count(leaf.members),
                shared,
                leaf.text.clone(),
            ]);
        }
        (2..=3).for_each(|column| align_right(&mut rows, column));
        line(render(&rows));
    }
    let cost = match (explained.bytes_read, explained.rows_read) {
        (Some(read), Some(rows)) => format!("; {} read, {} rows", bytes(read), count(rows)),
        _ => String::new(),
    };
    line(format!("{} members{cost}", count(explained.members)));
    for (step, plan) in &explained.steps {
        line(format!("\n{step}:\n{plan}"));
    }
    out
}
