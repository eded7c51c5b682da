//! The one integration binary: the house rules, and Throng as its users meet it.
//!
//! - [`tidy`]: the sources keep the house rules

mod tidy;
