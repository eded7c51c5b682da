//! Random segments over random data: what the compiler makes of a query against what `DataFusion`
//! makes of it alone, query by query.
//!
//! The data has what queries trip over: nulls, ties, profiles without events, text that is not ASCII, leap
//! days, the hours around changes of the clock, negative and large numbers.

use std::fmt::Write as _;
use std::num::NonZeroUsize;

use throng::model::AsOf;
use throng::project::{Project as Loaded, SqlFile};
use throng::query::{Limits, Session};
use throng::segment::{Batch, Parsed, Planned};
use throng::store::{Location, Store};

use super::support::{Dice, Project, copy_all};

pub(super) const PROFILES: u64 = 400;
/// What `now()` is.
const AS_OF: &str = "2025-04-10";
const EVENTS: u64 = 6_000;
/// Events that each have a time of their own.
const PINGS: i64 = 1_500;
pub(super) const NAMES: [&str; 5] = ["view", "cart", "purchase", "refund", "visit \u{e9}t\u{e9}"];
const CATEGORIES: [&str; 5] = ["shoes", "h\u{fc}te", "books", "", "it''s"];
/// Times around which events lie: a leap day, two changes of the clock, ends of months and years.
pub(super) const AROUND: [i64; 6] = [
    1_709_164_800, // 2024-02-29
    1_711_846_800, // 2024-03-31 01:00
    1_729_990_800, // 2024-10-27 01:00
    1_735_689_600, // 2025-01-01
    1_740_787_200, // 2025-03-01
    1_743_465_600, // 2025-04-01
];

/// A query's writer.
pub(super) struct Writer(pub(super) Dice);

