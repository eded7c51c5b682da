//! The columns of one feature query, encoded: in memory, or as objects that are read a chunk at a time.
//!
//! A chunk is one object: the bins of all columns, then their numbers. The head names the columns, and
//! the digest of each half of each chunk: what was damaged is not believed.

use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::store::features::HEAD;

use super::encode::{Encoded, EncodedColumn, Feature};
use super::features::LeftOut;
use super::keep::Keep;
use super::layout::Layout;
use super::sparse::Projection;

/// A column that a query returned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Shelved {
    /// Its name.
    pub(crate) name: String,
    /// How it is encoded; nothing where it carries nothing.
    pub(crate) feature: Option<Feature>,
    /// Why it carries nothing.
    pub(crate) why: String,
}

/// What is known of a query's columns without reading them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// The columns.
    pub(crate) columns: Vec<Shelved>,
    /// Columns that cannot be used, whatever the seed.
    pub(crate) left_out: Vec<LeftOut>,
    /// What the user should know.
    pub(crate) notes: Vec<String>,
    /// What the columns are of items.
    pub(crate) projection: Option<Projection>,
    /// The rows of each chunk.
    rows: Vec<usize>,
    /// The digests of each chunk's bins and numbers.
    sums: Vec<[String; 2]>,
}

/// How much of a chunk is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// The bins; there are no numbers then.
    Bins,
    /// Bins and numbers.
    All,
}

/// A query's columns.
#[derive(Debug)]
pub(crate) struct Shelf {
    /// The query.
    pub(crate) name: String,
    /// What is known of them.
    pub(crate) head: Head,
    /// Whether they were there already.
    pub(crate) reused: bool,
    set: String,
    keep: Keep,
    /// The chunks, where they are in memory.
    held: Option<Vec<Encoded>>,
}

/// Characters of a digest.
const SUM_CHARS: usize = 64;

fn object(chunk: usize) -> String {
    format!("{chunk:05}")
}

