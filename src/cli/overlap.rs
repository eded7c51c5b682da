//! `throng overlap`: members in common of every two segments.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::engine::insight::heat_map;
use crate::engine::{InsightOptions, Overlap};
use crate::error::{Error, Result};

use super::Outcome;
use super::args::Global;
use super::output::{Output, align_right, count, render, table};

/// Compare segments two by two: members in common, Jaccard, lift, containment
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  throng overlap vip newsletter_readers at_risk
  throng overlap 'tag:value' --measure jaccard
  throng overlap --base reachable_by_email --plot overlap.svg
  throng overlap --format csv > pairs.csv          one line for every two segments

Segments as for `throng build`; without any, all that were built. A row of containment tells how much
of it is in each column. A lift of 2: members of the one are in the other twice as often as anybody.")]
pub struct OverlapArgs {
    /// Names, patterns, tag:x, +name, name+
    segments: Vec<String>,
    /// Compare within this segment, instead of all profiles
    #[arg(long, value_name = "SEGMENT")]
    base: Option<String>,
    /// What the table shows; JSON and CSV have all
    #[arg(long, value_enum, default_value_t, value_name = "MEASURE")]
    measure: Measure,
    /// Draw a heat map of the Jaccard index, as .svg or .html
    #[arg(long, value_name = "FILE", value_parser = picture)]
    plot: Option<PathBuf>,
}

/// A measure of two segments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Measure {
    /// Members in common.
    #[default]
    Members,
    /// Members in common, of those in either.
    Jaccard,
    /// How much more often members of one are in the other than anybody.
    Lift,
    /// The share of the row's members that is in the column.
    Containment,
}

/// Segments that a table has columns for; more are listed in pairs.
const COLUMNS_MAX: usize = 12;
/// Pairs that a list shows.
const PAIRS_MAX: usize = 40;

pub(super) async fn run(
    args: &OverlapArgs,
    global: &Global,
    output: &mut Output,
) -> Result<Outcome> {
    let engine = global.engine()?;
    output.set_root(engine.root());
    let options = InsightOptions { segments: args.segments.clone(), base: args.base.clone() };
    let overlap = engine.overlap(&options).await?;
    if output.is_csv() {
        output.list(&overlap.pairs(), |_| String::new())?;
    } else {
        output.one(&overlap, |overlap| text(overlap, args.measure))?;
    }
    if let Some(file) = &args.plot {
        save(file, &heat_map(&overlap)?)?;
    }
    Ok(Outcome::Done)
}

/// The file of a picture, as `--plot` names it.
pub(super) fn picture(file: &str) -> std::result::Result<PathBuf, String> {
    let file = PathBuf::from(file);
    match file.extension().and_then(|ending| ending.to_str()) {
        Some("svg" | "html") => Ok(file),
        _ => Err("pictures are drawn as SVG: name a file that ends in .svg or .html".to_owned()),
    }
}

/// Writes a picture: alone, or on a page.
pub(super) fn save(file: &std::path::Path, picture: &str) -> Result<()> {
    let page =
        format!("<!DOCTYPE html>\n<meta charset=\"utf-8\">\n<title>Throng</title>\n{picture}");
    let is_page = file.extension().is_some_and(|ending| ending == "html");
    std::fs::write(file, if is_page { &page } else { picture })
        .map_err(|e| Error::io("write", file, e))
}

fn text(overlap: &Overlap, measure: Measure) -> String {
    let all = if overlap.segments.len() <= COLUMNS_MAX {
        matrix(overlap, measure)
    } else {
        pairs(overlap)
    };
    format!("{all}within {}: {}\n", overlap.base, count(overlap.base_members))
}

fn matrix(overlap: &Overlap, measure: Measure) -> String {
    let names = overlap.segments.iter().map(String::as_str);
    let header: Vec<&str> = std::iter::once("segment").chain(names).collect();
    let mut rows = table(&header);
    for (a, name) in overlap.segments.iter().enumerate() {
        let cell = |b: usize| match measure {
            Measure::Members => count(overlap.intersections[a][b]),
            Measure::Jaccard => format!("{:.3}", overlap.jaccard[a][b]),
            Measure::Lift => lift(overlap.lift[a][b]),
            Measure::Containment => format!("{:.3}", overlap.containment[a][b]),
        };
        let cells = (0..overlap.segments.len()).map(cell);
        rows.add_row(std::iter::once(name.clone()).chain(cells));
    }
    (1..header.len()).for_each(|column| align_right(&mut rows, column));
    render(&rows)
}

fn pairs(overlap: &Overlap) -> String {
    let mut rows = table(&["segment", "and", "both", "jaccard", "lift", "a in b", "b in a"]);
    let pairs = overlap.pairs();
    for pair in pairs.iter().take(PAIRS_MAX) {
        rows.add_row([
            pair.a.clone(),
            pair.b.clone(),
            count(pair.both),
            format!("{:.3}", pair.jaccard),
            lift(pair.lift),
            format!("{:.3}", pair.a_in_b),
            format!("{:.3}", pair.b_in_a),
        ]);
    }
    (2..7).for_each(|column| align_right(&mut rows, column));
    let more = pairs.len().saturating_sub(PAIRS_MAX);
    let note = if more > 0 {
        format!("{} more pairs (--format csv has all)\n", count(more as u64))
    } else {
        String::new()
    };
    render(&rows) + &note
}

fn lift(lift: Option<f64>) -> String {
    lift.map_or_else(|| "-".to_owned(), |lift| format!("{lift:.2}"))
}
