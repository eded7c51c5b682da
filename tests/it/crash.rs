//! Writers that are killed, writers at the same time, and what they leave behind.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::{Dice, Project, events_csv, table_rows};

/// Rounds of killing; a third of them kill a build as well.
const ROUNDS: u32 = 25;
/// Rows of each round's file, and the users in it, all of them new.
const ROWS: u32 = 3_000;
const USERS: u32 = 300;

fn start(project: &Project, args: &[&str]) -> Child {
    let mut command = project.command(args);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary runs")
}

/// Runs a command and kills it after `after`, wherever it is then. The one place that waits for time:
/// the moment of a kill is the subject here, and nothing is asserted about it.
fn killed(project: &Project, args: &[&str], after: Duration) {
    let mut child = start(project, args);
    std::thread::sleep(after);
    let _ended_already = child.kill();
    child.wait().expect("it ended");
}

fn elapsed_micros(work: impl FnOnce()) -> u64 {
    let started = Instant::now();
    work();
    u64::try_from(started.elapsed().as_micros()).expect("a short time")
}

/// The rows of profiles, identifiers and events: as the log says, and as they are read.
#[track_caller]
fn rows(project: &Project) -> [u64; 3] {
    let status = project.status();
    let logged = ["profiles", "identifiers", "events"].map(|t| table_rows(&status, t));
    let sql = "SELECT (SELECT count(user_id) FROM profiles) AS p, \
               (SELECT count(value) FROM identifiers) AS i, (SELECT count(note) FROM events) AS e";
    let row = &project.rows(sql)[0];
    let read = ["p", "i", "e"].map(|c| row[c].as_u64().expect("a count"));
    assert_eq!(logged, read);
    logged
}

fn ingest_args(file: &str) -> [&str; 5] {
    ["ingest", "events", file, "--key", "user_id"]
}

#[test]
fn a_killed_command_leaves_the_last_commit_and_can_be_done_again() {
    let project = Project::new();
    let mut dice = Dice::new(0x5eed);
    project.segment("buyers", "SELECT profile_id FROM events WHERE event = 'purchase'");
    project.write("base.csv", events_csv("base", USERS, ROWS));
    let ingest_micros = elapsed_micros(|| drop(project.ok(&ingest_args("base.csv"))));
    let build_micros = elapsed_micros(|| drop(project.ok(&["build"])));
    let added = [u64::from(USERS), u64::from(USERS), u64::from(ROWS)];
    let mut expected = added;
    for round in 0..ROUNDS {
        let name = format!("e{round}.csv");
        project.write(&name, events_csv(&format!("r{round}_"), USERS, ROWS));
        killed(&project, &ingest_args(&name), Duration::from_micros(dice.throw(ingest_micros)));
        let before = expected;
        (0..3).for_each(|table| expected[table] += added[table]);
        let found = rows(&project);
        assert!(found == before || found == expected, "round {round}: {before:?} became {found:?}");
        let again = project.json(&ingest_args(&name));
        assert_eq!(again["already_ingested"], found == expected, "round {round}");
        assert_eq!(rows(&project), expected, "round {round}");
        if round % 3 == 0 {
            kill_a_build(&project, Duration::from_micros(dice.throw(build_micros)));
        }
        if round % 5 == 2 {
            killed(&project, &["optimize"], Duration::from_micros(dice.throw(2 * build_micros)));
            assert_eq!(rows(&project), expected, "round {round}");
        }
    }
    assert_eq!(
        project.number("SELECT count(DISTINCT profile_id) FROM profiles"),
        project.number("SELECT max(profile_id) + 1 FROM profiles")
    );
    assert_eq!(project.number("SELECT count(*) FROM (SELECT namespace, value FROM identifiers GROUP BY 1, 2 HAVING count(*) > 1)"), 0);
    clean_up(&project, expected);
}

fn kill_a_build(project: &Project, after: Duration) {
    let last = |project: &Project| project.status()["last_build"].as_i64().expect("a build");
    let before = last(project);
    killed(project, &["build", "--full"], after);
    let found = last(project);
    assert!(found == before || found == before + 1, "build {before} became {found}");
    let members = project.json(&["ls"])[0]["members"].as_u64().expect("a count");
    assert_eq!(project.ids("buyers").len() as u64, members);
    assert_eq!(project.json(&["build", "--full"])["build"], found + 1);
    assert_eq!(
        project.ok(&["count", "buyers"]).stdout.trim().replace(',', ""),
        project.ids("buyers").len().to_string()
    );
}

