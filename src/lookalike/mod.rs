//! Look-alikes: from a seed to the profiles most like it, with reasons, and with how good it is.
//!
//! The engine asks [`run()`]; it takes a session to run feature queries in and gives back an audience, a
//! model, scores and a report. Nothing here commits anything, prints, or draws without a seed.
//!
//! The life of a look-alike:
//!
//! 1. **Features.** [`features`] and [`items`] run the queries of `sql/features`, or those of [`defaults`];
//!    counts of items become a few columns by [`sparse`].
//! 2. **Encoded.** [`prepare`] has each query's columns encoded ([`encode`]: standardised numbers and bins
//!    of a byte) or finds that they were; they lie on a [`shelf`], in memory or beside the store ([`keep`]),
//!    and are read a chunk of profiles at a time ([`everybody`]). Who is which row is [`layout`].
//! 3. **Guards.** [`columns`] and [`lineage`] find features made of what defines the seed, a [`survey`] and
//!    [`leaks`] those that alone give the answer away. They are named and left out.
//! 4. **Learnt.** [`recipe`]: for each [`fold`] a logistic regression ([`linear`], [`design`], [`additive`]), boosted
//!    trees ([`boost`], [`tree`]) and bagged trees ([`forest`]) from all other folds.
//! 5. **Blended.** [`blend`] weighs the three by how well they rank held-out seeds ([`metrics`]).
//! 6. **Scored.** Everybody by the models of their own fold; a [`curve`] tells where a score lies.
//! 7. **Measured.** [`lift`] on held-out seeds, with bands: reach against lift before you commit.
//! 8. **Selected.** [`size`] says how many, [`top`] finds them without a sort, [`fair`] tells the groups.
//! 9. **Told.** [`reasons`], [`why`], [`report`], the [`page`], and the [`model`] file.
//!
//! Every draw is a hash ([`random`]) and every sum has a fixed order, so the same input gives the same
//! bits on any number of threads.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "statistics over counts of at most 2^31 rows"
)]

mod additive;
mod blend;
mod boost;
mod columns;
mod curve;
mod defaults;
mod design;
mod encode;
mod everybody;
mod fair;
mod features;
mod fold;
mod forest;
mod frame;
mod items;
mod keep;
pub mod kernels;
mod layout;
mod leaks;
mod lift;
mod lineage;
mod linear;
mod metrics;
mod model;
mod page;
mod prepare;
mod random;
mod raw;
mod reasons;
mod recipe;
mod report;
mod run;
mod shelf;
mod shrink;
mod size;
mod sources;
mod sparse;
mod standing;
mod survey;
#[cfg(test)]
mod tests;
mod top;
mod tree;
mod why;
mod work;

pub use features::LeftOut;
pub use lift::{Banded, ReachAt};
pub use model::{Lineage, Model};
pub use page::page;
pub use reasons::{Bucket, Factor};
pub use report::{Fairness, GroupRate, Kept, LiftBands, Lifts, Metrics, Report, Stability};
pub use run::{
    Contribution, Explanation, Found, Queries, Request, SEEDS_FEW, SEEDS_MIN, Scores, run,
};
pub use size::Size;
pub use sources::{seed_columns, sensitive};
pub use standing::{Lock, Standing};
