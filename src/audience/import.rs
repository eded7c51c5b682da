//! A membership from elsewhere becomes a segment with history like any other: one commit, one build.

use serde::Serialize;

use crate::error::Result;
use crate::membership::Membership;
use crate::membership::wire::{self, Format};
use crate::model::{AsOf, BuildId, Name};
use crate::query::Limits;
use crate::store::{Committed, Store, StoreSnapshot};

use super::catalog::Status;
use super::keep::{KeepRequest, keep};

/// What to keep, and where.
pub struct ImportRequest<'a> {
    /// Where it goes.
    pub store: &'a Store,
    /// The version that it is added to.
    pub snapshot: &'a StoreSnapshot,
    /// The segment.
    pub name: &'a Name,
    /// Its members.
    pub membership: &'a Membership,
    /// The clock, which is also the membership's moment.
    pub now: AsOf,
    /// Threads and memory.
    pub limits: Limits,
}

/// What an import kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// The build that it is.
    pub build: BuildId,
    /// Its members.
    pub members: u64,
    /// Members that it gained against the membership before.
    pub entered: u64,
    /// Members that it lost.
    pub exited: u64,
}

/// Commits a static segment; the segments that read it are built anew by the next build.
///
/// # Errors
/// Where the store cannot be read or written. Nothing is committed then.
///
/// The outer result is [`Committed::Conflict`]'s error where another writer was faster.
pub async fn import(request: &ImportRequest<'_>) -> Result<(Imported, Committed)> {
    let digest = digest(request.membership);
    let (state, committed) = keep(&KeepRequest {
        store: request.store,
        snapshot: request.snapshot,
        operation: "import",
        name: request.name,
        membership: request.membership,
        definition: &digest,
        inputs: None,
        beside: None,
        status: Status::Imported,
        as_of: request.now,
        now: request.now,
        elapsed_ms: 0,
        limits: request.limits,
    })
    .await?;
    let imported = Imported {
        build: state.build,
        members: request.membership.len(),
        entered: state.entered.unwrap_or(0),
        exited: state.exited.unwrap_or(0),
    };
    Ok((imported, committed))
}

/// What an imported segment is defined by: its members.
fn digest(membership: &Membership) -> String {
    blake3::hash(&wire::encode(membership, Format::Roaring)).to_hex()[..16].to_owned()
}
