//! Ids and bitmaps from elsewhere as segments: what is known becomes a member, the rest a reject.

use serde_json::json;

use super::support::{Project, segment_of};

/// A shop whose customers have numbers: 100 to 103 are profiles 0 to 3.
fn numbered() -> Project {
    let project = Project::new();
    project.write("data/customers.csv", "customer,country\n100,DE\n101,FR\n102,DE\n103,NL\n");
    project.ok(&["ingest", "profiles", "data/customers.csv", "--key", "user_id=customer"]);
    project
}

#[test]
fn a_list_becomes_a_segment_with_history() {
    let project = Project::with_shop();
    project.write("seed.csv", "email,note\nANN@example.com ,x\nnobody@example.com,y\n,z\nbob@example.com,x\nann@example.com,\n");
    let report = project.json(&["import", "seed", "seed.csv", "--as", "csv", "--ids", "email"]);
    assert_eq!(
        [&report["members"], &report["ids"], &report["known"], &report["rejected"]],
        [&json!(2), &json!(5), &json!(3), &json!(2)]
    );
    assert_eq!((&report["build"], &report["entered"]), (&json!(1), &json!(2)));
    let rejects = project.read("rejects/seed.csv");
    assert!(
        rejects.contains("seed.csv,3,no profile has this email,nobody@example.com"),
        "{rejects}"
    );
    assert!(rejects.contains("seed.csv,4,no value in email,"), "{rejects}");
    assert_eq!(project.ids("seed"), [0, 1]);

    project.write("seed.csv", "email\ndan@example.com\nann@example.com\n");
    let report = project.json(&["import", "seed", "seed.csv", "--as", "csv", "--ids", "email"]);
    assert_eq!([&report["entered"], &report["exited"]], [&json!(1), &json!(1)]);
    assert!(!project.path("rejects/seed.csv").exists(), "rejects of an earlier import");
    let history = project.json(&["history", "seed"]);
    let builds = history.as_array().expect("entries").iter().map(|e| e["build"].clone());
    assert_eq!(builds.collect::<Vec<_>>(), [json!(2), json!(1)]);
    assert_eq!(history[0]["status"], "imported");
}

#[test]
fn an_imported_segment_is_one_like_any_other() {
    let project = Project::with_shop();
    project.segment("german", "SELECT profile_id FROM profiles WHERE country = 'DE'");
    project.segment(
        "german_seed",
        "SELECT profile_id FROM segments.seed INTERSECT SELECT profile_id FROM segments.german",
    );
    project.write("seed.ndjson", "{\"user\": \"u1\"}\n{\"user\": \"u2\"}\n");
    let import = |file: &str| {
        let args = ["--as", "ndjson", "--ids", "user_id", "--column", "user"];
        project.json(&[&["import", "seed", file], &args[..]].concat())
    };
    import("seed.ndjson");
    let report = project.json(&["build"]);
    assert_eq!(segment_of(&report, "german_seed")["members"], 1);

    // Unchanged members keep what reads them, changed ones do not.
    import("seed.ndjson");
    assert_eq!(segment_of(&project.json(&["build"]), "german_seed")["status"], "reused");
    project.write("seed.ndjson", "{\"user\": \"u1\"}\n{\"user\": \"u3\"}\n");
    import("seed.ndjson");
    let report = project.json(&["build"]);
    assert_eq!(segment_of(&report, "german_seed")["status"], "built");
    assert_eq!(segment_of(&report, "german_seed")["members"], 2);

    let listed = project.json(&["ls"]);
    let seed = listed.as_array().expect("a list").iter().find(|s| s["name"] == "seed");
    assert_eq!(seed.expect("in the list")["status"], "imported");
    let shown = project.json(&["show", "seed"]);
    assert_eq!(shown["dependants"], json!(["german_seed"]));
    assert!(project.ok(&["show", "seed"]).stdout.starts_with("seed  (imported)"));
    assert_eq!(project.json(&["count", "seed"])["members"], 2);
    project.ok(&["export", "seed", "--to", "seed.csv", "--as", "csv", "--ids", "user_id"]);
    assert_eq!(project.read("seed.csv"), "user_id\nu1\nu3\n");
}

