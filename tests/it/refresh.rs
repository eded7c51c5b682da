//! Builds after something changed: what a refresh makes of random changes against what a full build
//! makes of them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;
use throng::model::{AsOf, TableName};
use throng::store::{Change, Committed, Location, Store};

use super::fuzz::{self, AROUND, NAMES, PROFILES, Writer};
use super::support::{Dice, Project, segment_of};

const SEGMENTS: usize = 40;

/// What analysts write most, and what a random writer hardly hits: windows that move over everybody,
/// segments of segments, silence.
const USUAL: [(&str, &str); 13] = [
    (
        "lately",
        "SELECT profile_id FROM events WHERE ts >= now() - INTERVAL '30 days' \
         GROUP BY profile_id HAVING count(*) >= 3",
    ),
    (
        "lapsed",
        "SELECT profile_id FROM events WHERE event = 'view' GROUP BY profile_id \
         HAVING max(ts) < now() - INTERVAL '20 days'",
    ),
    (
        "quiet",
        "SELECT profile_id FROM profiles WHERE plan = 'plus' AND profile_id NOT IN \
         (SELECT profile_id FROM events WHERE ts >= now() - INTERVAL '15 days')",
    ),
    (
        "young",
        "SELECT profile_id FROM profiles WHERE born > CAST(now() AS DATE) - INTERVAL '9000 days'",
    ),
    (
        "value",
        "SELECT e.profile_id FROM events e JOIN profiles p ON e.profile_id = p.profile_id \
         GROUP BY e.profile_id, p.ltv HAVING sum(e.amount) > p.ltv",
    ),
    (
        "both",
        "SELECT profile_id FROM segments.lately INTERSECT SELECT profile_id FROM segments.young",
    ),
    (
        "best",
        "SELECT profile_id FROM events WHERE event = 'purchase' GROUP BY profile_id \
         ORDER BY sum(amount) DESC, profile_id LIMIT 12",
    ),
    (
        "best_of_plus",
        "SELECT profile_id FROM segments.best \
         INTERSECT SELECT profile_id FROM profiles WHERE plan = 'plus'",
    ),
    (
        "busy",
        "SELECT profile_id FROM (SELECT e.profile_id, count(*) AS n FROM events e \
         JOIN profiles p ON p.profile_id = e.profile_id WHERE p.plan = 'plus' \
         AND ts >= now() - INTERVAL '60 days' GROUP BY e.profile_id ORDER BY n DESC LIMIT 15)",
    ),
    (
        "cooled",
        "SELECT DISTINCT profile_id FROM (SELECT profile_id, event, ts, min(CASE WHEN event = \
         'purchase' THEN ts END) OVER (PARTITION BY profile_id ORDER BY ts ROWS BETWEEN CURRENT ROW \
         AND UNBOUNDED FOLLOWING) AS bought FROM events WHERE event IN ('cart', 'purchase') \
         AND ts >= now() - INTERVAL '200 days') AS t WHERE event = 'cart' \
         AND ts < now() - INTERVAL '10 days' AND (bought IS NULL OR bought > ts + INTERVAL '2 hours')",
    ),
    (
        "content",
        "SELECT profile_id FROM profiles WHERE profile_id NOT IN (SELECT profile_id FROM events \
         WHERE (event = 'refund' AND ts >= now() - INTERVAL '300 days') \
         OR (event = 'view' AND ts >= now() - INTERVAL '60 days'))",
    ),
    (
        "slower",
        "SELECT profile_id FROM events WHERE ts >= now() - INTERVAL '90 days' GROUP BY profile_id \
         HAVING sum(CASE WHEN ts < now() - INTERVAL '40 days' THEN 1 ELSE 0 END) >= 2 \
         AND sum(CASE WHEN ts >= now() - INTERVAL '40 days' THEN 1 ELSE 0 END) * 2 \
         < sum(CASE WHEN ts < now() - INTERVAL '40 days' THEN 1 ELSE 0 END)",
    ),
    (
        "rest",
        "SELECT profile_id FROM profiles EXCEPT SELECT profile_id FROM segments.both \
         EXCEPT SELECT profile_id FROM segments.lapsed",
    ),
];

/// Something that happens between two builds.
struct Happening<'a> {
    project: &'a Project,
    dice: &'a mut Dice,
    round: u64,
}

