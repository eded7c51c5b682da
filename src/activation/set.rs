//! Many memberships into one folder, or one place of an object store, as a set that is there whole or
//! not at all.
//!
//! Each file is named for its content and put in place whole. `manifest.json` is put last: it names
//! the files of the set, and readers take no others. So a reader sees the old set or the new one. The
//! files of the set before stay until the next export, for those who still read it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};
use crate::membership::Membership;
use crate::model::tables::PROFILE_ID;
use crate::store::Location;

use super::dictionary::Dictionary;
use super::format::ExportFormat;
use super::payload::{payload, written};

/// The file that names the others.
pub const MANIFEST: &str = "manifest.json";
/// The version of the manifest's own layout.
const LAYOUT: u32 = 1;
/// Hexadecimal digits of the checksum that a file's name has: enough to tell contents apart.
const NAME_DIGITS: usize = 16;

/// A set of exported files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this layout.
    pub layout: u32,
    /// When it was written, RFC 3339.
    pub created_at: String,
    /// The version of the store.
    pub store_version: u64,
    /// The build whose changes are exported, where changes are.
    pub changes_since: Option<i64>,
    /// The identifiers that go with bitmaps of profile ids.
    pub dictionary: Option<ManifestDictionary>,
    /// The files.
    pub files: Vec<ManifestFile>,
    /// Files of the set before, which the next export removes.
    pub replaces: Vec<String>,
}

/// A file of a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// The segment.
    pub name: String,
    /// `members`, `entered` or `exited`.
    pub part: String,
    /// The build that its membership is from.
    pub build: i64,
    /// The moment of that build, RFC 3339.
    pub as_of: String,
    /// The format.
    pub format: String,
    /// The ids it holds: `profile_id`, or a namespace.
    pub ids: String,
    /// The profiles in it.
    pub cardinality: u64,
    /// The ids in it.
    pub rows: u64,
    /// Profiles without an identifier, which are not in it.
    pub without_identifier: u64,
    /// Its name, beside the manifest.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal digits.
    pub sha256: String,
}

/// The dictionary of a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestDictionary {
    /// Its name, beside the manifest.
    pub file: String,
    /// The namespace.
    pub namespace: String,
    /// The version of the table of identifiers.
    pub version: u64,
    /// Its rows.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal digits.
    pub sha256: String,
}

/// A membership that is exported.
#[derive(Debug, Clone)]
pub struct Item {
    /// The segment.
    pub name: String,
    /// Which part of it: `members`, `entered` or `exited`.
    pub part: &'static str,
    /// The build that it is from.
    pub build: i64,
    /// The moment of that build, RFC 3339.
    pub as_of: String,
    /// The members.
    pub membership: Membership,
}

/// A set to write.
pub struct SetRequest<'a> {
    /// The memberships.
    pub items: Vec<Item>,
    /// The formats; each membership is written in all of them.
    pub formats: &'a [ExportFormat],
    /// The identifiers, where ids other than profile ids are asked for.
    pub dictionary: Option<Arc<Dictionary>>,
    /// The folder.
    pub to: &'a Location,
    /// Whether files that an interrupted export left whole are kept.
    pub resume: bool,
    /// The version of the store.
    pub store_version: u64,
    /// The build whose changes are exported, where changes are.
    pub changes_since: Option<i64>,
    /// The clock, RFC 3339.
    pub now: String,
    /// Files that are made at the same time.
    pub threads: NonZeroUsize,
}

/// Writes a set; how many files were there already, and the manifest.
///
/// # Errors
/// Where an id is too large for a format, or the place cannot be written. The set that was there
/// before is there still.
pub async fn export_set(request: SetRequest<'_>) -> Result<(u64, Manifest)> {
    request.to.make_folder()?;
    let before = read_manifest(request.to).await?;
    let present = Arc::new(if request.resume { request.to.list().await? } else { BTreeMap::new() });
    let mut kept = 0;
    let dictionary = match &request.dictionary {
        Some(dictionary) if beside(dictionary, request.formats) => {
            let (file, was_there) = write_dictionary(&request, dictionary, &present).await?;
            kept += u64::from(was_there);
            Some(file)
        }
        _ => None,
    };
    let mut work = Vec::new();
    for item in request.items {
        let item = Arc::new(item);
        for format in request.formats {
            let (item, format, to) = (Arc::clone(&item), *format, request.to.clone());
            let (dictionary, present) = (request.dictionary.clone(), Arc::clone(&present));
            work.push(async move {
                let made =
                    tokio::task::spawn_blocking(move || made(&item, format, dictionary.as_deref()));
                let (file, bytes) = made
                    .await
                    .map_err(|e| Error::internal(format!("an export thread failed: {e}")))??;
                let was_there = present.get(&file.file) == Some(&file.bytes);
                if !was_there {
                    to.put(&to.path(&file.file), bytes.into()).await?;
                }
                Ok::<_, Error>((file, was_there))
            });
        }
    }
    let mut files = Vec::with_capacity(work.len());
    let mut done = futures::stream::iter(work).buffered(request.threads.get());
    while let Some(one) = done.next().await {
        let (file, was_there) = one?;
        kept += u64::from(was_there);
        files.push(file);
    }
    let manifest = Manifest {
        layout: LAYOUT,
        created_at: request.now,
        store_version: request.store_version,
        changes_since: request.changes_since,
        dictionary,
        replaces: replaced(before.as_ref(), &files),
        files,
    };
    let bytes = serde_json::to_vec_pretty(&manifest)
        .map_err(|e| Error::internal(format!("a manifest does not serialise: {e}")))?;
    request.to.put(&request.to.path(MANIFEST), bytes.into()).await?;
    if let Some(before) = before {
        sweep(request.to, &before, &manifest).await?;
    }
    Ok((kept, manifest))
}

