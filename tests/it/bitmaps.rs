//! The SQL functions over bitmaps and segments.

use serde_json::json;

use super::support::{Project, events_csv};

/// Ten profiles, the segments `low` (0 to 4) and `even`.
fn project() -> Project {
    let project = Project::new();
    let rows = (0..10).map(|user| format!("u{user},{}\n", ["DE", "FR"][user % 2]));
    let rows = rows.collect::<Vec<_>>().concat();
    project.write("data/users.csv", format!("user_id,country\n{rows}"));
    project.ok(&["ingest", "profiles", "data/users.csv", "--key", "user_id"]);
    project.segment("low", "SELECT profile_id FROM profiles WHERE profile_id < 5");
    project.segment("even", "SELECT profile_id FROM profiles WHERE profile_id % 2 = 0");
    project.ok(&["build"]);
    project
}

#[test]
fn bitmaps_are_made_combined_and_counted() {
    let project = project();
    let sets = "WITH l AS (SELECT bitmap_agg(profile_id) AS b FROM segments.low), \
                e AS (SELECT bitmap_agg(profile_id) AS b FROM segments.even) ";
    let one = |expression: &str| {
        project.csv(&format!("{sets} SELECT {expression} FROM l CROSS JOIN e")).join("|")
    };
    for (function, ids) in [
        ("bitmap_and", "[0, 2, 4]"),
        ("bitmap_or", "[0, 1, 2, 3, 4, 6, 8]"),
        ("bitmap_andnot", "[1, 3]"),
        ("bitmap_xor", "[1, 3, 6, 8]"),
    ] {
        let found = one(&format!("bitmap_to_ids({function}(l.b, e.b))"));
        assert_eq!(found.trim_matches('"'), ids, "{function}");
    }
    assert_eq!(one("bitmap_cardinality(bitmap_or(l.b, e.b))"), "7");
    assert_eq!(one("bitmap_contains(l.b, 4)"), "true");
    assert_eq!(one("bitmap_contains(l.b, -1)"), "false");
    assert_eq!(one("bitmap_and(l.b, NULL) IS NULL"), "true");
    for format in [
        "roaring",
        "roaring64",
        "clickhouse",
        "clickhouse64",
        "starrocks",
        "elasticsearch",
        "druid",
        "pinot",
    ] {
        let there_and_back = format!("bitmap_from_{format}(bitmap_to_{format}(l.b)) = l.b");
        assert_eq!(one(&there_and_back), "true", "{format}");
    }
    assert_eq!(one("bitmap_to_starrocks(bitmap_and(l.b, bitmap_andnot(l.b, l.b)))"), "AA==");
    assert_eq!(one("encode(bitmap_to_clickhouse(bitmap_andnot(l.b, l.b)), 'hex')"), "0000");
}

#[test]
fn groups_become_bitmaps() {
    let project = project();
    let rows = project.rows(
        "SELECT country, bitmap_cardinality(bitmap_agg(profile_id)) AS n, \
         bitmap_to_ids(bitmap_agg(CASE WHEN profile_id < 3 THEN profile_id END)) AS few \
         FROM profiles GROUP BY country ORDER BY country",
    );
    assert_eq!(
        rows,
        [
            json!({"country": "DE", "n": 5, "few": [0, 2]}),
            json!({"country": "FR", "n": 5, "few": [1]})
        ]
    );
    let stored =
        "SELECT sum(bitmap_cardinality(bitmap)) AS n FROM memberships WHERE segment = 'low'";
    assert_eq!(project.number(stored), 5);
    assert_eq!(
        project.number(
            "SELECT bitmap_cardinality(bitmap_agg(profile_id)) FROM profiles WHERE country = 'XX'"
        ),
        0
    );
}

#[test]
fn in_segment_is_a_condition_of_queries_and_segments() {
    let project = project();
    let count =
        |sql: &str| project.number(&format!("SELECT count(*) FROM profiles AS p WHERE {sql}"));
    assert_eq!(count("in_segment('low')"), 5);
    assert_eq!(count("NOT in_segment('low')"), 5);
    assert_eq!(count("in_segment('low') AND IN_SEGMENT('even', p.profile_id)"), 3);
    assert_eq!(count("in_segment('low') OR in_segment('even')"), 7);
    assert_eq!(
        project.json(&["count", "SELECT profile_id FROM profiles WHERE in_segment('low')"])["members"],
        5
    );

    // A segment that uses it is built after what it reads.
    project.segment(
        "both",
        "SELECT profile_id FROM profiles WHERE in_segment('low') AND in_segment('a_base')",
    );
    project.segment("a_base", "SELECT profile_id FROM profiles WHERE country = 'FR'");
    project.ok(&["build"]);
    assert_eq!(project.ids("both"), [1, 3]);
    assert_eq!(project.json(&["show", "both"])["depends_on"], json!(["a_base", "low"]));
}

