//! The engines' own formats: known bytes, the vectors beside the project, ranges, hostile bytes, fuzz.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

use super::tests::{any_damage, bytes_of, damaged, vectors};
use super::*;
use crate::error::ErrorKind;
use crate::membership::numbers::tests::any_numbers;

/// The numbers of `ids`.
fn numbers(ids: impl IntoIterator<Item = u64>) -> Numbers {
    ids.into_iter().collect()
}

/// The bytes of a text format without its line break, or of any other as hexadecimal digits.
fn shown(bytes: &[u8], format: Format) -> String {
    if format.is_text() {
        String::from_utf8(bytes.to_vec()).expect("text")
    } else {
        text::to_hex(bytes)
    }
}

#[track_caller]
fn is_spelled(ids: &[u64], format: Format, spelling: &str) {
    let set = numbers(ids.iter().copied());
    let bytes = encode_numbers(&set, format).expect("in range");
    assert_eq!(shown(&bytes, format), spelling, "{format}");
    assert_eq!(decode_numbers(&bytes, format).expect("its own bytes"), set, "{format}");
}

#[track_caller]
fn refuses(bytes: &[u8], format: Format, message: &str) {
    let error = decode_numbers(bytes, format).expect_err(message);
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.message().contains(message), "expected \"{message}\", found \"{error}\"");
}

#[test]
fn the_empty_set_has_the_spelling_of_each_engine() {
    for (format, spelling) in [
        (Format::Roaring, "3a30000000000000"),
        (Format::Roaring64, "0000000000000000"),
        (Format::ClickHouse, "0000"),
        (Format::ClickHouse64, "0000"),
        (
            Format::ClickHouseSql,
            "SELECT CAST(unhex('0000'), 'AggregateFunction(groupBitmap, UInt32)')\n",
        ),
        (
            Format::ClickHouse64Sql,
            "SELECT CAST(unhex('0000'), 'AggregateFunction(groupBitmap, UInt64)')\n",
        ),
        (Format::StarRocks, "AA==\n"),
        (Format::Postgres, "\\\\x3a30000000000000\n"),
        (Format::Postgres64, "\\\\x0000000000000000\n"),
        (Format::Elasticsearch, "OjAAAAAAAAA=\n"),
        (Format::Elasticsearch64, "AAAAAAAAAAA=\n"),
        (Format::Druid, ""),
        (Format::Pinot, "AA==\n"),
        (Format::Databricks, "bucket,bitmap\n"),
        (Format::MatrixOne, "bucket,bitmap\n"),
    ] {
        is_spelled(&[], format, spelling);
    }
}

#[test]
fn small_sets_have_known_bytes() {
    is_spelled(&[1, 10, 100], Format::ClickHouse, "0003010000000a00000064000000");
    is_spelled(&[1, 1 << 32], Format::ClickHouse64, "000201000000000000000000000001000000");
    is_spelled(&[7], Format::StarRocks, "AQcAAAA=\n");
    is_spelled(&[1 << 32], Format::StarRocks, "AwAAAAABAAAA\n");
    is_spelled(&[1], Format::Postgres, "\\\\x3a3000000100000000000000100000000100\n");
    is_spelled(&[1], Format::Pinot, "ATowAAABAAAAAAAAABAAAAABAA==\n");
}

#[test]
fn a_state_of_clickhouse_is_a_bitmap_from_33_members() {
    let state = |members: u64| encode_numbers(&numbers(0..members), Format::ClickHouse);
    assert_eq!(state(32).expect("in range").len(), 2 + 32 * 4);
    let bytes = state(33).expect("in range");
    assert_eq!(text::to_hex(&bytes), "010f3b3000000100002000010000002000");
    // Kind 1 with fewer members is what its engine may write too.
    let small = bytes_of("0112 3a3000000100000000000000100000000100");
    assert_eq!(decode_numbers(&small, Format::ClickHouse).expect("a state"), numbers([1]));
}

#[test]
fn buckets_are_numbered_as_their_engine_does() {
    let first_bytes = |format, ids: &[u64]| {
        let bytes = encode_numbers(&numbers(ids.iter().copied()), format).expect("in range");
        let text = String::from_utf8(bytes).expect("text");
        let short = |line: &str| {
            let (bucket, bits) = line.split_once(',').expect("two fields");
            assert_eq!(bits.len(), 8_192);
            format!("{bucket}:{}", bits.trim_end_matches('0'))
        };
        text.lines().skip(1).map(short).collect::<Vec<_>>()
    };
    // Databricks: 1 is (1, 0), 32768 is (1, 32767), 32769 is (2, 0), 0 is (0, 0).
    let found = first_bytes(Format::Databricks, &[0, 1, 4, 32_769]);
    assert_eq!(found, ["0:01", "1:09", "2:01"]);
    // MatrixOne: 0 is (0, 0), 32767 is (0, 32767), 32768 is (1, 0).
    let found = first_bytes(Format::MatrixOne, &[1, 3, 7, 15, 31, 32_768]);
    assert_eq!(found, ["0:8a80008", "1:01"]);
}

