//! Memberships out of the store.

use std::path::PathBuf;

use crate::activation::export::export;
use crate::activation::{Dictionary, Export, ExportFormat, Exported, Ids};
use crate::audience::Catalog;
use crate::error::Result;
use crate::model::{Name, TableName};
use crate::query::Session;
use crate::store::StoreSnapshot;

use super::open::Engine;

/// What to export, and where to.
#[derive(Debug, Clone)]
pub struct ExportRequest {
    /// The segment.
    pub name: String,
    /// The file; it is replaced if it is there.
    pub to: PathBuf,
    /// Its format.
    pub format: ExportFormat,
    /// Which ids it holds.
    pub ids: Ids,
}

impl Engine {
    /// Exports the membership that `request` names, as its last build left it.
    ///
    /// # Errors
    /// Where it was never built, or the file cannot be written.
    pub async fn export(&self, request: &ExportRequest) -> Result<Exported> {
        let (store, snapshot) = self.opened().await?;
        let session = Session::over(&store, &snapshot, self.limits, self.now)?;
        let catalog = Catalog::load(&session).await?;
        let mut found = catalog.memberships(&session, [request.name.as_str()]).await?;
        let membership =
            found.remove(&request.name).ok_or_else(|| self.unbuilt(&request.name, &catalog))?;
        let dictionary = dictionary(&session, &snapshot, &request.ids).await?;
        let wanted = Export {
            name: Name::parse(&request.name)?,
            to: request.to.clone(),
            format: request.format,
        };
        export(&membership, &wanted, dictionary.as_ref())
    }
}

/// The dictionary of `ids`; profile ids need none.
pub(super) async fn dictionary(
    session: &Session,
    snapshot: &StoreSnapshot,
    ids: &Ids,
) -> Result<Option<Dictionary>> {
    let Ids::Namespace(namespace) = ids else { return Ok(None) };
    let version = snapshot.record.tables.get(&TableName::Identifiers).map_or(0, |t| t.data_version);
    Dictionary::load(session, namespace, version).await.map(Some)
}
