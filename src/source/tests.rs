//! Files as users have them, read whole: what comes out, what is rejected and why.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Float64Array, Int32Array, Int64Array, StringArray,
    TimestampNanosecondArray, TimestampSecondArray, UInt64Array,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;

use super::{Progress, ReadOptions, Reject, Rejects, SourceFile, SourceTable, resolve};
use crate::error::{Error, Result};

/// A folder of files to read.
struct Files(tempfile::TempDir);

impl Files {
    fn of(files: &[(&str, &[u8])]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            std::fs::write(dir.path().join(name), bytes).unwrap();
        }
        Self(dir)
    }

    fn parquet(files: &[(&str, RecordBatch)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, batch) in files {
            let file = std::fs::File::create(dir.path().join(name)).unwrap();
            let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
            writer.write(batch).unwrap();
            writer.close().unwrap();
        }
        Self(dir)
    }

    fn open(&self, settings: &[(&str, &str)]) -> Result<SourceTable> {
        SourceTable::open(resolve("*", self.0.path())?, options(settings)?)
    }

    fn error(&self, settings: &[(&str, &str)]) -> Error {
        self.open(settings).unwrap_err()
    }
}

fn options(settings: &[(&str, &str)]) -> Result<ReadOptions> {
    let mut options = ReadOptions::default();
    for (key, value) in settings {
        assert!(options.set(key, value)?, "{key}");
    }
    Ok(options)
}

fn read(
    table: &SourceTable,
    projection: Option<&[usize]>,
    batch_rows: usize,
) -> (RecordBatch, Vec<Reject>) {
    let (rejects, progress) = (Arc::new(Rejects::new(1000)), Arc::new(Progress::default()));
    let batches =
        table.read(projection, batch_rows, Arc::clone(&rejects), Arc::clone(&progress)).unwrap();
    let batches: Vec<RecordBatch> = batches.collect::<Result<_>>().unwrap();
    assert!(batches.iter().all(|batch| batch.num_rows() <= batch_rows));
    let schema = table.schema();
    let schema =
        projection.map_or_else(|| Arc::clone(schema), |it| Arc::new(schema.project(it).unwrap()));
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(progress.rows(), rows as u64);
    assert_eq!(progress.bytes(), table.files().iter().map(|file| file.size).sum::<u64>());
    (concat_batches(&schema, &batches).unwrap(), rejects.take_kept())
}

/// The table as text: a line of names and types, a line a row, a line a reject.
fn shown(table: &SourceTable) -> String {
    let (batch, rejects) = read(table, None, 2);
    let mut out = String::new();
    let user = batch.num_columns() - 2;
    for field in &batch.schema().fields()[..user] {
        let name = super::types::type_name(field.data_type());
        write!(out, "{} {name}, ", field.name()).unwrap();
    }
    out.push('\n');
    let options = FormatOptions::new().with_null("-");
    for row in 0..batch.num_rows() {
        let cell = |at: usize| {
            ArrayFormatter::try_new(batch.column(at), &options).unwrap().value(row).to_string()
        };
        let cells: Vec<String> = (0..user).map(cell).collect();
        writeln!(out, "{}:{} {}", cell(user), cell(user + 1), cells.join("|")).unwrap();
    }
    for reject in rejects {
        writeln!(out, "! {}:{} {} <{}>", reject.file, reject.line, reject.reason, reject.text)
            .unwrap();
    }
    out
}

fn check(files: &[(&str, &[u8])], settings: &[(&str, &str)], expected: &str) {
    let table = Files::of(files);
    let found = shown(&table.open(settings).unwrap());
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|it| !it.is_empty()).collect();
    assert_eq!(found.lines().map(str::trim).collect::<Vec<_>>(), expected);
}

#[test]
fn a_csv_file_is_typed_and_its_misfits_rejected() {
    let text = "id,name,paid,born,seen,ok\r\n\
        1,\"Ada, \"\"the\"\" first\",1.5,1815-12-10,2024-01-01T10:00:00Z,true\r\n\
        \r\n\
        2,\"two\r\nlines\",,,2024-01-01 10:00,FALSE\r\n\
        3,x,2\r\n\
        4,\"torn,1,2024-01-01,2024-01-01,true\r\n";
    let expected = "id bigint, name text, paid double, born date, seen timestamp, ok bool,
        a.csv:2 1|Ada, \"the\" first|1.5|1815-12-10|2024-01-01T10:00:00Z|true
        a.csv:4 2|two
        lines|-|-|2024-01-01T10:00:00Z|false
        ! a.csv:6 expected 6 fields, found 3 <3,x,2>
        ! a.csv:7 a quote opens here and is never closed <4,\"torn,1,2024-01-01,2024-01-01,true>";
    check(&[("a.csv", text.as_bytes())], &[], expected);
}

