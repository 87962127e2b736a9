//! What a build without TLS says to those who ask for it.

use std::convert::Infallible;

use gochat_core::error::{Error, ErrorCode, Result};
use tokio::net::TcpStream;

use super::{ClientTls, ServerTls};

fn refused() -> Error {
    Error::new(
        ErrorCode::InvalidParams,
        "This build has no TLS: it needs the feature grpc-tls.",
    )
}

/// There is none.
pub(in crate::rpc) struct Connector(Infallible);

impl Connector {
    pub(in crate::rpc) fn new(_: &ClientTls) -> Result<Self> {
        Err(refused())
    }

    pub(in crate::rpc) async fn connect(
        &self,
        _: &str,
        _: TcpStream,
    ) -> Result<TcpStream, std::io::Error> {
        match self.0 {}
    }
}

/// There is none.
#[derive(Clone)]
pub(in crate::rpc) struct Acceptor(Infallible);

impl Acceptor {
    pub(in crate::rpc) fn new(_: &ServerTls) -> Result<Self> {
        Err(refused())
    }

    pub(in crate::rpc) async fn accept(&self, _: TcpStream) -> std::io::Result<TcpStream> {
        match self.0 {}
    }

    pub(in crate::rpc) async fn reload(&self) {
        match self.0 {}
    }
}
