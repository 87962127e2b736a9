//! Where the certificates are.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// TLS of a client. All files are PEM; they are read again for every connection.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientTls {
    /// The authorities whose servers are trusted.
    pub ca_file: PathBuf,
    /// The client's own certificate, with its chain, for mutual TLS.
    #[serde(default)]
    pub cert_file: Option<PathBuf>,
    /// The key of the certificate.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// The name to find in the server's certificate; the host connected to otherwise.
    #[serde(default)]
    pub server_name: Option<String>,
}

/// TLS of a server. All files are PEM; changed files are taken over while it runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerTls {
    /// The server's certificate, with its chain.
    pub cert_file: PathBuf,
    /// The key of the certificate.
    pub key_file: PathBuf,
    /// The authorities whose clients are let in: mutual TLS. Without it anybody may connect.
    #[serde(default)]
    pub client_ca_file: Option<PathBuf>,
    /// How often the files are looked at, in seconds.
    #[serde(default = "reload_seconds")]
    pub reload_seconds: u64,
}

fn reload_seconds() -> u64 {
    30
}

impl ServerTls {
    /// Whether clients must show a certificate.
    pub fn is_mutual(&self) -> bool {
        self.client_ca_file.is_some()
    }
}
