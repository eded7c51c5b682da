//! The default recipe of features, for projects that have no `sql/features`: queries over whatever
//! columns `profiles` and `events` have. It is SQL like anybody's, and can be shown and kept.

use arrow::array::{Array as _, AsArray as _};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};

use crate::error::{Error, Result};
use crate::model::tables::{EVENT, PROFILE_ID, TS};
use crate::query::Session;

use super::features::FeatureQuery;

/// Event names that get columns of their own, the most widespread first.
const EVENTS_MAX: usize = 12;

/// Columns of events that get sums, or counts of words.
const COLUMNS_MAX: usize = 6;

/// Words of a column that get a count each, the most frequent first.
const WORDS_MAX: usize = 12;

/// Words up to which a column is one of words and not of items.
const WORDS_FEW: i64 = 24;

/// Items that a column may have; more are numbers of sessions or messages, which nobody shares.
const ITEMS_MAX: i64 = 100_000;

/// Days of the windows that activity is counted in.
const WINDOW_DAYS: [u32; 3] = [30, 90, 365];

/// Days on which somebody did anything. Grouped twice: to count DISTINCT days, `DataFusion` keeps a set
/// of them for each profile, which took thirty times the memory.
const DAYS: &str = "SELECT profile_id, count(*) AS active_days,
    date_part('epoch', max(day) - min(day)) / 86400.0 / nullif(count(*) - 1, 0) AS mean_gap_days
FROM (SELECT DISTINCT profile_id, date_trunc('day', ts) AS day FROM events WHERE ts <= now()) AS days
GROUP BY profile_id";

/// Whether a column holds ids: they are names, and a sum or a mean of them says nothing.
fn is_id(column: &str) -> bool {
    let lower = column.to_lowercase();
    lower == "id" || lower.ends_with("_id")
}

fn query(name: &str, sql: String, items: bool) -> FeatureQuery {
    FeatureQuery { name: name.to_owned(), sql, file: None, items }
}

/// The queries, over the tables that `session` has.
///
/// # Errors
/// Where the tables cannot be read.
pub(crate) async fn queries(session: &Session) -> Result<Vec<FeatureQuery>> {
    let mut found = vec![query("attributes", "SELECT * FROM profiles".to_owned(), false)];
    let events = words(session, &top(EVENT, EVENTS_MAX)).await?;
    if events.is_empty() {
        return Ok(found);
    }
    let mut columns = activity();
    columns.extend(events.iter().flat_map(|event| by_event(event)));
    let plan = session.plan("SELECT * FROM events", None).await?;
    let (mut numbers, mut wordy) = (0, 0);
    for field in plan.schema().fields() {
        let column = field.name().as_str();
        if [PROFILE_ID, EVENT, TS].contains(&column) {
            continue;
        }
        let numeric = field.data_type().is_numeric();
        let is_word =
            is_id(column) || matches!(field.data_type(), DataType::Utf8 | DataType::Utf8View);
        if is_word && wordy < COLUMNS_MAX {
            wordy += 1;
            let (own, items) = by_word(session, column, numeric).await?;
            columns.extend(own);
            found.extend(items);
        } else if numeric && !is_word && numbers < COLUMNS_MAX {
            numbers += 1;
            columns.extend(sums(column));
        }
    }
    found.push(query("days", DAYS.to_owned(), false));
    let sql = format!(
        "SELECT profile_id,\n    {}\nFROM events\nWHERE ts <= now()\nGROUP BY profile_id",
        columns.join(",\n    ")
    );
    found.push(query("activity", sql, false));
    Ok(found)
}

/// How often, and how long ago, somebody did `event`.
fn by_event(event: &str) -> [String; 2] {
    let (word, counted) = (text(event), name(&format!("{event}_events")));
    let since = name(&format!("days_since_{event}"));
    [
        format!("count(*) FILTER (WHERE event = {word}) AS {counted}"),
        format!(
            "date_part('epoch', now() - max(ts) FILTER (WHERE event = {word})) / 86400.0 AS {since}"
        ),
    ]
}

