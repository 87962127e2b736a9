//! Coordination: who is there, what is configured, who holds a lock, who has which number.
//!
//! Watches deliver *states*, not events: a receiver always holds the newest complete state,
//! a slow reader skips intermediate ones, and nothing queues up. What a single change was
//! follows from comparing two states.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gochat_core::error::{Error, ErrorCode, Result};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Lowest and highest instance id. Zero stays free for "nobody".
pub const INSTANCE_IDS: std::ops::RangeInclusive<u16> = 1..=1023;

/// A running instance of a service.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Instance {
    /// Unique within the service.
    pub id: String,
    /// Name of the service, for example `im-repo`.
    pub name: String,
    /// Host name or address.
    pub address: String,
    /// Port; never 0.
    pub port: u16,
    /// Anything else callers should know.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

impl Instance {
    /// Refuses empty names and port 0 with `INVALID_PARAMS`.
    pub fn validated(self) -> Result<Self> {
        let named = [&self.id, &self.name, &self.address];
        if self.port == 0 || named.iter().any(|text| text.is_empty()) {
            return Err(Error::new(
                ErrorCode::InvalidParams,
                "An instance needs an id, a name, an address and a port.",
            ));
        }
        Ok(self)
    }
}

/// What an adapter does when a lease is given back.
pub trait Release: Send + Sync {
    /// Starts giving back. Adapters without a network finish at once; for others the future
    /// resolves when the server has confirmed, and dropping it does not undo the release.
    fn release(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// A claim that is renewed in the background until it is dropped or released.
pub struct Lease {
    lost: CancellationToken,
    release: Option<Box<dyn Release>>,
}

impl Lease {
    /// For adapters: a lease that counts as lost once `lost` is cancelled.
    pub fn new(lost: CancellationToken, release: Box<dyn Release>) -> Self {
        Self {
            lost,
            release: Some(release),
        }
    }

    /// Resolves when the claim is no longer ours although nobody gave it back: renewals
    /// failed for longer than the TTL. Stop acting on the claim at once.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Whether the claim was lost.
    pub fn is_lost(&self) -> bool {
        self.lost.is_cancelled()
    }

    /// A token that is cancelled when the claim is lost.
    pub fn lost_token(&self) -> CancellationToken {
        self.lost.clone()
    }

    /// Gives the claim back and waits until others can take it.
    pub async fn release(mut self) {
        if let Some(release) = self.release.take() {
            release.release().await;
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(release) = self.release.take() {
            drop(release.release());
        }
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease")
            .field("lost", &self.is_lost())
            .finish_non_exhaustive()
    }
}

/// The instances of one service, ordered by id.
pub type Instances = Arc<[Instance]>;

/// Who offers which service.
#[async_trait]
pub trait Registry: Send + Sync + 'static {
    /// Announces an instance until the lease ends; after a crash it disappears within `ttl`.
    /// An entry with the same service and id is replaced and its lease is lost.
    ///
    /// # Errors
    /// `INVALID_PARAMS` for incomplete instances.
    async fn register(&self, instance: Instance, ttl: Duration) -> Result<Lease>;

    /// The instances of a service right now.
    async fn discover(&self, service: &str) -> Result<Instances>;

    /// The instances of a service, now and after every change.
    async fn watch(&self, service: &str) -> Result<watch::Receiver<Instances>>;
}

/// A value with the version of its last change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// The text as it was stored; parsing is the reader's, so that a bad value still arrives.
    pub value: String,
    /// Grows with every change of the store, never reused for another value of the key.
    pub version: u64,
}

/// All keys below a prefix, in order.
pub type ConfigState = Arc<BTreeMap<String, Versioned>>;

/// Settings that may change while services run. Keys are stored exactly as given,
/// by convention `/config/{env}/{service}/{component}`.
#[async_trait]
pub trait ConfigCenter: Send + Sync + 'static {
    /// Reads a key; `None` when it is not set.
    async fn get(&self, key: &str) -> Result<Option<Versioned>>;

    /// Writes a key and answers its new version.
    async fn set(&self, key: &str, value: &str) -> Result<u64>;

    /// Writes a key if its version still is `expected` (0 = the key must not exist).
    ///
    /// # Errors
    /// `VERSION_CONFLICT` when it is not.
    async fn compare_and_set(&self, key: &str, value: &str, expected: u64) -> Result<u64>;

    /// Removes a key; `false` when it was not set.
    async fn delete(&self, key: &str) -> Result<bool>;

    /// All keys that begin with `prefix`.
    async fn list(&self, prefix: &str) -> Result<ConfigState>;

    /// All keys that begin with `prefix`, now and after every change below it.
    async fn watch(&self, prefix: &str) -> Result<watch::Receiver<ConfigState>>;
}

/// Locks by name.
#[async_trait]
pub trait Locks: Send + Sync + 'static {
    /// Waits until the lock is free. The holder's lease is renewed until it is given back;
    /// after a crash the lock is free within `ttl`.
    async fn acquire(&self, name: &str, ttl: Duration) -> Result<Lease>;

    /// Takes the lock if it is free.
    ///
    /// # Errors
    /// `VERSION_CONFLICT` when somebody holds it.
    async fn try_acquire(&self, name: &str, ttl: Duration) -> Result<Lease>;
}

/// A number that no other live instance of the service has.
#[derive(Debug)]
pub struct InstanceId {
    /// The number, within [`INSTANCE_IDS`].
    pub id: u16,
    /// The claim on it. Once it is lost, stop making ids with the number.
    pub lease: Lease,
}

/// Small numbers for instances: worker ids of Snowflakes and names of gateways.
#[async_trait]
pub trait InstanceIds: Send + Sync + 'static {
    /// Claims the smallest free number.
    ///
    /// # Errors
    /// `SERVICE_UNAVAILABLE` when all are taken.
    async fn acquire(&self, service: &str, ttl: Duration) -> Result<InstanceId>;

    /// Claims this very number: for going on after a lost lease.
    ///
    /// # Errors
    /// `VERSION_CONFLICT` when somebody else has it, `INVALID_PARAMS` outside the range.
    async fn acquire_exact(&self, service: &str, id: u16, ttl: Duration) -> Result<InstanceId>;
}
