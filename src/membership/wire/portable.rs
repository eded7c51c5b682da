//! The portable roaring layouts of the `RoaringFormatSpec`, 32-bit and 64-bit, which most of the other
//! formats carry inside.

use roaring::RoaringBitmap;

use super::check::{self, Reader};
use crate::error::{Error, Result};
use crate::membership::numbers::Numbers;

/// Bytes before a bucket's bitmap: its key.
const KEY_BYTES: usize = 4;

/// Appends the one spelling of `bitmap`; see [`super::encode`] for the rule.
pub(super) fn append_32(bitmap: &RoaringBitmap, bytes: &mut Vec<u8>) {
    let mut bitmap = bitmap.clone();
    // Undone and redone, so that what was a run before gets no vote; only run containers pay.
    bitmap.remove_run_compression();
    bitmap.optimize();
    bytes.reserve(bitmap.serialized_size());
    bitmap.serialize_into(bytes).expect("a vector takes all bytes that are written to it");
}

/// Appends buckets: high halves, and the bitmaps of the low halves.
pub(super) fn append_buckets(parts: &[(u32, &RoaringBitmap)], bytes: &mut Vec<u8>) {
    for (key, bitmap) in parts {
        bytes.reserve(KEY_BYTES);
        bytes.extend(key.to_le_bytes());
        append_32(bitmap, bytes);
    }
}

/// Appends the 64-bit layout.
pub(super) fn append_64(parts: &[(u32, &RoaringBitmap)], bytes: &mut Vec<u8>) {
    bytes.extend((parts.len() as u64).to_le_bytes());
    append_buckets(parts, bytes);
}

/// Reads a 32-bit bitmap from where `reader` stands, and moves it behind.
pub(super) fn read_32(reader: &mut Reader<'_>) -> Result<RoaringBitmap> {
    let start = reader.position();
    check::bitmap(reader)?;
    believe(&reader.bytes()[start..reader.position()])
}

/// Reads a 64-bit set from where `reader` stands, and moves it behind.
pub(super) fn read_64(reader: &mut Reader<'_>) -> Result<Numbers> {
    let count = u64::from_le_bytes(reader.array("the number of buckets")?);
    read_buckets(reader, count)
}

/// Reads `count` buckets; those without members are skipped.
pub(super) fn read_buckets(reader: &mut Reader<'_>, count: u64) -> Result<Numbers> {
    let buckets = check::buckets(reader, count)?;
    let parts = buckets.into_iter().map(|b| Ok((b.key, believe(&reader.bytes()[b.range])?)));
    Ok(Numbers::from_bitmaps(parts.collect::<Result<Vec<_>>>()?))
}

/// Bytes that were checked, read once more by the crate's own checked reader: two must agree.
pub(super) fn believe(bytes: &[u8]) -> Result<RoaringBitmap> {
    RoaringBitmap::deserialize_from(bytes)
        .map_err(|cause| Error::data(format!("not a roaring bitmap: {cause}")).with_cause(cause))
}
