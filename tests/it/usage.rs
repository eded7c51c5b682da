//! What may be typed and saved, and what becomes of it: flags, settings, files of other editors, and results as CSV.

use serde_json::json;

use super::support::Project;

#[test]
fn a_mark_of_byte_order_is_skipped() {
    let project = Project::with_shop();
    project.write("throng.toml", "\u{feff}as_of = \"2026-11-01\"\n[store]\nshard = 65536\n");
    let sql =
        "\u{feff}-- description: Germans\nSELECT profile_id FROM profiles WHERE country = 'DE'";
    project.segment("germans", sql);
    project.write("sql/tests/none.sql", "\u{feff}SELECT * FROM events WHERE event = 'nope'");
    project.ok(&["build"]);
    project.ok(&["test"]);
    assert_eq!(project.json(&["ls"])[0]["description"], "Germans");
    assert_eq!(project.ids("germans"), [0, 2]);
}

#[test]
fn a_user_is_found_as_ingest_knows_him() {
    let project = Project::with_shop();
    project.segment("germans", "SELECT profile_id FROM profiles WHERE country = 'DE'");
    project.ok(&["build"]);
    let who = |user: &str| project.json(&["why", "germans", "--user", user])["profile_id"].clone();
    for user in ["u1", "email=ANN@example.COM", " Ann@Example.com ", "user_id= u1", "profile_id=0"]
    {
        assert_eq!(who(user), 0, "{user}");
    }
    assert_eq!(who("profile_id=3"), 3);
    let error = |user: &str| project.error(&["why", "germans", "--user", user]);
    let nobody = error("email=nobody");
    assert_eq!(nobody["message"], "no profile has the email \"nobody\"");
    assert_eq!(nobody["hints"], json!([]));
    let stranger = error("foo=bar");
    assert_eq!(stranger["message"], "no profile has an identifier foo");
    assert_eq!(stranger["hints"], json!(["the namespaces are email, user_id"]));
    assert_eq!(error("emial=x")["hints"][0], "did you mean email?");
    assert_eq!(error("profile_id=9")["message"], "there is no profile 9");
    assert_eq!(error("profile_id=x")["message"], "\"x\" is no profile_id");
    assert_eq!(error("nobody")["hints"][0], "the namespaces are email, user_id");
}

#[test]
fn a_value_that_no_flag_takes_is_a_wrong_command_line() {
    let project = Project::with_shop();
    project.segment("germans", "SELECT profile_id FROM profiles WHERE country = 'DE'");
    for (args, said) in [
        (&["build", "--as-of", "yesterday"][..], "hint: write 2026-11-01"),
        (&["count", "germans", "--as-of", "2026-13-01"], "\"2026-13-01\" is no time"),
        (&["--memory", "2XB", "ls"], "hint: write 512MB, 2GB or 1.5GiB"),
        (&["--memory", "2", "ls"], "hint: write the unit too: 512MB"),
        (&["export", "germans", "--to", "x", "--as", "xls"], "no export format \"xls\""),
        (&["export", "germans", "--to", "x", "--as", "csv,cvs"], "hint: did you mean csv?"),
        (&["export", "germans", "--to", "x", "--as", "csv", "--ids", "E-Mail"], "namespace"),
        (&["import", "x", "y", "--as", "xls", "--ids", "email"], "no export format"),
        (&["vacuum", "--older-than", "soon"], "hint: write 30m, 12h or 7d"),
        (&["lookalike", "germans", "--size", "0"], "\"0\" is no size of an audience"),
        (
            &["ingest", "events", "data/orders.csv", "--key", "user_id", "--rejects", "few"],
            "no limit on rejects",
        ),
    ] {
        let run = project.run(args);
        assert_eq!(run.code, Some(2), "{run:#?}");
        assert!(run.stderr.contains(said), "{said}: {run:#?}");
    }
    // What the project has or has not is no matter of the command line.
    project.fails(&["build", "nope"]);
    project.write("throng.toml", "[limits]\nmemory = \"2\"\n");
    assert_eq!(
        project.error(&["ls"])["message"],
        "\"2\" is 2 bytes, and nothing works in less than 64kB"
    );
}

#[test]
fn front_matter_without_a_colon_is_told() {
    let project = Project::with_shop();
    project.segment(
        "good",
        "-- description Good ones\n-- tags value\nSELECT profile_id FROM profiles",
    );
    let run = project.ok(&["build"]);
    let note = "note: sql/segments/good.sql:1: this is a plain comment; to be front matter it needs a colon: -- description: ..";
    assert!(run.stderr.contains(note), "{run:#?}");
    assert!(run.stderr.contains("sql/segments/good.sql:2: "), "{run:#?}");
    assert_eq!(project.ok(&["build", "--format", "json"]).stderr, "", "errors alone");
    project.segment(
        "good",
        "-- description: Good ones\n-- description of the idea\nSELECT profile_id FROM profiles",
    );
    assert_eq!(project.ok(&["build"]).stderr, "");
}

#[test]
fn a_date_in_the_settings_needs_no_quotes() {
    let project = Project::with_shop();
    for time in
        ["2026-11-01", "2026-11-01T09:30:00", "2026-11-01T10:30:00+01:00", "\"2026-11-01 09:30\""]
    {
        project.write("throng.toml", format!("as_of = {time}\n[store]\nshard = 65536\n"));
        let hour = if time.len() > 10 { "09:30:00" } else { "00:00:00" };
        assert_eq!(project.csv("SELECT now()"), [format!("2026-11-01T{hour}Z")], "{time}");
    }
    project.write("throng.toml", "\nas_of = 2026\n");
    let error = project.error(&["ls"]);
    assert_eq!(error["message"], "as_of is a time such as \"2026-11-01\"");
    assert_eq!(error["line"], 2);
}

#[test]
fn a_project_that_is_not_there_has_a_hint() {
    let project = Project::empty_folder();
    let error = project.error(&["ls", "--project", "nope"]);
    assert_eq!(error["message"], "no throng.toml in nope");
    assert_eq!(
        error["hints"][0],
        "make a project with `throng init DIR`, or name one with --project DIR"
    );
}

#[test]
fn csv_is_a_table() {
    let project = Project::with_shop();
    project.segment("germans", "SELECT profile_id FROM profiles WHERE country = 'DE'");
    project.segment("bad", "SELECT profile_id FROM profiles WHERE contry = 'DE'");
    let built = project.fails(&["build", "--format", "csv"]);
    let lines: Vec<&str> = built.stdout.lines().collect();
    assert_eq!(lines[0], "name,status,members,entered,exited,elapsed_ms,evaluated,notes,error");
    assert!(lines[1].starts_with("bad,failed,,"), "{lines:?}");
    assert!(lines[1].contains("bad.sql:1:39"), "{lines:?}");
    assert!(lines[2].starts_with("germans,built,2,2,0,"), "{lines:?}");
    let status = project.ok(&["status", "--format", "csv"]).stdout;
    assert!(status.starts_with("name,rows,files,bytes,version\nprofiles,4,"), "{status}");
    project.ok(&["optimize"]);
    let none = Project::new().ok(&["ls", "--format", "csv"]).stdout;
    assert_eq!(none, "name,members,build,as_of,status,tags,description\n");
    let none = project.ok(&["optimize", "--format", "csv"]).stdout;
    assert_eq!(none, "table,files_before,files_after,bytes_before,bytes_after\n");
}