#[test]
fn values_beyond_the_sample_that_do_not_fit_are_rejects() {
    let mut text = "n,t\n".to_owned();
    for row in 0..20_000 {
        writeln!(text, "{row},x").unwrap();
    }
    text.push_str("abc,y\n7.0,z\n99999999999999999999,w\n");
    let files = Files::of(&[("a.csv", text.as_bytes())]);
    let table = files.open(&[]).unwrap();
    let (batch, rejects) = read(&table, None, 8192);
    assert_eq!(batch.num_rows(), 20_001);
    assert_eq!(rejects[0].reason, "column \"n\": \"abc\" is no integer; declare types: n text");
    assert_eq!((rejects[0].line, rejects[1].line), (20_002, 20_004));
    // The row is a reject whichever columns are asked for.
    let (batch, rejects) = read(&table, Some(&[3, 1]), 8192);
    assert_eq!((batch.num_rows(), rejects.len()), (20_001, 2));
    assert_eq!(batch.column(0).as_primitive::<Int64Type>().value(20_000), 20_003);
    assert_eq!(read(&table, Some(&[]), 8192).0.num_rows(), 20_001);
}

#[test]
fn declared_types_and_marks_are_kept_to() {
    let text = "kunde;betrag;tag;zeit\n\
        00017850,\"1.234,56\";31.12.2023;2024-03-31 02:30\n";
    let text = text.replace("00017850,\"1.234,56\"", "17850.0;1.234,56");
    let text = format!("{text}8;1,5;01.01.2024;2024-03-31 03:30\n9;x;20240102;2024-03-31 03:30\n");
    check(
        &[("a.csv", text.as_bytes())],
        &[
            ("decimal", "comma"),
            ("timezone", "Europe/Berlin"),
            ("times", "%d.%m.%Y"),
            ("types", "kunde text, betrag decimal(12,2), tag date, zeit timestamp"),
        ],
        "kunde text, betrag decimal(12,2), tag date, zeit timestamp,
        a.csv:3 8|1.50|2024-01-01|2024-03-31T01:30:00Z
        ! a.csv:2 column \"zeit\": \"2024-03-31 02:30\" does not exist in Europe/Berlin, where clocks went forward then <17850.0;1.234,56;31.12.2023;2024-03-31 02:30>
        ! a.csv:4 column \"betrag\": \"x\" is no decimal(12,2) <9;x;20240102;2024-03-31 03:30>",
    );
    check(
        &[("a.csv", b"id,zip\n17850.0,01234\n1.5,1\n")],
        &[("types", "ID bigint")],
        "id bigint, zip text,
        a.csv:2 17850|01234
        ! a.csv:3 column \"id\": \"1.5\" is no integer <1.5,1>",
    );
}

#[test]
fn encodings_are_read_or_named() {
    let latin = b"id,Ort\n1,K\xf6ln\n2,Bonn\n";
    check(
        &[("a.csv", latin)],
        &[],
        "id bigint, Ort text,
        a.csv:3 2|Bonn
        ! a.csv:2 invalid UTF-8 in field \"Ort\"; the file may be latin1: encoding: windows-1252 <1,K\u{fffd}ln>",
    );
    check(
        &[("a.csv", latin)],
        &[("encoding", "latin1")],
        "id bigint, Ort text,\na.csv:2 1|Köln\na.csv:3 2|Bonn",
    );
    let utf16: Vec<u8> =
        "\u{feff}id\tOrt\r\n1\tKöln\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    check(&[("a.txt", &utf16)], &[], "id bigint, Ort text,\na.txt:2 1|Köln");
}

#[test]
fn files_with_different_columns_are_one_table() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"id,b\n1,x\n").unwrap();
    let zstd = zstd::encode_all(&b"b;c;id\ny;2024-01-01;2.5\n"[..], 1).unwrap();
    let files: &[(&str, &[u8])] =
        &[("1.csv.gz", &gzip.finish().unwrap()), ("2.csv.zst", &zstd), ("3.csv", b"")];
    check(
        files,
        &[],
        "id double, b text, c date,
        1.csv.gz:2 1.0|x|-
        2.csv.zst:2 2.5|y|2024-01-01",
    );
    let table = Files::of(files);
    let all = table.open(&[]).unwrap();
    let some = all.with_files(all.files()[1..].to_vec());
    assert_eq!((read(&some, None, 10).0.num_rows(), some.schema()), (1, all.schema()));
}

