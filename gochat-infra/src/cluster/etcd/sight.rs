//! Keeps an eye on one key: who has it, in the order in which that changed.

use std::time::Duration;

use etcd_client::EventType;
use gochat_core::error::Result;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::mirror::next;
use super::store::{Owner, Store};
use crate::rpc::Backoff;

/// What was seen: the new owner, or that there is none.
pub(super) type Seen = Option<Owner>;

/// Sightings that wait; more wait in etcd.
const WAITING: usize = 16;

/// Watches a key until the receiver is dropped. After every interruption the present owner is told.
pub(super) fn watch(store: Store, key: String) -> mpsc::Receiver<Seen> {
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let gone = sender.clone();
        tokio::select! {
            () = gone.closed() => {}
            () = watch_for_ever(&store, &key, sender) => {}
        }
    });
    receiver
}

async fn watch_for_ever(store: &Store, key: &str, sender: mpsc::Sender<Seen>) {
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
    loop {
        if let Err(error) = tell_all(store, key, &sender, &mut backoff).await {
            tracing::debug!(key, %error, "watching a claim was interrupted");
        }
        sleep(backoff.next_delay()).await;
    }
}

async fn tell_all(
    store: &Store,
    key: &str,
    sender: &mpsc::Sender<Seen>,
    backoff: &mut Backoff,
) -> Result<()> {
    let (owner, at) = store.owner(key).await?;
    // Nobody listens any more: the caller notices.
    let _ = sender.send(owner).await;
    let mut stream = store.watch(key, false, at + 1).await?;
    loop {
        let told = next(&mut stream).await?;
        backoff.reset();
        for event in told.events() {
            let seen = match event.event_type() {
                EventType::Put => event.kv().map(Owner::of),
                EventType::Delete => None,
            };
            let _ = sender.send(seen).await;
        }
    }
}
