//! Activation: memberships leave Throng, as lists of ids or as bitmaps.
//!
//! The engine calls [`export()`] for one file. A file appears whole or not at all: it is written
//! beside its place and moved there.
//!
//! - [`mod@format`]: the formats, and which ids they can carry
//! - [`dictionary`]: the identifiers of a namespace by profile
//! - [`payload`]: a membership as the bytes of a file
//! - [`mod@export`]: one membership into one file
//! - [`set`]: many memberships into one folder, with a manifest

pub mod dictionary;
pub mod export;
pub mod format;
pub mod payload;
pub mod set;

pub use dictionary::Dictionary;
pub use export::{DictionaryFile, Export, Exported, export, whole_file};
pub use format::{ExportFormat, Ids};
pub use set::Manifest;
