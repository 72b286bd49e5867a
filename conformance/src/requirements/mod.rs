//! Which rule of the standards is proved by which test.
//!
//! The rules stand in `conformance/requirements/requirements.toml`, and what is left out, with the reason, in
//! `exceptions.toml` beside it. A test proves a rule if its name begins with the rule's number (`r157_…`, `r156_r163_…`,
//! `r172_to_r176_…`), or if the comment above it holds `R-157` or `R-172 to R-176`. The program `requirements` holds the
//! two together.

pub mod audit;
pub mod id;
pub mod page;
pub mod scan;
pub mod table;
