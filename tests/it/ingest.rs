//! What becomes of files: ids, upserts, identifiers, rejects, formats, and files that come again.

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

use super::support::{Project, events_csv, table_rows};

const USER: [&str; 2] = ["--key", "user_id"];

/// Ingests `file` as profiles keyed by `user_id`, with more flags.
#[track_caller]
fn profiles(project: &Project, file: &str, more: &[&str]) -> Value {
    project.json(&[&["ingest", "profiles", file], &USER[..], more].concat())
}

/// Ingests `file` as events keyed by `user_id`, with more flags.
#[track_caller]
fn events(project: &Project, file: &str, more: &[&str]) -> Value {
    project.json(&[&["ingest", "events", file], &USER[..], more].concat())
}

/// The rejects file of a source, without its header.
fn rejects(project: &Project, source: &str) -> Vec<String> {
    project.read(&format!("rejects/{source}.csv")).lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn ids_are_given_out_in_order_of_first_appearance() {
    let project = Project::new();
    project.write("a.csv", "user_id,n\nzoe,1\nann,2\nzoe,3\nmia,4\n");
    let ingested = profiles(&project, "a.csv", &[]);
    assert_eq!((&ingested["rows"], &ingested["profiles_new"]), (&json!(4), &json!(3)));
    project.write("b.csv", "user_id,n\nmia,5\nbob,6\n");
    let ingested = profiles(&project, "b.csv", &[]);
    assert_eq!((&ingested["profiles_new"], &ingested["profiles_updated"]), (&json!(1), &json!(1)));
    let all = project.csv("SELECT profile_id, user_id, n FROM profiles ORDER BY 1");
    assert_eq!(all, ["0,zoe,3", "1,ann,2", "2,mia,5", "3,bob,6"]);
}

#[test]
fn files_are_read_in_the_order_they_are_named() {
    let project = Project::new();
    project.write("a.csv", "user_id,n\nann,1\nbob,1\n");
    project.write("b.csv", "user_id,n\nbob,2\nzoe,2\n");
    let args = ["ingest", "profiles", "b.csv", "a.csv", "--key", "user_id"];
    assert_eq!(project.json(&args)["files"], 2);
    let all = project.csv("SELECT profile_id, user_id, n FROM profiles ORDER BY 1");
    assert_eq!(all, ["0,bob,1", "1,zoe,2", "2,ann,1"]);
}

#[test]
fn the_same_input_gives_the_same_ids() {
    let ids = |_: u32| {
        let project = Project::with_shop();
        project.csv("SELECT * FROM identifiers ORDER BY profile_id, namespace, value")
    };
    assert_eq!(ids(1), ids(2));
}

#[test]
fn a_file_that_comes_again_changes_nothing() {
    let project = Project::with_shop();
    let before = project.status();
    let again = events(&project, "data/orders.csv", &[]);
    assert_eq!(
        (&again["already_ingested"], &again["rows"], &again["events"]),
        (&json!(true), &json!(0), &json!(0))
    );
    let again = profiles(&project, "data/customers.csv", &["--key", "email"]);
    assert_eq!(again["already_ingested"], true);
    project.write("data/copy.csv", project.bytes("data/orders.csv"));
    assert_eq!(events(&project, "data/copy.csv", &[])["already_ingested"], true);
    assert_eq!(project.status(), before);
}

#[test]
fn of_a_glob_only_new_files_are_read() {
    let project = Project::new();
    project.write("in/1.csv", "user_id,ts,event\na,2026-01-01,x\n");
    events(&project, "in/*.csv", &[]);
    project.write("in/2.csv", "user_id,ts,event\nb,2026-01-02,x\n");
    let ingested = events(&project, "in/*.csv", &[]);
    assert_eq!(
        (&ingested["files"], &ingested["files_skipped"], &ingested["events"]),
        (&json!(1), &json!(1), &json!(1))
    );
    assert_eq!(project.number("SELECT count(*) FROM events"), 2);
}

#[test]
fn profiles_are_upserted() {
    let project = Project::new();
    project.write("1.csv", "user_id,country,plan\na,DE,free\nb,FR,free\nc,IT,free\n");
    profiles(&project, "1.csv", &[]);
    project.write("2.csv", "user_id,plan,score\na,gold,7\na,silver,8\nb,,9\n");
    profiles(&project, "2.csv", &[]);
    let all = project.csv("SELECT user_id, country, plan, score FROM profiles ORDER BY profile_id");
    assert_eq!(all, ["a,DE,silver,8", "b,FR,,9", "c,IT,free,"]);
}

#[test]
fn an_identifier_of_another_profile_is_a_conflict_and_never_merges() {
    let project = Project::new();
    project.write("1.csv", "user_id,email,phone\na,X@y.z,1\nb,x@Y.z ,2\nc,,\n");
    let keys = ["--key", "email", "--key", "phone"];
    let ingested = profiles(&project, "1.csv", &keys);
    assert_eq!((&ingested["conflicts"], &ingested["identifiers_new"]), (&json!(1), &json!(7)));
    let sql = "SELECT profile_id, namespace, value, home FROM identifiers ORDER BY 1, 2";
    let all = project.csv(sql);
    assert_eq!(
        all,
        [
            "0,email,x@y.z,true",
            "0,phone,1,true",
            "0,user_id,a,true",
            "1,email,x@y.z,false",
            "1,phone,2,true",
            "1,user_id,b,true",
            "2,user_id,c,true",
        ]
    );
    project.write("2.csv", "user_id,email,phone\nb,x@y.z,1\n");
    assert_eq!(profiles(&project, "2.csv", &keys)["conflicts"], 1);
    let conflicts = project
        .csv("SELECT profile_id, namespace, value FROM identifiers WHERE NOT home ORDER BY 2");
    assert_eq!(conflicts, ["1,email,x@y.z", "1,phone,1"]);
    assert_eq!(project.number("SELECT count(*) FROM profiles"), 3);
}

#[test]
fn the_first_key_with_a_value_decides() {
    let project = Project::new();
    project.write("1.csv", "user_id,email\na,a@x.y\n,new@x.y\n,A@x.y\n");
    let ingested = profiles(&project, "1.csv", &["--key", "email"]);
    assert_eq!(ingested["profiles_new"], 2);
    let homes = project.csv("SELECT profile_id, namespace, value FROM identifiers ORDER BY 1, 2");
    assert_eq!(homes, ["0,email,a@x.y", "0,user_id,a", "1,email,new@x.y"]);
}

#[test]
fn a_row_that_only_has_a_later_key_keeps_the_first_one() {
    let project = Project::new();
    project.write("1.csv", "user_id,email,plan\na,a@x.y,free\n");
    profiles(&project, "1.csv", &["--key", "email"]);
    project.write("2.csv", "user_id,email,plan\n,a@x.y,gold\n");
    profiles(&project, "2.csv", &["--key", "email"]);
    assert_eq!(project.csv("SELECT user_id, plan FROM profiles"), ["a,gold"]);
}

#[test]
fn of_two_rows_of_a_new_profile_the_one_without_the_first_key_takes_it_not_away() {
    let project = Project::new();
    project.write("1.csv", "user_id,email,plan\na,a@x.y,free\n,a@x.y,gold\n");
    profiles(&project, "1.csv", &["--key", "email"]);
    assert_eq!(project.csv("SELECT user_id, plan FROM profiles"), ["a,gold"]);
}

#[test]
fn events_make_unknown_profiles() {
    let project = Project::with_shop();
    project.write("more.csv", "user_id,ts,event,amount,product\nu9,2026-10-01,view,,x\nu1,2026-10-01,view,,x\nu9,2026-10-02,view,,x\n");
    let ingested = events(&project, "more.csv", &[]);
    assert_eq!((&ingested["profiles_new"], &ingested["events"]), (&json!(1), &json!(3)));
    assert_eq!(
        project.rows("SELECT * FROM profiles WHERE profile_id = 4"),
        [json!({"profile_id": 4, "user_id": "u9", "email": null, "country": null, "plan": null}),]
    );
    project.write("late.csv", "user_id,plan\nu9,gold\n");
    assert_eq!(profiles(&project, "late.csv", &[])["profiles_updated"], 1);
    assert_eq!(
        project.csv("SELECT profile_id, plan FROM profiles WHERE user_id = 'u9'"),
        ["4,gold"]
    );
}

#[test]
fn ids_that_arrive_as_floats_are_whole() {
    let project = Project::new();
    project.write("1.csv", "user_id,n\n17850.0,1\n,2\n13047.0,3\n");
    let ingested = profiles(&project, "1.csv", &["--rejects", "1"]);
    assert_eq!((&ingested["profiles_new"], &ingested["rejected"]), (&json!(2), &json!(1)));
    assert_eq!(
        rejects(&project, "profiles")[0].split(',').take(3).collect::<Vec<_>>(),
        ["1.csv", "3", "no value in user_id"]
    );
    project.write("2.csv", "user_id,n\n13047,4\n");
    assert_eq!(profiles(&project, "2.csv", &[])["profiles_updated"], 1);
    assert_eq!(
        project.csv("SELECT profile_id, user_id, n FROM profiles ORDER BY 1"),
        ["0,17850,1", "1,13047,4"]
    );
}

const PLAIN: &str =
    "user_id,ts,event,amount\na,2026-01-01T00:00:00Z,x,1.5\nb,2026-01-02T00:00:00Z,y,\n";
const STORED: [&str; 2] = ["0,a,x,2026-01-01T00:00:00Z,1.5", "1,b,y,2026-01-02T00:00:00Z,"];
const ALL_EVENTS: &str = "SELECT e.profile_id, user_id, event, ts, amount FROM events e JOIN profiles USING (profile_id) ORDER BY e.profile_id, ts";

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).expect("memory");
    encoder.finish().expect("memory")
}

