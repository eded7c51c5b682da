//! `throng demo`: a made-up shop from nothing to a report.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Mutex;

use clap::Args;

use crate::engine::{BuiltSegment, DemoOptions, DemoReport, Stage, Status, demo};
use crate::error::Result;

use super::Outcome;
use super::args::Global;
use super::output::{
    Output, align_right, bytes, count, duration, maybe_count, plural, rate, render, table,
};
use super::progress::Bar;

/// Make a shop up, ingest it, build segments and export audiences
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  throng demo                                          1 million profiles, 10 million events
  throng demo --profiles 20000 --events 400000         a quick look
  throng demo --dir shop --seed 7                      another shop, elsewhere")]
pub struct DemoArgs {
    /// How many profiles
    #[arg(long, default_value_t = 1_000_000, value_name = "N")]
    profiles: u32,
    /// How many events
    #[arg(long, default_value_t = 10_000_000, value_name = "N")]
    events: u64,
    /// Another seed gives another shop
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// The project that is made
    #[arg(long, default_value = "throng-demo", value_name = "DIR")]
    dir: PathBuf,
}

pub(super) async fn run(args: &DemoArgs, global: &Global, output: &mut Output) -> Result<Outcome> {
    output.set_root(&args.dir);
    let options = DemoOptions {
        profiles: args.profiles,
        events: args.events,
        seed: args.seed,
        engine: global.engine_options(args.dir.clone()),
    };
    output.say(format!(
        "a shop with {} and {}, in {}",
        plural(u64::from(args.profiles), "profile"),
        plural(args.events, "event"),
        args.dir.display()
    ));
    let watch = Watch { output, bar: Mutex::new(None) };
    let report = demo::demo(&options, &|stage| watch.see(stage)).await?;
    drop(watch);
    output.one(&report, text)?;
    let good = report.build.is_good() && report.tests.iter().all(|t| t.passed);
    Ok(if good { Outcome::Done } else { Outcome::Failed })
}

/// Shows what the demo is doing.
struct Watch<'a> {
    output: &'a Output,
    bar: Mutex<Option<(&'static str, Bar)>>,
}

impl Watch<'_> {
    fn see(&self, stage: Stage) {
        let Ok(mut shown) = self.bar.lock() else { return };
        let mut counted = |name: &'static str, text: &str, done: u64, total: u64| {
            if shown.as_ref().is_none_or(|(shown, _)| *shown != name) {
                *shown = Some((name, Bar::counted(self.output, text)));
            }
            if let Some((_, bar)) = shown.as_ref() {
                bar.set(done, total);
            }
        };
        match stage {
            Stage::Making(done, total) => counted("making", "making rows", done, total),
            Stage::Building(done, total) => {
                counted("building", "building segments", done as u64, total as u64);
            }
            Stage::Ingesting(source, progress) => {
                *shown = None;
                *shown = Some(("ingesting", Bar::rows(self.output, &source, progress)));
            }
            Stage::Testing => *shown = Some(("testing", Bar::spinner(self.output, "testing"))),
            Stage::Matching => {
                *shown = Some(("matching", Bar::spinner(self.output, "finding look-alikes")));
            }
            Stage::Exporting => {
                *shown = Some(("exporting", Bar::spinner(self.output, "exporting")));
            }
        }
    }
}

fn text(report: &DemoReport) -> String {
    let mut out = String::new();
    let _infallible = writeln!(
        out,
        "\n1. Made a shop: {} of Parquet in {}",
        bytes(report.generated_bytes),
        duration(report.generate_ms)
    );
    out.push_str("\n2. Ingested it into the store\n");
    for source in &report.ingested {
        let _infallible = writeln!(
            out,
            "   {:<9} {:>11} rows in {:>8}  ({})",
            source.source,
            count(source.rows),
            duration(source.elapsed_ms),
            rate(source.rows, source.elapsed_ms)
        );
    }
    for table in &report.status.tables {
        if table.rows > 0 {
            let _infallible = writeln!(
                out,
                "   {:<12} {:>11} rows {:>9} in {}",
                table.name.as_str(),
                count(table.rows),
                bytes(table.bytes),
                plural(table.files, "file")
            );
        }
    }
    segments(&mut out, report);
    tests(&mut out, report);
    lookalikes(&mut out, report);
    out.push_str("\n6. Exported audiences\n");
    for export in &report.exports {
        let _infallible = writeln!(
            out,
            "   {:<46} {:>9} rows  {:>8}",
            export.file.display().to_string(),
            count(export.rows),
            bytes(export.bytes)
        );
    }
    let _infallible = write!(
        out,
        "\nDone in {}. Try next:\n  cd {}\n  throng ls\n  throng show win_back\n  throng lookalike win_back\n  \
         throng count \"SELECT profile_id FROM profiles WHERE plan = 'premium'\"\n  \
         throng query \"SELECT country, count(*) AS n FROM profiles JOIN segments.vip USING (profile_id) GROUP BY country ORDER BY n DESC LIMIT 5\"\n  \
         $EDITOR sql/segments/vip.sql && throng build vip+\n",
        duration(report.elapsed_ms),
        report.dir.display()
    );
    out
}

fn segments(out: &mut String, report: &DemoReport) {
    let profiles = report.status.tables.first().map_or(0, |t| t.rows);
    let _infallible = writeln!(
        out,
        "\n3. Built {} as roaring bitmaps in {}, as of {}",
        plural(report.build.segments.len() as u64, "segment"),
        duration(report.build.elapsed_ms),
        report.build.as_of
    );
    let mut sizes = table(&["   segment", "members", "share", "time"]);
    for segment in &report.build.segments {
        sizes.add_row([
            format!("   {}", segment.name),
            maybe_count(segment.members),
            share(segment, profiles),
            duration(segment.elapsed_ms),
        ]);
    }
    (1..=3).for_each(|column| align_right(&mut sizes, column));
    let _infallible = write!(out, "{}", render(&sizes));
    for segment in report.build.segments.iter().filter(|s| s.status != Status::Built) {
        let why = segment.error.as_ref().map(ToString::to_string).unwrap_or_default();
        let _infallible = writeln!(out, "   {} {}: {why}", segment.name, segment.status.as_str());
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share for people need not be exact")]
fn share(segment: &BuiltSegment, profiles: u64) -> String {
    let members = segment.members.unwrap_or(0) as f64;
    format!("{:.1}%", 100.0 * members / profiles.max(1) as f64)
}

fn lookalikes(out: &mut String, report: &DemoReport) {
    let Some(found) = &report.lookalike else {
        out.push_str("\n5. No look-alikes: the seed is too small in a shop of this size\n");
        return;
    };
    let found = &found.report;
    let _infallible = writeln!(
        out,
        "\n5. Found {} like {}, with a lift of {:.1}, in {}",
        plural(found.size, "profile"),
        found.seed,
        found.audience_lift.value,
        duration(found.elapsed_ms)
    );
    for factor in found.top_features.iter().take(4) {
        let _infallible = writeln!(out, "   {}", factor.reason);
    }
    if let Some(kept) = &found.audience {
        let _infallible =
            writeln!(out, "   kept as segment {}; see exports/{}.html", kept.name, kept.name);
    }
}

fn tests(out: &mut String, report: &DemoReport) {
    let passed = report.tests.iter().filter(|t| t.passed).count();
    let _infallible =
        writeln!(out, "\n4. Tested the data: {passed} of {} tests passed", report.tests.len());
    for test in report.tests.iter().filter(|t| !t.passed) {
        let _infallible = writeln!(out, "   {} failed: {}", test.name, plural(test.rows, "row"));
    }
}
