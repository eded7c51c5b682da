//! `throng profile-of`: what the members of a segment are like.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::engine::insight::bars;
use crate::engine::{Attribute, Composition, Measure};
use crate::error::Result;

use super::Outcome;
use super::args::Global;
use super::output::{Output, align_right, count, render, table};
use super::overlap::{picture, save};

/// Show what a segment's members are like, against all profiles
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  throng profile-of vip
  throng profile-of vip --by country,plan --base newsletter_readers
  throng profile-of vip --plot vip.svg

An index of 200: the value is twice as frequent among members as in the base. Attributes in which
nearly every profile differs are left out unless --by names them.")]
pub struct ProfileOfArgs {
    /// The segment
    segment: String,
    /// The attributes [default: all that tell groups apart]
    #[arg(long, value_name = "COLUMN,..", value_delimiter = ',')]
    by: Vec<String>,
    /// Compare with this segment, instead of all profiles
    #[arg(long, value_name = "SEGMENT")]
    base: Option<String>,
    /// Values of each attribute
    #[arg(long, default_value_t = 10, value_name = "N")]
    top: usize,
    /// Draw bars of the values, as .svg or .html
    #[arg(long, value_name = "FILE", value_parser = picture)]
    plot: Option<PathBuf>,
}

/// A line of the CSV.
#[derive(Debug, Default, Serialize)]
struct Line {
    attribute: String,
    value: Option<String>,
    quantile: Option<String>,
    members: Option<u64>,
    share: Option<f64>,
    base_members: Option<u64>,
    base_share: Option<f64>,
    index: Option<f64>,
    members_at: Option<String>,
    base_at: Option<String>,
}

pub(super) async fn run(
    args: &ProfileOfArgs,
    global: &Global,
    output: &mut Output,
) -> Result<Outcome> {
    let engine = global.engine()?;
    output.set_root(engine.root());
    let found = engine.profile_of(&args.segment, args.base.as_deref(), &args.by, args.top).await?;
    if output.is_csv() {
        output.list(&lines(&found), |_| String::new())?;
    } else {
        output.one(&found, text)?;
    }
    if !found.left_out.is_empty() {
        output.say(format!("left out, since nearly all differ: {}", found.left_out.join(", ")));
    }
    if let Some(file) = &args.plot {
        save(file, &bars(&found)?)?;
    }
    Ok(Outcome::Done)
}

fn lines(found: &Composition) -> Vec<Line> {
    let of = |attribute: &Attribute| {
        let named = || Line { attribute: attribute.attribute.clone(), ..Line::default() };
        let values = attribute.values.iter().map(|v| Line {
            value: v.value.clone(),
            members: Some(v.members),
            share: Some(v.share),
            base_members: Some(v.base_members),
            base_share: Some(v.base_share),
            index: v.index,
            ..named()
        });
        let quantiles = attribute.quantiles.iter().map(|q| Line {
            quantile: Some(q.quantile.clone()),
            members_at: q.members.as_ref().map(shown),
            base_at: q.base.as_ref().map(shown),
            ..named()
        });
        values.chain(quantiles).collect::<Vec<_>>()
    };
    found.attributes.iter().flat_map(of).collect()
}

fn text(found: &Composition) -> String {
    let mut all = format!(
        "{}: {} members of {} {}\n",
        found.segment,
        count(found.members),
        count(found.base_members),
        found.base
    );
    for attribute in &found.attributes {
        all.push('\n');
        all.push_str(&if attribute.quantiles.is_empty() {
            values(attribute)
        } else {
            quantiles(attribute)
        });
    }
    all
}

fn values(attribute: &Attribute) -> String {
    let mut rows = table(&[attribute.attribute.as_str(), "members", "share", "base", "index"]);
    for value in &attribute.values {
        rows.add_row([
            value.value.clone().unwrap_or_else(|| "(unknown)".to_owned()),
            count(value.members),
            format!("{:.1} %", 100.0 * value.share),
            format!("{:.1} %", 100.0 * value.base_share),
            value.index.map_or_else(|| "-".to_owned(), |index| format!("{index:.0}")),
        ]);
    }
    (1..5).for_each(|column| align_right(&mut rows, column));
    let more = attribute.distinct.saturating_sub(attribute.values.len() as u64);
    let note = if more > 0 { format!("{} more values\n", count(more)) } else { String::new() };
    render(&rows) + &note
}

fn quantiles(attribute: &Attribute) -> String {
    let names = attribute.quantiles.iter().map(|q| q.quantile.as_str());
    let header: Vec<&str> = std::iter::once(attribute.attribute.as_str()).chain(names).collect();
    let mut rows = table(&header);
    let dash = || "-".to_owned();
    let members = attribute.quantiles.iter().map(|q| q.members.as_ref().map_or_else(dash, brief));
    rows.add_row(std::iter::once("members".to_owned()).chain(members));
    let base = attribute.quantiles.iter().map(|q| q.base.as_ref().map_or_else(dash, brief));
    rows.add_row(std::iter::once("base".to_owned()).chain(base));
    (1..header.len()).for_each(|column| align_right(&mut rows, column));
    render(&rows)
}

fn shown(measure: &Measure) -> String {
    match measure {
        Measure::Number(number) => number.to_string(),
        Measure::Moment(moment) => moment.clone(),
    }
}

/// A number with few decimals, or a day.
fn brief(measure: &Measure) -> String {
    match measure {
        Measure::Number(number) if number.fract() == 0.0 => number.to_string(),
        Measure::Number(number) => format!("{number:.2}"),
        Measure::Moment(moment) => moment.chars().take(10).collect(),
    }
}
