//! What is wrong is said in words that help: a message, the line and column that are meant, and what to
//! write instead. A case here is a query that somebody wrote.

use serde_json::{Value, json};

use super::support::{Project, segment_of};

/// A query, and the message, the line and column, and the hint that it gets; of the message and the hint
/// a part is enough.
type Case = (&'static str, &'static str, (u64, u64), &'static str);

/// Queries with another product's habits, or a slip.
const CASES: [Case; 50] = [
    (
        "SELECT profile_id FROM (SELECT profile_id, CAST(ts AS DATE) AS day FROM events)\nWHERE day > 1990",
        "incompatible types",
        (2, 7),
        "'1990-01-01', its year is date_part",
    ),
    (
        "SELECT profile_id FROM events WHERE CAST(ts AS DATE) BETWEEN 1990 AND 2000",
        "BETWEEN cannot compare",
        (1, 54),
        "a date is written",
    ),
    (
        "SELECT profile_id FROM events WHERE event = 'view' AND CAST(ts AS DATE) IN (19900101)",
        "incompatible types",
        (1, 61),
        "'1990-01-01'",
    ),
    (
        "SELECT profile_id FROM events WHERE ts BETWEEN 2025 AND 2026",
        "BETWEEN cannot compare",
        (1, 40),
        "a date is written",
    ),
    (
        "SELECT profile_id FROM profiles WHERE country + plan = 'DEfree'",
        "incompatible types",
        (1, 39),
        "country || plan",
    ),
    (
        "SELECT profile_id FROM profiles WHERE country = 'DE' = 1",
        "incompatible types",
        (1, 39),
        "parentheses",
    ),
    (
        "SELECT profile_id FROM events GROUP BY profile_id\nWHERE count(*) > 1",
        "syntax error",
        (2, 1),
        "it is HAVING",
    ),
    (
        "SELECT profile_id FROM events\nWHERE ts > 20260101",
        "incompatible types",
        (2, 7),
        "'2026-01-01'",
    ),
    (
        "SELECT profile_id FROM events WHERE amount > 1 AND ts > 1790899200",
        "incompatible types",
        (1, 52),
        "to_timestamp(1790899200)",
    ),
    (
        "SELECT profile_id FROM events WHERE ts > now() - 30",
        "incompatible types",
        (1, 42),
        "INTERVAL '30 days'",
    ),
    (
        "SELECT profile_id FROM events\nWHERE amount > 'many'",
        "'many'",
        (2, 16),
        "a number is written",
    ),
    (
        "SELECT profile_id FROM events WHERE ts > '2026-13-01'",
        "'2026-13-01'",
        (1, 42),
        "write a date as",
    ),
    (
        "SELECT profile_id FROM events WHERE ts > '01.10.2026'",
        "'01.10.2026'",
        (1, 42),
        "write a date as",
    ),
    (
        "SELECT profile_id FROM events WHERE ts > DATE '2026-02-30'",
        "'2026-02-30'",
        (1, 47),
        "write a date as",
    ),
    (
        "SELECT profile_id FROM events WHERE ts > TIMESTAMP 'yesterday'",
        "'yesterday'",
        (1, 52),
        "write a date as",
    ),
    (
        "SELECT profile_id FROM events WHERE CAST(product AS INT) = 3",
        "Cannot cast string",
        (1, 37),
        "try_cast",
    ),
    (
        "SELECT profile_id FROM events\nWHERE count(*) > 3 GROUP BY profile_id",
        "aggregate",
        (2, 7),
        "HAVING",
    ),
    (
        "SELECT profile_id FROM events GROUP BY profile_id\nHAVING count(*) / (count(*) - count(ts)) > 3",
        "division by zero",
        (2, 17),
        "nullif(b, 0)",
    ),
    (
        "SELECT profile_id FROM profiles\nWHERE in_segment('germanz')",
        "no segment \"germanz\"",
        (2, 18),
        "did you mean segments.germans?",
    ),
    ("SELECT country AS profile_id FROM profiles", "not an integer", (1, 19), "identifiers"),
    ("SELECT -5013 AS profile_id FROM profiles", "profile_id -5013 is", (1, 17), ""),
    ("SELECT 99999999999 AS profile_id", "profile_id 99999999999 is", (1, 23), ""),
    (
        "SELECT profile_id FROM profiles;\nSELECT profile_id FROM events;",
        "two statements",
        (2, 1),
        "UNION",
    ),
    (
        "SELECT p.profile_id FROM profiles p\nSEMI JOIN events e ON p.profile_id = e.profile_id",
        "SEMI JOIN without LEFT",
        (2, 1),
        "WHERE EXISTS",
    ),
    (
        "SELECT p.profile_id FROM profiles p\nANTI JOIN events e ON p.profile_id = e.profile_id",
        "ANTI JOIN without LEFT",
        (2, 1),
        "WHERE NOT EXISTS",
    ),
    (
        "SELECT profile_id FROM profiles p WHERE\n(SELECT event FROM events e WHERE e.profile_id = p.profile_id ORDER BY ts DESC LIMIT 1) = 'view'",
        "a subquery as a value",
        (2, 1),
        "last_value(",
    ),
    (
        "SELECT profile_id FROM profiles p\nWHERE profile_id NOT IN (SELECT profile_id FROM events e WHERE e.product = p.country)",
        "NOT IN",
        (2, 18),
        "NOT EXISTS",
    ),
    (
        "SELECT profile_id FROM events GROUP BY profile_id\nHAVING sum(product) > 3",
        "the function sum cannot take text",
        (2, 8),
        "try_cast",
    ),
    (
        "SELECT profile_id FROM events\nWHERE row_number() OVER (PARTITION BY profile_id ORDER BY ts DESC) = 1",
        "window function",
        (2, 20),
        "QUALIFY",
    ),
    (
        "SELECT profile_id FROM events GROUP BY profile_id\nHAVING row_number() OVER (ORDER BY count(*) DESC) < 10",
        "window function",
        (2, 21),
        "QUALIFY",
    ),
    (
        "SELECT profile_id FROM profiles\nWHERE email ~ '('",
        "'(' is no regular expression: unclosed group",
        (2, 15),
        "a backslash",
    ),
    (
        "SELECT profile_id FROM events\nWHERE DATEDIFF('day', ts, CURRENT_DATE) < 30",
        "Invalid function 'datediff'",
        (2, 7),
        "ts > now() - INTERVAL '30 days'",
    ),
    (
        "SELECT profile_id FROM events GROUP BY profile_id HAVING avg(datediff('day', ts, ts)) < 7",
        "Invalid function 'datediff'",
        (1, 62),
        "date_part('epoch', b - a)",
    ),
    (
        "SELECT profile_id FROM events\nWHERE product->>'x' = 'a'",
        "incompatible types",
        (2, 14),
        "JSON has no operators",
    ),
    (
        "SELECT profile_id\nWHERE country = 'DE'",
        "no column \"country\"",
        (2, 7),
        "the query has no FROM",
    ),
    ("SELECT profile_id FROM profiles LIMIT ten", "no column \"ten\"", (1, 39), "it is a number"),
    (
        "SELECT profile_id FROM events GROUP BY profile_id\nHAVING cuont(*) > 3",
        "Invalid function 'cuont'",
        (2, 8),
        "did you mean count?",
    ),
    (
        "SELECT profile_id FROM events GROUP BY profile_id HAVING approx_count_distinct(event) > 3",
        "Invalid function",
        (1, 58),
        "approx_distinct",
    ),
    (
        "SELECT profile_id FROM profiles WHERE IFF(country = 'DE', true, false)",
        "Invalid function 'iff'",
        (1, 39),
        "CASE WHEN",
    ),
    (
        "SELECT profile_id FROM events WHERE json_extract(product, '$.x') = 'a'",
        "Invalid function",
        (1, 37),
        "sql/sources",
    ),
    (
        "SELECT profile_id FROM events GROUP BY profile_id HAVING SAFE_DIVIDE(sum(amount), count(*)) > 3",
        "Invalid function",
        (1, 58),
        "a / nullif(b, 0)",
    ),
    (
        "SELECT profile_id FROM events WHERE ts > now() - INTERVAL '1 quarter'",
        "'1 quarter' is no span",
        (1, 59),
        "INTERVAL '3 months'",
    ),
    (
        "SELECT profile_id FROM events ORDER BY ts\nFETCH FIRST 10 ROWS ONLY",
        "FETCH FIRST",
        (2, 1),
        "LIMIT 10",
    ),
    (
        "SELECT profile_id FROM profiles\nWHERE email ILIKE ANY ('%a%', '%b%')",
        "ANY in LIKE",
        (2, 19),
        "with OR between",
    ),
    ("SELECT profile_id FROM {{ ref('germans') }}", "syntax error", (1, 24), "FROM segments."),
    (
        "SELECT profile_id FROM profiles WHERE country = ‘DE’",
        "syntax error",
        (1, 49),
        "straight ones",
    ),
    ("SELECT profile_id FROM segments.win-back", "syntax error", (1, 36), "segments.\"win-back\""),
    ("SELECT TOP 10 profile_id FROM profiles", "TOP", (1, 8), "LIMIT 100"),
    (
        "SELECT profile_id FROM profiles WHERE upper(country, 1) = 'DE'",
        "'upper' expects 1",
        (1, 39),
        "",
    ),
    (
        "SELECT profile_id FROM (SELECT profile_id, amount, amount::int AS i FROM events GROUP BY 1, 2, 3)",
        "grouping by amount and by a cast",
        (1, 81),
        "in a subquery",
    ),
];

#[test]
fn messages_have_a_place_and_a_hint() {
    let project = Project::with_shop();
    project.segment("germans", "SELECT profile_id FROM profiles WHERE country = 'DE'");
    for (number, (sql, ..)) in CASES.iter().enumerate() {
        project.segment(&format!("case{number}"), sql);
    }
    let report = project.fails(&["build", "--format", "json"]).value();
    assert_eq!(segment_of(&report, "germans")["status"], "built");
    for (number, (sql, message, (line, column), hint)) in CASES.iter().enumerate() {
        let error = &segment_of(&report, &format!("case{number}"))["error"];
        let said = |field: &Value| field.as_str().unwrap_or_default().to_owned();
        assert!(said(&error["message"]).contains(message), "{sql}: {error:#}");
        assert_eq!(error["file"], format!("sql/segments/case{number}.sql"), "{sql}: {error:#}");
        assert_eq!(
            (&error["line"], &error["column"]),
            (&json!(line), &json!(column)),
            "{sql}: {error:#}"
        );
        assert!(said(&error["hints"][0]).contains(hint), "{sql}: {error:#}");
        assert!(said(&error["message"]).len() < 240, "no dump of a type: {error:#}");
    }
}

#[test]
fn what_hints_say_works() {
    let project = Project::with_shop();
    project.segment("win-back", "SELECT profile_id FROM profiles");
    project.ok(&["build"]);
    for sql in [
        "SELECT avg(date_part('epoch', ts - prev) / 86400) FROM (SELECT ts, lag(ts) OVER (PARTITION BY profile_id ORDER BY ts) AS prev FROM events)",
        "SELECT profile_id FROM events WHERE ts > now() - INTERVAL '3 months'",
        "SELECT profile_id FROM events WHERE ts > to_timestamp(1790899200)",
        "SELECT profile_id FROM events WHERE ts > '2026-01-01'",
        "SELECT profile_id FROM profiles WHERE profile_id IN (SELECT profile_id FROM events GROUP BY profile_id HAVING last_value(event ORDER BY ts) = 'view')",
        "SELECT profile_id FROM events QUALIFY row_number() OVER (PARTITION BY profile_id ORDER BY ts) = 1",
        "SELECT amount, i, count(*) FROM (SELECT amount, amount::int AS i FROM events) GROUP BY amount, i",
        "SELECT profile_id FROM events GROUP BY profile_id HAVING sum(try_cast(product AS DOUBLE)) > 3",
        "SELECT profile_id FROM segments.\"win-back\"",
        "SELECT p.profile_id FROM profiles p LEFT ANTI JOIN events e ON p.profile_id = e.profile_id",
        "SELECT profile_id FROM profiles WHERE email ~* 'ann|bob'",
        "SELECT approx_distinct(event), sum(amount) / nullif(count(*) - count(ts), 0) FROM events",
    ] {
        project.ok(&["query", sql]);
    }
}
