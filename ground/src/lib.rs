//! The ground's end of Tern.
