//! Bad input: what is wrong is named, with its place and what to do, and the store stays as it was.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::support::{Project, has_fields, segment_of};

/// A shop with a good segment that was built, and the status of its store.
fn built() -> (Project, Value) {
    let project = Project::with_shop();
    project.segment("germans", "SELECT profile_id FROM profiles WHERE country = 'DE'");
    project.ok(&["build"]);
    let status = project.status();
    (project, status)
}

/// The rows of the tables that hold data.
fn data(status: &Value) -> Vec<Value> {
    let tables = status["tables"].as_array().expect("tables");
    tables.iter().filter(|t| t["name"] != "builds").cloned().collect()
}

/// Builds a project whose segment `bad` is `sql`: its error. The others are built all the same.
#[track_caller]
fn segment_error(sql: &str) -> Value {
    let (project, before) = built();
    project.segment("bad", sql);
    let run = project.fails(&["build", "--format", "json"]);
    let report = run.value();
    assert_eq!(segment_of(&report, "germans")["status"], "reused");
    let bad = segment_of(&report, "bad");
    assert_eq!((&bad["status"], &bad["members"]), (&json!("failed"), &Value::Null));
    has_fields(&bad["error"], &["kind", "message", "hints", "file"]);
    assert_eq!(data(&project.status()), data(&before), "a failed segment leaves no membership");
    bad["error"].clone()
}

/// `error` is this message at this place, with this hint.
#[track_caller]
fn is(error: &Value, message: &str, place: &str, hint: Option<&str>) {
    assert_eq!(error["kind"], "input", "{error:#}");
    assert_eq!(error["message"], message, "{error:#}");
    let number = |field: &str| error[field].as_u64().map(|n| format!(":{n}")).unwrap_or_default();
    let file = error["file"].as_str().unwrap_or_default();
    assert_eq!(format!("{file}{}{}", number("line"), number("column")), place, "{error:#}");
    assert_eq!(error["hints"][0].as_str(), hint, "{error:#}");
}

#[test]
fn a_missing_column() {
    let error =
        segment_error("-- description: x\nSELECT profile_id\nFROM profiles WHERE ctry = 'DE'");
    is(
        &error,
        "no column \"ctry\" in profiles",
        "sql/segments/bad.sql:3:21",
        Some("did you mean \"country\"?"),
    );
    let error = segment_error("SELECT profile_id FROM profiles\nWHERE contry = 'DE'");
    is(
        &error,
        "no column \"contry\" in profiles",
        "sql/segments/bad.sql:2:7",
        Some("did you mean \"country\"?"),
    );
    let error = segment_error("SELECT p.profile_id FROM profiles p WHERE p.pan = 'x'");
    is(
        &error,
        "no column \"pan\" in p",
        "sql/segments/bad.sql:1:43",
        Some("did you mean \"plan\"?"),
    );
}

#[test]
fn a_misspelt_table() {
    let error = segment_error("SELECT profile_id\nFROM event WHERE true");
    is(&error, "no table \"event\"", "sql/segments/bad.sql:2:6", Some("did you mean events?"));
}

#[test]
fn a_misspelt_segment() {
    let error = segment_error("SELECT profile_id FROM segments.german");
    is(
        &error,
        "no segment \"german\"",
        "sql/segments/bad.sql:1:33",
        Some("did you mean segments.germans?"),
    );
}

#[test]
fn a_type_mismatch() {
    let error = segment_error("SELECT profile_id FROM events\nWHERE amount > INTERVAL '3 days'");
    assert_eq!((&error["kind"], &error["file"]), (&json!("input"), &json!("sql/segments/bad.sql")));
    assert_eq!(
        error["message"],
        "expressions have incompatible types: Float64 and Interval(MonthDayNano)"
    );
}

#[test]
fn a_value_that_is_no_number() {
    let error = segment_error("SELECT profile_id FROM events WHERE CAST(product AS INT) = 3");
    assert_eq!((&error["kind"], &error["file"]), (&json!("input"), &json!("sql/segments/bad.sql")));
    assert!(error["message"].as_str().expect("text").contains("Cannot cast string"), "{error:#}");
}

