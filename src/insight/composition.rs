//! What the members of a segment are like, against the base: shares and an index for values, quantiles
//! for numbers and moments. Attributes are read by SQL over a session that has the segment.

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use serde::Serialize;

use super::share;
use crate::error::{Error, Result, nearest};
use crate::model::tables::PROFILE_ID;
use crate::model::{AsOf, Name};
use crate::query::Session;

/// Attributes with more different values than this in a hundred profiles tell people apart, not
/// groups of them, and are left out unless they are asked for.
const DISTINCT_PERCENT_MAX: u64 = 20;
/// With so few profiles everything looks distinct.
const DISTINCT_MIN: u64 = 50;
/// The quantiles, and how they are called.
const QUANTILES: [(&str, f64); 7] = [
    ("min", 0.0),
    ("p10", 0.1),
    ("p25", 0.25),
    ("p50", 0.5),
    ("p75", 0.75),
    ("p90", 0.9),
    ("max", 1.0),
];

/// The members of a segment, attribute by attribute.
#[derive(Debug, Clone, Serialize)]
pub struct Composition {
    /// The segment.
    pub segment: String,
    /// Its members, within the base.
    pub members: u64,
    /// What they are compared with: `profiles`, or a segment.
    pub base: String,
    /// The profiles in it.
    pub base_members: u64,
    /// The attributes, in the order of the table or of the request.
    pub attributes: Vec<Attribute>,
    /// Attributes that were left out since nearly every profile has a value of its own.
    pub left_out: Vec<String>,
}

/// An attribute of the members.
#[derive(Debug, Clone, Serialize)]
pub struct Attribute {
    /// Its name.
    pub attribute: String,
    /// Different values in the base.
    pub distinct: u64,
    /// The values that most members have; empty for numbers and moments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<ValueShare>,
    /// How numbers and moments are spread.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quantiles: Vec<Quantile>,
}

/// A value, and who has it.
#[derive(Debug, Clone, Serialize)]
pub struct ValueShare {
    /// The value; nothing where it is not known.
    pub value: Option<String>,
    /// Members that have it.
    pub members: u64,
    /// Their share.
    pub share: f64,
    /// Profiles of the base that have it.
    pub base_members: u64,
    /// Their share.
    pub base_share: f64,
    /// The one share over the other, 100 where they are equal; nothing where nobody in the base has
    /// it.
    pub index: Option<f64>,
}

/// A quantile of the members' values and of the base's.
#[derive(Debug, Clone, Serialize)]
pub struct Quantile {
    /// `min`, `p10`, `p25`, `p50`, `p75`, `p90`, `max` or `mean`.
    pub quantile: String,
    /// Among members.
    pub members: Option<Measure>,
    /// In the base.
    pub base: Option<Measure>,
}

/// A number, or a moment as RFC 3339.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Measure {
    /// A number.
    Number(f64),
    /// A moment.
    Moment(String),
}

/// What to look at.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// The segment, which the session has.
    pub segment: &'a Name,
    /// The base: a segment that the session has, or everybody.
    pub base: Option<&'a Name>,
    /// The attributes; all that tell groups apart where empty.
    pub attributes: &'a [String],
    /// Values of each.
    pub values_max: usize,
}

/// Answers `question`.
///
/// # Errors
/// Where an attribute is not there, or a query fails.
pub async fn composition(session: &Session, question: &Question<'_>) -> Result<Composition> {
    let columns = columns(session, question.attributes).await?;
    let totals = Totals::count(session, question).await?;
    let mut composition = Composition {
        segment: question.segment.to_string(),
        members: totals.members,
        base: question.base.map_or("profiles".to_owned(), ToString::to_string),
        base_members: totals.base,
        attributes: Vec::new(),
        left_out: Vec::new(),
    };
    for (name, kind) in columns {
        let look = Look { session, question, totals: &totals, name: &name };
        let distinct = look.distinct().await?;
        let mut attribute =
            Attribute { attribute: name.clone(), distinct, values: vec![], quantiles: vec![] };
        match kind {
            Kind::Number | Kind::Moment if distinct > 1 => {
                attribute.quantiles = look.quantiles(&kind).await?;
            }
            _ => {
                let many =
                    distinct > DISTINCT_MIN && distinct * 100 > totals.base * DISTINCT_PERCENT_MAX;
                if many && question.attributes.is_empty() {
                    composition.left_out.push(name);
                    continue;
                }
                attribute.values = look.values().await?;
            }
        }
        composition.attributes.push(attribute);
    }
    Ok(composition)
}

enum Kind {
    Value,
    Number,
    Moment,
}

/// The attributes that are asked for, with what they are.
async fn columns(session: &Session, wanted: &[String]) -> Result<Vec<(String, Kind)>> {
    let schema = session.plan("SELECT * FROM profiles", None).await?.schema();
    let names = || schema.fields().iter().map(|f| f.name().as_str()).filter(|n| *n != PROFILE_ID);
    if let Some(missing) = wanted.iter().find(|w| !names().any(|n| n == w.as_str())) {
        let error = Error::input(format!("no attribute \"{missing}\" in profiles"));
        return Err(match nearest(missing, names()) {
            Some(near) => error.with_hint(format!("did you mean {near}?")),
            None => {
                error.with_hint(format!("there are {}", names().collect::<Vec<_>>().join(", ")))
            }
        });
    }
    let all: Vec<String> = names().map(str::to_owned).collect();
    let chosen = if wanted.is_empty() { &all[..] } else { wanted };
    let kind = |name: &str| match schema.field_with_name(name).map(|f| f.data_type().clone()) {
        Ok(kind) if kind.is_numeric() => Some(Kind::Number),
        Ok(DataType::Timestamp(..) | DataType::Date32) => Some(Kind::Moment),
        // Lists and structs have no values to count.
        Ok(kind) if kind.is_nested() => None,
        _ => Some(Kind::Value),
    };
    Ok(chosen.iter().filter_map(|name| Some((name.clone(), kind(name)?))).collect())
}

