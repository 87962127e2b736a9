//! TLS between services, optionally mutual. Needs the feature `grpc-tls`; without it, configurations that ask for TLS
//! are refused.

#[cfg(feature = "grpc-tls")]
mod client;
mod config;
#[cfg(feature = "grpc-tls")]
mod pem;
#[cfg(feature = "grpc-tls")]
mod server;
#[cfg(not(feature = "grpc-tls"))]
mod without;

#[cfg(feature = "grpc-tls")]
pub(super) use client::Connector;
pub use config::{ClientTls, ServerTls};
#[cfg(feature = "grpc-tls")]
pub(super) use server::Acceptor;
#[cfg(not(feature = "grpc-tls"))]
pub(super) use without::{Acceptor, Connector};
