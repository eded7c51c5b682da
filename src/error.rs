//! The one error of Throng: a kind, a message, a place, hints and a cause.
//!
//! Every room returns it; the faces alone turn it into an exit code, text or JSON. Nothing here
//! prints. A message names the thing, what was found and where; what the user may do about it is a
//! hint, kept apart so that a face can render it on a line of its own.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The result of anything in Throng that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Who has to act, and so which exit code or HTTP status an error becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// What the user wrote is wrong: a flag, a name, SQL, front matter, configuration.
    Input,
    /// The data is wrong: a file that cannot be read as what it claims to be, too many rejects.
    Data,
    /// A limit was reached: memory, rows, disk space.
    Limit,
    /// Something outside does not answer, or somebody else was faster; trying again may help.
    Unavailable,
    /// A fault of ours.
    Internal,
}

impl ErrorKind {
    /// The kind's name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Data => "data",
            Self::Limit => "limit",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }
}

/// A place in a file that the user can open: lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as the user would name it.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: Option<u64>,
    /// The column in characters, from 1.
    pub column: Option<u64>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
        }
        Ok(())
    }
}

/// What went wrong, where, and what would help.
#[derive(Debug, Clone)]
pub struct Error(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    place: Option<Place>,
    hints: Vec<String>,
    cause: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind` that says `message`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            place: None,
            hints: Vec::new(),
            cause: None,
        }))
    }

    /// The user wrote something wrong.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Input, message)
    }

    /// The data is not what it should be.
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Data, message)
    }

    /// A limit was reached.
    pub fn limit(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Limit, message)
    }

    /// Something outside does not answer, or was faster.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// A fault of ours.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// An input or output error on `path`; a full disk is a limit, a missing file is input.
    pub fn io(action: &str, path: &Path, cause: std::io::Error) -> Self {
        let kind = match cause.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::Input,
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorKind::Limit,
            _ => ErrorKind::Unavailable,
        };
        Self::new(kind, format!("cannot {action} {}: {cause}", path.display())).with_cause(cause)
    }

    /// Adds what the user may do; hints are shown in the order they were added.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hints.push(hint.into());
        self
    }

    /// Says where. The innermost place wins: one that is there already stays.
    #[must_use]
    pub fn at(mut self, file: &Path, line: Option<u64>, column: Option<u64>) -> Self {
        self.0.place.get_or_insert_with(|| Place { file: file.to_path_buf(), line, column });
        self
    }

    /// Says exactly where, in place of what was said before.
    #[must_use]
    pub fn moved_to(mut self, file: &Path, line: u64, column: u64) -> Self {
        let place = Place { file: file.to_path_buf(), line: Some(line), column: Some(column) };
        self.0.place = Some(place);
        self
    }

    /// Keeps the error that this one came from.
    #[must_use]
    pub fn with_cause(
        mut self,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.cause = Some(Arc::from(cause.into()));
        self
    }

    /// Puts `context` and a colon before the message.
    #[must_use]
    pub fn in_context(mut self, context: impl fmt::Display) -> Self {
        self.0.message = format!("{context}: {}", self.0.message);
        self
    }

    /// Who has to act.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What went wrong, without the place and the hints.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Where, if a file is to blame.
    pub fn place(&self) -> Option<&Place> {
        self.0.place.as_ref()
    }

    /// What the user may do.
    pub fn hints(&self) -> &[String] {
        &self.0.hints
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if let Some(place) = &self.0.place {
            write!(f, " ({place})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.cause.as_deref().map(|cause| cause as _)
    }
}

/// The candidate nearest to `word`, if one is near enough to be what was meant.
///
/// Near is a Damerau-Levenshtein distance of at most a third of the longer word, the measure that
/// compilers and `git` use for "did you mean".
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(&lower, &c.to_lowercase()), c))
        .filter(|(distance, c)| {
            *distance <= word.chars().count().max(c.chars().count()).div_ceil(3)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, c)| c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_names_the_place_and_keeps_the_innermost() {
        let error = Error::input("no column \"ctry\" in profiles")
            .at(Path::new("sql/segments/vip.sql"), Some(3), Some(9))
            .at(Path::new("elsewhere.sql"), None, None)
            .with_hint("did you mean \"country\"?");
        assert_eq!(error.to_string(), "no column \"ctry\" in profiles (sql/segments/vip.sql:3:9)");
        assert_eq!(error.hints(), ["did you mean \"country\"?"]);
    }

    #[test]
    fn nearest_finds_typos_and_leaves_strangers() {
        assert_eq!(nearest("desciption", ["owner", "description"]), Some("description"));
        assert_eq!(nearest("zebra", ["owner", "description"]), None);
    }
}
