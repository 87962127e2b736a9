//! What the parent tells a worker and what it hears back: lines of JSON on stdin and stdout.

use serde::{Deserialize, Serialize};

use super::stats::Counts;

/// The first line a worker reads.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Plan {
    /// Marks the messages of this run.
    pub(super) run: u64,
    /// `host:port` of the servers.
    pub(super) servers: Vec<String>,
    /// Tokens of the users.
    pub(super) tokens: Vec<String>,
    /// For the parent: which user of the run each token belongs to.
    #[serde(skip)]
    pub(super) owners: Vec<u32>,
    /// Connections to open, in order.
    pub(super) connections: Vec<Place>,
    /// Conversations this worker sends to.
    pub(super) lanes: Vec<Lane>,
    /// Messages per second of this worker; 0 means by window.
    pub(super) rate: f64,
    /// Messages a lane keeps on their way when there is no rate. 0: only on demand.
    pub(super) window: u32,
    /// Bytes of content.
    pub(super) size: usize,
    /// Every n-th message is edited once it is acknowledged; 0: none.
    pub(super) edit_every: u64,
    /// Every pushed message belongs to one conversation (the world chat).
    pub(super) one_conversation: bool,
    /// Handshakes under way at a time.
    pub(super) concurrency: usize,
    /// Tries of a handshake before it counts as refused for good.
    pub(super) tries: u32,
    /// Write nothing and check nothing: the connections are bare TCP that is drained.
    pub(super) bare: bool,
}

/// A connection of a plan: small, because a plan may have a million.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Place {
    /// Index into the servers.
    pub(super) server: u32,
    /// Index into the tokens.
    pub(super) token: u32,
    /// Which one of its user.
    pub(super) device: u32,
    /// Local address, if it matters.
    pub(super) source: Option<std::net::Ipv4Addr>,
}

impl Plan {
    /// What is needed to open connection `index` with the tokens as they are now.
    pub(super) fn connection(&self, index: usize, tokens: &[String]) -> Connection {
        let place = self.connections[index];
        Connection {
            server: self.servers[place.server as usize].clone(),
            source: place.source,
            token: tokens[place.token as usize].clone(),
            device: format!("bench-{}", place.device),
        }
    }
}

/// A connection to open.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    /// `host:port`.
    pub(crate) server: String,
    /// Local address, if it matters.
    pub(crate) source: Option<std::net::Ipv4Addr>,
    /// Whose.
    pub(crate) token: String,
    /// Device name, unique per user.
    pub(crate) device: String,
}

/// A conversation and the connection that sends to it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Lane {
    /// Number in the whole run.
    pub(super) index: u32,
    /// Its id.
    pub(super) conversation: String,
    /// Index into the worker's connections.
    pub(super) connection: usize,
}

/// What the parent says later.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Order {
    /// Open so many more connections.
    Connect(usize),
    /// Drop all connections.
    Disconnect,
    /// Send by the timetable (or window) from `start` to `end`; measure from `measure` on. Unix microseconds.
    Go { start: u64, measure: u64, end: u64 },
    /// Send one message on the first lane.
    Send,
    /// Newer tokens, by their index in the plan: open connections are told, later ones use them.
    Renew(Vec<(u32, String)>),
    /// Report and end.
    Finish,
}

/// What a worker says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Word {
    /// The connections asked for stand, or failed for good.
    Connected {
        open: usize,
        failed: usize,
        retried: u64,
        micros: u64,
        latency: Vec<(u64, u64)>,
    },
    /// All connections are gone.
    Disconnected,
    /// Once a second.
    Progress {
        sent: u64,
        acked: u64,
        delivered: u64,
    },
    /// Message `number` has reached all connections of this worker.
    Reached { number: u64 },
    /// The end.
    Done(Box<Done>),
}

/// The sum of a worker's life.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Done {
    pub(super) counts: Counts,
    /// From intended send to acknowledgement.
    pub(super) ack: Vec<(u64, u64)>,
    /// From intended send to receipt.
    pub(super) delivery: Vec<(u64, u64)>,
    /// From intended send to actual send: how far the generator was behind.
    pub(super) lag: Vec<(u64, u64)>,
    /// Acknowledgements and deliveries inside the measured time.
    pub(super) acked_measured: u64,
    pub(super) delivered_measured: u64,
    /// CPU time of the worker in seconds.
    pub(super) cpu: f64,
    /// Bytes read (bare mode).
    pub(super) bytes: u64,
}
