//! Building the example project's segments over a made-up shop: `build/full/example/...`.
//!
//! Throughput is in profiles. Each sample evaluates every segment of `sql/segments` and commits;
//! `build/refresh/hour/...` moves the time by an hour, on and back, and evaluates whom it moves over.

mod allocator;

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use throng::engine::{BuildOptions, DemoOptions, Engine, EngineOptions, demo};
use throng::model::AsOf;

const PROFILES: u32 = 100_000;
const EVENTS: u64 = 1_000_000;

fn build(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let now = AsOf::parse("2026-11-01").expect("a time");
    let engine = EngineOptions::new(folder.path().join("shop"), now);
    let options =
        DemoOptions { profiles: PROFILES, events: EVENTS, seed: 42, engine: engine.clone() };
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    runtime.block_on(demo::demo(&options, &|_| {})).expect("a demo");
    let engine = Engine::open(engine).expect("opens");
    let options = BuildOptions { full: true, ..BuildOptions::default() };
    let mut group = criterion.benchmark_group("build");
    group.sample_size(10).measurement_time(Duration::from_secs(20));
    group.throughput(Throughput::Elements(u64::from(PROFILES)));
    group.bench_function("full/example/100k", |bencher| {
        bencher.iter(|| runtime.block_on(engine.build(&options, &|_, _, _| {})).expect("builds"));
    });
    let moments = ["2026-11-01T00:00:00Z", "2026-11-01T01:00:00Z"];
    let moments = moments.map(|at| AsOf::parse(at).expect("a time"));
    let mut turn = 0;
    group.bench_function("refresh/hour/100k", |bencher| {
        bencher.iter(|| {
            turn += 1;
            let as_of = Some(moments[turn % 2]);
            let options = BuildOptions { as_of, ..BuildOptions::default() };
            runtime.block_on(engine.build(&options, &|_, _, _| {})).expect("builds")
        });
    });
    group.finish();
}

criterion_group!(benches, build);
criterion_main!(benches);
