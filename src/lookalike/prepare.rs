//! From feature queries to encoded columns: those that were kept, as they are, and the others made anew.
//!
//! What decides how a query's columns are encoded is in the name of the set that they are kept as: the
//! query, the versions of the tables and the members of the segments that it reads, the moment where it
//! asks for one, and how it was encoded. Seed, folds and columns that are left out decide nothing, so one
//! set serves every look-alike.

use std::collections::BTreeSet;
use std::sync::Arc;

use rayon::ThreadPool;
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::membership::wire::{self, Format};
use crate::model::TableName;
use crate::query::Session;
use crate::store::features::set_name;

use super::encode::{ENCODING, Encoded, Encoder, Feature, Study, WORD_BINS, encode_values, stride};
use super::features::{Draft, Drafted, FeatureQuery, depends_on_moment, named_twice};
use super::frame::Values;
use super::items::Items;
use super::keep::Keep;
use super::layout::{CHUNK_IDS, Layout};
use super::model::Model;
use super::raw::Raw;
use super::shelf::{Head, Shelf, Shelved};
use super::sparse::{Counts, Projection};

/// What the columns of all queries of items are told as.
pub(crate) const TASTES: &str = "items";

/// What features are made of, and where.
pub(crate) struct Preparing<'a> {
    pub(crate) session: &'a Session,
    pub(crate) layout: &'a Arc<Layout>,
    pub(crate) keep: &'a Keep,
    pub(crate) pool: &'a Arc<ThreadPool>,
    /// A model that says how columns are encoded.
    pub(crate) model: Option<&'a Model>,
}

