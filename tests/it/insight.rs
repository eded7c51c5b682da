//! Overlap, reach and composition, for people and for programs.

use serde_json::json;

use super::support::Project;

/// Ten customers in three segments: low ids, even ids, and two.
fn project() -> Project {
    let project = Project::new();
    let country = |user| if user < 3 { "DE" } else { "FR" };
    let row = |user| format!("u{user},{},{},u{user}@x.com\n", country(user), 20 + user);
    let rows = (0..10).map(row).collect::<Vec<_>>().concat();
    project.write("data/users.csv", format!("user_id,country,age,mail\n{rows}"));
    project.ok(&["ingest", "profiles", "data/users.csv", "--key", "user_id"]);
    project.segment("low", "SELECT profile_id FROM profiles WHERE profile_id < 5");
    project.segment("even", "SELECT profile_id FROM profiles WHERE profile_id % 2 = 0");
    project.segment("two", "SELECT profile_id FROM profiles WHERE profile_id IN (8, 9)");
    project.segment("nobody", "SELECT profile_id FROM profiles WHERE profile_id < 0");
    project.ok(&["build"]);
    project
}

#[test]
fn overlap_counts_every_two() {
    let project = project();
    let overlap = project.json(&["overlap", "low", "even", "two"]);
    assert_eq!(overlap["segments"], json!(["low", "even", "two"]));
    assert_eq!(overlap["intersections"], json!([[5, 3, 0], [3, 5, 1], [0, 1, 2]]));
    assert_eq!(overlap["base_members"], 10);
    assert_eq!(overlap["lift"][0][1], json!(1.2));
    let table = project.ok(&["overlap", "low", "even", "--measure", "containment"]).stdout;
    assert!(table.contains("low      1.000  0.600"), "{table}");
    let csv = project.ok(&["overlap", "--format", "csv"]).stdout;
    assert!(csv.starts_with("a,b,a_members,b_members,both,jaccard,lift,a_in_b,b_in_a\n"), "{csv}");
    assert_eq!(csv.lines().count(), 1 + 6);
    let within = project.json(&["overlap", "low", "even", "--base", "two"]);
    assert_eq!((&within["members"], &within["base_members"]), (&json!([0, 1]), &json!(2)));
    let error = project.error(&["overlap", "low", "evne"]);
    assert_eq!(error["hints"], json!(["did you mean even?"]));
}

#[test]
fn reach_adds_segments_by_what_they_add() {
    let project = project();
    let reach = project.json(&["reach", "two", "low", "even"]);
    assert_eq!((&reach["reach"], &reach["share"]), (&json!(8), &json!(0.8)));
    let steps: Vec<_> = reach["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .map(|s| (s["segment"].clone(), s["added"].clone(), s["only_here"].clone()))
        .collect();
    // A tie goes to whoever was named first.
    let expected = [("low", 5, 2), ("two", 2, 1), ("even", 1, 1)];
    assert_eq!(steps, expected.map(|(name, added, only)| (json!(name), json!(added), json!(only))));
    assert_eq!(reach["regions"][0], json!({"segments": ["low", "even"], "members": 3}));
    let text = project.ok(&["reach", "two", "low", "even"]).stdout;
    assert!(text.ends_with("8 of 10 profiles (80.0 %)\n"), "{text}");
}

#[test]
fn composition_compares_with_the_base() {
    let project = project();
    let found = project.json(&["profile-of", "low"]);
    let named = |name: &str| {
        let attributes = found["attributes"].as_array().expect("attributes");
        attributes.iter().find(|a| a["attribute"] == name).expect("the attribute").clone()
    };
    assert_eq!(
        named("country")["values"][0],
        json!({"value": "DE", "members": 3, "share": 0.6,
        "base_members": 3, "base_share": 0.3, "index": 200.0})
    );
    let ages = named("age")["quantiles"].clone();
    assert_eq!(ages[3], json!({"quantile": "p50", "members": 22.0, "base": 24.5}));
    let some = project.json(&["profile-of", "low", "--by", "country", "--base", "even"]);
    assert_eq!((&some["members"], &some["base_members"]), (&json!(3), &json!(5)));
    let error = project.error(&["profile-of", "low", "--by", "contry"]);
    assert_eq!(error["hints"], json!(["did you mean country?"]));
    let nobody = project.json(&["profile-of", "nobody", "--by", "country"]);
    assert_eq!(nobody["attributes"][0]["values"][0]["share"], 0.0);
}

#[test]
fn pictures_are_whole_svg_files() {
    let project = project();
    for (args, words) in [
        (&["overlap", "--plot", "p.svg"][..], "Jaccard index of 4 segments"),
        (&["reach", "low", "even", "two", "--plot", "p.svg"], "8 profiles in 3 segments"),
        (&["profile-of", "low", "--by", "country", "--plot", "p.svg"], "low: 5 members"),
    ] {
        project.ok(args);
        let svg = project.read("p.svg");
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{args:?}");
        assert!(svg.contains(words), "{args:?}: {svg}");
        project.ok(args);
        assert_eq!(project.read("p.svg"), svg, "the same data, another picture");
    }
}

#[test]
fn a_picture_may_be_a_page_and_nothing_else() {
    let project = project();
    project.ok(&["overlap", "--plot", "p.html"]);
    let page = project.read("p.html");
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</svg>"), "{page}");
    let run = project.run(&["overlap", "--plot", "p.png"]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("name a file that ends in .svg or .html"), "{}", run.stderr);
    assert!(!project.path("p.png").exists());
}
