//! Many segments as one set: whole or not there, resumed, and what changed between builds.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use super::support::{Dice, Project, has_fields};

/// Segments of as many users as their names say, out of `users` of them.
fn crowd(users: u32, segments: u32) -> Project {
    let project = Project::new();
    let rows = (0..users).map(|user| format!("{},u{user}@example.com\n", 1_000 + user));
    let rows = rows.collect::<Vec<_>>().concat();
    project.write("data/users.csv", format!("user_id,mail\n{rows}"));
    project.ok(&["ingest", "profiles", "data/users.csv", "--key", "user_id", "--key", "mail"]);
    for n in 0..segments {
        let sql = format!("SELECT profile_id FROM profiles WHERE profile_id % {} = 0", n + 1);
        project.segment(&format!("every_{}", n + 1), &sql);
    }
    project.ok(&["build"]);
    project
}

fn manifest(project: &Project, folder: &str) -> Value {
    serde_json::from_str(&project.read(&format!("{folder}/manifest.json"))).expect("a manifest")
}

/// What each file of a set is, without when it was written.
fn contents(project: &Project, folder: &str) -> Vec<Value> {
    let manifest = manifest(project, folder);
    let files = manifest["files"].as_array().expect("files");
    for file in files {
        let name = file["file"].as_str().expect("a name");
        let bytes = project.bytes(&format!("{folder}/{name}"));
        assert_eq!(file["bytes"], bytes.len(), "{name}");
    }
    files.clone()
}

#[test]
fn a_set_has_a_manifest_and_all_its_files() {
    let project = crowd(1_000, 5);
    let args = ["export", "--all", "--to", "out", "--as", "roaring,csv,starrocks"];
    let exported = project.json(&args);
    has_fields(
        &exported,
        &["to", "manifest", "segments", "files", "kept", "rows", "bytes", "elapsed_ms"],
    );
    assert_eq!((&exported["segments"], &exported["files"]), (&json!(5), &json!(15)));
    let files = contents(&project, "out");
    let first = &files[0];
    has_fields(
        first,
        &[
            "name",
            "part",
            "build",
            "as_of",
            "format",
            "ids",
            "cardinality",
            "rows",
            "file",
            "bytes",
            "sha256",
        ],
    );
    assert_eq!((&first["name"], &first["cardinality"]), (&json!("every_1"), &json!(1_000)));
    let csv = files.iter().find(|f| f["name"] == "every_4" && f["format"] == "csv").expect("csv");
    let text = project.read(&format!("out/{}", csv["file"].as_str().expect("a name")));
    assert_eq!(text.lines().count(), 251);

    // The same again changes nothing, and --resume writes nothing.
    let exported = project.json(&[&args[..], &["--resume"]].concat());
    assert_eq!(exported["kept"], 15);
    assert_eq!(contents(&project, "out"), files);
}

#[test]
fn a_selector_names_a_part_and_ids_are_the_users() {
    let project = crowd(100, 12);
    project.json(&[
        "export",
        "every_1*",
        "every_3",
        "--to",
        "out/",
        "--as",
        "clickhouse64",
        "--ids",
        "user_id",
    ]);
    let names: Vec<Value> = contents(&project, "out").iter().map(|f| f["name"].clone()).collect();
    assert_eq!(names, ["every_1", "every_10", "every_11", "every_12", "every_3"]);
    let file = &contents(&project, "out")[1];
    assert_eq!((&file["ids"], &file["rows"]), (&json!("user_id"), &json!(10)));
    let path = format!("out/{}", file["file"].as_str().expect("a name"));
    let report =
        project.json(&["import", "back", &path, "--as", "clickhouse64", "--ids", "user_id"]);
    assert_eq!(report["known"], 10);

    // Mail is no number: profile ids, and one dictionary for all.
    project.json(&[
        "export", "every_2", "every_5", "--to", "mail", "--as", "roaring", "--ids", "mail",
    ]);
    let dictionary = &manifest(&project, "mail")["dictionary"];
    assert_eq!((&dictionary["namespace"], &dictionary["rows"]), (&json!("mail"), &json!(60)));
    assert!(
        project.path(&format!("mail/{}", dictionary["file"].as_str().expect("a name"))).exists()
    );
    assert_eq!(contents(&project, "mail")[0]["ids"], "profile_id");
}

#[test]
fn files_of_the_set_before_stay_for_one_export() {
    let project = crowd(50, 1);
    let export = || project.json(&["export", "--all", "--to", "out", "--as", "csv"]);
    let file =
        |at: usize| contents(&project, "out")[at]["file"].as_str().expect("a name").to_owned();
    export();
    let first = file(0);
    for limit in [20, 30] {
        project.segment(
            "every_1",
            &format!("SELECT profile_id FROM profiles WHERE profile_id < {limit}"),
        );
        project.ok(&["build"]);
        export();
        assert_eq!(project.path(&format!("out/{first}")).exists(), limit == 20);
    }
    assert_eq!(manifest(&project, "out")["replaces"].as_array().map(Vec::len), Some(1));
}

