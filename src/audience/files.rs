//! Memberships and build results as files of their tables, added to a change.

use std::num::NonZeroUsize;

use crate::error::Result;
use crate::model::{AsOf, BuildId, TableName};
use crate::query::{Limits, Session};
use crate::store::schema::conform;
use crate::store::{Change, DataFile, FileLayout, Store, StoreSnapshot, encode};

use super::catalog::State;
use super::rows::{self, Part};

/// So many small files of build results become one with those of the next build. Every command reads all
/// of them, and one a build would be thousands in a year of hourly builds.
const STATES_FILES_MAX: usize = 16;

/// A file of build results with so many rows is not made larger.
const STATES_ROWS_MAX: u64 = 100_000;

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

/// Uploads the states of segments, which are by name, and adds their file to `change`; small files of earlier
/// builds go into it where there are many.
///
/// # Errors
/// Where the store cannot be read or written.
pub(super) async fn add_states(
    (store, snapshot): (&Store, &StoreSnapshot),
    states: &[State],
    change: &mut Change,
) -> Result<()> {
    let name = TableName::Builds;
    let table = snapshot.table(name)?;
    let small = |file: &&DataFile| file.stats.rows < STATES_ROWS_MAX;
    let small: Vec<DataFile> = table.files.iter().filter(small).cloned().collect();
    let merged = if small.len() >= STATES_FILES_MAX { small } else { Vec::new() };
    let mut batches = Vec::new();
    if !merged.is_empty() {
        let mut part = (**table).clone();
        part.files.clone_from(&merged);
        let limits = Limits::with_threads(NonZeroUsize::MIN);
        let session = Session::over_table(store, &part, limits, change.now)?;
        let order = FileLayout::of(name).sorted_by.join(", ");
        let rows = session.plan(&format!("SELECT * FROM {name} ORDER BY {order}"), None).await?;
        for batch in rows.collect().await? {
            batches.push(conform(&batch, &table.schema)?);
        }
    }
    // No build has a number below those before it, so the file stays sorted.
    batches.push(rows::builds(&table.schema, states)?);
    let encoded = encode::encode(&table.schema, &batches, FileLayout::of(name))?;
    let file = store.put(name, "", encoded).await?;
    let change = change.table(name);
    change.added.push(file);
    change.removed.extend(merged);
    Ok(())
}
