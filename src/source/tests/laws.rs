//! What holds for any file of text.

use arrow::array::AsArray;
use proptest::prelude::*;

use super::{Files, read};

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

/// Bytes that mean something to one reader or another.
fn hostile_bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        &b"a"[..],
        b"1",
        b"-2.5",
        b"2024-01-01",
        b"T10:00",
        b",",
        b";",
        b"\t",
        b" ",
        b"\"",
        b"\n",
        b"\r",
        b"\xff",
        "\u{feff}".as_bytes(),
        b"{\"a\":",
        b"}",
        b"[",
        b"]",
        b"null",
        b":",
        b"true",
        b"\\u00",
        b"\0",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]
    #[test]
    fn no_text_panics_and_no_projection_changes_the_rows(
        bytes in hostile_bytes(),
        name in prop::sample::select(vec!["a.csv", "a.json", "a"]),
        types in prop::sample::select(vec!["", "a text", "a bigint", "a timestamp"]),
    ) {
        let files = Files::of(&[(name, &bytes)]);
        let declared = [("types", types)];
        let settings = if types.is_empty() { &[][..] } else { &declared };
        let Ok(table) = files.open(settings) else { return Ok(()) };
        let (all, rejects) = read(&table, None, 3);
        let line = all.num_columns() - 1;
        let (lines, again) = read(&table, Some(&[line]), 7);
        prop_assert_eq!(all.column(line), lines.column(0));
        prop_assert_eq!(rejects, again);
    }
}
