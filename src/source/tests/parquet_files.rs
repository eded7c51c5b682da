//! Parquet files: types, unions, files that are none.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, DictionaryArray, Float64Array, Int32Array, Int64Array, StringArray,
    TimestampNanosecondArray, TimestampSecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Int32Type};
use arrow::record_batch::RecordBatch;

use super::super::Rejects;
use super::{Files, read, shown};

fn column(name: &str, array: impl Array + 'static) -> (String, ArrayRef) {
    (name.to_owned(), Arc::new(array))
}

#[test]
fn parquet_types_become_ours() {
    let dictionary: DictionaryArray<Int32Type> = vec!["a", "b", "a"].into_iter().collect();
    let batch = RecordBatch::try_from_iter([
        column("big", UInt64Array::from(vec![u64::MAX, 1, 2])),
        column("word", dictionary),
        column("naive", TimestampSecondArray::from(vec![1_711_848_600, 0, 1_000_000_000_000])),
        column("utc", TimestampNanosecondArray::from(vec![1, 1_001, -1]).with_timezone("+02:00")),
        column("_line", Int32Array::from(vec![7, 8, 9])),
    ])
    .unwrap();
    let files = Files::parquet(&[("a.parquet", batch)]);
    let table = files.open(&[("timezone", "Europe/Berlin")]).unwrap();
    let expected = "big decimal(20,0), word text, naive timestamp, utc timestamp, _line_2 int,
        a.parquet:2 1|b|1969-12-31T23:00:00Z|1970-01-01T00:00:00.000001Z|8
        ! a.parquet:1 column \"naive\": \"2024-03-31T01:30:00\" does not exist";
    let found = shown(&table);
    assert!(found.starts_with(expected.lines().next().unwrap()), "{found}");
    assert!(
        found.contains("a.parquet:2 1|b|1969-12-31T23:00:00Z|1970-01-01T00:00:00.000001Z|8"),
        "{found}"
    );
    assert!(found.contains("! a.parquet:3 ") && found.contains("years 1 to 9999"), "{found}");
    let (batch, _) = read(&table.with_dictionaries(), Some(&[1, 6]), 10);
    assert!(matches!(batch.column(0).data_type(), DataType::Dictionary(..)));
    assert_eq!(batch.num_rows(), 3);
}

#[test]
fn parquet_files_are_widened_or_named() {
    let of = |array: ArrayRef| RecordBatch::try_from_iter([("x", array)]).unwrap();
    let int: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    let long: ArrayRef = Arc::new(Int64Array::from(vec![1 << 40]));
    let float: ArrayRef = Arc::new(Float64Array::from(vec![2.0, 2.5]));
    let text: ArrayRef = Arc::new(StringArray::from(vec!["3", "x"]));
    let files = Files::parquet(&[("a.parquet", of(Arc::clone(&int))), ("b.parquet", of(long))]);
    assert_eq!(files.open(&[]).unwrap().schema().field(0).data_type(), &DataType::Int64);
    let files = Files::parquet(&[
        ("a.parquet", of(int)),
        ("b.parquet", of(text)),
        ("c.parquet", of(float)),
    ]);
    let error = files.error(&[]);
    assert_eq!(error.message(), "column \"x\" is int in a.parquet, text in b.parquet");
    let found = shown(&files.open(&[("types", "x int")]).unwrap());
    let expected = "x int, \na.parquet:1 1\nb.parquet:1 3\nc.parquet:1 2\n\
        ! b.parquet:2 column \"x\": \"x\" is no int <x>\n! c.parquet:2 column \"x\": \"2.5\" is no int <2.5>\n";
    assert_eq!(found, expected);
}

#[test]
fn what_is_no_parquet_is_named() {
    let message = |bytes: &[u8]| Files::of(&[("a.parquet", bytes)]).error(&[]).message().to_owned();
    assert_eq!(message(b"id,name\n1,2\n"), "a.parquet is no Parquet file");
    assert!(message(b"PAR1 and no more of it").contains("damaged or cut short"));
    assert_eq!(message(&[0x1f, 0x8b, 8, 0, 0]), "a.parquet is a compressed Parquet file");
}

#[test]
fn a_damaged_parquet_file_never_panics() {
    let ints: ArrayRef = Arc::new(Int64Array::from_iter_values(0..500));
    let texts: ArrayRef =
        Arc::new(StringArray::from_iter_values((0..500).map(|it| it.to_string())));
    let batch = RecordBatch::try_from_iter([("n", ints), ("t", texts)]).unwrap();
    let files = Files::parquet(&[("a.parquet", batch)]);
    let path = files.0.path().join("a.parquet");
    let whole = std::fs::read(&path).unwrap();
    for cut in [1, 3, 8, 9, 100, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
        let error = files.error(&[]);
        assert!(error.message().contains("a.parquet"), "{error}");
    }
    let mut torn = whole.clone();
    torn[40..400].fill(0xa5);
    std::fs::write(&path, &torn).unwrap();
    let rejects = Arc::new(Rejects::default());
    // Pages carry no checksums that we check: garbage may be read as other values.
    if let Ok(table) = files.open(&[]) {
        let batches = table.read(None, 100, rejects, Arc::default()).unwrap();
        assert!(batches.count() > 0);
    }
}
