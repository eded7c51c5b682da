//! The one integration binary: the house rules, and Throng as its users meet it.
//!
//! Most tests run the real binary in a project of their own in a temporary folder. None of them needs
//! the network, and none looks at the clock.
//!
//! - [`tidy`]: the sources keep the house rules
//! - [`journey`]: every verb, from an empty folder to exports, as text and as JSON
//! - [`ingest`]: what becomes of files
//! - [`insight`]: overlap, reach, composition, and their pictures
//! - [`sets`]: many segments as one set, whole or not there; changes between builds
//! - [`import`]: ids and bitmaps from elsewhere as segments
//! - [`bad_input`]: what is wrong is named, with its place, and changes nothing
//! - [`messages`]: what is wrong is said in words that help
//! - [`usage`]: what may be typed and saved, and results as CSV
//! - [`segments`]: what memberships are, and that nothing but data and SQL decides them
//! - [`naive`]: segments against a loop over the same events
//! - [`bitmaps`]: the SQL functions over bitmaps and segments
//! - [`explain`]: what a segment is made of, and why a profile is in it
//! - [`fuzz`]: random segments, compiled and not
//! - [`refresh`]: builds after random changes, and full builds
//! - [`sql`]: `throng sql` through a pipe
//! - [`warm`]: a session that keeps what it read against commands that keep nothing
//! - [`lookalike`]: who is found for a seed, what is said of it, what is refused
//! - [`audiences`]: audiences of look-alikes, built again in their place
//! - [`features`]: encoded features that are kept: the same is found with them and without
//! - [`crash`]: killed writers, writers at the same time
//! - [`golden`]: help and error texts, reviewed as diffs
//! - [`support`]: a project, and running the binary in it

mod audiences;
mod bad_input;
mod bitmaps;
mod crash;
mod explain;
mod features;
mod fuzz;
mod golden;
mod import;
mod ingest;
mod insight;
mod journey;
mod lookalike;
mod messages;
mod naive;
mod pitfalls;
mod refresh;
mod segments;
mod sets;
mod sql;
mod support;
mod tidy;
mod usage;
mod warm;
mod windows;
