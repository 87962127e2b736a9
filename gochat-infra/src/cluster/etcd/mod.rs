//! Coordination on etcd.
//!
//! Nothing that etcd gives lasts by itself: watch streams end, leases run out, and etcd may come back with another past.
//! So everything here is supervised. A watch (`mirror`) lists again and watches on from there. A claim (`keeper`) renews its lease,
//! looks at its key, and makes both again when etcd lost them. While etcd is away, watched states stay as they were
//! and registered instances stay registered as far as callers can see: losing etcd stops no traffic.
//!
//! A claim is *lost* when somebody else has its key, or, for locks and instance ids, when the TTL went by without a
//! confirmed renewal, measured from before the renewal was sent: the holder stops before etcd can give the key away.

mod claims;
mod config;
mod ids;
mod keeper;
mod keys;
mod locks;
mod mirror;
mod registry;
mod settings;
mod sight;
mod store;

use std::time::Duration;

use etcd_client::{Channel, Client, ConnectOptions};
use gochat_core::error::{Error, ErrorCode, Result};
use tokio::time::{Instant, sleep};

pub use config::EtcdConfig;

use crate::rpc::{Backoff, bare};
use store::Store;

/// The four coordination ports on etcd. Cheap to clone.
#[derive(Clone)]
pub struct EtcdCoord {
    store: Store,
    /// Written into keys that belong to this process, for people who look at them.
    holder: String,
}

impl EtcdCoord {
    /// Connects, and makes sure that etcd answers. Tries for as long as `connect_wait_ms` says; the caller decides
    /// what a failure means.
    ///
    /// # Errors
    /// `SERVICE_UNAVAILABLE` when etcd could not be reached, `FORBIDDEN` when it refuses the user, `INVALID_PARAMS`
    /// for a configuration that can't be used.
    pub async fn connect(config: EtcdConfig) -> Result<Self> {
        let channel = Channel::Custom(tower::util::BoxCloneSyncService::new(bare(
            &config.endpoints,
            &config.channel(),
        )?));
        let give_up = Instant::now() + Duration::from_millis(config.connect_wait_ms);
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        loop {
            let error = match Self::try_connect(&config, channel.clone()).await {
                Ok(coord) => return Ok(coord),
                Err(error) => error,
            };
            let pause = backoff.next_delay();
            if !error.is_retryable() || Instant::now() + pause >= give_up {
                return Err(Error::new(
                    error.code,
                    format!("etcd at {}: {}", config.endpoints.join(", "), error.message),
                ));
            }
            tracing::info!(%error, "etcd is not there yet");
            sleep(pause).await;
        }
    }

    async fn try_connect(config: &EtcdConfig, channel: Channel) -> Result<Self> {
        let mut options = ConnectOptions::new()
            .with_require_leader(true)
            .with_auto_token_refresh(true);
        if let (Some(user), Some(password)) = (&config.username, &config.password) {
            options = options.with_user(user, password);
        }
        let client = store::within(
            config.request_timeout(),
            Client::from_channel(channel, Some(options)),
        );
        let store = Store::new(&client.await?, config);
        store.get(keys::PROBE).await?;
        let holder = format!("{}-{:08x}", std::process::id(), rand::random::<u32>());
        Ok(Self { store, holder })
    }

    /// Writes settings: all of them or none. Etcd takes 128 in one transaction unless it is told otherwise.
    ///
    /// # Errors
    /// When etcd is away or refuses; then nothing was written, or, after a lost answer, everything.
    pub async fn set_all(&self, values: &[(String, String)]) -> Result<()> {
        self.store.put_all(values).await
    }

    /// Whether etcd answers right now.
    ///
    /// # Errors
    /// When it doesn't.
    pub async fn ping(&self) -> Result<()> {
        self.store.get(keys::PROBE).await.map(drop)
    }
}

impl std::fmt::Debug for EtcdCoord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EtcdCoord")
            .field("holder", &self.holder)
            .finish_non_exhaustive()
    }
}

/// A claim that somebody else has.
fn taken(text: &'static str) -> Error {
    Error::new(ErrorCode::VersionConflict, text)
}