#[test]
fn ids_out_of_range_are_refused_and_never_cut() {
    for format in Format::ALL {
        let max = format.id_max();
        let bytes = encode_numbers(&numbers([max]), format).expect("the largest");
        assert_eq!(decode_numbers(&bytes, format).expect("its own bytes"), numbers([max]));
        if let Some(above) = max.checked_add(1) {
            let error = encode_numbers(&numbers([3, above]), format).expect_err("too large");
            assert!(error.message().contains(&format!("id {above} is too large")), "{error}");
            assert_eq!(error.hints().len(), 1);
        }
    }
    let sparse = numbers((0..65_537).map(|i| i * 32_768));
    let error = encode_numbers(&sparse, Format::MatrixOne).expect_err("too many buckets");
    assert_eq!(error.kind(), ErrorKind::Limit);
}

#[test]
fn states_of_clickhouse_are_checked() {
    for (hex, message) in [
        ("", "its kind: 1 bytes expected, 0 are left"),
        ("02", "kind 2"),
        ("0021", "33 values announced"),
        ("000101", "a value: 4 bytes expected, 1 are left"),
        ("00020100000001000000", "value 1 twice"),
        ("000001", "1 bytes follow its end"),
        ("008000", "spelled with a zero at its end"),
        ("00ffffffffffffffffff7f", "takes more than 64 bits"),
        ("01093a30000000000000", "9 bytes announced, 8 are left"),
        ("01083a3000000000000000", "8 bytes announced, 9 are left"),
        ("0108 3a30000001000000", "the keys of the containers"),
        ("01ffffffff0f", "4294967295 bytes announced, 0 are left"),
    ] {
        refuses(&bytes_of(hex), Format::ClickHouse, message);
    }
    let wide = "01 10 0100000000000000 010000003a300000";
    refuses(&bytes_of(wide), Format::ClickHouse64, "a ClickHouse bitmap state");
    let other = encode_numbers(&numbers([1]), Format::ClickHouse64Sql).expect("in range");
    refuses(&other, Format::ClickHouseSql, "UInt32");
}

#[test]
fn values_of_starrocks_are_checked() {
    for (hex, message) in [
        ("", "its type code"),
        ("0001", "1 bytes follow its end"),
        ("0101", "its value: 4 bytes expected, 1 are left"),
        ("0203", "the cookie"),
        ("04ffffffffff7f", "buckets announced"),
        ("0402 000000003a30000000000000 000000003a30000000000000", "bucket 0 does not ascend"),
        ("0c00", "type code 12 is an engine's own"),
        ("0d00", "type code 13 is an engine's own"),
        ("09", "type code 9 is unknown"),
        ("0502 0100000000000000 0100000000000000", "value 1 twice"),
        ("0affffffff", "a value: 8 bytes expected"),
    ] {
        let text = text::to_base64(&bytes_of(hex));
        refuses(text.as_bytes(), Format::StarRocks, message);
    }
    refuses(b"AA=", Format::StarRocks, "not base64");
    for hex in ["0501 0500000000000000", "0a01000000 0500000000000000"] {
        let text = text::to_base64(&bytes_of(hex));
        let read = decode_numbers(text.as_bytes(), Format::StarRocks);
        assert_eq!(read.expect("a set"), numbers([5]));
    }
}