fn parquet_file(project: &Project, name: &str) {
    let columns: [(&str, ArrayRef); 4] = [
        ("user_id", Arc::new(StringArray::from(vec!["a", "b"]))),
        (
            "ts",
            Arc::new(TimestampMicrosecondArray::from(vec![
                1_767_225_600_000_000,
                1_767_312_000_000_000,
            ])),
        ),
        ("event", Arc::new(StringArray::from(vec!["x", "y"]))),
        ("amount", Arc::new(Float64Array::from(vec![Some(1.5), None]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).expect("a batch");
    let file = File::create(project.path(name)).expect("a file");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
}

#[test]
fn packed_files_ndjson_and_parquet_hold_the_same_rows() {
    let ndjson = "{\"user_id\":\"a\",\"ts\":\"2026-01-01T00:00:00Z\",\"event\":\"x\",\"amount\":1.5}\n\
                  {\"user_id\":\"b\",\"ts\":\"2026-01-02T00:00:00Z\",\"event\":\"y\"}\n";
    let zstd = |text: &str| zstd::encode_all(text.as_bytes(), 1).expect("memory");
    let files: [(&str, Vec<u8>); 6] = [
        ("e.csv", PLAIN.into()),
        ("e.csv.gz", gzip(PLAIN)),
        ("e.csv.zst", zstd(PLAIN)),
        ("e.ndjson", ndjson.into()),
        ("e.ndjson.gz", gzip(ndjson)),
        ("e.jsonl.zst", zstd(ndjson)),
    ];
    for (name, bytes) in files {
        let project = Project::new();
        project.write(name, bytes);
        events(&project, name, &[]);
        assert_eq!(project.csv(ALL_EVENTS), STORED, "{name}");
    }
    let project = Project::new();
    parquet_file(&project, "e.parquet");
    events(&project, "e.parquet", &[]);
    assert_eq!(project.csv(ALL_EVENTS), STORED);
}

#[test]
fn an_ingest_short_of_memory_keeps_the_same_rows() {
    let file = events_csv("m", 700, 9_000);
    let all = ["64KiB", "1GB"].map(|memory| {
        let project = Project::new();
        project.write("e.csv", &file);
        project.ok(&["--memory", memory, "ingest", "events", "e.csv", "--key", "user_id"]);
        project.csv("SELECT * FROM events ORDER BY note")
    });
    assert_eq!(all[0].len(), 9_000);
    assert!(all[0] == all[1], "rows that were set aside on the disk differ");
}

#[test]
fn a_damaged_archive_is_named() {
    let project = Project::with_shop();
    let before = project.status();
    let packed = gzip(&PLAIN.repeat(50));
    project.write("torn.csv.gz", &packed[..packed.len() / 2]);
    let error = project.error(&["ingest", "events", "torn.csv.gz", "--key", "user_id"]);
    assert_eq!(error["kind"], "data");
    assert!(
        error["message"].as_str().expect("text").contains("gzip stream of torn.csv.gz"),
        "{error}"
    );
    assert_eq!(project.status(), before);
}

#[test]
fn exports_of_the_real_world_are_read() {
    let project = Project::new();
    let text = "4711;01.02.2026 08:30;Kauf;1.234,50;\"Stra\u{df}e 1\nHinterhaus\"\n4712;30.06.2026 23:30;Kauf;7,25;M\u{fc}nchen\n";
    let latin: Vec<u8> =
        text.chars().map(|c| u8::try_from(u32::from(c)).expect("latin 1")).collect();
    project.write("kauf.csv", latin);
    let flags = [
        "--delimiter",
        ";",
        "--header",
        "none",
        "--columns",
        "user_id,at,event,amount,place",
        "--encoding",
        "windows-1252",
        "--decimal",
        "comma",
        "--timezone",
        "Europe/Berlin",
        "--times",
        "%d.%m.%Y %H:%M",
        "--time",
        "at",
    ];
    let ingested = events(&project, "kauf.csv", &flags);
    assert_eq!((&ingested["rows"], &ingested["rejected"]), (&json!(2), &json!(0)));
    assert_eq!(
        project.rows("SELECT profile_id, event, ts, amount, place FROM events ORDER BY ts"),
        [
            json!({"profile_id": 0, "event": "Kauf", "ts": "2026-02-01T07:30:00Z", "amount": 1234.5, "place": "Stra\u{df}e 1\nHinterhaus"}),
            json!({"profile_id": 1, "event": "Kauf", "ts": "2026-06-30T21:30:00Z", "amount": 7.25, "place": "M\u{fc}nchen"}),
        ]
    );
}

#[test]
fn a_source_file_says_all_of_it() {
    let project = Project::new();
    project.write("in/a.csv", "id|when|what\n1|2026-03-01 00:30|open\n2|2026-03-02 00:30|skip\n");
    project.write(
        "sql/sources/mail.sql",
        "\
-- kind: events\n-- keys: user_id=id\n-- time: when\n-- event: 'mail'\n-- timezone: Europe/Berlin\n\
SELECT id, \"when\", upper(what) AS what FROM 'in/*.csv' WHERE what <> 'skip'\n",
    );
    assert_eq!(project.json(&["ingest"])["events"], 1);
    assert_eq!(
        project.csv("SELECT event, ts, what FROM events"),
        ["mail,2026-02-28T23:30:00Z,OPEN"]
    );
}

#[test]
fn rows_that_do_not_fit_are_kept_with_their_place() {
    let project = Project::new();
    project.write("e.csv", "user_id,ts,event\na,2026-01-01,x\nb,2026-01-02\n,2026-01-03,x\nd,,x\ne,1066-10-14,x\nf,2026-01-01,\ng,2026-01-01,x\n");
    let ingested = events(&project, "e.csv", &["--rejects", "5"]);
    assert_eq!(
        (&ingested["rows"], &ingested["events"], &ingested["rejected"]),
        (&json!(7), &json!(2), &json!(5))
    );
    assert!(
        ingested["rejects_file"].as_str().expect("a path").ends_with("rejects/events.csv"),
        "{ingested}"
    );
    assert_eq!(project.read("rejects/events.csv").lines().next(), Some("file,line,reason,row"));
    let places: Vec<String> = rejects(&project, "events")
        .iter()
        .map(|l| l.splitn(4, ',').take(3).collect::<Vec<_>>().join(","))
        .collect();
    assert_eq!(places[0], "e.csv,3,\"expected 3 fields");
    assert_eq!(places[1], "e.csv,4,no value in user_id");
    assert_eq!(places[2], "e.csv,5,no time in ts");
    assert!(places[3].starts_with("e.csv,6,\"ts is 1066-10-14"), "{places:?}");
    assert_eq!(places[4], "e.csv,7,no event name");
    assert_eq!(project.number("SELECT count(*) FROM profiles"), 2);
}

#[test]
fn too_many_rejects_fail_before_anything_is_committed() {
    let project = Project::with_shop();
    let before = project.status();
    project.write("e.csv", "user_id,ts,event\na,2026-01-01,x\nb,2026-01-02\nc,2026-01-03\n");
    let error =
        project.error(&["ingest", "events", "e.csv", "--key", "user_id", "--rejects", "10%"]);
    assert_eq!(error["kind"], "data");
    assert_eq!(error["message"], "2 of 3 rows of source events do not fit; it bears 10%");
    assert!(
        error["hints"][0].as_str().expect("a hint").contains("expected 3 fields, found 2"),
        "{error}"
    );
    assert_eq!(rejects(&project, "events").len(), 2);
    assert_eq!(project.status(), before);
    assert_eq!(
        project.json(&["ingest", "events", "e.csv", "--key", "user_id", "--rejects", "70%"])["events"],
        1
    );
}

#[test]
fn new_event_columns_widen_the_table() {
    let project = Project::with_shop();
    project.write("e.csv", "user_id,ts,event,store,amount\nu1,2026-10-02,visit,north,\n");
    events(&project, "e.csv", &[]);
    let rows = project.csv(
        "SELECT event, store, product FROM events WHERE profile_id = 0 ORDER BY ts DESC LIMIT 2",
    );
    assert_eq!(rows, ["purchase,,chair", "visit,north,"]);
    assert_eq!(table_rows(&project.status(), "events"), 8);
}

#[test]
fn a_changed_type_is_a_clear_error() {
    let project = Project::with_shop();
    let before = project.status();
    project.write("e.csv", "user_id,ts,event,amount\nu1,2026-10-02,purchase,much\n");
    let error = project.error(&["ingest", "events", "e.csv", "--key", "user_id"]);
    assert_eq!(
        error["message"],
        "column \"amount\" was Float64 in the store and comes as Utf8 now"
    );
    assert!(
        error["hints"][0].as_str().expect("a hint").starts_with("cast it in the source's SQL"),
        "{error}"
    );
    assert_eq!(project.status(), before);
}

#[test]
fn a_changed_event_file_is_refused() {
    let project = Project::with_shop();
    let before = project.status();
    let more = project.read("data/orders.csv") + "u4,2026-10-31,view,,lamp\n";
    project.write("data/orders.csv", more);
    let error = project.error(&["ingest", "events", "data/orders.csv", "--key", "user_id"]);
    assert_eq!(error["message"], "data/orders.csv was ingested before with other content");
    assert_eq!(error["hints"][1], "put new rows into a file of their own");
    assert_eq!(project.status(), before);
}

#[test]
fn missing_files_and_columns_are_named() {
    let project = Project::with_shop();
    project.write("new.csv", "user_id,ts,event\nu1,2026-10-02,visit\n");
    let error = project.error(&["ingest", "events", "data/order.csv", "--key", "user_id"]);
    assert_eq!(error["message"], "no file matches data/order.csv");
    assert_eq!(error["hints"], json!(["did you mean \"orders.csv\"?"]));
    let error = project.error(&["ingest", "events", "new.csv", "--key", "user_id=usr_id"]);
    assert_eq!(error["message"], "source events has no column \"usr_id\" for its key");
    assert_eq!(error["hints"], json!(["did you mean \"user_id\"?"]));
    let error =
        project.error(&["ingest", "events", "new.csv", "--key", "user_id", "--time", "tss"]);
    assert_eq!(error["hints"], json!(["did you mean \"ts\"?"]));
    let error = project.error(&["ingest", "profiles", "data/customers.csv", "--key", "User ID"]);
    assert_eq!(error["message"], "\"User ID\" cannot be an identifier namespace");
}

#[test]
fn a_moment_that_is_a_number_needs_its_unit() {
    let project = Project::new();
    project.write("e.csv", "user_id,ts,event\na,1767225600,x\n");
    let error = project.error(&["ingest", "events", "e.csv", "--key", "user_id"]);
    assert_eq!(error["message"], "the time \"ts\" is Int64, not a time");
    let flags = ["--types", "ts timestamp", "--times", "epoch_s"];
    assert_eq!(events(&project, "e.csv", &flags)["events"], 1);
    assert_eq!(project.csv("SELECT ts FROM events"), ["2026-01-01T00:00:00Z"]);
}

#[test]
fn a_changed_profile_source_reads_its_files_again() {
    let project = Project::new();
    project.write("c.csv", "user_id,plan\na,free\n");
    let source = |sql: &str| {
        project.write(
            "sql/sources/people.sql",
            format!("-- kind: profiles\n-- keys: user_id\n{sql}\n"),
        );
    };
    source("SELECT * FROM 'c.csv'");
    project.ok(&["ingest"]);
    source("SELECT user_id, upper(plan) AS plan FROM 'c.csv'");
    assert_eq!(project.json(&["ingest"])["profiles_updated"], 1);
    assert_eq!(project.csv("SELECT plan FROM profiles"), ["FREE"]);
}