/// What killed writers left is removed, and nothing else.
fn clean_up(project: &Project, expected: [u64; 3]) {
    project.ok(&["optimize"]);
    let removed = project.json(&["vacuum", "--older-than", "0s"]);
    assert!(removed["files"].as_u64() > Some(0), "{removed}");
    assert_eq!(rows(project), expected);
    let tables = project.status()["tables"].clone();
    for table in tables.as_array().expect("tables") {
        let folder = project.path("store").join(table["name"].as_str().expect("a name"));
        let on_disk = files_below(folder)
            .into_iter()
            .filter(|f| f.extension().is_some_and(|e| e == "parquet"));
        let outside_log =
            on_disk.filter(|f| !f.components().any(|c| c.as_os_str() == "_delta_log"));
        assert_eq!(
            outside_log.count() as u64,
            table["files"].as_u64().expect("a count"),
            "{table}"
        );
    }
}

fn files_below(folder: PathBuf) -> Vec<PathBuf> {
    let (mut folders, mut files) = (vec![folder], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
}

/// The newest record of the store log.
fn newest_record(project: &Project) -> Value {
    let mut records = files_below(project.path("store/_throng_log"));
    records.sort();
    let text = std::fs::read(records.last().expect("a record")).expect("a record");
    serde_json::from_slice(&text).expect("JSON")
}

/// The Delta commits that a record promises.
fn promised(project: &Project, record: &Value) -> Vec<PathBuf> {
    let tables = record["tables"].as_object().expect("tables").iter();
    let changed = tables.filter(|(_, state)| state["actions"].is_array());
    let path = |(table, state): (&String, &Value)| {
        let version = state["version"].as_u64().expect("a version");
        project.path(&format!("store/{table}/_delta_log/{version:020}.json"))
    };
    changed.map(path).collect()
}

#[test]
fn a_commit_whose_second_half_is_missing_is_finished() {
    let project = Project::with_shop();
    project.write("e.csv", events_csv("n", 3, 9));
    project.ok(&ingest_args("e.csv"));
    let after = project.status();
    let paths = promised(&project, &newest_record(&project));
    assert_eq!(paths.len(), 3, "an ingest of new users changes three tables");
    let bytes: Vec<Vec<u8>> = paths.iter().map(|p| std::fs::read(p).expect("a commit")).collect();
    for missing in 1..1 << paths.len() {
        for (bit, path) in paths.iter().enumerate() {
            if missing & (1 << bit) != 0 {
                std::fs::remove_file(path).expect("removed");
            }
        }
        assert_eq!(project.status(), after, "missing: {missing:#b}");
        let found: Vec<Vec<u8>> =
            paths.iter().map(|p| std::fs::read(p).expect("a commit")).collect();
        assert_eq!(found, bytes);
    }
    for path in &paths {
        std::fs::remove_file(path).expect("removed");
    }
    assert_eq!(project.json(&ingest_args("e.csv"))["already_ingested"], true);
    assert_eq!(project.status(), after);
}

#[test]
fn a_store_killed_while_it_was_made_is_made() {
    let project = Project::new();
    project.write("e.csv", events_csv("n", 3, 9));
    project.ok(&ingest_args("e.csv"));
    let log = project.path("store/_throng_log");
    std::fs::remove_file(log.join(format!("{:020}.json", 2))).expect("removed");
    for table in ["profiles", "identifiers", "events", "memberships", "builds"] {
        std::fs::remove_dir_all(project.path(&format!("store/{table}"))).expect("removed");
    }
    assert_eq!(rows_of_empty(&project), [0, 0, 0]);
    assert_eq!(project.json(&ingest_args("e.csv"))["events"], 9);
}

fn rows_of_empty(project: &Project) -> [u64; 3] {
    let status = project.status();
    ["profiles", "identifiers", "events"].map(|t| table_rows(&status, t))
}

#[test]
fn a_first_ingest_that_is_killed_leaves_no_store_or_a_good_one() {
    let mut dice = Dice::new(0xf1257);
    let file = events_csv("n", USERS, ROWS);
    for round in 0..8 {
        let project = Project::new();
        project.write("e.csv", &file);
        killed(&project, &ingest_args("e.csv"), Duration::from_millis(5 * round + dice.throw(20)));
        let run = project.run(&["status", "--format", "json"]);
        if run.code == Some(0) {
            let rows = rows_of_empty(&project);
            assert!(rows == [0, 0, 0] || rows == [300, 300, 3_000], "round {round}: {rows:?}");
        } else {
            assert!(run.stderr.contains("there is no store at store"), "round {round}: {run:#?}");
        }
        project.ok(&ingest_args("e.csv"));
        assert_eq!(rows(&project), [300, 300, 3_000], "round {round}");
    }
}

#[test]
fn half_written_objects_are_no_objects() {
    let project = Project::with_shop();
    let before = project.status();
    let next = before["version"].as_u64().expect("a version") + 1;
    project.write(&format!("store/_throng_log/{next:020}.json#1"), "{\"form");
    project.write("store/events/shard-00000/2026-10/0.parquet#1", "PAR");
    assert_eq!(project.status(), before);
    project.write("e.csv", events_csv("n", 3, 9));
    assert_eq!(project.json(&ingest_args("e.csv"))["events"], 9);
}

#[test]
fn a_delta_commit_of_somebody_else_is_refused() {
    let project = Project::with_shop();
    let path = promised(&project, &newest_record(&project)).pop().expect("a commit");
    let bytes = std::fs::read(&path).expect("a commit");
    std::fs::write(&path, "{\"commitInfo\":{}}").expect("written");
    let error = project.error(&["status"]);
    assert_eq!(error["kind"], "data");
    assert!(
        error["message"].as_str().expect("text").ends_with("was not written by Throng"),
        "{error}"
    );
    std::fs::write(&path, bytes).expect("written");
    project.ok(&["status"]);
}

#[test]
fn writers_at_the_same_time_lose_nothing() {
    let project = Project::new();
    project.write("base.csv", events_csv("base", 3, 9));
    project.ok(&ingest_args("base.csv"));
    let (users, rows_each) = (50, 500);
    let mut expected = [3, 3, 9];
    for round in 0..3 {
        let names: Vec<String> = (0..3).map(|writer| format!("e{round}_{writer}.csv")).collect();
        for name in &names {
            project.write(name, events_csv(&name.replace(".csv", "_"), users, rows_each));
        }
        let children: Vec<Child> = names
            .iter()
            .map(|n| {
                let mut args = ingest_args(n).to_vec();
                args.extend(["--format", "json"]);
                project
                    .command(&args)
                    .stdout(Stdio::null())
                    .stderr(Stdio::piped())
                    .spawn()
                    .expect("runs")
            })
            .collect();
        for (name, child) in names.iter().zip(children) {
            let output = child.wait_with_output().expect("it ended");
            if !output.status.success() {
                let error: Value = serde_json::from_slice(&output.stderr).expect("JSON");
                assert_eq!(error["error"]["kind"], "unavailable", "{error:#}");
                assert_eq!(project.json(&ingest_args(name))["already_ingested"], false);
            }
            expected = [expected[0] + 50, expected[1] + 50, expected[2] + 500];
        }
        assert_eq!(rows(&project), expected, "round {round}");
    }
    assert_eq!(project.number("SELECT max(profile_id) FROM profiles"), 452);
    assert_eq!(project.number("SELECT count(DISTINCT user_id) FROM profiles"), 453);
}

#[test]
fn the_same_file_by_two_writers_is_in_once() {
    let project = Project::new();
    project.write("e.csv", events_csv("n", 50, 500));
    let children = [0, 1].map(|_| start(&project, &ingest_args("e.csv")));
    for mut child in children {
        assert!(child.wait().expect("it ended").success());
    }
    assert_eq!(rows(&project), [50, 50, 500]);
}

#[test]
fn a_build_and_an_ingest_do_not_disturb_each_other() {
    let project = Project::with_shop();
    project.segment("all", "SELECT profile_id FROM profiles");
    for round in 0..3 {
        let name = format!("e{round}.csv");
        project.write(&name, events_csv(&format!("r{round}_"), 5, 20));
        let children =
            [start(&project, &["build", "--full"]), start(&project, &ingest_args(&name))];
        for mut child in children {
            assert!(child.wait().expect("it ended").success(), "round {round}");
        }
    }
    let status = project.status();
    assert_eq!((&status["last_build"], table_rows(&status, "events")), (&json!(3), 67));
}

#[test]
fn of_two_builds_each_has_its_number_or_says_why_not() {
    let project = Project::with_shop();
    project.segment("all", "SELECT profile_id FROM profiles");
    let children = [0, 1].map(|_| start(&project, &["build", "--full"]));
    let good = children
        .into_iter()
        .map(|mut c| c.wait().expect("it ended").success())
        .filter(|good| *good);
    let good = good.count();
    assert!(good >= 1);
    assert_eq!(project.status()["last_build"], good);
    let Value::Array(history) = project.json(&["history", "all"]) else { panic!("no list") };
    assert_eq!(history.len(), good);
}
