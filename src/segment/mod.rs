//! Segments: from a SQL file to a set of profiles.
//!
//! The audience room builds what this room evaluates. Nothing here touches the store's commits.
//! A segment's states are types, so that what is not resolved cannot be evaluated:
//!
//! - [`parse`]: a file becomes a [`Parsed`] segment that knows which tables and segments it reads
//! - [`graph`]: the order in which segments are built, cycles, and selection by name, tag and `+`
//! - [`evaluate`]: a parsed segment is planned over a session ([`Planned`]) and run into a mask
//!
//! The compiler of a later issue goes between the two steps of [`evaluate`]: plans of many segments
//! become set expressions over shared leaves, and the leaves fused passes.

pub mod evaluate;
pub mod graph;
pub mod parse;

pub use evaluate::Planned;
pub use graph::{Graph, Selector};
pub use parse::Parsed;
