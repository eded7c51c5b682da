//! Leaves in words, and what decides them for one profile.

use crate::error::Result;
use crate::model::{AsOf, ProfileId, tables};
use crate::query::df::{self, Expr, ScalarValue};
use crate::query::{Session, to_sql};

use super::program::{
    AGGREGATE, Aggregate, AggregateId, EVENT, FilterId, Function, Leaf, LeafId, Local, PROFILE,
    Program, SetExpr, Span, WINDOW, WindowCall, Windowed, is_of, is_true,
};

impl Program {
    /// Leaf `id` as a person would say it.
    pub fn describe(&self, id: LeafId) -> String {
        match &self.leaves[id.0] {
            Leaf::Attribute(condition) if is_true(condition) => "every profile".to_owned(),
            Leaf::Attribute(condition) => to_sql(condition),
            Leaf::Events(filter) => format!("an event: {}", self.rows(*filter)),
            Leaf::Groups { condition, .. } => self.with_aggregates(condition),
            Leaf::Sequence { first, then, from_us, to_us, without } => format!(
                "an event: {}, and {} after it {} event: {}",
                self.rows(*first),
                distance(*from_us, *to_us),
                if *without { "no" } else { "an" },
                self.rows(*then)
            ),
            Leaf::Ranked(ranked) => {
                let keys = ranked.keys.iter().map(|key| {
                    let order = if key.ascending { "" } else { " descending" };
                    let nulls = if key.nulls_first { ", nulls first" } else { "" };
                    format!("{}{order}{nulls}", self.with_aggregates(&key.value))
                });
                let skip = match ranked.skip {
                    0 => String::new(),
                    n => format!(" after {n}"),
                };
                format!(
                    "the first {}{skip} of [{}] by {}",
                    ranked.take,
                    self.shown(&ranked.among),
                    keys.collect::<Vec<_>>().join(", ")
                )
            }
            Leaf::Windowed(windowed) => format!(
                "an event: {}, of those: {}, where {}",
                self.rows(windowed.rows),
                all_of(&windowed.conditions.iter().map(numbered).collect::<Vec<_>>()),
                windowed.windows.iter().enumerate().map(seen).collect::<Vec<_>>().join(", ")
            ),
            Leaf::Local(local) => {
                format!("a query profile by profile over events: {}", self.rows(local.rows))
            }
        }
    }

