//! How far the edge's clock is from the ground's.
