//! Portable roaring bytes: the form in which the store keeps memberships and other engines read
//! them. Written in one way only, read strictly.
//!
//! - this file: [`encode`] and [`decode`]
//! - [`check`](mod@check): the walk over foreign bytes that comes before any of them is believed
//!
//! The layouts are those of the `RoaringFormatSpec`, 32-bit and 64-bit.

mod check;

use roaring::RoaringBitmap;

use self::check::Reader;
use super::set::Membership;
use crate::error::{Error, Result};
use crate::model::ProfileId;

/// Bytes before the only bucket of a 64-bit bitmap: the number of buckets and the bucket's key.
const BUCKET_HEADER_BYTES: usize = 8 + 4;

/// A portable layout of roaring bytes.
///
/// ```
/// use throng::membership::Membership;
/// use throng::membership::wire::{Format, decode, encode};
/// use throng::model::ProfileId;
///
/// let membership: Membership = [1, 10, 100].into_iter().filter_map(ProfileId::new).collect();
/// for format in [Format::Roaring, Format::Roaring64] {
///     assert_eq!(decode(&encode(&membership, format), format)?, membership);
/// }
/// # Ok::<(), throng::error::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// 32-bit ids: `pg_roaringbitmap`, Druid, Elasticsearch, Spark UDFs, and the store itself.
    Roaring,
    /// 64-bit ids, as buckets of 32-bit bitmaps: roaring64 of C and Go, Iceberg deletion vectors.
    Roaring64,
}

/// The bytes of `membership`, the same for equal sets whatever their history.
///
/// One rule makes them so: a container is a run container exactly where that is smaller than the
/// array (up to 4,096 members) or bitset (above) that it would be otherwise; a tie is no run. The
/// crate's own `optimize` alone would not do, since on a tie it leaves a container as it found it.
///
/// ```
/// use throng::membership::Membership;
/// use throng::membership::wire::{Format, encode};
///
/// assert_eq!(encode(&Membership::new(), Format::Roaring), [0x3A, 0x30, 0, 0, 0, 0, 0, 0]);
/// assert_eq!(encode(&Membership::new(), Format::Roaring64), [0; 8]);
/// ```
pub fn encode(membership: &Membership, format: Format) -> Vec<u8> {
    let mut bitmap = membership.0.clone();
    // Undone and redone, so that what was a run before gets no vote; only run containers pay.
    bitmap.remove_run_compression();
    bitmap.optimize();
    let mut bytes = Vec::with_capacity(BUCKET_HEADER_BYTES + bitmap.serialized_size());
    if format == Format::Roaring64 {
        bytes.extend(u64::from(!bitmap.is_empty()).to_le_bytes());
        if bitmap.is_empty() {
            return bytes;
        }
        bytes.extend(0_u32.to_le_bytes());
    }
    bitmap.serialize_into(&mut bytes).expect("a vector takes all bytes that are written to it");
    bytes
}

/// The membership that `bytes` hold, all of them.
///
/// Strict where the usual readers are not: the offset header, trailing bytes, cardinalities (of run
/// containers too), the order of keys, values and runs, and the sizes that a header claims are all
/// checked, before anything is allocated for them. Containers need not be of the smallest kind, and
/// empty buckets of the 64-bit layout are skipped.
///
/// # Errors
/// Where `bytes` are not what `format` says, or hold an id above [`ProfileId::MAX`]; the message
/// gives the place in bytes.
pub fn decode(bytes: &[u8], format: Format) -> Result<Membership> {
    match format {
        Format::Roaring => decode_32(bytes),
        Format::Roaring64 => decode_64(bytes),
    }
}

fn decode_32(bytes: &[u8]) -> Result<Membership> {
    let mut reader = Reader::new(bytes);
    let extent = check::bitmap(&mut reader)?;
    reader.finish()?;
    refuse_above_max(extent.max.map(u64::from))?;
    deserialize(bytes)
}

fn decode_64(bytes: &[u8]) -> Result<Membership> {
    let mut reader = Reader::new(bytes);
    let buckets = check::buckets(&mut reader)?;
    reader.finish()?;
    let Some(last) = buckets.last() else { return Ok(Membership::new()) };
    refuse_above_max(Some(last.max()))?;
    // Buckets ascend and the last one passed: it is the only one, and its key is 0.
    deserialize(&bytes[last.range.clone()])
}

fn refuse_above_max(max: Option<u64>) -> Result<()> {
    match max {
        Some(id) if id > u64::from(ProfileId::MAX.get()) => Err(Error::data(format!(
            "the bitmap holds id {id}; a profile_id is at most {}",
            ProfileId::MAX
        ))
        .with_hint("if these are ids of another system, import them as identifiers")),
        _ => Ok(()),
    }
}

/// Bytes that were checked, read once more by the crate's own checked reader: two must agree.
fn deserialize(bytes: &[u8]) -> Result<Membership> {
    RoaringBitmap::deserialize_from(bytes)
        .map(Membership)
        .map_err(|cause| Error::data(format!("not a roaring bitmap: {cause}")).with_cause(cause))
}

#[cfg(test)]
mod tests;
