//! Data sets as they are published, each with the counts that its publisher gives.

use std::path::{Path, PathBuf};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use arrow::record_batch::RecordBatch;

use super::super::types::timestamp;
use super::super::{SourceFile, SourceTable};
use super::{options, read};

/// The real data sets, beside the project where they are present.
fn real(path: &str) -> Option<SourceFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let places = ["../shared", "../../shared"].map(|it| root.join(it).join("data").join(path));
    let path: PathBuf = places.into_iter().find(|it| it.is_file())?;
    let size = path.metadata().unwrap().len();
    Some(SourceFile { shown: path.file_name()?.to_string_lossy().into_owned(), path, size })
}

fn real_table(path: &str, settings: &[(&str, &str)]) -> Option<RecordBatch> {
    let Some(file) = real(path) else {
        println!("skipped: {path} is not here");
        return None;
    };
    let table = SourceTable::open(vec![file], options(settings).unwrap()).unwrap();
    let (batch, rejects) = read(&table, None, 8192);
    assert_eq!(rejects, []);
    Some(batch)
}

fn sum(array: &ArrayRef) -> f64 {
    let floats = arrow::compute::cast(array, &DataType::Float64).unwrap();
    arrow::compute::sum(floats.as_primitive::<Float64Type>()).unwrap()
}

#[test]
fn online_retail_is_read_whole() {
    let columns =
        "InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice, CustomerID, Country";
    let path = "online_retail/online_retail.csv.gz";
    let Some(batch) = real_table(path, &[("columns", columns)]) else { return };
    assert_eq!(batch.num_rows(), 541_909);
    assert_eq!(batch.column(3).data_type(), &DataType::Int64);
    assert_eq!(batch.column(4).data_type(), &timestamp());
    assert_eq!(batch.column(6).data_type(), &DataType::Float64);
    assert_eq!(batch.column(6).null_count(), 135_080);
    assert!((sum(batch.column(3)) - 5_176_450.0).abs() < 1e-9);
    let quantity = batch.column(3).as_primitive::<Int64Type>();
    let price = batch.column(5).as_primitive::<Float64Type>();
    #[expect(clippy::cast_precision_loss, reason = "quantities are small")]
    let amount: f64 =
        quantity.values().iter().zip(price.values()).map(|(q, p)| *q as f64 * p).sum();
    assert!((amount - 9_747_747.934).abs() < 1e-3, "{amount}");
}

#[test]
fn bank_marketing_is_read_whole() {
    let Some(batch) = real_table("bank_marketing/bank-full.csv.gz", &[]) else { return };
    assert_eq!((batch.num_rows(), batch.num_columns()), (45_211, 19));
    let yes = batch.column(16).as_string::<i32>().iter().filter(|it| *it == Some("yes")).count();
    assert_eq!(yes, 5_289);
}

#[test]
fn cdnow_is_read_whole() {
    let path = "cdnow/CDNOW_master.txt";
    for settings in [[("times", "%Y%m%d")], [("types", "date date")]] {
        let Some(batch) = real_table(path, &settings) else { return };
        assert_eq!(batch.num_rows(), 69_659);
        assert_eq!(batch.column(0).data_type(), &DataType::Utf8);
        assert_eq!(batch.column(1).data_type(), &DataType::Date32);
        assert!((sum(batch.column(2)) - 167_881.0).abs() < 1e-9);
        assert!((sum(batch.column(3)) - 2_500_315.63).abs() < 1e-2);
    }
}
