//! A parsed segment is planned over a session, and run into a membership.

use crate::error::{Error, Result};
use crate::membership::Membership;
use crate::query::{Ids, Session};

use super::parse::Parsed;

/// A segment that can be evaluated.
#[derive(Debug, Clone)]
pub struct Planned {
    ids: Ids,
    uses_now: bool,
}

impl Planned {
    /// Plans `segment`; the segments it reads must be defined in `session`.
    ///
    /// # Errors
    /// Where it names what is not there, or does not return `profile_id`.
    pub async fn new(session: &Session, segment: &Parsed) -> Result<Self> {
        let plan = session.plan(&segment.file.text, Some(&segment.file.path)).await?;
        Ok(Self { uses_now: plan.uses_now(), ids: plan.ids()? })
    }

    /// Whether the result depends on the moment it is built for.
    pub fn uses_now(&self) -> bool {
        self.uses_now
    }

    /// Runs it: a set, without duplicates and NULL ids.
    ///
    /// # Errors
    /// Where the query fails, or returns an id that no profile can have.
    pub async fn evaluate(&self) -> Result<Membership> {
        let mask = self.ids.mask().await?;
        tokio::task::spawn_blocking(move || mask.to_membership())
            .await
            .map_err(|e| Error::internal(format!("an encoding thread failed: {e}")))
    }
}
