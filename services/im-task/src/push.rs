//! Signals to users, through the gateways that hold them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use gochat_core::audience::Audience;
use gochat_core::error::Result;
use gochat_core::signal::Signal;
use gochat_infra::rpc::{Channel, with_retry};
use gochat_proto::im::gateway::v1::PushToUsersRequest;
use gochat_proto::im::gateway::v1::pusher_service_client::PusherServiceClient;

use crate::delivery::{Targets, by_gateway, found};
use crate::metrics;
use crate::repo::{LOOKUP, Repo, within};

/// Attempts per gateway; after them the signal is lost for its users, who see the change when they next synchronise.
const ATTEMPTS: u32 = 3;

/// The way to gateways.
pub trait Pushers: Send + Sync + 'static {
    /// A connection to the `PusherService` of this instance; `None` when nobody knows it (any more).
    fn gateway(&self, gateway_id: &str) -> Option<Channel>;

    /// A connection to any live gateway, which forwards what it doesn't hold; `None` when there is none.
    fn any(&self) -> Option<Channel>;
}

/// The one gateway of the embedded profile.
#[derive(Debug, Clone)]
pub struct OneGateway {
    id: Arc<str>,
    channel: Channel,
}

impl OneGateway {
    /// Reaches the gateway with this instance id.
    pub fn new(id: impl Into<Arc<str>>, channel: Channel) -> Self {
        Self {
            id: id.into(),
            channel,
        }
    }
}

impl Pushers for OneGateway {
    fn gateway(&self, gateway_id: &str) -> Option<Channel> {
        (*self.id == *gateway_id).then(|| self.channel.clone())
    }

    fn any(&self) -> Option<Channel> {
        Some(self.channel.clone())
    }
}

/// What to tell.
#[derive(Debug, Clone)]
pub(crate) struct Notice {
    pub(crate) signal: Signal,
    /// JSON, the `data` of the frame.
    pub(crate) payload: bytes::Bytes,
    pub(crate) trace_id: String,
    /// Unix seconds of the cause.
    pub(crate) timestamp: i64,
}

/// Sends signals.
#[derive(Clone)]
pub(crate) struct Pusher {
    repo: Repo,
    pushers: Arc<dyn Pushers>,
    deadline: Duration,
}

impl Pusher {
    pub(crate) fn new(repo: Repo, pushers: Arc<dyn Pushers>, deadline: Duration) -> Self {
        Self {
            repo,
            pushers,
            deadline,
        }
    }

    /// Tells those of the audience that are connected.
    ///
    /// # Errors
    /// When presence can't be looked up: the whole call may be repeated. A gateway that can't be reached is no
    /// error: waiting for it would hold up everybody else's signals.
    pub(crate) async fn tell(&self, notice: &Notice, audience: &Audience) -> Result<()> {
        let online = self.repo.gateways_of_all(audience).await?;
        let offline = audience.users().len() - online.len();
        metrics::signal(notice.signal.name(), "offline", offline);
        let groups = by_gateway(audience, |user| found(&online, user));
        let calls = groups.into_iter().flat_map(|(gateway, targets)| {
            let parts = targets.parts(LOOKUP);
            parts.map(move |part| self.call(notice, gateway, part))
        });
        join_all(calls).await;
        Ok(())
    }

    async fn call(&self, notice: &Notice, gateway: &str, users: Targets) {
        let direct = self.pushers.gateway(gateway);
        // Told which gateway it is, nobody has to look the users up once more.
        let forwarded = direct.is_some();
        let Some(channel) = direct.or_else(|| self.pushers.any()) else {
            return metrics::signal(notice.signal.name(), "unreachable", users.len());
        };
        let count = users.len();
        let request = PushToUsersRequest {
            trace_id: notice.trace_id.clone(),
            target_user_ids: users.into_ids(),
            signal_type: notice.signal.name().to_owned(),
            payload: notice.payload.clone(),
            timestamp: notice.timestamp,
            forwarded,
            expire_at: 0,
        };
        let done = with_retry(ATTEMPTS, || {
            let mut client = PusherServiceClient::new(channel.clone());
            let request = request.clone();
            async move { within(self.deadline, client.push_to_users(request)).await }
        });
        match done.await {
            Ok(answer) => {
                metrics::signal(notice.signal.name(), "failed", answer.failed.len());
                metrics::signal(
                    notice.signal.name(),
                    "delivered",
                    answer.delivered_user_ids.len(),
                );
            }
            Err(error) => {
                tracing::warn!(%error, gateway, users = count, "a signal was lost");
                metrics::signal(notice.signal.name(), "failed", count);
            }
        }
    }
}
