//! `throng lookalike`: the profiles most like a seed.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;

use crate::engine::{
    Explanation, Lock, LookalikeOptions, LookalikeReport, ReachAt, Report, Size, Standing,
};
use crate::error::Result;
use crate::model::AsOf;

use super::Outcome;
use super::args::{Global, checked};
use super::output::{Output, align_right, count, duration, plural, render, table};

/// Sizes that the table of reach shows; JSON and the page have all.
const SHARES_SHOWN: [f64; 6] = [0.01, 0.05, 0.1, 0.2, 0.3, 0.5];

/// Find the profiles most like those of a segment
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  throng lookalike vip                                    how good it would be, and why
  throng lookalike vip --as like_vip --size 5%            keep the audience as segments.like_vip
  throng lookalike vip --report like_vip.html --scores like_vip.parquet
  throng lookalike vip --min-lift 3 --exclude newsletter_readers --negatives refunders
  throng lookalike vip --save-model vip.json              and later: --model vip.json
  throng lookalike vip --why user_id=u17                  why that profile has its score

Models learn from the columns that the queries of sql/features return, or, where there are none, from what
profiles and events have (--show-features prints that SQL). A score is the share of candidates that lie below.")]
pub struct LookalikeArgs {
    /// The segment to learn from
    seed: String,
    /// Files of sql/features to learn from; `default` is the recipe without SQL [default: all of them]
    #[arg(long, value_delimiter = ',', value_name = "NAME,..")]
    features: Vec<String>,
    /// Members, or a share of the candidates [default: 10%]
    #[arg(long, value_name = "N|P%", conflicts_with_all = ["min_lift", "min_score"])]
    #[arg(value_parser = checked(Size::parse))]
    size: Option<Size>,
    /// The largest audience whose lift on held-out seeds is at least this
    #[arg(long, value_name = "LIFT", conflicts_with = "min_score")]
    min_lift: Option<f64>,
    /// Everybody whose score is at least this, 0 to 1
    #[arg(long, value_name = "SCORE")]
    min_score: Option<f64>,
    /// Keep the audience as this segment
    #[arg(long = "as", value_name = "NAME")]
    keep_as: Option<String>,
    /// What `throng build` keeps when it refreshes the audience: reach learns anew and keeps the size,
    /// score keeps the model and the lowest score
    #[arg(long, value_name = "reach|score", default_value = "reach", hide_default_value = true)]
    #[arg(value_parser = ["reach", "score"], requires = "keep_as")]
    lock: String,
    /// Segments whose members may not be in the audience
    #[arg(long, value_delimiter = ',', value_name = "SEGMENT,..")]
    exclude: Vec<String>,
    /// Segments whose members are known not to belong: refunders, churned
    #[arg(long, value_delimiter = ',', value_name = "SEGMENT,..")]
    negatives: Vec<String>,
    /// Columns not to learn from
    #[arg(long, value_delimiter = ',', value_name = "COLUMN,..")]
    exclude_columns: Vec<String>,
    /// Columns to learn from although a leak guard would leave them out
    #[arg(long, value_delimiter = ',', value_name = "COLUMN,..")]
    keep_columns: Vec<String>,
    /// Columns not to learn from, whose groups the report compares
    #[arg(long, value_delimiter = ',', value_name = "COLUMN,..")]
    sensitive: Vec<String>,
    /// Re-rank so that no group of this column is selected less than four fifths as often as another
    #[arg(long, value_name = "COLUMN")]
    four_fifths: Option<String>,
    /// Let the seed's members join the audience
    #[arg(long)]
    include_seed: bool,
    /// Score with this model file instead of learning
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Write the model to a file
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    save_model: Option<PathBuf>,
    /// Write everybody's scores as Parquet: profile_id, score, lift
    #[arg(long, value_name = "FILE")]
    scores: Option<PathBuf>,
    /// Write the report as an HTML page
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Explain the score of one profile
    #[arg(long, value_name = "PROFILE_ID|NAMESPACE=VALUE")]
    why: Option<String>,
    /// Print the SQL of the features, and do nothing else
    #[arg(long)]
    show_features: bool,
    /// What now() is [default: as_of in throng.toml, or the clock]
    #[arg(long, value_name = "TIME", value_parser = checked(AsOf::parse))]
    as_of: Option<AsOf>,
}

impl LookalikeArgs {
    fn size(&self) -> Result<Size> {
        match (self.size, self.min_lift, self.min_score) {
            (Some(size), ..) => Ok(size),
            (None, Some(lift), _) => Size::lift(lift),
            (None, None, Some(score)) => Size::score(score),
            (None, None, None) => Ok(Size::DEFAULT),
        }
    }
}

