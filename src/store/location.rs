//! Where a store is: a path or an object-store URL, and the client for it.

use std::collections::BTreeMap;
use std::path::{Component, Path as FsPath, PathBuf};
use std::sync::Arc;

use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt as _};
use url::Url;

use crate::error::{Error, ErrorKind, Result};
use crate::model::TableName;

/// A place that holds, or will hold, a store.
#[derive(Debug, Clone)]
pub struct Location {
    shown: String,
    url: Url,
    root: Arc<dyn ObjectStore>,
    prefix: Path,
}

impl Location {
    /// Reads `text` as a URL (`s3://`, `gs://`, `az://`, `file://`, `memory://`), or else as a path
    /// below `base`. `options` are the client's settings, in the spelling of the environment
    /// variables that other tools use (`AWS_REGION`, ...).
    ///
    /// # Errors
    /// Where the URL is of a kind this build does not know.
    pub fn parse(text: &str, base: &FsPath, options: &[(String, String)]) -> Result<Self> {
        let url = if text.contains("://") {
            Url::parse(text).map_err(|e| Error::input(format!("{text} is no URL: {e}")))?
        } else {
            let path = std::path::absolute(base.join(text))
                .map_err(|e| Error::io("find", FsPath::new(text), e))?;
            let path = without_steps_up(&path);
            Url::from_directory_path(&path)
                .map_err(|()| Error::input(format!("{} is no path", path.display())))?
        };
        let (root, prefix) = object_store::parse_url_opts(&url, options.iter().cloned())
            .map_err(|e| unknown_scheme(text, &e))?;
        Ok(Self { shown: text.to_owned(), url, root: Arc::from(root), prefix })
    }

    /// Makes the folder, where the place is one on this disk.
    ///
    /// # Errors
    /// Where that cannot be done.
    pub fn make_folder(&self) -> Result<()> {
        let Ok(path) = self.url.to_file_path() else { return Ok(()) };
        std::fs::create_dir_all(&path).map_err(|e| unwritable(&path, e))
    }

    /// The place as the user wrote it.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The client, rooted where the URL's host is.
    pub fn root(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.root)
    }

    /// The URL of [`Location::root`].
    pub fn root_url(&self) -> Url {
        let mut url = self.url.clone();
        url.set_path("/");
        url
    }

    /// The folder of `table`, from the root.
    pub fn table_path(&self, table: TableName) -> Path {
        self.prefix.clone().join(table.as_str())
    }

    /// The URL of the folder of `table`.
    ///
    /// # Errors
    /// Where the table's name makes no URL.
    pub fn table_url(&self, table: TableName) -> Result<Url> {
        let mut url = self.url.clone();
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        url.join(&format!("{table}/"))
            .map_err(|e| Error::internal(format!("{url}{table}/ is no URL: {e}")))
    }

    /// The client rooted at the folder of `table`.
    pub fn table_store(&self, table: TableName) -> Arc<dyn ObjectStore> {
        Arc::new(PrefixStore::new(self.root(), self.table_path(table)))
    }

    /// The path of `name` in the store log, from the root.
    pub fn log_path(&self, name: &str) -> Path {
        self.prefix.clone().join(super::record::FOLDER).join(name)
    }

    /// The folder `name` of the store.
    pub fn folder(&self, name: &str) -> Path {
        self.prefix.clone().join(name)
    }

    /// The folder of the store log, from the root.
    pub fn log_folder(&self) -> Path {
        self.prefix.clone().join(super::record::FOLDER)
    }

    /// The path of `name`, from the root.
    pub fn path(&self, name: &str) -> Path {
        self.prefix.clone().join(name)
    }

    /// The file `name` of the store log, where the store lies on this machine.
    pub(super) fn local_log_file(&self, name: &str) -> Option<PathBuf> {
        let folder = self.url.to_file_path().ok()?;
        Some(folder.join(super::record::FOLDER).join(name))
    }

    /// The names and sizes of the objects right below this place.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn list(&self) -> Result<BTreeMap<String, u64>> {
        let prefix = (!self.prefix.as_ref().is_empty()).then_some(&self.prefix);
        let listed = self.root.list_with_delimiter(prefix).await.map_err(|e| storage(&e))?;
        let named = |meta: object_store::ObjectMeta| {
            Some((meta.location.filename()?.to_owned(), meta.size))
        };
        Ok(listed.objects.into_iter().filter_map(named).collect())
    }

    /// Writes `bytes` to `path`, whole or not at all, in place of what was there.
    ///
    /// # Errors
    /// Where the store cannot be written.
    pub async fn put(&self, path: &Path, bytes: bytes::Bytes) -> Result<()> {
        self.root.put(path, bytes.into()).await.map(drop).map_err(|e| storage(&e))
    }

    /// Removes what is at `path`, if there is anything.
    ///
    /// # Errors
    /// Where the store cannot be written.
    pub async fn remove(&self, path: &Path) -> Result<()> {
        match self.root.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(storage(&e)),
        }
    }

    /// The bytes at `path`, or nothing where there is no such object.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn get(&self, path: &Path) -> Result<Option<bytes::Bytes>> {
        match self.root.get(path).await {
            Ok(object) => Ok(Some(object.bytes().await.map_err(|e| storage(&e))?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(storage(&e)),
        }
    }

    /// Writes `bytes` to `path` unless something is there already; says whether it did.
    ///
    /// # Errors
    /// Where the store cannot be written.
    pub async fn create(&self, path: &Path, bytes: bytes::Bytes) -> Result<bool> {
        let options = object_store::PutMode::Create.into();
        match self.root.put_opts(path, bytes.into(), options).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(e) => Err(storage(&e)),
        }
    }
}

/// `path`, which is absolute, without `..`: an object store has no such step. What is before one may be a
/// link, and then the step goes up from where that leads.
fn without_steps_up(path: &FsPath) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            plain = plain.canonicalize().unwrap_or(plain);
            plain.pop();
        } else {
            plain.push(part);
        }
    }
    plain
}

fn unwritable(path: &FsPath, cause: std::io::Error) -> Error {
    Error::io("write the store in", path, cause)
        .with_hint("name another place: `location` under [store] in throng.toml")
}

fn unknown_scheme(text: &str, cause: &object_store::Error) -> Error {
    let error = Error::input(format!("cannot open a store at {text}: {cause}"));
    match text.split_once("://").map(|(scheme, _)| scheme) {
        Some("s3" | "s3a") => error.with_hint("build Throng with `--features s3`"),
        Some("gs") => error.with_hint("build Throng with `--features gcs`"),
        Some("az" | "abfs" | "abfss") => error.with_hint("build Throng with `--features azure`"),
        _ => error.with_hint("use a path, or a URL that begins with s3://, gs:// or az://"),
    }
}

/// An error of the object store in our words: a full disk is a limit, a refused write says so.
pub(super) fn storage(error: &object_store::Error) -> Error {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(link) = cause {
        if let Some(io) = link.downcast_ref::<std::io::Error>() {
            match io.kind() {
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                    return Error::limit(format!("the disk of the store is full: {io}"))
                        .with_hint("nothing was committed; free some space and run it again");
                }
                std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                    return Error::unavailable(format!("the store cannot be written: {error}"))
                        .with_hint("check the permissions of the store's folder");
                }
                _ => {}
            }
        }
        cause = link.source();
    }
    let kind = match error {
        object_store::Error::NotFound { .. } => ErrorKind::Data,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, format!("the store does not answer: {error}"))
}
