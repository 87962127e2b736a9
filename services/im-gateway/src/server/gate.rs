//! Connections that have not proved who the client is, and how many of them may wait.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use gochat_core::error::{Error, ErrorCode};
use gochat_core::ids::UserId;
use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::addresses::{Accounts, AddressKey, Addresses, Slot};
use super::places::{Permit, Place};
use crate::metrics as names;

/// How many connections may wait without having said who the client is.
pub(super) struct WaitingLimits {
    /// Over all addresses.
    pub(super) max: usize,
    /// Of one address.
    pub(super) max_per_address: usize,
}

/// Connections that wait for a client that has not proved who it is. When too many wait, the oldest
/// goes, of the address that has too many or of all: a flood of silent strangers pushes out
/// strangers only, and one address only its own.
pub(super) struct Gate {
    waiting: Mutex<Waiting>,
    next: AtomicU64,
    limits: WaitingLimits,
    addresses: Option<Arc<Addresses>>,
    accounts: Option<Arc<Accounts>>,
}

#[derive(Default)]
struct Waiting {
    by_age: BTreeMap<u64, Arc<Visitor>>,
    by_address: BTreeSet<(AddressKey, u64)>,
    counts: HashMap<AddressKey, usize, ahash::RandomState>,
}

/// One TCP connection in its HTTP life.
pub(crate) struct Visitor {
    gate: Arc<Gate>,
    turn: AtomicU64,
    is_known: AtomicBool,
    is_uploading: AtomicBool,
    is_stalled: AtomicBool,
    shed: Notify,
    place: Mutex<Option<Place>>,
    account: Mutex<Option<Slot<UserId>>>,
    is_passing: bool,
    /// Whether the peer is a proxy that speaks for many: limits are then charged to whom it names.
    is_proxy: AtomicBool,
    peer: IpAddr,
    /// The client a proxy named with the PROXY protocol.
    client: OnceLock<IpAddr>,
}

impl Gate {
    /// Without counts there are no limits per address and account, as load tests want it.
    pub(super) fn new(
        limits: WaitingLimits,
        counts: Option<(Arc<Addresses>, Arc<Accounts>)>,
    ) -> Arc<Self> {
        let (addresses, accounts) = counts.unzip();
        Arc::new(Self {
            waiting: Mutex::default(),
            next: AtomicU64::new(1),
            limits,
            addresses,
            accounts,
        })
    }

    pub(super) fn enter(
        self: &Arc<Self>,
        peer: IpAddr,
        place: Place,
        is_proxy: bool,
    ) -> Arc<Visitor> {
        let visitor = Arc::new(Visitor {
            gate: self.clone(),
            turn: AtomicU64::new(0),
            is_known: AtomicBool::new(false),
            is_uploading: AtomicBool::new(false),
            is_stalled: AtomicBool::new(false),
            shed: Notify::new(),
            is_passing: matches!(place, Place::Passing(_)),
            place: Mutex::new(Some(place)),
            account: Mutex::default(),
            is_proxy: AtomicBool::new(is_proxy),
            peer,
            client: OnceLock::new(),
        });
        visitor.wait();
        visitor
    }

    /// Sends the connection away that holds a place and waits longest, if any does.
    pub(super) fn make_room(&self) {
        let mut waiting = self.waiting.lock();
        let mut staying = waiting
            .by_age
            .iter()
            .filter(|(_, visitor)| !visitor.is_passing);
        if let Some(oldest) = staying.next().map(|(turn, _)| *turn) {
            waiting.shed(oldest);
        }
    }
}

impl Waiting {
    fn insert(&mut self, turn: u64, visitor: Arc<Visitor>, limits: &WaitingLimits) {
        let key = visitor.limited_key();
        self.by_age.insert(turn, visitor);
        if let Some(key) = key {
            self.by_address.insert((key, turn));
            let count = self.counts.entry(key).or_insert(0);
            *count += 1;
            if *count > limits.max_per_address {
                let mut of_address = self.by_address.range((key, 0)..);
                if let Some((_, oldest)) = of_address.next().copied() {
                    return self.shed(oldest);
                }
            }
        }
        if self.by_age.len() > limits.max
            && let Some(oldest) = self.by_age.keys().next().copied()
        {
            self.shed(oldest);
        }
    }

    fn shed(&mut self, turn: u64) {
        if let Some(visitor) = self.remove(turn) {
            names::add(names::SHED, 1);
            visitor.shed.notify_one();
        }
    }

