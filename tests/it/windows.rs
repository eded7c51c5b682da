//! Windows of time that lie in each other, built together, where each row is fed to one of them: against
//! the same queries as `DataFusion` runs them.

use serde_json::Value;

use super::fuzz::random_project;
use super::support::Project;

const AS_OF: &str = "2025-04-10";

/// The days that windows reach back: one of them twice, one before all events, one before none.
const DAYS: [u32; 7] = [0, 7, 30, 30, 90, 400, 4_000];

/// What is made of the rows of a window.
const CONDITIONS: [&str; 12] = [
    "count(*) >= 2",
    "count(*) BETWEEN 1 AND 3",
    "count(quantity) <> 2",
    "count(DISTINCT category) >= 2",
    "count(DISTINCT CAST(ts AS DATE)) > 1",
    "count(DISTINCT quantity) < 3",
    "sum(quantity) >= 3",
    "sum(amount) > 120",
    "avg(amount) <= 60",
    "min(amount) < 20",
    "max(ts) < TIMESTAMP '2025-03-20 00:00:00'",
    "max(quantity) IS NULL OR min(ts) >= TIMESTAMP '2025-02-01 00:00:00'",
];

fn queries() -> Vec<String> {
    let mut queries = Vec::new();
    for days in DAYS {
        let window = format!("ts >= now() - INTERVAL '{days} days'");
        for rows in ["", "event = 'purchase' AND ", "category = 'shoes' AND "] {
            queries.push(format!("SELECT profile_id FROM events WHERE {rows}{window}"));
        }
        for condition in CONDITIONS {
            queries.push(format!(
                "SELECT profile_id FROM events WHERE event <> 'view' AND {window} \
                 GROUP BY profile_id HAVING {condition}"
            ));
        }
        // Another end is another family.
        queries.push(format!(
            "SELECT profile_id FROM events WHERE {window} AND ts < now() - INTERVAL '5 days' \
             GROUP BY profile_id HAVING count(*) > 1"
        ));
    }
    queries
}

fn members(project: &Project, segments: &[Value]) {
    let queries = queries();
    assert_eq!(segments.len(), queries.len());
    for segment in segments {
        let name = segment["name"].as_str().expect("a name");
        let place: usize = name.trim_start_matches('s').parse().expect("its place");
        let sql = &queries[place];
        let plain = format!("SELECT count(DISTINCT profile_id) AS n FROM ({sql})");
        let rows = project.json(&["query", &plain, "--as-of", AS_OF]);
        assert_eq!(segment["members"], rows[0]["n"], "{name}: {sql}: {segment}");
    }
}

#[test]
fn windows_in_each_other_are_what_they_are_alone() {
    let project = random_project();
    for (place, sql) in queries().iter().enumerate() {
        project.segment(&format!("s{place}"), sql);
    }
    let built = project.json(&["build", "--as-of", AS_OF]);
    members(&project, built["segments"].as_array().expect("segments"));
    // The same where states do not fit in memory at once, and are fed whole in many passes.
    let tight = project.json(&["build", "--full", "--as-of", AS_OF, "--memory", "300KB"]);
    let sizes = |build: &Value| -> Vec<Value> {
        let segments = build["segments"].as_array().expect("segments").iter();
        segments.map(|segment| segment["members"].clone()).collect()
    };
    assert_eq!(sizes(&tight), sizes(&built));
}
