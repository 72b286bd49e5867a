//! Text keys of login and text negotiation (RFC 7143, sections 6, 12 and 13).
