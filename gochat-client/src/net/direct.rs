//! Connections without a proxy, and through one.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Intercept;
use hyper_util::rt::TokioIo;
use tower_service::Service;

use super::tls::Tls;
use super::{Stream, host_and_port, is_tls, malformed};
use crate::{Error, ErrorKind, Result};

/// Connects to the host of an address itself. As a service it connects to a proxy.
#[derive(Debug, Clone)]
pub(super) struct Direct {
    tcp: HttpConnector,
    tls: Tls,
}

impl Direct {
    pub(super) fn new(tls: Tls, timeout: Duration) -> Self {
        // Tries the addresses of a name one after the other and IPv6 and IPv4 side by side.
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(timeout));
        Self { tcp, tls }
    }

    pub(super) async fn connect(&self, to: Uri) -> Result<TokioIo<Stream>> {
        let mut tcp = self.tcp.clone();
        let stream = tcp.call(to.clone()).await.map_err(Error::transport)?;
        let stream = Stream::new(stream.into_inner());
        self.secure(&to, stream).await
    }

    /// Connects through an HTTP proxy, by `CONNECT`.
    pub(super) async fn tunnel(&self, proxy: Intercept, to: Uri) -> Result<TokioIo<Stream>> {
        let (host, port) = host_and_port(&to)?;
        let target = Uri::builder()
            .scheme("https")
            .authority(format!("{host}:{port}"))
            .path_and_query("/")
            .build()
            .map_err(|_| malformed())?;
        let mut tunnel = Tunnel::new(proxy.uri().clone(), self.clone());
        if let Some(auth) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(auth.clone());
        }
        let stream = tunnel
            .call(target)
            .await
            .map_err(|error| Error::with_source(ErrorKind::Proxy, error))?;
        self.secure(&to, stream.into_inner()).await
    }

    async fn secure(&self, to: &Uri, stream: Stream) -> Result<TokioIo<Stream>> {
        let stream = if is_tls(to) {
            self.tls.secure(host_and_port(to)?.0, stream).await?
        } else {
            stream
        };
        Ok(TokioIo::new(stream))
    }
}

impl Service<Uri> for Direct {
    type Response = TokioIo<Stream>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Stream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let direct = self.clone();
        Box::pin(async move { direct.connect(to).await })
    }
}
