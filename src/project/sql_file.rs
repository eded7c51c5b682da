//! The SQL files of a project, by kind.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::model::Name;

use super::front_matter::FrontMatter;

/// The largest SQL file that is read; a larger one is no query somebody wrote.
const BYTES_MAX: u64 = 4 << 20;

/// What a SQL file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Shapes files into profiles or events.
    Source,
    /// Returns the members of a segment.
    Segment,
    /// Returns columns that look-alikes may learn from.
    Feature,
    /// Returns offending rows, and so must return none.
    Test,
}

impl Kind {
    /// The folder below the project.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Source => "sql/sources",
            Self::Segment => "sql/segments",
            Self::Feature => "sql/features",
            Self::Test => "sql/tests",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Segment => "segment",
            Self::Feature => "feature",
            Self::Test => "test",
        })
    }
}

/// One SQL file: a name, its text and its front matter.
#[derive(Debug, Clone)]
pub struct SqlFile {
    /// The file's stem.
    pub name: Name,
    /// The path below the project, for messages.
    pub path: PathBuf,
    /// The text, front matter and all, so that positions in it are positions in the file.
    pub text: String,
    /// What its head says.
    pub front: FrontMatter,
    fault: Option<Error>,
}

impl SqlFile {
    /// The file, or what is wrong with its encoding or front matter.
    ///
    /// # Errors
    /// Where the file is no UTF-8, or its front matter is wrong.
    pub fn checked(&self) -> Result<&Self> {
        self.fault.clone().map_or(Ok(self), Err)
    }
}

/// The files of `kind` below `root`, by name; folders within are searched too.
pub(super) fn load(root: &Path, kind: Kind) -> Result<Vec<SqlFile>> {
    let mut paths = Vec::new();
    collect(&root.join(kind.folder()), &mut paths)?;
    let mut files = paths.iter().map(|path| read(root, kind, path)).collect::<Result<Vec<_>>>()?;
    files.sort_by(|a, b| a.name.cmp(&b.name));
    let folded = |f: &SqlFile| f.name.as_str().to_lowercase();
    files.sort_by_key(folded);
    if let Some(pair) = files.windows(2).find(|p| folded(&p[0]) == folded(&p[1])) {
        let message = format!("two {kind}s are called {}", pair[1].name);
        return Err(Error::input(message)
            .at(&pair[1].path, None, None)
            .with_hint(format!("the other is {}; rename one of them", pair[0].path.display())));
    }
    Ok(files)
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io("read", folder, e)),
    };
    for entry in entries {
        let path = entry.map_err(|e| Error::io("read", folder, e))?.path();
        let hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
        if hidden {
            continue;
        }
        if path.is_dir() {
            collect(&path, paths)?;
        } else if path.extension().is_some_and(|e| e == "sql") {
            paths.push(path);
        }
    }
    Ok(())
}

fn read(root: &Path, kind: Kind, path: &Path) -> Result<SqlFile> {
    let shown = path.strip_prefix(root).unwrap_or(path).to_path_buf();
    let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
    let name = Name::parse(stem).map_err(|e| e.at(&shown, None, None))?;
    let text = text(path, &shown);
    let front = text
        .as_ref()
        .map_err(Error::clone)
        .and_then(|text| FrontMatter::parse(text, kind, &shown, stem));
    let fault = front.as_ref().err().cloned();
    Ok(SqlFile {
        name,
        path: shown,
        text: text.unwrap_or_default(),
        front: front.unwrap_or_default(),
        fault,
    })
}

fn text(path: &Path, shown: &Path) -> Result<String> {
    let size = std::fs::metadata(path).map_err(|e| Error::io("read", shown, e))?.len();
    if size > BYTES_MAX {
        let message = format!("the file has {size} bytes; a SQL file may have {BYTES_MAX}");
        return Err(Error::limit(message).at(shown, None, None));
    }
    let bytes = std::fs::read(path).map_err(|e| Error::io("read", shown, e))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let before = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = before.split(|b| *b == b'\n').count() as u64;
        Error::input("the file is not UTF-8")
            .at(shown, Some(line), None)
            .with_hint("save it as UTF-8")
    })?;
    Ok(super::without_mark(&text).to_owned())
}