/// A count for each word of a column that has few, and a query of items for one that has many.
async fn by_word(
    session: &Session,
    column: &str,
    numeric: bool,
) -> Result<(Vec<String>, Option<FeatureQuery>)> {
    let quoted = if numeric { format!("CAST({} AS TEXT)", name(column)) } else { name(column) };
    let sql = format!("SELECT approx_distinct({quoted}) FROM events");
    let distinct = number(session, &sql).await?;
    if (2..=WORDS_FEW).contains(&distinct) {
        let words = words(session, &top(column, WORDS_MAX)).await?;
        let counted = |word: &String| {
            let (word, counted) = (text(word), name(&format!("{column}_{word}")));
            format!("count(*) FILTER (WHERE {quoted} = {word}) AS {counted}")
        };
        return Ok((words.iter().map(counted).collect(), None));
    }
    if !(2..=ITEMS_MAX).contains(&distinct) {
        return Ok((Vec::new(), None));
    }
    let sql = format!(
        "SELECT profile_id, {} || {quoted} AS item, count(*) AS n\nFROM events\n\
         WHERE ts <= now() AND {quoted} IS NOT NULL\nGROUP BY profile_id, {quoted}",
        text(&format!("{column} "))
    );
    Ok((Vec::new(), Some(query(&format!("items of {column}"), sql, true))))
}

/// Recency, frequency, tenure, windows, weekends.
fn activity() -> Vec<String> {
    let mut columns = vec![
        "date_part('epoch', now() - max(ts)) / 86400.0 AS days_since_event".to_owned(),
        "date_part('epoch', now() - min(ts)) / 86400.0 AS days_since_first_event".to_owned(),
        "count(*) AS events".to_owned(),
        "avg(CASE WHEN date_part('dow', ts) IN (0, 6) THEN 1.0 ELSE 0.0 END) AS weekend_share"
            .to_owned(),
    ];
    columns.extend(WINDOW_DAYS.iter().map(|days| {
        format!("count(*) FILTER (WHERE ts >= now() - INTERVAL '{days} days') AS events_{days}d")
    }));
    columns
}

fn sums(column: &str) -> Vec<String> {
    let quoted = name(column);
    let mut found = vec![
        format!("sum({quoted}) AS {}", name(&format!("{column}_sum"))),
        format!("avg({quoted}) AS {}", name(&format!("{column}_mean"))),
        format!("max({quoted}) AS {}", name(&format!("{column}_max"))),
    ];
    found.extend(WINDOW_DAYS.iter().map(|days| {
        format!(
            "sum({quoted}) FILTER (WHERE ts >= now() - INTERVAL '{days} days') AS {}",
            name(&format!("{column}_sum_{days}d"))
        )
    }));
    found
}

fn top(column: &str, count: usize) -> String {
    let column = name(column);
    format!(
        "SELECT {column} AS word, count(*) AS n FROM events WHERE ts <= now() AND {column} IS NOT NULL \
         GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {count}"
    )
}

async fn words(session: &Session, sql: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for batch in session.plan(sql, None).await?.collect().await? {
        let column = cast(batch.column(0), &DataType::Utf8)
            .map_err(|e| Error::internal(format!("words of events: {e}")))?;
        found.extend(column.as_string::<i32>().iter().flatten().map(str::to_owned));
    }
    Ok(found)
}

async fn number(session: &Session, sql: &str) -> Result<i64> {
    let batches = session.plan(sql, None).await?.collect().await?;
    let Some(batch) = batches.iter().find(|b| b.num_rows() > 0) else { return Ok(0) };
    let column = cast(batch.column(0), &DataType::Int64)
        .map_err(|e| Error::internal(format!("a count of events: {e}")))?;
    let column = column.as_primitive::<Int64Type>();
    Ok(if column.is_valid(0) { column.value(0) } else { 0 })
}

/// A name in SQL.
fn name(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// A text in SQL.
fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_in_names_and_words_stay_within_them() {
        assert_eq!(name("a\"b"), "\"a\"\"b\"");
        assert_eq!(text("it's"), "'it''s'");
        assert!(top("x", 3).ends_with("LIMIT 3"));
    }

    #[test]
    fn ids_are_names_and_no_numbers() {
        assert!(is_id("product_id") && is_id("Order_ID") && is_id("id"));
        assert!(!is_id("paid") && !is_id("amount"));
    }
}
