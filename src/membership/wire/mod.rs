//! Bitmaps as bytes: the form in which the store keeps memberships, and the forms that other engines
//! load. Each is written in one way only, and read strictly.
//!
//! - this file: [`encode`], [`encode_numbers`] and [`decode`], [`decode_numbers`]
//! - [`format`](mod@format): [`Format`], the formats by name and what each can hold
//! - [`check`](mod@check): the walk over foreign bytes that comes before any of them is believed
//! - `portable`: the layouts of the `RoaringFormatSpec`, which most of the others carry inside;
//!   `packed` walks them once they are checked
//! - `clickhouse`, `starrocks`, `postgres`, `pinot`, `buckets`: the engines' own
//! - `text`, `varint`: hexadecimal digits, base64, and numbers of seven bits a byte
//!
//! `docs/formats.md` says what each is and how it is loaded.

mod buckets;
mod check;
mod clickhouse;
pub mod format;
mod packed;
mod pinot;
mod portable;
mod postgres;
mod starrocks;
mod text;
mod varint;

use self::buckets::Origin;
use self::check::Reader;
use self::clickhouse::Width;
use super::containers::Containers;
use super::numbers::{Numbers, refuse_above_max};
use super::set::Membership;
use crate::error::{Error, Result};

pub use format::Format;

/// The bytes of `membership`, the same for equal sets whatever their history.
///
/// One rule makes them so: a container is a run container exactly where that is smaller than the
/// array (up to 4,096 members) or bitset (above) that it would be otherwise; a tie is no run.
///
/// ```
/// use throng::membership::Membership;
/// use throng::membership::wire::{Format, decode, encode};
/// use throng::model::ProfileId;
///
/// assert_eq!(encode(&Membership::new(), Format::Roaring), [0x3A, 0x30, 0, 0, 0, 0, 0, 0]);
/// assert_eq!(encode(&Membership::new(), Format::ClickHouse), [0, 0]);
///
/// let membership: Membership = [1, 10, 100].into_iter().filter_map(ProfileId::new).collect();
/// for format in Format::ALL {
///     assert_eq!(decode(&encode(&membership, format), format)?, membership);
/// }
/// # Ok::<(), throng::error::Error>(())
/// ```
pub fn encode(membership: &Membership, format: Format) -> Vec<u8> {
    // Every format holds every profile_id, and 2^31 of them lie in no more than 65,536 buckets.
    encode_parts(&parts_of(membership), format).expect("all formats hold all profile ids")
}

/// The bytes of `numbers`, by the same rule as [`encode`].
///
/// # Errors
/// Where a number is above [`Format::id_max`] (ids are refused, never cut), or takes more buckets
/// than a file should have.
///
/// ```
/// use throng::membership::Numbers;
/// use throng::membership::wire::{Format, encode_numbers};
///
/// let customers: Numbers = [9_000_000_000].into_iter().collect();
/// assert!(encode_numbers(&customers, Format::ClickHouse).is_err());
/// assert_eq!(encode_numbers(&customers, Format::StarRocks)?, b"AwAacRgCAAAA\n");
/// # Ok::<(), throng::error::Error>(())
/// ```
pub fn encode_numbers(numbers: &Numbers, format: Format) -> Result<Vec<u8>> {
    if let Some(max) = numbers.max().filter(|max| *max > format.id_max()) {
        let error = Error::data(format!(
            "id {max} is too large for {format}, which holds ids up to {}",
            format.id_max()
        ));
        return Err(match format.wider() {
            Some(wider) => error.with_hint(format!("take {wider}")),
            None => error.with_hint("take a 64-bit format, or profile_ids"),
        });
    }
    encode_parts(&numbers.parts().collect::<Vec<_>>(), format)
}

fn parts_of(membership: &Membership) -> Vec<(u32, &Containers)> {
    if membership.is_empty() { Vec::new() } else { vec![(0, &membership.0)] }
}

