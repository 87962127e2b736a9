//! The server's side, with certificates that are renewed while it runs.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use gochat_core::error::Result;
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::ServerTls;
use super::pem::{authorities, bad, certificates, key, provider};

/// Encrypts connections that were accepted. Cheap to clone.
#[derive(Clone)]
pub(in crate::rpc) struct Acceptor {
    config: Arc<ArcSwap<ServerConfig>>,
    files: Arc<ServerTls>,
}

impl Acceptor {
    pub(in crate::rpc) fn new(files: &ServerTls) -> Result<Self> {
        Ok(Self {
            config: Arc::new(ArcSwap::from_pointee(load(files)?)),
            files: Arc::new(files.clone()),
        })
    }

    pub(in crate::rpc) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let config = self.config.load_full();
        TlsAcceptor::from(config).accept(stream).await
    }

    /// Takes changed files over, for ever. Files that can't be used change nothing.
    pub(in crate::rpc) async fn reload(&self) {
        let pause = Duration::from_secs(self.files.reload_seconds.max(1));
        let mut seen = self.stamps().await;
        loop {
            tokio::time::sleep(pause).await;
            let now = self.stamps().await;
            if now == seen {
                continue;
            }
            let files = self.files.clone();
            match tokio::task::spawn_blocking(move || load(&files)).await {
                Ok(Ok(config)) => {
                    self.config.store(Arc::new(config));
                    tracing::info!("the server's certificate was renewed");
                    seen = now;
                }
                Ok(Err(error)) => {
                    tracing::error!(%error, "changed certificate files can't be used; the old ones stay");
                }
                Err(_) => {}
            }
        }
    }

    async fn stamps(&self) -> Vec<Option<(SystemTime, u64)>> {
        let files = self.files.clone();
        let stamps = tokio::task::spawn_blocking(move || {
            let all = [
                Some(&files.cert_file),
                Some(&files.key_file),
                files.client_ca_file.as_ref(),
            ];
            all.into_iter().flatten().map(|path| stamp(path)).collect()
        });
        stamps.await.unwrap_or_default()
    }
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

fn load(files: &ServerTls) -> Result<ServerConfig> {
    let unusable = |error: rustls::Error| bad("certificate", &files.cert_file, error);
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let builder = match &files.client_ca_file {
        Some(path) => {
            let roots = Arc::new(authorities(path)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
                .build()
                .map_err(|error| bad("authority", path, error))?;
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let mut config = builder
        .with_single_cert(certificates(&files.cert_file)?, key(&files.key_file)?)
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
