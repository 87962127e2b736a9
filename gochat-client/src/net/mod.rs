//! How connections to the server are made, for HTTP and for the socket alike: TCP, a proxy where
//! one is set, TLS where the address asks for it.

mod direct;
mod proxy;
mod stream;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "without_tls.rs"]
mod tls;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tower_service::Service;

use crate::address::Endpoint;
use crate::{Error, ErrorKind, Result};
use direct::Direct;
pub use proxy::Proxy;
pub(crate) use stream::Stream;
use tls::Tls;
#[cfg(feature = "tls")]
pub use tls::TlsOptions;

/// Settings of connections.
#[derive(Debug, Clone, Default)]
pub(crate) struct NetOptions {
    pub(crate) proxy: Proxy,
    #[cfg(feature = "tls")]
    pub(crate) tls: TlsOptions,
}

/// Makes connections to one server. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    direct: Direct,
    proxy: Proxy,
    timeout: Duration,
}

impl Connector {
    /// Checks the settings; makes no connection.
    pub(crate) fn new(
        endpoint: &Endpoint,
        options: &NetOptions,
        timeout: Duration,
    ) -> Result<Self> {
        let base: Uri = endpoint.base().parse().map_err(|_| malformed())?;
        let is_tls = endpoint.is_tls || options.proxy.is_tls_for(&base)?;
        let tls = if is_tls {
            Tls::new(options)?
        } else {
            Tls::unused()
        };
        Ok(Self {
            shared: Arc::new(Shared {
                direct: Direct::new(tls, timeout),
                proxy: options.proxy.clone(),
                timeout,
            }),
        })
    }

    /// Connects to the server of an address, through the proxy if one is to be used for it.
    pub(crate) async fn connect(&self, to: Uri) -> Result<TokioIo<Stream>> {
        let opening = async {
            match self.shared.proxy.intercept(&to) {
                Some(proxy) => self.shared.direct.tunnel(proxy, to).await,
                None => self.shared.direct.connect(to).await,
            }
        };
        tokio::time::timeout(self.shared.timeout, opening)
            .await
            .unwrap_or_else(|_| Err(ErrorKind::Timeout.into()))
            .map_err(Error::unsent)
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Stream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect(to).await })
    }
}

/// What an exchange on a connection failed by: the connector says more than that there is no
/// connection, and a server that wants another client certificate may say so only later.
pub(crate) fn failure(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(inner) = next {
        if let Some(known) = inner.downcast_ref::<Error>() {
            return known.clone();
        }
        if tls::is_alert(inner) {
            return Error::with_source(ErrorKind::Tls, error);
        }
        next = inner.source();
    }
    Error::transport(error)
}

fn malformed() -> Error {
    ErrorKind::BadUrl(crate::UrlProblem::Malformed).into()
}

/// Host and port of an address, the usual port where it names none.
fn host_and_port(uri: &Uri) -> Result<(&str, u16)> {
    let host = uri.host().ok_or_else(malformed)?;
    let usual = if is_tls(uri) { 443 } else { 80 };
    Ok((host, uri.port_u16().unwrap_or(usual)))
}

fn is_tls(uri: &Uri) -> bool {
    uri.scheme_str() == Some("https")
}
