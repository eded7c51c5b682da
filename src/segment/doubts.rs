//! Why a set is empty, or everybody: words that its query looks for and that no row has.
//!
//! `event = 'Purchase'` is a good question where the events are called `purchase`, and its answer is 0.
//! Nobody is told of that in SQL; here the few values that a column has are looked at, once a set turns
//! out empty.

use std::collections::{BTreeSet, HashMap};

use crate::error::{Result, nearest};
use crate::model::{TableName, tables};
use crate::query::words::words_of;
use crate::query::{Plan, Session};

use super::program::Program;

/// Columns with more values than this are no lists to choose from.
const VALUES_MAX: usize = 1_000;
/// Values that a message names.
const SHOWN: usize = 6;
/// Rows of a table that are looked through for the values of a column, by whoever asks why.
const ROWS_MAX: u64 = 50_000_000;
/// Those of profiles that a build looks through by itself: no time that anybody waits for.
const ROWS_LITTLE: u64 = 250_000;

/// How much may be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// What footers of files say of events, and columns of profiles where those are not many.
    Little,
    /// Columns of events, too.
    Columns,
}

/// Looks for reasons; the values of each column once.
#[derive(Debug)]
pub struct Doubts<'a> {
    session: &'a Session,
    effort: Effort,
    known: HashMap<String, Option<Values>>,
}

/// The values of a column, and the table that has it.
type Values = (TableName, BTreeSet<String>);

impl<'a> Doubts<'a> {
    /// Looks in the store behind `session`.
    pub fn new(session: &'a Session, effort: Effort) -> Self {
        Self { session, effort, known: HashMap::new() }
    }

    /// What `plan` looks for and no row has, in words. It is only a hint: where the store cannot be read,
    /// there is none.
    pub async fn of(&mut self, plan: &Plan) -> Vec<String> {
        let mut doubts = Vec::new();
        for (column, word) in plan.words() {
            if !self.known.contains_key(&column) {
                let values = values(self.session, &column, self.effort).await;
                let values = values.inspect_err(|error| {
                    tracing::debug!(column, %error, "its values are not known");
                });
                self.known.insert(column.clone(), values.ok().flatten());
            }
            if let Some(Some((table, known))) = self.known.get(&column)
                && !known.contains(&word)
            {
                doubts.push(doubt((*table, &column), &word, known));
            }
        }
        doubts
    }
}

/// The events that filters of `program` look for by name and that nobody has, with what is to be said of
/// each. It is only a hint: where the store cannot be read, there is none.
pub async fn unknown_events(session: &Session, program: &Program) -> Vec<(String, String)> {
    let filters = program.filters.iter().flat_map(|filter| &filter.0);
    let words: BTreeSet<String> =
        filters.flat_map(words_of).filter(|(c, _)| c == tables::EVENT).map(|(_, w)| w).collect();
    let Ok(base) = session.base() else { return Vec::new() };
    // Those of files that are open anyway are mostly all.
    let open = base.files.open_event_names();
    if words.iter().all(|word| open.contains(word)) {
        return Vec::new();
    }
    let known = match values(session, tables::EVENT, Effort::Little).await {
        Ok(Some((_, known))) if !known.is_empty() => known,
        _ => return Vec::new(),
    };
    let said = |word: &String| doubt((TableName::Events, tables::EVENT), word, &known);
    let unknown = words.iter().filter(|word| !known.contains(*word));
    unknown.map(|word| (word.clone(), said(word))).collect()
}

fn doubt((table, column): (TableName, &str), word: &str, known: &BTreeSet<String>) -> String {
    let all = || known.iter().map(String::as_str);
    let hint = match nearest(word, all()) {
        Some(near) => format!("did you mean '{near}'?"),
        None if known.is_empty() => "there are none at all".to_owned(),
        None => {
            let shown: Vec<&str> = all().take(SHOWN).collect();
            let more = if known.len() > SHOWN { ", ..." } else { "" };
            format!("there are {}{more}", shown.join(", "))
        }
    };
    match column {
        tables::EVENT => format!("no event is called '{word}'; {hint}"),
        _ => format!("no row of {table} has {column} = '{word}'; {hint}"),
    }
}

/// The values of `column` and the table that has it, where they are few and one table has it.
async fn values(session: &Session, column: &str, effort: Effort) -> Result<Option<Values>> {
    let base = session.base()?;
    if column == tables::EVENT {
        let events = base.snapshot.table(TableName::Events)?;
        let names = base.files.event_names(&base.store, &events.files).await?;
        return Ok(Some((TableName::Events, names)));
    }
    let mut of = None;
    for name in [TableName::Profiles, TableName::Events] {
        let table = base.snapshot.table(name)?;
        let field = table.schema.field_with_name(column);
        if !field.is_ok_and(|field| field.data_type().is_string()) {
            continue;
        }
        if of.is_some() || table.rows() > ROWS_MAX {
            return Ok(None);
        }
        of = Some(name);
    }
    let Some(table) = of else { return Ok(None) };
    let is_little =
        table == TableName::Profiles && base.snapshot.table(table)?.rows() <= ROWS_LITTLE;
    if effort == Effort::Little && !is_little {
        return Ok(None);
    }
    let quoted = column.replace('"', "\"\"");
    let sql = format!(
        "SELECT DISTINCT \"{quoted}\" FROM {table} WHERE \"{quoted}\" IS NOT NULL LIMIT {}",
        VALUES_MAX + 1
    );
    let known: BTreeSet<String> =
        session.plan(&sql, None).await?.texts().await?.into_iter().collect();
    Ok((known.len() <= VALUES_MAX).then_some((table, known)))
}
