//! The report as one HTML page: no script, no font, nothing loaded from elsewhere. Plots are SVG.

use std::fmt::Write as _;

use super::lift::{Banded, ReachAt};
use super::report::Report;

/// The size of a plot, in pixels.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 300.0;
/// The room for its labels.
const MARGIN: f64 = 48.0;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2430}\
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.2rem}table{border-collapse:collapse;width:100%}\
td,th{padding:.25rem .6rem;text-align:right;border-bottom:1px solid #e3e7ee}\
td:first-child,th:first-child{text-align:left}.big{display:flex;gap:2rem;flex-wrap:wrap}\
.big div{min-width:8rem}.big b{display:block;font-size:1.7rem}.bar{background:#3f6fb5;height:.7rem;display:inline-block}\
.soft{color:#5b6675}.warn{background:#fff4d6;padding:.5rem .8rem;border-left:4px solid #e0a100}svg{max-width:100%;height:auto}\
@media(prefers-color-scheme:dark){body{background:#14181f;color:#dfe5ee}td,th{border-color:#2c3442}.warn{background:#3a3216}}";

/// The page of `report`.
pub fn page(report: &Report) -> String {
    let mut out = String::with_capacity(32_768);
    let title = format!("Look-alikes of {}", report.seed);
    let _infallible = write!(
        out,
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>{0}</title><style>{STYLE}</style><h1>{0}</h1>",
        escape(&title)
    );
    headline(&mut out, report);
    for note in &report.notes {
        let _infallible = write!(out, "<p class=warn>{}</p>", escape(note));
    }
    reach(&mut out, report);
    quality(&mut out, report);
    factors(&mut out, report);
    fairness(&mut out, report);
    left_out(&mut out, report);
    let _infallible = write!(
        out,
        "<p class=soft>{} features; {}; as of {}; {} ms.</p></html>",
        report.features,
        escape(&report.model),
        escape(&report.as_of),
        report.elapsed_ms
    );
    out
}

fn headline(out: &mut String, report: &Report) {
    let mut one = |what: &str, value: String| {
        let _infallible = write!(out, "<div><b>{}</b>{what}</div>", escape(&value));
    };
    one("seeds", report.seeds.to_string());
    one("candidates", report.candidates.to_string());
    one("in the audience", report.size.to_string());
    one("lift of the audience", format!("{:.1}x", report.audience_lift.value));
    let rest = std::mem::take(out);
    let at = rest.find("<div><b>").unwrap_or(rest.len());
    out.push_str(&rest[..at]);
    let _infallible = write!(out, "<div class=big>{}</div>", &rest[at..]);
    if let Some(kept) = &report.audience {
        let _infallible = write!(
            out,
            "<p>Kept as segment <b>{}</b>, build {}: {} entered, {} exited.</p>",
            escape(&kept.name),
            kept.build,
            kept.entered,
            kept.exited
        );
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

fn band(banded: Banded) -> String {
    format!("{:.2} <span class=soft>({:.2} to {:.2})</span>", banded.value, banded.low, banded.high)
}

/// The place of a share on a logarithmic axis from .5 % to 100 %.
fn x(share: f64) -> f64 {
    let least = 0.005_f64;
    let part = (share.max(least) / least).ln() / (1.0 / least).ln();
    MARGIN + part * (WIDTH - 2.0 * MARGIN)
}

fn reach(out: &mut String, report: &Report) {
    out.push_str("<h2>Reach against lift</h2><p>How many times more frequent profiles like the seed are in an audience than among all candidates, by its size. Measured on seeds that the models never saw.</p>");
    let most = report.reach.iter().map(|r| r.lift.high).fold(1.0, f64::max);
    let y = |lift: f64| HEIGHT - MARGIN - lift / most * (HEIGHT - 1.5 * MARGIN);
    let _infallible = write!(
        out,
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=img aria-label=\"lift by size of the audience\">"
    );
    let point = |r: &ReachAt, lift: f64| format!("{:.1},{:.1}", x(r.share), y(lift));
    let upper = report.reach.iter().map(|r| point(r, r.lift.high));
    let lower = report.reach.iter().rev().map(|r| point(r, r.lift.low));
    let area: Vec<String> = upper.chain(lower).collect();
    let line: Vec<String> = report.reach.iter().map(|r| point(r, r.lift.value)).collect();
    let _infallible = write!(
        out,
        "<polygon points=\"{}\" fill=\"#3f6fb5\" opacity=\".18\"/><polyline points=\"{}\" fill=none stroke=\"#3f6fb5\" stroke-width=2 />",
        area.join(" "),
        line.join(" ")
    );
    let chosen = x(report.size as f64 / report.candidates.max(1) as f64);
    let _infallible = write!(
        out,
        "<line x1={chosen:.1} x2={chosen:.1} y1={:.1} y2={:.1} stroke=\"#c2532d\" stroke-dasharray=4 />",
        MARGIN / 2.0,
        HEIGHT - MARGIN
    );
    for share in [0.01, 0.05, 0.1, 0.2, 0.5, 1.0] {
        let _infallible = write!(
            out,
            "<text x={:.1} y={:.1} font-size=12 text-anchor=middle fill=currentColor>{} %</text>",
            x(share),
            HEIGHT - MARGIN / 2.0,
            share * 100.0
        );
    }
    for step in 1..=4 {
        let lift = most * f64::from(step) / 4.0;
        let _infallible = write!(
            out,
            "<text x={:.1} y={:.1} font-size=12 text-anchor=end fill=currentColor>{lift:.1}x</text>",
            MARGIN - 6.0,
            y(lift) + 4.0
        );
    }
    out.push_str(
        "</svg><table><tr><th>size<th>of the candidates<th>lift (95 % band)<th>seeds found</tr>",
    );
    for r in &report.reach {
        let _infallible = write!(
            out,
            "<tr><td>{}<td>{:.1} %<td>{}<td>{:.0} %</tr>",
            r.size,
            r.share * 100.0,
            band(r.lift),
            r.seed_share * 100.0
        );
    }
    out.push_str("</table>");
}

fn quality(out: &mut String, report: &Report) {
    let m = &report.metrics;
    let _infallible = write!(
        out,
        "<h2>How good it is</h2><table><tr><th>on held-out seeds<th>value (95 % band)</tr>\
         <tr><td>lift at 1 %<td>{}</tr><tr><td>lift at 5 %<td>{}</tr><tr><td>lift at 10 %<td>{}</tr>\
         <tr><td>ROC AUC<td>{}</tr><tr><td>average precision<td>{:.3}</tr>",
        band(m.lift_bands.at_1),
        band(m.lift_bands.at_5),
        band(m.lift_bands.at_10),
        band(m.auc_band),
        m.average_precision
    );
    if let Some(stability) = &report.stability {
        let _infallible = write!(
            out,
            "<tr><td>two half seeds agree on<td>{:.0} % of the best tenth <span class=soft>({:.0} % by chance)</span></tr>",
            stability.overlap_share * 100.0,
            stability.by_chance * 100.0
        );
    }
    out.push_str("</table>");
}

fn factors(out: &mut String, report: &Report) {
    out.push_str("<h2>What sets the seed apart</h2>");
    if report.top_features.is_empty() {
        out.push_str("<p>No single feature.</p>");
    }
    for factor in &report.top_features {
        let most = factor
            .buckets
            .iter()
            .flat_map(|b| [b.seed_share, b.audience_share, b.population_share])
            .fold(0.01, f64::max);
        let _infallible = write!(
            out,
            "<h3>{}</h3><table><tr><th>{}<th>seed<th>audience<th>all others<th>lift</tr>",
            escape(&factor.reason),
            escape(&factor.feature)
        );
        for bucket in &factor.buckets {
            let share = |share: f64| {
                format!(
                    "<span class=bar style=\"width:{:.1}rem\"></span> {:.1} %",
                    5.0 * share / most,
                    share * 100.0
                )
            };
            let _infallible = write!(
                out,
                "<tr><td>{}<td>{}<td>{}<td>{}<td>{:.1}x</tr>",
                escape(&bucket.bucket),
                share(bucket.seed_share),
                share(bucket.audience_share),
                share(bucket.population_share),
                bucket.lift
            );
        }
        out.push_str("</table>");
    }
}

fn fairness(out: &mut String, report: &Report) {
    for fair in &report.fairness {
        let verdict = if fair.four_fifths { "within four fifths" } else { "below four fifths" };
        let cost = if fair.reranked {
            format!(
                "Re-ranking to four fifths found {:.1} % fewer seeds.",
                fair.reranking_cost * 100.0
            )
        } else {
            format!(
                "Re-ranking to four fifths would find {:.1} % fewer seeds.",
                fair.reranking_cost * 100.0
            )
        };
        let _infallible = write!(
            out,
            "<h2>Who is selected, by {}</h2><p>Lowest ratio of selection rates: {:.2}, {verdict}. {cost}</p>\
             <table><tr><th>group<th>of the candidates<th>of the seed<th>of the audience<th>selection rate<th>ratio</tr>",
            escape(&fair.column),
            fair.lowest_ratio
        );
        for group in &fair.groups {
            let _infallible = write!(
                out,
                "<tr><td>{}<td>{:.1} %<td>{:.1} %<td>{:.1} %<td>{:.2} %<td>{:.2}</tr>",
                escape(&group.group),
                group.candidate_share * 100.0,
                group.seed_share * 100.0,
                group.audience_share * 100.0,
                group.selection_rate * 100.0,
                group.ratio
            );
        }
        out.push_str("</table>");
    }
}

fn left_out(out: &mut String, report: &Report) {
    if report.left_out.is_empty() {
        return;
    }
    out.push_str("<h2>Columns that were left out</h2><table><tr><th>column<th>why</tr>");
    for column in &report.left_out {
        let _infallible =
            write!(out, "<tr><td>{}<td>{}</tr>", escape(&column.column), escape(&column.why));
    }
    out.push_str("</table>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_out_of_the_page() {
        assert_eq!(escape("<b a=\"1\">&"), "&lt;b a=&quot;1&quot;&gt;&amp;");
    }

    #[test]
    fn the_axis_goes_from_half_a_percent_to_all() {
        assert!((x(0.005) - MARGIN).abs() < 1e-9 && (x(1.0) - (WIDTH - MARGIN)).abs() < 1e-9);
    }
}
