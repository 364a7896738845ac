//! The session: what crosses the link when, free of I/O.
//!
//! The same on every transport, outliving them all. Each end owns one state machine and drives it alike: feed it what
//! happened (`handle_*`), send what [`poll_transmit`](EdgeSession::poll_transmit) gives, act on
//! [`poll_event`](EdgeSession::poll_event), and call `handle_timeout` when `poll_timeout` says so.
//!
//! The vehicle: `send` (state and connections), `incoming` (what the ground says), `outgoing` (what goes next), `drain` (what of
//! the backlog does), `silence` (a ground that is not heard), `live` and `backlog` (the lanes), `declarations` (which streams
//! the ground knows), `shield` (coding against loss, for the `load` that there is), `packets` (datagrams on their way),
//! `ledger` (which record is where), `pacing`, `allowance` and `budget` (what may be spent).
//! The ground: `receive` (phases and bookkeeping), `feedback` (what it tells), `refusal` (why it ends), `arrival` (datagrams that came), `assembly` (parts of the backlog),
//! `chain` (frames that continue others).
//! Both: `commands` (orders and answers), `parity` (of parts), `transmit` (what is sent how), `queues` (their bounds).

mod allowance;
mod arrival;
mod assembly;
mod backlog;
mod budget;
mod chain;
mod commands;
mod declarations;
mod drain;
mod feedback;
mod incoming;
mod ledger;
mod live;
mod load;
mod outgoing;
mod pacing;
mod packets;
mod parity;
mod queues;
mod receive;
mod refusal;
mod send;
mod shield;
mod silence;
mod transmit;

pub use budget::{BudgetChange, BudgetKind, Budgets, Month, MonthSpent, Thinning};
pub use queues::QueueFill;
pub use receive::{GroundEvent, GroundSession};
pub use send::{EdgeEvent, EdgeSession, Frame, Identity, SendConfig, SendStats};
pub use shield::Pins;
pub use transmit::{Carrier, Channel, Transmit};
