//! Counting members in common: two sets at several densities, and all pairs of many.

mod allocator;

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use throng::membership::wire::{Format, decode};
use throng::membership::{Mask, Membership, matrix};
use throng::model::ProfileId;

/// Densities of the two-way counts.
const DENSITIES: [(&str, f64); 8] = [
    ("0.1%", 0.001),
    ("0.5%", 0.005),
    ("0.8%", 0.008),
    ("1%", 0.01),
    ("5%", 0.05),
    ("10%", 0.1),
    ("25%", 0.25),
    ("50%", 0.5),
];

fn set(seed: u64, ids: u32, share: f64) -> Membership {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let mut mask = Mask::new();
    (0..ids)
        .filter(|_| random.random_bool(share))
        .filter_map(ProfileId::new)
        .for_each(|id| mask.insert(id));
    mask.to_membership()
}

/// As many sets as segments of the peers, their densities spread as theirs: many small, a few large.
fn spread(ids: u32) -> Vec<Membership> {
    (0..200_u32).map(|i| set(u64::from(i), ids, 0.6 * 0.97_f64.powf(f64::from(i)))).collect()
}

fn pairs(c: &mut Criterion) {
    let mut group = c.benchmark_group("overlap");
    group.throughput(Throughput::Elements(1_000_000));
    for (density, share) in DENSITIES {
        let (a, b) = (set(1, 1_000_000, share), set(2, 1_000_000, share));
        group.bench_function(BenchmarkId::new("two", format!("{density}/1m")), |bench| {
            bench.iter(|| black_box(&a).and_len(black_box(&b)));
        });
    }
    group.finish();
}

fn all(c: &mut Criterion) {
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let mut group = c.benchmark_group("overlap");
    group.sample_size(10);
    let dense: Vec<Membership> = (0..100_u32)
        .map(|i| set(u64::from(i), 10_000_000, 0.1 + 0.4 * f64::from(i) / 99.0))
        .collect();
    for (shape, sets) in [("200 spread/1m", spread(1_000_000)), ("100 dense/10m", dense)] {
        let sets: Vec<&Membership> = sets.iter().collect();
        let pairs = (sets.len() * (sets.len() + 1) / 2) as u64;
        group.throughput(Throughput::Elements(pairs));
        group.bench_function(BenchmarkId::new("all_pairs", shape), |bench| {
            bench.iter(|| matrix::intersections(black_box(&sets), threads));
        });
        group.bench_function(BenchmarkId::new("all_pairs_one_thread", shape), |bench| {
            bench.iter(|| matrix::intersections(black_box(&sets), NonZeroUsize::MIN));
        });
        group.bench_function(BenchmarkId::new("pair_by_pair", shape), |bench| {
            bench.iter(|| matrix::intersections_by_pairs(black_box(&sets)));
        });
    }
    group.finish();
}

/// The sets of a folder, which `benches/peers/overlap.py` counts too, in the same way: two by two the
/// middle of 100 samples of 100 counts, all pairs the middle of three. Prints a line a figure.
#[expect(clippy::print_stdout, reason = "the script reads it")]
fn files(folder: &std::path::Path) {
    let list = std::fs::read_to_string(folder.join("list.txt")).expect("list.txt in OVERLAP_DIR");
    let read = |line: &str| {
        let (group, file) = line.split_once(' ').expect("a group and a file");
        let bytes = std::fs::read(folder.join(file)).expect("a file");
        (group.to_owned(), decode(&bytes, Format::Roaring).expect("a bitmap"))
    };
    let sets: Vec<(String, Membership)> = list.lines().map(read).collect();
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    for group in sets.chunk_by(|a, b| a.0 == b.0) {
        let name = &group[0].0;
        let sets: Vec<&Membership> = group.iter().map(|(_, set)| set).collect();
        if let [a, b] = sets[..] {
            let mut samples = [0.0; 100];
            for sample in &mut samples {
                let started = Instant::now();
                for _ in 0..100 {
                    black_box(black_box(a).and_len(black_box(b)));
                }
                *sample = started.elapsed().as_secs_f64() / 100.0;
            }
            samples.sort_by(f64::total_cmp);
            println!("two {name} {} {}", samples[50], a.and_len(b));
            continue;
        }
        for (kind, threads) in [("all_pairs", threads), ("all_pairs_one_thread", NonZeroUsize::MIN)]
        {
            let mut samples = [0.0; 3];
            let mut counts = None;
            for sample in &mut samples {
                let started = Instant::now();
                counts = matrix::intersections(black_box(&sets), threads).ok();
                *sample = started.elapsed().as_secs_f64();
            }
            samples.sort_by(f64::total_cmp);
            let (seconds, counts) = (samples[1], counts.expect("threads"));
            let upper = |a: usize| (a..sets.len()).map(|b| counts.get(a, b)).sum::<u64>();
            println!("{kind} {name} {seconds} {}", (0..sets.len()).map(upper).sum::<u64>());
        }
    }
}

criterion_group!(benches, pairs, all);

fn main() {
    if let Some(folder) = std::env::var_os("OVERLAP_DIR") {
        return files(std::path::Path::new(&folder));
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
