//! From what the user wrote, a path or a glob, to the files that are there. Nothing here opens one
//! except to digest it.

use std::fs::File;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};

use crate::error::{Error, Result, nearest};

/// A file that a source reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Where it is, as resolved against the project's folder.
    pub path: PathBuf,
    /// As the user would name it: relative to the project's folder where it lies inside.
    pub shown: String,
    /// Its size in bytes, as it lies on disk.
    pub size: u64,
}

/// Globs match within one folder (`**` goes deeper), and leave hidden files alone.
const GLOB_OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// Expands a path or a glob (`*`, `?`, `[..]`, `**`) against `base`, sorted by path.
///
/// A file whose name really holds the glob characters is taken as it is. Where a glob's last part
/// begins with a wildcard, names that begin with `_` are left out: Spark and Delta keep their own
/// notes under such names.
///
/// # Errors
/// Where nothing matches (the hint names the nearest file of that folder), the path is a folder or
/// a URL, the glob is malformed, or a folder cannot be read.
pub fn resolve(pattern: &str, base: &Path) -> Result<Vec<SourceFile>> {
    let pattern = pattern.trim();
    if pattern.is_empty() {
        return Err(Error::input("the path of the source's files is empty"));
    }
    if pattern.contains("://") && !pattern.starts_with("file://") {
        return Err(Error::input(format!("{pattern} is a URL; sources read local files"))
            .with_hint("copy the files into a folder first"));
    }
    let pattern = pattern.strip_prefix("file://").unwrap_or(pattern);
    let literal = base.join(pattern);
    if literal.is_file() {
        return Ok(vec![source_file(literal, base)?]);
    }
    if literal.is_dir() {
        let inner = pattern.trim_end_matches('/');
        return Err(Error::input(format!("{pattern} is a folder, not a file"))
            .with_hint(format!("name its files: {inner}/*.csv or {inner}/**/*.parquet")));
    }
    if !pattern.contains(['*', '?', '[']) {
        return Err(missing(pattern, &literal));
    }
    let files = expand(pattern, base)?;
    if files.is_empty() { Err(missing(pattern, &literal)) } else { Ok(files) }
}

fn expand(pattern: &str, base: &Path) -> Result<Vec<SourceFile>> {
    let absolute = if Path::new(pattern).is_absolute() {
        pattern.to_owned()
    } else {
        let folder = Pattern::escape(&base.to_string_lossy());
        format!("{}/{pattern}", folder.trim_end_matches('/'))
    };
    let malformed = |cause: glob::PatternError| {
        Error::input(format!("{pattern} is no glob: {}", cause.msg)).with_hint(
            "* and ? stand for characters of one name, ** for any folders, [ab] for one of a set",
        )
    };
    let wild = pattern.rsplit('/').next().is_some_and(|name| name.starts_with(['*', '?']));
    let mut files = Vec::new();
    for entry in glob::glob_with(&absolute, GLOB_OPTIONS).map_err(malformed)? {
        let path = entry.map_err(|cause| {
            let path = cause.path().to_path_buf();
            Error::io("read", &path, cause.into())
        })?;
        let private = path.file_name().is_some_and(|name| name.as_encoded_bytes()[0] == b'_');
        if path.is_file() && !(wild && private) {
            files.push(source_file(path, base)?);
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files.dedup_by(|a, b| a.path == b.path);
    Ok(files)
}

fn source_file(path: PathBuf, base: &Path) -> Result<SourceFile> {
    let size = path.metadata().map_err(|cause| Error::io("read", &path, cause))?.len();
    let shown = path.strip_prefix(base).unwrap_or(&path).to_string_lossy().replace('\\', "/");
    Ok(SourceFile { shown: shown.strip_prefix("./").unwrap_or(&shown).to_owned(), path, size })
}

/// Says that nothing matches, and which name in that folder comes nearest.
fn missing(pattern: &str, literal: &Path) -> Error {
    let error = Error::input(format!("no file matches {pattern}"));
    let mut folder = literal.parent().unwrap_or(literal);
    let mut name = literal.file_name().unwrap_or_default().to_string_lossy();
    while !folder.is_dir() {
        let Some(parent) = folder.parent() else { return error };
        name = folder.file_name().unwrap_or_default().to_string_lossy();
        folder = parent;
    }
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    match nearest(&name, names.iter().map(String::as_str)) {
        Some(near) => error.with_hint(format!("did you mean \"{near}\"?")),
        None if names.is_empty() => error.with_hint("its folder is empty"),
        None => {
            let some = names.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
            error.with_hint(format!(
                "the folder holds {some}{}",
                if names.len() > 5 { ", ..." } else { "" }
            ))
        }
    }
}

/// The 256-bit content digest (BLAKE3) of a file as it lies on disk, in hex. Streams the file.
///
/// # Errors
/// Where the file cannot be read.
pub fn digest(file: &SourceFile) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    File::open(&file.path)
        .and_then(|reader| hasher.update_reader(reader).map(|_| ()))
        .map_err(|cause| Error::io("read", Path::new(&file.shown), cause))?;
    Ok(hasher.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        }
        dir
    }

    fn shown(pattern: &str, base: &Path) -> Vec<String> {
        resolve(pattern, base).unwrap().into_iter().map(|file| file.shown).collect()
    }

    #[test]
    fn globs_are_sorted_and_skip_private_names() {
        let dir = folder(&["in/b.csv", "in/a.csv", "in/_SUCCESS", "in/.a.crc", "in/x/c.csv"]);
        assert_eq!(shown("in/*", dir.path()), ["in/a.csv", "in/b.csv"]);
        assert_eq!(shown("in/**/*.csv", dir.path()), ["in/a.csv", "in/b.csv", "in/x/c.csv"]);
        assert_eq!(shown("in/_*", dir.path()), ["in/_SUCCESS"]);
    }

    #[test]
    fn a_name_with_brackets_is_a_name() {
        let dir = folder(&["a[1].csv"]);
        assert_eq!(shown("a[1].csv", dir.path()), ["a[1].csv"]);
    }

    #[test]
    fn a_typo_is_answered_with_the_nearest_name() {
        let dir = folder(&["data/orders.csv", "data/people.csv"]);
        let error = resolve("data/ordres.csv", dir.path()).unwrap_err();
        assert_eq!(error.message(), "no file matches data/ordres.csv");
        assert_eq!(error.hints(), ["did you mean \"orders.csv\"?"]);
        let error = resolve("dta/orders.csv", dir.path()).unwrap_err();
        assert_eq!(error.hints(), ["did you mean \"data\"?"]);
        assert!(resolve("data", dir.path()).unwrap_err().message().contains("folder"));
        assert!(resolve("s3://b/c.csv", dir.path()).is_err());
    }

    #[test]
    fn a_digest_tells_contents_apart() {
        let dir = folder(&["a", "b"]);
        let files = resolve("*", dir.path()).unwrap();
        assert_eq!(digest(&files[0]).unwrap().len(), 64);
        assert_ne!(digest(&files[0]).unwrap(), digest(&files[1]).unwrap());
        assert_eq!(digest(&files[0]).unwrap(), digest(&files[0]).unwrap());
    }
}