#[test]
fn a_syntax_error() {
    let error = segment_error("SELECT profile_id\nFROM profiles\nWHERE country = = 'DE'");
    assert!(error["message"].as_str().expect("text").starts_with("syntax error: "), "{error:#}");
    assert_eq!((&error["line"], &error["column"]), (&json!(3), &json!(17)));
    let error = segment_error("SELECT profile_id FROM profiles WHERE (country = 'DE'");
    assert!(error["message"].as_str().expect("text").starts_with("syntax error: "), "{error:#}");
    let error = segment_error("SELECT profile_id FROM profiles WHERE country = 'DE");
    assert_eq!((&error["line"], &error["column"]), (&json!(1), &json!(49)), "{error:#}");
}

#[test]
fn a_segment_without_profile_id() {
    let error = segment_error("SELECT country, plan FROM profiles");
    let hint = Some("a segment is a query that returns profile_id");
    is(
        &error,
        "the query has no column profile_id, only country, plan",
        "sql/segments/bad.sql",
        hint,
    );
    let error =
        segment_error("SELECT a.profile_id, b.profile_id FROM profiles a CROSS JOIN profiles b");
    assert_eq!(error["message"], "the query returns profile_id more than once");
    let error = segment_error("SELECT country AS profile_id FROM profiles");
    assert!(error["message"].as_str().expect("text").ends_with("not an integer"), "{error:#}");
}

#[test]
fn an_id_that_no_profile_can_have() {
    let (project, _) = built();
    for id in ["-1", "4294967296"] {
        project.segment("bad", &format!("SELECT {id} AS profile_id FROM profiles"));
        let report = project.fails(&["build", "bad", "--format", "json"]).value();
        assert_eq!(segment_of(&report, "bad")["error"]["kind"], "data", "{report:#}");
    }
}

#[test]
fn no_sql_two_statements_or_a_write() {
    let error = segment_error("-- description: nothing yet\n");
    is(
        &error,
        "there is no query",
        "sql/segments/bad.sql",
        Some("write one: SELECT profile_id FROM profiles WHERE ..."),
    );
    let error = segment_error("SELECT profile_id FROM profiles; SELECT profile_id FROM events");
    assert_eq!(error["kind"], "input", "{error:#}");
    for write in [
        "DROP TABLE profiles",
        "CREATE TABLE t AS SELECT 1",
        "SET datafusion.execution.batch_size = 1",
    ] {
        let error = segment_error(write);
        assert_eq!(error["message"], "only queries can be run here", "{write}");
    }
}

#[test]
fn a_cycle_is_printed() {
    let (project, before) = built();
    project.segment("a", "SELECT profile_id FROM segments.b");
    project.segment("b", "SELECT profile_id FROM segments.c");
    project.segment("c", "SELECT profile_id FROM segments.a");
    project.segment("d", "SELECT profile_id FROM segments.a");
    let report = project.fails(&["build", "--format", "json"]).value();
    let error = &segment_of(&report, "b")["error"];
    assert_eq!(error["message"], "segments need each other: a -> b -> c -> a");
    assert_eq!(error["file"], "sql/segments/b.sql");
    assert_eq!(segment_of(&report, "d")["status"], "skipped");
    assert_eq!(segment_of(&report, "d")["error"]["message"], "it needs a, which needs itself");
    assert_eq!(segment_of(&report, "germans")["status"], "reused");
    assert_eq!(data(&project.status()), data(&before));
    project.segment("me", "SELECT profile_id FROM segments.me");
    let report = project.fails(&["build", "me", "--format", "json"]).value();
    assert_eq!(segment_of(&report, "me")["error"]["message"], "segments need each other: me -> me");
}

