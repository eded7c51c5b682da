//! Look-alikes stage by stage: `lookalike/{encode,linear,trees,top,top_set,learn_and_score}/normal/1Mx64`.
//!
//! Throughput is in profiles. `benches/peers/lookalike.py` measures quality; `lookalike_speed.py` beside it
//! runs this bench, numpy, scikit-learn and `LightGBM` on the same shape, in turns.

mod allocator;

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use throng::lookalike::kernels::Kernels;

const ROWS: usize = 1_000_000;
const FEATURES: usize = 64;
const SEEDS: usize = 10_000;

fn lookalike(criterion: &mut Criterion) {
    let made = Kernels::new(ROWS, FEATURES, SEEDS);
    let mut group = criterion.benchmark_group("lookalike");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group.throughput(Throughput::Elements(ROWS as u64));
    let mut scores = vec![0.0_f32; ROWS];
    group.bench_function("linear/normal/1Mx64", |bencher| {
        bencher.iter(|| made.linear(black_box(&mut scores)));
    });
    let mut sums = vec![0_i32; ROWS];
    group.bench_function("trees/normal/1Mx64", |bencher| {
        bencher.iter(|| made.trees(black_box(&mut sums)));
    });
    group.bench_function("top/normal/1M", |bencher| {
        bencher.iter(|| black_box(made.top(ROWS / 100)));
    });
    group.bench_function("top_set/normal/1M", |bencher| {
        bencher.iter(|| black_box(made.top_set(ROWS / 100)));
    });
    group
        .bench_function("encode/normal/1Mx64", |bencher| bencher.iter(|| black_box(made.encode())));
    group.bench_function("learn_and_score/normal/1Mx64", |bencher| {
        bencher.iter(|| black_box(made.learn_and_score()));
    });
    group.finish();
}

criterion_group!(benches, lookalike);
criterion_main!(benches);
