//! The shop is the same again, exact in its counts, and shaped like a shop.

use std::collections::HashMap;
use std::fs::File;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Decimal128Type, TimestampMicrosecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::calendar::DAY;
use super::sessions::{Event, Row};
use super::{Shop, ShopSpec, write};

fn spec(profiles: u32, events: u64) -> ShopSpec {
    ShopSpec { profiles, events, ..ShopSpec::default() }
}

fn rows(spec: &ShopSpec) -> (Shop, Vec<Row>) {
    let shop = Shop::new(spec).unwrap();
    let rows = (0..shop.calendar.days.len()).flat_map(|day| shop.day(day)).collect();
    (shop, rows)
}

fn count(rows: &[Row], event: Event) -> usize {
    rows.iter().filter(|row| row.event == event).count()
}

fn read(path: &std::path::Path) -> Vec<RecordBatch> {
    let file = File::open(path).unwrap();
    ParquetRecordBatchReaderBuilder::try_new(file)
        .unwrap()
        .build()
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

fn digest(folder: &std::path::Path, spec: &ShopSpec, threads: usize) -> blake3::Hash {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let written = pool.install(|| write(spec, folder, &|_, _| ())).unwrap();
    let mut hasher = blake3::Hasher::new();
    for file in std::iter::once(&written.profiles_file).chain(&written.event_files) {
        hasher.update(&std::fs::read(file).unwrap());
    }
    hasher.finalize()
}

#[test]
fn a_seed_gives_the_same_files_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let one = spec(500, 6_000);
    let first = digest(&folder.path().join("a"), &one, 1);
    assert_eq!(first, digest(&folder.path().join("b"), &one, 3));
    assert_ne!(first, digest(&folder.path().join("c"), &ShopSpec { seed: 7, ..one }, 3));
}

#[test]
fn files_hold_exactly_what_was_asked_for() {
    for (profiles, events) in [(0, 0), (1, 0), (1, 1), (1, 50), (3, 1_000), (70_000, 5_000)] {
        let folder = tempfile::tempdir().unwrap();
        let written = write(&spec(profiles, events), folder.path(), &|_, _| ()).unwrap();
        let rows = |path| read(path).iter().map(RecordBatch::num_rows).sum::<usize>();
        assert_eq!(rows(&written.profiles_file), profiles as usize);
        assert_eq!(written.event_files.len(), 24);
        let found: usize = written.event_files.iter().map(|path| rows(path)).sum();
        assert_eq!(found as u64, events);
        let size = |path| std::fs::metadata(path).unwrap().len();
        let bytes: u64 = written.event_files.iter().map(size).sum();
        assert_eq!(bytes + size(&written.profiles_file), written.bytes);
        assert!(!folder.path().join("profiles.parquet.part").exists());
    }
}

#[test]
fn events_without_anybody_are_refused_and_so_is_a_mix_of_shops() {
    let folder = tempfile::tempdir().unwrap();
    assert!(write(&spec(0, 1), folder.path(), &|_, _| ()).is_err());
    write(&spec(1, 1), folder.path(), &|_, _| ()).unwrap();
    let later = chrono::NaiveDate::from_ymd_opt(2026, 12, 1).unwrap();
    let error =
        write(&ShopSpec { end: later, ..spec(1, 1) }, folder.path(), &|_, _| ()).unwrap_err();
    assert!(error.message().contains("events_2024-11.parquet"), "{error}");
}

#[test]
fn events_lie_in_their_day_in_order_and_after_the_sign_up() {
    let (shop, rows) = rows(&spec(2_000, 60_000));
    assert_eq!(rows.len(), 60_000);
    assert!(rows.is_sorted_by_key(|row| row.ts));
    let window = shop.calendar.start()..shop.calendar.end();
    assert!(rows.iter().all(|row| window.contains(&row.ts)));
    assert!(rows.iter().all(|row| row.ts > shop.crowd.signup(row.profile)));
    for (number, day) in shop.calendar.days.iter().enumerate() {
        assert!(shop.day(number).iter().all(|row| (day.start..day.start + DAY).contains(&row.ts)));
    }
}

#[test]
fn funnels_narrow_and_money_moves_only_where_it_should() {
    let (_, rows) = rows(&spec(5_000, 200_000));
    let steps = [
        Event::PageView,
        Event::ProductView,
        Event::AddToCart,
        Event::Checkout,
        Event::Purchase,
        Event::SupportTicket,
        Event::Refund,
    ];
    let counts = steps.map(|event| count(&rows, event));
    assert!(counts.is_sorted_by(|wide, narrow| wide > narrow), "{counts:?}");
    assert!(counts[6] > 0);
    let letters = [Event::EmailSent, Event::EmailOpen, Event::EmailClick];
    let letters = letters.map(|event| count(&rows, event));
    assert!(letters[0] > 2 * letters[1] && letters[1] > 3 * letters[2], "{letters:?}");
    let money = |row: &Row| matches!(row.event, Event::Purchase | Event::Refund);
    assert!(rows.iter().all(|row| (row.cents > 0) == money(row)));
    let share = counts[4] as f64 / rows.len() as f64;
    assert!((0.03..0.06).contains(&share), "{share}");
}

#[test]
fn a_tenth_of_the_profiles_does_half_of_everything() {
    let (_, rows) = rows(&spec(10_000, 200_000));
    let mut by_profile: HashMap<u32, usize> = HashMap::new();
    for row in &rows {
        *by_profile.entry(row.profile).or_default() += 1;
    }
    let mut counts: Vec<usize> = by_profile.into_values().collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let share = counts[..1_000].iter().sum::<usize>() as f64 / rows.len() as f64;
    assert!((0.4..0.75).contains(&share), "{share}");
    assert!(counts[0] < 2_000, "{}", counts[0]);
}

#[test]
fn every_refund_has_its_purchase() {
    let (_, rows) = rows(&spec(5_000, 400_000));
    let key = |row: &Row| (row.profile, row.product, row.cents);
    let mut bought: HashMap<_, i64> = HashMap::new();
    for row in &rows {
        match row.event {
            Event::Purchase => _ = bought.entry(key(row)).or_insert(row.ts),
            Event::Refund => assert!(bought.get(&key(row)).is_some_and(|ts| *ts < row.ts)),
            _ => (),
        }
    }
}

#[test]
fn columns_read_back_as_plain_types_and_identifiers_are_unique() {
    let folder = tempfile::tempdir().unwrap();
    let written = write(&spec(3_000, 30_000), folder.path(), &|_, _| ()).unwrap();
    let batches = read(&written.profiles_file);
    for name in ["user_id", "email", "phone"] {
        let columns = batches.iter().map(|batch| batch.column_by_name(name).unwrap());
        let mut seen: Vec<&str> =
            columns.flat_map(|c| c.as_string::<i32>().iter().flatten()).collect();
        let rows = seen.len();
        assert!(seen.iter().all(|text| text.to_lowercase() == *text && text.is_ascii()));
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), rows, "{name}");
    }
    for batch in read(&written.event_files[0]) {
        let ts = batch.column_by_name("ts").unwrap().as_primitive::<TimestampMicrosecondType>();
        assert!(ts.values().is_sorted());
        assert_eq!(ts.timezone(), Some("UTC"));
        let amount = batch.column_by_name("amount").unwrap().as_primitive::<Decimal128Type>();
        assert_eq!((amount.precision(), amount.scale()), (12, 2));
        let event = batch.column_by_name("event").unwrap().as_string::<i32>();
        assert!(
            (0..event.len())
                .all(|i| matches!(event.value(i), "purchase" | "refund") == amount.is_valid(i))
        );
    }
}
