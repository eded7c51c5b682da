//! Every verb, from an empty folder to exports, for people and for programs.

use std::fs::File;

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::Int32Type;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use roaring::{RoaringBitmap, RoaringTreemap};
use serde_json::{Value, json};

use super::support::{AS_OF, Project, has_fields, segment_of, table_rows};

const CUSTOMERS: &str = "\
customer_id,email,country,plan,signed_up
c1,Ann@Example.com,DE,free,2025-01-01
c2,bob@example.com,FR,premium,2025-02-01
c3,,DE,premium,2025-03-01
";

const ORDERS: &str = "\
customer_id,order_date,amount,product
c1,2026-10-01 09:00:00,300.50,lamp
c1,2026-10-20 10:00:00,250,chair
c2,2026-03-01 12:00:00,900,sofa
c9,2026-10-30 08:00:00,20,cup
";

/// The project that `init` makes, with data that its examples are made for, ingested.
fn started() -> Project {
    let project = Project::empty_folder();
    project.ok(&["init", "."]);
    project.write("data/customers.csv", CUSTOMERS);
    project.write("data/orders.csv", ORDERS);
    project.ok(&["ingest"]);
    project
}

/// The same, built.
fn built() -> Project {
    let project = started();
    project.ok(&["build", "--as-of", "2026-11-01"]);
    project
}

#[test]
fn init_makes_a_project_once() {
    let project = Project::empty_folder();
    let made = project.json(&["init", "shop"]);
    has_fields(&made, &["project", "files"]);
    assert!(project.path("shop/throng.toml").is_file());
    assert!(project.path("shop/sql/segments/big_spenders.sql").is_file());
    let again = project.error(&["init", "shop"]);
    assert_eq!(again["kind"], "input");
    assert_eq!(again["message"], "shop is a project already");
}

#[test]
fn a_project_is_found_from_below_or_named() {
    let project = started();
    let below = project
        .command(&["count", "SELECT * FROM profiles"])
        .current_dir(project.path("sql"))
        .output();
    assert_eq!(below.expect("runs").stdout, b"4\n");
    let elsewhere = Project::empty_folder();
    let root = project.root().to_str().expect("a path");
    assert_eq!(elsewhere.ok(&["--project", root, "count", "SELECT * FROM profiles"]).stdout, "4\n");
    let nowhere = elsewhere.fails(&["ls"]);
    assert!(nowhere.stderr.contains("no throng.toml in"), "{nowhere:#?}");
    assert!(nowhere.stderr.contains("hint: make a project with `throng init DIR`"), "{nowhere:#?}");
}

#[test]
fn ingest_says_what_it_did() {
    let project = Project::empty_folder();
    project.ok(&["init", "."]);
    project.write("data/customers.csv", CUSTOMERS);
    project.write("data/orders.csv", ORDERS);
    let run = project.ok(&["ingest", "--format", "json"]);
    let lines: Vec<Value> =
        run.stdout.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    let fields = [
        "source",
        "rows",
        "profiles_new",
        "profiles_updated",
        "events",
        "rejected",
        "already_ingested",
        "elapsed_ms",
    ];
    for line in &lines {
        has_fields(line, &fields);
    }
    let [customers, orders] = &lines[..] else { panic!("{run:#?}") };
    assert_eq!(customers["source"], "customers");
    assert_eq!((&customers["rows"], &customers["profiles_new"]), (&json!(3), &json!(3)));
    assert_eq!((&orders["events"], &orders["profiles_new"]), (&json!(4), &json!(1)));
    assert_eq!(
        project.rows("SELECT * FROM profiles WHERE profile_id IN (0, 3) ORDER BY profile_id"),
        [
            json!({"profile_id": 0, "user_id": "c1", "email": "Ann@Example.com", "country": "DE",
               "plan": "free", "signed_up": "2025-01-01"}),
            json!({"profile_id": 3, "user_id": "c9", "email": null, "country": null, "plan": null,
               "signed_up": null}),
        ]
    );
    let again = project.ok(&["ingest"]);
    assert!(again.stdout.contains("customers: nothing new"), "{again:#?}");
    assert!(again.stdout.contains("orders: nothing new"), "{again:#?}");
}