pub(super) async fn run(
    args: &LookalikeArgs,
    global: &Global,
    output: &mut Output,
) -> Result<Outcome> {
    let engine = global.engine()?;
    output.set_root(engine.root());
    if args.show_features {
        for (name, sql) in engine.feature_queries(&args.features).await? {
            output.write(&format!("-- {name}\n{}\n\n", sql.trim()))?;
        }
        return Ok(Outcome::Done);
    }
    let asked = Standing {
        features: args.features.clone(),
        size: args.size()?,
        exclude: args.exclude.clone(),
        negatives: args.negatives.clone(),
        exclude_columns: args.exclude_columns.clone(),
        keep_columns: args.keep_columns.clone(),
        sensitive: args.sensitive.clone(),
        four_fifths: args.four_fifths.clone(),
        include_seed: args.include_seed,
        ..Standing::new(args.seed.as_str())
    };
    let options = LookalikeOptions {
        keep_as: args.keep_as.clone(),
        model: args.model.clone(),
        lock: if args.lock == "score" { Lock::Score } else { Lock::Reach },
        save_model: args.save_model.clone(),
        scores: args.scores.clone(),
        report: args.report.clone(),
        explain: args.why.clone(),
        as_of: args.as_of,
        ..LookalikeOptions::of(asked)
    };
    let report = engine.lookalike(&options).await?;
    output.one(&report, text)?;
    for note in &report.report.notes {
        output.say(format!("note: {note}"));
    }
    Ok(Outcome::Done)
}

fn text(report: &LookalikeReport) -> String {
    let mut out = String::new();
    let found = &report.report;
    let _infallible = writeln!(
        out,
        "Look-alikes of {}: {} among {}, as of {}\n",
        found.seed,
        plural(found.seeds, "seed"),
        plural(found.candidates, "candidate"),
        found.as_of
    );
    let m = &found.metrics;
    let _infallible = writeln!(
        out,
        "  held-out seeds   AUC {:.3}, average precision {:.3}, lift {:.1} at 1 %, {:.1} at 5 %, {:.1} at 10 %",
        m.auc, m.average_precision, m.lift.at_1, m.lift.at_5, m.lift.at_10
    );
    let _infallible = writeln!(
        out,
        "  audience         {} with a lift of {:.1} ({:.1} to {:.1}), scores from {:.3}",
        plural(found.size, "member"),
        found.audience_lift.value,
        found.audience_lift.low,
        found.audience_lift.high,
        found.threshold
    );
    let _infallible = writeln!(out, "  model            {}", found.model);
    if !found.reused.is_empty() {
        let names = found.reused.join(", ");
        let _infallible = writeln!(out, "  features         encoded already: {names}");
    }
    if let Some(stability) = &found.stability {
        let _infallible = writeln!(
            out,
            "  stability        two half seeds share {:.0} % of their best tenth",
            stability.overlap_share * 100.0
        );
    }
    details(&mut out, found);
    if let Some(explanation) = &report.explanation {
        why(&mut out, explanation);
    }
    out.push('\n');
    if let Some(kept) = &found.audience {
        let _infallible = writeln!(
            out,
            "{}: build {}, {} members, +{} -{}",
            kept.name,
            kept.build,
            count(found.size),
            count(kept.entered),
            count(kept.exited)
        );
    }
    for file in &report.files {
        let _infallible = writeln!(out, "wrote {}", file.display());
    }
    let _infallible = writeln!(out, "done in {}", duration(found.elapsed_ms));
    out
}

fn details(out: &mut String, found: &Report) {
    reach(out, &found.reach);
    out.push_str("\nWhat sets the seed apart\n");
    if found.top_features.is_empty() {
        out.push_str("  no single feature\n");
    }
    for factor in found.top_features.iter().take(8) {
        let _infallible = writeln!(out, "  {}", factor.reason);
    }
    for fair in &found.fairness {
        let _infallible = writeln!(
            out,
            "\n{}: lowest ratio of selection rates {:.2}, {}; re-ranking {} {:.1} % of the seeds found",
            fair.column,
            fair.lowest_ratio,
            if fair.four_fifths { "within four fifths" } else { "below four fifths" },
            if fair.reranked { "cost" } else { "would cost" },
            fair.reranking_cost * 100.0
        );
    }
    if !found.left_out.is_empty() {
        out.push_str("\nLeft out\n");
        for column in &found.left_out {
            let _infallible = writeln!(out, "  {}: {}", column.column, column.why);
        }
    }
}

fn reach(out: &mut String, reach: &[ReachAt]) {
    let mut shown = table(&["  size", "of all", "lift", "band", "seeds found"]);
    let near = |r: &&ReachAt| SHARES_SHOWN.iter().any(|share| (r.share - share).abs() < 1e-9);
    for r in reach.iter().filter(near) {
        shown.add_row([
            format!("  {}", count(r.size)),
            format!("{:.0} %", r.share * 100.0),
            format!("{:.2}", r.lift.value),
            format!("{:.2} to {:.2}", r.lift.low, r.lift.high),
            format!("{:.0} %", r.seed_share * 100.0),
        ]);
    }
    (1..5).for_each(|column| align_right(&mut shown, column));
    let _infallible = write!(out, "\n{}", render(&shown));
}

pub(super) fn why(out: &mut String, explanation: &Explanation) {
    let _infallible = writeln!(
        out,
        "\nProfile {} ({}): score {:.4}, lift {:.1}, {} the audience",
        explanation.profile_id,
        explanation.role,
        explanation.score,
        explanation.lift,
        if explanation.member { "in" } else { "not in" }
    );
    for part in &explanation.contributions {
        let seed = if part.lift > 0.0 {
            format!(" ({:.1}x in the seed)", part.lift)
        } else {
            String::new()
        };
        let _infallible =
            writeln!(out, "  {:+.2}  {} is {}{seed}", part.contribution, part.feature, part.value);
    }
}
