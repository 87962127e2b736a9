//! The instances of a service, kept in step with the registry.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use gochat_core::error::Result;
use rand::Rng as _;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Status;

use super::address::Address;
use super::config::ChannelConfig;
use super::connect::Connector;
use super::endpoint::Endpoint;
use crate::port::coord::Instances;

/// More instances than this are not connected to.
const MAX_INSTANCES: usize = 1_024;
/// Metadata key of the name an instance is called by, where it is not the id of the entry.
const INSTANCE_ID: &str = "instance_id";

/// Connections to the instances of one service. They end with the last handle.
pub(super) struct Pool {
    shared: Arc<Shared>,
    _stop: DropGuard,
}

struct Shared {
    endpoints: ArcSwap<Vec<Arc<Endpoint>>>,
    changed: Arc<Notify>,
    connector: Arc<Connector>,
    config: Arc<ChannelConfig>,
    fallback: Vec<Address>,
    stop: CancellationToken,
}

impl Pool {
    /// Follows a service in the registry. When the watch ends, its last state stays.
    pub(super) fn follow(
        mut instances: watch::Receiver<Instances>,
        config: &ChannelConfig,
    ) -> Result<Arc<Self>> {
        let (pool, shared) = Self::new(config)?;
        let first = instances.borrow_and_update().clone();
        shared.update(&first);
        let follower = async move {
            while instances.changed().await.is_ok() {
                let state = instances.borrow_and_update().clone();
                shared.update(&state);
            }
        };
        let stop = pool.shared.stop.clone();
        tokio::spawn(async move { stop.run_until_cancelled(follower).await });
        Ok(pool)
    }

    /// Addresses that don't change.
    pub(super) fn fixed(addresses: &[String], config: &ChannelConfig) -> Result<Arc<Self>> {
        let mut config = config.clone();
        config.fallback = addresses.to_vec();
        let (pool, shared) = Self::new(&config)?;
        shared.update(&Instances::from([]));
        Ok(pool)
    }

    fn new(config: &ChannelConfig) -> Result<(Arc<Self>, Arc<Shared>)> {
        let fallback = config.fallback.iter().map(|a| Address::parse(a));
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            endpoints: ArcSwap::default(),
            changed: Arc::default(),
            connector: Arc::new(Connector::new(config)?),
            fallback: fallback.collect::<Result<_>>()?,
            config: Arc::new(config.clone()),
            stop: stop.clone(),
        });
        let pool = Self {
            shared: shared.clone(),
            _stop: stop.drop_guard(),
        };
        Ok((Arc::new(pool), shared))
    }

    /// The names of the instances, in order.
    pub(super) fn names(&self) -> Vec<Arc<str>> {
        let endpoints = self.shared.endpoints.load();
        endpoints.iter().map(|e| e.id.clone()).collect()
    }

    /// Whether an instance is known by this name.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.shared.endpoints.load().iter().any(|e| *e.id == *name)
    }

    /// An instance that can take a call; waits a moment while one is being connected. `only` asks for one by name.
    pub(super) async fn pick(&self, only: Option<&str>) -> Result<Chosen, Status> {
        let give_up = Instant::now() + self.shared.config.wait();
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            // Before looking, so that no change falls between the two.
            changed.as_mut().enable();
            match self.shared.choose(only) {
                Ok(chosen) => return Ok(chosen),
                Err(Refusal::Wait(_)) if timeout_at(give_up, changed).await.is_ok() => {}
                Err(Refusal::Wait(text) | Refusal::Fail(text)) => {
                    return Err(Status::unavailable(text));
                }
            }
        }
    }
}

/// An instance for a call.
pub(super) struct Chosen {
    pub(super) endpoint: Arc<Endpoint>,
    /// Whether there is another one that does well.
    pub(super) others: bool,
}

/// Why no instance was chosen.
enum Refusal {
    /// One is being connected.
    Wait(String),
    Fail(String),
}