impl Happening<'_> {
    /// One thing; in words, for whoever reads a failure.
    fn one(&mut self) -> String {
        match self.dice.throw(9) {
            0..=3 => self.events(),
            4 => self.changed_profiles(),
            5 => self.new_profiles(),
            6 => {
                self.project.ok(&["optimize"]);
                "optimize".to_owned()
            }
            7 => tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(lose_events(self.project, self.dice))
            }),
            _ => "nothing".to_owned(),
        }
    }

    fn events(&mut self) -> String {
        let mut text = String::from("user_id,ts,event,amount,quantity,category\n");
        let rows = 1 + self.dice.throw(12);
        for _ in 0..rows {
            let days = i64::try_from(self.dice.throw(90)).expect("small");
            // Late ones among the new.
            let end = if self.dice.throw(2) == 0 { 1_744_243_200 } else { AROUND[1] };
            let at = chrono::DateTime::from_timestamp(end - days * 40_000, 0).expect("a time");
            let at = at.format("%Y-%m-%dT%H:%M:%SZ");
            let (user, name) = (self.dice.throw(PROFILES), self.dice.pick(&NAMES));
            writeln!(text, "{user},{at},{name},{}.5,2,shoes", self.dice.throw(90))
                .expect("text grows");
        }
        let file = format!("data/more-{}.csv", self.round);
        self.project.write(&file, text);
        self.project.ok(&["ingest", "events", &file, "--key", "user_id"]);
        format!("{rows} events")
    }

    fn changed_profiles(&mut self) -> String {
        let mut text = String::new();
        for _ in 0..5 {
            let (user, ltv) = (self.dice.throw(PROFILES), self.dice.throw(300));
            let plan = self.dice.pick(&["free", "plus"]);
            // Some days around 9,000 days ago: before and after a moment, and at one and the other.
            let (month, day) = (7 + self.dice.throw(4), 1 + self.dice.throw(28));
            let born = match self.dice.throw(2) {
                0 => String::new(),
                _ => format!(",\"born\":\"2000-{month:02}-{day:02}\""),
            };
            writeln!(text, "{{\"user_id\":{user},\"plan\":\"{plan}\",\"ltv\":{ltv}.25{born}}}")
                .expect("text grows");
        }
        self.people(&text, "changed")
    }

    fn new_profiles(&mut self) -> String {
        let mut text = String::new();
        for n in 0..3 {
            let user = 10_000 + self.round * 10 + n;
            writeln!(
                text,
                "{{\"user_id\":{user},\"country\":\"DE\",\"plan\":\"plus\",\"ltv\":9.5}}"
            )
            .expect("text grows");
        }
        self.people(&text, "new")
    }

    fn people(&self, text: &str, kind: &str) -> String {
        let file = format!("data/{kind}-{}.ndjson", self.round);
        self.project.write(&file, text);
        self.project.ok(&["ingest", "profiles", &file, "--key", "user_id"]);
        format!("{kind} profiles")
    }
}

/// Takes one of the smaller files of events away, as an erasure would.
async fn lose_events(project: &Project, dice: &mut Dice) -> String {
    let location = Location::parse("store", project.root(), &[]).expect("a place");
    let store = Store::open(location).await.expect("a store");
    let snapshot = store.snapshot().await.expect("a version");
    let mut files = snapshot.table(TableName::Events).expect("events").files.clone();
    files.retain(|file| file.stats.rows < 300);
    if files.is_empty() {
        return "nothing to lose".to_owned();
    }
    let lost = files[usize::try_from(dice.throw(files.len() as u64)).expect("few")].clone();
    let rows = lost.stats.rows;
    let mut change = Change::new("test", AsOf::parse("2025-04-10").expect("a time"));
    change.table(TableName::Events).removed.push(lost);
    let committed = store.commit(&snapshot, change).await.expect("a commit");
    assert!(matches!(committed, Committed::Done(_)));
    format!("{rows} events lost")
}

