//! What people read, kept in `tests/golden` and reviewed as diffs.
//!
//! `UPDATE_GOLDENFILES=1 cargo test --test it golden` writes them anew.

use std::path::Path;

use super::support::{Project, Run};

const VERBS: [&str; 26] = [
    "init",
    "demo",
    "generate",
    "ingest",
    "build",
    "ls",
    "show",
    "explain",
    "why",
    "count",
    "query",
    "sql",
    "history",
    "diff",
    "lookalike",
    "export",
    "import",
    "overlap",
    "reach",
    "profile-of",
    "test",
    "optimize",
    "vacuum",
    "status",
    "completions",
    "man",
];

/// `text` against the golden file `name`.
fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::vars_os().any(|(key, _)| key == "UPDATE_GOLDENFILES") {
        std::fs::write(&path, text).expect("written");
    }
    let golden = std::fs::read_to_string(&path).expect("a golden file");
    assert_eq!(text, golden, "{} is another text; see the head of golden.rs", path.display());
}

/// A command and all that it said, times blanked.
fn transcript(run: &Run) -> String {
    let mut text = format!("$ throng {}\n", run.args);
    for line in run.stdout.lines().chain(run.stderr.lines()) {
        text.push_str(&timeless(line));
        text.push('\n');
    }
    text + &format!("exit {}\n\n", run.code.unwrap_or(-1))
}

/// `line` without the time at its end, and the blanks before it: `12 ms`, `3.4 s`. A column of times is
/// as wide as the longest of them, so its header moves too.
fn timeless(line: &str) -> String {
    let line = line.trim_end();
    if let Some(header) = line.strip_suffix(" time") {
        return format!("{} time", header.trim_end());
    }
    let timed = line.strip_suffix(" ms").or_else(|| line.strip_suffix(" s"));
    let Some(rest) = timed else { return line.to_owned() };
    let number = rest.rfind(|c: char| !c.is_ascii_digit() && c != '.').map_or(0, |at| at + 1);
    if number == rest.len() {
        line.to_owned()
    } else {
        format!("{} TIME", rest[..number].trim_end())
    }
}

#[test]
fn times_are_blanked() {
    assert_eq!(timeless("vip  built  3  +3       12 ms"), "vip  built  3  +3 TIME");
    assert_eq!(timeless("build 1: 1 built in 1.2 s"), "build 1: 1 built in TIME");
    assert_eq!(timeless("segment  exited   time"), "segment  exited time");
    assert_eq!(timeless("segments"), "segments");
}

#[test]
fn help_texts() {
    let project = Project::empty_folder();
    let mut text = transcript(&project.ok(&["--help"]));
    for verb in VERBS {
        text.push_str(&transcript(&project.ok(&[verb, "--help"])));
    }
    for kind in ["profiles", "events"] {
        text.push_str(&transcript(&project.ok(&["ingest", kind, "--help"])));
    }
    check("help.txt", &text);
}

/// A shop with two good segments.
fn shop() -> Project {
    let project = Project::with_shop();
    project.segment("buyers", "-- description: Bought something in 2026\n-- owner: ann\n-- tags: value, base\nSELECT profile_id FROM events\nWHERE event = 'purchase'\n");
    project.segment("quiet", "-- description: Nothing in the last month\nSELECT profile_id FROM profiles\nEXCEPT\nSELECT profile_id FROM events WHERE ts >= now() - INTERVAL '30 days'\n");
    project.segment("quiet_buyers", "-- tags: value\nSELECT profile_id FROM segments.quiet\nINTERSECT\nSELECT profile_id FROM segments.buyers\n");
    project
}

#[test]
fn builds_and_segments() {
    let project = shop();
    let mut text = String::new();
    let mut say = |args: &[&str]| text.push_str(&transcript(&project.run(args)));
    say(&["ls"]);
    say(&["build"]);
    say(&["build", "quiet+"]);
    say(&["ls"]);
    say(&["show", "quiet_buyers"]);
    say(&["count", "quiet_buyers"]);
    say(&["query", "SELECT * FROM profiles ORDER BY profile_id"]);
    say(&["query", "SELECT segment, build, shard, as_of, cardinality FROM memberships ORDER BY 1"]);
    say(&["test"]);
    say(&["export", "quiet_buyers", "--to", "out.csv", "--as", "csv", "--ids", "email"]);
    project.segment("buyers", "SELECT profile_id FROM evnets WHERE event = 'purchase'");
    say(&["build"]);
    say(&["ls"]);
    say(&["show", "buyers"]);
    check("segments.txt", &text);
}

#[test]
fn errors() {
    let project = shop();
    project.segment(
        "no_column",
        "-- description: x\nSELECT profile_id\nFROM profiles WHERE contry = 'DE'\n",
    );
    project.segment("no_table", "SELECT profile_id FROM event\n");
    project.segment("syntax", "SELECT profile_id\nFROM profiles\nWHERE country = = 'DE'\n");
    project.segment("types", "SELECT profile_id FROM events\nWHERE amount > INTERVAL '3 days'\n");
    project.segment("no_id", "SELECT country FROM profiles\n");
    project.segment("key", "-- descripton: x\nSELECT profile_id FROM profiles\n");
    project.segment("cycle_a", "SELECT profile_id FROM segments.cycle_b\n");
    project.segment("cycle_b", "SELECT profile_id FROM segments.cycle_a\n");
    project.segment("needs_no_id", "SELECT profile_id FROM segments.no_id\n");
    let mut text = String::new();
    let mut say = |args: &[&str]| text.push_str(&transcript(&project.run(args)));
    say(&["build"]);
    say(&["show", "buyrs"]);
    say(&["count", "no_column"]);
    say(&["count", "SELECT profile_id FROM profiles WHERE contry = 'DE'"]);
    say(&["query", "SELECT countr FROM profiles"]);
    say(&["query", "DELETE FROM profiles"]);
    say(&["query", "SELECT upper(1, 2)"]);
    say(&["query", "SELECT nosuch(country) FROM profiles"]);
    say(&["query", "SELECT country, count(*) FROM profiles"]);
    say(&["export", "buyers", "--to", "x", "--as", "cvs"]);
    say(&["ingest", "events", "data/order.csv", "--key", "user_id"]);
    say(&["ingest"]);
    say(&["vacuum", "--older-than", "soon"]);
    say(&["--memory", "lots", "ls"]);
    say(&["buidl"]);
    say(&["build", "--treads", "2"]);
    say(&["query", "SELECT nope FROM profiles", "--format", "json"]);
    check("errors.txt", &text);
}
