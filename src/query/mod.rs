//! The one door to `DataFusion`: sessions, tables, plans, limits, and its errors in our words.
//!
//! Segment, ingest and audience rooms ask a [`Session`] to plan SQL and to run it; what comes back is
//! Arrow, a [`crate::membership::Mask`], or an [`crate::error::Error`] with a line and a column.
//! Nothing here writes anything.
//!
//! - [`limits`]: threads and memory
//! - [`crew`]: tasks shared out among threads
//! - [`session`]: a `DataFusion` session over one store snapshot, pinned to one moment
//! - [`written`]: a query as it is written, parsed once
//! - [`plan`]: a planned query, and running it
//! - [`within`]: a query over a part of all profiles
//! - [`words`]: the words that a query looks for
//! - [`counted`]: queries that count profiles, as the sets that they count
//! - [`logic`]: plans and expressions as the segment compiler reads them
//! - [`comparisons`], [`narrow`]: what `DataFusion` would answer otherwise than SQL says
//! - [`table`]: a store table as a scan that skips files and pages
//! - [`segments`]: memberships as the tables of the schema `segments`
//! - [`functions`], [`functions_agg`]: the SQL functions over bitmaps
//! - [`in_segment`]: `in_segment('name')` in a condition
//! - [`refused`]: clauses that would be ignored
//! - [`selection`]: predicates on segments as row selections of the Parquet scan
//! - [`files`]: a source's files as tables
//! - [`errors`]: what `DataFusion` says, as what, where and what to do
//! - [`advice`]: messages for makers of engines, in words for those who write SQL
//! - [`hints`]: what to do, for those who write another product's SQL
//! - [`places`], [`operands`]: where in the SQL the thing stands that an error speaks of

mod advice;
mod comparisons;
pub mod counted;
pub mod crew;
pub mod errors;
pub mod files;
pub mod functions;
pub mod functions_agg;
mod hints;
pub mod in_segment;
pub mod limits;
pub mod logic;
mod narrow;
mod operands;
mod places;
pub mod plan;
mod refused;
pub mod segments;
pub mod selection;
pub mod session;
pub mod table;
pub mod within;
pub mod words;
pub mod written;

pub use errors::placed;
pub use limits::Limits;
pub use logic::{Formula, StandIn, df, to_sql};
pub use plan::{Ids, Plan};
pub use session::{Base, Held, Masks, SEGMENTS, Session};
pub use table::scan_schema;
pub use written::Written;
