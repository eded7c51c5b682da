//! Questions that were once answered wrongly, or that one slip made of a whole build's end.

use serde_json::{Value, json};

use super::support::{Project, segment_of};

const EVENTS: &str = "\
user_id,ts,event,amount,qty
u1,2026-01-01T00:00:00Z,buy,1,100
u1,2026-01-02T00:00:00Z,view,2,200
u2,2026-01-03T00:00:00Z,buy,100,1
u3,2026-01-04T00:00:00Z,view,3,3
u9,2026-01-04T00:00:00Z,view,3,3
";

/// Profiles `u1` to `u4`, and `u9` who has events alone.
fn project() -> Project {
    let project = Project::new();
    project.write("data/p.csv", "user_id\nu1\nu2\nu3\nu4\n");
    project.write("data/e.csv", EVENTS);
    project.ok(&["ingest", "profiles", "data/p.csv", "--key", "user_id"]);
    project.ok(&["ingest", "events", "data/e.csv", "--key", "user_id"]);
    project
}

/// Each query as a segment has the members that `DataFusion` finds, which are `expected`.
#[track_caller]
fn agree(project: &Project, queries: &[(&str, &[i64])]) {
    for (place, (sql, _)) in queries.iter().enumerate() {
        project.segment(&format!("s{place}"), sql);
    }
    project.ok(&["build"]);
    for (place, (sql, expected)) in queries.iter().enumerate() {
        assert_eq!(project.ids(&format!("s{place}")), *expected, "as a segment: {sql}");
        let plain = format!("SELECT DISTINCT profile_id FROM ({sql}) ORDER BY 1");
        let plain: Vec<i64> =
            project.csv(&plain).iter().map(|id| id.parse().expect("an id")).collect();
        assert_eq!(plain, *expected, "as a query: {sql}");
    }
}

#[test]
fn exists_reads_the_columns_of_a_derived_table() {
    let project = project();
    let tie = "e.profile_id = p.profile_id";
    let swapped = "SELECT profile_id, event, ts, qty AS amount, amount AS qty FROM events";
    agree(
        &project,
        &[
            (
                &format!("SELECT profile_id FROM profiles p WHERE EXISTS (SELECT 1 FROM ({swapped}) e WHERE {tie} AND e.amount >= 100)"),
                &[0],
            ),
            (
                &format!("WITH x AS ({swapped}) SELECT profile_id FROM profiles p WHERE NOT EXISTS (SELECT 1 FROM x e WHERE {tie} AND e.amount >= 100)"),
                &[1, 2, 3, 4],
            ),
            (
                &format!(
                    "SELECT profile_id FROM profiles p WHERE EXISTS (SELECT 1 FROM (SELECT profile_id, ts, event, qty FROM events) e
                     WHERE {tie} AND e.ts >= now() - INTERVAL '1000 days' AND e.qty > 1)"
                ),
                &[0, 2, 4],
            ),
            (
                &format!(
                    "WITH buys AS (SELECT profile_id, qty AS event FROM events WHERE event = 'buy')
                     SELECT profile_id FROM profiles p WHERE EXISTS (SELECT 1 FROM buys e WHERE {tie} AND e.event >= 100)"
                ),
                &[0],
            ),
            (
                &format!(
                    "SELECT profile_id FROM profiles p WHERE EXISTS (SELECT 1 FROM (
                       SELECT q.profile_id, q.n FROM (SELECT profile_id, count(*) FILTER (WHERE event = 'buy') AS b, count(*) AS n
                                                      FROM events GROUP BY profile_id) q) e
                     WHERE {tie} AND e.n > 1)"
                ),
                &[0],
            ),
        ],
    );
}

#[test]
fn a_sum_of_cases_without_rows_is_null() {
    let sum = "sum(CASE WHEN amount > 50 THEN 1 ELSE 0 END) FILTER (WHERE event = 'buy')";
    let having = |test: &str| {
        format!("SELECT profile_id FROM events GROUP BY profile_id HAVING {sum} {test}")
    };
    let (zero, null, one) = (having("= 0"), having("IS NULL"), having("= 1"));
    agree(&project(), &[(&zero, &[0]), (&null, &[2, 4]), (&one, &[1])]);
}