#[test]
fn one_source_can_be_named() {
    let project = Project::empty_folder();
    project.ok(&["init", "."]);
    project.write("data/customers.csv", CUSTOMERS);
    assert_eq!(project.json(&["ingest", "customers"])["rows"], 3);
    let error = project.error(&["ingest", "customer"]);
    assert_eq!(error["message"], "no source \"customer\" in sql/sources");
    assert_eq!(error["hints"], json!(["did you mean customers?"]));
}

#[test]
fn build_reports_every_segment() {
    let project = started();
    let report = project.json(&["build", "--as-of", "2026-11-01"]);
    has_fields(&report, &["build", "as_of", "elapsed_ms", "segments"]);
    assert_eq!((&report["build"], &report["as_of"]), (&json!(1), &json!(AS_OF)));
    let spenders = segment_of(&report, "big_spenders");
    has_fields(spenders, &["name", "status", "members", "entered", "exited", "elapsed_ms"]);
    assert_eq!((&spenders["status"], &spenders["members"]), (&json!("built"), &json!(2)));
    assert_eq!((&spenders["entered"], &spenders["exited"]), (&json!(2), &json!(0)));
    assert_eq!(segment_of(&report, "win_back")["members"], 1);
    assert_eq!((project.ids("big_spenders"), project.ids("win_back")), (vec![0, 1], vec![1]));
    let table = project.ok(&["build", "--as-of", "2026-11-01"]);
    assert!(table.stdout.contains("2 reused in"), "{table:#?}");
}

#[test]
fn ls_and_show_describe_segments() {
    let project = started();
    assert_eq!(project.json(&["ls"])[0]["status"], "unbuilt");
    project.ok(&["build", "--as-of", "2026-11-01"]);
    let Value::Array(listed) = project.json(&["ls"]) else { panic!("no list") };
    let fields = ["name", "members", "build", "as_of", "status", "tags", "description"];
    for segment in &listed {
        has_fields(segment, &fields);
    }
    assert_eq!(
        listed[1],
        json!({
            "name": "win_back", "members": 1, "build": 1, "as_of": AS_OF, "status": "built",
            "tags": ["value", "retention"], "description": "Good customers who have not bought for 90 days"
        })
    );
    let shown = project.json(&["show", "win_back"]);
    has_fields(&shown, &[&fields[..], &["sql", "depends_on", "dependants", "leaves"]].concat());
    assert_eq!(shown["depends_on"], json!(["big_spenders"]));
    assert_eq!(project.json(&["show", "big_spenders"])["dependants"], json!(["win_back"]));
    assert_eq!(shown["sql"], project.read("sql/segments/win_back.sql"));
    let csv = project.ok(&["ls", "--format", "csv"]);
    assert_eq!(csv.stdout.lines().count(), 3, "{csv:#?}");
    let unknown = project.error(&["show", "winback"]);
    assert_eq!(unknown["hints"], json!(["did you mean win_back?"]));
}

#[test]
fn count_takes_names_and_queries() {
    let project = built();
    assert_eq!(
        project.json(&["count", "big_spenders", "--as-of", "2026-11-01"]),
        json!({"members": 2})
    );
    assert_eq!(project.ok(&["count", "big_spenders", "--as-of", "2028-11-01"]).stdout, "0\n");
    let sql = "SELECT profile_id FROM events UNION ALL SELECT profile_id FROM events";
    assert_eq!(project.ok(&["count", sql]).stdout, "3\n");
    assert_eq!(project.ok(&["count", "SELECT count(*) FROM events"]).stdout, "4\n");
    assert_eq!(project.ok(&["count", "SELECT profile_id FROM segments.win_back"]).stdout, "1\n");
}

