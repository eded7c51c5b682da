//! Audiences of look-alikes are built again where their seed or the data have changed, and in their
//! place: after what they are made from, before what reads them.

use std::fmt::Write as _;

use serde_json::Value;

use super::lookalike::shop;
use super::support::{Dice, Project};

/// The line of `name` in what a build said.
fn line<'a>(build: &'a Value, name: &str) -> &'a Value {
    let lines = build["segments"].as_array().expect("a list");
    lines.iter().find(|l| l["name"] == name).unwrap_or_else(|| panic!("{name}: {build:#}"))
}

fn members(project: &Project, name: &str) -> i64 {
    project.number(&format!("SELECT count(*) FROM segments.{name}"))
}

/// Profiles that were not there before; every second one is like the seed.
fn more(project: &Project, users: std::ops::Range<u32>) {
    let mut dice = Dice::new(u64::from(users.start));
    let mut text = String::from("user_id,spend,visits,country,gender,answer,nothing,always\n");
    for user in users {
        let (spend, country) = if user % 2 == 0 { (420, "ES") } else { (10, "SE") };
        let visits = dice.throw(50);
        writeln!(text, "n{user},{spend},{visits},{country},f,0,,same").expect("text grows");
    }
    project.write("data/more.csv", text);
    project.ok(&["ingest", "profiles", "data/more.csv", "--key", "user_id"]);
}

#[test]
fn an_audience_follows_its_seed_and_the_data() {
    let project = shop();
    let like = |name: &str, more: &[&str]| {
        let args = [&["lookalike", "buyers", "--size", "150", "--as", name], more].concat();
        project.json(&args)
    };
    like("like_buyers", &[]);
    like("scored", &["--lock", "score", "--exclude", "women"]);
    // A segment over an audience, an audience over that, and a segment over both.
    project
        .segment("few", "SELECT profile_id FROM segments.like_buyers WHERE profile_id % 2 = 0\n");
    project.ok(&["build", "few"]);
    project.ok(&["lookalike", "few", "--size", "40", "--as", "like_few"]);
    project.segment(
        "union",
        "SELECT profile_id FROM segments.like_few UNION SELECT profile_id FROM segments.few\n",
    );
    project.ok(&["build", "union"]);
    let idle = project.json(&["build"]);
    for name in ["like_buyers", "scored", "few", "like_few", "union", "buyers"] {
        assert_eq!(line(&idle, name)["status"], "reused", "{name}: {idle:#}");
    }
    more(&project, 0..400);
    let build = project.json(&["build"]);
    for name in ["like_buyers", "scored", "few", "like_few", "union"] {
        assert_eq!(line(&build, name)["status"], "built", "{name}: {build:#}");
    }
    assert!(line(&build, "like_buyers")["entered"].as_u64().is_some_and(|n| n > 20), "{build:#}");
    // One keeps its size, the other its bar, which many of the new ones pass: they are women.
    assert_eq!((members(&project, "like_buyers"), members(&project, "like_few")), (150, 40));
    assert_eq!(line(&build, "scored")["entered"], 0);
    // Whoever reads an audience read the new one.
    let stale = "SELECT count(*) FROM segments.few WHERE profile_id NOT IN (SELECT profile_id FROM segments.like_buyers)";
    assert_eq!(project.number(stale), 0);
    let missing = "SELECT count(*) FROM segments.like_few WHERE profile_id NOT IN (SELECT profile_id FROM segments.union)";
    assert_eq!(project.number(missing), 0);
    let history = project.json(&["history", "like_buyers"]);
    assert_eq!(history.as_array().map(Vec::len), Some(2), "{history:#}");
    let diff = project.json(&["diff", "like_buyers"]);
    assert!(diff.to_string().contains("entered"), "{diff:#}");
    // The same again by hand, and nothing to do.
    let idle = project.json(&["build", "like_buyers"]);
    assert_eq!(idle["segments"].as_array().map(Vec::len), Some(1));
    assert_eq!(line(&idle, "like_buyers")["status"], "reused");
    let before = project.json(&["export", "like_buyers", "--to", "a.csv", "--as", "csv"]);
    like("like_buyers", &[]);
    project.json(&["export", "like_buyers", "--to", "b.csv", "--as", "csv"]);
    assert_eq!(project.bytes("a.csv"), project.bytes("b.csv"), "{before:#}");
}

