//! States that are watched by name.

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::watch;

/// Senders by watched name, made when the first watcher comes and dropped after the last.
pub(super) struct Watchers<T>(Mutex<HashMap<String, watch::Sender<T>>>);

impl<T> Default for Watchers<T> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<T> Watchers<T> {
    /// Joins the watchers of `name`. `current` is read under the lock that
    /// [`Watchers::publish`] takes, so that no change falls between the two.
    pub(super) fn join(&self, name: &str, current: impl FnOnce() -> T) -> watch::Receiver<T> {
        let mut senders = self.0.lock();
        senders.retain(|_, sender| sender.receiver_count() > 0);
        match senders.get(name) {
            Some(sender) => sender.subscribe(),
            None => {
                let (sender, receiver) = watch::channel(current());
                senders.insert(name.to_owned(), sender);
                receiver
            }
        }
    }

    /// Sends new states to the watchers whose name `concerns` the change.
    pub(super) fn publish(&self, concerns: impl Fn(&str) -> bool, state: impl Fn(&str) -> T) {
        let senders = self.0.lock();
        for (name, sender) in senders.iter().filter(|(name, _)| concerns(name)) {
            sender.send_replace(state(name));
        }
    }
}
