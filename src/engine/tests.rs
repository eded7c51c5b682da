//! The project's data tests: queries that return offending rows, and so must return none.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::model::AsOf;
use crate::project::SqlFile;

use super::open::Engine;

/// What a test found.
#[derive(Debug, Clone, Serialize)]
pub struct TestOutcome {
    /// The test.
    pub name: String,
    /// Whether it returned no rows.
    pub passed: bool,
    /// The offending rows.
    pub rows: u64,
    /// What it is about.
    pub description: String,
    /// Why it could not run.
    #[serde(skip)]
    pub error: Option<Error>,
}

impl Engine {
    /// Runs the tests of `sql/tests`, by name.
    ///
    /// # Errors
    /// Where there are none, or no store. A test that fails is part of the result.
    pub async fn test(&self, as_of: Option<AsOf>) -> Result<Vec<TestOutcome>> {
        if self.project.tests.is_empty() {
            return Err(Error::input("the project has no tests").with_hint(
                "write one: sql/tests/no_negative_amounts.sql, a query that should return no rows",
            ));
        }
        let as_of = self.as_of(as_of)?;
        self.opened().await?;
        let mut outcomes = Vec::new();
        for file in &self.project.tests {
            let (rows, error) = match self.offending(file, as_of).await {
                Ok(rows) => (rows, None),
                Err(error) => (0, Some(error)),
            };
            outcomes.push(TestOutcome {
                name: file.name.to_string(),
                passed: rows == 0 && error.is_none(),
                rows,
                description: file.front.description().to_owned(),
                error,
            });
        }
        Ok(outcomes)
    }

    async fn offending(&self, file: &SqlFile, as_of: AsOf) -> Result<u64> {
        file.checked()?;
        let session = self.session_for(&file.text, Some(&file.path), as_of).await?;
        let mut batches = session.plan(&file.text, Some(&file.path)).await?.stream().await?;
        let mut rows = 0;
        while let Some(batch) = batches.next().await? {
            rows += batch.num_rows() as u64;
        }
        Ok(rows)
    }
}