    /// The kind of leaf `id`, one word.
    pub fn kind(&self, id: LeafId) -> &'static str {
        match &self.leaves[id.0] {
            Leaf::Attribute(_) => "attribute",
            Leaf::Events(_) => "events",
            Leaf::Groups { .. } => "aggregate",
            Leaf::Sequence { .. } => "sequence",
            Leaf::Ranked(_) => "ranked",
            Leaf::Windowed(_) => "window",
            Leaf::Local(_) => "query",
        }
    }

    /// The tables that leaf `id` reads.
    pub fn reads(&self, id: LeafId) -> Vec<String> {
        let table = match &self.leaves[id.0] {
            Leaf::Attribute(_) => PROFILE,
            _ => EVENT,
        };
        vec![table.to_owned()]
    }

    /// `set` over the names of its leaves: `#1 and (#2 or #3) and not #4`.
    pub fn shown(&self, set: &SetExpr) -> String {
        match set {
            SetExpr::Nothing => "nobody".to_owned(),
            SetExpr::Leaf(leaf) => leaf.to_string(),
            SetExpr::Segment(name) => format!("segments.{name}"),
            SetExpr::And(parts) => self.joined(parts, " and "),
            SetExpr::Or(parts) => self.joined(parts, " or "),
            SetExpr::Not(inner) => format!("not {}", self.inner(inner)),
        }
    }

    fn joined(&self, parts: &[SetExpr], word: &str) -> String {
        parts.iter().map(|part| self.inner(part)).collect::<Vec<_>>().join(word)
    }

    fn inner(&self, set: &SetExpr) -> String {
        match set {
            SetExpr::And(_) | SetExpr::Or(_) => format!("({})", self.shown(set)),
            other => self.shown(other),
        }
    }

    fn rows(&self, filter: FilterId) -> String {
        let conditions = &self.filters[filter.0].0;
        if conditions.is_empty() {
            return "any".to_owned();
        }
        all_of(conditions)
    }

    /// `expression` with its aggregates written out.
    fn with_aggregates(&self, expression: &Expr) -> String {
        let mut text = to_sql(&numbered(expression));
        let ids = Self::aggregates_in(expression);
        for id in ids.iter().rev() {
            text = text.replace(&place_of(*id), &self.call(*id));
        }
        let first = ids.first().map(|id| &self.aggregates[id.0]);
        match first {
            Some(aggregate) => format!("{text} over events: {}", self.rows(aggregate.group)),
            None => text,
        }
    }

    /// Aggregate `id` as SQL; its filter where that is more than the group's.
    fn call(&self, id: AggregateId) -> String {
        let Aggregate { group, rows, function, argument, .. } = &self.aggregates[id.0];
        let value = argument.as_ref().map_or("*".to_owned(), to_sql);
        let call = match function {
            Function::Count => format!("count({value})"),
            Function::CountDistinct => format!("count(DISTINCT {value})"),
            Function::Sum => format!("sum({value})"),
            Function::Min => format!("min({value})"),
            Function::Max => format!("max({value})"),
            Function::Mean => format!("avg({value})"),
            Function::Id => tables::PROFILE_ID.to_owned(),
        };
        let base = &self.filters[group.0].0;
        let own: Vec<String> =
            self.filters[rows.0].0.iter().filter(|c| !base.contains(c)).map(to_sql).collect();
        if own.is_empty() { call } else { format!("{call} FILTER (WHERE {})", own.join(" AND ")) }
    }

    /// What leaf `id` is decided by for `profile`: names and values, as text.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn values(
        &self,
        session: &Session,
        id: LeafId,
        profile: ProfileId,
    ) -> Result<Vec<(String, String)>> {
        let own = |relation| {
            let number = i32::try_from(profile.get()).unwrap_or(i32::MAX);
            let id = Expr::Literal(ScalarValue::Int32(Some(number)), None);
            column(relation, tables::PROFILE_ID).eq(id)
        };
        match &self.leaves[id.0] {
            Leaf::Attribute(condition) => {
                let mut columns: Vec<String> =
                    condition.column_refs().into_iter().map(|c| c.name.clone()).collect();
                columns.sort_unstable();
                columns.dedup();
                if columns.is_empty() {
                    return Ok(Vec::new());
                }
                let values = columns.iter().map(|name| column(PROFILE, name)).collect();
                let row = session.one_row(PROFILE, vec![own(PROFILE)], values).await?;
                Ok(columns.into_iter().zip(row.unwrap_or_default()).collect())
            }
            Leaf::Events(filter) => {
                let rows = self.counted(session, *filter, own(EVENT)).await?;
                Ok(vec![("such events".to_owned(), rows)])
            }
            Leaf::Sequence { first, then, from_us, to_us, .. } => {
                let first = self.moments(session, *first, own(EVENT)).await?;
                let then = self.moments(session, *then, own(EVENT)).await?;
                let is_followed = |moment: &i64| {
                    let (from, to) =
                        (moment.saturating_add(*from_us), moment.saturating_add(*to_us));
                    let next = then.get(then.partition_point(|next| *next < from));
                    next.is_some_and(|next| *next <= to)
                };
                let (followed, alone): (Vec<i64>, Vec<i64>) =
                    first.iter().copied().partition(is_followed);
                Ok(vec![
                    ("first events".to_owned(), with_last(&first)),
                    ("of these with one after".to_owned(), with_last(&followed)),
                    ("without".to_owned(), with_last(&alone)),
                ])
            }
            Leaf::Windowed(Windowed { rows, .. }) | Leaf::Local(Local { rows, .. }) => {
                let rows = self.counted(session, *rows, own(EVENT)).await?;
                Ok(vec![("events that it looks at".to_owned(), rows)])
            }
            Leaf::Groups { condition, .. } => {
                self.aggregate_values(session, Self::aggregates_in(condition), own(EVENT)).await
            }
            Leaf::Ranked(ranked) => {
                let ids = ranked.keys.iter().flat_map(|k| Self::aggregates_in(&k.value)).collect();
                self.aggregate_values(session, ids, own(EVENT)).await
            }
        }
    }

    async fn counted(&self, session: &Session, filter: FilterId, own: Expr) -> Result<String> {
        let mut conditions = self.filters[filter.0].0.clone();
        conditions.push(own);
        let row = session.one_row(EVENT, conditions, vec![df::count(df::lit(1_i64))]).await?;
        Ok(row.and_then(|r| r.into_iter().next()).unwrap_or_default())
    }

    /// The moments of the rows that pass `filter` and are `own`.
    async fn moments(&self, session: &Session, filter: FilterId, own: Expr) -> Result<Vec<i64>> {
        let mut conditions = self.filters[filter.0].0.clone();
        conditions.push(own);
        session.moments(conditions).await
    }

    async fn aggregate_values(
        &self,
        session: &Session,
        ids: Vec<AggregateId>,
        own: Expr,
    ) -> Result<Vec<(String, String)>> {
        let mut values = Vec::new();
        for id in ids {
            let Aggregate { rows, function, argument, .. } = &self.aggregates[id.0];
            let value = argument.clone().unwrap_or_else(|| df::lit(1_i64));
            let call = match function {
                Function::Count => df::count(value),
                Function::CountDistinct => df::count_distinct(value),
                Function::Sum => df::sum(value),
                Function::Min => df::min(value),
                Function::Max => df::max(value),
                Function::Mean => df::avg(value),
                Function::Id => continue,
            };
            let mut conditions = self.filters[rows.0].0.clone();
            conditions.push(own.clone());
            let row = session.one_row(EVENT, conditions, vec![call]).await?;
            values
                .push((self.call(id), row.and_then(|r| r.into_iter().next()).unwrap_or_default()));
        }
        Ok(values)
    }
}

