//! TLS on the edge: certificates that are renewed while the gateway runs, and the handshake.
//!
//! New files are tried before they replace anything: a certificate that can't be used changes
//! nothing for anybody. Connections that are open keep the certificate they began with.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{Acceptor, ProducesTickets};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::config::Tls;
use crate::metrics as names;

/// The first byte of every TLS connection: a record that carries a handshake.
const HANDSHAKE_RECORD: u8 = 0x16;
/// How much of a plain request is read away before it is refused.
const PLAIN_REQUEST: usize = 8 << 10;
/// Tickets a client gets after a handshake: one is enough to come back with.
const TICKETS: usize = 1;

/// What somebody hears who speaks HTTP to a port of HTTPS.
const PLAIN_REFUSAL: &str = "HTTP/1.1 400 Bad Request\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    content-length: 50\r\n\
    connection: close\r\n\r\n\
    This port speaks HTTPS and WSS, not HTTP or WS.\r\n\n";

/// The certificate in use, and the files it comes from.
pub(crate) struct Edge {
    config: ArcSwap<ServerConfig>,
    settings: Tls,
    /// Kept over renewals, so that clients can still come back with their tickets.
    tickets: Arc<dyn ProducesTickets>,
    /// Cores that may compute handshakes: the others serve who is connected already.
    cores: Semaphore,
}

/// When a file was written and how long it is; `None` when it is not there.
type Stamp = Option<(SystemTime, u64)>;

impl Edge {
    /// Reads the files. `None` when TLS is off.
    ///
    /// # Errors
    /// What is wrong with the files, in one sentence.
    pub(crate) fn open(settings: &Tls) -> Result<Option<Arc<Self>>, String> {
        if !settings.is_on() {
            return Ok(None);
        }
        if settings.cert.as_os_str().is_empty() || settings.key.as_os_str().is_empty() {
            return Err("`gateway.tls` needs both `cert` and `key`".to_owned());
        }
        let tickets = ring::Ticketer::new().map_err(|e| format!("session tickets: {e}"))?;
        let config = load(settings, tickets.clone())?;
        Ok(Some(Arc::new(Self {
            config: ArcSwap::from_pointee(config),
            cores: Semaphore::new(handshake_cores(settings)),
            settings: settings.clone(),
            tickets,
        })))
    }

    /// Shakes hands within the time that is allowed. `None` when that came to nothing, which has
    /// been counted and told to the peer.
    pub(crate) async fn accept(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let time = Duration::from_millis(self.settings.handshake_timeout_ms);
        let (result, secured) = match tokio::time::timeout(time, self.shake_hands(stream)).await {
            Ok(Ok(Some(stream))) => ("ok", Some(stream)),
            Ok(Ok(None)) => ("plain", None),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a TLS handshake failed");
                ("failed", None)
            }
            Err(_) => ("timeout", None),
        };
        names::count(names::TLS_HANDSHAKES, "result", result);
        secured
    }

    async fn shake_hands(&self, stream: TcpStream) -> io::Result<Option<TlsStream<TcpStream>>> {
        let mut first = [0];
        if stream.peek(&mut first).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if first[0] != HANDSHAKE_RECORD {
            refuse_plain(stream).await?;
            return Ok(None);
        }
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let accepting = {
            let _core = self.cores.acquire().await.map_err(io::Error::other)?;
            // Key exchange and signature are computed here, without a pause; what follows is cheap.
            start.into_stream(self.config.load_full())
        };
        accepting.await.map(Some)
    }

    /// Takes changed files over until told to stop.
    pub(crate) async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let pause = Duration::from_secs(self.settings.reload_seconds.max(1));
        let mut seen = self.stamps().await;
        while stop
            .run_until_cancelled(tokio::time::sleep(pause))
            .await
            .is_some()
        {
            let now = self.stamps().await;
            if now == seen {
                continue;
            }
            // Seen, whatever comes of it: files that can't be used are reported once.
            seen = now;
            self.renew().await;
        }
    }

    async fn renew(&self) {
        let (settings, tickets) = (self.settings.clone(), self.tickets.clone());
        let loaded = tokio::task::spawn_blocking(move || load(&settings, tickets)).await;
        let result = match loaded {
            Ok(Ok(config)) => {
                self.config.store(Arc::new(config));
                tracing::info!("the certificate was renewed");
                "renewed"
            }
            Ok(Err(error)) => {
                tracing::error!(
                    error,
                    "the new certificate can't be used; the old one stays in use"
                );
                "refused"
            }
            Err(error) => {
                tracing::error!(%error, "reading the new certificate failed");
                "refused"
            }
        };
        names::count(names::TLS_RELOADS, "result", result);
    }

    async fn stamps(&self) -> [Stamp; 2] {
        let (cert, key) = (self.settings.cert.clone(), self.settings.key.clone());
        tokio::task::spawn_blocking(move || [stamp(&cert), stamp(&key)])
            .await
            .unwrap_or_default()
    }
}

/// The configured number, or half of the cores.
fn handshake_cores(settings: &Tls) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    match settings.handshake_cores {
        0 => (cores / 2).max(1),
        n => n.min(Semaphore::MAX_PERMITS),
    }
}

fn stamp(path: &Path) -> Stamp {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

/// Tells a peer that speaks HTTP what to do instead.
async fn refuse_plain(mut stream: TcpStream) -> io::Result<()> {
    // What it has sent is read away: closing on top of unread bytes would reset the answer.
    let mut request = vec![0; PLAIN_REQUEST];
    let _ = stream.try_read(&mut request);
    stream.write_all(PLAIN_REFUSAL.as_bytes()).await?;
    stream.shutdown().await
}

fn load(settings: &Tls, tickets: Arc<dyn ProducesTickets>) -> Result<ServerConfig, String> {
    let (cert, key) = (certificates(&settings.cert)?, secret(&settings.key)?);
    // The provider is named, so that it doesn't matter which others are linked in.
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_no_client_auth()
        .with_single_cert(cert, key)
        .map_err(|e| bad(&settings.cert, e))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ticketer = tickets;
    config.send_tls13_tickets = TICKETS;
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| bad(path, e))?;
    if read.is_empty() {
        return Err(bad(path, "there is no certificate in it"));
    }
    Ok(read)
}

fn secret(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_file(path).map_err(|e| bad(path, e))
}

fn bad(path: &Path, cause: impl std::fmt::Display) -> String {
    format!("{}: {cause}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_of_plain_http_is_as_long_as_it_says() {
        let (head, body) = PLAIN_REFUSAL.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())));
    }

    #[test]
    fn files_that_are_not_there_are_named() {
        let settings = Tls {
            cert: "no/cert.pem".into(),
            key: "no/key.pem".into(),
            ..Tls::default()
        };
        let error = Edge::open(&settings).err().unwrap();
        assert!(error.starts_with("no/cert.pem: "), "{error}");
    }

    #[test]
    fn half_a_pair_is_no_pair() {
        let settings = Tls {
            cert: "cert.pem".into(),
            ..Tls::default()
        };
        assert!(settings.is_on());
        assert!(Edge::open(&settings).is_err());
        assert!(Edge::open(&Tls::default()).unwrap().is_none());
    }
}
