//! Insight: how memberships relate to each other and to the base. Nothing here is stored.
//!
//! The engine loads memberships and asks; what comes back is plain data, and a picture of it.
//!
//! - [`mod@overlap`]: members in common, Jaccard, lift and containment of every two segments
//! - [`mod@reach`]: whom several segments reach together, and in which order they add most
//! - [`composition`]: what the members are like, against the base
//! - [`plot`]: heat map, `UpSet` plot and bars as SVG

pub mod composition;
pub mod overlap;
pub mod plot;
pub mod reach;

pub use composition::{Attribute, Composition, Measure};
pub use overlap::{Overlap, overlap};
pub use reach::{Reach, reach};

/// `part` of `whole` as a share, 0 of nothing.
#[expect(clippy::cast_precision_loss, reason = "counts of profiles are below 2^53")]
pub(crate) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
