//! Known bytes, the specification's files, every trap that other readers fall into, and fuzz.

use std::path::{Path, PathBuf};

use proptest::collection::vec;
use proptest::prelude::*;

use super::check::Extent;
use super::*;
use crate::error::ErrorKind;
use crate::membership::set::tests::{any_set, members};
use crate::model::ProfileId;

const FORMATS: [Format; 2] = [Format::Roaring, Format::Roaring64];

pub(super) fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(|c| !c.is_whitespace()).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16);
    digits.chunks(2).map(|pair| byte(pair).expect("hex")).collect()
}

/// `bytes` with the 16-bit number at `at` replaced.
fn with_u16(bytes: &[u8], at: usize, number: u16) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + 2].copy_from_slice(&number.to_le_bytes());
    bytes
}

fn refuses(bytes: &[u8], format: Format, message: &str) {
    let error = decode(bytes, format).expect_err(message);
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.message().contains(message), "expected \"{message}\", found \"{error}\"");
}

#[test]
fn known_sets_have_known_bytes() {
    for (ids, hex) in [
        (vec![], "3A30000000000000"),
        (vec![1, 10, 100], "3a300000 01000000 0000 0200 10000000 0100 0a00 6400"),
        ((0..1_000).collect(), "3b300000 01 0000 e703 0100 0000 e703"),
        ((0..65_537).collect(), "3b300100 01 0000 ffff 0100 0000 0100 0000 ffff 0000"),
    ] {
        let membership = members(ids);
        let bytes = bytes_of(hex);
        assert_eq!(encode(&membership, Format::Roaring), bytes);
        assert_eq!(decode(&bytes, Format::Roaring).expect(hex), membership);

        let mut bytes64 = u64::from(!membership.is_empty()).to_le_bytes().to_vec();
        if !membership.is_empty() {
            bytes64.extend([0; 4].iter().chain(&bytes));
        }
        assert_eq!(encode(&membership, Format::Roaring64), bytes64);
        assert_eq!(decode(&bytes64, Format::Roaring64).expect(hex), membership);
    }
}

#[test]
fn a_tie_between_run_and_array_has_one_spelling() {
    // {1, 2, 3} takes 6 bytes either way, and `optimize` keeps either as it is.
    let as_run = bytes_of("3b300000 01 0000 0200 0100 0100 0200");
    let from_run = decode(&as_run, Format::Roaring).expect("a run");
    let from_ids = members([1, 2, 3]);
    assert_eq!(from_run, from_ids);
    assert_eq!(encode(&from_run, Format::Roaring), encode(&from_ids, Format::Roaring));
    assert_ne!(encode(&from_run, Format::Roaring), as_run);
}

#[test]
fn empty_buckets_are_read_and_not_written() {
    let gap = bytes_of("0200000000000000 00000000 3A30000000000000 07000000 3A30000000000000");
    assert_eq!(decode(&gap, Format::Roaring64).expect("two empty buckets"), Membership::new());
    let mut bytes = 2_u64.to_le_bytes().to_vec();
    bytes.extend(&encode(&members([5]), Format::Roaring64)[8..]);
    bytes.extend(&gap[20..]);
    let membership = decode(&bytes, Format::Roaring64).expect("a bucket and a gap");
    assert_eq!(membership, members([5]));
    assert_eq!(encode(&membership, Format::Roaring64), encode(&members([5]), Format::Roaring64));
}

#[test]
fn arrays_and_headers_are_checked() {
    // Cookie at 0, count at 4, key 0 at 8, cardinality - 1 at 10, key 1 at 12, offsets at 16 and
    // 20, values 1 and 10 at 24, value 7 at 28.
    let bytes = encode(&members([1, 10, 65_543]), Format::Roaring);
    assert_eq!(bytes.len(), 30);
    for (at, number, message) in [
        (0, 12_345, "cookie"),
        (4, 3, "the offsets of the containers: 12 bytes expected, 10 are left"),
        (6, 2, "131074 containers announced"),
        (10, 0, "container 1: offset 28 announced, it is 26"),
        (10, 2, "container 0: its values do not ascend"),
        (12, 0, "container 1: key 0 does not ascend"),
        (16, 23, "offset 23 announced, it is 24"),
        (20, 29, "offset 29 announced, it is 28"),
        (24, 10, "container 0: its values do not ascend"),
        (12, 0x8000, "holds id 2147483655"),
    ] {
        refuses(&with_u16(&bytes, at, number), Format::Roaring, message);
    }
    refuses(&[&bytes[..], &[0]].concat(), Format::Roaring, "1 bytes follow its end");
}