#[test]
fn two_segments_of_one_name() {
    let (project, before) = built();
    project.write("sql/segments/old/germans.sql", "SELECT profile_id FROM profiles");
    for args in [&["build"][..], &["ls"], &["count", "germans"]] {
        let error = project.error(args);
        assert_eq!(
            (&error["kind"], &error["message"]),
            (&json!("input"), &json!("two segments are called germans"))
        );
        let named = format!("{} {}", error["file"], error["hints"][0]);
        assert!(named.contains("sql/segments/germans.sql"), "{error:#}");
        assert!(named.contains("sql/segments/old/germans.sql"), "{error:#}");
    }
    std::fs::remove_file(project.path("sql/segments/old/germans.sql")).expect("removed");
    assert_eq!(project.status(), before);
    project.write("sql/segments/more/Germans.sql", "SELECT profile_id FROM profiles");
    assert_eq!(
        project.error(&["ls"])["kind"],
        "input",
        "a case-blind file system would have one file"
    );
}

#[test]
fn a_name_that_cannot_be_one() {
    let (project, _) = built();
    project.segment("my segment", "SELECT profile_id FROM profiles");
    let error = project.error(&["build"]);
    is(
        &error,
        "\"my segment\" cannot be a name",
        "sql/segments/my segment.sql",
        Some("use letters, digits, _ and -, at most 128 of them"),
    );
}

#[test]
fn an_unknown_front_matter_key() {
    let error = segment_error("-- description: x\n-- tag: y\nSELECT profile_id FROM profiles");
    is(
        &error,
        "unknown front matter key \"tag\"",
        "sql/segments/bad.sql:2:4",
        Some("did you mean \"tags\"?"),
    );
    let error = segment_error("-- name: other\nSELECT profile_id FROM profiles");
    is(&error, "name is \"other\" but the file is called bad", "sql/segments/bad.sql:1:4", None);
}

#[test]
fn an_unknown_setting() {
    let project = Project::with_config("[store]\nshards = 3\n");
    let error = project.error(&["ls"]);
    assert!(
        error["message"].as_str().expect("text").starts_with("unknown field `shards`"),
        "{error:#}"
    );
    assert_eq!((&error["line"], &error["column"]), (&json!(2), &json!(1)), "{error:#}");
    assert_eq!(error["hints"], json!(["did you mean shard?"]));
    let project = Project::with_config("[store]\nshard = 1000\n");
    assert_eq!(project.error(&["ls"])["message"], "a shard cannot hold 1000 ids");
}

#[test]
fn a_source_that_says_too_little() {
    let project = Project::new();
    project.write("a.csv", "user_id\na\n");
    let ingest = |head: &str| {
        project.write("sql/sources/s.sql", format!("{head}SELECT * FROM 'a.csv'\n"));
        project.error(&["ingest"])
    };
    let error = ingest("-- kind: profiles\n");
    is(
        &error,
        "the source does not say its keys",
        "sql/sources/s.sql:1",
        Some("add a line to its head: -- keys: user_id=customer_id, email"),
    );
    let error = ingest("-- keys: user_id\n");
    assert_eq!(error["message"], "the source does not say its kind");
    let error = ingest("-- kind: people\n-- keys: user_id\n");
    assert_eq!((&error["line"], &error["file"]), (&json!(1), &json!("sql/sources/s.sql")));
    let error = ingest("-- kind: profiles\n-- keys: user_id\n-- delimeter: ;\n");
    assert_eq!(error["hints"], json!(["did you mean \"delimiter\"?"]));
    let error = ingest("-- kind: profiles\n-- keys: user_id, user_id=b\n");
    assert_eq!(
        (&error["line"], &error["message"]),
        (&json!(2), &json!("the key user_id is named twice"))
    );
}

#[test]
fn bad_utf8_in_sql() {
    let (project, before) = built();
    project.write(
        "sql/segments/bad.sql",
        b"-- description: x\nSELECT profile_id FROM profiles WHERE country = '\xff'",
    );
    let report = project.fails(&["build", "--format", "json"]).value();
    is(
        &segment_of(&report, "bad")["error"],
        "the file is not UTF-8",
        "sql/segments/bad.sql:2",
        Some("save it as UTF-8"),
    );
    assert_eq!(segment_of(&report, "germans")["status"], "reused");
    assert_eq!(data(&project.status()), data(&before));
}

