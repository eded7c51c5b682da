//! Delimited text and NDJSON.

use std::fmt::Write as _;
use std::io::Write as _;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;

use super::{Files, check, read};

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
    text.push_str("abc,y\n7.0,z\n99999999999999999999,w\n007,v\n");
    let files = Files::of(&[("a.csv", text.as_bytes())]);
    let table = files.open(&[]).unwrap();
    let (batch, rejects) = read(&table, None, 8192);
    assert_eq!(batch.num_rows(), 20_001);
    assert_eq!(rejects[0].reason, "column \"n\": \"abc\" is no integer; declare types: n text");
    assert_eq!((rejects[0].line, rejects[1].line), (20_002, 20_004));
    assert!(rejects[2].reason.contains("\"007\" has a leading zero"), "{}", rejects[2].reason);
    // The row is a reject whichever columns are asked for.
    let (batch, rejects) = read(&table, Some(&[3, 1]), 8192);
    assert_eq!((batch.num_rows(), rejects.len()), (20_001, 3));
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