fn sum(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

impl Head {
    pub(crate) fn new(columns: Vec<Shelved>, layout: &Layout) -> Self {
        let rows = (0..layout.chunks()).map(|chunk| layout.chunk(chunk).len()).collect();
        Self { columns, rows, ..Self::default() }
    }

    /// The features of the columns that are encoded, in the order in which they lie.
    pub(crate) fn features(&self) -> impl Iterator<Item = &Feature> {
        self.columns.iter().filter_map(|column| column.feature.as_ref())
    }

    /// Bytes of a row's bins, and of its numbers.
    fn widths(&self) -> (usize, usize) {
        let numbers = self.features().filter(|feature| !feature.is_word()).count();
        (self.features().count(), 4 * numbers)
    }

    fn bytes(&self) -> usize {
        let (bins, numbers) = self.widths();
        self.rows.iter().sum::<usize>() * (bins + numbers)
    }

    fn fits(&self, layout: &Layout) -> bool {
        let rows = self.rows.iter().copied();
        self.sums.len() == self.rows.len()
            && rows.eq((0..layout.chunks()).map(|chunk| layout.chunk(chunk).len()))
            && self.features().all(|feature| feature.bins() <= 256)
    }
}

/// The bytes of a chunk: bins, then numbers, column by column; and where the numbers begin.
fn to_bytes(encoded: &Encoded) -> (Vec<u8>, usize) {
    let bins = encoded.rows * encoded.bins.len();
    let numbers: usize = encoded.numbers.iter().map(|numbers| numbers.len()).sum();
    let mut bytes = Vec::with_capacity(bins + 4 * numbers);
    for bins in &encoded.bins {
        bytes.extend_from_slice(bins);
    }
    bytes.resize(bins + 4 * numbers, 0);
    let mut rest = &mut bytes[bins..];
    for numbers in &encoded.numbers {
        let (own, behind) = rest.split_at_mut(4 * numbers.len());
        rest = behind;
        let (cells, _) = own.as_chunks_mut::<4>();
        cells.iter_mut().zip(&**numbers).for_each(|(cell, value)| *cell = value.to_le_bytes());
    }
    (bytes, bins)
}

/// Writes a chunk: the digests of its halves, where that could be done.
fn written(keep: &Keep, set: &str, chunk: usize, encoded: &Encoded) -> Option<[String; 2]> {
    let (bytes, bins) = to_bytes(encoded);
    let (bins, numbers) = bytes.split_at(bins);
    let (bins, numbers) = rayon::join(|| sum(bins), || sum(numbers));
    keep.write_now(set, &object(chunk), bytes).then_some([bins, numbers])
}

/// The columns of a chunk of `rows` rows from the bytes of its bins and, where they were read, numbers.
fn from_bytes(head: &Head, rows: usize, bins: &[u8], numbers: &[u8]) -> Encoded {
    let mut rest = numbers;
    let mut places = Vec::new();
    for (at, feature) in head.features().enumerate() {
        let own = if feature.is_word() || numbers.is_empty() { 0 } else { 4 * rows };
        let (own, behind) = rest.split_at(own);
        rest = behind;
        places.push((&bins[at * rows..(at + 1) * rows], own));
    }
    let column = |(bins, numbers): (&[u8], &[u8])| -> EncodedColumn {
        let (cells, _) = numbers.as_chunks::<4>();
        (bins.to_vec(), cells.iter().map(|cell| f32::from_le_bytes(*cell)).collect())
    };
    Encoded::of(rows, places.into_par_iter().map(column).collect())
}

impl Shelf {
    /// The set that they are kept as.
    pub(crate) fn set(&self) -> &str {
        &self.set
    }

    /// The columns that were kept as `set`; nothing where they were not, or the head is damaged.
    pub(crate) async fn open(keep: &Keep, name: &str, set: &str, layout: &Layout) -> Option<Self> {
        let bytes = keep.read(set, HEAD).await?;
        let (own, json) = bytes.split_at_checked(SUM_CHARS)?;
        let is_whole = sum(json).as_bytes() == own;
        let head: Option<Head> = is_whole.then(|| serde_json::from_slice(json).ok()).flatten();
        let head = head.filter(|head| head.fits(layout))?;
        let (name, set) = (name.to_owned(), set.to_owned());
        Some(Self { name, head, reused: true, set, keep: keep.clone(), held: None })
    }

    /// Encodes and keeps the columns that `head` names, chunk by chunk as `encode` makes them. Runs on the
    /// threads that its caller gives it.
    ///
    /// # Errors
    /// Where `encode` fails.
    pub(crate) fn make(
        keep: &Keep,
        name: &str,
        set: &str,
        mut head: Head,
        encode: impl Fn(usize) -> Result<Encoded> + Sync,
    ) -> Result<Self> {
        let hold = keep.holds(head.bytes());
        let (mut held, mut writes) = (Vec::new(), keep.snapshot().is_some());
        let chunks = head.rows.len();
        let mut next = (chunks > 0).then(|| encode(0)).transpose()?;
        for chunk in 0..chunks {
            let Some(encoded) = next.take() else { break };
            // The next chunk is encoded while this one is written.
            let write = || writes.then(|| written(keep, set, chunk, &encoded));
            let ahead = || (chunk + 1 < chunks).then(|| encode(chunk + 1)).transpose();
            let (sums, ahead) = rayon::join(write, ahead);
            next = ahead?;
            match sums {
                Some(Some(sums)) => head.sums.push(sums),
                Some(None) => {
                    writes = false;
                    if !hold {
                        // The chunks before this one are where they were written to.
                        held = Self::back(keep, name, set, &head, chunk)?;
                    }
                }
                None => {}
            }
            if hold || !writes {
                held.push(encoded);
            }
        }
        let failed = |e: serde_json::Error| Error::internal(format!("a head of features: {e}"));
        let json = serde_json::to_vec(&head).map_err(failed)?;
        // As whoever reads it has it, to the bit.
        let head = serde_json::from_slice(&json).map_err(failed)?;
        if writes {
            keep.write_now(set, HEAD, [sum(&json).as_bytes(), &json].concat());
        }
        Ok(Self {
            name: name.to_owned(),
            head,
            reused: false,
            set: set.to_owned(),
            keep: keep.clone(),
            held: (hold || !writes).then_some(held),
        })
    }

    /// The first `chunks` chunks, read back.
    fn back(
        keep: &Keep,
        name: &str,
        set: &str,
        head: &Head,
        chunks: usize,
    ) -> Result<Vec<Encoded>> {
        let (name, set, head) = (name.to_owned(), set.to_owned(), head.clone());
        let shelf = Self { name, head, reused: false, set, keep: keep.clone(), held: None };
        (0..chunks).map(|chunk| shelf.read(chunk, Depth::All)).collect()
    }

    /// Takes all chunks into memory, where they are few enough.
    ///
    /// # Errors
    /// Where one is lost.
    pub(crate) fn hold(&mut self) -> Result<()> {
        if self.held.is_none() && self.keep.holds(self.head.bytes()) {
            let chunks = (0..self.head.rows.len()).into_par_iter();
            self.held = Some(chunks.map(|at| self.read(at, Depth::All)).collect::<Result<_>>()?);
        }
        Ok(())
    }

    /// The encoded columns of a chunk.
    ///
    /// # Errors
    /// Where it is lost.
    pub(crate) fn read(&self, chunk: usize, depth: Depth) -> Result<Encoded> {
        if let Some(held) = &self.held {
            return Ok(held[chunk].clone());
        }
        let rows = self.head.rows[chunk];
        let (bins, numbers) = self.head.widths();
        let (bins, all) = ((bins * rows) as u64, ((bins + numbers) * rows) as u64);
        let [bins_sum, numbers_sum] = &self.head.sums[chunk];
        let read = |part: std::ops::Range<u64>, own: &String| {
            if part.is_empty() {
                return Ok(bytes::Bytes::new());
            }
            self.keep.part(&self.set, &object(chunk), part, |bytes| sum(bytes) == *own)
        };
        let numbers = || {
            if depth == Depth::All { read(bins..all, numbers_sum) } else { Ok(bytes::Bytes::new()) }
        };
        let (bins, numbers) = rayon::join(|| read(0..bins, bins_sum), numbers);
        Ok(from_bytes(&self.head, rows, &bins?, &numbers?))
    }
}

/// An encoded column that is missing for everybody.
pub(crate) fn missing(feature: &Feature, rows: usize) -> (Arc<Vec<u8>>, Arc<Vec<f32>>) {
    let numbers = if feature.is_word() { Vec::new() } else { vec![0.0; rows] };
    (Arc::new(vec![0; rows]), Arc::new(numbers))
}
