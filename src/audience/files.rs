//! Memberships and build results as files of their tables, added to a change.

use crate::error::Result;
use crate::model::{AsOf, BuildId, TableName};
use crate::store::{Change, FileLayout, Store, StoreSnapshot, encode};

use super::catalog::State;
use super::rows::{self, Part};

/// Uploads the memberships of `build`, as [`rows::memberships`] has them, and adds their file to `change`;
/// nothing where nobody is a member.
///
/// # Errors
/// Where the store cannot be written.
pub(super) async fn add_memberships<'a>(
    (store, snapshot): (&Store, &StoreSnapshot),
    (build, as_of): (BuildId, AsOf),
    segments: impl IntoIterator<Item = (&'a str, &'a str, &'a [Part])>,
    change: &mut Change,
) -> Result<()> {
    let table = TableName::Memberships;
    let schema = &snapshot.table(table)?.schema;
    let rows = rows::memberships(schema, build, as_of, segments)?;
    if rows.num_rows() > 0 {
        let encoded = encode::encode(schema, &[rows], FileLayout::of(table))?;
        let file = store.put(table, "", encoded).await?;
        change.table(table).added.push(file);
    }
    Ok(())
}

/// Uploads the states of segments, which are by name, and adds their file to `change`.
///
/// # Errors
/// Where the store cannot be written.
pub(super) async fn add_states(
    (store, snapshot): (&Store, &StoreSnapshot),
    states: &[State],
    change: &mut Change,
) -> Result<()> {
    let table = TableName::Builds;
    let schema = &snapshot.table(table)?.schema;
    let encoded = encode::encode(schema, &[rows::builds(schema, states)?], FileLayout::of(table))?;
    let file = store.put(table, "", encoded).await?;
    change.table(table).added.push(file);
    Ok(())
}
