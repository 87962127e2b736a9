//! Gateways and their topics, as one worker knows them.

use std::sync::Arc;
use std::time::Duration;

use gochat_core::fanout::{GatewayIx, GatewayTable};
use gochat_core::step::Live;
use gochat_infra::port::mq::Mq;
use gochat_infra::topics;
use tokio::time::Instant;

/// How long the list of live gateways counts as current.
const LIST_TTL: Duration = Duration::from_secs(1);
/// Age from which the list is read again, so that it stays current while a batch is in hand.
const LIST_AGAIN: Duration = Duration::from_millis(500);

/// Instance ids remembered; beyond it the table starts over. Ids are reused, so this is far away.
const TABLE_MOST: usize = 4_096;

#[derive(Debug, Default)]
pub(super) struct Gateways {
    table: GatewayTable,
    topics: Vec<Topic>,
    live: Vec<GatewayIx>,
    listed_at: Option<Instant>,
    batch: u64,
}

/// A downstream topic, and whether it was there when this batch asked.
#[derive(Debug)]
struct Topic {
    name: Arc<str>,
    asked_in: u64,
    exists: bool,
}

impl Gateways {
    /// A new batch: numbers and answers of the one before are void.
    pub(super) fn begin(&mut self) {
        self.batch += 1;
        if self.table.len() > TABLE_MOST {
            *self = Self {
                batch: self.batch,
                ..Self::default()
            };
        }
    }

    pub(super) fn intern(&mut self, name: &str) -> GatewayIx {
        let ix = self.table.intern(name);
        if ix.index() == self.topics.len() {
            self.topics.push(Topic {
                name: topics::downstream(name),
                asked_in: 0,
                exists: false,
            });
        }
        ix
    }

    /// The gateway's topic; `None` when there is none, because the gateway is long gone.
    pub(super) fn topic(&mut self, gateway: GatewayIx, mq: &dyn Mq) -> Option<Arc<str>> {
        let topic = &mut self.topics[gateway.index()];
        if topic.asked_in != self.batch {
            topic.asked_in = self.batch;
            topic.exists = mq.partitions(&topic.name).is_ok();
        }
        topic.exists.then(|| Arc::clone(&topic.name))
    }

    /// Gateways that a broadcast or a list of members goes to.
    pub(super) fn live(&self, now: Instant) -> Live<'_> {
        Live {
            gateways: &self.live,
            is_current: self.is_younger(LIST_TTL, now),
        }
    }

    /// Instance ids of the gateways a broadcast goes to.
    pub(super) fn live_names(&self) -> impl Iterator<Item = &str> {
        self.live.iter().map(|ix| &**self.table.name(*ix))
    }

    /// Whether the list should be read again.
    pub(super) fn is_stale(&self, now: Instant) -> bool {
        !self.is_younger(LIST_AGAIN, now)
    }

    fn is_younger(&self, age: Duration, now: Instant) -> bool {
        self.listed_at
            .is_some_and(|at| now.duration_since(at) < age)
    }

    /// Takes a new list.
    pub(super) fn list(&mut self, names: &[String], now: Instant) {
        let mut live: Vec<_> = names.iter().map(|name| self.intern(name)).collect();
        live.sort_unstable();
        live.dedup();
        (self.live, self.listed_at) = (live, Some(now));
    }
}
