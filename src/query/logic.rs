//! Logical plans for the segment compiler: analysed and simplified, not yet optimised.
//!
//! The compiler reads what the analyst wrote, so it wants subqueries as subqueries and HAVING as a
//! filter over an aggregate. `DataFusion` checks names, coerces types, pins the time and folds
//! constants; its joins for subqueries and its push-downs would only hide the shape.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::optimizer::simplify_expressions::SimplifyExpressions;
use datafusion::optimizer::{Optimizer, OptimizerRule};

use crate::error::{Error, Result};

use super::plan::Plan;
use super::session::Session;

/// The types of `DataFusion` that the compiler reads; no other room names the crate.
pub mod df {
    pub use datafusion::common::tree_node::{
        Transformed, TransformedResult, TreeNode, TreeNodeRecursion,
    };
    pub use datafusion::common::{Column, DFSchema, JoinType, ScalarValue, TableReference};
    pub use datafusion::error::Result;
    pub use datafusion::logical_expr::expr::{
        AggregateFunction, Alias, Between, Case, Exists, InList, InSubquery, Like, ScalarFunction,
    };
    pub use datafusion::logical_expr::utils::{conjunction, disjunction, split_conjunction};
    pub use datafusion::logical_expr::{
        Aggregate, BinaryExpr, Distinct, Expr, Filter, Join, LogicalPlan, Operator, Projection,
        Subquery, SubqueryAlias, TableScan, lit,
    };
}

/// An expression that evaluates over batches.
#[derive(Debug, Clone)]
pub struct Formula {
    schema: SchemaRef,
    physical: Arc<dyn datafusion::physical_expr::PhysicalExpr>,
}

impl Formula {
    /// The value of each of `rows` rows, whose columns are those of the formula's schema in its
    /// order.
    ///
    /// # Errors
    /// Where a value cannot be computed: a division by zero, an overflow, a cast.
    pub fn evaluate(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<ArrayRef> {
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
        let failed = |e: &dyn std::fmt::Display| Error::data(format!("{e}"));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|e| failed(&e))?;
        self.physical
            .evaluate(&batch)
            .and_then(|value| value.into_array(rows))
            .map_err(|e| failed(&e))
    }

    /// The columns that it is evaluated over.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

impl Session {
    /// `expression` over columns of `schema`, which it names without a table; `now()` is pinned.
    ///
    /// # Errors
    /// Where it names a column that is not there, or has no physical form.
    pub fn formula(&self, expression: &df::Expr, schema: &Schema) -> Result<Formula> {
        let failed = |e| Error::internal(format!("{expression} has no physical form: {e}"));
        let df_schema = DFSchema::try_from(schema.clone()).map_err(failed)?;
        let physical =
            self.state().create_physical_expr(expression.clone(), &df_schema).map_err(failed)?;
        Ok(Formula { schema: Arc::new(schema.clone()), physical })
    }
}

impl Plan {
    /// The plan with names resolved, types coerced, the time pinned and constants folded.
    ///
    /// # Errors
    /// Where types do not fit.
    pub fn simplified(&self) -> Result<df::LogicalPlan> {
        let state = self.session().state();
        let rules: Vec<Arc<dyn OptimizerRule + Send + Sync>> =
            vec![Arc::new(SimplifyExpressions::new())];
        state
            .analyzer()
            .execute_and_check(self.logical().clone(), state.config_options(), |_, _| {})
            .and_then(|plan| Optimizer::with_rules(rules).optimize(plan, &state, |_, _| {}))
            .map_err(|e| self.failed(&e))
    }
}
