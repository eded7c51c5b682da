//! The tables of a store, and the columns that Throng itself relies on.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The dense profile number, first column of every table.
pub const PROFILE_ID: &str = "profile_id";
/// The event's name.
pub const EVENT: &str = "event";
/// The event's moment, microseconds UTC.
pub const TS: &str = "ts";
/// The namespace of an identifier.
pub const NAMESPACE: &str = "namespace";
/// The value of an identifier, in its normal form.
pub const VALUE: &str = "value";

/// A table of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TableName {
    /// One row a profile, sorted by `profile_id`.
    Profiles,
    /// One row an identifier: `profile_id`, `namespace`, `value`.
    Identifiers,
    /// One row an event: `profile_id`, `event`, `ts` and what the sources brought.
    Events,
    /// One row a segment, build and shard, with the bitmap.
    Memberships,
    /// One row a segment and build: what became of it.
    Builds,
    /// One row a look-alike and profile: the score. Stores from before there were any have no such table
    /// until one is kept.
    Scores,
}

impl TableName {
    /// All tables, in the order in which they are created.
    pub const ALL: [Self; 6] = [
        Self::Profiles,
        Self::Identifiers,
        Self::Events,
        Self::Memberships,
        Self::Builds,
        Self::Scores,
    ];

    /// The table's name in SQL and its folder in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Profiles => "profiles",
            Self::Identifiers => "identifiers",
            Self::Events => "events",
            Self::Memberships => "memberships",
            Self::Builds => "builds",
            Self::Scores => "scores",
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