#[test]
fn a_list_without_a_header_loses_no_id() {
    let project = numbered();
    project.write("ids.txt", "100\n0101\n102\n");
    let import = |more: &[&str]| {
        let args = ["import", "few", "ids.txt", "--as", "csv", "--ids", "user_id"];
        [&args, more].concat().iter().map(|a| (*a).to_owned()).collect::<Vec<_>>()
    };
    let args = import(&["--no-header"]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let report = project.json(&args);
    // 0101 is another identifier than 101.
    assert_eq!([&report["members"], &report["rejected"]], [&json!(2), &json!(1)]);
    assert_eq!(project.ids("few"), [0, 2]);
}

#[test]
fn exports_of_every_format_come_back() {
    let project = numbered();
    project.segment("some", "SELECT profile_id FROM profiles WHERE country <> 'FR'");
    project.ok(&["build"]);
    for format in [
        "csv",
        "ndjson",
        "parquet",
        "arrow",
        "roaring",
        "roaring64",
        "clickhouse",
        "clickhouse64",
        "clickhouse-sql",
        "clickhouse64-sql",
        "starrocks",
        "doris",
        "postgres",
        "postgres64",
        "elasticsearch",
        "elasticsearch64",
        "druid",
        "pinot",
        "databricks",
        "matrixone",
    ] {
        for ids in ["profile_id", "user_id"] {
            let exported =
                project.json(&["export", "some", "--to", "f", "--as", format, "--ids", ids]);
            assert_eq!((&exported["ids"], &exported["rows"]), (&json!(ids), &json!(3)), "{format}");
            assert!(exported.get("dictionary").is_none());
            let report = project.json(&["import", "back", "f", "--as", format, "--ids", ids]);
            assert_eq!(
                (&report["members"], &report["rejected"]),
                (&json!(3), &json!(0)),
                "{format}"
            );
            assert_eq!(project.ids("back"), [0, 2, 3], "{format} {ids}");
        }
    }
}

#[test]
fn identifiers_that_are_no_numbers_go_beside_a_bitmap() {
    let project = Project::with_shop();
    project.segment("all", "SELECT profile_id FROM profiles");
    project.ok(&["build"]);
    let exported = project.json(&[
        "export",
        "all",
        "--to",
        "all.roaring",
        "--as",
        "roaring",
        "--ids",
        "email",
    ]);
    assert_eq!(exported["ids"], "profile_id");
    let dictionary = &exported["dictionary"];
    assert_eq!((&dictionary["namespace"], &dictionary["rows"]), (&json!("email"), &json!(3)));
    let file = dictionary["file"].as_str().expect("a file");
    assert!(file.starts_with("all.roaring.email.v") && project.path(file).exists(), "{file}");
    // The dictionary is a list like any other.
    let report = project.json(&["import", "mail", file, "--as", "parquet", "--ids", "email"]);
    assert_eq!(report["members"], 3);
}

#[test]
fn what_an_import_could_have_meant_is_said() {
    let project = numbered();
    project.write("seven.starrocks", "AQcAAAA=");
    for (args, hint) in [
        (["x", "seven.starrocks", "--as", "starrocks", "--ids", "user_id"], "--ids profile_id"),
        (["x", "seven.starrocks", "--as", "parquet", "--ids", "user_id"], "--as csv"),
    ] {
        let error = project.error(&[&["import"], &args[..]].concat());
        assert!(error["hints"].to_string().contains(hint), "expected {hint}, found {error}");
    }
}

#[test]
fn what_is_wrong_with_an_import_is_said_and_changes_nothing() {
    let project = numbered();
    project.segment("taken", "SELECT profile_id FROM profiles");
    project.write("ids.csv", "customer\n100\n");
    project.write("strangers.csv", "user_id\n7\n8\n");
    project.write("broken.roaring", [0x3A, 0x30, 0, 0, 1, 0, 0, 0]);
    project.write(
        "big.roaring64",
        [
            1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0x3A, 0x30, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0,
            0, 5, 0,
        ],
    );
    let version = project.status()["version"].clone();
    for (args, message, hint) in [
        (
            ["taken", "ids.csv", "--as", "csv", "--ids", "user_id"],
            "is a segment of sql/segments already",
            "another name",
        ),
        (
            ["x", "ids.csv", "--as", "csv", "--ids", "user_id"],
            "no column \"user_id\" in ids.csv; it has customer",
            "--column",
        ),
        (
            ["x", "ids.csv", "--as", "csv", "--ids", "email"],
            "no profile has an identifier email",
            "lists the namespaces",
        ),
        (["x", "nowhere.csv", "--as", "csv", "--ids", "user_id"], "nowhere.csv", ""),
        (
            ["x", "strangers.csv", "--as", "csv", "--ids", "user_id"],
            "none of the 2 ids is a profile's",
            "rejects",
        ),
        (
            ["x", "broken.roaring", "--as", "roaring", "--ids", "user_id"],
            "the keys of the containers: 4 bytes expected",
            "",
        ),
        (["x", "ids.csv", "--as", "starrocks", "--ids", "user_id"], "not base64", ""),
        (
            ["x", "big.roaring64", "--as", "roaring64", "--ids", "profile_id"],
            "none of the 1 ids",
            "rejects",
        ),
    ] {
        let error = project.error(&[&["import"], &args[..]].concat());
        let found = error["message"].as_str().expect("a message");
        assert!(found.contains(message), "expected {message}, found {error}");
        assert!(error["hints"].to_string().contains(hint), "expected {hint}, found {error}");
    }
    assert_eq!(project.status()["version"], version);
}
