//! Pinot's `IdSet` in base64, as `IN_ID_SET` takes it: a type and a payload. Type 0 is empty, 1 a
//! portable 32-bit bitmap. Type 2 is a 64-bit bitmap of Java's own layout and 3 a bloom filter, which
//! is no set: neither is written or read.

use super::check::Reader;
use super::{portable, text};
use crate::error::Result;
use crate::membership::containers::Containers;
use crate::membership::numbers::Numbers;

const EMPTY: u8 = 0;
const BITMAP_32: u8 = 1;
const JAVA_64: u8 = 2;
const BLOOM: u8 = 3;

/// The base64 of an `IdSet`, on a line.
pub(super) fn encode(parts: &[(u32, &Containers)]) -> Vec<u8> {
    let mut bytes = vec![if parts.is_empty() { EMPTY } else { BITMAP_32 }];
    for (_, low) in parts {
        portable::append_32(low, &mut bytes);
    }
    let mut text = text::to_base64(&bytes);
    text.push('\n');
    text.into_bytes()
}

/// The set that the base64 of an `IdSet` holds.
pub(super) fn decode(bytes: &[u8]) -> Result<Numbers> {
    let bytes = text::from_base64(bytes)?;
    let mut reader = Reader::named(&bytes, "a Pinot IdSet");
    let [kind] = reader.array("its type")?;
    let numbers = match kind {
        EMPTY => Numbers::new(),
        BITMAP_32 => Numbers::from_parts([(0, portable::read_32(&mut reader)?)]),
        JAVA_64 => {
            return Err(reader
                .wrong("a 64-bit set in Java's own layout")
                .with_hint("take the ids of an INT column, or a list of ids"));
        }
        BLOOM => {
            return Err(reader.wrong("a bloom filter does not hold its members").with_hint(
                "ask Pinot for ID_SET(column, 'sizeThresholdInBytes=...') of more bytes",
            ));
        }
        other => return Err(reader.wrong(format!("type {other} is unknown"))),
    };
    reader.finish()?;
    Ok(numbers)
}
