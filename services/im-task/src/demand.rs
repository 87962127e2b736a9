//! Readers that wait for rows: the database writers write at once for them.
//!
//! A writer collects messages for `task.persist.pace_ms` between two batches, because a transaction
//! of many rows costs little more than one of a few. A reader that was told of a number whose row
//! is not stored waits in im-repo. So each instance of im-repo is asked, with a call that stays
//! open until a reader begins to wait there. A demand that gets lost costs that reader the rest of
//! the pause.

use std::sync::Arc;
use std::time::Duration;

use gochat_core::error::Result;
use gochat_infra::rpc::{Backoff, Channel};
use gochat_proto::im::repo::v1::AwaitReadersRequest;
use gochat_proto::im::repo::v1::message_service_client::MessageServiceClient;
use hashbrown::HashMap;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::repo::within;

/// Pause between two looks at the list of instances.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// First and longest pause after a call that failed, such as one of an im-repo that doesn't know
/// it.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// The instances of im-repo, each of which knows the readers that wait in it.
pub trait Repos: Send + Sync + 'static {
    /// Names of the instances that live, and the ways to them.
    fn all(&self) -> Vec<(Arc<str>, Channel)>;
}

/// The one im-repo of a process.
pub(crate) struct OneRepo(pub(crate) Channel);

impl Repos for OneRepo {
    fn all(&self) -> Vec<(Arc<str>, Channel)> {
        vec![("im-repo".into(), self.0.clone())]
    }
}

/// Says to the database writers of this process that a reader waits for a row.
#[derive(Debug, Clone, Default)]
pub(crate) struct Demand(Arc<watch::Sender<()>>);

impl Demand {
    /// A reader waits.
    pub(crate) fn raise(&self) {
        self.0.send_replace(());
    }

    /// Subscribes one writer to the demands of readers.
    pub(crate) fn listen(&self) -> Listener {
        Listener {
            heard: self.0.subscribe(),
            _demand: self.clone(),
        }
    }

    /// Asks all instances for ever.
    pub(crate) async fn follow(self, repos: Arc<dyn Repos>, deadline: Duration) {
        let mut calls = JoinSet::new();
        let mut asked = HashMap::new();
        loop {
            let all = repos.all();
            asked.retain(|name, call: &mut tokio::task::AbortHandle| {
                let lives = all.iter().any(|(other, _)| other == name);
                if !lives {
                    call.abort();
                }
                lives
            });
            for (name, channel) in all {
                let call = || calls.spawn(self.clone().ask(channel, deadline));
                asked.entry(name).or_insert_with(call);
            }
            while calls.try_join_next().is_some() {}
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Asks one instance for ever.
    async fn ask(self, channel: Channel, deadline: Duration) {
        let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
        let mut seen = 0;
        loop {
            match call(&channel, deadline, seen).await {
                Ok(now) => {
                    if now != seen {
                        self.raise();
                    }
                    seen = now;
                    backoff.reset();
                }
                Err(error) => {
                    tracing::debug!(%error, "waiting readers are not known; rows keep their pace");
                    tokio::time::sleep(backoff.next_delay()).await;
                }
            }
        }
    }
}

async fn call(channel: &Channel, deadline: Duration, seen: i64) -> Result<i64> {
    let mut client = MessageServiceClient::new(channel.clone());
    let request = AwaitReadersRequest { seen };
    let answer = within(deadline, client.await_readers(request)).await?;
    Ok(answer.seen)
}

/// The ear of one writer.
#[derive(Debug)]
pub(crate) struct Listener {
    heard: watch::Receiver<()>,
    /// Keeps the sender alive.
    _demand: Demand,
}

impl Listener {
    /// Resolves when a reader began to wait since the last call.
    pub(crate) async fn demanded(&mut self) {
        let _the_sender_lives = self.heard.changed().await;
    }
}
