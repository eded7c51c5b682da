//! Names of segments, sources and features: the stem of their SQL file.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A name that is safe as a file, a SQL identifier and a URL part: letters, digits, `_` and `-`.
///
/// ```
/// use throng::model::Name;
/// assert!(Name::parse("01_core_adults").is_ok());
/// assert!(Name::parse("../secrets").is_err());
/// # Ok::<(), throng::error::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Name(String);

impl Name {
    /// The longest name, in characters; file systems stop at 255 bytes with suffixes.
    pub const CHARS_MAX: usize = 128;

    /// Checks `name`.
    ///
    /// # Errors
    /// Where `name` is empty, longer than [`Name::CHARS_MAX`], or holds anything but ASCII letters,
    /// digits, `_` and `-`.
    pub fn parse(name: &str) -> Result<Self> {
        let fits = !name.is_empty()
            && name.len() <= Self::CHARS_MAX
            && !name.starts_with('-')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        if fits {
            Ok(Self(name.to_owned()))
        } else {
            Err(Error::input(format!("\"{name}\" cannot be a name"))
                .with_hint("use letters, digits, _ and -, at most 128 of them"))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