impl Preparing<'_> {
    /// The columns of all `queries`, a shelf for each; items together are the last.
    ///
    /// # Errors
    /// Where a query fails, or two return a column of the same name.
    pub(crate) async fn shelves(&self, queries: &[FeatureQuery]) -> Result<Vec<Shelf>> {
        let (items, columns): (Vec<_>, Vec<_>) = queries.iter().partition(|query| query.items);
        let mut shelves: Vec<Shelf> = Vec::new();
        for query in columns {
            let shelf = self.shelf(&[query]).await?;
            for own in &shelf.head.columns {
                let mut others = shelves.iter().flat_map(|shelf| &shelf.head.columns);
                if others.any(|other| other.name == own.name) {
                    return Err(named_twice(query, &own.name));
                }
            }
            shelves.push(shelf);
        }
        if !items.is_empty() {
            shelves.push(self.shelf(&items).await?);
        }
        if shelves.iter().any(|shelf| !shelf.reused) {
            self.keep.trim(&shelves.iter().map(Shelf::set).collect()).await;
        }
        Ok(shelves)
    }

    /// The columns of a query, or of all queries of items.
    async fn shelf(&self, queries: &[&FeatureQuery]) -> Result<Shelf> {
        let name = if queries[0].items { TASTES } else { &queries[0].name };
        let set = self.set(queries).await?;
        let found = Shelf::open(self.keep, name, &set, self.layout).await;
        if let Some(shelf) = found.filter(|shelf| self.model.is_none_or(|m| fits(m, &shelf.head))) {
            tracing::info!(features = name, set, "reused");
            return Ok(shelf);
        }
        let set = match self.model {
            Some(model) => format!("{}{set}", model_digest(model)?),
            None => set,
        };
        let found = if self.model.is_some() {
            Shelf::open(self.keep, name, &set, self.layout).await
        } else {
            None
        };
        match found {
            Some(shelf) => Ok(shelf),
            None if queries[0].items => self.tastes(queries, set).await,
            None => self.columns(queries[0], set).await,
        }
    }

    /// The set that the columns of `queries` are kept as.
    async fn set(&self, queries: &[&FeatureQuery]) -> Result<String> {
        let Some(snapshot) = self.keep.snapshot() else { return Ok(String::new()) };
        let mut hasher = blake3::Hasher::new();
        let mut add = |part: &str| {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        };
        add(concat!("throng/", env!("CARGO_PKG_VERSION")));
        add(&format!("{ENCODING} {CHUNK_IDS}"));
        let mut tables = BTreeSet::from([TableName::Profiles]);
        for query in queries {
            add(&query.name);
            add(&query.sql);
            let plan = self.session.plan(&query.sql, query.file.as_deref()).await?;
            if depends_on_moment(&plan) {
                add(&self.session.as_of().to_string());
            }
            for reference in self.session.references(&query.sql, query.file.as_deref())? {
                let Some(segment) = reference.segment() else {
                    let is = |table: &TableName| table.as_str() == reference.table;
                    tables.extend(TableName::ALL.into_iter().find(is));
                    continue;
                };
                let members = self.session.segment(segment).unwrap_or_default();
                add(segment);
                add(&blake3::hash(&wire::encode(&members, Format::Roaring)).to_hex());
            }
        }
        let digest = hasher.finalize().to_hex()[..32].to_owned();
        let tables: Vec<TableName> = tables.into_iter().collect();
        Ok(set_name(&digest, &tables, &snapshot.record))
    }

    async fn columns(&self, query: &FeatureQuery, set: String) -> Result<Shelf> {
        let raw = Raw::of(self.keep, &set);
        let draft = Draft::load(self.session, query, self.layout, raw).await?;
        let given = self.model.map(|model| model.encoder.clone()).unwrap_or_default();
        let (keep, layout) = (self.keep.clone(), Arc::clone(self.layout));
        let name = query.name.clone();
        self.blocking(move || encode_draft(draft, &given, &layout, &keep, (&name, &set))).await
    }

    async fn tastes(&self, queries: &[&FeatureQuery], set: String) -> Result<Shelf> {
        let mut items = Items::default();
        for query in queries {
            items.read(self.session, query, self.layout).await?;
        }
        let given = self.model.map(|m| (m.encoder.clone(), m.projection.clone()));
        let (keep, layout) = (self.keep.clone(), Arc::clone(self.layout));
        self.blocking(move || {
            let counts = items.finish(layout.len());
            let (given, projection) = match given {
                Some((encoder, projection)) => (encoder, projection),
                None => (Encoder::default(), counts.as_ref().and_then(Projection::learn)),
            };
            encode_tastes(counts, projection, &given, &layout, (&keep, &set))
        })
        .await
    }

    /// Runs `work` where it may take its time.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let pool = Arc::clone(self.pool);
        tokio::task::spawn_blocking(move || pool.install(work))
            .await
            .map_err(|e| Error::internal(format!("encoding stopped: {e}")))?
    }
}

/// Whether columns are encoded as `model` wants them.
fn fits(model: &Model, head: &Head) -> bool {
    let same = |column: &Shelved| {
        let wanted = model.encoder.features.iter().find(|wanted| wanted.name == column.name);
        wanted.is_none_or(|wanted| column.feature.as_ref() == Some(wanted))
    };
    let tastes = head.projection.is_none() || head.projection == model.projection;
    tastes && head.columns.iter().all(same)
}

fn model_digest(model: &Model) -> Result<String> {
    let parts = serde_json::to_vec(&(&model.encoder, &model.projection))
        .map_err(|e| Error::internal(format!("a model's encoder: {e}")))?;
    Ok(format!("{}-", &blake3::hash(&parts).to_hex()[..16]))
}

/// A column that will be encoded: how, the bin of each code of a word, and its place in a chunk.
struct Ready {
    feature: Feature,
    words: Vec<u8>,
    at: usize,
}

