//! What an audience was asked for, kept with its model, so that the next build can ask again.

use serde::{Deserialize, Serialize};

use super::size::Size;

/// What stays when the seed or the data change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lock {
    /// The size: models learn anew, and the best so many are members.
    #[default]
    Reach,
    /// The model and the score from which on profiles are members; the size moves.
    Score,
}

/// The standing order of an audience.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// The segment that is learnt from.
    pub seed: String,
    /// The files of `sql/features`; all where it is empty, and `default` is the default recipe.
    pub features: Vec<String>,
    /// How large the audience is to be.
    pub size: Size,
    /// Whether models learn anew.
    pub relearn: bool,
    /// Segments whose members may not be in it.
    pub exclude: Vec<String>,
    /// Segments whose members are known not to belong.
    pub negatives: Vec<String>,
    /// Columns that are not learnt from.
    pub exclude_columns: Vec<String>,
    /// Columns that are learnt from although a guard would leave them out.
    pub keep_columns: Vec<String>,
    /// Columns whose groups are told, and that are not learnt from.
    pub sensitive: Vec<String>,
    /// The column by whose groups the audience is re-ranked to four fifths.
    pub four_fifths: Option<String>,
    /// Whether the seed's members join the audience.
    pub include_seed: bool,
}

impl Standing {
    /// A look-alike of `seed` with defaults for the rest.
    pub fn new(seed: impl Into<String>) -> Self {
        Self {
            seed: seed.into(),
            features: Vec::new(),
            size: Size::DEFAULT,
            relearn: true,
            exclude: Vec::new(),
            negatives: Vec::new(),
            exclude_columns: Vec::new(),
            keep_columns: Vec::new(),
            sensitive: Vec::new(),
            four_fifths: None,
            include_seed: false,
        }
    }

    /// The segments that the audience is made from, apart from those that features read.
    pub fn needs(&self) -> impl Iterator<Item = &str> {
        let others = self.negatives.iter().chain(&self.exclude);
        std::iter::once(&self.seed).chain(others).map(String::as_str)
    }
}
