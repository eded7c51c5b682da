//! The engine: what both faces use. Plain data in, plain data out.
//!
//! The command line and the server call [`Engine`] and nothing below it. Nothing here prints, reads
//! the environment or asks the clock: project folder, clock, limits and object-store settings are
//! arguments.
//!
//! - [`open`]: which project, which store, how much of the machine
//! - [`ingest`]: sources into the store
//! - [`build`]: segments into memberships
//! - [`look`]: lists, counts, queries, history, status
//! - [`warm`]: a session that keeps what it read, for many statements
//! - [`explain`]: how a segment is evaluated, and why a profile is in it
//! - [`whose`]: which profile is meant, by an identifier or its number
//! - [`lookalike`]: the profiles most like a seed
//! - [`tests`]: the project's data tests
//! - [`export`]: memberships out of the store
//! - [`import`]: ids and bitmaps from elsewhere into it
//! - [`insight`]: how segments relate to each other and to the base
//! - [`audiences`]: builds with audiences of look-alikes in their place
//! - [`care`]: optimize and vacuum
//! - [`demo`]: a made-up shop from nothing to a report

mod audiences;
pub mod build;
pub mod care;
pub mod demo;
pub mod explain;
pub mod export;
pub mod import;
pub mod ingest;
pub mod insight;
pub mod look;
pub mod lookalike;
pub mod open;
mod scores;
pub mod tests;
pub mod warm;
mod whose;

pub use crate::activation::{ExportFormat, Exported, Ids};
pub use crate::audience::{BuiltSegment, HistoryEntry, Status};
pub use crate::ingest::Ingested;
pub use crate::ingest::optimize::Optimized;
pub use crate::insight::{Attribute, Composition, Measure, Overlap, Reach};
pub use crate::lookalike::{Explanation, Lock, ReachAt, Report, Size, Standing};
pub use crate::project::config::{RejectsMax, parse_bytes};
pub use crate::project::init::init;
pub use crate::source::Progress;
pub use crate::store::vacuum::Vacuumed;
pub use build::{BuildOptions, BuildReport};
pub use demo::{DemoOptions, DemoReport, Stage};
pub use explain::{Explained, LastBuild, Steps, Why};
pub use export::{Diff, ExportRequest, ExportedSet, Moment, SetOptions};
pub use import::{ImportOptions, ImportReport};
pub use ingest::DirectSource;
pub use insight::InsightOptions;
pub use look::{Listing, Shown, StatusReport, TableStatus};
pub use lookalike::{LookalikeOptions, LookalikeReport};
pub use open::{Engine, EngineOptions};
pub use tests::TestOutcome;
pub use warm::{Leaves, Members, WarmSession, WarmUse};