/// How many moments, and the last of them.
fn with_last(moments: &[i64]) -> String {
    match moments.last().map(|us| AsOf::from_micros(*us)) {
        Some(Ok(last)) if moments.len() == 1 => format!("1 ({last})"),
        Some(Ok(last)) => format!("{} (the last {last})", moments.len()),
        _ => moments.len().to_string(),
    }
}

fn column(relation: &str, name: &str) -> Expr {
    Expr::Column(df::Column::new(Some(df::TableReference::bare(relation)), name))
}

/// Conditions that are all true, as SQL.
fn all_of(conditions: &[Expr]) -> String {
    let texts = conditions.iter().map(|condition| match to_sql(condition) {
        text if conditions.len() > 1 && text.contains(" OR ") => format!("({text})"),
        text => text,
    });
    texts.collect::<Vec<_>>().join(" AND ")
}

/// A window in words.
fn seen((place, call): (usize, &WindowCall)) -> String {
    let which = if call.is_least { "least" } else { "greatest" };
    let of = match call.span {
        Span::FromHere => "from here on",
        Span::UntilHere => "until here",
    };
    format!("window_{place} is the {which} {} {of}", to_sql(&call.value))
}

fn place_of(id: AggregateId) -> String {
    format!("aggregate_{}_", id.0)
}

/// `expression` with a name for each aggregate and window that no column has.
fn numbered(expression: &Expr) -> Expr {
    use df::{Transformed, TransformedResult as _, TreeNode as _};
    let named = expression.clone().transform_up(|e| {
        Ok(match &e {
            Expr::Column(c) if is_of(c, WINDOW) => {
                let name = format!("window_{}", c.name);
                Transformed::yes(Expr::Column(df::Column::new_unqualified(name)))
            }
            Expr::Column(c) if is_of(c, AGGREGATE) => {
                let place =
                    c.name.parse().map_or_else(|_| c.name.clone(), |n| place_of(AggregateId(n)));
                Transformed::yes(Expr::Column(df::Column::new_unqualified(place)))
            }
            _ => Transformed::no(e),
        })
    });
    named.data().unwrap_or_else(|_| expression.clone())
}

/// A distance in time in words: `within 7 days`.
fn distance(from_us: i64, to_us: i64) -> String {
    let words = |us: i64| {
        let seconds = us / 1_000_000;
        match seconds {
            s if s != 0 && s % 86_400 == 0 => format!("{} days", s / 86_400),
            s if s != 0 && s % 3_600 == 0 => format!("{} hours", s / 3_600),
            s => format!("{s} seconds"),
        }
    };
    match (from_us, to_us) {
        (i64::MIN, to) => format!("at most {}", words(to)),
        (from, i64::MAX) if from <= 1 => "any time".to_owned(),
        (from, i64::MAX) => format!("at least {}", words(from)),
        (from, to) if from <= 1 => format!("within {}", words(to)),
        (from, to) => format!("{} to {}", words(from), words(to)),
    }
}
