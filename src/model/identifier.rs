//! Identifiers: the (namespace, value) pairs that point to profiles. Nothing here looks one up.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The kind of an identifier: `user_id`, `email`, `phone`, `anonymous_id`, ... A lower-case word
/// that may also be a column name.
///
/// ```
/// use throng::model::Namespace;
/// assert_eq!(Namespace::parse("user_id")?.as_str(), "user_id");
/// assert!(Namespace::parse("profile_id").is_err());
/// # Ok::<(), throng::error::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Namespace(String);

impl Namespace {
    /// The namespace called `name`.
    ///
    /// # Errors
    /// Where `name` is not a lower-case word (letters, digits, `_`), or is `profile_id`, which is
    /// Throng's own number and no outside identifier.
    pub fn parse(name: &str) -> Result<Self> {
        let word = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if !word {
            return Err(Error::input(format!("\"{name}\" cannot be an identifier namespace"))
                .with_hint("use lower-case letters, digits and _, such as user_id or email"));
        }
        if name == "profile_id" {
            return Err(Error::input("profile_id is Throng's own number, not a namespace")
                .with_hint("name the namespace too: --key user_id=profile_id"));
        }
        Ok(Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The normal form of a value in this namespace: outer blanks go, and an `email` is lower-cased,
    /// since no mail host in use tells the cases apart. Nothing is left of an empty value.
    pub fn normalise<'a>(&self, value: &'a str) -> Option<std::borrow::Cow<'a, str>> {
        let value = value.trim();
        if value.is_empty() {
            None
        } else if self.0 == "email" && value.chars().any(char::is_uppercase) {
            Some(value.to_lowercase().into())
        } else {
            Some(value.into())
        }
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
