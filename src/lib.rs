//! Throng: SQL in, audiences out.
//!
//! A columnar audience analytics engine. Analysts keep a folder of SQL files; Throng stores customer
//! profiles and events as Parquet, evaluates every segment through `DataFusion` into a roaring
//! bitmap, and hands the audiences to whatever uses them.
//!
//! # The life of a segment
//!
//! What happens to `sql/segments/vip.sql` between `throng build` and `throng export`:
//!
//! 1. **Typed.** [`cli`] parses the command line and calls [`engine::Engine::build`]. It knows
//!    nothing of what follows.
//! 2. **Loaded.** [`project`] reads the file: a name, a text, and the front matter on top of it.
//! 3. **Pinned.** [`store::Store::snapshot`] takes one version of all tables; the build reads no
//!    other. A [`query::Session`] over it sets `now()` to the build's moment.
//! 4. **Parsed.** [`segment::Parsed`] knows which tables and segments the query reads.
//!    [`segment::Graph`] puts every segment behind those it needs, and names cycles.
//! 5. **Planned.** [`segment::Planned`] is a query of `DataFusion`'s that returns `profile_id` and
//!    names only what is there. Where neither its definition nor anything it reads has changed
//!    since its last membership, its life ends here: that membership is reused.
//! 6. **Compiled.** [`segment::compile`] turns the plan into set algebra over leaves: conditions on
//!    profiles, on events, on aggregates of events. Leaves are shared by all segments of the build.
//! 7. **Passed over.** [`segment::pass`] evaluates all leaves in one scan of profiles and one of
//!    events, shard by shard; files, runs of events and columns that no leaf needs are not read.
//! 8. **A membership.** Bits are combined as the set algebra says and become a
//!    [`membership::Membership`]. What could not be compiled is run by [`query`] alone, into a
//!    [`membership::Mask`].
//! 9. **Committed.** [`audience::build`] cuts the memberships of all segments by shard and commits
//!    them with their counts as one [`store::Change`].
//! 10. **Taken out.** [`activation`] writes the membership to a file: a list of ids in any
//!     namespace, or a bitmap.
//!
//! The profiles and events that it reads came in before, through [`source`] (files to batches),
//! [`identity`] (identifiers to `profile_id`s) and [`ingest`] (layout, rejects, one commit). The
//! words are those of [`model`], the failures those of [`error`]. `ARCHITECTURE.md` is the map.

pub mod activation;
pub mod audience;
pub mod cli;
pub mod engine;
pub mod error;
pub mod identity;
pub mod ingest;
pub mod insight;
pub mod lookalike;
pub mod membership;
pub mod model;
pub mod project;
pub mod query;
pub mod segment;
pub mod source;
pub mod store;
