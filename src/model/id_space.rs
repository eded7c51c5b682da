//! Which ids a file holds, on its way in or out. Nothing here looks one up.

use std::fmt;

use crate::error::Result;

use super::identifier::Namespace;
use super::tables::PROFILE_ID;

/// Which ids a file holds.
///
/// ```
/// use throng::model::IdSpace;
/// assert_eq!(IdSpace::parse("profile_id")?, IdSpace::Profile);
/// assert_eq!(IdSpace::parse("email")?.column(), "email");
/// # Ok::<(), throng::error::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdSpace {
    /// Throng's own numbers.
    Profile,
    /// The identifiers of a namespace; a profile with two of them has two.
    Namespace(Namespace),
}

impl IdSpace {
    /// Reads `profile_id` or a namespace.
    ///
    /// # Errors
    /// Where `text` is neither.
    pub fn parse(text: &str) -> Result<Self> {
        if text == PROFILE_ID {
            Ok(Self::Profile)
        } else {
            Namespace::parse(text).map(Self::Namespace)
        }
    }

    /// The name of the column that holds them.
    pub fn column(&self) -> &str {
        match self {
            Self::Profile => PROFILE_ID,
            Self::Namespace(namespace) => namespace.as_str(),
        }
    }
}

impl fmt::Display for IdSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.column())
    }
}
