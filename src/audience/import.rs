//! A membership from elsewhere becomes a segment with history like any other: one commit, one build.

use serde::Serialize;

use crate::error::Result;
use crate::membership::Membership;
use crate::membership::wire::{self, Format};
use crate::model::{AsOf, BuildId, Name, TableName};
use crate::query::{Limits, Session};
use crate::store::{Change, Committed, FileLayout, Store, StoreSnapshot, encode};

use super::catalog::{Catalog, State, Status};
use super::rows;

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
    let (store, snapshot, name) = (request.store, request.snapshot, request.name.as_str());
    let session = Session::over(store, snapshot, request.limits, request.now)?;
    let catalog = Catalog::load(&session).await?;
    let before = catalog.memberships(&session, [name]).await?.remove(name).unwrap_or_default();
    let membership = request.membership;
    let imported = Imported {
        build: BuildId(snapshot.record.last_build + 1),
        members: membership.len(),
        entered: membership.and_not_len(&before),
        exited: before.and_not_len(membership),
    };
    let digest = digest(membership);
    let state = State {
        segment: name.to_owned(),
        build: imported.build,
        as_of: request.now,
        status: Status::Imported,
        members: Some(imported.members),
        entered: Some(imported.entered),
        exited: Some(imported.exited),
        elapsed_ms: 0,
        definition: digest.clone(),
        membership_build: Some(imported.build),
        inputs: Some(digest),
        error: None,
    };
    let change = change(request, &state).await?;
    let committed = store.commit(snapshot, change).await?;
    Ok((imported, committed))
}

/// What an imported segment is defined by: its members.
fn digest(membership: &Membership) -> String {
    blake3::hash(&wire::encode(membership, Format::Roaring)).to_hex()[..16].to_owned()
}

async fn change(request: &ImportRequest<'_>, state: &State) -> Result<Change> {
    let (store, snapshot) = (request.store, request.snapshot);
    let mut change = Change::new("import", request.now);
    change.build = Some(state.build.0);
    let segment = (state.segment.as_str(), state.definition.as_str(), request.membership);
    let schema = &snapshot.table(TableName::Memberships)?.schema;
    let size = snapshot.shard_size()?;
    let rows = rows::memberships(schema, state.build, state.as_of, size, [segment])?;
    if rows.num_rows() > 0 {
        let encoded = encode::encode(schema, &[rows], FileLayout::of(TableName::Memberships))?;
        let file = store.put(TableName::Memberships, "", encoded).await?;
        change.table(TableName::Memberships).added.push(file);
    }
    let schema = &snapshot.table(TableName::Builds)?.schema;
    let rows = rows::builds(schema, std::slice::from_ref(state), snapshot.record.version)?;
    let encoded = encode::encode(schema, &[rows], FileLayout::of(TableName::Builds))?;
    let file = store.put(TableName::Builds, "", encoded).await?;
    change.table(TableName::Builds).added.push(file);
    Ok(change)
}