/// Ingests `file` as events with all its bad rows rejected: the rejects, without the header.
fn rejected(project: &Project, file: &str) -> Vec<String> {
    let args = ["ingest", "events", file, "--key", "user_id", "--rejects", "100"];
    let ingested = project.json(&args);
    let lines: Vec<String> =
        project.read("rejects/events.csv").lines().skip(1).map(str::to_owned).collect();
    assert_eq!(ingested["rejected"], lines.len(), "{ingested:#}");
    lines
}

#[test]
fn bad_utf8_in_a_csv_is_a_reject() {
    let (project, _) = built();
    project.write("e.csv", b"user_id,ts,event\nu1,2026-10-01,ok\nu1,2026-10-01,caf\xe9\n");
    let lines = rejected(&project, "e.csv");
    assert!(lines[0].starts_with("e.csv,3,\"invalid UTF-8 in field \"\"event\"\""), "{lines:?}");
    assert_eq!(project.number("SELECT count(*) FROM events WHERE event = 'ok'"), 1);
}

#[test]
fn torn_rows_are_rejects() {
    let (project, _) = built();
    project.write("e.csv", "user_id,ts,event\nu1,2026-10-01\nu1,2026-10-01,ok\nu1,2026-10-01,x,y\nu1,2026-10-01,\"open");
    let lines = rejected(&project, "e.csv");
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].starts_with("e.csv,2,\"expected 3 fields, found 2\""), "{lines:?}");
    assert!(lines[1].starts_with("e.csv,4,\"expected 3 fields, found 4\""), "{lines:?}");
    assert!(lines[2].starts_with("e.csv,5,"), "{lines:?}");
}

#[test]
fn absurd_moments_are_rejects() {
    let (project, before) = built();
    project.write("e.csv", "user_id,ts,event\nu1,0000-00-00,a\nu1,0001-01-01,b\nu1,2026-13-01,c\nu1,9999-12-31,d\nu1,2026-10-01,ok\n");
    let lines = rejected(&project, "e.csv");
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(lines[3].contains("not between 1900 and 2200"), "{lines:?}");
    project.write("all.csv", "user_id,ts,event\nu1,9999-12-31 00:00:00,d\n");
    let before_all = project.status();
    let error = project.error(&["ingest", "events", "all.csv", "--key", "user_id"]);
    assert_eq!(error["kind"], "data");
    assert_ne!(before_all, before);
    assert_eq!(project.status(), before_all);
}

#[test]
fn an_empty_file() {
    let (project, before) = built();
    project.write("none.csv", "");
    let error = project.error(&["ingest", "events", "none.csv", "--key", "user_id"]);
    assert_eq!(
        (&error["kind"], &error["message"]),
        (&json!("data"), &json!("none.csv is empty: nothing tells its columns"))
    );
    assert_eq!(project.status(), before);
    project.write("header.csv", "user_id,ts,event\n");
    let ingested = project.json(&["ingest", "events", "header.csv", "--key", "user_id"]);
    assert_eq!((&ingested["rows"], &ingested["events"]), (&json!(0), &json!(0)));
    assert_eq!(data(&project.status())[2]["rows"], data(&before)[2]["rows"]);
}

#[test]
fn an_empty_table() {
    let project = Project::new();
    project.write("c.csv", "user_id,country\na,DE\nb,FR\n");
    project.ok(&["ingest", "profiles", "c.csv", "--key", "user_id"]);
    project.segment("buyers", "SELECT profile_id FROM events WHERE event = 'purchase' GROUP BY profile_id HAVING count(*) > 1");
    project
        .segment("others", "SELECT profile_id FROM profiles EXCEPT SELECT profile_id FROM events");
    project.segment(
        "recent",
        "SELECT profile_id FROM events WHERE ts > now() - INTERVAL '1 day' ORDER BY ts LIMIT 5",
    );
    let report = project.json(&["build"]);
    let members =
        ["buyers", "others", "recent"].map(|name| segment_of(&report, name)["members"].clone());
    assert_eq!(members, [json!(0), json!(2), json!(0)]);
    assert_eq!(project.number("SELECT count(*) FROM events"), 0);
    assert_eq!(project.json(&["optimize"]), json!([]));
}