impl Writer {
    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        self.0.pick(of)
    }

    fn moment(&mut self) -> String {
        let at = AROUND[usize::try_from(self.0.throw(6)).expect("small")];
        let at = at + [0, 0, -1, 3_600, 86_400][usize::try_from(self.0.throw(5)).expect("small")];
        let at = chrono::DateTime::from_timestamp(at, 0).expect("a time");
        match self.0.throw(4) {
            0 => format!("now() - INTERVAL '{} days'", self.0.throw(500)),
            1 => format!("DATE '{}'", at.format("%Y-%m-%d")),
            _ => format!("TIMESTAMP '{}'", at.format("%Y-%m-%d %H:%M:%S")),
        }
    }

    /// A condition on a row of events that is called `t`.
    fn row(&mut self, t: &str, depth: u64) -> String {
        if depth > 0 && self.0.throw(3) > 0 {
            let (a, b) = (self.row(t, depth - 1), self.row(t, depth - 1));
            return match self.0.throw(4) {
                0 => format!("({a} OR {b})"),
                1 => format!("NOT ({a} AND {b})"),
                _ => format!("({a} AND {b})"),
            };
        }
        let name = self.one(&NAMES);
        let category = self.one(&CATEGORIES);
        let moment = self.moment();
        match self.0.throw(13) {
            0..=2 => format!("{t}event = '{name}'"),
            3 => format!("{t}event IN ('{name}', 'cart')"),
            4 => format!("{t}event <> '{name}'"),
            5 | 6 => format!("{t}ts >= {moment}"),
            7 => format!("{t}ts < {moment}"),
            8 => format!("{t}amount > {}", self.0.throw(120)),
            9 => format!("{t}category = '{category}'"),
            10 => format!("{t}category LIKE '{}%'", self.one(&["s", "h", "%o", "x"])),
            11 => format!("{t}category IS {}NULL", self.one(&["", "NOT "])),
            _ => format!("coalesce({t}quantity, 0) {} 2", self.one(&["<", ">=", "="])),
        }
    }

    fn aggregate(&mut self) -> String {
        let row = self.row("", 1);
        match self.0.throw(13) {
            12 => {
                format!("sum(CASE WHEN {row} THEN 1 ELSE 0 END) FILTER (WHERE {})", self.row("", 0))
            }
            0 | 1 => "count(*)".to_owned(),
            2 => "count(quantity)".to_owned(),
            3 => "count(DISTINCT category)".to_owned(),
            4 => "count(DISTINCT CAST(ts AS DATE))".to_owned(),
            5 => "sum(quantity)".to_owned(),
            6 => format!("sum(CASE WHEN {row} THEN 1 ELSE 0 END)"),
            7 => format!("count(*) FILTER (WHERE {row})"),
            8 => format!("sum(CASE WHEN {row} THEN quantity END)"),
            9 => "max(quantity)".to_owned(),
            10 => "avg(quantity)".to_owned(),
            _ => format!("coalesce(min(quantity) FILTER (WHERE {row}), -1)"),
        }
    }

    fn having(&mut self, depth: u64) -> String {
        if depth > 0 && self.0.throw(3) == 0 {
            let (a, b) = (self.having(depth - 1), self.having(depth - 1));
            let op = self.one(&["AND", "OR", "AND NOT"]);
            return format!("({a} {op} {b})");
        }
        let (a, op) = (self.aggregate(), self.one(&[">=", "<", "=", "<>"]));
        let moment = self.moment();
        match self.0.throw(10) {
            8 => format!("now() - max(ts) {op} INTERVAL '{} days'", self.0.throw(400)),
            9 => format!("max(ts) - min(ts) {op} INTERVAL '{}' HOUR", self.0.throw(4_000)),
            0 => format!("max(ts) {op} {moment}"),
            1 => "min(ts) < max(ts) - INTERVAL '3 days'".to_owned(),
            2 => format!("{a} * 2 {op} {}", self.aggregate()),
            3 => format!("sum(amount) {op} {}", self.0.throw(300)),
            4 => format!("{a} IS NOT NULL"),
            5 => format!("max(CASE WHEN event = 'cart' THEN ts END) > {moment}"),
            _ => format!("{a} {op} {}", self.0.throw(6)),
        }
    }

    /// A condition on a profile `t`.
    fn attribute(&mut self, t: &str) -> String {
        match self.0.throw(8) {
            0 => format!("{t}country IN ('DE', 'FR')"),
            1 => format!("{t}country <> 'DE'"),
            2 => format!("NOT ({t}country = 'US' OR {t}plan = 'free')"),
            3 => format!("{t}ltv >= {}", self.0.throw(200)),
            4 => format!("({t}plan = 'plus' OR {t}ltv IS NULL)"),
            5 => format!("EXTRACT(MONTH FROM {t}born) = {}", 1 + self.0.throw(12)),
            6 => format!("array_has({t}interests, '{}')", self.one(&["tea", "caf\u{e9}", "none"])),
            _ => format!("NOT array_has({t}interests, 'tea')"),
        }
    }

    fn inner(&mut self) -> String {
        let row = self.row("", 2);
        match self.0.throw(3) {
            0 => format!("SELECT profile_id FROM events WHERE {row}"),
            _ => format!(
                "SELECT profile_id FROM events WHERE {row} GROUP BY profile_id HAVING {}",
                self.having(1)
            ),
        }
    }

    pub(super) fn set(&mut self, depth: u64) -> String {
        match self.0.throw(if depth > 0 { 15 } else { 13 }) {
            pick @ 0..=6 => self.simple(pick),
            pick @ 7..=12 => self.wide(pick),
            _ => format!(
                "({}) {} ({})",
                self.set(depth - 1),
                self.one(&["UNION", "INTERSECT", "EXCEPT", "UNION ALL"]),
                self.set(depth - 1)
            ),
        }
    }

    /// Conditions on profiles and events, and sets within sets.
    fn simple(&mut self, pick: u64) -> String {
        let (row, attribute, inner) = (self.row("", 2), self.attribute(""), self.inner());
        let profiles = format!("SELECT profile_id FROM profiles WHERE {attribute}");
        match pick {
            0 => format!("SELECT DISTINCT profile_id FROM events WHERE {row}"),
            1 | 2 => inner,
            3 => format!("{profiles} AND {}", self.attribute("")),
            4 => format!("{profiles} AND profile_id IN ({inner})"),
            5 => format!(
                "{profiles} OR NOT (profile_id IN ({inner}) AND profile_id NOT IN ({}))",
                self.inner()
            ),
            _ => format!(
                "SELECT p.profile_id FROM profiles p WHERE {} AND {}EXISTS (SELECT 1 FROM {} e \
                 WHERE e.profile_id = p.profile_id AND {})",
                self.attribute("p."),
                self.one(&["", "NOT "]),
                self.one(&[
                    "events",
                    "(SELECT profile_id, category, ts, quantity AS amount, event, amount AS quantity FROM events)"
                ]),
                self.row("e.", 1)
            ),
        }
    }

    /// The first profiles in an order, which stands below the list of columns or beside it.
    fn top(&mut self, row: &str) -> String {
        if self.0.throw(3) == 0 {
            return format!(
                "SELECT profile_id FROM events WHERE {row} GROUP BY profile_id \
                 ORDER BY {} {}, profile_id LIMIT {}",
                self.aggregate(),
                self.one(&["", "DESC", "DESC NULLS LAST"]),
                1 + self.0.throw(60)
            );
        }
        format!(
            "SELECT profile_id FROM (SELECT profile_id, {} AS v FROM events WHERE {row} \
                 GROUP BY profile_id ORDER BY v {}, profile_id LIMIT {})",
            self.aggregate(),
            self.one(&["", "DESC", "DESC NULLS LAST"]),
            1 + self.0.throw(60)
        )
    }

    /// An event and another one with a time between them, or none.
    fn pairs(&mut self) -> String {
        match self.0.throw(3) {
            0 => format!(
                "SELECT a.profile_id FROM events a LEFT JOIN events b ON a.profile_id = b.profile_id AND {} \
                 AND b.ts {} a.ts AND b.ts <= a.ts + INTERVAL '{}' HOUR WHERE {} AND b.{} IS NULL",
                self.row("b.", 1),
                self.one(&[">", ">="]),
                self.0.throw(300),
                self.row("a.", 1),
                self.one(&["profile_id", "ts", "event"]),
            ),
            1 => format!(
                "SELECT {} FROM events a WHERE {} AND {} (SELECT 1 FROM events b WHERE \
                 b.profile_id = a.profile_id AND {} AND b.ts {} a.ts AND b.ts {} a.ts + INTERVAL '{}' HOUR)",
                self.one(&["a.profile_id", "DISTINCT a.profile_id"]),
                self.row("a.", 1),
                self.one(&["EXISTS", "NOT EXISTS", "NOT EXISTS"]),
                self.row("b.", 1),
                self.one(&[">", ">=", "<>"]),
                self.one(&["<=", "<", ">="]),
                self.0.throw(300)
            ),
            _ => format!(
                "SELECT DISTINCT a.profile_id FROM events a JOIN events b \
                 ON a.profile_id = b.profile_id WHERE {} AND {} AND b.ts {} a.ts \
                 AND {} INTERVAL '{}' HOUR",
                self.row("a.", 1),
                self.row("b.", 1),
                self.one(&[">", ">="]),
                self.one(&["b.ts <= a.ts +", "b.ts - a.ts <="]),
                1 + self.0.throw(300)
            ),
        }
    }

    /// Joins, orders, windows, and groups by more than the profile.
    fn wide(&mut self, pick: u64) -> String {
        let row = self.row("", 2);
        match pick {
            7 => {
                let (keys, having) = match self.0.throw(4) {
                    0 => (", p.ltv", "sum(e.amount) > p.ltv OR p.ltv IS NULL AND "),
                    1 => (", p.plan, upper(p.country)", "p.plan <> 'plus' AND "),
                    _ => ("", ""),
                };
                format!(
                    "SELECT e.profile_id FROM events e \
                     {} JOIN profiles p ON e.profile_id = p.profile_id WHERE {} AND {} \
                     GROUP BY e.profile_id{keys} HAVING {having}count(*) >= {}",
                    self.one(&["", "LEFT"]),
                    self.row("e.", 1),
                    self.attribute("p."),
                    1 + self.0.throw(3)
                )
            }
            8 => self.pairs(),
            9 => format!(
                "SELECT p.profile_id FROM profiles p LEFT JOIN (SELECT profile_id, count(*) AS n \
                 FROM events WHERE {row} GROUP BY profile_id) e ON p.profile_id = e.profile_id \
                 WHERE {} OR coalesce(e.n, 0) < {}",
                self.one(&["e.profile_id IS NULL", "e.n IS NULL", "e.n > 4"]),
                self.0.throw(3)
            ),
            10 => self.top(&row),
            // No two of these events have one time, so the order of rows is one order.
            11 if self.0.throw(2) == 0 => format!(
                "SELECT profile_id FROM (SELECT profile_id, event, ts, {}(CASE WHEN {} THEN {} END) \
                 OVER (PARTITION BY profile_id ORDER BY ts ROWS BETWEEN {}) AS seen FROM events \
                 WHERE event IN ('ping', 'pong') AND {row}) t \
                 WHERE seen IS NULL OR (event = 'pong' AND CAST(seen AS BIGINT) % 2 = 0)",
                self.one(&["min", "max"]),
                self.row("", 1),
                self.one(&["ts", "quantity"]),
                self.one(&[
                    "CURRENT ROW AND UNBOUNDED FOLLOWING",
                    "UNBOUNDED PRECEDING AND CURRENT ROW"
                ])
            ),
            11 => format!(
                "SELECT DISTINCT profile_id FROM (SELECT profile_id, event, ts, lead(ts) OVER \
                 (PARTITION BY profile_id ORDER BY ts, event, amount, category, quantity) AS later \
                 FROM events WHERE {row}) t WHERE later > ts + INTERVAL '{}' HOUR",
                self.0.throw(100)
            ),
            _ => format!(
                "SELECT profile_id FROM events WHERE {row} GROUP BY profile_id, category \
                 HAVING count(*) >= {}",
                1 + self.0.throw(3)
            ),
        }
    }
}