#[test]
fn query_writes_tables_json_and_csv() {
    let project = built();
    let sql = "SELECT country, count(*) AS n FROM profiles GROUP BY country ORDER BY country";
    let table = project.ok(&["query", sql]).stdout;
    assert!(table.ends_with("3 rows\n") && table.contains("country"), "{table}");
    assert_eq!(
        project.json(&["query", sql]),
        json!([{"country": "DE", "n": 2}, {"country": "FR", "n": 1}, {"country": null, "n": 1}])
    );
    assert_eq!(
        project.ok(&["query", sql, "--format", "csv"]).stdout,
        "country,n\nDE,2\nFR,1\n,1\n"
    );
    let none = "SELECT user_id FROM profiles WHERE false";
    assert_eq!(project.json(&["query", none]), json!([]));
    assert_eq!(project.ok(&["query", none, "--format", "csv"]).stdout, "user_id\n");
    let now = "SELECT CAST(now() AS TEXT) AS t, CAST(current_date AS TEXT) AS d";
    let row = &project.json(&["query", now, "--as-of", "2026-11-01T12:00:00Z"])[0];
    assert_eq!(row["d"], "2026-11-01");
    assert!(row["t"].as_str().expect("text").starts_with("2026-11-01T12:00:00"), "{row}");
    let write = project.error(&["query", "DROP TABLE profiles"]);
    assert_eq!(write["message"], "only queries can be run here");
}

#[test]
fn every_type_is_shown_in_every_format() {
    let project = built();
    let sql = "SELECT [1, 2] AS list, named_struct('a', 1) AS struct, true AS truth, NULL AS none, \
               DATE '2026-01-31' AS day, CAST(1.5 AS DECIMAL(5, 2)) AS money, INTERVAL '1 day' AS span, \
               TIMESTAMP '2026-01-31T12:00:00.5Z' AS moment, X'0aff' AS bytes";
    let csv = project.ok(&["query", sql, "--format", "csv"]).stdout;
    assert!(csv.contains("\n\"[1, 2]\",{a: 1},true,,2026-01-31,1.50,"), "{csv}");
    let row = &project.rows(sql)[0];
    assert_eq!((&row["list"], &row["struct"]), (&json!([1, 2]), &json!({"a": 1})));
    assert_eq!((&row["money"], &row["none"]), (&json!(1.5), &Value::Null));
    assert!(project.ok(&["query", sql]).stdout.contains("[1, 2]"));
    for format in ["table", "json", "csv"] {
        for table in ["profiles", "events", "identifiers", "memberships", "builds"] {
            project.ok(&["query", &format!("SELECT * FROM {table}"), "--format", format]);
        }
    }
}

#[test]
fn history_lists_builds_last_first() {
    let project = built();
    project.ok(&["build", "--as-of", "2028-11-01"]);
    let Value::Array(entries) = project.json(&["history", "big_spenders"]) else {
        panic!("no list")
    };
    for entry in &entries {
        has_fields(entry, &["build", "as_of", "status", "members", "definition"]);
    }
    let builds: Vec<_> =
        entries.iter().map(|e| (&e["build"], &e["members"], &e["exited"])).collect();
    assert_eq!(builds, [(&json!(2), &json!(0), &json!(2)), (&json!(1), &json!(2), &json!(0))]);
    assert_eq!(project.ok(&["history", "big_spenders"]).stdout.lines().count(), 3);
    let unknown = project.error(&["history", "big_spender"]);
    assert_eq!(unknown["hints"], json!(["did you mean big_spenders?"]));
}

#[test]
fn history_is_csv_with_and_without_errors() {
    let project = built();
    project.segment("big_spenders", "SELECT profile_id FROM event");
    project.fails(&["build", "--as-of", "2026-11-01"]);
    let csv = project.ok(&["history", "big_spenders", "--format", "csv"]).stdout;
    let widths: Vec<usize> = csv.lines().map(|l| l.matches(',').count()).collect();
    assert_eq!(widths.len(), 3, "{csv}");
    assert!(widths.iter().all(|w| *w == widths[0]), "{csv}");
    assert!(csv.lines().next().expect("a header").contains("error"), "{csv}");
}

#[test]
fn every_result_is_csv_with_one_header() {
    let project = started();
    project.write(
        "data/orders2.csv",
        "customer_id,order_date,amount,product\nc1,,3,x\nc1,2026-01-01,3,x\n",
    );
    let verbs = [
        &["ingest"][..],
        &["build", "--as-of", "2026-11-01"],
        &["ls"],
        &["show", "win_back"],
        &["count", "win_back"],
        &["history", "win_back"],
        &["test"],
        &["status"],
        &["optimize"],
        &["vacuum"],
        &["export", "win_back", "--to", "x.csv", "--as", "csv"],
        &["init", "more"],
    ];
    for verb in verbs {
        let run = project.ok(&[verb, &["--format", "csv"]].concat());
        let mut reader = csv::Reader::from_reader(run.stdout.as_bytes());
        let rows: Vec<_> =
            reader.records().collect::<Result<_, _>>().expect("as many fields as names");
        assert!(!rows.is_empty(), "{run:#?}");
    }
}

