//! Audiences: which segments there are, what each build made of them, and building them.
//!
//! The engine asks; `segment` evaluates, `store` keeps. A build is one commit: all of its memberships
//! and all that is known about them appear at once, or nothing does.
//!
//! - [`catalog`]: the last state of every segment, and its membership
//! - [`build`]: evaluates the selected segments, in order
//! - [`before`]: the last memberships of those, read ahead
//! - [`commit`]: what each gained and lost, and one commit of all
//! - [`notes`]: what an analyst may want to know of what came out
//! - [`refresh`]: only the profiles that something changed for are evaluated again
//! - [`resolve`]: the ids of a file from elsewhere become a membership
//! - [`import`]: that membership becomes a segment, in one commit
//! - [`history`]: what past builds made of a segment
//! - [`keep`]: a membership that was found by other means than SQL becomes a segment
//! - [`files`]: what a build made, as files of the tables, added to a change
//! - [`rows`]: memberships and build results as rows of their tables

mod before;
pub mod build;
pub mod catalog;
mod commit;
mod files;
pub mod history;
pub mod import;
pub mod keep;
mod notes;
mod refresh;
pub mod resolve;
pub mod rows;

pub use build::{Build, BuildRequest, BuiltSegment};
pub use catalog::{Catalog, State, Status};
pub use history::{HistoryEntry, Then};
