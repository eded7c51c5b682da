//! Memberships at a million profiles: out of masks and ids, into bytes and back, and counted.

mod allocator;

use std::hint::black_box;

use arrow::array::Int32Array;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use throng::membership::wire::{Format, decode, encode};
use throng::membership::{Mask, Membership};
use throng::model::ProfileId;

const PROFILES: u32 = 1_000_000;

/// Shapes of a set, by the share of the profiles that are in; above 6.25 % (4,096 of 65,536) a
/// container is a bitset, below an array.
const SHAPES: [(&str, f64); 5] =
    [("rare", 0.001), ("sparse", 0.01), ("tenth", 0.1), ("quarter", 0.25), ("dense", 0.5)];

fn ids(seed: u64, share: f64) -> Vec<ProfileId> {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    (0..PROFILES).filter(|_| random.random_bool(share)).filter_map(ProfileId::new).collect()
}

fn column(ids: &[ProfileId]) -> Int32Array {
    ids.iter().map(|id| id.get().cast_signed()).collect::<Vec<i32>>().into()
}

fn mask(ids: &[ProfileId]) -> Mask {
    let mut mask = Mask::new();
    for &id in ids {
        mask.insert(id);
    }
    mask
}

fn making(c: &mut Criterion) {
    let mut group = c.benchmark_group("membership");
    group.throughput(Throughput::Elements(u64::from(PROFILES)));
    for (shape, share) in SHAPES {
        let size = format!("{shape}/1m");
        let ids = ids(1, share);
        let (column, mask) = (column(&ids), mask(&ids));
        group.bench_function(BenchmarkId::new("from_mask", &size), |b| {
            b.iter(|| black_box(&mask).to_membership());
        });
        group.bench_function(BenchmarkId::new("from_sorted", &size), |b| {
            b.iter(|| Membership::from_sorted(black_box(&ids).iter().copied()));
        });
        group.bench_function(BenchmarkId::new("insert_ids", &size), |b| {
            b.iter(|| {
                let mut mask = Mask::new();
                mask.insert_ids(black_box(&column)).map(|()| mask)
            });
        });
    }
    group.finish();
}

fn reading(c: &mut Criterion) {
    let mut group = c.benchmark_group("membership");
    group.throughput(Throughput::Elements(u64::from(PROFILES)));
    for (shape, share) in SHAPES {
        let size = format!("{shape}/1m");
        let membership = mask(&ids(1, share)).to_membership();
        let other = mask(&ids(2, share)).to_membership();
        let bytes = encode(&membership, Format::Roaring);
        group.bench_function(BenchmarkId::new("encode", &size), |b| {
            b.iter(|| encode(black_box(&membership), Format::Roaring));
        });
        group.bench_function(BenchmarkId::new("decode", &size), |b| {
            b.iter(|| decode(black_box(&bytes), Format::Roaring));
        });
        group.bench_function(BenchmarkId::new("and_len", &size), |b| {
            b.iter(|| black_box(&membership).and_len(black_box(&other)));
        });
    }
    group.finish();
}

criterion_group!(benches, making, reading);
criterion_main!(benches);
