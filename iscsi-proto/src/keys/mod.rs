//! Text keys: what both sides declare and negotiate (RFC 7143, sections 6, 12 and 13).
//!
//! [`TABLE`] has one row per standard key, and everything else derives from it: [`text`] checks value lengths by it,
//! [`value`] reads values by it, [`negotiate`] applies its result functions, and documentation prints it.
//!
//! ```
//! use iscsi_proto::keys::{Key, Party, Stage, text};
//!
//! let bytes = text::encode([(Key::InitialR2T, "No"), (Key::MaxBurstLength, "262144")]);
//! let pairs = text::parse(&bytes)?;
//! let key = Key::from_name(&pairs[1].key).unwrap();
//! assert_eq!(key, Key::MaxBurstLength);
//! assert!(key.spec().allowed(Party::Target, Stage::Operational));
//! # Ok::<(), iscsi_proto::keys::text::TextError>(())
//! ```

mod spec;
mod table;

pub mod negotiate;
pub mod text;
pub mod value;

pub use spec::{KeySpec, Party, ResultFunction, Scope, Stage, Stages, ValueKind};
pub use table::{Key, TABLE};

/// The answer that leaves a negotiated key as it was.
pub const REJECT: &str = "Reject";
/// The answer to a key that has no meaning in this negotiation.
pub const IRRELEVANT: &str = "Irrelevant";
/// The answer to a key that the receiver does not know.
pub const NOT_UNDERSTOOD: &str = "NotUnderstood";
/// The list value for "without".
pub const NONE: &str = "None";
