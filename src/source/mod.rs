//! Files and made-up data as record batches.

pub mod shop;
