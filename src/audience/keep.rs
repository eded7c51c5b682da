//! A membership that was found by other means than SQL becomes a segment with history: one commit,
//! one build.

use crate::error::Result;
use crate::membership::Membership;
use crate::model::{AsOf, BuildId, Name, TableName};
use crate::query::{Limits, Session};
use crate::store::{Change, Committed, Store, StoreSnapshot, TableChange};

use super::catalog::{Catalog, State, Status};
use super::files::{add_memberships, add_states};
use super::rows;

/// What to keep, and where.
#[derive(Debug)]
pub struct KeepRequest<'a> {
    /// Where it goes.
    pub store: &'a Store,
    /// The version that it is added to.
    pub snapshot: &'a StoreSnapshot,
    /// What does it, for the store's log.
    pub operation: &'a str,
    /// The segment.
    pub name: &'a Name,
    /// Its members.
    pub membership: &'a Membership,
    /// What it is defined by; the next build of what reads it compares it.
    pub definition: &'a str,
    /// The digest of all that it depends on, where that is more than what defines it.
    pub inputs: Option<&'a str>,
    /// What it is called in lists.
    pub status: Status,
    /// What `now()` was.
    pub as_of: AsOf,
    /// The clock.
    pub now: AsOf,
    /// What else joins the commit: scores.
    pub beside: Option<(TableName, TableChange)>,
    /// The time that finding it took.
    pub elapsed_ms: u64,
    /// Threads and memory.
    pub limits: Limits,
}

/// Commits the segment: its state after the commit, and whether another writer was faster. Then, as
/// after an error, nothing is committed.
///
/// # Errors
/// Where the store cannot be read or written.
pub async fn keep(request: &KeepRequest<'_>) -> Result<(State, Committed)> {
    let (store, snapshot, name) = (request.store, request.snapshot, request.name.as_str());
    let session = Session::over(store, snapshot, request.limits, request.as_of)?;
    let catalog = Catalog::load(&session).await?;
    let before = catalog.memberships(&session, [name]).await?.remove(name).unwrap_or_default();
    let membership = request.membership;
    let build = BuildId(snapshot.record.last_build + 1);
    let state = State {
        segment: name.to_owned(),
        build,
        as_of: request.as_of,
        status: request.status,
        members: Some(membership.len()),
        entered: Some(membership.and_not_len(&before)),
        exited: Some(before.and_not_len(membership)),
        elapsed_ms: request.elapsed_ms,
        definition: request.definition.to_owned(),
        membership_build: Some(build),
        inputs: Some(request.inputs.unwrap_or(request.definition).to_owned()),
        store_version: snapshot.record.version,
        error: None,
    };
    let mut change = Change::new(request.operation, request.now);
    change.build = Some(build.0);
    let place = (store, snapshot);
    let parts = rows::parts(membership, snapshot.shard_size()?);
    let segment = (name, request.definition, &parts[..]);
    add_memberships(place, (build, request.as_of), [segment], &mut change).await?;
    add_states(place, std::slice::from_ref(&state), &mut change).await?;
    if let Some((table, beside)) = &request.beside {
        *change.table(*table) = beside.clone();
    }
    let committed = store.commit(snapshot, change).await?;
    Ok((state, committed))
}

/// Commits that a segment without SQL could not be found again: it keeps what it had, and is stale. Nothing
/// is committed where that is known already, or another writer was faster.
///
/// # Errors
/// Where the store cannot be read or written.
pub async fn mark_stale(
    store: &Store,
    snapshot: &StoreSnapshot,
    (state, error): (&State, &str),
    as_of: AsOf,
    now: AsOf,
) -> Result<Option<BuildId>> {
    if state.status == Status::Stale && state.error.as_deref() == Some(error) {
        return Ok(None);
    }
    let build = BuildId(snapshot.record.last_build + 1);
    let state = State {
        build,
        as_of,
        status: Status::Stale,
        entered: Some(0),
        exited: Some(0),
        store_version: snapshot.record.version,
        error: Some(error.to_owned()),
        ..state.clone()
    };
    let mut change = Change::new("build", now);
    change.build = Some(build.0);
    add_states((store, snapshot), std::slice::from_ref(&state), &mut change).await?;
    Ok(match store.commit(snapshot, change).await? {
        Committed::Conflict(_) => None,
        Committed::Done(_) => Some(build),
    })
}
