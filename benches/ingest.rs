//! Ingest of a made-up shop into a fresh store: `ingest/profiles/shop/...`, `ingest/events/shop/...`.
//!
//! Throughput is in rows. The store is made anew for every sample, so a sample is a whole command
//! without its process.

mod allocator;

use std::path::Path;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use throng::engine::{DirectSource, Engine, EngineOptions};
use throng::model::AsOf;
use throng::source::shop::{self, ShopSpec};

const PROFILES: u32 = 100_000;
const EVENTS: u64 = 1_000_000;

fn engine(folder: &Path) -> Engine {
    std::fs::create_dir_all(folder).expect("a folder");
    std::fs::write(folder.join("throng.toml"), "").expect("a project");
    let now = AsOf::parse("2026-11-01").expect("a time");
    Engine::open(EngineOptions::new(folder, now)).expect("opens")
}

fn source(data: &Path, files: &str, events: bool) -> DirectSource {
    DirectSource {
        files: vec![data.join(files).display().to_string()],
        base: data.to_path_buf(),
        keys: vec!["user_id".to_owned()],
        events: events.then(|| ("ts".to_owned(), "event".to_owned())),
        options: Vec::new(),
        rejects: None,
    }
}

fn ingest(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let spec = ShopSpec { profiles: PROFILES, events: EVENTS, ..ShopSpec::default() };
    shop::write(&spec, &data, &|_, _| {}).expect("a shop");
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let mut group = criterion.benchmark_group("ingest");
    group.sample_size(10).measurement_time(Duration::from_secs(20));
    let work = [
        ("profiles/shop/100k", u64::from(PROFILES), source(&data, "profiles.parquet", false)),
        ("events/shop/1m", EVENTS, source(&data, "events/*.parquet", true)),
    ];
    for (id, rows, source) in work {
        group.throughput(Throughput::Elements(rows));
        group.bench_function(id, |bencher| {
            bencher.iter_batched(
                || tempfile::tempdir().expect("a folder"),
                |store| {
                    let engine = engine(store.path());
                    runtime.block_on(engine.ingest_files(&source, &|_, _| {})).expect("ingests");
                    store
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, ingest);
criterion_main!(benches);