#[test]
fn the_other_texts_are_checked() {
    refuses(
        b"\\\\x3a30000000000000\n\\\\x3a30000000000000\n",
        Format::Postgres,
        "more than one row",
    );
    refuses(b"3a30000000000000\n", Format::Postgres, "no \\x");
    refuses(b"\\\\x3a3000000000000\n", Format::Postgres, "15 hexadecimal digits");
    let named = b"vip\t\\\\x3a3000000100000000000000100000000100\n";
    assert_eq!(decode_numbers(named, Format::Postgres).expect("a row"), numbers([1]));
    let shown = b"\\x3a30000000000000";
    assert_eq!(decode_numbers(shown, Format::Postgres).expect("a value"), numbers([]));

    refuses(b"Ag==", Format::Pinot, "Java's own layout");
    refuses(b"Aw==", Format::Pinot, "bloom filter");
    refuses(b"BA==", Format::Pinot, "type 4 is unknown");
    refuses(b"AAA=", Format::Pinot, "1 bytes follow its end");

    let too_long = format!("bucket,bitmap\n0,{}\n", "00".repeat(4_097));
    for (text, message) in [
        ("", "line 1: bucket,bitmap expected"),
        ("bucket,bitmap\n0", "line 2: no comma"),
        ("bucket,bitmap\n+1,01\n", "line 2: \"+1\" is no bucket"),
        ("bucket,bitmap\n1,01\n1,01\n", "line 3: bucket 1 does not ascend"),
        ("bucket,bitmap\n1,0g\n", "line 2: no hexadecimal digits at 0"),
        ("bucket,bitmap\n0,02\n", "bit 1 of bucket 0 is no id"),
        ("bucket,bitmap\n18446744073709551615,01\n", "is no id"),
        (&too_long, "4097 bytes"),
    ] {
        refuses(text.as_bytes(), Format::Databricks, message);
    }
}

/// Checks every line of a file of vectors; says so where it is not there.
fn each_vector(file: &str, check: impl Fn(&Value)) {
    let Some(folder) = vectors() else {
        println!("skipped: no ../shared/formats beside the project");
        return;
    };
    let text = std::fs::read_to_string(folder.join(file)).expect(file);
    let mut found = 0;
    for line in text.lines() {
        check(&serde_json::from_str(line).expect("a line of JSON"));
        found += 1;
    }
    assert!(found > 0, "{file} is empty");
}

fn ids_of(value: &Value) -> Numbers {
    let ids = value.as_array().expect("a list of ids");
    ids.iter().map(|id| id.as_u64().expect("an id")).collect()
}

#[test]
fn the_vectors_of_starrocks_and_doris_hold_what_they_should() {
    let check = |vector: &Value| {
        let bytes = bytes_of(vector["hex"].as_str().expect("hex"));
        let expected = ids_of(&vector["expected"]);
        assert_eq!(starrocks::decode_value(&bytes).expect("a value"), expected, "{vector}");
        // StarRocks makes no runs; where Doris does, theirs and ours are the same bytes.
        if let Some(base64) = vector["base64"].as_str() {
            let ours = encode_numbers(&expected, Format::StarRocks).expect("in range");
            assert_eq!(ours.trim_ascii(), base64.as_bytes());
        }
    };
    each_vector("starrocks_bitmap_binary.jsonl", check);
    each_vector("doris_bitmap_base64.jsonl", check);
}

#[test]
fn the_vectors_of_pg_roaringbitmap_hold_what_they_should() {
    each_vector("pg_roaringbitmap32.jsonl", |vector| {
        let text = format!("\\\\x{}\n", vector["hex"].as_str().expect("hex"));
        let decoded = decode_numbers(text.as_bytes(), Format::Postgres);
        if vector["strict"] == "reject" {
            assert!(decoded.expect_err("hostile").message().contains("offset"), "{vector}");
            return;
        }
        let decoded = decoded.expect("a bitmap");
        assert_eq!(decoded, ids_of(&vector["values"]), "{vector}");
        let ours = encode_numbers(&decoded, Format::Postgres).expect("in range");
        assert_eq!(String::from_utf8_lossy(&ours), text, "{vector}");
    });
}

#[test]
fn the_vectors_of_databricks_hold_what_they_should() {
    each_vector("databricks_bitmap_bucket.jsonl", |vector| {
        let digits = vector["hex_trimmed"].as_str().expect("hex");
        let text = format!("bucket,bitmap\n1,{digits}\n");
        let decoded = decode_numbers(text.as_bytes(), Format::Databricks).expect("a bucket");
        // Position p of bucket 1 is id p + 1.
        let positions = ids_of(&vector["positions"]);
        let expected: Numbers = positions.iter().map(|position| position + 1).collect();
        assert_eq!(decoded, expected, "{vector}");
        let ours = encode_numbers(&decoded, Format::Databricks).expect("in range");
        let padded = format!("bucket,bitmap\n1,{:0<8192}\n", digits.to_lowercase());
        assert_eq!(String::from_utf8_lossy(&ours), padded, "{vector}");
    });
}

