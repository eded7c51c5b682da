//! What past builds made of a segment.

use serde::Serialize;

use crate::error::Result;
use crate::model::BuildId;
use crate::query::Session;

use super::catalog::{State, Status, states_of};

/// A segment in one build.
#[derive(Debug, Clone, Serialize)]
pub struct HistoryEntry {
    /// The build.
    pub build: BuildId,
    /// The moment that it was pinned to, RFC 3339.
    pub as_of: String,
    /// What became of the segment.
    pub status: Status,
    /// Its members.
    pub members: Option<u64>,
    /// Members that it gained.
    pub entered: Option<u64>,
    /// Members that it lost.
    pub exited: Option<u64>,
    /// The time its evaluation took.
    pub elapsed_ms: u64,
    /// The digest of its SQL, so that a changed definition shows.
    pub definition: String,
    /// Why it failed or was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl From<State> for HistoryEntry {
    fn from(state: State) -> Self {
        Self {
            build: state.build,
            as_of: state.as_of.to_string(),
            status: state.status,
            members: state.members,
            entered: state.entered,
            exited: state.exited,
            elapsed_ms: state.elapsed_ms,
            definition: state.definition,
            error: state.error,
        }
    }
}

/// All builds of `segment`, the last one first.
///
/// # Errors
/// Where the table of builds cannot be read.
pub async fn history(session: &Session, segment: &str) -> Result<Vec<HistoryEntry>> {
    let states = states_of(session, segment).await?;
    Ok(states.into_iter().map(HistoryEntry::from).collect())
}
