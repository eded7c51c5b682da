//! Activation: memberships leave Throng, as lists of ids or as bitmaps.
//!
//! The engine calls [`export`]. A file appears whole or not at all: it is written beside its place
//! and moved there.
//!
//! - [`mod@format`]: the formats, and which ids they can carry
//! - [`export`]: one membership into one file

pub mod export;
pub mod format;

pub use export::{Export, Exported};
pub use format::{ExportFormat, Ids};