#[test]
fn an_unwritable_store() {
    let project = Project::with_config("[store]\nlocation = \"blocked/store\"\n");
    project.write("blocked", "a regular file");
    project.write("c.csv", "user_id\na\n");
    project.segment("all", "SELECT profile_id FROM profiles");
    let error = project.error(&["ingest", "profiles", "c.csv", "--key", "user_id"]);
    assert_eq!(error["kind"], "unavailable", "{error:#}");
    assert!(error["message"].as_str().expect("text").starts_with("cannot write the store in "));
    assert_eq!(
        error["hints"],
        json!(["name another place: `location` under [store] in throng.toml"])
    );
    for args in [&["status"][..], &["build"]] {
        let error = project.error(args);
        assert_eq!(error["kind"], "unavailable", "{error:#}");
        assert!(error["message"].as_str().expect("text").contains("Not a directory"), "{error:#}");
    }
    let project = Project::with_config("[store]\nlocation = \"ftp://x/y\"\n");
    assert_eq!(project.error(&["status"])["kind"], "input");
}

#[test]
fn a_truncated_parquet_file() {
    let (project, before) = built();
    project.ok(&[
        "export",
        "germans",
        "--to",
        "ids.parquet",
        "--as",
        "parquet",
        "--ids",
        "user_id",
    ]);
    let whole = project.bytes("ids.parquet");
    for length in [0, 3, 8, whole.len() / 2, whole.len() - 1] {
        project.write("torn.parquet", &whole[..length]);
        let error = project.error(&["ingest", "profiles", "torn.parquet", "--key", "user_id"]);
        assert_eq!(error["kind"], "data", "{length}: {error:#}");
        assert!(error["message"].as_str().expect("text").contains("torn.parquet"), "{error:#}");
    }
    assert_eq!(project.status(), before);
}

/// The names of the files in a folder, in order.
fn listing(project: &Project, folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(project.path(folder)).expect("a folder");
    let mut paths: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
    paths.sort();
    paths
}

#[test]
fn a_truncated_file_in_the_store() {
    let (project, _) = built();
    let shard = listing(&project, "store/profiles/shard-00000");
    let whole = std::fs::read(&shard[0]).expect("a file");
    std::fs::write(&shard[0], &whole[..whole.len() / 2]).expect("written");
    let error = project.error(&["query", "SELECT country FROM profiles"]);
    assert_ne!(error["kind"], "internal", "{error:#}");
    std::fs::write(&shard[0], &whole).expect("written");
    assert_eq!(project.number("SELECT count(country) FROM profiles"), 3);
}

#[test]
fn a_store_of_a_newer_version() {
    let (project, _) = built();
    let newest = listing(&project, "store/_throng_log").pop().expect("a record");
    let text = std::fs::read_to_string(&newest).expect("a record");
    let newer = text.replacen("\"format\":1", "\"format\":99,\"shape\":{}", 1);
    assert_ne!(newer, text);
    std::fs::write(&newest, &newer).expect("written");
    project.write("e.csv", "user_id,ts,event\nu1,2026-10-01,x\n");
    for args in [
        &["status"][..],
        &["build"],
        &["query", "SELECT 1"],
        &["ingest", "events", "e.csv", "--key", "user_id"],
        &["vacuum"],
    ] {
        let error = project.error(args);
        assert_eq!(error["kind"], "data");
        assert_eq!(
            error["message"],
            "the store has format 99, written by a newer Throng; this one reads up to 1"
        );
        assert_eq!(error["hints"], json!(["use the newer Throng; the store is unharmed"]));
    }
    assert_eq!(std::fs::read_to_string(&newest).expect("a record"), newer);
    std::fs::write(&newest, text).expect("written");
    assert_eq!(project.ids("germans"), [0, 2]);
}