    fn remove(&mut self, turn: u64) -> Option<Arc<Visitor>> {
        let visitor = self.by_age.remove(&turn)?;
        // The client's address may have become known meanwhile: what was noted is what is taken
        // out.
        for key in [visitor.limited_key(), Some(visitor.peer.into())] {
            let Some(key) = key else { continue };
            if self.by_address.remove(&(key, turn))
                && let Some(count) = self.counts.get_mut(&key)
            {
                *count -= 1;
                if *count == 0 {
                    self.counts.remove(&key);
                }
            }
        }
        Some(visitor)
    }
}

impl Visitor {
    /// Takes the newest turn among the connections that wait; the oldest may have to go for it.
    pub(super) fn wait(self: &Arc<Self>) {
        if self.is_known.load(Ordering::Relaxed) || self.speaks_for_many() {
            return;
        }
        let turn = self.gate.next.fetch_add(1, Ordering::Relaxed);
        self.turn.store(turn, Ordering::Relaxed);
        let mut waiting = self.gate.waiting.lock();
        waiting.insert(turn, self.clone(), &self.gate.limits);
    }

    /// Leaves the waiting room: a request is being served, or the connection is over.
    pub(super) fn stop_waiting(&self) {
        let turn = self.turn.load(Ordering::Relaxed);
        self.gate.waiting.lock().remove(turn);
    }

    /// Resolves when this connection must make room for a newer one.
    pub(super) async fn shed(&self) {
        self.shed.notified().await;
    }

    /// The client's address as far as the connection itself tells it.
    pub(super) fn peer(&self) -> IpAddr {
        self.client.get().copied().unwrap_or(self.peer)
    }

    /// Notes the client that a proxy named; limits are charged to it from now on.
    pub(super) fn set_client(&self, client: IpAddr, is_proxy: bool) {
        self.stop_waiting();
        let _ = self.client.set(client);
        self.is_proxy.store(is_proxy, Ordering::Relaxed);
    }

    fn speaks_for_many(&self) -> bool {
        self.is_proxy.load(Ordering::Relaxed)
    }

    /// What the connection's limits are charged to; none for a proxy, and none where limits are
    /// off.
    fn limited_key(&self) -> Option<AddressKey> {
        (self.gate.addresses.is_some() && !self.speaks_for_many()).then(|| self.peer().into())
    }

    /// Counts the connection for its address; false when the address has as many as it may.
    pub(super) fn take_address(&self) -> bool {
        let (Some(addresses), Some(key)) = (&self.gate.addresses, self.limited_key()) else {
            return true;
        };
        let mut place = self.place.lock();
        match place.as_mut() {
            Some(place) => match addresses.enter(key) {
                Some(slot) => {
                    place.set_address(slot);
                    true
                }
                None => false,
            },
            None => true,
        }
    }

    /// True when no place was left: the connection may ask one thing and not stay.
    pub(crate) fn is_passing(&self) -> bool {
        self.is_passing
    }

    /// Notes that the client has proved who it is.
    ///
    /// # Errors
    /// `RATE_LIMITED` when the account has as many connections as it may.
    pub(super) fn set_known(&self, user: UserId) -> Result<(), Error> {
        if let Some(accounts) = &self.gate.accounts
            && !self.speaks_for_many()
        {
            let mut account = self.account.lock();
            if account.is_none() {
                let slot = accounts.enter(user).ok_or_else(|| {
                    names::count(names::CONNECTIONS_REFUSED, "reason", "account");
                    let sentence = "Your account has as many connections open as it may.";
                    Error::new(ErrorCode::RateLimited, sentence)
                })?;
                *account = Some(slot);
            }
        }
        self.is_known.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Takes the right to have a socket along into the connection's next life, counted for the
    /// client's address.
    ///
    /// # Errors
    /// `RATE_LIMITED` when the address a proxy named has as many connections as it may.
    pub(crate) fn take_permit(&self, client: IpAddr) -> Result<Option<Permit>, Error> {
        let mut permit = match self.place.lock().take() {
            Some(Place::Own(permit)) => permit,
            _ => return Ok(None),
        };
        if let Some(addresses) = &self.gate.addresses
            && !permit.has_address()
        {
            let slot = addresses.enter(client.into()).ok_or_else(|| {
                names::count(names::CONNECTIONS_REFUSED, "reason", "address");
                let sentence = "Your address has as many connections open as it may.";
                Error::new(ErrorCode::RateLimited, sentence)
            })?;
            permit.set_address(slot);
        }
        Ok(Some(permit))
    }

    /// Notes whether the body of the present request is still coming.
    pub(super) fn set_uploading(&self, is_uploading: bool) {
        self.is_uploading.store(is_uploading, Ordering::Relaxed);
    }

    pub(super) fn is_uploading(&self) -> bool {
        self.is_uploading.load(Ordering::Relaxed)
    }

    /// Notes that the body of the present request stopped coming.
    pub(super) fn set_stalled(&self) {
        self.is_stalled.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stalled(&self) -> bool {
        self.is_stalled.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