/// The bytes of high halves and the low halves that go with them, in ascending order, none empty.
fn encode_parts(parts: &[(u32, &Containers)], format: Format) -> Result<Vec<u8>> {
    let portable_32 = || {
        let mut bytes = Vec::new();
        match parts {
            [] => portable::append_32(&Containers::default(), &mut bytes),
            parts => parts.iter().for_each(|(_, low)| portable::append_32(low, &mut bytes)),
        }
        bytes
    };
    let portable_64 = || {
        let mut bytes = Vec::new();
        portable::append_64(parts, &mut bytes);
        bytes
    };
    let base64 = |bytes: &[u8]| {
        let mut text = text::to_base64(bytes);
        text.push('\n');
        text.into_bytes()
    };
    Ok(match format {
        Format::Druid if parts.is_empty() => Vec::new(),
        Format::Roaring | Format::Druid => portable_32(),
        Format::Roaring64 => portable_64(),
        Format::ClickHouse => clickhouse::encode(parts, Width::Bits32),
        Format::ClickHouse64 => clickhouse::encode(parts, Width::Bits64),
        Format::ClickHouseSql => clickhouse::sql(parts, Width::Bits32),
        Format::ClickHouse64Sql => clickhouse::sql(parts, Width::Bits64),
        Format::StarRocks => starrocks::encode(parts),
        Format::Postgres => postgres::row(&portable_32()),
        Format::Postgres64 => postgres::row(&portable_64()),
        Format::Elasticsearch => base64(&portable_32()),
        Format::Elasticsearch64 => base64(&portable_64()),
        Format::Pinot => pinot::encode(parts),
        Format::Databricks => buckets::encode(parts, Origin::One)?,
        Format::MatrixOne => buckets::encode(parts, Origin::Zero)?,
    })
}

/// The membership that `bytes` hold, all of them.
///
/// Strict where the usual readers are not: the offset header, trailing bytes, cardinalities (of run
/// containers too), the order of keys, values and runs, and the sizes that a header claims are all
/// checked, before anything is allocated for them. Containers need not be of the smallest kind, and
/// empty buckets of the 64-bit layout are skipped.
///
/// # Errors
/// Where `bytes` are not what `format` says, or hold an id above
/// [`ProfileId::MAX`](crate::model::ProfileId::MAX); the message gives the place.
pub fn decode(bytes: &[u8], format: Format) -> Result<Membership> {
    // What the store keeps: no detour over 64 bits.
    if format == Format::Roaring {
        let mut reader = Reader::new(bytes);
        let extent = check::bitmap(&mut reader)?;
        reader.finish()?;
        refuse_above_max(extent.max.map(u64::from))?;
        return Ok(Membership(packed::unpack(bytes)));
    }
    decode_numbers(bytes, format)?.to_membership()
}

/// The numbers that `bytes` hold, all of them; as strict as [`decode`].
///
/// # Errors
/// Where `bytes` are not what `format` says; the message gives the place.
pub fn decode_numbers(bytes: &[u8], format: Format) -> Result<Numbers> {
    match format {
        Format::Druid if bytes.is_empty() => Ok(Numbers::new()),
        Format::Roaring | Format::Druid => decode_32(bytes),
        Format::Roaring64 => decode_64(bytes),
        Format::ClickHouse => clickhouse::decode(bytes, Width::Bits32),
        Format::ClickHouse64 => clickhouse::decode(bytes, Width::Bits64),
        Format::ClickHouseSql => clickhouse::decode_sql(bytes, Width::Bits32),
        Format::ClickHouse64Sql => clickhouse::decode_sql(bytes, Width::Bits64),
        Format::StarRocks => starrocks::decode(bytes),
        Format::Postgres => decode_32(&postgres::bytes(bytes)?),
        Format::Postgres64 => decode_64(&postgres::bytes(bytes)?),
        Format::Elasticsearch => decode_32(&text::from_base64(bytes)?),
        Format::Elasticsearch64 => decode_64(&text::from_base64(bytes)?),
        Format::Pinot => pinot::decode(bytes),
        Format::Databricks => buckets::decode(bytes, Origin::One),
        Format::MatrixOne => buckets::decode(bytes, Origin::Zero),
    }
}

fn decode_32(bytes: &[u8]) -> Result<Numbers> {
    let mut reader = Reader::new(bytes);
    let bitmap = portable::read_32(&mut reader)?;
    reader.finish()?;
    Ok(Numbers::from_parts([(0, bitmap)]))
}

fn decode_64(bytes: &[u8]) -> Result<Numbers> {
    let mut reader = Reader::new(bytes);
    let numbers = portable::read_64(&mut reader)?;
    reader.finish()?;
    Ok(numbers)
}

#[cfg(test)]
mod engines_tests;
#[cfg(test)]
mod tests;
