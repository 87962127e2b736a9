//! Opens connections.

use std::future::Future;
use std::time::Duration;

use gochat_core::error::Result;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tonic::body::Body;

use super::address::Address;
use super::config::ChannelConfig;
use crate::rpc::tls;

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(super) type Sender = http2::SendRequest<Body>;

/// A byte stream, encrypted or not.
trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Opens connections to the instances of one service.
pub(super) struct Connector {
    tls: Option<tls::Connector>,
    http: http2::Builder<TokioExecutor>,
}

impl Connector {
    pub(super) fn new(config: &ChannelConfig) -> Result<Self> {
        let mut http = http2::Builder::new(TokioExecutor::new());
        http.timer(TokioTimer::new())
            .keep_alive_interval(Duration::from_millis(config.keep_alive_ms))
            .keep_alive_timeout(Duration::from_millis(config.keep_alive_timeout_ms))
            .keep_alive_while_idle(config.keep_alive_while_idle);
        let tls = config.tls.as_ref().map(tls::Connector::new).transpose()?;
        Ok(Self { tls, http })
    }

    pub(super) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Connects. The future that comes with the sender is the connection: it ends when the connection does.
    pub(super) async fn connect(
        &self,
        to: &Address,
    ) -> Result<
        (
            Sender,
            impl Future<Output = hyper::Result<()>> + Send + use<>,
        ),
        BoxError,
    > {
        let stream = TcpStream::connect((&*to.host, to.port)).await?;
        stream.set_nodelay(true)?;
        let io: Box<dyn Io> = match &self.tls {
            Some(tls) => Box::new(tls.connect(&to.host, stream).await?),
            None => Box::new(stream),
        };
        Ok(self.http.handshake(TokioIo::new(io)).await?)
    }
}