#[test]
fn a_length_of_time_is_compared_as_one() {
    let project = project();
    let since = "SELECT profile_id FROM events GROUP BY profile_id HAVING now() - max(ts) >= INTERVAL '302 days'";
    let pairs = "SELECT a.profile_id FROM events a JOIN events b ON a.profile_id = b.profile_id
                 WHERE a.event = 'buy' AND b.event = 'view' AND b.ts > a.ts AND b.ts - a.ts <= INTERVAL '1 day'";
    let (added, earlier) = (
        pairs.replace("b.ts - a.ts <= INTERVAL '1 day'", "b.ts <= a.ts + INTERVAL '1 day'"),
        "SELECT profile_id FROM events GROUP BY profile_id HAVING max(ts) <= now() - INTERVAL '302 days'",
    );
    agree(&project, &[(since, &[0, 1]), (pairs, &[0]), (&added, &[0]), (earlier, &[0, 1])]);
    // They are one leaf, however they are written.
    for (one, other) in [("s0", "s3"), ("s1", "s2")] {
        let explained = project.json(&["explain", one]);
        assert_eq!(explained["leaves"][0]["shared_with"], json!([other]), "{explained:#}");
    }
}

#[test]
fn a_slip_costs_its_own_segment_and_no_other() {
    let project = project();
    project.segment("good", "SELECT profile_id FROM events WHERE event = 'buy'");
    let slips = [
        (
            "window",
            "SELECT profile_id FROM events WHERE row_number() OVER (PARTITION BY profile_id ORDER BY ts) = 1",
        ),
        ("parameter", "SELECT profile_id FROM events WHERE ts > $1"),
        ("number", "SELECT profile_id FROM events WHERE event > 5"),
        ("zero", "SELECT profile_id FROM events WHERE 10 / (length(event) - 3) > 2"),
        (
            "argument",
            "SELECT profile_id FROM events GROUP BY profile_id HAVING sum(qty / (qty - 3)) > 2",
        ),
    ];
    for (name, sql) in slips {
        project.segment(name, sql);
    }
    // These look as if they failed, and do not where SQL evaluates them.
    let fine = [
        (
            "list",
            "SELECT profile_id FROM events WHERE event IN ('1', '2') AND CAST(event AS INT) > 0",
            0,
        ),
        (
            "branch",
            "SELECT profile_id FROM events WHERE CASE WHEN ts < TIMESTAMP '2020-01-01T00:00:00Z' \
             THEN CAST(event AS INT) > 5 ELSE event = 'buy' END",
            2,
        ),
    ];
    for (name, sql, _) in fine {
        project.segment(name, sql);
    }
    let run = project.run(&["build", "--format", "json"]);
    assert_eq!(run.code, Some(1), "{run:#?}");
    let report: Value = run.value();
    assert_eq!(segment_of(&report, "good")["members"], 2, "{report:#}");
    for (name, _, members) in fine {
        assert_eq!(segment_of(&report, name)["members"], members, "{report:#}");
    }
    for (name, sql) in slips {
        let segment = segment_of(&report, name);
        assert_eq!(segment["status"], "failed", "{sql}: {segment:#}");
        let file = segment["error"]["file"].as_str().unwrap_or_default();
        assert!(file.ends_with(&format!("{name}.sql")), "{segment:#}");
    }
}

