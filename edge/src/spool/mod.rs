//! Keeps frames on disk until the ground has them.
