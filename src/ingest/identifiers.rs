//! Identifiers that an ingest found, and conflicts: rows for the table `identifiers`.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Int32Builder, RecordBatch, StringArray, StringBuilder,
};

use crate::error::{Error, Result};
use crate::model::{Namespace, ProfileId, TableName};
use crate::store::{Change, FileLayout, Store, StoreSnapshot, encode};

/// Rows in a file of identifiers.
const FILE_ROWS: usize = 1 << 20;

/// New rows of the table `identifiers`.
#[derive(Debug, Default)]
pub(super) struct NewIdentifiers {
    ids: Int32Builder,
    namespaces: StringBuilder,
    values: StringBuilder,
    homes: BooleanBuilder,
}

impl NewIdentifiers {
    /// Adds one; `home` is false for a conflict.
    pub(super) fn push(&mut self, id: ProfileId, namespace: &Namespace, value: &str, home: bool) {
        self.ids.append_value(id.get().cast_signed());
        self.namespaces.append_value(namespace.as_str());
        self.values.append_value(value);
        self.homes.append_value(home);
    }

    /// Writes them, as found by `source`, and says how many there are.
    pub(super) async fn write(
        mut self,
        store: &Store,
        snapshot: &StoreSnapshot,
        source: &str,
        change: &mut Change,
    ) -> Result<u64> {
        let schema = Arc::clone(&snapshot.table(TableName::Identifiers)?.schema);
        let ids = self.ids.finish();
        let rows = arrow::array::Array::len(&ids);
        let sources = StringArray::from_iter_values(std::iter::repeat_n(source, rows));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(ids),
            Arc::new(self.namespaces.finish()),
            Arc::new(self.values.finish()),
            Arc::new(self.homes.finish()),
            Arc::new(sources),
        ];
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns)
            .map_err(|e| Error::internal(format!("identifiers: {e}")))?;
        for start in (0..rows).step_by(FILE_ROWS) {
            let part = batch.slice(start, FILE_ROWS.min(rows - start));
            let encoded = encode::encode(&schema, &[part], FileLayout::unsorted())?;
            let file = store.put(TableName::Identifiers, "", encoded).await?;
            change.table(TableName::Identifiers).added.push(file);
        }
        Ok(rows as u64)
    }
}