#[test]
fn status_counts_rows() {
    let project = built();
    let status = project.status();
    let fields = [
        "store",
        "version",
        "operation",
        "committed_at",
        "shard_ids",
        "last_build",
        "segments",
        "tables",
    ];
    has_fields(&status, &fields);
    let rows = ["profiles", "identifiers", "events", "memberships"].map(|t| table_rows(&status, t));
    assert_eq!(rows, [4, 6, 4, 2]);
    assert_eq!((&status["operation"], &status["last_build"]), (&json!("build"), &json!(1)));
    assert_eq!(status["segment_statuses"], json!({"built": 2}));
    let text = project.ok(&["status"]).stdout;
    assert!(text.contains("2 segments (2 built), last build 1"), "{text}");
}

#[test]
fn tests_pass_and_fail() {
    let project = built();
    project.write("sql/tests/nobody_is_french.sql", "SELECT * FROM profiles WHERE country = 'FR'");
    project.write("sql/tests/typo.sql", "SELECT * FROM profile");
    let run = project.fails(&["test", "--format", "json"]);
    let outcomes = run.value();
    let brief: Vec<_> = outcomes
        .as_array()
        .expect("a list")
        .iter()
        .map(|o| (&o["name"], &o["passed"], &o["rows"]))
        .collect();
    assert_eq!(
        brief,
        [
            (&json!("nobody_is_french"), &json!(false), &json!(1)),
            (&json!("purchases_have_amounts"), &json!(true), &json!(0)),
            (&json!("typo"), &json!(false), &json!(0)),
        ]
    );
    assert_eq!(outcomes[2]["error"]["hints"], json!(["did you mean profiles?"]));
    let text = project.fails(&["test"]);
    assert!(text.stdout.contains("1 of 3 tests passed"), "{text:#?}");
    let csv = project.fails(&["test", "--format", "csv"]);
    assert_eq!(csv.stdout.lines().next(), Some("name,passed,rows,description,error"), "{csv:#?}");
}

#[test]
fn optimize_and_vacuum_change_no_answer() {
    let project = built();
    project.write("data/customers2.csv", CUSTOMERS.replace(",DE,", ",AT,").replace("c3", "c4"));
    project.ok(&["ingest", "customers"]);
    project.write("data/orders2.csv", ORDERS.replace("2026-10", "2026-09"));
    project.ok(&["ingest", "orders"]);
    let answer = |sql| project.csv(sql);
    let all = [
        "SELECT * FROM profiles ORDER BY 1",
        "SELECT * FROM events ORDER BY profile_id, ts",
        "SELECT * FROM identifiers ORDER BY 1, 2, 3",
    ];
    let before = all.map(answer);
    let Value::Array(done) = project.json(&["optimize"]) else { panic!("no list") };
    for table in &done {
        has_fields(table, &["table", "files_before", "files_after"]);
    }
    assert!(done.iter().any(|t| t["table"] == "identifiers" && t["files_after"] == 1), "{done:#?}");
    assert_eq!(all.map(answer), before);
    assert_eq!(project.json(&["optimize"]), json!([]));
    assert_eq!(project.json(&["vacuum"])["files"], 0);
    let would = project.json(&["vacuum", "--older-than", "0s", "--dry-run"]);
    let did = project.json(&["vacuum", "--older-than", "0s"]);
    assert_eq!((&would["files"], &would["dry_run"]), (&did["files"], &json!(true)));
    assert!(did["files"].as_u64() > Some(0), "{did}");
    assert_eq!(all.map(answer), before);
    assert_eq!(project.ids("big_spenders"), [0, 1]);
}

fn parquet_rows(project: &Project, name: &str) -> RecordBatch {
    let file = File::open(project.path(name)).expect("a file");
    let mut reader =
        ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet").build().expect("a reader");
    reader.next().expect("a batch").expect("rows")
}

