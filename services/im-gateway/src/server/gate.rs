//! Connections that have not said who they are, and how many of them may wait.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::places::Place;
use crate::metrics as names;

/// Connections that have not proved who they are and wait for the client, oldest first. When too
/// many wait, the oldest goes: a flood of silent strangers pushes out strangers, nobody else.
pub(super) struct Gate {
    waiting: Mutex<BTreeMap<u64, Arc<Visitor>>>,
    next: AtomicU64,
    max: usize,
}

/// One TCP connection in its HTTP life.
pub(crate) struct Visitor {
    gate: Arc<Gate>,
    place: AtomicU64,
    known: AtomicBool,
    shed: Notify,
    held: Mutex<Option<Place>>,
    passing: bool,
    peer: SocketAddr,
}

impl Gate {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            waiting: Mutex::default(),
            next: AtomicU64::new(1),
            max: max.max(1),
        })
    }

    pub(super) fn enter(self: &Arc<Self>, peer: SocketAddr, place: Place) -> Arc<Visitor> {
        let visitor = Arc::new(Visitor {
            gate: self.clone(),
            place: AtomicU64::new(0),
            known: AtomicBool::new(false),
            shed: Notify::new(),
            passing: matches!(place, Place::Passing(_)),
            held: Mutex::new(Some(place)),
            peer,
        });
        visitor.wait();
        visitor
    }
}

impl Visitor {
    /// Takes the newest place among those who wait; the oldest may have to go for it.
    pub(super) fn wait(self: &Arc<Self>) {
        if self.known.load(Ordering::Relaxed) {
            return;
        }
        let place = self.gate.next.fetch_add(1, Ordering::Relaxed);
        self.place.store(place, Ordering::Relaxed);
        let mut waiting = self.gate.waiting.lock();
        waiting.insert(place, self.clone());
        if waiting.len() > self.gate.max
            && let Some((_, oldest)) = waiting.pop_first()
        {
            names::add(names::SHED, 1);
            oldest.shed.notify_one();
        }
    }

    /// Leaves the waiting room: a request is being served, or the connection is over.
    pub(super) fn stop_waiting(&self) {
        self.gate
            .waiting
            .lock()
            .remove(&self.place.load(Ordering::Relaxed));
    }

    /// Its time is up: somebody else needs the room.
    pub(super) async fn shed(&self) {
        self.shed.notified().await;
    }

    pub(super) fn peer(&self) -> IpAddr {
        self.peer.ip()
    }

    /// No place was left for it: it may ask something, but not stay.
    pub(crate) fn is_passing(&self) -> bool {
        self.passing
    }

    /// The client has proved who it is.
    pub(crate) fn set_known(&self) {
        self.known.store(true, Ordering::Relaxed);
    }

    /// Takes the right to have a socket along into the connection's next life.
    pub(crate) fn take_place(&self) -> Option<Place> {
        self.held.lock().take()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;

    fn place() -> Place {
        Place::Own(Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap())
    }

    fn peer() -> SocketAddr {
        "10.0.0.9:1".parse().unwrap()
    }

    #[tokio::test]
    async fn the_stranger_who_waits_longest_makes_room() {
        let gate = Gate::new(2);
        let first = gate.enter(peer(), place());
        let _second = gate.enter(peer(), place());
        let _third = gate.enter(peer(), place());
        first.shed().await;
        assert_eq!(gate.waiting.lock().len(), 2);
    }

    #[test]
    fn who_is_served_or_known_is_not_shed() {
        let gate = Gate::new(1);
        let first = gate.enter(peer(), place());
        first.stop_waiting();
        first.set_known();
        first.wait();
        for _ in 0..10 {
            gate.enter(peer(), place());
        }
        assert!(!gate.waiting.lock().values().any(|v| Arc::ptr_eq(v, &first)));
        assert_eq!(gate.waiting.lock().len(), 1);
    }
}
