//! What happened to the rows of a table since an older version of the store.

use std::collections::BTreeMap;

use deltalake::kernel::{Action, Add};
use object_store::ObjectStoreExt as _;

use crate::error::{Error, Result};
use crate::model::TableName;

use super::location::storage;
use super::record::{self, Record};
use super::table::{DataFile, TableSnapshot, of_add};
use super::{Store, StoreSnapshot};

/// The files that hold the rows which a table gained and lost.
///
/// A row that was only written anew may be in both. Files that were replaced since then lie in the
/// store until `vacuum` takes them; all that are named here are there.
#[derive(Debug, Clone, Default)]
pub struct FilesSince {
    /// Files with rows that joined the table.
    pub added: Vec<DataFile>,
    /// Files with rows that left it.
    pub removed: Vec<DataFile>,
}

impl FilesSince {
    /// Whether no row came or went.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}

/// One table's history, read forward.
#[derive(Debug, Default)]
struct Replay {
    added: BTreeMap<String, DataFile>,
    removed: Vec<String>,
    /// Files that only hold rows of others, laid out anew.
    rearranged: Vec<String>,
}

impl Store {
    /// The files with the rows that `table` gained and lost from version `since` of the store to
    /// `now`; nothing where that is not known any more: the log or a file was vacuumed, columns
    /// changed, or rows were laid out anew and then replaced.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn files_since(
        &self,
        now: &StoreSnapshot,
        table: TableName,
        since: u64,
    ) -> Result<Option<FilesSince>> {
        if since > now.record.version {
            return Ok(None);
        }
        let kept = record::versions(&self.location).await?;
        if !(since..=now.record.version).all(|version| kept.binary_search(&version).is_ok()) {
            return Ok(None);
        }
        let base = record::read(&self.location, since).await?;
        let data_version = |record: &Record| record.tables.get(&table).map(|t| t.data_version);
        if data_version(&base) == data_version(&now.record) {
            return Ok(Some(FilesSince::default()));
        }
        let mut replay = Replay::default();
        for version in since + 1..=now.record.version {
            let record = record::read(&self.location, version).await?;
            let actions = record.tables.get(&table).map(|t| &t.actions[..]).unwrap_or_default();
            if !replay.apply(actions)? {
                return Ok(None);
            }
        }
        let added: Vec<DataFile> = replay.added.into_values().collect();
        let removed = match (replay.removed.is_empty(), base.tables.get(&table)) {
            (true, _) => Vec::new(),
            (false, None) => return Ok(None),
            // A Delta log tells nothing of a removed file but its name.
            (false, Some(state)) => {
                let before = TableSnapshot::load(&self.location, table, state.version).await?;
                let files = before.files.into_iter();
                files.filter(|file| replay.removed.contains(&file.path)).collect()
            }
        };
        let current = &now.table(table)?.files;
        let is_current = |file: &DataFile| current.iter().any(|known| known.path == file.path);
        for file in added.iter().filter(|file| !is_current(file)).chain(&removed) {
            let path = self.file_path(table, file);
            match self.location.root().head(&path).await {
                Ok(_) => {}
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                Err(error) => return Err(storage(&error)),
            }
        }
        Ok(Some(FilesSince { added, removed }))
    }
}

impl Replay {
    /// Takes the actions of one commit in. False where what they did cannot be followed.
    fn apply(&mut self, actions: &[String]) -> Result<bool> {
        for line in actions {
            let action: Action = serde_json::from_str(line)
                .map_err(|e| Error::data(format!("the store log has an unknown action: {e}")))?;
            match action {
                Action::Add(Add { data_change: false, path, .. }) => self.rearranged.push(path),
                Action::Add(add) => {
                    let file = of_add(add)?;
                    self.added.insert(file.path.clone(), file);
                }
                Action::Remove(remove) if !remove.data_change => {}
                Action::Remove(remove) if self.rearranged.contains(&remove.path) => {
                    return Ok(false);
                }
                Action::Remove(remove) if self.added.remove(&remove.path).is_some() => {}
                Action::Remove(remove) => self.removed.push(remove.path),
                Action::Metadata(_) => return Ok(false),
                _ => {}
            }
        }
        Ok(true)
    }
}
