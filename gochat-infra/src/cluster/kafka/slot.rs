//! Clients that are kept until they fail.

use std::sync::Arc;

use parking_lot::Mutex;

use super::KafkaConfig;
use super::reader::{Client, client};
use crate::port::mq::MqResult;

/// The place of a client that is put aside when it does not get answers: what librdkafka remembers of the cluster may
/// be wrong for good after an outage ([`super::health`]).
pub(super) struct Slot {
    group: Box<str>,
    committed: bool,
    client: Mutex<Arc<Client>>,
}

impl Slot {
    /// A client of `group`, which it does not join; `committed`: sees only what is.
    pub(super) fn new(config: &KafkaConfig, group: &str, committed: bool) -> MqResult<Self> {
        Ok(Self {
            group: group.into(),
            committed,
            client: Mutex::new(Arc::new(client(config, group, committed)?)),
        })
    }

    /// The client of now.
    pub(super) fn get(&self) -> Arc<Client> {
        self.client.lock().clone()
    }

    /// Puts a new client in the place of `failed`, unless somebody did already.
    pub(super) fn renew(&self, failed: &Arc<Client>, config: &KafkaConfig) {
        let mut current = self.client.lock();
        if !Arc::ptr_eq(&current, failed) {
            return;
        }
        match client(config, &self.group, self.committed) {
            Ok(new) => *current = Arc::new(new),
            Err(error) => tracing::info!(%error, "a reader can't be made yet"),
        }
    }
}
