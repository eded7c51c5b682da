//! The nouns that every room shares: ids, identifiers, names, times, tables. No I/O happens here.
//!
//! - [`ids`]: `profile_id`, build numbers, shards
//! - [`identifier`]: a (namespace, value) pair and its normal form
//! - [`id_space`]: which ids a file holds
//! - [`name`]: the names that segments, sources and features may have
//! - [`time`]: the moment `as_of` that a build is pinned to
//! - [`tables`]: the tables of a store and the columns that Throng itself relies on

pub mod id_space;
pub mod identifier;
pub mod ids;
pub mod name;
pub mod tables;
pub mod time;

pub use id_space::IdSpace;
pub use identifier::Namespace;
pub use ids::{BuildId, ProfileId, ShardId, ShardSize};
pub use name::Name;
pub use tables::TableName;
pub use time::{AsOf, millis_since};