#[test]
fn exports_hold_the_members_in_every_format() {
    let project = built();
    let export = |name: &str, format: &str, ids: &str| {
        let to = format!("out/{name}.{format}");
        let args = ["export", name, "--to", &to, "--as", format, "--ids", ids];
        let exported = project.json(&args);
        has_fields(&exported, &["name", "file", "format", "members", "rows", "bytes"]);
        assert_eq!(exported["bytes"], project.bytes(&to).len());
        to
    };
    let csv = export("win_back", "csv", "user_id");
    assert_eq!(project.read(&csv), "user_id\nc2\n");
    let csv = export("big_spenders", "csv", "email");
    assert_eq!(project.read(&csv), "email\nann@example.com\nbob@example.com\n");
    let ndjson = export("big_spenders", "ndjson", "profile_id");
    assert_eq!(project.read(&ndjson), "{\"profile_id\":0}\n{\"profile_id\":1}\n");
    let parquet = parquet_rows(&project, &export("big_spenders", "parquet", "profile_id"));
    assert_eq!(parquet.column(0).as_primitive::<Int32Type>().values(), &[0, 1]);
    let parquet = parquet_rows(&project, &export("big_spenders", "parquet", "user_id"));
    assert_eq!(
        parquet.column(0).as_string::<i32>().iter().flatten().collect::<Vec<_>>(),
        ["c1", "c2"]
    );
    let arrow =
        File::open(project.path(&export("big_spenders", "arrow", "profile_id"))).expect("a file");
    let mut arrow = arrow::ipc::reader::FileReader::try_new(arrow, None).expect("Arrow");
    let batch = arrow.next().expect("a batch").expect("rows");
    assert_eq!(batch.column(0).as_primitive::<Int32Type>().values(), &[0, 1]);
    let bytes = project.bytes(&export("big_spenders", "roaring", "profile_id"));
    let bitmap = RoaringBitmap::deserialize_from(&bytes[..]).expect("roaring");
    assert_eq!(bitmap.iter().collect::<Vec<_>>(), [0, 1]);
    let bytes = project.bytes(&export("big_spenders", "roaring64", "profile_id"));
    let bitmap = RoaringTreemap::deserialize_from(&bytes[..]).expect("roaring64");
    assert_eq!(bitmap.iter().collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn an_export_says_who_is_left_out_and_what_cannot_be() {
    let project = built();
    project.segment("everybody", "SELECT profile_id FROM profiles");
    project.ok(&["build", "everybody"]);
    let args = ["export", "everybody", "--to", "mail.csv", "--as", "csv", "--ids", "email"];
    let exported = project.json(&args);
    assert_eq!((&exported["rows"], &exported["without_identifier"]), (&json!(2), &json!(2)));
    assert!(project.ok(&args).stderr.contains("2 members of 4 have no email"));
    let args = ["export", "everybody", "--to", "mail", "--as", "roaring", "--ids", "email"];
    let run = project.ok(&args);
    assert!(run.stderr.contains("note: email is no number, so the bitmap holds profile_ids"));
    let error = project.error(&args.map(|arg| if arg == "mail" { "-" } else { arg }));
    assert_eq!(
        error["message"],
        "a bitmap of profile_ids needs a file for its dictionary of email"
    );
    let run = project.run(&["export", "everybody", "--to", "x", "--as", "parket"]);
    assert!(run.stderr.contains("hint: did you mean parquet?"), "{run:#?}");
    project.segment("new", "SELECT profile_id FROM profiles");
    let error = project.error(&["export", "new", "--to", "x", "--as", "csv"]);
    assert_eq!(error["message"], "segment new was never built");
    assert!(!project.path("x").exists());
}

#[test]
fn an_empty_segment_is_exported_empty() {
    let project = built();
    project.segment("nobody", "SELECT profile_id FROM profiles WHERE false");
    assert_eq!(project.json(&["build", "nobody"])["segments"][0]["members"], 0);
    for format in ["csv", "ndjson", "parquet", "arrow", "roaring", "roaring64"] {
        assert_eq!(project.json(&["export", "nobody", "--to", "none", "--as", format])["rows"], 0);
    }
    let bitmap = RoaringTreemap::deserialize_from(&project.bytes("none")[..]).expect("roaring64");
    assert!(bitmap.is_empty());
}

#[test]
fn completions_and_manual_pages_are_printed() {
    let project = Project::empty_folder();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(project.ok(&["completions", shell]).stdout.contains("throng"), "{shell}");
    }
    assert!(project.ok(&["man"]).stdout.contains(".TH throng"));
    project.ok(&["man", "--dir", "man1"]);
    assert!(project.path("man1/throng-build.1").is_file());
}

#[test]
fn generate_and_demo_make_a_shop() {
    let project = Project::empty_folder();
    let made = project.json(&["generate", "--profiles", "100", "--events", "500", "--out", "data"]);
    assert_eq!((&made["profiles"], &made["events"]), (&json!(100), &json!(500)));
    let args = ["demo", "--profiles", "300", "--events", "3000", "--dir", "demo"];
    let report = project.json(&args);
    assert_eq!(report["build"]["segments"].as_array().expect("a list").len(), 33);
    assert!(project.path("demo/exports/vip.parquet").is_file());
}

#[test]
fn quiet_says_nothing_but_results_and_errors() {
    let project = Project::empty_folder();
    assert!(!project.ok(&["init", "a"]).stderr.is_empty());
    assert_eq!(project.ok(&["-q", "init", "b"]).stderr, "");
    let built = built();
    assert_eq!(built.ok(&["-q", "count", "win_back"]).stderr, "");
    assert!(built.fails(&["-q", "count", "winback"]).stderr.starts_with("error: "));
}

#[test]
fn usage_errors_exit_with_2() {
    let project = Project::new();
    for args in [
        &["buidl"][..],
        &["build", "--treads", "2"],
        &["export", "x"],
        &["ls", "--threads", "0"],
        &["build", "--as-of", "soon"],
        &[],
    ] {
        let run = project.run(args);
        assert_eq!(run.code, Some(2), "{run:#?}");
        assert!(run.stdout.is_empty(), "{run:#?}");
    }
    assert_eq!(project.run(&["--version"]).code, Some(0));
}

#[test]
fn commands_before_any_data_say_what_to_do() {
    let project = Project::new();
    project.segment("vip", "SELECT profile_id FROM profiles");
    for args in [
        &["status"][..],
        &["build"],
        &["count", "vip"],
        &["query", "SELECT 1"],
        &["optimize"],
        &["history", "vip"],
    ] {
        let error = project.error(args);
        assert_eq!(error["kind"], "input", "{args:?}");
        assert_eq!(error["message"], "there is no store at store", "{args:?}");
        assert!(error["hints"][0].as_str().expect("a hint").contains("throng ingest"), "{args:?}");
    }
    assert_eq!(project.json(&["ls"])[0]["status"], "unbuilt");
}

#[test]
fn who_is_counted_as_nobody_hears_why() {
    let project = Project::with_shop();
    let count = |sql: &str| {
        let run = project.ok(&["count", &format!("SELECT profile_id FROM {sql}")]);
        assert_eq!(run.stdout, "0\n", "{sql}");
        run.stderr
    };
    let lines = |note: &str| format!("note: {note}\n");
    assert_eq!(
        count("events WHERE event = 'Purchase'"),
        lines("no event is called 'Purchase'; did you mean 'purchase'?")
    );
    assert_eq!(
        count("events e JOIN profiles p USING (profile_id) WHERE country IN ('de', 'fr')"),
        lines("no row of profiles has country = 'de'; did you mean 'DE'?")
            + &lines("no row of profiles has country = 'fr'; did you mean 'FR'?")
    );
    // What is there and yet nobody's is no word that nobody has.
    assert_eq!(count("profiles WHERE country = 'DE' AND country = 'FR'"), "");
    project.segment("buyers", "SELECT profile_id FROM events WHERE event = 'Purchase'");
    let run = project.ok(&["build"]);
    let why = "no event is called 'Purchase'; did you mean 'purchase'?";
    assert!(run.stderr.contains(&format!("note: segment buyers is empty: {why}")), "{run:#?}");
    assert_eq!(project.json(&["build", "--full"])["segments"][0]["notes"], json!([why]));
}
