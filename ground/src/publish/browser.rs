//! One web client.
