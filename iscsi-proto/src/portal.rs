//! Target portals and their text form (RFC 7143, section 13.8).
