//! WebSockets: handshake, connections, and what keeps them alive.

pub(crate) mod backlog;
pub(crate) mod conn;
pub(crate) mod drain;
pub(crate) mod handshake;
mod inbound;
pub(crate) mod io;
pub(crate) mod newest;
mod out;
pub(crate) mod socket;
pub(crate) mod sweeper;
pub(crate) mod table;
pub(crate) mod upgrade;
