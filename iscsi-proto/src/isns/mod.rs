//! The messages of iSNS, the Internet Storage Name Service (RFC 4171).
//!
//! A message is one or more PDUs ([`Reader`] joins them) with attributes in it, each a tag, a length and a value. A request
//! starts with who sends it; a response with a [`Status`]. Then come the attributes that name what is meant (the key), a
//! delimiter, and the attributes that say something about it.
//!
//! ```
//! use bytes::BytesMut;
//! use iscsi_proto::isns::{Attribute, Function, Message, NodeType, Reader, Status, Tag};
//!
//! let source = Attribute::text(Tag::NAME, "iqn.2001-04.com.example:host");
//! let targets = Attribute::number(Tag::NODE_TYPE, NodeType::TARGET.0);
//! let request = Message::request(Function::QUERY, 7, &[source, targets, Attribute::DELIMITER, Attribute::empty(Tag::NAME)]);
//! let mut wire = BytesMut::new();
//! request.encode(&mut wire)?;
//!
//! let mut reader = Reader::default();
//! reader.buffer().extend_from_slice(&wire);
//! let received = reader.next_message()?.expect("the message is whole");
//! assert_eq!((received.function(), received.transaction()), (Function::QUERY, 7));
//! assert_eq!(received.attributes()?[0].as_text(), Ok("iqn.2001-04.com.example:host"));
//! # Ok::<(), iscsi_proto::isns::IsnsError>(())
//! ```

mod attribute;
mod error;
mod header;
mod message;
mod reader;
mod status;
mod tag;

pub use attribute::{Attribute, ValueError};
pub use error::IsnsError;
pub use header::{Flags, Function, HEADER_LEN, Header, MAX_PAYLOAD};
pub use message::{Answer, MAX_MESSAGE, Message};
pub use reader::Reader;
pub use status::Status;
pub use tag::{NodeType, Tag};

/// The TCP port that IANA gave to iSNS.
pub const PORT: u16 = 3205;
