//! The ground's end of Tern: vehicles in, history and web clients out.
//!
//! Read in the order of the data flow: [`serve`] accepts connections, [`accept`] takes a vehicle's, [`vehicle`] is its one way in,
//! [`history`] commits what came, [`publish`] brings it to [`client`]s on WebSockets and [`http`], as far as [`access`]
//! allows; [`query`] reads the history for them, [`export`] writes it out again, [`page`] shows it. [`relay`]
//! starts them all.

pub mod accept;
pub mod access;
pub mod client;
pub mod clock;
pub mod command;
pub mod config;
pub mod export;
pub mod history;
pub mod http;
pub mod json;
pub mod page;
pub mod publish;
pub mod query;
pub mod relay;
pub mod serve;
pub mod tls;
pub mod vehicle;
