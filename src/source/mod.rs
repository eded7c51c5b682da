//! Sources: the user's files, whatever their format, as Arrow record batches.
//!
//! The life of a source: its path or glob is resolved to files ([`resolve`]); [`SourceTable::open`]
//! tells their format, their columns and types; [`SourceTable::read`] streams batches, and what is
//! no row goes to [`Rejects`] with its file, line and reason. The query room makes a table of it,
//! ingest a report. Nothing here knows SQL, writes a file, prints or asks the clock, and no read
//! holds more than a batch of a file.
//!
//! - `files`, `input`: paths and globs; bytes, unpacked and decoded
//! - `options`, `types`: what the front matter says about the files
//! - `records`, `dialect`, `delimited`: CSV and its kin
//! - `ndjson`, `json_row`: an object a line
//! - `parquet_file`, `widen`, `convert`: Parquet, and its types brought to ours
//! - `numbers`, `times`, `guess`: values of text, and what type they have
//! - `column`, `rows`: values and rows into arrays and batches
//! - [`shop`]: a made-up shop, for the demo and the benches
//! - `table`, `names`, `rejects`: several files as one table, its columns, what did not fit

mod column;
mod convert;
mod delimited;
mod dialect;
mod files;
mod guess;
mod input;
mod json_row;
mod names;
mod ndjson;
mod numbers;
mod options;
mod parquet_file;
mod records;
mod rejects;
mod rows;
pub mod shop;
mod table;
#[cfg(test)]
mod tests;
mod times;
mod types;
mod widen;

pub use files::{SourceFile, digest, resolve};
pub use names::{FILE_COLUMN, LINE_COLUMN};
pub use options::{DecimalMark, Delimiter, FileFormat, NO_QUOTE, ReadOptions};
pub use rejects::{Progress, Reject, Rejects};
pub use table::{Batches, SourceTable};
pub use types::parse_type;
