//! Identity: which profile an identifier points to. The ingest room asks; nothing here writes.
//!
//! An identifier's home is the profile that was made, or found, when it first arrived. Here a home is
//! found or given out; merging people is a later room's work, and never happens in silence.
//!
//! - [`keys`]: key columns as normal text
//! - [`index`]: identifier to home, in memory

pub mod index;
pub mod keys;

pub use index::{Claim, IdentityIndex};
pub use keys::key_text;
