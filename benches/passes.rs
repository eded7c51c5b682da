//! Each kind of leaf alone, from the plan to a bitmap: `passes/attribute/shop/100k`, `passes/count/..`.
//!
//! Throughput is in events, in profiles for attributes and ranks. The files stay open between samples,
//! nothing decoded is kept.

mod allocator;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use throng::engine::{DemoOptions, EngineOptions, demo};
use throng::model::AsOf;
use throng::query::{Limits, Session};
use throng::segment::{Batch, Planned};
use throng::store::{Location, Store};

const PROFILES: u32 = 100_000;
const EVENTS: u64 = 1_000_000;

/// A query whose members one leaf of the kind decides.
const KINDS: [(&str, &str); 9] = [
    ("attribute", "SELECT profile_id FROM profiles WHERE country IN ('NL', 'BE')"),
    (
        "events",
        "SELECT profile_id FROM events WHERE event = 'product_view' AND category = 'running'",
    ),
    (
        "count",
        "SELECT profile_id FROM events WHERE event = 'product_view' \
         AND ts >= now() - INTERVAL '90 days' GROUP BY profile_id HAVING count(*) >= 3",
    ),
    (
        "sum",
        "SELECT profile_id FROM events WHERE event = 'purchase' GROUP BY profile_id \
         HAVING sum(amount) > 500",
    ),
    (
        "distinct",
        "SELECT profile_id FROM events WHERE event = 'product_view' GROUP BY profile_id \
         HAVING count(DISTINCT category) >= 3",
    ),
    (
        "sequence",
        "SELECT DISTINCT a.profile_id FROM events a JOIN events b ON a.profile_id = b.profile_id \
         WHERE a.event = 'email_click' AND b.event = 'purchase' AND b.ts > a.ts \
         AND b.ts <= a.ts + INTERVAL '7' DAY",
    ),
    (
        "window",
        "SELECT DISTINCT profile_id FROM (SELECT profile_id, event, ts, min(CASE WHEN event = \
         'purchase' THEN ts END) OVER (PARTITION BY profile_id ORDER BY ts ROWS BETWEEN CURRENT ROW \
         AND UNBOUNDED FOLLOWING) AS bought FROM events WHERE event IN ('add_to_cart', 'purchase')) \
         WHERE event = 'add_to_cart' AND (bought IS NULL OR bought > ts + INTERVAL '1' DAY)",
    ),
    (
        "local",
        "SELECT profile_id FROM (SELECT profile_id, ts, lead(ts) OVER (PARTITION BY profile_id \
         ORDER BY ts) AS later FROM events WHERE event = 'purchase') \
         WHERE later > ts + INTERVAL '60' DAY",
    ),
    (
        "ranked",
        "SELECT profile_id FROM events WHERE event = 'purchase' GROUP BY profile_id \
         ORDER BY sum(amount) DESC, profile_id LIMIT 1000",
    ),
];

fn passes(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let now = AsOf::parse("2026-11-01").expect("a time");
    let engine = EngineOptions::new(folder.path().join("shop"), now);
    let options = DemoOptions { profiles: PROFILES, events: EVENTS, seed: 42, engine };
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    runtime.block_on(demo::demo(&options, &|_| {})).expect("a demo");
    let limits = Limits::with_threads(NonZeroUsize::new(2).expect("two"));
    let session = runtime.block_on(async {
        let location = Location::parse("store", &folder.path().join("shop"), &[]).expect("a place");
        let store = Store::open(location).await.expect("a store");
        let snapshot = store.snapshot().await.expect("a version");
        Session::over(&store, &snapshot, limits, now).expect("a session")
    });
    let mut group = criterion.benchmark_group("passes");
    group.sample_size(20).measurement_time(Duration::from_secs(5));
    for (kind, sql) in KINDS {
        let batch = runtime.block_on(async {
            let plan = session.plan(sql, None).await.expect("a plan");
            let planned = Planned::of(&plan).expect("a set of profiles");
            Batch::compile(&[(kind.to_owned(), planned)]).0
        });
        assert!(batch.set(kind).is_some_and(Result::is_ok), "{kind} is not compiled");
        let rows = if ["attribute", "ranked"].contains(&kind) { PROFILES.into() } else { EVENTS };
        group.throughput(Throughput::Elements(rows));
        group.bench_function(format!("{kind}/shop/100k"), |bencher| {
            bencher.iter(|| {
                runtime.block_on(batch.run(&session, limits, BTreeMap::new())).expect("runs")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, passes);
criterion_main!(benches);
