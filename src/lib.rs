//! Throng: SQL in, audiences out.
//!
//! A columnar audience analytics engine. Analysts keep a folder of SQL files; Throng stores customer
//! profiles and events as Parquet, compiles every segment to a roaring bitmap through `DataFusion`,
//! and hands the audiences to whatever uses them.

pub mod activation;
pub mod audience;
pub mod cli;
pub mod engine;
pub mod error;
pub mod identity;
pub mod ingest;
pub mod membership;
pub mod model;
pub mod project;
pub mod query;
pub mod segment;
pub mod source;
pub mod store;
