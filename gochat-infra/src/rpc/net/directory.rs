//! Instances one by one, for callers that must reach a certain one.

use std::sync::Arc;

use gochat_core::error::Result;
use tokio::sync::watch;

use super::balance::Balance;
use super::config::ChannelConfig;
use super::pool::Pool;
use crate::port::coord::Instances;
use crate::rpc::{Channel, layer};

/// Channels to each instance of a service, by name: the `instance_id` of its metadata, else the id of its entry.
///
/// Calls to a single instance pass no breaker: a breaker is shared by all calls of a method, and one dead instance would
/// close the way to the others. A dead instance refuses at once by itself.
#[derive(Clone)]
pub struct Directory {
    pool: Arc<Pool>,
    any: Channel,
    config: Arc<ChannelConfig>,
}

impl Directory {
    /// Follows a service in the registry. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// As [`discovered`](super::discovered).
    pub fn new(instances: watch::Receiver<Instances>, config: ChannelConfig) -> Result<Self> {
        let pool = Pool::follow(instances, &config)?;
        Ok(Self {
            any: layer::client(Balance::any(pool.clone()), &config, false),
            pool,
            config: Arc::new(config),
        })
    }

    /// The way to one instance; `None` when nobody knows it (any more).
    pub fn channel(&self, name: &str) -> Option<Channel> {
        self.pool.knows(name).then(|| {
            let one = Balance::only(self.pool.clone(), name.into());
            layer::client(one, &self.config, false)
        })
    }

    /// The way to any live instance; `None` when none is known.
    pub fn any(&self) -> Option<Channel> {
        (!self.pool.names().is_empty()).then(|| self.any.clone())
    }

    /// The names of the instances, in order.
    pub fn names(&self) -> Vec<Arc<str>> {
        self.pool.names()
    }
}
