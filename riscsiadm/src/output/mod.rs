//! What is printed: data in, exact text out. Nothing here reads a file, a socket or a clock, or writes to a terminal.
//!
//! The text forms follow iscsiadm to the letter, since scripts parse them. The JSON forms ([`json`]) are this tool's own
//! and are described in `docs/json.md`.
//!
//! Whatever a target or a file said goes through [`escape`] on its way.

pub mod discovery;
pub mod host;
pub mod iface;
pub mod json;
pub mod node;
pub mod record;
pub mod session;
pub mod stats;
pub mod table;

mod escape;

pub use escape::escape;

/// What stands where there is no value.
pub const EMPTY: &str = "<empty>";

/// A value, escaped, or the mark for none.
fn or_empty(text: &str) -> std::borrow::Cow<'_, str> {
    if text.is_empty() { EMPTY.into() } else { escape(text) }
}
