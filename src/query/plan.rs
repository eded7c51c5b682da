//! A planned query, and running it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, AsArray as _, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan, LogicalPlanBuilder, Sort, ident};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt as _;

use crate::error::{Error, Result};
use crate::membership::Mask;
use crate::model::tables::PROFILE_ID;
use crate::source::{FILE_COLUMN, LINE_COLUMN};

use super::errors::Sql;
use super::session::Session;
use super::written::{Written, mentions};

/// The functions that tell the time.
const CLOCKS: [&str; 3] = ["now", "current_date", "current_time"];

/// A query that parses and names only what is there.
#[derive(Debug, Clone)]
pub struct Plan {
    session: Session,
    logical: LogicalPlan,
    text: String,
    file: Option<PathBuf>,
}

/// A plan that returns profile ids, and so a set of profiles.
#[derive(Debug, Clone)]
pub struct Ids(Plan);

impl Plan {
    pub(super) async fn new(session: &Session, query: &Written) -> Result<Self> {
        let sql = query.sql();
        let planned = session.state().statement_to_plan(query.statement().clone()).await;
        let logical = planned.map_err(|e| sql.error_among(&e, session))?;
        SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false)
            .verify_plan(&logical)
            .map_err(|_| {
                sql.place(Error::input("only queries can be run here"), None)
                    .with_hint("begin with SELECT or WITH; data comes in through `throng ingest`")
            })?;
        if mentions(sql.text, "over") && filters_by_window(&logical) {
            return Err(sql.window_in_filter());
        }
        let (text, file) = (sql.text.to_owned(), sql.file.map(Path::to_path_buf));
        Ok(Self { session: session.clone(), logical, text, file })
    }

    fn sql(&self) -> Sql<'_> {
        Sql { text: &self.text, file: self.file.as_deref() }
    }

    /// Whether `word`, which is lower-case ASCII, is anywhere in the text of the query.
    pub(super) fn mentions(&self, word: &str) -> bool {
        mentions(&self.text, word)
    }

    /// The plan as text, a node a line.
    pub fn shown(&self) -> String {
        self.logical.display_indent().to_string()
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    pub(super) fn logical(&self) -> &LogicalPlan {
        &self.logical
    }

    pub(super) fn failed(&self, error: &datafusion::error::DataFusionError) -> Error {
        self.sql().error_among(error, &self.session)
    }

    pub(super) fn with(&self, logical: LogicalPlan) -> Self {
        Self { logical, ..self.clone() }
    }

    /// The query's columns.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(self.logical.schema().inner())
    }

    /// The query as a set of profiles: its column `profile_id`, without order or duplicates.
    ///
    /// # Errors
    /// Where the query has no column of that name, more than one, or one that holds no integers.
    pub fn ids(&self) -> Result<Ids> {
        let schema = self.logical.schema();
        let found: Vec<_> = schema.iter().filter(|(_, field)| field.name() == PROFILE_ID).collect();
        let (qualifier, field) = match found[..] {
            [one] => one,
            [] => return Err(self.without_ids()),
            _ => {
                return Err(self
                    .sql()
                    .place(
                        Error::input("the query returns profile_id more than once"),
                        self.sql().find_ids(),
                    )
                    .with_hint("select one of them: SELECT a.profile_id FROM ..."));
            }
        };
        if !field.data_type().is_integer() && field.data_type() != &DataType::Null {
            let message = format!("profile_id is {} here, not an integer", field.data_type());
            return Err(self.sql().place(Error::input(message), self.sql().find_ids()).with_hint(
                "it is the number that profiles and events have; the table identifiers tells whose an e-mail is",
            ));
        }
        let column = Expr::from((qualifier, field));
        let projected = LogicalPlanBuilder::from(as_set(self.logical.clone()))
            .project([column])
            .and_then(LogicalPlanBuilder::build)
            .map_err(|e| self.sql().error(&e))?;
        Ok(Ids(self.with(as_set(projected))))
    }

    fn without_ids(&self) -> Error {
        let schema = self.schema();
        let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        let error =
            Error::input(format!("the query has no column profile_id, only {}", names.join(", ")));
        self.sql().place(error, None).with_hint("a segment is a query that returns profile_id")
    }

    /// Whether the query asks what time it is.
    pub fn uses_now(&self) -> bool {
        let mut uses = false;
        let visited = self.logical.apply_with_subqueries(|node| {
            node.apply_expressions(|expression| {
                expression.apply(|e| {
                    uses |= matches!(e, Expr::ScalarFunction(f) if CLOCKS.contains(&f.name()));
                    Ok(TreeNodeRecursion::Continue)
                })
            })
        });
        uses || visited.is_err()
    }

    /// The query with the columns `_file` and `_line` of the one file that each of its rows comes
    /// from, or nothing where rows do not come from one line each (joins, aggregates, DISTINCT).
    pub fn with_origin(&self) -> Option<Self> {
        carry_origin(&self.logical).map(|logical| self.with(logical))
    }

    /// Runs the query.
    ///
    /// # Errors
    /// Where it cannot be planned; what fails later is an item of the stream.
    pub async fn stream(&self) -> Result<Batches> {
        let exec = self.physical().await?;
        let context = self.session.state().task_ctx();
        let stream = execute_stream(exec, context).map_err(|e| self.sql().error(&e))?;
        Ok(Batches { stream, plan: self.clone() })
    }

    /// Runs the query and keeps all of its rows.
    ///
    /// # Errors
    /// As [`Plan::stream`], or where a batch fails.
    pub async fn collect(&self) -> Result<Vec<RecordBatch>> {
        let mut stream = self.stream().await?;
        let mut batches = Vec::new();
        while let Some(batch) = stream.next().await? {
            batches.push(batch);
        }
        Ok(batches)
    }

    /// Runs the query: the first column of its rows as text, without nulls.
    ///
    /// # Errors
    /// As [`Plan::collect`], or where that column is no text and cannot be written as text.
    pub async fn texts(&self) -> Result<Vec<String>> {
        let mut texts = Vec::new();
        for batch in self.collect().await? {
            let column = cast(batch.column(0), &DataType::Utf8)
                .map_err(|e| Error::data(format!("a column is no text: {e}")))?;
            texts.extend(column.as_string::<i32>().iter().flatten().map(str::to_owned));
        }
        Ok(texts)
    }

    /// Runs a query that counts: the one integer that it returns.
    ///
    /// # Errors
    /// Where the query fails, or returns anything else.
    pub async fn single_count(&self) -> Result<u64> {
        let batches = self.collect().await?;
        let [batch] = &batches[..] else { return Err(self.no_count()) };
        if batch.num_rows() != 1 || batch.num_columns() != 1 {
            return Err(self.no_count());
        }
        let column = cast(batch.column(0), &DataType::Int64).map_err(|_| self.no_count())?;
        let column = column.as_primitive::<Int64Type>();
        if column.is_null(0) {
            return Err(self.no_count());
        }
        u64::try_from(column.value(0)).map_err(|_| self.no_count())
    }

    fn no_count(&self) -> Error {
        self.sql()
            .place(Error::input("the query returns neither profile_id nor one number"), None)
            .with_hint("name profile_id among its columns, or select one number: count(*)")
    }

    async fn physical(&self) -> Result<Arc<dyn ExecutionPlan>> {
        self.session
            .state()
            .create_physical_plan(&self.logical)
            .await
            .map_err(|e| self.sql().error_among(&e, &self.session))
    }
}