#[test]
fn who_changed_while_time_passed_is_looked_at_as_both_were() {
    let project = Project::new();
    let more = |text, n| format!("{text}u{n},2025-06-01T00:00:00Z\n");
    let others = (1..200).fold(String::new(), more);
    project.write("data/p.csv", format!("user_id,trial\nu0,2026-01-15T00:00:00Z\n{others}"));
    project.write("data/e.csv", EVENTS);
    project.ok(&["ingest", "profiles", "data/p.csv", "--key", "user_id"]);
    project.ok(&["ingest", "events", "data/e.csv", "--key", "user_id"]);
    project.segment("running", "SELECT profile_id FROM profiles WHERE trial > now()");
    project.segment(
        "not_lately",
        "SELECT profile_id FROM profiles WHERE NOT (trial <= now() - INTERVAL '1 day' \
         AND trial >= now() - INTERVAL '100 days')",
    );
    project.segment("readers", "SELECT profile_id FROM segments.running");
    project.ok(&["build", "--as-of", "2026-01-10"]);
    assert_eq!(project.ids("running"), [0]);
    project.write("data/again.csv", "user_id,trial\nu0,2026-01-05T00:00:00Z\n");
    project.ok(&["ingest", "profiles", "data/again.csv", "--key", "user_id"]);
    project.ok(&["build", "--as-of", "2026-01-20"]);
    let refreshed = ["running", "not_lately", "readers"].map(|name| project.ids(name));
    project.ok(&["build", "--as-of", "2026-01-20", "--full"]);
    let full = ["running", "not_lately", "readers"].map(|name| project.ids(name));
    assert_eq!(refreshed, full);
    assert!(full[0].is_empty() && full[1].len() == full[1].iter().filter(|id| **id != 0).count());
}

#[test]
fn what_is_not_a_number_stays_what_it_is() {
    let project = Project::new();
    project.write("data/p.csv", "user_id,score\na,NaN\nb,5.0\nc,5.0\n");
    project.ok(&["ingest", "profiles", "data/p.csv", "--key", "user_id"]);
    let scores = || project.csv("SELECT score FROM profiles ORDER BY profile_id");
    assert_eq!(scores(), ["NaN", "5.0", "5.0"]);
    let above = "SELECT profile_id FROM profiles WHERE score > 6";
    project.segment("above", above);
    project.ok(&["build"]);
    assert_eq!(project.ids("above"), [0]);
    assert_eq!(project.csv(above), ["0"]);
    project.write("data/again.csv", "user_id,score\nb,9.0\n");
    project.ok(&["ingest", "profiles", "data/again.csv", "--key", "user_id"]);
    assert_eq!(scores(), ["NaN", "9.0", "5.0"]);
    // The same of events, whose files are written anew, too, and whatever the order they lie in.
    for (name, rows) in
        [("one", "a,2026-01-01,buy,NaN\nb,2026-01-01,buy,-5\n"), ("two", "a,2026-01-02,buy,1\n")]
    {
        let file = format!("data/{name}.csv");
        project.write(&file, format!("user_id,ts,event,x\n{rows}"));
        project.ok(&["ingest", "events", &file, "--key", "user_id"]);
    }
    project.segment(
        "greatest",
        "SELECT profile_id FROM events GROUP BY profile_id HAVING max(x) > 100",
    );
    project
        .segment("least", "SELECT profile_id FROM events GROUP BY profile_id HAVING min(x) <= 1");
    let values = || project.csv("SELECT x FROM events ORDER BY profile_id, ts");
    let before = values();
    assert_eq!(before, ["NaN", "1.0", "-5.0"]);
    project.ok(&["build"]);
    assert_eq!((project.ids("greatest"), project.ids("least")), (vec![0], vec![0, 1]));
    project.ok(&["optimize"]);
    assert_eq!(values(), before);
    project.ok(&["build", "--full"]);
    assert_eq!((project.ids("greatest"), project.ids("least")), (vec![0], vec![0, 1]));
}

#[test]
fn what_would_be_ignored_is_refused() {
    let project = project();
    for sql in [
        "SELECT profile_id FROM profiles TABLESAMPLE BERNOULLI (1)",
        "SELECT profile_id FROM profiles p WHERE EXISTS (SELECT 1 FROM events e WHERE e.profile_id = p.profile_id OFFSET 2)",
    ] {
        let error = project.error(&["count", sql]);
        let message = error["message"].as_str().unwrap_or_default();
        assert!(message.contains("not supported"), "{error:#}");
    }
}

