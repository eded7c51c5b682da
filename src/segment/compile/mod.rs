//! The compiler: a simplified plan becomes set algebra over leaves.
//!
//! A plan is read from its scans upwards. Each node is one of two [`relation::Relation`]s: rows of
//! events, or one row a profile. What a node does to them is done to their description: a filter adds
//! conditions, a GROUP BY turns event rows into aggregates, a join on `profile_id` restricts one side
//! to the profiles of the other. At the top stands a [`SetExpr`].
//!
//! - [`relation`]: what the rows of a node are; scans, projections, filters, grouping
//! - [`condition`]: a WHERE or HAVING as set algebra, with SQL's rules for NULL
//! - [`aggregate`]: which aggregates there are, and CASE as a filter of rows
//! - [`join`]: semi, anti, inner and outer joins on `profile_id`
//! - [`ranked`]: ORDER BY with LIMIT over profiles
//! - [`local`]: other queries that never look at two profiles at once
//! - [`window`]: the least or greatest of a profile's rows from here on, or until here
//! - [`sequence`]: two events with a time between them
//!
//! Nothing here runs anything. What is not recognised is an [`Opaque`] with the reason, and runs as
//! `DataFusion` runs it.

pub mod aggregate;
pub mod condition;
pub mod join;
pub mod local;
pub mod ranked;
pub mod relation;
pub mod sequence;
pub mod window;

use std::fmt;

use crate::query::df::{Expr, LogicalPlan};

use super::program::{Program, SetExpr};

/// Why a plan is not compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opaque(pub String);

impl fmt::Display for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A part of a plan in the compiler's terms, or why it is not.
pub type Seen<T> = Result<T, Opaque>;

pub(super) fn opaque<T>(why: impl Into<String>) -> Seen<T> {
    Err(Opaque(why.into()))
}

/// The compiler of one build.
#[derive(Debug)]
pub struct Compiler<'a> {
    /// Where leaves go.
    pub(super) program: &'a mut Program,
}

/// Puts the set of profile ids that `plan` returns into `program`: its one column is `profile_id`.
///
/// # Errors
/// Where the plan is not recognised, and why. Leaves that were found until then may stay in the
/// program; callers give a copy and keep it on success.
pub fn compile(program: &mut Program, plan: &LogicalPlan) -> Seen<SetExpr> {
    Compiler { program }.set_of(plan, 0)
}

/// Whether `expression` is the id of a profile, of either table.
pub(super) fn is_profile_id(expression: &Expr) -> bool {
    matches!(expression, Expr::Column(c) if c.name == crate::model::tables::PROFILE_ID)
}