/// The batches of a running query, its errors in our words.
pub struct Batches {
    stream: SendableRecordBatchStream,
    plan: Plan,
}

impl Batches {
    /// The next batch, or nothing after the last.
    ///
    /// # Errors
    /// Where the query fails on its way.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        self.stream.next().await.transpose().map_err(|e| self.plan.sql().error(&e))
    }

    /// The columns.
    pub fn schema(&self) -> SchemaRef {
        self.stream.schema()
    }
}

impl std::fmt::Debug for Batches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batches").field("plan", &self.plan.logical).finish_non_exhaustive()
    }
}

impl Ids {
    /// A plan whose only column is `profile_id`.
    pub(super) fn of(plan: Plan) -> Self {
        Self(plan)
    }

    /// The query that returns the ids; its one column is `profile_id`.
    pub fn plan(&self) -> &Plan {
        &self.0
    }

    /// Runs the query into a mask: duplicates and NULL ids vanish.
    ///
    /// # Errors
    /// Where the query fails, or an id is negative or above the largest there can be.
    pub async fn mask(&self) -> Result<Mask> {
        let mut mask = Mask::new();
        let mut batches = self.0.stream().await?;
        while let Some(batch) = batches.next().await? {
            let sql = self.0.sql();
            insert(&mut mask, batch.column(0)).map_err(|e| sql.place(e, sql.find_ids()))?;
        }
        Ok(mask)
    }
}

