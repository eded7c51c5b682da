//! `throng vacuum`: removes files that nobody needs.

use chrono::TimeDelta;
use clap::Args;
use serde_json::json;

use crate::error::{Error, Result};

use super::Outcome;
use super::args::{Global, checked};
use super::output::{Output, bytes, plural};

/// Remove files that no version of the store needs
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  throng vacuum --dry-run
  throng vacuum                       files replaced more than 7 days ago
  throng vacuum --older-than 1h       make sure that nobody reads an older version")]
pub struct VacuumArgs {
    /// How long files stay after they were replaced: 30m, 12h, 7d
    #[arg(long, default_value = "7d", value_name = "TIME", value_parser = checked(age))]
    older_than: TimeDelta,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(
    args: &VacuumArgs,
    global: &Global,
    output: &mut Output,
) -> Result<Outcome> {
    let engine = global.engine()?;
    output.set_root(engine.root());
    let done = engine.vacuum(args.older_than, args.dry_run).await?;
    let value = json!({"files": done.files, "bytes": done.bytes, "dry_run": args.dry_run});
    output.one(&value, |_| {
        let verb = if args.dry_run { "would remove" } else { "removed" };
        format!("{verb} {} ({})\n", plural(done.files, "file"), bytes(done.bytes))
    })?;
    Ok(Outcome::Done)
}

fn age(text: &str) -> Result<TimeDelta> {
    let wrong = || Error::input(format!("\"{text}\" is no age")).with_hint("write 30m, 12h or 7d");
    let text = text.trim();
    let split = text.len().saturating_sub(1);
    if !text.is_char_boundary(split) {
        return Err(wrong());
    }
    let (number, unit) = text.split_at(split);
    let number: i64 = number.parse().map_err(|_| wrong())?;
    let age = match unit {
        "s" => TimeDelta::try_seconds(number),
        "m" => TimeDelta::try_minutes(number),
        "h" => TimeDelta::try_hours(number),
        "d" => TimeDelta::try_days(number),
        _ => None,
    };
    age.filter(|age| *age >= TimeDelta::zero()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_units() {
        assert_eq!(age("7d").ok(), TimeDelta::try_days(7));
        assert_eq!(age("0s").ok(), Some(TimeDelta::zero()));
        for wrong in ["", "7", "d", "-1d", "7 weeks", "7é"] {
            assert!(age(wrong).is_err(), "{wrong}");
        }
    }
}
