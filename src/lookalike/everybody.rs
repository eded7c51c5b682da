//! Everybody's encoded features: a choice of columns from the shelves, read a chunk at a time, so that all
//! of them never lie in memory together.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::error::Result;

use super::encode::{Encoded, Encoder, Feature};
use super::layout::Layout;
use super::shelf::{Depth, Shelf, missing};

/// The shelves of all feature queries.
#[derive(Debug)]
pub(crate) struct Shelves {
    pub(crate) layout: Arc<Layout>,
    pub(crate) shelves: Vec<Shelf>,
}

/// Columns, in an order of their own.
#[derive(Debug, Clone)]
pub(crate) struct Everybody<'a> {
    all: &'a Shelves,
    /// How they are encoded.
    pub(crate) encoder: Encoder,
    /// Where each lies: the shelf, and the place among its encoded columns; nothing where it is missing for
    /// everybody.
    places: Vec<Option<(usize, usize)>>,
}

impl Shelves {
    /// The columns called `names`, without those that carry nothing.
    pub(crate) fn choose<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Everybody<'_> {
        let found = self.found();
        let known = names.into_iter().filter_map(|name| found.get(name));
        let (places, features) =
            known.map(|(place, feature)| (Some(*place), (*feature).clone())).unzip();
        Everybody { all: self, encoder: Encoder { features }, places }
    }

    /// The columns that `encoder` knows; those that are not among `used` are missing for everybody, and
    /// named in the second part.
    pub(crate) fn choose_for(
        &self,
        encoder: &Encoder,
        used: &[String],
    ) -> (Everybody<'_>, Vec<String>) {
        let found = self.found();
        let mut absent = Vec::new();
        let place = |feature: &Feature| {
            let place = found.get(feature.name.as_str()).filter(|_| used.contains(&feature.name));
            let place = place.map(|(place, _)| *place);
            if place.is_none() {
                absent.push(feature.name.clone());
            }
            place
        };
        let places = encoder.features.iter().map(place).collect();
        (Everybody { all: self, encoder: encoder.clone(), places }, absent)
    }

    fn found(&self) -> BTreeMap<&str, ((usize, usize), &Feature)> {
        let mut found = BTreeMap::new();
        for (at, shelf) in self.shelves.iter().enumerate() {
            for (place, feature) in shelf.head.features().enumerate() {
                found.insert(feature.name.as_str(), ((at, place), feature));
            }
        }
        found
    }
}

impl Everybody<'_> {
    /// Who is which row.
    pub(crate) fn layout(&self) -> &Layout {
        &self.all.layout
    }

    /// The same without the columns at `places`.
    pub(crate) fn without(mut self, places: &[usize]) -> Self {
        let mut at = 0..;
        self.places.retain(|_| at.next().is_none_or(|at| !places.contains(&at)));
        let mut at = 0..;
        self.encoder.features.retain(|_| at.next().is_none_or(|at| !places.contains(&at)));
        self
    }

    /// A chunk's rows.
    ///
    /// # Errors
    /// Where they are lost.
    pub(crate) fn read(&self, chunk: usize, depth: Depth) -> Result<Encoded> {
        let rows = self.layout().chunk(chunk).len();
        let mut read: BTreeMap<usize, Encoded> = BTreeMap::new();
        let mut out = Encoded { rows, ..Encoded::default() };
        for (place, feature) in self.places.iter().zip(&self.encoder.features) {
            let (bins, numbers) = match place {
                None => missing(feature, rows),
                Some((shelf, at)) => {
                    if !read.contains_key(shelf) {
                        read.insert(*shelf, self.all.shelves[*shelf].read(chunk, depth)?);
                    }
                    let own = &read[shelf];
                    (Arc::clone(&own.bins[*at]), Arc::clone(&own.numbers[*at]))
                }
            };
            out.bins.push(bins);
            out.numbers.push(numbers);
        }
        Ok(out)
    }

    /// Does `work` with each chunk, in order; the next one is read meanwhile. `work` may use all threads
    /// that it finds.
    ///
    /// # Errors
    /// Where a chunk is lost.
    pub(crate) fn each(
        &self,
        depth: Depth,
        mut work: impl FnMut(usize, &Encoded) + Send,
    ) -> Result<()> {
        let chunks = self.layout().chunks();
        let mut next = if chunks > 0 { Some(self.read(0, depth)?) } else { None };
        for chunk in 0..chunks {
            let Some(encoded) = next.take() else { break };
            let ahead = || (chunk + 1 < chunks).then(|| self.read(chunk + 1, depth)).transpose();
            let ((), read) = rayon::join(|| work(chunk, &encoded), ahead);
            next = read?;
        }
        Ok(())
    }
}

/// The places within a chunk of those of `rows`, which ascend, that are in it.
pub(crate) fn inside(rows: &[u32], chunk: &Range<usize>) -> Vec<u32> {
    let from = rows.partition_point(|row| (*row as usize) < chunk.start);
    let to = rows.partition_point(|row| (*row as usize) < chunk.end);
    rows[from..to].iter().map(|row| row - chunk.start as u32).collect()
}
