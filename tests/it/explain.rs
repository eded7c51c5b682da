//! What a segment is made of, and why a profile is in it.

use serde_json::{Value, json};

use super::support::Project;

/// A project with segments that share leaves, and one that is opaque.
fn project() -> Project {
    let project = Project::with_shop();
    project.segment("buyers", "SELECT profile_id FROM events WHERE event = 'purchase'");
    project.segment(
        "german_buyers",
        "SELECT profile_id FROM profiles WHERE country = 'DE' \
         AND profile_id IN (SELECT profile_id FROM events WHERE event = 'purchase')",
    );
    project.segment(
        "twice",
        "SELECT profile_id FROM events WHERE event = 'purchase' \
         GROUP BY profile_id HAVING count(*) >= 2",
    );
    project.segment(
        "above_average",
        "SELECT profile_id FROM events GROUP BY profile_id \
         HAVING sum(amount) > (SELECT avg(amount) FROM events)",
    );
    project.segment(
        "others",
        "SELECT profile_id FROM profiles EXCEPT SELECT profile_id FROM segments.buyers",
    );
    project.ok(&["build"]);
    project
}

fn leaf<'a>(explained: &'a Value, text: &str) -> &'a Value {
    let leaves = explained["leaves"].as_array().expect("leaves");
    let found = leaves.iter().find(|l| l["text"].as_str().is_some_and(|t| t.contains(text)));
    found.unwrap_or_else(|| panic!("no leaf about {text}: {explained:#}"))
}

#[test]
fn explain_names_the_leaves_and_who_shares_them() {
    let project = project();
    let explained = project.json(&["explain", "german_buyers"]);
    let bought = leaf(&explained, "event = 'purchase'");
    assert_eq!(bought["kind"], "events");
    assert_eq!(bought["shared_with"], json!(["buyers", "twice"]));
    let german = leaf(&explained, "country = 'DE'");
    assert_eq!((&german["kind"], &german["members"]), (&json!("attribute"), &json!(2)));
    let set = explained["set"].as_str().expect("a set");
    for leaf in [bought, german] {
        assert!(set.contains(leaf["leaf"].as_str().expect("a name")), "{set}");
    }
    assert_eq!(explained["members"], project.ids("german_buyers").len());
    assert!(explained["bytes_read"].as_u64().is_some_and(|bytes| bytes > 0));
    let others = project.json(&["explain", "others"]);
    assert!(others["set"].as_str().is_some_and(|s| s.ends_with("not segments.buyers")));
}

#[test]
fn an_event_without_another_is_one_leaf_however_it_is_written() {
    let project = Project::with_shop();
    let not_exists = "SELECT DISTINCT a.profile_id FROM events a WHERE a.event = 'page_view' AND NOT EXISTS \
        (SELECT 1 FROM events b WHERE b.profile_id = a.profile_id AND b.event = 'purchase' \
        AND b.ts > a.ts AND b.ts <= a.ts + INTERVAL '24 hours')";
    let left_join = "SELECT a.profile_id FROM events a LEFT JOIN events b ON a.profile_id = b.profile_id \
        AND b.event = 'purchase' AND b.ts > a.ts AND b.ts <= a.ts + INTERVAL '24 hours' \
        WHERE a.event = 'page_view' AND b.profile_id IS NULL";
    project.segment("not_exists", not_exists);
    project.segment("left_join", left_join);
    project.segment("exists", &not_exists.replace("NOT EXISTS", "EXISTS"));
    // Whoever is asked for as an attribute of the row outside is no pair of events.
    let more = not_exists.replace("b.ts > a.ts", "b.ts > a.ts AND a.amount > 3");
    project.segment("more", &more);
    project.ok(&["build"]);
    let explained = project.json(&["explain", "not_exists"]);
    let own = leaf(&explained, "after it no event: event = 'purchase'");
    assert_eq!((&own["kind"], &own["shared_with"]), (&json!("sequence"), &json!(["left_join"])));
    let explained = project.json(&["explain", "exists"]);
    assert_eq!(leaf(&explained, "after it an event: event = 'purchase'")["kind"], "sequence");
    assert_eq!(project.ids("not_exists"), project.ids("left_join"));
    let text = project.ok(&["explain", "more"]).stdout;
    assert!(text.contains("it compares two events, and asks for more"), "{text}");
}

#[test]
fn a_ranked_segment_counts_and_explains_as_it_is_built() {
    let project = project();
    project.segment(
        "best",
        "SELECT profile_id FROM (SELECT profile_id, sum(amount) AS spent FROM events \
         GROUP BY profile_id ORDER BY spent DESC NULLS LAST, profile_id LIMIT 2)",
    );
    project.ok(&["build"]);
    let members = project.ids("best");
    let plain = project.rows(
        "SELECT profile_id FROM events GROUP BY profile_id \
         ORDER BY sum(amount) DESC NULLS LAST, profile_id LIMIT 2",
    );
    let mut plain: Vec<i64> = plain.iter().filter_map(|row| row["profile_id"].as_i64()).collect();
    plain.sort_unstable();
    assert_eq!(members, plain);
    assert_eq!(project.json(&["count", "best"])["members"], members.len());
    let explained = project.json(&["explain", "best"]);
    assert_eq!(explained["members"], members.len());
    assert_eq!(leaf(&explained, "the first 2")["kind"], "ranked");
}

#[test]
fn explain_takes_a_query_as_count_does() {
    let project = Project::with_shop();
    let explain = |sql: &str| project.json(&["explain", sql]);
    let buyers = explain("SELECT profile_id FROM events WHERE event = 'purchase'");
    assert_eq!((&buyers["name"], &buyers["members"]), (&"query".into(), &2.into()));
    let counted = explain("SELECT count(*) FROM profiles WHERE country = 'DE'");
    assert_eq!((&counted["members"], counted["set"].is_string()), (&2.into(), true));
    let run = project.run(&["explain", "SELECT country FROM profiles"]);
    assert_eq!(run.code, Some(1), "{run:#?}");
}

#[test]
fn explain_says_why_a_query_runs_by_itself() {
    let project = project();
    let explained = project.json(&["explain", "above_average"]);
    assert_eq!(explained["set"], Value::Null);
    assert_eq!(explained["opaque"], "a subquery stands inside an expression");
    let text = project.ok(&["explain", "above_average", "--passes"]).stdout;
    assert!(text.contains("runs by itself") && text.contains("TableScan: events"), "{text}");
}

#[test]
fn why_tells_each_leaf_and_its_values() {
    let project = project();
    let members = project.ids("twice");
    for (user, profile) in [("u1", 0), ("u2", 1), ("u4", 3)] {
        let why = project.json(&["why", "twice", "--user", user]);
        assert_eq!(why["profile_id"], profile);
        assert_eq!(why["member"], members.contains(&profile), "{why:#}");
        let counted = project.number(&format!(
            "SELECT count(*) FROM events WHERE event = 'purchase' AND profile_id = {profile}"
        ));
        let leaf = leaf(&why, "count(*) >= 2");
        assert_eq!(leaf["values"]["count(*)"], counted.to_string());
        assert_eq!(leaf["holds"], counted >= 2);
    }
    let why = project.json(&["why", "german_buyers", "--user", "email=bob@example.com"]);
    assert_eq!(leaf(&why, "country = 'DE'")["values"], json!({"country": "FR"}));
    assert_eq!(why["member"], false);
}

#[test]
fn why_names_a_profile_that_is_not_there() {
    let project = project();
    let error = project.error(&["why", "twice", "--user", "u99"]);
    assert_eq!(error["message"], "no profile has the identifier \"u99\"");
}