fn profiles(dice: &mut Dice) -> String {
    let mut text = String::new();
    for user in 0..PROFILES {
        let mut fields = vec![format!("\"user_id\":{user}")];
        if dice.throw(5) > 0 {
            fields
                .push(format!("\"country\":\"{}\"", dice.pick(&["DE", "FR", "US", "\u{c5}land"])));
        }
        if dice.throw(6) > 0 {
            fields.push(format!("\"plan\":\"{}\"", dice.pick(&["free", "plus", "premium"])));
        }
        if dice.throw(4) > 0 {
            fields.push(format!("\"ltv\":{}.5", dice.throw(300)));
        }
        if dice.throw(4) > 0 {
            fields.push(format!(
                "\"born\":\"{}-{:02}-{:02}\"",
                1950 + dice.throw(60),
                1 + dice.throw(12),
                1 + dice.throw(28)
            ));
        }
        match dice.throw(4) {
            0 => {}
            1 => fields.push("\"interests\":[]".to_owned()),
            2 => fields.push("\"interests\":[\"tea\",\"tea\"]".to_owned()),
            _ => fields.push("\"interests\":[\"caf\u{e9}\",\"books\"]".to_owned()),
        }
        writeln!(text, "{{{}}}", fields.join(",")).expect("text grows");
    }
    text
}

