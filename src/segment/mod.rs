//! Segments: from a SQL file to a set of profiles.
//!
//! The audience room builds what this room evaluates. Nothing here touches the store's commits.
//! A segment's states are types, so that what is not resolved cannot be evaluated:
//!
//! - [`parse`]: a file becomes a [`Parsed`] segment that knows which tables and segments it reads
//! - [`graph`]: the order in which segments are built, cycles, and selection by name, tag and `+`
//! - [`evaluate`]: a parsed segment is planned over a session ([`Planned`])
//! - [`compile`]: a plan becomes set algebra over leaves, or is opaque
//! - [`program`]: the leaves, filters and aggregates of all segments, each once
//! - [`pass`]: a program evaluated in one scan of profiles and one of events
//! - [`explain`]: leaves in words, and what decides one profile
//! - [`touch`]: what can have moved a profile into a segment or out of it since an earlier build
//! - [`verdict`]: what rows that came say of it by themselves
//! - [`refresh`]: the profiles whom a refresh has to look at again
//! - [`doubts`]: why a set is empty
//! - [`batch`]: many segments planned, compiled and evaluated together

pub mod batch;
pub mod compile;
pub mod doubts;
pub mod evaluate;
pub mod explain;
pub mod graph;
pub mod parse;
pub mod pass;
pub mod program;
pub mod refresh;
pub mod touch;
mod verdict;

pub use batch::{Batch, BatchRun};
pub use doubts::{Doubts, Effort, unknown_events};
pub use evaluate::Planned;
pub use graph::{Graph, Selector};
pub use parse::Parsed;
pub use refresh::{Changes, Touched};
pub use touch::Touch;
