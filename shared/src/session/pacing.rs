//! Keeps the link at its configured rate.