#[test]
fn runs_are_checked() {
    // Flags at 4, key at 5, cardinality - 1 at 7, runs at 9, starts at 11 and 15.
    let bytes = encode(&members((0..100).chain(200..300)), Format::Roaring);
    assert_eq!(bytes.len(), 19);
    for (at, number, message) in [
        (4, 3, "beyond the 1 announced"),
        (7, 198, "199 members announced, 200 found"),
        (9, 0, "200 members announced, 0 found"),
        (15, 100, "the run from 100 touches"),
        (15, 50, "the run from 50 touches"),
        (15, 65_500, "the run from 65500 leaves the container"),
    ] {
        refuses(&with_u16(&bytes, at, number), Format::Roaring, message);
    }
    let after_the_last_id = bytes_of("3b300000 01 0000 0000 0200 ffff 0000 0000 0000");
    refuses(&after_the_last_id, Format::Roaring, "the run from 0 touches");
}

#[test]
fn bitsets_are_checked() {
    let bytes = encode(&members((0..65_536).step_by(2)), Format::Roaring);
    assert_eq!(bytes.len(), 16 + 8_192);
    refuses(&with_u16(&bytes, 10, 40_000), Format::Roaring, "40001 members announced, 32768");
    refuses(&bytes[..8_000], Format::Roaring, "8192 bytes expected, 7984 are left");
}

#[test]
fn buckets_are_checked() {
    let bytes = encode(&members([5]), Format::Roaring64);
    refuses(&[255; 8], Format::Roaring64, "buckets announced");
    refuses(&with_u16(&bytes, 8, 1), Format::Roaring64, "holds id 4294967301");
    let mut twice = [&bytes[..], &bytes[8..]].concat();
    twice[0] = 2;
    refuses(&twice, Format::Roaring64, "bucket 0 does not ascend");
    refuses(&[&bytes[..], &[9]].concat(), Format::Roaring64, "1 bytes follow its end");
}

#[test]
fn small_files_of_large_runs_are_refused() {
    // Two full bitmaps, of a run a container, and one container more.
    let full = |containers: u32, members: u16| {
        let more = (members - 1).to_le_bytes();
        let flags = containers.div_ceil(8);
        let mut bytes = ((containers - 1) << 16 | 0x303B).to_le_bytes().to_vec();
        let flag = |at: u32| 0xFF_u8 >> (8 - (containers - 8 * at).min(8));
        bytes.extend((0..flags).map(flag));
        let keys = 0..u16::try_from(containers - 1).expect("at most 65,536");
        let keys: Vec<u16> =
            keys.chain([u16::try_from(containers - 1).expect("the last")]).collect();
        bytes.extend(keys.iter().flat_map(|key| [key.to_le_bytes(), more].concat()));
        if containers >= 4 {
            let start = u32::try_from(bytes.len()).expect("a megabyte") + 4 * containers;
            bytes.extend((0..containers).flat_map(|at| (start + 6 * at).to_le_bytes()));
        }
        bytes.extend(keys.iter().flat_map(|_| [1, 0, 0, 0, more[0], more[1]]));
        bytes
    };
    let bytes = |last: &[u32], members: u16| {
        let mut bytes = (last.len() as u64).to_le_bytes().to_vec();
        for (key, containers) in (0_u32..).zip(last) {
            bytes.extend(key.to_le_bytes());
            bytes.extend(full(*containers, members));
        }
        bytes
    };
    let small =
        decode_numbers(&bytes(&[2, 1], 65_535), Format::Roaring64).expect("three containers");
    assert_eq!((small.len(), small.max()), (3 * 65_535, Some((1 << 32) + 0xFFFE)));
    let error = decode_numbers(&bytes(&[65_536, 65_536, 1], 449), Format::Roaring64);
    let error = error.expect_err("131,073 containers of runs");
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert!(error.message().contains("131072 containers of runs"), "{error}");
    // As many short runs are small in memory too.
    let short = decode_numbers(&bytes(&[65_536, 65_536, 1], 5), Format::Roaring64);
    assert_eq!(short.expect("short runs").len(), 131_073 * 5);
}

