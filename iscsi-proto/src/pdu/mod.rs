//! Protocol data units (RFC 7143, section 11).
