//! Building the example project's segments over a made-up shop: `build/full/example/...`.
//!
//! Throughput is in profiles. Each sample evaluates every segment of `sql/segments` and commits.

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
    group.finish();
}

criterion_group!(benches, build);
criterion_main!(benches);