#[test]
fn changes_are_exported_apart_and_counted() {
    let project = crowd(100, 1);
    project.segment("every_1", "SELECT profile_id FROM profiles WHERE profile_id >= 95");
    project.ok(&["build"]);
    project
        .segment("every_1", "SELECT profile_id FROM profiles WHERE profile_id BETWEEN 90 AND 97");
    project.ok(&["build"]);
    let diff = project.json(&["diff", "every_1"]);
    assert_eq!(
        [&diff["from"], &diff["to"], &diff["entered"], &diff["exited"], &diff["stayed"]],
        [&json!(2), &json!(3), &json!(5), &json!(2), &json!(3)]
    );
    let diff = project.json(&["diff", "every_1", "--from", "1", "--to", "2"]);
    assert_eq!((&diff["entered"], &diff["exited"]), (&json!(0), &json!(95)));

    let since = ["--as", "csv", "--changes-since", "2"];
    project.ok(&[&["export", "every_1", "--to", "one.csv"], &since[..]].concat());
    assert_eq!(project.read("one.entered.csv"), "profile_id\n90\n91\n92\n93\n94\n");
    assert_eq!(project.read("one.exited.csv"), "profile_id\n98\n99\n");
    project.ok(&[&["export", "--all", "--to", "out"], &since[..]].concat());
    let parts: Vec<Value> = contents(&project, "out").iter().map(|f| f["part"].clone()).collect();
    assert_eq!(parts, ["entered", "exited"]);
    assert_eq!(manifest(&project, "out")["changes_since"], 2);

    project.ok(&["export", "every_1", "--to", "then.csv", "--as", "csv", "--build", "1"]);
    assert_eq!(project.read("then.csv").lines().count(), 101);
    let error = project.error(&["export", "every_1", "--to", "x", "--as", "csv", "--build", "9"]);
    assert_eq!(error["message"], "there is no build 9; the last one is 3");
    // An older membership and the changes since make the newer one.
    let old = project.number("SELECT count(*) FROM segments.every_1");
    assert_eq!(old, 8);
}

#[test]
fn a_killed_export_leaves_the_old_set_and_is_resumed() {
    let project = crowd(20_000, 40);
    let args = ["export", "--all", "--as", "csv,roaring,starrocks,clickhouse"];
    project.ok(&[&args[..], &["--to", "reference"]].concat());
    let reference = contents(&project, "reference");
    project.ok(&["export", "every_1", "--to", "out/", "--as", "csv"]);
    let old = manifest(&project, "out");
    let mut dice = Dice::new(77);
    let mut killed = 0;
    for _ in 0..12 {
        let command = [&args[..], &["--to", "out", "--resume", "-q"]].concat();
        let mut child =
            project.command(&command).stdout(Stdio::null()).spawn().expect("the binary runs");
        std::thread::sleep(Duration::from_millis(20 + dice.throw(250)));
        let ended = child.try_wait().expect("a child").is_some();
        if !ended {
            child.kill().expect("killed");
            killed += 1;
        }
        child.wait().expect("ended");
        // Whichever manifest is there, it is whole, and so is each of its files.
        let files = contents(&project, "out");
        assert!(files == reference || manifest(&project, "out") == old);
        if ended {
            break;
        }
    }
    let exported = project.json(&[&args[..], &["--to", "out", "--resume"]].concat());
    assert_eq!(exported["files"], 160);
    assert_eq!(contents(&project, "out"), reference, "after {killed} kills");
    let names: BTreeSet<String> =
        reference.iter().filter_map(|f| f["file"].as_str().map(str::to_owned)).collect();
    for name in &names {
        let (ours, theirs) = (format!("out/{name}"), format!("reference/{name}"));
        assert!(project.bytes(&ours) == project.bytes(&theirs), "{name}");
    }
}

#[test]
fn what_is_wrong_with_a_set_is_said() {
    let project = crowd(10, 2);
    for (args, message) in [
        (&["export", "--to", "out", "--as", "csv"][..], "no segment is named"),
        (&["export", "--all", "--to", "-", "--as", "csv"], "a set of files does not go to stdout"),
        (&["export", "none*", "--to", "out", "--as", "csv"], "no segment matches \"none*\""),
        (
            &["export", "--all", "--to", "gopher://x", "--as", "csv"],
            "cannot open a store at gopher://x",
        ),
        (
            &["export", "every_1", "--to", "-", "--as", "csv", "--changes-since", "1"],
            "changes are two files",
        ),
    ] {
        let error = project.error(args);
        let found = error["message"].as_str().expect("a message");
        assert!(found.contains(message), "{args:?}: {found}");
    }
    project.write("mine/manifest.json", "{}");
    let error = project.error(&["export", "--all", "--to", "mine", "--as", "csv"]);
    assert!(error["message"].as_str().expect("text").contains("is no manifest of an export"));
    assert_eq!(project.read("mine/manifest.json"), "{}");
}