impl Shared {
    /// Power of two choices: two by lot, the one with fewer calls in flight. Ejected instances are used when there is
    /// nothing else: a bad answer is better than none.
    fn choose(&self, only: Option<&str>) -> Result<Chosen, Refusal> {
        let endpoints = self.endpoints.load();
        let mine = |e: &&Arc<Endpoint>| only.is_none_or(|name| *e.id == *name);
        let ready: Vec<_> = endpoints
            .iter()
            .filter(mine)
            .filter(|e| e.is_ready())
            .collect();
        let trusted: Vec<_> = ready.iter().copied().filter(|e| e.is_trusted()).collect();
        let candidates = if trusted.is_empty() { &ready } else { &trusted };
        if let Some(chosen) = two_choices(candidates) {
            return Ok(Chosen {
                endpoint: chosen.clone(),
                others: trusted.len() > 1,
            });
        }
        let name = &self.config.name;
        let is_connecting = || endpoints.iter().filter(mine).any(|e| e.is_connecting());
        if !is_connecting() {
            let idle: Vec<_> = endpoints
                .iter()
                .filter(mine)
                .filter(|e| e.is_idle())
                .collect();
            if let Some(wanted) = two_choices(&idle) {
                wanted.wake();
            }
        }
        let connecting = is_connecting();
        let known = endpoints.iter().any(|e| mine(&e));
        let text = match only {
            None if !known => format!("no instance of {name} is known"),
            None => format!("no instance of {name} can be reached"),
            Some(id) if !known => format!("{name} {id} is not known (any more)"),
            Some(id) => format!("{name} {id} can't be reached"),
        };
        Err(if connecting {
            Refusal::Wait(text)
        } else {
            Refusal::Fail(text)
        })
    }

    /// Takes a new state of the registry: instances that stayed keep their connection.
    fn update(&self, instances: &Instances) {
        let wanted = self.wanted(instances);
        let standing = self.endpoints.load_full();
        let keeps = |e: &Arc<Endpoint>| wanted.get(&e.id) == Some(&e.address);
        let mut next: Vec<_> = standing.iter().filter(|e| keeps(e)).cloned().collect();
        for (id, address) in &wanted {
            if !next.iter().any(|e| e.id == *id) {
                next.push(self.start(id.clone(), address.clone()));
            }
        }
        next.sort_by(|a, b| a.id.cmp(&b.id));
        self.endpoints.store(Arc::new(next));
        for gone in standing.iter().filter(|e| !keeps(e)) {
            tracing::info!(service = %self.config.name, id = %gone.id, address = %gone.address, "left");
            gone.retire();
        }
        self.changed.notify_waiters();
    }

    fn start(&self, id: Arc<str>, address: Address) -> Arc<Endpoint> {
        Endpoint::start(
            id,
            address,
            self.connector.clone(),
            &self.config,
            self.changed.clone(),
            self.stop.child_token(),
        )
    }

    fn wanted(&self, instances: &Instances) -> BTreeMap<Arc<str>, Address> {
        let service = &self.config.name;
        let mut wanted = BTreeMap::new();
        for instance in instances.iter() {
            let id = instance.metadata.get(INSTANCE_ID).unwrap_or(&instance.id);
            match Address::of(instance) {
                _ if wanted.len() == MAX_INSTANCES => {
                    tracing::warn!(
                        service,
                        "more than {MAX_INSTANCES} instances: the rest is not used"
                    );
                    break;
                }
                Some(address) => drop(wanted.insert(id.as_str().into(), address)),
                None => tracing::warn!(service, id, "an instance with an unusable address"),
            }
        }
        if wanted.is_empty() {
            let fallback = self.fallback.iter();
            wanted = fallback
                .map(|a| (a.to_string().into(), a.clone()))
                .collect();
        }
        wanted
    }
}

fn two_choices<'e>(candidates: &[&'e Arc<Endpoint>]) -> Option<&'e Arc<Endpoint>> {
    match candidates {
        [] => None,
        [one] => Some(one),
        many => {
            let mut rng = rand::rng();
            let first = rng.random_range(0..many.len());
            let second = (first + rng.random_range(1..many.len())) % many.len();
            let (a, b) = (many[first], many[second]);
            Some(if b.load() < a.load() { b } else { a })
        }
    }
}
