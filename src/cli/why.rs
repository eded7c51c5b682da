//! `throng why`: why a profile is in a segment, or is not.

use std::fmt::Write as _;

use clap::Args;

use crate::engine::{LastBuild, Why};
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
The query is asked as it is written now, over the data of now; where the last build says otherwise, it tells.
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

/// What the last build says, where it says something else, and why it may.
fn told_by(last: &LastBuild, member: bool) -> String {
    if last.member == member {
        return String::new();
    }
    let has = if last.member { "has it" } else { "does not have it" };
    let since = if last.changed {
        ", and the query has changed since"
    } else {
        ": another moment, or data that came since"
    };
    format!("Build {} {has}, as of {}{since}.\n", last.build, last.as_of)
}

fn text(why: &Why, user: &str) -> String {
    let is = if why.member { "is" } else { "is not" };
    let mut out =
        format!("{user} (profile {}) {is} in {} as of {}\n", why.profile_id, why.name, why.as_of);
    if let Some(explanation) = &why.lookalike {
        super::lookalike::why(&mut out, explanation);
        return out;
    }
    if let Some(last) = &why.last_build {
        out.push_str(&told_by(last, why.member));
    }
    let Some(set) = &why.set else {
        let reason = why.opaque.as_deref().unwrap_or("it is one query");
        let _infallible = writeln!(
            out,
            "It has no leaves to tell from: DataFusion runs the query whole, since {reason}."
        );
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