/// Whether WHERE or HAVING holds a window function, which no row has a value of yet.
fn filters_by_window(plan: &LogicalPlan) -> bool {
    let mut found = false;
    let visited = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Filter(filter) = node {
            found |= filter
                .predicate
                .exists(|e| Ok(matches!(e, Expr::WindowFunction(_))))
                .unwrap_or_default();
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found && visited.is_ok()
}

fn insert(mask: &mut Mask, ids: &Arc<dyn Array>) -> Result<()> {
    if ids.data_type() == &DataType::Int32 {
        return mask.insert_ids(ids.as_primitive());
    }
    let wide = cast(ids, &DataType::Int64)
        .map_err(|e| Error::data(format!("profile_id holds no integers: {e}")))?;
    mask.insert_i64(wide.as_primitive::<Int64Type>())
}

/// `plan` without the DISTINCT and ORDER BY at its top, which a set does not need. An ORDER BY with
/// a LIMIT chooses rows and stays.
fn as_set(plan: LogicalPlan) -> LogicalPlan {
    match plan {
        LogicalPlan::Distinct(Distinct::All(input))
        | LogicalPlan::Sort(Sort { input, fetch: None, .. }) => as_set(Arc::unwrap_or_clone(input)),
        LogicalPlan::Projection(mut projection) => {
            // The columns stay what they were, and so does the schema.
            projection.input = Arc::new(as_set(Arc::unwrap_or_clone(projection.input)));
            LogicalPlan::Projection(projection)
        }
        other => other,
    }
}

/// `plan` with the origin columns at its end, where it is rows of one scan filtered and computed.
fn carry_origin(plan: &LogicalPlan) -> Option<LogicalPlan> {
    let has_origin = |plan: &LogicalPlan| {
        plan.schema().has_column_with_unqualified_name(FILE_COLUMN)
            && plan.schema().has_column_with_unqualified_name(LINE_COLUMN)
    };
    let built = match plan {
        LogicalPlan::TableScan(_) => return has_origin(plan).then(|| plan.clone()),
        LogicalPlan::Projection(projection) => {
            let input = carry_origin(&projection.input)?;
            let mut columns = projection.expr.clone();
            for name in [FILE_COLUMN, LINE_COLUMN] {
                if !plan.schema().has_column_with_unqualified_name(name) {
                    columns.push(ident(name));
                }
            }
            LogicalPlanBuilder::from(input).project(columns)
        }
        LogicalPlan::Filter(filter) => {
            let input = carry_origin(&filter.input)?;
            LogicalPlanBuilder::from(input).filter(filter.predicate.clone())
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let input = carry_origin(&alias.input)?;
            LogicalPlanBuilder::from(input).alias(alias.alias.clone())
        }
        LogicalPlan::Limit(_) | LogicalPlan::Sort(_) => {
            let [input] = plan.inputs()[..] else { return None };
            let input = carry_origin(input)?;
            let expressions = plan.expressions();
            return plan.with_new_exprs(expressions, vec![input]).ok();
        }
        _ => return None,
    };
    built.and_then(LogicalPlanBuilder::build).ok().filter(has_origin)
}