/// The manifest that is there; nothing where there is none.
///
/// # Errors
/// Where the place does not answer, or holds a manifest that is none of Throng's.
pub async fn read_manifest(from: &Location) -> Result<Option<Manifest>> {
    let Some(bytes) = from.get(&from.path(MANIFEST)).await? else { return Ok(None) };
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|e| {
        Error::data(format!("{}/{MANIFEST} is no manifest of an export: {e}", from.shown()))
            .with_hint("export to another folder, or remove that file")
    })?;
    Ok(Some(manifest))
}

/// Whether bitmaps need the dictionary beside them.
fn beside(dictionary: &Dictionary, formats: &[ExportFormat]) -> bool {
    !dictionary.is_numeric() && formats.iter().any(|format| format.is_bitmap())
}

/// A file of a set, and its bytes.
fn made(
    item: &Item,
    format: ExportFormat,
    dictionary: Option<&Dictionary>,
) -> Result<(ManifestFile, Vec<u8>)> {
    let payload = payload(&item.name, &item.membership, format, dictionary)?;
    let sha256 = sha256(&payload.bytes);
    let part = if item.part == "members" { String::new() } else { format!(".{}", item.part) };
    let namespace = dictionary.filter(|_| payload.has_identifiers).map(Dictionary::namespace);
    let file = ManifestFile {
        name: item.name.clone(),
        part: item.part.to_owned(),
        build: item.build,
        as_of: item.as_of.clone(),
        format: format.to_string(),
        ids: namespace.map_or(PROFILE_ID, |n| n.as_str()).to_owned(),
        cardinality: item.membership.len(),
        rows: payload.rows,
        without_identifier: payload.without_identifier,
        // Two formats may have one ending, and the same bytes.
        file: format!(
            "{}{part}.{format}.{}.{}",
            item.name,
            &sha256[..NAME_DIGITS],
            format.extension()
        ),
        bytes: payload.bytes.len() as u64,
        sha256,
    };
    Ok((file, payload.bytes))
}

async fn write_dictionary(
    request: &SetRequest<'_>,
    dictionary: &Dictionary,
    present: &BTreeMap<String, u64>,
) -> Result<(ManifestDictionary, bool)> {
    let everybody = request.items.iter().fold(Membership::new(), |all, i| all.or(&i.membership));
    let rows = dictionary.rows(&everybody)?.rows;
    let count = rows.num_rows() as u64;
    let bytes = written(ExportFormat::Parquet, &dictionary.schema(), &[rows])?;
    let (namespace, version, sha256) =
        (dictionary.namespace(), dictionary.version(), sha256(&bytes));
    let file = ManifestDictionary {
        file: format!("ids.{namespace}.v{version}.{}.parquet", &sha256[..NAME_DIGITS]),
        namespace: namespace.to_string(),
        version,
        rows: count,
        bytes: bytes.len() as u64,
        sha256,
    };
    let was_there = present.get(&file.file) == Some(&file.bytes);
    if !was_there {
        request.to.put(&request.to.path(&file.file), Bytes::from(bytes)).await?;
    }
    Ok((file, was_there))
}

fn sha256(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        let _infallible = write!(digits, "{byte:02x}");
    }
    digits
}

impl Manifest {
    /// The names of all files that the set has.
    fn names(&self) -> BTreeSet<&str> {
        let files = self.files.iter().map(|file| file.file.as_str());
        files.chain(self.dictionary.iter().map(|d| d.file.as_str())).collect()
    }
}

/// The files of the set before that are in this one no more.
fn replaced(before: Option<&Manifest>, files: &[ManifestFile]) -> Vec<String> {
    let now: BTreeSet<&str> = files.iter().map(|file| file.file.as_str()).collect();
    let gone = before.iter().flat_map(|m| m.names()).filter(|name| !now.contains(name));
    gone.map(str::to_owned).collect()
}

/// Removes the files that the set before had already replaced.
async fn sweep(to: &Location, before: &Manifest, now: &Manifest) -> Result<()> {
    let needed: BTreeSet<&str> = now.names().into_iter().chain(before.names()).collect();
    for name in before.replaces.iter().filter(|name| !needed.contains(name.as_str())) {
        to.remove(&to.path(name)).await?;
    }
    Ok(())
}