#[test]
fn files_without_rows() {
    check(&[("a.csv", b"id,name\n")], &[], "id text, name text,");
    check(&[("a.csv", b"")], &[("columns", "id, name")], "id text, name text,");
    let error = Files::of(&[("a.csv", b"")]).error(&[]);
    assert_eq!(error.message(), "a.csv is empty: nothing tells its columns");
    let error = Files::of(&[("a.csv", b"id,name\n")]).error(&[("types", "nmae text")]);
    assert_eq!(error.hints(), ["did you mean \"name\"?"]);
    let error = Files::of(&[("a.csv", b"x\n"), ("b.json", b"{}")]).error(&[]);
    assert_eq!(error.message(), "a.csv is CSV, b.json is NDJSON");
}

#[test]
fn ndjson_is_flattened_and_typed() {
    let text = r#"{"id": 1, "at": "2024-01-01T10:00:00+02:00", "who": {"name": "Ada", "geo": {"zip": "01"}}, "tags": ["a", "b"], "any": 1}
        {"id": 2, "score": 1.5, "who": null, "tags": [], "any": {"x": [1, null]}, "new": true}
        {"id": "3", "at": "", "who": {"name": ""}}

        {"id": 4.5}
        {"id": 5,
        [1]"#;
    check(
        &[("a.ndjson", text.as_bytes())],
        &[("types", "id bigint")],
        "id bigint, at timestamp, who_name text, who_geo_zip text, tags List(Utf8), any text, score double, new bool,
        a.ndjson:1 1|2024-01-01T08:00:00Z|Ada|01|[a, b]|1|-|-
        a.ndjson:2 2|-|-|-|[]|{\"x\":[1,null]}|1.5|true
        a.ndjson:3 3|-||-|-|-|-|-
        ! a.ndjson:5 column \"id\": \"4.5\" is no integer <        {\"id\": 4.5}>
        ! a.ndjson:6 no JSON: EOF while parsing a value at column 17 <        {\"id\": 5,>
        ! a.ndjson:7 the line is no JSON object <        [1]>",
    );
    let misfits = br#"{"a": 1, "b": {"c": 1}}
        {"a": 1, "a": 2}
        {"b": 3}
        {"a": [1]}"#;
    check(
        &[("a.json", misfits)],
        &[("types", "a bigint")],
        "a bigint, b text,
        a.json:1 1|{\"c\":1}
        a.json:3 -|3
        ! a.json:2 key \"a\" appears twice <        {\"a\": 1, \"a\": 2}>
        ! a.json:4 column \"a\": a list where a single value is expected <        {\"a\": [1]}>",
    );
    let mut long = "{\"a\": {\"b\": 1}}\n".repeat(20_000);
    long.push_str("{\"a\": 5, \"c\": 1}\n{\"a\": null}\n{\"a\": {\"b\": [}}\n");
    let table = Files::of(&[("a.json", long.as_bytes())]);
    let (batch, rejects) = read(&table.open(&[]).unwrap(), None, 8192);
    assert_eq!((batch.num_rows(), rejects.len()), (20_001, 2));
    assert_eq!(rejects[0].reason, "key \"a\" holds no object; declare types: a text");
    assert_eq!(rejects[1].reason, "no JSON: expected value at column 14");
    let error = Files::of(&[("a.json", b"[\n{\"a\":1}\n]")]).error(&[]);
    assert_eq!(error.message(), "a.json is a JSON array, not an object a line");
    check(
        &[("a.json", br#"{"ts": 1700000000123, "o": {"a": 1}}"#)],
        &[("types", "ts timestamp, o text, later int"), ("times", "epoch_ms")],
        "ts timestamp, o text, later int,\na.json:1 2023-11-14T22:13:20.123Z|{\"a\":1}|-",
    );
}

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

proptest! {
    #[test]
    fn tables_written_by_the_csv_crate_come_back(
        width in 1_usize..5,
        cells in prop::collection::vec("[a-c ,;\"\r\n'ä\t]{0,6}", 0..60),
        batch_rows in 1_usize..7,
    ) {
        let names: Vec<String> = (0..width).map(|at| format!("c{at}")).collect();
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(&names).unwrap();
        let rows: Vec<&[String]> = cells.chunks_exact(width).collect();
        for row in &rows {
            writer.write_record(*row).unwrap();
        }
        let files = Files::of(&[("a.csv", &writer.into_inner().unwrap())]);
        let (batch, rejects) = read(&files.open(&[("delimiter", ",")]).unwrap(), None, batch_rows);
        prop_assert_eq!((batch.num_rows(), rejects), (rows.len(), vec![]));
        for at in 0..width {
            let column = batch.column(at).as_string::<i32>();
            for (value, row) in column.iter().zip(&rows) {
                prop_assert_eq!(value.unwrap_or_default(), &row[at]);
            }
        }
    }
}

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
    assert_eq!(batch.column(4).data_type(), &super::types::timestamp());
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