fn events(dice: &mut Dice) -> String {
    let mut text = String::from("user_id,ts,event,amount,quantity,category\n");
    for _ in 0..EVENTS {
        // Few profiles have most of the events, and some have none.
        let user = dice.throw(PROFILES - 20).min(dice.throw(PROFILES));
        let at = AROUND[usize::try_from(dice.throw(6)).expect("small")]
            + i64::try_from(dice.throw(20 * 86_400)).expect("small") / 600 * 600
            - 10 * 86_400;
        let at =
            chrono::DateTime::from_timestamp(at, 0).expect("a time").format("%Y-%m-%dT%H:%M:%SZ");
        let name = dice.pick(&NAMES);
        let amount = if dice.throw(3) > 0 {
            format!("{}.{:02}", dice.throw(150), dice.throw(100))
        } else {
            String::new()
        };
        let quantity = match dice.throw(8) {
            0 | 1 => String::new(),
            2 => "-3".to_owned(),
            3 => "4000000000".to_owned(),
            n => n.to_string(),
        };
        let category = dice.pick(&["shoes", "h\u{fc}te", "books", "", "it\'s"]);
        writeln!(text, "{user},{at},{name},{amount},{quantity},{category}").expect("text grows");
    }
    for n in 0..PINGS {
        let user = dice.throw(PROFILES / 8);
        let at = chrono::DateTime::from_timestamp(AROUND[0] + n * 2_111, 0).expect("a time");
        let (at, name) = (at.format("%Y-%m-%dT%H:%M:%SZ"), dice.pick(&["ping", "pong"]));
        writeln!(text, "{user},{at},{name},,{},shoes", dice.throw(5)).expect("text grows");
    }
    text
}

pub(super) fn random_project() -> Project {
    let project = Project::new();
    let mut dice = Dice::new(11);
    project.write("data/people.ndjson", profiles(&mut dice));
    project.write("data/events.csv", events(&mut dice));
    project.ok(&["ingest", "profiles", "data/people.ndjson", "--key", "user_id"]);
    project.ok(&["ingest", "events", "data/events.csv", "--key", "user_id"]);
    project
}