/// Whatever decodes is a set like any other: its own bytes give it back, twice the same.
fn check_if_it_decodes(bytes: &[u8], format: Format) {
    let Ok(numbers) = decode_numbers(bytes, format) else { return };
    let Ok(again) = encode_numbers(&numbers, format) else {
        assert!(numbers.max() > Some(format.id_max()), "{format}");
        return;
    };
    let copy = decode_numbers(&again, format).expect("own bytes");
    assert_eq!(copy, numbers);
    assert_eq!(encode_numbers(&copy, format).expect("in range"), again);
    assert_eq!(numbers.iter().collect::<Numbers>(), numbers);
}

/// A set that every format holds, with an array and, behind a gap, a run.
fn small_set() -> Numbers {
    numbers([1, 10, 100].into_iter().chain(70_000..70_060))
}

#[test]
fn every_cut_of_every_format_is_refused_or_leaves_fewer_members() {
    let set = small_set();
    for format in Format::ALL {
        let bytes = encode_numbers(&set, format).expect("every format holds it");
        for end in 0..bytes.len() {
            // Only text can be cut and still be some: line breaks, lines, and zeros of buckets.
            let Ok(found) = decode_numbers(&bytes[..end], format) else { continue };
            let cut = String::from_utf8_lossy(&bytes[end..]);
            assert!(found.iter().all(|id| set.iter().any(|known| known == id)), "{format}: {cut}");
            let is_lines = matches!(format, Format::Databricks | Format::MatrixOne);
            let may_be_empty = format == Format::Druid && end == 0;
            assert!(is_lines || may_be_empty || cut == "\n", "{format} cut at {end}");
        }
    }
}

#[test]
fn every_flipped_bit_of_every_format_is_refused_or_gives_a_set() {
    for format in Format::ALL {
        let bytes = encode_numbers(&small_set(), format).expect("every format holds it");
        for bit in 0..8 * bytes.len().min(400) {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            check_if_it_decodes(&damaged, format);
        }
    }
}

#[test]
fn lengths_without_measure_are_refused_before_anything_is_allocated() {
    // A length, count or size anywhere becomes the largest there is; all of these would take
    // gigabytes if they were believed.
    for format in Format::ALL {
        let bytes = encode_numbers(&small_set(), format).expect("every format holds it");
        let is_text = bytes.is_ascii();
        let binary = if is_text { text::from_base64(&bytes).unwrap_or_default() } else { bytes };
        for at in 0..binary.len().min(64) {
            for wide in [2, 4, 8] {
                let mut damaged = binary.clone();
                damaged.iter_mut().skip(at).take(wide).for_each(|byte| *byte = 0xFF);
                let again = text::to_base64(&damaged).into_bytes();
                check_if_it_decodes(if is_text { &again } else { &damaged }, format);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_set_survives_the_bytes_of_every_engine(set in any_numbers()) {
        let all = numbers(set.iter().copied());
        for format in Format::ALL {
            match encode_numbers(&all, format) {
                Ok(bytes) => {
                    prop_assert!(all.max() <= Some(format.id_max()));
                    prop_assert_eq!(decode_numbers(&bytes, format)?, all.clone());
                }
                Err(_) => prop_assert!(all.max() > Some(format.id_max())),
            }
        }
        let low: Numbers = set.into_iter().filter(|id| *id < 1 << 31).collect();
        let membership = low.to_membership()?;
        for format in Format::ALL {
            let bytes = encode(&membership, format);
            prop_assert_eq!(&encode_numbers(&low, format)?, &bytes);
            prop_assert_eq!(decode(&bytes, format)?, membership.clone());
        }
    }

    #[test]
    fn damaged_bytes_of_an_engine_never_panic(
        ids in vec(prop_oneof![0..40_u64, 65_530..65_600_u64, 1_u64 << 32..(1_u64 << 32) + 90], 0..60),
        damage in vec((any::<prop::sample::Index>(), any_damage()), 1..4),
    ) {
        for format in Format::ALL {
            let Ok(bytes) = encode_numbers(&numbers(ids.iter().copied()), format) else { continue };
            check_if_it_decodes(&damaged(bytes, damage.clone()), format);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn random_payloads_of_an_engine_never_panic(
        head in prop_oneof![Just(vec![]), Just(vec![0_u8]), Just(vec![1]), Just(vec![4, 1]), Just(vec![10])],
        tail in vec(prop_oneof![any::<u8>(), 0..3_u8, Just(0x3A), Just(0x3B), Just(0x30)], 0..60),
    ) {
        let bytes = [head, tail].concat();
        let base64 = text::to_base64(&bytes).into_bytes();
        for format in Format::ALL {
            check_if_it_decodes(&bytes, format);
            check_if_it_decodes(&base64, format);
        }
    }
}
