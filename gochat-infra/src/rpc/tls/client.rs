//! The client's side.

use std::sync::Arc;

use gochat_core::error::{Error, ErrorCode, Result};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::ClientTls;
use super::pem::{authorities, bad, certificates, key, provider};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Encrypts connections.
pub(in crate::rpc) struct Connector {
    files: ClientTls,
}

impl Connector {
    /// Reads the files once, so that mistakes show before the first call.
    pub(in crate::rpc) fn new(files: &ClientTls) -> Result<Self> {
        load(files)?;
        Ok(Self {
            files: files.clone(),
        })
    }

    pub(in crate::rpc) async fn connect(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, BoxError> {
        // Connections are rare, and so renewed certificates need no other care.
        let files = self.files.clone();
        let config = tokio::task::spawn_blocking(move || load(&files)).await??;
        let name = self.files.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(name.to_owned())?;
        let connector = TlsConnector::from(Arc::new(config));
        Ok(connector.connect(name, stream).await?)
    }
}

fn load(files: &ClientTls) -> Result<ClientConfig> {
    let roots = authorities(&files.ca_file)?;
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| bad("authority", &files.ca_file, error))?
        .with_root_certificates(roots);
    let mut config = match (&files.cert_file, &files.key_file) {
        (Some(cert), Some(secret)) => builder
            .with_client_auth_cert(certificates(cert)?, key(secret)?)
            .map_err(|error| bad("certificate", cert, error))?,
        (None, None) => builder.with_no_client_auth(),
        _ => {
            return Err(Error::new(
                ErrorCode::InvalidParams,
                "A client certificate needs both cert_file and key_file.",
            ));
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}
