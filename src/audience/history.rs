//! What past builds made of a segment.

use serde::Serialize;

use crate::error::Result;
use crate::membership::Membership;
use crate::model::{AsOf, BuildId};
use crate::query::Session;

use super::catalog::{State, Status, memberships_of, states_of};

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

/// The membership that a segment had after some build.
#[derive(Debug, Clone)]
pub struct Then {
    /// The build that the membership is from, which may be an earlier one.
    pub build: BuildId,
    /// The moment that it was pinned to.
    pub as_of: AsOf,
    /// The members.
    pub membership: Membership,
}

/// The membership that `segment` had after `build`; nothing where it had none yet.
///
/// # Errors
/// Where the store cannot be read, or holds a broken bitmap.
pub async fn membership_at(
    session: &Session,
    segment: &str,
    build: BuildId,
) -> Result<Option<Then>> {
    let states = states_of(session, segment).await?;
    let state = states.iter().find(|state| state.build <= build);
    let Some(from) = state.and_then(|state| state.membership_build) else { return Ok(None) };
    let as_of = states.iter().find(|s| s.build == from).map(|s| s.as_of);
    let found = memberships_of(session, from, &[segment]).await?.remove(segment);
    let as_of = as_of.or_else(|| state.map(|s| s.as_of));
    Ok(found.zip(as_of).map(|(membership, as_of)| Then { build: from, as_of, membership }))
}

/// All builds of `segment`, the last one first.
///
/// # Errors
/// Where the table of builds cannot be read.
pub async fn history(session: &Session, segment: &str) -> Result<Vec<HistoryEntry>> {
    let states = states_of(session, segment).await?;
    Ok(states.into_iter().map(HistoryEntry::from).collect())
}
