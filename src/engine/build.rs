//! Segments into memberships.

use serde::Serialize;

use crate::audience::{BuiltSegment, Status};
use crate::error::Result;
use crate::model::{AsOf, millis_since};
use crate::query::placed;

use super::open::Engine;

/// What to build.
#[derive(Debug, Clone, Default)]
pub struct BuildOptions {
    /// Names, globs, `tag:x`, `+name`, `name+`; all segments where there are none.
    pub selectors: Vec<String>,
    /// What `now()` is; `throng.toml`'s, or the clock, where absent.
    pub as_of: Option<AsOf>,
    /// Whether segments whose inputs did not change are evaluated all the same.
    pub full: bool,
}

/// What a build did.
#[derive(Debug, Clone, Serialize)]
pub struct BuildReport {
    /// Its number.
    pub build: i64,
    /// What `now()` was, RFC 3339.
    pub as_of: String,
    /// The time it took.
    pub elapsed_ms: u64,
    /// Each selected segment, by name.
    pub segments: Vec<BuiltSegment>,
}

impl BuildReport {
    /// Whether every segment has the membership that it should have.
    pub fn is_good(&self) -> bool {
        self.segments.iter().all(|s| matches!(s.status, Status::Built | Status::Reused))
    }
}

impl Engine {
    /// Builds, and commits all memberships at once. `on_done` is called as each segment is done, with
    /// how many are, of how many, and its name.
    ///
    /// # Errors
    /// Where a selector names nothing, there is no store, or the commit fails. A segment that fails
    /// is part of the report.
    pub async fn build(
        &self,
        options: &BuildOptions,
        on_done: &(dyn Fn(usize, usize, &str) + Sync),
    ) -> Result<BuildReport> {
        let started = std::time::Instant::now();
        let built = self.build_in_order(options, on_done).await?;
        Ok(BuildReport {
            build: built.build.0,
            as_of: built.as_of.to_string(),
            elapsed_ms: millis_since(started),
            segments: built.segments.into_iter().map(|segment| self.placed(segment)).collect(),
        })
    }

    /// `segment` whose error says where in its file it is.
    fn placed(&self, mut segment: BuiltSegment) -> BuiltSegment {
        let file = self.project.segments.iter().find(|file| file.name.as_str() == segment.name);
        if let Some(file) = file {
            segment.error = segment.error.map(|e| placed(e, &file.text, Some(&file.path)));
        }
        segment
    }
}
