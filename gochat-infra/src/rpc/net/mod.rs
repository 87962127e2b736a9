//! Channels over HTTP/2: one connection per instance, chosen per call.
//!
//! ```text
//! registry watch ─▶ Pool ─▶ Endpoint (connects, keeps alive, asks for health, is ejected when it fails)
//! call ─▶ layers ─▶ Balance: two ready endpoints by lot, the one with fewer calls in flight
//! ```
//!
//! The connections are hyper's rather than tonic channels, because two things must be known that those hide: the moment
//! a connection ends, and whether a request left before it ended. A request that did not leave goes to another
//! instance; one that left is never sent again here.

mod address;
mod balance;
mod config;
mod connect;
mod directory;
mod endpoint;
mod health;
mod pool;
mod unix;

use gochat_core::error::Result;
use tokio::sync::watch;

pub use config::ChannelConfig;
pub use directory::Directory;
pub use unix::over_unix;

use crate::port::coord::Instances;
use crate::rpc::Channel;
use crate::rpc::layer;
use balance::Balance;
use pool::Pool;

/// A channel that spreads calls over the instances of a service. Must be called within a tokio runtime; the
/// connections live as long as the channel and its clones.
///
/// # Errors
/// `INVALID_PARAMS` when the configuration can't be used, such as certificates that can't be read.
pub fn discovered(instances: watch::Receiver<Instances>, config: ChannelConfig) -> Result<Channel> {
    let pool = Pool::follow(instances, &config)?;
    Ok(layer::client(Balance::any(pool), &config, true))
}

/// A channel to one address, `host:port`. Otherwise as [`discovered`].
///
/// # Errors
/// As [`discovered`], and an address that is none.
pub fn direct(address: &str, config: ChannelConfig) -> Result<Channel> {
    let pool = Pool::fixed(&[address.to_owned()], &config)?;
    Ok(layer::client(Balance::any(pool), &config, true))
}

/// A channel over fixed addresses without layers: no deadline, no breaker, no metrics.
///
/// # Errors
/// As [`direct`].
#[cfg(feature = "etcd")]
pub(crate) fn bare(addresses: &[String], config: &ChannelConfig) -> Result<Channel> {
    Ok(Channel::new(Balance::any(Pool::fixed(addresses, config)?)))
}
