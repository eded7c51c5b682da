//! Segments against a loop: the same events, in Rust, one after the other.
//!
//! Events lie every five years from 1900 to 2195, most of them at the edges of a month, so that a scan that
//! drops a file, a page or a row too many by its statistics is found out.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::{DateTime, Datelike as _, Months, NaiveDate, TimeDelta, Utc};

use super::support::{Dice, Project};

const USERS: u64 = 40;
const EVENTS: [&str; 4] = ["cart", "purchase", "view", "\u{e9}t\u{e9}"];

/// One event; the amount is in cents.
struct Event {
    user: u64,
    name: &'static str,
    at: DateTime<Utc>,
    cents: Option<u64>,
}

/// Repeatable events, in no order.
fn events(rows: u64) -> Vec<Event> {
    let mut dice = Dice::new(7);
    let mut event = || {
        let month = dice.throw(60) * 60;
        let first = NaiveDate::from_ymd_opt(1900, 1, 1).expect("a date");
        let first = first + Months::new(u32::try_from(month).expect("few months"));
        // In the first month of a decade nothing lies behind the first microsecond.
        let later = if month.is_multiple_of(120) { [1, 0] } else { [1_000_000, 86_400_000_000] };
        let edges = [0, 1, -1, later[0], later[1]];
        let edge = edges[usize::try_from(dice.throw(5)).expect("small")];
        let at =
            first.and_hms_opt(0, 0, 0).expect("midnight").and_utc() + TimeDelta::microseconds(edge);
        let at = at.max(DateTime::from_timestamp(-2_208_988_800, 0).expect("1900"));
        Event {
            user: dice.throw(USERS),
            name: EVENTS[usize::try_from(dice.throw(4)).expect("small")],
            at,
            cents: (dice.throw(3) > 0).then(|| dice.throw(100_000)),
        }
    };
    (0..rows).map(|_| event()).collect()
}

fn csv(events: &[Event]) -> String {
    let mut text = String::from("user_id,ts,event,amount\n");
    for Event { user, name, at, cents } in events {
        let amount = cents.map(|c| format!("{}.{:02}", c / 100, c % 100)).unwrap_or_default();
        let at = at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        writeln!(text, "{user},{at},{name},{amount}").expect("text grows");
    }
    text
}

/// A project whose profiles are numbered as its users are, with these events in two files.
fn project(events: &[Event]) -> Project {
    let project = Project::new();
    let users: Vec<String> = (0..USERS).map(|user| user.to_string()).collect();
    project.write("users.csv", format!("user_id\n{}\n", users.join("\n")));
    project.ok(&["ingest", "profiles", "users.csv", "--key", "user_id"]);
    let (one, other) = events.split_at(events.len() / 3);
    for (name, part) in [("one.csv", one), ("other.csv", other)] {
        project.write(name, csv(part));
        let types = ["--types", "user_id text, amount decimal(9,2)"];
        let args = [&["ingest", "events", name, "--key", "user_id"], &types[..]].concat();
        assert_eq!(project.json(&args)["events"], part.len());
    }
    project
}

/// The users that `keeps` keeps, given their events.
fn naive(events: &[Event], keeps: impl Fn(&[&Event]) -> bool) -> Vec<i64> {
    let mut by_user: BTreeMap<u64, Vec<&Event>> =
        (0..USERS).map(|user| (user, Vec::new())).collect();
    for event in events {
        by_user.entry(event.user).or_default().push(event);
    }
    let kept = by_user.into_iter().filter(|(_, events)| keeps(events));
    kept.map(|(user, _)| user.cast_signed()).collect()
}