#[test]
fn every_cut_is_refused() {
    for format in FORMATS {
        let bytes = encode(&members((0..9).chain(70_000..70_900).chain([900_000])), format);
        for end in 0..bytes.len() {
            assert!(decode(&bytes[..end], format).is_err(), "{format:?} cut at {end}");
        }
    }
}

/// The folder of vectors beside the project, or beside its worktree.
pub(super) fn vectors() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let candidates = ["../shared/formats", "../../shared/formats"];
    candidates.iter().map(|path| root.join(path)).find(|path| path.is_dir())
}

#[test]
fn the_specification_s_files_hold_what_they_should() {
    let Some(folder) = vectors() else {
        println!("skipped: no ../shared/formats beside the project");
        return;
    };
    let list = std::fs::read(folder.join("roaring_files_expected.json")).expect("the list");
    let list: serde_json::Value = serde_json::from_slice(&list).expect("JSON");
    for expected in list.as_array().expect("a list") {
        let file = expected["file"].as_str().expect("a file");
        let bytes = std::fs::read(folder.join(file)).expect(file);
        let format = match expected["format"].as_str() {
            Some("roaring32_portable") => Format::Roaring,
            _ => Format::Roaring64,
        };
        let (found, min, max) = walk(&bytes, format);
        assert_eq!(Some(found), expected["cardinality"].as_u64(), "{file}");
        assert_eq!((min, max), (expected["min"].as_u64(), expected["max"].as_u64()), "{file}");

        let decoded = decode(&bytes, format);
        if max > Some(u64::from(ProfileId::MAX.get())) {
            assert!(decoded.expect_err(file).message().contains("holds id"), "{file}");
            continue;
        }
        let membership = decoded.expect(file);
        let sum: u64 = membership.iter().map(|id| u64::from(id.get())).sum();
        assert_eq!(Some(sum.to_string().as_str()), expected["sum"].as_str(), "{file}");
        assert_eq!(decode(&encode(&membership, format), format).expect(file), membership);
    }
}

/// Members, minimum and maximum as the walk finds them, also of ids too large for a profile.
fn walk(bytes: &[u8], format: Format) -> (u64, Option<u64>, Option<u64>) {
    let mut reader = Reader::new(bytes);
    if format == Format::Roaring {
        let Extent { members, min, max, .. } = check::bitmap(&mut reader).expect("a bitmap");
        return (members, min.map(u64::from), max.map(u64::from));
    }
    let count = u64::from_le_bytes(reader.array("count").expect("a count"));
    let buckets = check::buckets(&mut reader, count).expect("buckets");
    let low = |b: &check::Bucket| {
        check::bitmap(&mut Reader::new(&bytes[b.range.clone()])).expect("a bitmap")
    };
    let wide = |key: u32, low: u32| u64::from(key) << 32 | u64::from(low);
    let min = buckets.first().and_then(|b| low(b).min.map(|min| wide(b.key, min)));
    let max = buckets.last().and_then(|b| low(b).max.map(|max| wide(b.key, max)));
    (buckets.iter().map(|b| low(b).members).sum(), min, max)
}

/// Something done to bytes by a bad disk or a bad mind.
#[derive(Debug, Clone)]
pub(super) enum Damage {
    Set(u8),
    Flip(u8),
    Cut,
    Insert(u8),
    Repeat,
}

