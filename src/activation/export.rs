//! One membership into one file.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{Error, Result};
use crate::membership::Membership;
use crate::model::Name;

use super::dictionary::Dictionary;
use super::format::ExportFormat;
use super::payload::{payload, written};

/// What to export.
#[derive(Debug, Clone)]
pub struct Export {
    /// The segment.
    pub name: Name,
    /// The file; it is replaced if it is there.
    pub to: PathBuf,
    /// Its format.
    pub format: ExportFormat,
}

/// What was exported.
#[derive(Debug, Clone, Serialize)]
pub struct Exported {
    /// The segment.
    pub name: String,
    /// `entered` or `exited`, where changes were exported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// The file.
    pub file: PathBuf,
    /// Its format.
    pub format: String,
    /// The ids it holds: `profile_id`, or a namespace.
    pub ids: String,
    /// The profiles in the segment, or in the part of it.
    pub members: u64,
    /// The rows of the file, or the ids in the bitmap.
    pub rows: u64,
    /// Members that have no identifier of the namespace, and so are not in the file.
    pub without_identifier: u64,
    /// The file's size.
    pub bytes: u64,
    /// The identifiers that go with a bitmap of profile ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dictionary: Option<DictionaryFile>,
}

/// A file of profile ids and identifiers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DictionaryFile {
    /// The file.
    pub file: PathBuf,
    /// The namespace.
    pub namespace: String,
    /// The version of the table of identifiers: equal versions, equal identifiers.
    pub version: u64,
    /// Its rows.
    pub rows: u64,
}

/// Writes `membership` as `export` asks, with the identifiers of `dictionary` or, without one, as
/// profile ids. Where a bitmap cannot hold the identifiers, it holds profile ids, and the dictionary
/// is written beside it.
///
/// # Errors
/// Where an id is too large for the format, or the file cannot be written. There is no half file.
pub fn export(
    membership: &Membership,
    export: &Export,
    dictionary: Option<&Dictionary>,
) -> Result<Exported> {
    let payload = payload(export.name.as_str(), membership, export.format, dictionary)?;
    whole_file(&export.to, &payload.bytes)?;
    let beside = dictionary.filter(|_| !payload.has_identifiers);
    let ids = dictionary.filter(|_| payload.has_identifiers).map(Dictionary::namespace);
    Ok(Exported {
        name: export.name.to_string(),
        part: None,
        file: export.to.clone(),
        format: export.format.to_string(),
        ids: ids.map_or("profile_id", |namespace| namespace.as_str()).to_owned(),
        members: membership.len(),
        rows: payload.rows,
        without_identifier: payload.without_identifier,
        bytes: payload.bytes.len() as u64,
        dictionary: beside
            .map(|dictionary| write_beside(&export.to, membership, dictionary))
            .transpose()?,
    })
}

/// The dictionary of `members` as a Parquet file whose name tells what it belongs to.
fn write_beside(
    to: &Path,
    members: &Membership,
    dictionary: &Dictionary,
) -> Result<DictionaryFile> {
    let (namespace, version) = (dictionary.namespace(), dictionary.version());
    let name = to.file_name().and_then(|n| n.to_str()).unwrap_or("export");
    let file = to.with_file_name(format!("{name}.{namespace}.v{version}.parquet"));
    let rows = dictionary.rows(members)?.rows;
    let count = rows.num_rows() as u64;
    whole_file(&file, &written(ExportFormat::Parquet, &dictionary.schema(), &[rows])?)?;
    Ok(DictionaryFile { file, namespace: namespace.to_string(), version, rows: count })
}

/// Writes a file beside `to` and moves it there once it is whole; makes its folder where there is none.
///
/// # Errors
/// Where the folder or the file cannot be written. Nothing is at `to` then but what was there.
pub fn whole_file(to: &Path, bytes: &[u8]) -> Result<()> {
    let folder = to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|e| Error::io("make", folder, e))?;
    let name = to.file_name().and_then(|n| n.to_str()).unwrap_or("export");
    let part = folder.join(format!(".{name}.{}.part", std::process::id()));
    let outcome = std::fs::write(&part, bytes)
        .map_err(|e| Error::io("write", &part, e))
        .and_then(|()| std::fs::rename(&part, to).map_err(|e| Error::io("write", to, e)));
    if outcome.is_err() {
        let _gone_already = std::fs::remove_file(&part);
    }
    outcome
}
