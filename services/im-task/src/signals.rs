//! Two ways to tell users something: a call to their gateways, or a record on the gateways' topics.
//!
//! Calls are quicker and say who was reached. Records reach everybody at once without paging through them by calls, come after the
//! message they are about, and wait for a gateway that is away for a moment.

use std::sync::Arc;

use gochat_core::audience::Audience;
use gochat_core::error::{Error, Result};
use gochat_infra::port::mq::{OutRecord, Producer};
use gochat_infra::telemetry;
use gochat_proto::mq::v1::{DownstreamKind, DownstreamMessage, Signal};

use crate::delivery::{Delivery, Targets, by_gateway, found};
use crate::push::{Notice, Pusher};
use crate::repo::Repo;

/// Sends signals either way. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Signals {
    repo: Repo,
    pusher: Pusher,
    delivery: Delivery,
    producer: Arc<dyn Producer>,
}

impl Signals {
    pub(crate) fn new(
        repo: Repo,
        pusher: Pusher,
        delivery: Delivery,
        producer: Arc<dyn Producer>,
    ) -> Self {
        Self {
            repo,
            pusher,
            delivery,
            producer,
        }
    }

    /// Calls the gateways of those of the audience that are connected.
    ///
    /// # Errors
    /// When presence can't be looked up; see [`Pusher::tell`].
    pub(crate) async fn call(&self, notice: &Notice, audience: &Audience) -> Result<()> {
        self.pusher.tell(notice, audience).await
    }

    /// Writes to the gateways of those of the audience that are connected.
    ///
    /// # Errors
    /// When presence or the log is away.
    pub(crate) async fn write(
        &self,
        notice: &Notice,
        conversation_id: &str,
        audience: &Audience,
    ) -> Result<()> {
        let online = self.repo.gateways_of_all(audience).await?;
        let groups = by_gateway(audience, |user| found(&online, user));
        let records = groups.into_iter().filter_map(|(gateway, targets)| {
            let signal = Signal {
                target_user_ids: targets.into_ids(),
                ..signal(notice)
            };
            self.record(gateway, notice, conversation_id, signal)
        });
        self.send(records.collect()).await
    }

    /// Writes to every gateway, for everybody who is connected.
    ///
    /// # Errors
    /// When presence or the log is away.
    pub(crate) async fn broadcast(&self, notice: &Notice, conversation_id: &str) -> Result<()> {
        let gateways = self.repo.live_gateways().await?;
        let records = gateways.iter().filter_map(|gateway| {
            let signal = Signal {
                broadcast: true,
                ..signal(notice)
            };
            self.record(gateway, notice, conversation_id, signal)
        });
        self.send(records.collect()).await
    }

    async fn send(&self, records: Vec<OutRecord>) -> Result<()> {
        self.producer.send(records).await.map_err(Error::from)?;
        Ok(())
    }

    /// `None` when the gateway has no topic (any more).
    fn record(
        &self,
        gateway: &str,
        notice: &Notice,
        conversation_id: &str,
        signal: Signal,
    ) -> Option<OutRecord> {
        let topic = self.delivery.topic(gateway)?;
        let mut body = DownstreamMessage {
            trace_id: notice.trace_id.clone(),
            conversation_id: conversation_id.to_owned(),
            kind: DownstreamKind::Signal as i32,
            signal: Some(signal),
            ..Default::default()
        };
        Some(
            self.delivery
                .record(topic, &mut body, Targets::NONE, telemetry::current()),
        )
    }
}

fn signal(notice: &Notice) -> Signal {
    Signal {
        signal_type: notice.signal.name().to_owned(),
        payload: notice.payload.clone(),
        timestamp: notice.timestamp,
        ..Default::default()
    }
}
