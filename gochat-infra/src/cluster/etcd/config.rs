//! How to reach etcd.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::rpc::{ChannelConfig, ClientTls};

/// Settings of [`EtcdCoord`](super::EtcdCoord).
#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EtcdConfig {
    /// The members, `host:port` with or without a scheme in front; TLS is switched on by `tls` alone.
    pub endpoints: Vec<String>,
    /// User, where etcd asks for one.
    pub username: Option<String>,
    /// The user's password.
    #[serde(skip_serializing)]
    pub password: Option<String>,
    /// TLS, with a client certificate where etcd asks for one.
    pub tls: Option<ClientTls>,
    /// Put in front of every key, for several systems on one etcd.
    pub namespace: String,
    /// For one attempt to connect to a member.
    pub dial_timeout_ms: u64,
    /// For one request.
    pub request_timeout_ms: u64,
    /// How long [`EtcdCoord::connect`](super::EtcdCoord::connect) tries.
    pub connect_wait_ms: u64,
    /// Between two pings on a connection.
    pub keep_alive_ms: u64,
    /// Without the answer to a ping for this long, the connection is over.
    pub keep_alive_timeout_ms: u64,
    /// How long instances stay in a watched state that etcd no longer lists after it was away. They get the time to
    /// register again; those that are really gone are noticed by their connections.
    pub registry_grace_ms: u64,
}

impl Default for EtcdConfig {
    fn default() -> Self {
        Self {
            endpoints: vec!["127.0.0.1:2379".to_owned()],
            username: None,
            password: None,
            tls: None,
            namespace: String::new(),
            dial_timeout_ms: 5_000,
            request_timeout_ms: 5_000,
            connect_wait_ms: 15_000,
            keep_alive_ms: 10_000,
            keep_alive_timeout_ms: 5_000,
            registry_grace_ms: 20_000,
        }
    }
}

impl fmt::Debug for EtcdConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdConfig")
            .field("endpoints", &self.endpoints)
            .field("username", &self.username)
            .field("tls", &self.tls)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl EtcdConfig {
    pub(super) fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    pub(super) fn registry_grace(&self) -> Duration {
        Duration::from_millis(self.registry_grace_ms)
    }

    pub(super) fn channel(&self) -> ChannelConfig {
        ChannelConfig {
            connect_timeout_ms: self.dial_timeout_ms,
            keep_alive_ms: self.keep_alive_ms,
            keep_alive_timeout_ms: self.keep_alive_timeout_ms,
            // etcd hangs up on clients that ping without a call.
            keep_alive_while_idle: false,
            wait_ms: self.dial_timeout_ms,
            reconnect_max_ms: 1_000,
            tls: self.tls.clone(),
            ..ChannelConfig::new("etcd")
        }
    }
}
