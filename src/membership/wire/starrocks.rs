//! The BITMAP value of `StarRocks` and Doris, in base64 as their `base64_to_bitmap` and
//! `bitmap_from_base64` take it.
//!
//! A value is a type code and a payload. Both engines know codes 0 to 4, so these are written: empty,
//! one 32-bit value, a portable 32-bit bitmap, one 64-bit value, and buckets counted by a varint.
//! Small sets of one engine (5 and 10) are read too; the second serialisation of either (12, 13) is
//! not portable roaring, and refused.

use super::check::Reader;
use super::{portable, text, varint};
use crate::error::Result;
use crate::membership::containers::Containers;
use crate::membership::numbers::Numbers;

const EMPTY: u8 = 0;
const SINGLE_32: u8 = 1;
const BITMAP_32: u8 = 2;
const SINGLE_64: u8 = 3;
const BITMAP_64: u8 = 4;
/// Doris: a count of one byte, and 64-bit values.
const SET: u8 = 5;
/// Both: a count of four bytes, and 64-bit values.
const SET_V2: u8 = 10;
const BITMAP_32_V2: u8 = 12;
const BITMAP_64_V2: u8 = 13;

/// The value of `parts`, as base64 on a line.
pub(super) fn encode(parts: &[(u32, &Containers)]) -> Vec<u8> {
    let mut text = text::to_base64(&value(parts));
    text.push('\n');
    text.into_bytes()
}

fn value(parts: &[(u32, &Containers)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    match parts {
        [] => bytes.push(EMPTY),
        [(0, low)] if low.len() == 1 => {
            bytes.push(SINGLE_32);
            low.iter().for_each(|low| bytes.extend(low.to_le_bytes()));
        }
        [(high, low)] if low.len() == 1 => {
            bytes.push(SINGLE_64);
            low.iter().for_each(|low| bytes.extend(low.to_le_bytes()));
            bytes.extend(high.to_le_bytes());
        }
        [(0, low)] => {
            bytes.push(BITMAP_32);
            portable::append_32(low, &mut bytes);
        }
        parts => {
            bytes.push(BITMAP_64);
            varint::append(parts.len() as u64, &mut bytes);
            portable::append_buckets(parts, &mut bytes);
        }
    }
    bytes
}

/// The set that the base64 of a value holds.
pub(super) fn decode(bytes: &[u8]) -> Result<Numbers> {
    decode_value(&text::from_base64(bytes)?)
}

/// The set that a value holds.
pub(super) fn decode_value(bytes: &[u8]) -> Result<Numbers> {
    let mut reader = Reader::named(bytes, "a StarRocks or Doris bitmap");
    let [code] = reader.array("its type code")?;
    let numbers = match code {
        EMPTY => Numbers::new(),
        SINGLE_32 => {
            Numbers::from_iter([u64::from(u32::from_le_bytes(reader.array("its value")?))])
        }
        SINGLE_64 => Numbers::from_iter([u64::from_le_bytes(reader.array("its value")?)]),
        BITMAP_32 => Numbers::from_parts([(0, portable::read_32(&mut reader)?)]),
        BITMAP_64 => {
            let count = varint::read(&mut reader, "the number of buckets")?;
            portable::read_buckets(&mut reader, count)?
        }
        SET => {
            let [count] = reader.array("the number of its values")?;
            read_set(&mut reader, u32::from(count))?
        }
        SET_V2 => {
            let count = u32::from_le_bytes(reader.array("the number of its values")?);
            read_set(&mut reader, count)?
        }
        BITMAP_32_V2 | BITMAP_64_V2 => {
            return Err(reader
                .wrong(format!("type code {code} is an engine's own serialisation"))
                .with_hint("set its bitmap_serialize_version to 1 and take the value out again"));
        }
        other => return Err(reader.wrong(format!("type code {other} is unknown"))),
    };
    reader.finish()?;
    Ok(numbers)
}

fn read_set(reader: &mut Reader<'_>, count: u32) -> Result<Numbers> {
    let mut numbers = Numbers::new();
    for _ in 0..count {
        let number = u64::from_le_bytes(reader.array("a value")?);
        if !numbers.insert(number) {
            return Err(reader.wrong(format!("value {number} twice")));
        }
    }
    Ok(numbers)
}
