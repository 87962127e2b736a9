//! Settings of a channel.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::rpc::breakers::Breakers;
use crate::rpc::tls::ClientTls;

/// How calls to one service are made.
///
/// ```
/// use gochat_infra::rpc::ChannelConfig;
/// let config = ChannelConfig { deadline_ms: 2_000, ..ChannelConfig::new("im-repo") };
/// assert_eq!(config.connect_timeout_ms, 5_000);
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChannelConfig {
    /// The service behind the channel: for logs and error messages.
    pub name: String,
    /// For one attempt to connect, TLS and the first health check included.
    pub connect_timeout_ms: u64,
    /// For a call that brings no `grpc-timeout` of its own.
    pub deadline_ms: u64,
    /// Between two pings on a connection.
    pub keep_alive_ms: u64,
    /// Without the answer to a ping for this long, the connection is over.
    pub keep_alive_timeout_ms: u64,
    /// Ping also while no call is on its way.
    pub keep_alive_while_idle: bool,
    /// How long a call waits while instances are being connected and none is ready.
    pub wait_ms: u64,
    /// First and last pause between attempts to connect.
    pub reconnect_ms: u64,
    /// See [`reconnect_ms`](Self::reconnect_ms).
    pub reconnect_max_ms: u64,
    /// Failures in a row after which an instance gets no calls for a while.
    pub eject_after: u32,
    /// How long an instance is left alone the first time; twice as long each further time.
    pub eject_ms: u64,
    /// See [`eject_ms`](Self::eject_ms).
    pub eject_max_ms: u64,
    /// Ask new connections, and from time to time old ones, for `grpc.health.v1`. Instances that don't know the
    /// service count as well.
    pub health: bool,
    /// Between two health checks.
    pub health_ms: u64,
    /// Addresses, `host:port`, while the registry knows no instance.
    pub fallback: Vec<String>,
    /// TLS; without it connections are plain.
    pub tls: Option<ClientTls>,
    /// A connection without calls for this long is closed, and opened again for the next call; `None`: instances are
    /// connected to as soon as they are known, and stay so. For callers who mean a certain instance
    /// ([`Directory`](super::Directory)) and need few of many: calls to any instance go to those that are connected.
    #[serde(skip)]
    pub idle: Option<Duration>,
    /// Breakers to share with other channels; every channel has its own otherwise.
    #[serde(skip)]
    pub breakers: Option<Breakers>,
}

impl Default for ChannelConfig {
    fn default() -> Self {
        Self {
            name: "service".to_owned(),
            connect_timeout_ms: 5_000,
            deadline_ms: 10_000,
            keep_alive_ms: 10_000,
            keep_alive_timeout_ms: 3_000,
            keep_alive_while_idle: true,
            wait_ms: 1_000,
            reconnect_ms: 100,
            reconnect_max_ms: 5_000,
            eject_after: 5,
            eject_ms: 1_000,
            eject_max_ms: 30_000,
            health: true,
            health_ms: 5_000,
            fallback: Vec::new(),
            tls: None,
            idle: None,
            breakers: None,
        }
    }
}

impl ChannelConfig {
    /// The defaults for a service of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// The deadline of a call that brings none.
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }

    pub(super) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    pub(super) fn wait(&self) -> Duration {
        Duration::from_millis(self.wait_ms)
    }
}
