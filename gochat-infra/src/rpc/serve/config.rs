//! Settings of a server.

use std::io;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::rpc::tls::ServerTls;

/// How a port is served.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// TLS; with `client_ca_file` mutual.
    pub tls: Option<ServerTls>,
    /// Allows an address that is not loopback without mutual TLS. Callers are trusted: only for networks that let
    /// nobody else in.
    pub insecure: bool,
    /// Connections at a time; more wait.
    pub max_connections: usize,
    /// Calls at a time on a connection.
    pub max_concurrent_streams: u32,
    /// Between two pings on a connection.
    pub keep_alive_ms: u64,
    /// Without the answer to a ping for this long, the connection is over.
    pub keep_alive_timeout_ms: u64,
    /// For the TLS handshake, and for the head of a request.
    pub handshake_ms: u64,
    /// For calls on their way when the server stops.
    pub drain_ms: u64,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            tls: None,
            insecure: false,
            max_connections: 4_096,
            max_concurrent_streams: 1_000,
            keep_alive_ms: 20_000,
            keep_alive_timeout_ms: 10_000,
            handshake_ms: 10_000,
            drain_ms: 5_000,
        }
    }
}

/// Why a port is not served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Everybody on the network could act for every user.
    #[error(
        "{0} is not a loopback address and its callers are trusted: set up mutual TLS (tls.cert_file, tls.key_file, \
         tls.client_ca_file), or insecure = true in a network that lets nobody else in"
    )]
    Exposed(SocketAddr),
    /// Certificates that can't be used.
    #[error("{0}")]
    Tls(String),
    /// The listener is no good.
    #[error("the listener has no address: {0}")]
    Listener(io::Error),
    /// The descriptors of the services can't be read.
    #[error("reflection: {0}")]
    Reflection(String),
}

impl ServerConfig {
    /// Whether this address may be served: callers of these services are trusted, so an address that others can
    /// reach needs mutual TLS.
    ///
    /// # Errors
    /// [`ServeError::Exposed`] when it may not.
    pub fn check(&self, address: SocketAddr) -> Result<(), ServeError> {
        let mutual = self.tls.as_ref().is_some_and(ServerTls::is_mutual);
        if mutual || self.insecure || address.ip().is_loopback() {
            Ok(())
        } else {
            Err(ServeError::Exposed(address))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_others_can_reach_needs_mutual_tls() {
        let outside: SocketAddr = "0.0.0.0:9002".parse().unwrap();
        let inside: SocketAddr = "[::1]:9002".parse().unwrap();
        let mut config = ServerConfig::default();
        assert!(config.check(inside).is_ok());
        assert!(config.check(outside).is_err());
        let mut tls = ServerTls {
            cert_file: "cert.pem".into(),
            key_file: "key.pem".into(),
            client_ca_file: None,
            reload_seconds: 30,
        };
        config.tls = Some(tls.clone());
        assert!(config.check(outside).is_err(), "anybody could connect");
        tls.client_ca_file = Some("ca.pem".into());
        config.tls = Some(tls);
        assert!(config.check(outside).is_ok());
        let insecure = ServerConfig {
            insecure: true,
            ..ServerConfig::default()
        };
        assert!(insecure.check(outside).is_ok());
    }
}