/// What is read does not change what is found, whatever the shape of the query.
#[test]
fn queries_over_segments_find_the_same_with_and_without_row_selections() {
    let project = Project::new();
    let rows = (0..3_000).map(|user| format!("u{user},{}\n", user % 7));
    let rows = rows.collect::<Vec<_>>().concat();
    project.write("data/users.csv", format!("user_id,kind\n{rows}"));
    project.ok(&["ingest", "profiles", "data/users.csv", "--key", "user_id"]);
    project.write("data/events.csv", events_csv("u", 3_000, 20_000));
    project.ok(&["ingest", "events", "data/events.csv", "--key", "user_id"]);
    project.segment("few", "SELECT profile_id FROM profiles WHERE profile_id % 997 = 5");
    project
        .segment("block", "SELECT profile_id FROM profiles WHERE profile_id BETWEEN 700 AND 760");
    project.segment("none", "SELECT profile_id FROM profiles WHERE profile_id < 0");
    project.ok(&["build"]);
    for segment in ["few", "block", "none"] {
        for shape in [
            "SELECT count(*), sum(kind) FROM profiles WHERE profile_id IN (SELECT ID FROM SEGMENT)",
            "SELECT count(*), sum(amount) FROM events WHERE event = 'purchase' AND profile_id IN (SELECT ID FROM SEGMENT)",
            "SELECT count(*), sum(e.amount) FROM events e JOIN SEGMENT s ON s.ID = e.profile_id JOIN profiles p ON p.profile_id = e.profile_id WHERE p.kind < 4",
            "SELECT count(*), sum(n) FROM (SELECT profile_id, count(*) AS n FROM events GROUP BY profile_id) x JOIN SEGMENT s ON s.ID = x.profile_id",
            "SELECT count(*), min(p.kind) FROM profiles p LEFT JOIN SEGMENT s ON s.ID = p.profile_id",
            "SELECT count(*), max(p.kind) FROM profiles p WHERE p.profile_id NOT IN (SELECT ID FROM SEGMENT)",
        ] {
            let plain = format!("(SELECT profile_id + 0 AS ID FROM segments.{segment})");
            let seen = shape
                .replace("SEGMENT", &format!("segments.{segment}"))
                .replace("ID", "profile_id");
            assert_eq!(
                project.csv(&seen),
                project.csv(&shape.replace("SEGMENT", &plain)),
                "{seen}"
            );
        }
    }
    let explained =
        |sql: &str| project.ok(&["query", &format!("EXPLAIN {sql}"), "--format", "csv"]).stdout;
    assert!(
        explained("SELECT sum(kind) FROM profiles WHERE in_segment('few')").contains("is_member")
    );
    assert!(
        !explained("SELECT sum(kind) FROM profiles WHERE NOT in_segment('few')")
            .contains("is_member")
    );
}

#[test]
fn what_is_wrong_with_a_bitmap_function_is_said() {
    let project = project();
    for (sql, message) in [
        (
            "SELECT count(*) FROM profiles WHERE in_segment(country)",
            "in_segment takes the name of a segment in quotes",
        ),
        ("SELECT count(*) FROM profiles WHERE in_segment('no such')", "cannot be a name"),
        ("SELECT count(*) FROM profiles WHERE in_segment('lwo')", "no segment \"lwo\""),
        (
            "SELECT bitmap_cardinality(profile_id) FROM profiles",
            "bitmap_cardinality takes (Binary)",
        ),
        (
            "SELECT bitmap_cardinality(decode('3a3000', 'hex')) FROM profiles",
            "not a roaring bitmap: the cookie",
        ),
        (
            "SELECT bitmap_from_starrocks('AQ==') FROM profiles",
            "bitmap_from_starrocks: not a StarRocks or Doris bitmap",
        ),
        ("SELECT bitmap_agg(country) FROM profiles", "bitmap_agg takes one column of ids"),
        ("SELECT bitmap_agg(profile_id - 5) FROM profiles", "profile_id -5 is out of range"),
    ] {
        let error = project.error(&["query", sql]);
        assert!(error["message"].as_str().expect("text").contains(message), "{sql}: {error}");
    }
}
