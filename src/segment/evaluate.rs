//! A parsed segment is planned over a session, and run into a membership of its own.

use crate::error::{Error, Result};
use crate::membership::Membership;
use crate::query::df::LogicalPlan;
use crate::query::{Ids, Session};

use super::compile::{Opaque, Seen, compile};
use super::parse::Parsed;
use super::program::{Program, SetExpr};

/// A segment that can be evaluated.
#[derive(Debug, Clone)]
pub struct Planned {
    ids: Ids,
    uses_now: bool,
}

impl Planned {
    /// Plans `segment`; the segments it reads must be defined or declared in `session`.
    ///
    /// # Errors
    /// Where it names what is not there, or does not return `profile_id`.
    pub async fn new(session: &Session, segment: &Parsed) -> Result<Self> {
        let plan = session.plan_of(&segment.query).await?;
        Self::of(&plan)
    }

    /// The set of profiles that `plan` returns.
    ///
    /// # Errors
    /// Where it does not return `profile_id`.
    pub fn of(plan: &crate::query::Plan) -> Result<Self> {
        Ok(Self { uses_now: plan.uses_now(), ids: plan.ids()? })
    }

    /// The set of profiles that `plan` counts, where it does nothing but count profiles.
    pub fn counted(plan: &crate::query::Plan) -> Option<Self> {
        plan.counted().map(|ids| Self { uses_now: plan.uses_now(), ids })
    }

    /// The query that returns the ids.
    pub fn plan(&self) -> &crate::query::Plan {
        self.ids.plan()
    }

    /// Whether the result depends on the moment it is built for.
    pub fn uses_now(&self) -> bool {
        self.uses_now
    }

    /// The plan as the compiler reads it.
    ///
    /// # Errors
    /// Where `DataFusion` refuses the plan: types do not fit.
    pub(super) fn simplified(&self) -> Result<LogicalPlan> {
        self.ids.plan().simplified()
    }

    /// The set of the simplified `plan`, whose one column is the ids, as set algebra over leaves of
    /// `program`, or why it is not compiled.
    pub(super) fn compiled(plan: &LogicalPlan, program: &mut Program) -> Seen<SetExpr> {
        if plan.schema().field(0).data_type() != &arrow::datatypes::DataType::Int32 {
            return Err(Opaque("profile_id is computed".to_owned()));
        }
        compile(program, plan)
    }

    /// What each step before the compiler left behind: its name, and the plan as text.
    ///
    /// # Errors
    /// Where `DataFusion` refuses the plan.
    pub fn steps(&self) -> Result<Vec<(String, String)>> {
        let plan = self.ids.plan();
        let simplified = plan.simplified()?.display_indent().to_string();
        Ok(vec![
            ("the query as a set of ids".to_owned(), plan.shown()),
            ("types coerced, time pinned, constants folded".to_owned(), simplified),
        ])
    }

    /// Runs it alone, as `DataFusion` runs it: a set, without duplicates and NULL ids.
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
