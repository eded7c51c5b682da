//! What is streamed from beside the store is what is in memory, to the bit.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::membership::Membership;
use crate::model::{AsOf, ProfileId, ShardSize};
use crate::store::{Location, Store};

use super::encode::{Encoded, Encoder};
use super::everybody::Shelves;
use super::frame::{Column, Frame, Values};
use super::keep::Keep;
use super::layout::{CHUNK_IDS, Layout};
use super::random::Dice;
use super::raw::Raw;
use super::recipe::Role;
use super::run::{Found, Queries, Request};
use super::shelf::{Depth, Head, Shelf, Shelved};
use super::size::Size;
use super::work::{Told, Work};

const ROWS: usize = 3_000;

/// Profiles in three chunks; a number and a word that tell the seed, and noise.
fn made() -> (Layout, Frame, Vec<Role>) {
    let ids: Vec<u32> = (0..ROWS as u32).map(|at| at * (CHUNK_IDS / 1_200)).collect();
    let layout = Layout::new(&ids);
    let mut dice = Dice::new(7);
    let mut columns: Vec<Vec<f32>> = vec![Vec::new(); 3];
    let (mut codes, mut roles) = (Vec::new(), Vec::new());
    for row in 0..ROWS {
        let value = if row % 11 == 0 { f32::NAN } else { dice.normal() as f32 };
        let word = dice.below(4) as u32;
        let hint = if value.is_nan() { 0.0 } else { value } + if word == 2 { 1.0 } else { 0.0 };
        let is_seed = f64::from(hint) + dice.normal() > 2.2;
        roles.push(if is_seed { Role::Seed } else { Role::Candidate });
        columns[0].push(value);
        columns[1].push(dice.normal() as f32);
        columns[2].push(dice.below(9) as f32);
        codes.push(word);
    }
    let labels = ["a", "b", "c"].map(str::to_owned).to_vec();
    let words = Column { name: "word".into(), values: Values::Words { codes, labels } };
    let names = ["told", "noise", "small"].into_iter().zip(columns);
    let mut columns: Vec<Column> = names.map(|(n, values)| Column::numbers(n, values)).collect();
    columns.push(words);
    (layout, Frame { rows: ROWS, columns }, roles)
}

fn request() -> Request {
    Request {
        seed: "seed".to_owned(),
        members: Membership::default(),
        negatives: Vec::new(),
        excluded: Vec::new(),
        queries: Queries::default(),
        seed_columns: BTreeSet::new(),
        exclude_columns: Vec::new(),
        keep_columns: Vec::new(),
        sensitive: vec!["word".to_owned()],
        four_fifths: None,
        size: Size::DEFAULT,
        include_seed: false,
        model: None,
        explain: ProfileId::new(0),
        as_of: AsOf::from_micros(0).expect("a moment"),
        store_version: 1,
        threads: NonZeroUsize::MIN,
    }
}

fn chunk_of(encoded: &Encoded, layout: &Layout, chunk: usize) -> Encoded {
    encoded.at(&layout.chunk(chunk).map(|row| row as u32).collect::<Vec<u32>>())
}

/// The look-alikes of the made seed, with features kept as `keep` says.
fn found(keep: &Keep, reopen: bool) -> Found {
    let (layout, frame, roles) = made();
    let (encoder, ..) = Encoder::learn(&frame);
    let encoded = encoder.encode(ROWS, frame.columns);
    let shelved = |feature: &super::encode::Feature| Shelved {
        name: feature.name.clone(),
        feature: Some(feature.clone()),
        why: String::new(),
    };
    let head = Head::new(encoder.features.iter().map(shelved).collect(), &layout);
    let encode = |chunk| Ok(chunk_of(&encoded, &layout, chunk));
    let mut shelf = Shelf::make(keep, "made", "aa.profiles-1", head, encode).expect("it is made");
    if reopen {
        shelf = futures::executor::block_on(Shelf::open(keep, "made", "aa.profiles-1", &layout))
            .expect("it is there");
    }
    for chunk in 0..layout.chunks() {
        let read = shelf.read(chunk, Depth::All).expect("it is there");
        assert_eq!(read, chunk_of(&encoded, &layout, chunk));
    }
    let shelves = Shelves { layout: Arc::new(layout), shelves: vec![shelf] };
    let told = Told::of(&shelves.shelves);
    let (request, started, stages) = (Arc::new(request()), Instant::now(), Vec::new());
    Work { request, shelves, roles, told, started, stages }.done().expect("it is found")
}

async fn store() -> Store {
    let location = Location::parse("memory:///", Path::new("/"), &[]).expect("a place");
    let shard = ShardSize::of_ids(65_536).expect("a size");
    Store::open_or_create(location, shard, AsOf::from_micros(0).expect("a moment"))
        .await
        .expect("a store")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_streamed_is_what_is_in_memory() {
    let store = store().await;
    let snapshot = store.snapshot().await.expect("a version");
    let keep = Keep::beside(&store, &snapshot);
    let work = move || {
        let plain = found(&Keep::nowhere(), false);
        for (keep, reopen) in [
            (&keep, false),
            (&keep.clone().holding(0), false),
            (&keep, true),
            (&keep.clone().holding(0), true),
        ] {
            let other = found(keep, reopen);
            let bits = |found: &Found| -> Vec<u64> {
                found.scores.scores.iter().map(|score| score.to_bits()).collect()
            };
            assert_eq!(bits(&other), bits(&plain));
            assert_eq!(
                (&other.audience, &other.explanation),
                (&plain.audience, &plain.explanation)
            );
            assert_eq!(other.report.top_features, plain.report.top_features);
            assert_eq!(other.report.fairness, plain.report.fairness);
            assert_eq!(other.report.stability, plain.report.stability);
            assert!(!keep.lost());
        }
        assert!(plain.report.metrics.auc > 0.7 && !plain.report.fairness.is_empty());
    };
    tokio::task::spawn_blocking(work).await.expect("it is done");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_wait_beside_the_store_come_back() {
    let store = store().await;
    let snapshot = store.snapshot().await.expect("a version");
    let (layout, frame, _) = made();
    for keep in [Keep::beside(&store, &snapshot), Keep::nowhere()] {
        let mut raw = Raw::of(&keep.holding(0), "aa.profiles-1");
        raw.expect(&layout, &[false, true]);
        let chunks = |chunk: usize| {
            let rows = layout.chunk(chunk);
            let Values::Numbers(numbers) = &frame.columns[0].values else { panic!("numbers") };
            let Values::Words { codes, .. } = &frame.columns[3].values else { panic!("words") };
            let words = Values::Words { codes: codes[rows.clone()].to_vec(), labels: Vec::new() };
            vec![Values::Numbers(numbers[rows].to_vec()), words]
        };
        for chunk in 0..layout.chunks() {
            raw.push(chunk, chunks(chunk)).await;
        }
        let wanted: Vec<String> =
            (0..layout.chunks()).map(|c| format!("{:?}", chunks(c))).collect();
        let take = move || {
            for (chunk, wanted) in wanted.into_iter().enumerate() {
                assert_eq!(format!("{:?}", raw.take(chunk).expect("it is there")), wanted);
            }
        };
        tokio::task::spawn_blocking(take).await.expect("they are taken");
    }
}
