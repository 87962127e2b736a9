//! An HTTP proxy that knows `CONNECT`, whose network can be cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::edge::{header, read_message};

/// Connects to one server, whatever host it is asked for: so a client that didn't go through it
/// would not get anywhere.
#[derive(Clone)]
pub(crate) struct ConnectProxy {
    addr: SocketAddr,
    upstream: SocketAddr,
    host: &'static str,
    tunnels: Arc<AtomicUsize>,
    is_cut: Arc<watch::Sender<bool>>,
}

/// The credentials that the proxy asks for: `ann:s3cret`.
const AUTHORIZATION: &str = "Basic YW5uOnMzY3JldA==";

impl ConnectProxy {
    /// A proxy that takes `host` for the server at `upstream`.
    pub(crate) async fn start(
        host: &'static str,
        upstream: SocketAddr,
        tls: Option<TlsAcceptor>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let proxy = Self {
            addr: listener.local_addr().expect("bound"),
            upstream,
            host,
            tunnels: Arc::default(),
            is_cut: Arc::new(watch::Sender::new(false)),
        };
        let serving = proxy.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (proxy, tls) = (serving.clone(), tls.clone());
                tokio::spawn(async move {
                    let mut cut = proxy.is_cut.subscribe();
                    let serve = async {
                        match tls {
                            Some(tls) => proxy.serve(tls.accept(tcp).await?).await,
                            None => proxy.serve(tcp).await,
                        }
                    };
                    tokio::select! {
                        biased;
                        _ = cut.wait_for(|is_cut| *is_cut) => {}
                        // A connection that ends is the business of its two ends.
                        _ = serve => {}
                    }
                });
            }
        });
        proxy
    }

    /// `http://ann:s3cret@host:port` with a name for the host.
    pub(crate) fn url(&self, scheme: &str, user: &str) -> String {
        format!("{scheme}://{user}localhost:{}", self.addr.port())
    }

    /// Cuts every connection and refuses new ones, or ends that.
    pub(crate) fn cut(&self, is_cut: bool) {
        self.is_cut.send_replace(is_cut);
    }

    pub(crate) fn tunnels(&self) -> usize {
        self.tunnels.load(Ordering::Relaxed)
    }

    async fn serve(&self, client: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
        let mut client = BufReader::new(client);
        let Some((head, _)) = read_message(&mut client).await? else {
            return Ok(());
        };
        let authorized = header(&head, "proxy-authorization").as_deref() == Some(AUTHORIZATION);
        let asked = head.starts_with(&format!("CONNECT {} HTTP/1.1\r\n", self.host));
        let answer = match (authorized, asked) {
            (false, _) => "407 Proxy Authentication Required",
            (_, false) => "403 Forbidden",
            _ => "200 OK",
        };
        let answer = format!("HTTP/1.1 {answer}\r\n\r\n");
        client.write_all(answer.as_bytes()).await?;
        client.flush().await?;
        if authorized && asked {
            self.tunnels.fetch_add(1, Ordering::Relaxed);
            let mut server = TcpStream::connect(self.upstream).await?;
            tokio::io::copy_bidirectional(&mut client, &mut server).await?;
        }
        Ok(())
    }
}