struct Totals {
    members: u64,
    base: u64,
}

impl Totals {
    async fn count(session: &Session, question: &Question<'_>) -> Result<Self> {
        let sql = format!("SELECT count(member), count(*) FROM ({})", rows("1", question));
        let batches = session.plan(&sql, None).await?.collect().await?;
        let batch = batches.first().ok_or_else(|| Error::internal("a count has no row"))?;
        Ok(Self { members: count(batch, 0, 0), base: count(batch, 1, 0) })
    }
}

/// One attribute's queries.
struct Look<'a> {
    session: &'a Session,
    question: &'a Question<'a>,
    totals: &'a Totals,
    name: &'a str,
}

impl Look<'_> {
    fn rows(&self, expression: &str) -> String {
        rows(expression, self.question)
    }

    fn column(&self) -> String {
        format!("p.\"{}\"", self.name.replace('"', "\"\""))
    }

    async fn distinct(&self) -> Result<u64> {
        let rows = self.rows(&self.column());
        let sql = format!("SELECT count(DISTINCT value) AS n FROM ({rows})");
        self.session.plan(&sql, None).await?.single_count().await
    }

    async fn values(&self) -> Result<Vec<ValueShare>> {
        let sql = format!(
            "SELECT CAST(value AS TEXT) AS value, count(member) AS members, count(*) AS base \
             FROM ({}) GROUP BY value ORDER BY members DESC, base DESC, value LIMIT {}",
            self.rows(&self.column()),
            self.question.values_max
        );
        let mut values = Vec::new();
        for batch in self.session.plan(&sql, None).await?.collect().await? {
            let text = cast(batch.column(0), &DataType::Utf8)
                .map_err(|e| Error::internal(format!("values: {e}")))?;
            let text = text.as_string::<i32>();
            for row in 0..batch.num_rows() {
                let (members, base) = (count(&batch, 1, row), count(&batch, 2, row));
                let (inside, outside) =
                    (share(members, self.totals.members), share(base, self.totals.base));
                values.push(ValueShare {
                    value: text.is_valid(row).then(|| text.value(row).to_owned()),
                    members,
                    share: inside,
                    base_members: base,
                    base_share: outside,
                    index: (outside > 0.0).then(|| 100.0 * inside / outside),
                });
            }
        }
        Ok(values)
    }

    async fn quantiles(&self, kind: &Kind) -> Result<Vec<Quantile>> {
        let column = self.column();
        let number = match kind {
            Kind::Moment => format!("CAST(CAST({column} AS TIMESTAMP) AS BIGINT) / 1000"),
            _ => column,
        };
        let number = format!("CAST({number} AS DOUBLE)");
        let measures: Vec<String> = QUANTILES
            .iter()
            .map(|(_, q)| format!("percentile_cont({q}) WITHIN GROUP (ORDER BY value)"))
            .chain(["avg(value)".to_owned()])
            .collect();
        let rows = self.rows(&number);
        let sql = |filter: &str| {
            format!("SELECT {} FROM ({rows}) WHERE value IS NOT NULL {filter}", measures.join(", "))
        };
        let base = self.measures(&sql(""), kind).await?;
        let members = self.measures(&sql("AND member IS NOT NULL"), kind).await?;
        let names = QUANTILES.iter().map(|(name, _)| *name).chain(["mean"]);
        Ok(names
            .zip(members.into_iter().zip(base))
            .map(|(name, (members, base))| Quantile { quantile: name.to_owned(), members, base })
            .collect())
    }

    async fn measures(&self, sql: &str, kind: &Kind) -> Result<Vec<Option<Measure>>> {
        let batches = self.session.plan(sql, None).await?.collect().await?;
        let batch = batches.first().ok_or_else(|| Error::internal("quantiles have no row"))?;
        batch
            .columns()
            .iter()
            .map(|column| {
                let column = cast(column, &DataType::Float64)
                    .map_err(|e| Error::internal(format!("quantiles: {e}")))?;
                let column = column.as_primitive::<Float64Type>();
                column.is_valid(0).then(|| measure(column.value(0), kind)).transpose()
            })
            .collect()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "microseconds of any date are below 2^53")]
fn measure(value: f64, kind: &Kind) -> Result<Measure> {
    Ok(match kind {
        Kind::Moment => Measure::Moment(AsOf::from_micros(value as i64)?.to_string()),
        _ => Measure::Number(value),
    })
}

/// A row a profile of the base: `value`, and `member`, which is null where it is no member.
fn rows(expression: &str, question: &Question<'_>) -> String {
    let base = question.base.map_or(String::new(), |base| {
        format!("WHERE p.profile_id IN (SELECT profile_id FROM segments.\"{base}\")")
    });
    format!(
        "SELECT {expression} AS value, s.profile_id AS member FROM profiles AS p \
         LEFT JOIN segments.\"{}\" AS s ON p.profile_id = s.profile_id {base}",
        question.segment
    )
}

fn count(batch: &RecordBatch, column: usize, row: usize) -> u64 {
    let counts = batch.column(column).as_primitive::<Int64Type>();
    u64::try_from(counts.value(row)).unwrap_or(0)
}
