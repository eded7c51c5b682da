//! The house rules that a compiler does not know: rooms, doors, docs, lengths (DESIGN.md section 6).

use std::path::{Path, PathBuf};

/// Each room and its row; a room imports from rows below its own, never from its own.
const ROOMS: [(&str, u32); 19] = [
    ("error", 0),
    ("model", 1),
    ("membership", 2),
    ("project", 2),
    ("source", 3),
    ("store", 3),
    ("query", 4),
    ("segment", 5),
    ("identity", 5),
    ("cluster", 5),
    ("audience", 6),
    ("ingest", 6),
    ("lookalike", 7),
    ("insight", 7),
    ("activation", 8),
    ("engine", 9),
    ("cli", 10),
    ("server", 10),
    ("lib", u32::MAX),
];

/// The row of the faces.
const FACES: u32 = 10;

/// What a face may import.
const FACE_MAY: [&str; 3] = ["engine", "model", "error"];

/// Crates that are named behind one door only.
const DOORS: [(&str, &[&str]); 14] = [
    ("roaring", &["membership"]),
    ("datafusion", &["query"]),
    ("deltalake", &["store", "source"]),
    ("parquet", &["store", "source"]),
    ("ballista", &["cluster"]),
    ("axum", &["server"]),
    ("plotters", &["insight"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("indicatif", &["cli"]),
    ("comfy_table", &["cli"]),
    ("crossterm", &["cli"]),
    ("unicode_width", &["cli"]),
];

const LINES_MAX: usize = 600;

/// A source file: its path below the project, its room, its text.
struct Source {
    path: String,
    room: String,
    text: String,
}

impl Source {
    /// The lines without comments, with their numbers from 1.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| {
            let trimmed = line.trim_start();
            let code = if trimmed.starts_with("//") { "" } else { line };
            (index + 1, code.split(" // ").next().unwrap_or_default())
        })
    }
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    collect(&root.join(folder), &mut paths);
    paths.sort();
    let source = |path: &PathBuf| {
        let below = path.strip_prefix(root.join(folder)).expect("below the folder");
        let first = below.components().next().expect("a name").as_os_str().to_string_lossy();
        Source {
            path: path.strip_prefix(root).expect("below the project").display().to_string(),
            room: first.trim_end_matches(".rs").to_owned(),
            text: std::fs::read_to_string(path).expect("a source"),
        }
    };
    paths.iter().map(source).collect()
}

fn row(room: &str) -> Option<u32> {
    ROOMS.iter().find(|(name, _)| *name == room).map(|(_, row)| *row)
}

/// The words that follow `prefix` in `line` where it stands for itself.
fn words_after<'a>(line: &'a str, prefix: &str) -> Vec<&'a str> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let starts = line.match_indices(prefix).filter(|(at, _)| !line[..*at].ends_with(is_part));
    starts
        .map(|(at, found)| {
            let rest = &line[at + found.len()..];
            &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())]
        })
        .collect()
}

/// Whether `line` names the crate `name`, and not a module of that name.
fn names_crate(line: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let path =
        line.match_indices(&format!("{name}::")).any(|(at, _)| !line[..at].ends_with(is_part));
    let words: Vec<&str> = line.split_whitespace().collect();
    path || words.starts_with(&["use", &format!("{name};")])
        || words.starts_with(&["use", name, "as"])
}

#[track_caller]
fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn every_room_is_on_the_map() {
    let strangers =
        sources("src").into_iter().filter(|s| s.room != "main" && row(&s.room).is_none());
    none(
        &strangers
            .map(|s| format!("{}: {} is no room of DESIGN.md", s.path, s.room))
            .collect::<Vec<_>>(),
    );
}

/// Whether a file of the room `own` may name `crate::{room}`.
fn may_import(own: &str, room: &str) -> bool {
    let (Some(from), Some(to)) = (row(own), row(room)) else { return false };
    own == room || if from == FACES { FACE_MAY.contains(&room) } else { to < from }
}

#[test]
fn imports_go_down() {
    let mut faults = Vec::new();
    for source in sources("src").iter().filter(|s| s.room != "main") {
        for (number, line) in source.code() {
            let rooms = words_after(line, "crate::").into_iter();
            let wrong = rooms.filter(|room| !may_import(&source.room, room));
            faults.extend(wrong.map(|room| format!("{}:{number}: {room:?}", source.path)));
        }
    }
    none(&faults);
}

#[test]
fn crates_stay_behind_their_doors() {
    let mut faults = Vec::new();
    for source in sources("src") {
        for (number, line) in source.code() {
            let named = DOORS.iter().filter(|(name, _)| names_crate(line, name));
            for (name, _) in named.filter(|(_, rooms)| !rooms.contains(&source.room.as_str())) {
                faults.push(format!("{}:{number}: {} names {name}", source.path, source.room));
            }
        }
    }
    none(&faults);
}

#[test]
fn every_file_says_what_it_is() {
    let all = sources("src").into_iter().chain(sources("tests")).chain(sources("benches"));
    let silent = all.filter(|s| !s.text.starts_with("//! "));
    none(&silent.map(|s| format!("{}: does not open with //!", s.path)).collect::<Vec<_>>());
}

#[test]
fn files_are_short() {
    let all = sources("src").into_iter().chain(sources("tests"));
    let long = all.map(|s| (s.text.lines().count(), s)).filter(|(lines, _)| *lines > LINES_MAX);
    none(&long.map(|(lines, s)| format!("{}: {lines} lines", s.path)).collect::<Vec<_>>());
}

#[test]
fn lints_are_expected_never_allowed() {
    let mut faults = Vec::new();
    for source in sources("src").iter().chain(&sources("tests")) {
        let allows = |line: &str| line.contains("[allow(") && !line.contains('"');
        let found = source.code().filter(|(_, line)| allows(line));
        faults.extend(found.map(|(number, _)| format!("{}:{number}: allow", source.path)));
    }
    none(&faults);
}

#[test]
fn the_rules_see_what_they_look_for() {
    assert!(may_import("query", "store") && may_import("store", "store"));
    assert!(!may_import("store", "query") && !may_import("source", "store"));
    assert!(may_import("cli", "engine") && !may_import("cli", "store") && !may_import("cli", ""));
    assert_eq!(words_after("use crate::store::{Change};", "crate::"), ["store"]);
    assert_eq!(words_after("use crate::{a, b};", "crate::"), [""]);
    assert!(words_after("use mycrate::store;", "crate::").is_empty());
    assert!(names_crate("use parquet::basic::Encoding;", "parquet"));
    assert!(names_crate("fn f(b: &roaring::RoaringBitmap)", "roaring"));
    assert!(!names_crate("use datafusion::datasource::parquet::Reader;", "parquet"));
}
