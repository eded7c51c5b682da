//! `pg_roaringbitmap` as a row of `PostgreSQL`'s `COPY` text format: the value is a bytea in
//! hexadecimal digits, and exactly a portable bitmap. The bytes alone are the formats `roaring` and
//! `roaring64`.

use super::text;
use crate::error::{Error, Result};

/// How `COPY` text spells the `\x` before the digits of a bytea.
const COPY_MARK: &str = "\\\\x";
/// How `psql` prints it.
const SHOWN_MARK: &str = "\\x";

/// A row of one column: `bytes` as bytea.
pub(super) fn row(bytes: &[u8]) -> Vec<u8> {
    format!("{COPY_MARK}{}\n", text::to_hex(bytes)).into_bytes()
}

/// The bytes of the last column of the one row that `copy` holds.
pub(super) fn bytes(copy: &[u8]) -> Result<Vec<u8>> {
    let copy = text::utf8(copy, "a COPY file")?;
    let wrong = |what: &str| Error::data(format!("not a COPY file of one bitmap: {what}"));
    let line = copy.strip_suffix('\n').unwrap_or(copy);
    if line.contains('\n') {
        return Err(wrong("more than one row").with_hint("import one row at a time"));
    }
    let value = line.rsplit_once('\t').map_or(line, |(_, value)| value).trim_end();
    let digits = value
        .strip_prefix(COPY_MARK)
        .or_else(|| value.strip_prefix(SHOWN_MARK))
        .ok_or_else(|| wrong("no \\x before its digits"))?;
    text::from_hex(digits)
}
