//! How a request ended (RFC 4171, section 5.4).

use std::fmt;

/// The status of a response.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Status(pub u32);

macro_rules! statuses {
    ($($name:ident = $value:literal, $text:literal;)+) => {
        impl Status {
            $(#[doc = concat!("\"", $text, "\".")] pub const $name: Self = Self($value);)+

            const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)+ _ => "reserved" }
            }
        }
    };
}

statuses! {
    SUCCESS = 0, "successful";
    UNKNOWN_ERROR = 1, "unknown error";
    FORMAT = 2, "message format error";
    INVALID_REGISTRATION = 3, "invalid registration";
    INVALID_QUERY = 5, "invalid query";
    SOURCE_UNKNOWN = 6, "source unknown";
    SOURCE_ABSENT = 7, "source absent";
    SOURCE_UNAUTHORIZED = 8, "source unauthorized";
    NO_SUCH_ENTRY = 9, "no such entry";
    VERSION = 10, "version not supported";
    INTERNAL = 11, "internal error";
    BUSY = 12, "busy";
    OPTION = 13, "option not understood";
    INVALID_UPDATE = 14, "invalid update";
    NOT_SUPPORTED = 15, "message not supported";
    EVENT_REJECTED = 16, "SCN event rejected";
    NOTIFICATION_REJECTED = 17, "SCN registration rejected";
    ATTRIBUTE_NOT_IMPLEMENTED = 18, "attribute not implemented";
    DOMAIN_NOT_AVAILABLE = 19, "FC_DOMAIN_ID not available";
    DOMAIN_NOT_ALLOCATED = 20, "FC_DOMAIN_ID not allocated";
    INQUIRY_NOT_AVAILABLE = 21, "ESI not available";
    INVALID_DEREGISTRATION = 22, "invalid deregistration";
    FEATURE_NOT_SUPPORTED = 23, "registration feature not supported";
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (status {})", self.text(), self.0)
    }
}
