//! What the codec makes of recorded flights, beside what others would.

mod baseline;
mod measure;
mod table;
mod tlog;

pub use self::measure::{CodecOptions, LossPolicy, Report, Streams, measure};
pub use self::table::Table;
pub use self::tlog::{Recording, read};