#[test]
fn a_build_says_what_an_analyst_may_want_to_know() {
    let project = project();
    project.write("data/points.csv", "user_id,points\nu1,5\nu2,7\n");
    project.ok(&["ingest", "profiles", "data/points.csv", "--key", "user_id"]);
    project.segment("best", "SELECT profile_id FROM profiles ORDER BY points DESC LIMIT 4");
    project.segment(
        "known",
        "SELECT profile_id FROM profiles ORDER BY points DESC NULLS LAST LIMIT 2",
    );
    project.segment(
        "never",
        "SELECT profile_id FROM profiles EXCEPT SELECT profile_id FROM events WHERE event = 'Buy'",
    );
    project.segment("base", "SELECT profile_id FROM events WHERE event = 'buy'");
    project.segment("reader", "SELECT profile_id FROM segments.base");
    let notes = |report: &Value, name: &str| segment_of(report, name)["notes"].clone();
    let report = project.json(&["build"]);
    assert_eq!(
        notes(&report, "best"),
        json!([
            "3 of the 4 have no value to be ordered by, and come first; NULLS LAST puts them last"
        ])
    );
    assert_eq!(notes(&report, "never"), json!(["no event is called 'Buy'; did you mean 'buy'?"]));
    assert!(["known", "base", "reader"].iter().all(|name| notes(&report, name).is_null()));
    // A renamed file leaves its members behind, and those who read them are told.
    std::fs::rename(project.path("sql/segments/base.sql"), project.path("sql/segments/buyers.sql"))
        .expect("a renamed file");
    let report = project.json(&["build", "reader"]);
    let text = notes(&report, "reader")[0].as_str().unwrap_or_default().to_owned();
    assert!(text.contains("segments.base, which no file makes any more"), "{report:#}");
}

#[test]
fn why_tells_of_the_moment_and_of_the_last_build() {
    let project = project();
    project
        .segment("lately", "SELECT profile_id FROM events WHERE ts >= now() - INTERVAL '90 days'");
    project.ok(&["build", "--as-of", "2026-01-10"]);
    let why = project.json(&["why", "lately", "--user", "u1"]);
    assert_eq!((&why["member"], &why["as_of"]), (&json!(false), &json!("2026-11-01T00:00:00Z")));
    let last =
        json!({"build": 1, "as_of": "2026-01-10T00:00:00Z", "member": true, "changed": false});
    assert_eq!(why["last_build"], last);
    let text = project.ok(&["why", "lately", "--user", "u1"]).stdout;
    assert!(text.contains("Build 1 has it, as of 2026-01-10T00:00:00Z"), "{text}");
    // What came before the first event is not what comes after it.
    project.segment(
        "viewed_after",
        "SELECT a.profile_id FROM events a JOIN events b ON a.profile_id = b.profile_id WHERE a.event = 'view' \
         AND b.event = 'buy' AND b.ts > a.ts AND b.ts <= a.ts + INTERVAL '7 days'",
    );
    let why = project.json(&["why", "viewed_after", "--user", "u1"]);
    assert_eq!(
        why["leaves"][0]["values"],
        json!({"first events": "1 (2026-01-02T00:00:00Z)", "of these with one after": "0",
               "without": "1 (2026-01-02T00:00:00Z)"})
    );
}

#[test]
fn a_place_may_be_beside_the_project() {
    let project = project();
    project.write("shop/throng.toml", "[store]\nlocation = \"../elsewhere/store\"\n");
    project.write("shop/data/p.csv", "user_id\nu1\n");
    project.write("shop/sql/segments/all.sql", "SELECT profile_id FROM profiles");
    let shop = ["--project", "shop"];
    let run = |args: &[&str]| project.ok(&[&shop[..], args].concat());
    run(&["ingest", "profiles", "shop/data/p.csv", "--key", "user_id"]);
    run(&["build"]);
    assert!(project.path("elsewhere/store/events").is_dir());
    run(&["export", "--all", "--to", "shop/../lists", "--as", "csv"]);
    let listed = std::fs::read_dir(project.path("lists")).expect("a folder");
    let listed: Vec<_> = listed.map(|e| e.expect("a file").file_name()).collect();
    assert!(listed.iter().any(|name| name.to_string_lossy().starts_with("all")), "{listed:?}");
}
