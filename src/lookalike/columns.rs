//! Which columns a look-alike learns from: those that were asked for, without what is sensitive and what is
//! made of the seed's own definition.

use std::collections::BTreeMap;

use crate::error::{Error, Result, nearest};

use super::everybody::Shelves;
use super::features::LeftOut;
use super::lineage;
use super::run::Request;
use super::shelf::Shelf;

/// The columns, told apart.
#[derive(Debug, Default)]
pub(super) struct Columns {
    /// Those that may be learnt from, in order; the tastes are the last.
    pub(super) used: Vec<String>,
    /// Those whose groups are compared.
    pub(super) sensitive: Vec<String>,
    /// Those that carry nothing, and why.
    pub(super) useless: Vec<LeftOut>,
}

/// A column that a query returned.
struct Named<'a> {
    name: &'a str,
    query: &'a str,
}

impl Columns {
    /// Tells the columns of `shelves` apart; those that are left out are added to `left_out`.
    ///
    /// # Errors
    /// Where `request` names a column that is none.
    pub(super) fn choose(
        shelves: &Shelves,
        request: &Request,
        left_out: &mut Vec<LeftOut>,
    ) -> Result<Self> {
        let is_taste = |shelf: &&Shelf| shelf.head.projection.is_some();
        let mut columns: Vec<Named<'_>> = Vec::new();
        for shelf in shelves.shelves.iter().filter(|shelf| !is_taste(shelf)) {
            let named = |name| Named { name, query: shelf.name.as_str() };
            columns.extend(shelf.head.columns.iter().map(|column| named(column.name.as_str())));
        }
        let sensitive = take_sensitive(&mut columns, request)?;
        left_out.extend(sensitive.iter().map(|column| LeftOut {
            column: column.clone(),
            why: "it is sensitive; no model learns from it".to_owned(),
        }));
        leave_out(&mut columns, request, left_out)?;
        let mut used: Vec<String> = columns.iter().map(|column| column.name.to_owned()).collect();
        let all = shelves.shelves.iter().flat_map(|shelf| &shelf.head.columns);
        let useless = all.filter(|c| c.feature.is_none() && used.contains(&c.name));
        let useless = useless.map(|c| LeftOut { column: c.name.clone(), why: c.why.clone() });
        let useless = useless.collect();
        for shelf in shelves.shelves.iter().filter(is_taste) {
            used.extend(shelf.head.columns.iter().map(|column| column.name.clone()));
        }
        Ok(Self { used, sensitive, useless })
    }
}

/// Takes the sensitive columns out of the features.
fn take_sensitive(columns: &mut Vec<Named<'_>>, request: &Request) -> Result<Vec<String>> {
    let mut wanted: Vec<&str> = request.sensitive.iter().map(String::as_str).collect();
    if let Some(column) = request.four_fifths.as_deref().filter(|c| !wanted.contains(c)) {
        wanted.push(column);
    }
    for name in &wanted {
        columns.remove(position(columns, name)?);
    }
    Ok(wanted.into_iter().map(str::to_owned).collect())
}

fn position(columns: &[Named<'_>], name: &str) -> Result<usize> {
    columns.iter().position(|c| c.name == name).ok_or_else(|| {
        let error = Error::input(format!("no feature is called \"{name}\""));
        match nearest(name, columns.iter().map(|c| c.name)) {
            Some(near) => error.with_hint(format!("did you mean {near}?")),
            None => {
                error.with_hint("features are the columns that the queries of sql/features return")
            }
        }
    })
}

/// Leaves out what was asked for, and what is made of the columns that define the seed.
fn leave_out(
    columns: &mut Vec<Named<'_>>,
    request: &Request,
    left_out: &mut Vec<LeftOut>,
) -> Result<()> {
    for name in request.exclude_columns.iter().chain(&request.keep_columns) {
        if left_out.iter().all(|out| &out.column != name) {
            position(columns, name)?;
        }
    }
    let mut defining = BTreeMap::new();
    for query in &request.queries.0 {
        for (feature, words) in lineage::select_list(&query.sql) {
            let shared = words.intersection(&request.seed_columns).next().cloned();
            if let Some(word) = shared {
                defining.insert((query.name.clone(), feature), word);
            }
        }
    }
    columns.retain(|column| {
        let mut leave = |why: String| {
            left_out.push(LeftOut { column: column.name.to_owned(), why });
            false
        };
        if request.exclude_columns.iter().any(|name| name == column.name) {
            return leave("you said so".to_owned());
        }
        let lower = column.name.to_lowercase();
        let made_of = defining.get(&(column.query.to_owned(), lower.clone()));
        let named = request.seed_columns.get(&lower);
        match made_of.or(named) {
            Some(word) if !request.keep_columns.iter().any(|name| name == column.name) => {
                leave(format!("the seed's own SQL names {word}"))
            }
            _ => true,
        }
    });
    Ok(())
}