#[test]
fn windows_at_any_moment_hold_what_a_loop_finds() {
    let events = events(3_000);
    let project = project(&events);
    let days = |n| TimeDelta::days(n);
    project.segment("window", "SELECT profile_id FROM events WHERE event = 'purchase' AND ts >= now() - INTERVAL '900 days' AND ts < now()");
    project.segment("spent", "SELECT profile_id FROM events WHERE event IN ('purchase', 'cart') AND ts > now() - INTERVAL '20000 days' AND ts <= now() GROUP BY profile_id HAVING sum(amount) > 5000");
    project.segment("silent", "SELECT profile_id FROM profiles EXCEPT SELECT profile_id FROM events WHERE ts BETWEEN now() - INTERVAL '1000 days' AND now()");
    project.segment("summer", "SELECT profile_id FROM events WHERE event = '\u{e9}t\u{e9}' AND amount IS NULL AND ts >= date_trunc('month', now())");
    let mut found = 0;
    for (year, month) in
        [(1900, 1), (1925, 1), (1970, 1), (2000, 2), (2026, 11), (2195, 1), (2230, 1)]
    {
        let now = NaiveDate::from_ymd_opt(year, month, 1).expect("a date").and_hms_opt(0, 0, 0);
        let now = now.expect("midnight").and_utc();
        project.ok(&["build", "--as-of", &now.to_rfc3339()]);
        let window = |e: &&Event| e.name == "purchase" && e.at >= now - days(900) && e.at < now;
        assert_eq!(project.ids("window"), naive(&events, |of| of.iter().any(window)), "{now}");
        found += project.ids("window").len();
        let counts = |e: &&&Event| {
            ["purchase", "cart"].contains(&e.name) && e.at > now - days(20_000) && e.at <= now
        };
        let sum = |of: &[&Event]| of.iter().filter(counts).filter_map(|e| e.cents).sum::<u64>();
        assert_eq!(project.ids("spent"), naive(&events, |of| sum(of) > 500_000), "{now}");
        let recent = |e: &&Event| e.at >= now - days(1_000) && e.at <= now;
        assert_eq!(project.ids("silent"), naive(&events, |of| !of.iter().any(recent)), "{now}");
        let summer = |e: &&Event| e.name == EVENTS[3] && e.cents.is_none() && e.at >= now;
        assert_eq!(project.ids("summer"), naive(&events, |of| of.iter().any(summer)), "{now}");
    }
    assert!(found > 20, "{found} members are too few to tell anything");
}

#[test]
fn filters_on_every_edge_count_what_a_loop_counts() {
    let events = events(2_000);
    let project = project(&events);
    let mut sql = String::from("SELECT count(*) AS all_rows");
    let mut expected = vec![events.len()];
    for (at, month) in
        [(1900, 1), (1969, 12), (1970, 1), (2000, 1), (2100, 1)].into_iter().enumerate()
    {
        let edge = NaiveDate::from_ymd_opt(month.0, month.1, 1).expect("a date");
        let moment = edge.and_hms_opt(0, 0, 0).expect("midnight").and_utc();
        for (name, operator) in [("lt", "<"), ("le", "<="), ("gt", ">"), ("eq", "=")] {
            write!(sql, ", (SELECT count(*) FROM events WHERE ts {operator} TIMESTAMP '{edge}T00:00:00Z') AS {name}{at}").expect("text grows");
            let holds = |e: &&Event| match name {
                "lt" => e.at < moment,
                "le" => e.at <= moment,
                "gt" => e.at > moment,
                _ => e.at == moment,
            };
            expected.push(events.iter().filter(holds).count());
        }
        write!(
            sql,
            ", (SELECT count(*) FROM events WHERE date_part('year', ts) = {}) AS y{at}",
            month.0
        )
        .expect("text grows");
        expected.push(events.iter().filter(|e| e.at.year() == month.0).count());
    }
    sql.push_str(" FROM events");
    for _ in 0..2 {
        let row = &project.rows(&sql)[0];
        let found: Vec<u64> = row
            .as_object()
            .expect("a row")
            .values()
            .filter_map(serde_json::Value::as_u64)
            .collect();
        assert_eq!(found, expected.iter().map(|n| *n as u64).collect::<Vec<_>>());
        project.ok(&["optimize"]);
    }
}
