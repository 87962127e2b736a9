//! The connection of an instance: opening it, looking after it, and opening it again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::super::config::ChannelConfig;
use super::super::connect::{BoxError, Connector};
use super::super::health;
use super::{Endpoint, Link};
use crate::rpc::Backoff;

/// A connection that stood this long is tried again at once when it ends.
const STOOD: Duration = Duration::from_secs(5);

impl Endpoint {
    /// Connects, and again after every end or when a call wants it, until the instance is gone.
    pub(super) async fn stay_connected(
        self: Arc<Self>,
        connector: Arc<Connector>,
        config: Arc<ChannelConfig>,
    ) {
        let pause = Duration::from_millis(config.reconnect_ms);
        let mut backoff = Backoff::new(pause, Duration::from_millis(config.reconnect_max_ms));
        let mut complained = false;
        loop {
            // Again when it was woken earlier, while it was not waiting here.
            while self.is_idle() {
                tokio::select! {
                    () = self.stop.cancelled() => return,
                    () = self.wanted.notified() => {}
                }
            }
            let started = Instant::now();
            let ended = tokio::select! {
                () = self.stop.cancelled() => return,
                ended = self.hold(&connector, &config) => ended,
            };
            match ended {
                Ok(why) => {
                    tracing::info!(service = %self.service, id = %self.id, address = %self.address, why, "disconnected");
                    complained = false;
                }
                Err(error) if !complained => {
                    tracing::warn!(service = %self.service, id = %self.id, address = %self.address, error, "can't connect");
                    complained = true;
                }
                Err(_) => {}
            }
            let stood = started.elapsed() >= STOOD || config.idle.is_some();
            if stood && self.was_ready() {
                backoff.reset();
                self.set(Link::at_rest(&config));
                continue;
            }
            self.set(Link::Down);
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = sleep(backoff.next_delay()) => {}
            }
            if config.idle.is_some() {
                self.set(Link::Idle);
            }
        }
    }

    fn was_ready(&self) -> bool {
        matches!(*self.link.lock(), Link::Ready(_))
    }

    /// Waits until there was no call for this long.
    async fn unused(&self, idle: Option<Duration>) {
        let Some(idle) = idle else {
            return std::future::pending().await;
        };
        loop {
            let used = Duration::from_millis(self.used_ms.load(Ordering::Relaxed));
            let left = (used + idle).saturating_sub(self.born.elapsed());
            if left.is_zero() && self.load() == 0 {
                return;
            }
            sleep(left.max(Duration::from_millis(100))).await;
        }
    }

    /// Connects and holds the connection until it ends; gives why it did.
    async fn hold(
        &self,
        connector: &Connector,
        config: &ChannelConfig,
    ) -> Result<&'static str, String> {
        let opened = async {
            let (sender, connection) = connector.connect(&self.address).await?;
            // On its own: calls on their way go on when this instance leaves the registry.
            let connection = tokio::spawn(connection);
            let serves = !config.health || health::serves(self, &sender).await;
            Ok::<_, BoxError>((sender, connection, serves))
        };
        let (sender, mut connection, mut serves) = timeout(config.connect_timeout(), opened)
            .await
            .map_err(|_| "no answer in time".to_owned())?
            .map_err(|error| causes(&*error))?;
        if !serves {
            return Err("it says it does not serve".to_owned());
        }
        tracing::info!(service = %self.service, id = %self.id, address = %self.address, "connected");
        self.note_use();
        self.set(Link::Ready(sender.clone()));
        let check = Duration::from_millis(config.health_ms.max(1));
        loop {
            tokio::select! {
                _ = &mut connection => return Ok("it ended"),
                () = self.unused(config.idle) => return Ok("nobody needs it"),
                () = sleep(check), if config.health => {
                    let well = health::serves(self, &sender).await;
                    if well != serves {
                        tracing::info!(service = %self.service, id = %self.id, well, "its health changed");
                        let link = if well { Link::Ready(sender.clone()) } else { Link::Down };
                        self.set(link);
                        serves = well;
                    }
                }
            }
        }
    }
}

/// An error with its causes.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
