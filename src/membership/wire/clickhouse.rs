//! `ClickHouse`'s `AggregateFunction(groupBitmap, T)` for `UInt32` and `UInt64`: the state that
//! `RowBinary` and Native carry as it is, and SQL takes in hexadecimal digits.
//!
//! A state is a kind and a payload. Kind 0 (small) is a count and as many values of T's width; kind
//! 1 is a byte length and a portable bitmap, 32-bit or 64-bit as T is.

use super::check::Reader;
use super::{portable, text, varint};
use crate::error::{Error, Result};
use crate::membership::containers::Containers;
use crate::membership::numbers::Numbers;

/// A small state.
const SMALL: u8 = 0;
/// A bitmap.
const BITMAP: u8 = 1;
/// `ClickHouse` keeps up to this many members in the small kind.
const SMALL_MEMBERS_MAX: u64 = 32;

/// The type of a state's members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// `UInt32`.
    Bits32,
    /// `UInt64`.
    Bits64,
}

impl Width {
    fn sql(self) -> &'static str {
        match self {
            Self::Bits32 => "UInt32",
            Self::Bits64 => "UInt64",
        }
    }
}

/// The state of `parts`, the numbers of which `width` holds.
pub(super) fn encode(parts: &[(u32, &Containers)], width: Width) -> Vec<u8> {
    let members: u64 = parts.iter().map(|(_, low)| low.len()).sum();
    if members <= SMALL_MEMBERS_MAX {
        return small(parts, members, width);
    }
    let mut bitmap = Vec::new();
    match width {
        Width::Bits32 => parts.iter().for_each(|(_, low)| portable::append_32(low, &mut bitmap)),
        Width::Bits64 => portable::append_64(parts, &mut bitmap),
    }
    let mut bytes = vec![BITMAP];
    varint::append(bitmap.len() as u64, &mut bytes);
    bytes.append(&mut bitmap);
    bytes
}

fn small(parts: &[(u32, &Containers)], members: u64, width: Width) -> Vec<u8> {
    let mut bytes = vec![SMALL];
    varint::append(members, &mut bytes);
    for (high, low) in parts {
        for low in low.iter() {
            bytes.extend(low.to_le_bytes());
            if width == Width::Bits64 {
                bytes.extend(high.to_le_bytes());
            }
        }
    }
    bytes
}

/// The set that a state holds.
pub(super) fn decode(bytes: &[u8], width: Width) -> Result<Numbers> {
    let mut reader = Reader::named(bytes, "a ClickHouse bitmap state");
    let [kind] = reader.array("its kind")?;
    let numbers = match kind {
        SMALL => read_small(&mut reader, width)?,
        BITMAP => read_bitmap(&mut reader, width)?,
        other => {
            return Err(reader.wrong(format!("kind {other}, neither 0 (small) nor 1 (bitmap)")));
        }
    };
    reader.finish()?;
    Ok(numbers)
}

fn read_small(reader: &mut Reader<'_>, width: Width) -> Result<Numbers> {
    let count = varint::read(reader, "the number of its values")?;
    if count > SMALL_MEMBERS_MAX {
        return Err(reader.wrong(format!("{count} values announced, a small one holds 32")));
    }
    let mut numbers = Numbers::new();
    for _ in 0..count {
        let number = match width {
            Width::Bits32 => u64::from(u32::from_le_bytes(reader.array("a value")?)),
            Width::Bits64 => u64::from_le_bytes(reader.array("a value")?),
        };
        if !numbers.insert(number) {
            return Err(reader.wrong(format!("value {number} twice")));
        }
    }
    Ok(numbers)
}

fn read_bitmap(reader: &mut Reader<'_>, width: Width) -> Result<Numbers> {
    let length = varint::read(reader, "the length of its bitmap")?;
    if length != reader.left() as u64 {
        let left = reader.left();
        return Err(reader.wrong(format!("{length} bytes announced, {left} are left")));
    }
    match width {
        Width::Bits32 => Ok(Numbers::from_parts([(0, portable::read_32(reader)?)])),
        Width::Bits64 => portable::read_64(reader),
    }
}

/// The state as an expression of `ClickHouse`'s SQL, with a line break.
pub(super) fn sql(parts: &[(u32, &Containers)], width: Width) -> Vec<u8> {
    let state = text::to_hex(&encode(parts, width));
    let expression = format!(
        "SELECT CAST(unhex('{state}'), 'AggregateFunction(groupBitmap, {})')\n",
        width.sql()
    );
    expression.into_bytes()
}

/// The set that an expression as [`sql`] writes it holds.
pub(super) fn decode_sql(bytes: &[u8], width: Width) -> Result<Numbers> {
    let text = text::utf8(bytes, "a ClickHouse expression")?.trim();
    let head = "SELECT CAST(unhex('";
    let tail = format!("'), 'AggregateFunction(groupBitmap, {})')", width.sql());
    let digits =
        text.strip_prefix(head).and_then(|rest| rest.strip_suffix(tail.as_str())).ok_or_else(
            || Error::data(format!("not a ClickHouse expression: {head}..{tail} expected")),
        )?;
    decode(&text::from_hex(digits)?, width)
}