#[test]
fn a_score_lock_lets_the_size_move() {
    let project = shop();
    let args = ["lookalike", "buyers", "--size", "150", "--as", "scored", "--lock", "score"];
    let model = project.json(&args)["model"].clone();
    more(&project, 0..300);
    let build = project.json(&["build", "scored"]);
    // All 150 are still in, and more than a hundred of the new ones that are like the seed.
    assert_eq!(line(&build, "scored")["exited"], 0, "{build:#}");
    assert!(line(&build, "scored")["entered"].as_u64().is_some_and(|n| n > 100), "{build:#}");
    assert!(!model.is_null());
    // The scores are a table: one row a candidate, of the last build only.
    let rows = "SELECT count(*) FROM scores WHERE lookalike = 'scored'";
    let candidates = project.number("SELECT count(*) FROM profiles")
        - project.number("SELECT count(*) FROM segments.buyers");
    assert_eq!(project.number(rows), candidates);
    let lowest = "SELECT count(*) FROM scores WHERE score >= (SELECT min(score) FROM scores JOIN segments.scored USING (profile_id))";
    assert_eq!(project.number(lowest), members(&project, "scored"));
    // And one of them is explained.
    let why = project.json(&["why", "scored", "--user", "n2"]);
    assert_eq!(why["member"], true, "{why:#}");
    assert!(why["lookalike"]["score"].as_f64().is_some_and(|s| s > 0.9), "{why:#}");
    assert!(why["lookalike"]["contributions"].as_array().is_some_and(|c| c.len() > 1));
}

#[test]
fn an_audience_that_cannot_be_found_again_keeps_its_members_and_says_why() {
    let project = shop();
    project.ok(&["lookalike", "buyers", "--size", "150", "--as", "like_buyers"]);
    project.segment("buyers", "SELECT profile_id FROM profiles WHERE answer = 1 LIMIT 3\n");
    let run = project.fails(&["build", "--format", "json"]);
    let build: Value = run.value();
    assert_eq!(line(&build, "like_buyers")["status"], "stale", "{build:#}");
    assert!(line(&build, "like_buyers")["error"].to_string().contains("needs 25"), "{build:#}");
    assert_eq!(members(&project, "like_buyers"), 150);
    // Lists say so too, until it is found again; saying it twice is no further build.
    let told = |project: &Project| {
        let listed = project.json(&["ls"]);
        let line = listed.as_array().expect("a list").iter().find(|l| l["name"] == "like_buyers");
        let line = line.expect("it is listed");
        let status = project.json(&["status"]);
        assert_eq!(
            status["segment_statuses"][line["status"].as_str().expect("text")].as_u64(),
            Some(1)
        );
        assert_eq!(line["members"], 150);
        (line["status"].clone(), status["last_build"].clone())
    };
    let (status, build) = told(&project);
    assert_eq!(status, "stale");
    let shown = project.json(&["show", "like_buyers"]);
    assert!(shown["error"].to_string().contains("needs 25"), "{shown:#}");
    project.fails(&["build", "like_buyers"]);
    assert_eq!(told(&project), (status, build));
    project.segment("buyers", "SELECT profile_id FROM profiles WHERE answer = 1\n");
    project.ok(&["build"]);
    assert_eq!(told(&project).0, "lookalike");
    // A seed that reads its own look-alikes would never come to rest.
    project.segment("buyers", "SELECT profile_id FROM segments.like_buyers\n");
    let build: Value = project.fails(&["build", "--format", "json"]).value();
    let error = line(&build, "like_buyers")["error"].to_string();
    assert!(error.contains("cannot be built without it"), "{build:#}");
    assert_eq!(line(&build, "buyers")["status"], "built");
}