/// A small file system at the place of the store, gone when it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts `size` at `project/store`; nothing where this machine does not let us.
    #[expect(clippy::print_stdout, reason = "a skipped test says so")]
    fn mount(project: &Project, size: &str) -> Option<Self> {
        let place = project.path("store");
        std::fs::create_dir_all(&place).expect("a folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(&place)
            .output();
        if mounted.is_ok_and(|m| m.status.success()) {
            return Some(Self(place));
        }
        println!("skipped: a tmpfs cannot be mounted here");
        None
    }

    fn resize(&self, size: &str) {
        let options = format!("remount,size={size}");
        let resized = Command::new("mount").args(["-o", &options]).arg(&self.0).status();
        assert!(resized.expect("mount runs").success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _gone_with_the_machine = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Events that do not compress well: some 200 bytes a row.
fn noise(rows: u64) -> String {
    let mut text = String::from("user_id,ts,event,note\n");
    let mut state = 1_u64;
    for row in 0..rows {
        write!(text, "u{row},2026-10-01 10:00:00,x,").expect("text grows");
        for _ in 0..12 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            write!(text, "{:016x}", state ^ (state >> 29)).expect("text grows");
        }
        text.push('\n');
    }
    text
}

#[test]
fn a_full_disk() {
    let project = Project::new();
    let Some(disk) = SmallDisk::mount(&project, "2m") else { return };
    project.write("a.csv", "user_id,ts,event\nu1,2026-10-01,x\n");
    project.ok(&["ingest", "events", "a.csv", "--key", "user_id"]);
    let before = project.status();
    project.write("b.csv", noise(30_000));
    let args = ["ingest", "events", "b.csv", "--key", "user_id"];
    let error = project.error(&args);
    assert_eq!(error["kind"], "limit", "{error:#}");
    assert!(
        error["message"].as_str().expect("text").starts_with("the disk of the store is full"),
        "{error:#}"
    );
    disk.resize("64m");
    assert_eq!(project.status(), before);
    assert_eq!(project.json(&args)["events"], 30_000);
    assert_eq!(project.number("SELECT count(note) FROM events"), 30_000);
}

#[test]
fn a_disk_that_is_full_anywhere_commits_all_or_nothing() {
    let project = Project::new();
    let Some(disk) = SmallDisk::mount(&project, "1m") else { return };
    project.write("base.csv", "user_id,ts,event\nbase,2026-10-01,x\n");
    project.ok(&["ingest", "events", "base.csv", "--key", "user_id"]);
    let mut events = 1;
    for (round, free_kib) in [0, 4, 8, 12, 16, 20, 24, 28, 36, 44].into_iter().enumerate() {
        let name = format!("e{round}.csv");
        project.write(&name, format!("user_id,ts,event\nr{round},2026-10-01,x\n"));
        let used = Command::new("df")
            .args(["--output=used", "-k"])
            .arg(&disk.0)
            .output()
            .expect("df runs");
        let used = String::from_utf8_lossy(&used.stdout)
            .lines()
            .nth(1)
            .and_then(|l| l.trim().parse::<u64>().ok());
        disk.resize(&format!("{}k", used.expect("a number") + free_kib));
        let args = ["ingest", "events", &name, "--key", "user_id"];
        let run = project.run(&args);
        disk.resize("8m");
        let found = project.number("SELECT count(*) FROM events");
        assert!(found == events || found == events + 1, "{run:#?}");
        assert_eq!(run.code == Some(0), found == events + 1, "{run:#?}");
        project.ok(&args);
        events += 1;
        assert_eq!(project.number("SELECT count(*) FROM events"), events);
        assert_eq!(project.number("SELECT count(*) FROM profiles"), events);
    }
}