/// Every segment of the build that `project` just made, held against a full build in a copy.
fn check(project: &Project, as_of: &str, story: &[String]) {
    let copy = project.copy();
    let full = copy.json(&["build", "--full", "--as-of", as_of]);
    for segment in full["segments"].as_array().expect("segments") {
        let moved = (&segment["entered"], &segment["exited"]);
        assert_eq!(
            moved,
            (&Value::from(0), &Value::from(0)),
            "{}: {} after {story:?}",
            segment["name"],
            project
                .read(&format!("sql/segments/{}.sql", segment["name"].as_str().expect("a name")))
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_is_what_a_full_build_is() {
    let project = fuzz::random_project();
    let mut writer = Writer(Dice::new(fuzz::asked("THRONG_SEED", 5) + 70));
    for n in 0..SEGMENTS {
        project.segment(&format!("s{n}"), &writer.set(1));
    }
    for (name, sql) in USUAL {
        project.segment(name, sql);
    }
    let mut minutes = 0;
    let (mut refreshed, mut moved, mut story) = (0, 0, Vec::new());
    let mut names = BTreeSet::new();
    let as_of = |minutes: i64| {
        let at = chrono::DateTime::from_timestamp(1_744_243_200 + minutes * 60, 0).expect("a time");
        at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
    };
    project.json(&["build", "--as-of", &as_of(minutes)]);
    for round in 0..fuzz::asked("THRONG_ROUNDS", 24) {
        let mut happening = Happening { project: &project, dice: &mut writer.0, round };
        story.push(happening.one());
        // Time mostly passes, by minutes or days; sometimes it stands still or runs back.
        let step = usize::try_from(writer.0.throw(7)).expect("small");
        minutes += [0, 0, 7, 90, 1_441, -60, 45_000][step];
        story.push(as_of(minutes));
        let report = project.json(&["build", "--as-of", &as_of(minutes)]);
        for segment in report["segments"].as_array().expect("segments") {
            assert!(segment["error"].is_null(), "{segment}");
            refreshed += usize::from(segment["evaluated"].is_u64());
            if segment["evaluated"].is_u64() {
                names.insert(segment["name"].as_str().expect("a name").to_owned());
            }
            let is_moved = segment["entered"] != 0 || segment["exited"] != 0;
            moved += usize::from(segment["evaluated"].is_u64() && is_moved);
        }
        check(&project, &as_of(minutes), &story);
    }
    eprintln!("{refreshed} refreshed, {moved} of them changed");
    assert!(refreshed > 200 && moved > 20, "{refreshed} refreshed, {moved} of them changed");
    let never = USUAL.iter().filter(|(name, _)| !names.contains(*name));
    assert_eq!(never.count(), 0, "only these were ever refreshed: {names:?}");
}

#[test]
fn the_best_are_ranked_again_where_that_tells() {
    let project = Project::with_shop();
    project.segment(
        "best",
        "SELECT profile_id FROM events WHERE event = 'purchase' GROUP BY profile_id \
         ORDER BY sum(amount) DESC, profile_id LIMIT 5",
    );
    project.segment("best_too", "SELECT profile_id FROM segments.best");
    // So many places that most profiles would have to be looked at.
    project.segment(
        "half",
        "SELECT profile_id FROM events WHERE event = 'purchase' GROUP BY profile_id \
         ORDER BY sum(amount) DESC, profile_id LIMIT 30",
    );
    let bought = |name: &str, of: &[(u32, i32)]| {
        let rows = of.iter().fold("user_id,ts,event,amount\n".to_owned(), |text, (who, amount)| {
            text + &format!("x{who},2026-10-01T00:00:00Z,purchase,{amount}\n")
        });
        project.write(&format!("data/{name}.csv"), rows);
        project.ok(&["ingest", "events", &format!("data/{name}.csv"), "--key", "user_id"]);
    };
    let built = || {
        let report = project.json(&["build", "--as-of", "2026-11-01"]);
        check(&project, "2026-11-01", &[]);
        let best = segment_of(&report, "best");
        let too = segment_of(&report, "best_too");
        assert_eq!((&too["entered"], &too["exited"]), (&best["entered"], &best["exited"]));
        assert!(segment_of(&report, "half")["evaluated"].is_null(), "{report:#}");
        (best["evaluated"].clone(), best["entered"].clone(), best["exited"].clone())
    };
    let all: Vec<(u32, i32)> =
        (0..60).map(|n| (n, 1_000 + 10 * i32::try_from(n).expect("few"))).collect();
    bought("first", &all);
    built();
    // One from far below moves in, and goes on to spend: who is not touched tells where the others are.
    bought("in", &[(3, 5_000)]);
    assert_eq!(built(), (1.into(), 1.into(), 1.into()));
    bought("more", &[(3, 10)]);
    assert_eq!(built(), (1.into(), 0.into(), 0.into()));
    // One who leaves makes room for anybody.
    bought("out", &[(59, -900)]);
    assert_eq!(built(), (Value::Null, 1.into(), 1.into()));
    // The last one falls behind, and two who are touched take the places before.
    bought("two", &[(7, 9_000), (8, 9_000), (58, -900)]);
    assert_eq!(built(), (3.into(), 2.into(), 2.into()));
}

#[test]
fn time_alone_moves_members_out() {
    let project = Project::with_shop();
    project.segment(
        "month",
        "SELECT profile_id FROM events WHERE event = 'view' AND ts >= now() - INTERVAL '30 days'",
    );
    project.segment("month_readers", "SELECT profile_id FROM segments.month");
    // Enough others, that two of them are few.
    let many: String = (0..40).fold("user_id\n".to_owned(), |text, n| text + &format!("x{n}\n"));
    project.write("data/many.csv", many);
    project.ok(&["ingest", "profiles", "data/many.csv", "--key", "user_id"]);
    project.ok(&["build", "--as-of", "2026-11-01"]);
    let report = project.json(&["build", "--as-of", "2026-11-29T12:00:00Z"]);
    let month = segment_of(&report, "month");
    assert_eq!((&month["exited"], &month["members"]), (&1.into(), &1.into()), "{report:#}");
    assert!(month["evaluated"].as_u64().is_some_and(|n| n <= 2), "{report:#}");
    assert_eq!(segment_of(&report, "month_readers")["exited"], 1, "{report:#}");
    // A changed definition is evaluated in full, and what reads it, too.
    project.segment("month", "SELECT profile_id FROM events WHERE event = 'purchase'");
    let report = project.json(&["build", "--as-of", "2026-11-29T12:00:00Z"]);
    assert!(segment_of(&report, "month")["evaluated"].is_null(), "{report:#}");
    assert_eq!(segment_of(&report, "month_readers")["entered"], 2, "{report:#}");
}

/// What is made of rows in their order: a refresh takes them from as many files as a build does, and has
/// to see them one after the other as it does.
#[test]
fn the_order_of_rows_is_what_it_is_in_a_build() {
    let project = Project::with_shop();
    let both = "FROM events WHERE event IN ('cart', 'purchase')";
    for (name, having) in [
        ("more", "sum(amount) > 0.5"),
        ("less", "sum(amount) < 0.5"),
        ("mean", "avg(amount) > 0"),
        ("one", "sum(CASE WHEN event = 'cart' THEN amount END) > 0.5"),
    ] {
        let sql = format!("SELECT profile_id {both} GROUP BY profile_id HAVING {having}");
        project.segment(name, &sql);
    }
    let first = format!(
        "SELECT profile_id FROM (SELECT profile_id, event, row_number() OVER (PARTITION BY profile_id \
         ORDER BY ts) AS place {both}) AS t WHERE place = 2 AND event = 'cart'"
    );
    project.segment("second", &first);
    let mut dice = Dice::new(11);
    let mut ingest = |name: &str, profiles: &mut dyn Iterator<Item = u32>, rows: usize| {
        let mut text = "user_id,ts,event,amount\n".to_owned();
        for who in profiles {
            for _ in 0..rows {
                // Their sum depends on which come first; and some come at the same moment.
                let amount =
                    dice.pick(&["10000000000000000.0", "-10000000000000000.0", "1.0", "0.25"]);
                let (month, day) = (1 + dice.throw(6), 1 + dice.throw(3));
                let event = dice.pick(&["cart", "purchase"]);
                writeln!(text, "x{who},2026-{month:02}-{day:02}T00:00:00Z,{event},{amount}")
                    .expect("text grows");
            }
        }
        let file = format!("data/{name}.csv");
        project.write(&file, text);
        project.ok(&["ingest", "events", &file, "--key", "user_id"]);
    };
    ingest("all", &mut (0..400), 9);
    project.json(&["build", "--as-of", "2026-11-01"]);
    for round in 0..4 {
        ingest(&format!("few{round}"), &mut (round * 90..round * 90 + 80), 1);
        let report = project.json(&["build", "--as-of", "2026-11-01"]);
        for segment in report["segments"].as_array().expect("segments") {
            assert!(segment["evaluated"].as_u64().is_some_and(|n| n > 20), "{segment}");
        }
        check(&project, "2026-11-01", &[format!("round {round}")]);
    }
}