pub(super) fn any_damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        any::<u8>().prop_map(Damage::Set),
        (0..8_u8).prop_map(|bit| Damage::Flip(1 << bit)),
        Just(Damage::Cut),
        any::<u8>().prop_map(Damage::Insert),
        Just(Damage::Repeat),
    ]
}

pub(super) fn damaged(mut bytes: Vec<u8>, damage: Vec<(prop::sample::Index, Damage)>) -> Vec<u8> {
    for (at, damage) in damage {
        if bytes.is_empty() {
            break;
        }
        // Every other place lies in the head, where sizes and orders are.
        let span = if at.index(2) == 0 { bytes.len().min(64) } else { bytes.len() };
        let at = at.index(span);
        match damage {
            Damage::Set(byte) => bytes[at] = byte,
            Damage::Flip(bits) => bytes[at] ^= bits,
            Damage::Cut => bytes.truncate(at),
            Damage::Insert(byte) => bytes.insert(at, byte),
            Damage::Repeat => bytes.extend_from_within(at..),
        }
    }
    bytes
}

/// Whatever decodes is a set like any other: its own bytes give it back, twice the same.
fn check_if_it_decodes(bytes: &[u8], format: Format) {
    let Ok(membership) = decode(bytes, format) else { return };
    let again = encode(&membership, format);
    let copy = decode(&again, format).expect("own bytes");
    assert_eq!(copy, membership);
    assert!(copy.iter().eq(membership.iter()));
    assert_eq!(copy.len(), membership.iter().count() as u64);
    assert_eq!(encode(&copy, format), again);
    let rebuilt: Membership = membership.iter().collect();
    assert_eq!(encode(&rebuilt, format), again);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_set_survives_its_bytes(set in any_set()) {
        let membership = members(set);
        for format in FORMATS {
            let bytes = encode(&membership, format);
            prop_assert_eq!(decode(&bytes, format)?, membership.clone());
            check_if_it_decodes(&bytes, format);
        }
    }

    #[test]
    fn equal_sets_have_equal_bytes_whatever_their_history(a in any_set(), b in any_set()) {
        let direct = members(&a | &b);
        let (a, b) = (members(a), members(b));
        let stored = |set: &Membership| decode(&encode(set, Format::Roaring), Format::Roaring);
        let (run_a, run_b) = (stored(&a)?, stored(&b)?);
        let same = [
            a.or(&b),
            run_a.or(&run_b),
            run_b.or(&a),
            run_a.xor(&b).or(&run_a.and(&b)),
            a.and_not(&run_b).or(&run_b),
            stored(&direct)?,
        ];
        for format in FORMATS {
            let bytes = encode(&direct, format);
            for set in &same {
                prop_assert_eq!(set, &direct);
                prop_assert_eq!(&encode(set, format), &bytes);
            }
        }
    }

    #[test]
    fn damaged_bytes_never_panic(
        set in any_set(),
        damage in vec((any::<prop::sample::Index>(), any_damage()), 1..4),
    ) {
        for format in FORMATS {
            let bytes = encode(&members(set.iter().copied()), format);
            check_if_it_decodes(&damaged(bytes, damage.clone()), format);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn random_bytes_never_panic(
        head in prop_oneof![
            Just(vec![]),
            Just(vec![0x3A, 0x30, 0, 0, 1, 0, 0, 0, 0, 0]),
            Just(vec![0x3B, 0x30, 0, 0, 1, 0, 0]),
            Just(vec![1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x3B, 0x30]),
        ],
        tail in vec(prop_oneof![any::<u8>(), 0..3_u8], 0..80),
    ) {
        let bytes = [head, tail].concat();
        for format in FORMATS {
            check_if_it_decodes(&bytes, format);
        }
    }

    #[test]
    fn small_damage_to_small_sets_never_panics(
        ids in vec(prop_oneof![0..40_u32, 65_530..65_600_u32, 131_000..132_000_u32], 0..60),
        damage in vec((any::<prop::sample::Index>(), any_damage()), 1..3),
    ) {
        for format in FORMATS {
            let bytes = encode(&members(ids.iter().copied()), format);
            check_if_it_decodes(&damaged(bytes, damage.clone()), format);
        }
    }
}
