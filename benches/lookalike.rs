//! Look-alikes stage by stage: `lookalike/{linear,trees,top,top_set,encode,learn,score,whole}/normal/1Mx64`, and
//! the same at 10 M profiles, which takes 10 GB of memory and some minutes; `-- 1M` leaves those out.
//!
//! Throughput is in profiles. `benches/peers/lookalike.py` measures quality; `lookalike_speed.py` beside it
//! runs this bench, numpy, scikit-learn and `LightGBM` on the same shape, in turns.

mod allocator;

use std::cell::LazyCell;
use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use throng::lookalike::kernels::Kernels;

const FEATURES: usize = 64;
const SEEDS: usize = 10_000;

fn lookalike(criterion: &mut Criterion) {
    sized(criterion, 1_000_000, "1M");
    sized(criterion, 10_000_000, "10M");
}

fn sized(criterion: &mut Criterion, rows: usize, size: &str) {
    // Made where a stage of this size is asked for.
    let made = LazyCell::new(|| Kernels::new(rows, FEATURES, SEEDS));
    let lesson = LazyCell::new(|| made.learn());
    let best = rows / 100;
    let mut group = criterion.benchmark_group("lookalike");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group.throughput(Throughput::Elements(rows as u64));
    let name = |stage: &str| format!("{stage}/normal/{size}x{FEATURES}");
    group.bench_function(name("linear"), |bencher| {
        let mut scores = vec![0.0; rows];
        bencher.iter(|| made.linear(black_box(&mut scores)));
    });
    group.bench_function(name("trees"), |bencher| {
        let mut sums = vec![0; rows];
        bencher.iter(|| made.trees(black_box(&mut sums)));
    });
    group.bench_function(format!("top/normal/{size}"), |bencher| {
        bencher.iter(|| black_box(made.top(best)));
    });
    group.bench_function(format!("top_set/normal/{size}"), |bencher| {
        bencher.iter(|| black_box(made.top_set(best)));
    });
    group.bench_function(name("encode"), |bencher| bencher.iter(|| black_box(made.encode())));
    group.bench_function(name("learn"), |bencher| bencher.iter(|| black_box(made.learn())));
    group.bench_function(name("score"), |bencher| {
        let mut scores = vec![0.0; rows];
        bencher.iter(|| made.score(&lesson, black_box(&mut scores)));
    });
    group.bench_function(name("whole"), |bencher| bencher.iter(|| black_box(made.whole(best))));
    group.finish();
}

criterion_group!(benches, lookalike);
criterion_main!(benches);