/// How a column is encoded: as `given` says, or as its values do.
fn settle(column: Drafted, given: &Encoder, rows: usize) -> (Shelved, Option<Ready>) {
    let Drafted { name, labels, study, at } = column;
    let known = given.features.iter().find(|feature| feature.name == name).cloned();
    match known.map_or_else(|| study.learn(&name, &labels, rows), Ok) {
        Ok(feature) => {
            let words = labels.iter().map(|word| feature.word_bin(word));
            let words = std::iter::once(0).chain(words).collect();
            let shelved = Shelved { name, feature: Some(feature.clone()), why: String::new() };
            (shelved, Some(Ready { feature, words, at }))
        }
        Err(why) => (Shelved { name, feature: None, why: why.to_owned() }, None),
    }
}

fn encode_draft(
    draft: Draft,
    given: &Encoder,
    layout: &Layout,
    keep: &Keep,
    (name, set): (&str, &str),
) -> Result<Shelf> {
    let Draft { columns, left_out, mut notes, raw } = draft;
    let words: Vec<usize> = columns.iter().map(|column| column.labels.len()).collect();
    let settled = columns.into_par_iter().map(|column| settle(column, given, layout.len()));
    let (shelved, ready): (Vec<Shelved>, Vec<Option<Ready>>) = settled.unzip();
    let used = shelved.iter().zip(words).filter(|(column, _)| column.feature.is_some());
    notes.extend(used.filter(|(_, words)| *words > WORD_BINS).map(|(column, words)| {
        format!(
            "{}: of its {words} different words the {WORD_BINS} most frequent are told apart, the others are one",
            column.name
        )
    }));
    let ready: Vec<Ready> = ready.into_iter().flatten().collect();
    let mut head = Head::new(shelved, layout);
    (head.left_out, head.notes) = (left_out, notes);
    Shelf::make(keep, name, set, head, |chunk| {
        let mut values: Vec<Option<Values>> = raw.take(chunk)?.into_iter().map(Some).collect();
        let own: Vec<(&Ready, Values)> =
            ready.iter().filter_map(|r| values[r.at].take().map(|values| (r, values))).collect();
        let encode =
            |(ready, values): (&Ready, Values)| encode_values(&ready.feature, values, &ready.words);
        let columns = own.into_par_iter().map(encode).collect();
        Ok(Encoded::of(layout.chunk(chunk).len(), columns))
    })
}

fn encode_tastes(
    counts: Option<Counts>,
    projection: Option<Projection>,
    given: &Encoder,
    layout: &Layout,
    (keep, set): (&Keep, &str),
) -> Result<Shelf> {
    let empty = || Head::new(Vec::new(), layout);
    let (Some(counts), Some(projection)) = (counts, projection) else {
        let nothing = |chunk: usize| Ok(Encoded::of(layout.chunk(chunk).len(), Vec::new()));
        return Shelf::make(keep, TASTES, set, empty(), nothing);
    };
    let stride = stride(layout.len());
    let sampled: Vec<usize> = (0..layout.len()).step_by(stride).collect();
    let samples = projection.project(&counts, &sampled).into_iter().enumerate();
    let settled = samples.map(|(at, sample)| {
        let (name, labels) = (format!("taste_{}", at + 1), Vec::new());
        let study = Study::Numbers { stride, sample };
        settle(Drafted { name, labels, study, at }, given, layout.len())
    });
    let (shelved, ready): (Vec<Shelved>, Vec<Option<Ready>>) = settled.unzip();
    let mut head = Head::new(shelved, layout);
    head.projection = Some(projection.clone());
    Shelf::make(keep, TASTES, set, head, |chunk| {
        let rows: Vec<usize> = layout.chunk(chunk).collect();
        let columns = projection.project(&counts, &rows).into_iter().zip(&ready);
        let own: Vec<(Vec<f32>, &Ready)> =
            columns.filter_map(|(values, r)| r.as_ref().map(|ready| (values, ready))).collect();
        let encode = |(values, ready): (Vec<f32>, &Ready)| {
            encode_values(&ready.feature, Values::Numbers(values), &ready.words)
        };
        Ok(Encoded::of(rows.len(), own.into_par_iter().map(encode).collect()))
    })
}
