//! Which attribute it is (RFC 4171, section 6.1).

use std::fmt;

/// The tag of an attribute.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Tag(pub u32);

macro_rules! tags {
    ($($name:ident = $value:literal, $text:literal;)+) => {
        impl Tag {
            $(#[doc = concat!($text, ".")] pub const $name: Self = Self($value);)+

            const fn text(self) -> Option<&'static str> {
                match self { $(Self::$name => Some($text),)+ _ => None }
            }
        }
    };
}

tags! {
    DELIMITER = 0, "Delimiter";
    ENTITY = 1, "Entity Identifier";
    ENTITY_PROTOCOL = 2, "Entity Protocol";
    REGISTRATION_PERIOD = 6, "Registration Period";
    PORTAL_ADDRESS = 16, "Portal IP Address";
    PORTAL_PORT = 17, "Portal TCP/UDP Port";
    NAME = 32, "iSCSI Name";
    NODE_TYPE = 33, "iSCSI Node Type";
    ALIAS = 34, "iSCSI Alias";
    GROUP_NAME = 48, "PG iSCSI Name";
    GROUP_ADDRESS = 49, "PG Portal IP Addr";
    GROUP_PORT = 50, "PG Portal TCP/UDP Port";
    GROUP_TAG = 51, "PG Tag";
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            Some(text) => f.write_str(text),
            None => write!(f, "attribute {}", self.0),
        }
    }
}

/// What an iSCSI node is, as bits (RFC 4171, section 6.4.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct NodeType(pub u32);

impl NodeType {
    /// A target.
    pub const TARGET: Self = Self(1);
    /// An initiator.
    pub const INITIATOR: Self = Self(2);
    /// A node that manages others.
    pub const CONTROL: Self = Self(4);

    /// Whether the bit for targets is set; others may be set too.
    pub const fn is_target(self) -> bool {
        self.0 & Self::TARGET.0 != 0
    }
}
