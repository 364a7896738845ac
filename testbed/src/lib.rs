//! Proves what Tern claims.