fn session(project: &Project, threads: usize) -> Session {
    let runtime = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| {
        runtime.block_on(async {
            let location = Location::parse("store", project.root(), &[]).expect("a place");
            let store = Store::open(location).await.expect("a store");
            let snapshot = store.snapshot().await.expect("a version");
            let limits = Limits::with_threads(NonZeroUsize::new(threads).expect("some"));
            let as_of = AsOf::parse(AS_OF).expect("a time");
            Session::over(&store, &snapshot, limits, as_of).expect("a session")
        })
    })
}

/// A number from the environment: `THRONG_FUZZ=5000` asks for more queries, `THRONG_SEED` for others.
#[expect(clippy::disallowed_methods, reason = "a switch of this test, not of the program")]
pub(super) fn asked(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(otherwise)
}

/// Keeps the store and the answers for another engine to look at (tests/data/fuzz.py), where
/// `THRONG_FUZZ_OUT` names a folder for them.
fn keep(project: &Project, answers: &[serde_json::Value]) {
    let Some(folder) = std::env::var_os("THRONG_FUZZ_OUT").map(std::path::PathBuf::from) else {
        return;
    };
    copy_all(&project.path("store"), &folder.join("store"));
    let answers = serde_json::json!({"as_of": AS_OF, "answers": answers});
    std::fs::write(folder.join("answers.json"), answers.to_string()).expect("a file");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compiled_segments_have_the_members_that_plain_queries_have() {
    let project = random_project();
    let session = session(&project, 2);
    let mut writer = Writer(Dice::new(asked("THRONG_SEED", 5)));
    let mut segments: Vec<(String, Planned)> = Vec::new();
    let mut texts = Vec::new();
    for n in 0..asked("THRONG_FUZZ", 300) {
        let sql = writer.set(2);
        let name = format!("s{n}");
        project.segment(&name, &sql);
        texts.push((name, sql));
    }
    let loaded = Loaded::load(project.root()).expect("a project");
    for (name, sql) in &texts {
        let file: &SqlFile = loaded.segment(name).expect("a file");
        let parsed = Parsed::new(&session, file).unwrap_or_else(|e| panic!("{e}: {sql}"));
        let planned = Planned::new(&session, &parsed).await;
        segments.push((name.clone(), planned.unwrap_or_else(|e| panic!("{e}: {sql}"))));
    }
    let (batch, failed) = Batch::compile(&segments);
    assert!(failed.is_empty(), "{failed:?}");
    let limits = Limits::with_threads(NonZeroUsize::new(2).expect("some"));
    let run = batch.run(&session, limits, std::collections::BTreeMap::new()).await.expect("runs");
    // Too little memory for all states at once, so several passes; the answers are the same.
    let tight = Limits { threads: NonZeroUsize::MIN, memory_bytes: 64 << 10 };
    let again = batch.run(&session, tight, std::collections::BTreeMap::new()).await.expect("runs");
    assert!(run.cost.passes == 1 && again.cost.passes > 1, "{:?}, {:?}", run.cost, again.cost);
    let (mut compiled, mut peopled) = (0, 0);
    let (mut different, mut answers) = (Vec::new(), Vec::new());
    for ((name, planned), (_, sql)) in segments.iter().zip(&texts) {
        let own = run.memberships.get(name).cloned();
        let own = own.or_else(|| batch.combine(name, &run, &|_| None));
        let Some(own) = own else { continue };
        let in_parts = again.memberships.get(name).cloned();
        let in_parts = in_parts.or_else(|| batch.combine(name, &again, &|_| None));
        assert!(in_parts.is_none_or(|m| m == own), "several passes disagree: {sql}");
        let members: Vec<u32> = own.iter().map(throng::model::ProfileId::get).collect();
        answers.push(serde_json::json!({"sql": sql, "members": members}));
        compiled += 1;
        peopled += usize::from(!own.is_empty());
        match planned.evaluate().await {
            Ok(plain) if plain == own => {}
            Ok(plain) => different.push(format!("{} instead of {}: {sql}", own.len(), plain.len())),
            Err(error) => different.push(format!("plain DataFusion fails ({error}): {sql}")),
        }
    }
    keep(&project, &answers);
    eprintln!("{compiled} of {} queries were compiled", segments.len());
    assert!(different.is_empty(), "{} of {compiled}:\n{}", different.len(), different.join("\n"));
    let share = compiled * 100 / segments.len();
    assert!(share >= 85, "only {share} % of the queries were compiled");
    assert!(peopled * 2 >= compiled, "only {peopled} of {compiled} have members");
}
