//! Memberships: sets of profile ids, in memory and as bytes. As bytes they are roaring bitmaps.
//!
//! - [`set`]: [`Membership`], the profiles in a segment at one build: making and reading one
//! - [`algebra`]: and, or, and-not, xor of two memberships, and their sizes alone
//! - [`shards`]: a membership cut along shards, and put together again
//! - [`columns`]: a membership as Arrow columns of `profile_id`
//! - [`mask`]: [`Mask`], the same set while a pass computes it: one bit an id
//! - `containers`, `container`: what sets consist of, in memory
//! - `merge`, `kernel`: what two have in common, counted by the vector units that the machine has
//! - [`matrix`]: how many members every two of many sets have in common
//! - [`numbers`]: [`Numbers`], a set of another system's 64-bit ids
//! - [`wire`]: bitmaps as bytes of any engine, written one way only and read strictly
//! - [`words`]: from and to words of bits, as passes have them
//!
//! Masks to compute, containers to keep: a pass fills a [`Mask`], [`Mask::to_membership`] ends it, and
//! everything after that is set algebra over [`Membership`]. Invariants:
//!
//! - No set ever holds an id above [`ProfileId::MAX`](crate::model::ProfileId::MAX).
//! - Equal sets compare equal and have equal bytes, whatever operations made them.
//! - Order is always ascending; a set holds an id once.
//!
//! No I/O happens here, and nothing here knows what a segment is.

pub mod algebra;
pub mod columns;
mod container;
mod containers;
mod kernel;
pub mod mask;
pub mod matrix;
mod merge;
pub mod numbers;
pub mod set;
pub mod shards;
pub mod wire;
pub mod words;

pub use mask::Mask;
pub use numbers::Numbers;
pub use set::Membership;

#[cfg(test)]
mod twin_tests;
