//! Calls between services: one [`Channel`] type for in-process and network callees, and
//! the mapping between the error catalogue and gRPC status.
//!
//! With the feature `grpc`: [`discovered`] and [`direct`] make channels over HTTP/2, [`Directory`] one channel per
//! instance, [`serve`](fn@serve) serves routes on a port.

#[cfg(feature = "grpc")]
mod breakers;
pub mod busy;
mod channel;
#[cfg(feature = "grpc")]
mod ended;
#[cfg(feature = "grpc")]
mod layer;
mod local;
mod meters;
#[cfg(feature = "grpc")]
mod net;
mod retry;
#[cfg(feature = "grpc")]
mod serve;
mod status;
#[cfg(feature = "grpc")]
mod tls;
#[cfg(feature = "grpc")]
pub mod trace;

#[cfg(feature = "grpc")]
pub use breakers::{Breakers, Permit, Policies};
pub use channel::Channel;
pub use local::Local;
#[cfg(feature = "etcd")]
pub(crate) use net::bare;
#[cfg(feature = "grpc")]
pub use net::{ChannelConfig, Directory, direct, discovered, over_unix};
pub use retry::{Backoff, with_retry};
#[cfg(feature = "grpc")]
pub use serve::{ServeError, ServerConfig, Services, serve, serve_unix};
pub use status::{error_from, status_from};
#[cfg(feature = "grpc")]
pub use tls::{ClientTls, ServerTls};

/// Largest answer a client takes, in bytes.
pub const MAX_CLIENT_MESSAGE: usize = 4 << 20;
/// Largest request a server takes, in bytes.
pub const MAX_SERVER_MESSAGE: usize = 16 << 20;
