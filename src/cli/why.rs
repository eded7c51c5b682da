//! `throng why`: why a profile is in a segment, or is not.

use std::fmt::Write as _;

use clap::Args;

use crate::engine::Why;
use crate::error::Result;
use crate::model::AsOf;

use super::Outcome;
use super::args::{Global, checked};
use super::output::{Output, render, table};

/// Say why a profile is in a segment, or is not
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  throng why vip --user u-1042
  throng why vip --user email=ann@example.com      where the value alone is not clear
  throng why vip --user profile_id=821             the number that exports have without --ids
  throng why vip --user u-1042 --as-of 2026-06-01

Each leaf of the segment is true or false for the profile; the values that decide it stand beside.
Of an audience of look-alikes it tells the score, and what each feature adds to it.")]
pub struct WhyArgs {
    /// The segment
    name: String,
    /// An identifier of the profile, NAMESPACE=VALUE, or profile_id=N
    #[arg(long, value_name = "ID")]
    user: String,
    /// What now() is [default: as_of in throng.toml, or the clock]
    #[arg(long, value_name = "TIME", value_parser = checked(AsOf::parse))]
    as_of: Option<AsOf>,
}

pub(super) async fn run(args: &WhyArgs, global: &Global, output: &mut Output) -> Result<Outcome> {
    let engine = global.engine()?;
    output.set_root(engine.root());
    let why = engine.why(&args.name, &args.user, args.as_of).await?;
    output.one(&why, |why| text(why, &args.user))?;
    Ok(Outcome::Done)
}

fn text(why: &Why, user: &str) -> String {
    let is = if why.member { "is" } else { "is not" };
    let mut out = format!("{user} (profile {}) {is} in {}\n", why.profile_id, why.name);
    if let Some(explanation) = &why.lookalike {
        super::lookalike::why(&mut out, explanation);
        return out;
    }
    let Some(set) = &why.set else {
        out.push_str("The query is not made of leaves, so there is no more to say.\n");
        return out;
    };
    let _infallible = writeln!(out, "{} = {set}\n", why.name);
    let mut rows = table(&["leaf", "holds", "values", "what it asks"]);
    for leaf in &why.leaves {
        let holds = match leaf.holds {
            Some(true) => "yes",
            Some(false) => "no",
            None => "?",
        };
        let values: Vec<String> =
            leaf.values.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        rows.add_row([leaf.leaf.clone(), holds.to_owned(), values.join(", "), leaf.text.clone()]);
    }
    out.push_str(&render(&rows));
    out.push('\n');
    out
}
