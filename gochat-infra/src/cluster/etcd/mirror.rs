//! A watched prefix: always the newest state that could be had.

use std::collections::BTreeMap;
use std::time::Duration;

use etcd_client::{EventType, WatchResponse, WatchStream};
use gochat_core::error::{Error, ErrorCode, Result};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::store::{Entries, Store};
use crate::rpc::Backoff;

/// Follows everything below `prefix` for as long as somebody has a receiver. `state` makes what receivers see.
///
/// When the stream ends, for whatever reason, the prefix is listed again and watched from there on: changes made
/// meanwhile are seen, compaction doesn't matter. With `grace`, entries that are missing then are kept that much longer.
pub(super) async fn mirror<T, F>(
    store: Store,
    prefix: String,
    grace: Option<Duration>,
    state: F,
) -> Result<watch::Receiver<T>>
where
    T: Send + Sync + 'static,
    F: Fn(&Entries) -> T + Send + Sync + 'static,
{
    let (entries, revision) = store.list(&prefix).await?;
    let (sender, receiver) = watch::channel(state(&entries));
    let mirror = Mirror {
        store,
        prefix,
        grace,
        state,
        entries,
        revision,
        missing: BTreeMap::new(),
        sender,
    };
    tokio::spawn(mirror.run());
    Ok(receiver)
}

struct Mirror<T, F> {
    store: Store,
    prefix: String,
    grace: Option<Duration>,
    state: F,
    entries: Entries,
    /// When etcd last listed them: it is watched from there on.
    revision: i64,
    /// Entries that etcd no longer listed after it was away, and until when they are kept.
    missing: BTreeMap<String, Instant>,
    sender: watch::Sender<T>,
}

impl<T, F: Fn(&Entries) -> T> Mirror<T, F> {
    async fn run(mut self) {
        let nobody = self.sender.clone();
        tokio::select! {
            () = nobody.closed() => {}
            never = self.follow() => match never {},
        }
    }

    async fn follow(&mut self) -> std::convert::Infallible {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        loop {
            let began = Instant::now();
            if let Err(error) = self.stream().await {
                tracing::info!(prefix = self.prefix, %error, "a watch ended; the last state stays until the next");
            }
            if began.elapsed() > Duration::from_secs(10) {
                backoff.reset();
            }
            loop {
                sleep(backoff.next_delay()).await;
                match self.list_again().await {
                    Ok(()) => break,
                    Err(error) => {
                        tracing::debug!(prefix = self.prefix, %error, "listing failed");
                    }
                }
            }
        }
    }

    /// Watches from the known state on, until the stream ends.
    async fn stream(&mut self) -> Result<()> {
        let from = self.revision + 1;
        let mut stream = self.store.watch(&self.prefix, true, from).await?;
        loop {
            let patience = self.missing.values().min().copied();
            let told = tokio::select! {
                told = next(&mut stream) => told?,
                () = sleep_until(patience.unwrap_or_else(Instant::now)), if patience.is_some() => {
                    self.give_up_missing();
                    continue;
                }
            };
            self.apply(&told);
        }
    }

    fn apply(&mut self, told: &WatchResponse) {
        for event in told.events() {
            let Some(kv) = event.kv() else { continue };
            let (key, value) = self.store.entry(kv);
            self.missing.remove(&key);
            match event.event_type() {
                EventType::Put => drop(self.entries.insert(key, value)),
                EventType::Delete => drop(self.entries.remove(&key)),
            }
        }
        if !told.events().is_empty() {
            self.publish();
        }
    }

    async fn list_again(&mut self) -> Result<()> {
        let (mut entries, revision) = self.store.list(&self.prefix).await?;
        self.revision = revision;
        if let Some(grace) = self.grace {
            let until = Instant::now() + grace;
            let standing = std::mem::take(&mut self.missing);
            for (key, entry) in &self.entries {
                if !entries.contains_key(key) {
                    let until = standing.get(key).copied().unwrap_or(until);
                    self.missing.insert(key.clone(), until);
                    entries.insert(key.clone(), entry.clone());
                }
            }
        }
        if entries != self.entries {
            self.entries = entries;
            self.publish();
        }
        Ok(())
    }

    fn give_up_missing(&mut self) {
        let now = Instant::now();
        let over = |until: &Instant| *until <= now;
        for (key, _) in self.missing.iter().filter(|(_, until)| over(until)) {
            self.entries.remove(key);
        }
        self.missing.retain(|_, until| !over(until));
        self.publish();
    }

    fn publish(&self) {
        self.sender.send_replace((self.state)(&self.entries));
    }
}

/// The next message of a stream; every kind of end is an error that says why.
pub(super) async fn next(stream: &mut WatchStream) -> Result<WatchResponse> {
    let ended = |why: String| Error::new(ErrorCode::ServiceUnavailable, why);
    match stream.message().await {
        Ok(Some(told)) if told.compact_revision() > 0 => Err(ended("it was compacted away".into())),
        Ok(Some(told)) if told.canceled() => Err(ended(told.cancel_reason().to_owned())),
        Ok(Some(told)) => Ok(told),
        Ok(None) => Err(ended("the stream ended".into())),
        Err(error) => Err(ended(error.to_string())),
    }
}
