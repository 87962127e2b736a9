//! How many connections there may be.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Resource, getrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::addresses::{AddressKey, Slot};
use crate::config::Connections;

/// Files a process needs besides its sockets, those of [`PASSING`] among them.
const SPARE_FILES: usize = 512;
/// Connections at a time that find all places taken: they are served one request, or told so.
/// Further ones wait in the listener's backlog.
const PASSING: usize = 128;

/// The right to have a socket.
pub(crate) enum Place {
    /// For as long as the connection lasts.
    Own(Permit),
    /// For one request.
    Passing(Passing),
}

/// The right to stay, and the address it is counted for. Given back when dropped.
pub(crate) struct Permit {
    taken: Arc<AtomicUsize>,
    address: Option<Slot<AddressKey>>,
}

/// The right to ask one thing. Given back when dropped.
pub(crate) struct Passing {
    _permit: OwnedSemaphorePermit,
    address: Option<Slot<AddressKey>>,
}

impl Place {
    pub(super) fn set_address(&mut self, slot: Slot<AddressKey>) {
        match self {
            Self::Own(permit) => permit.address = Some(slot),
            Self::Passing(passing) => passing.address = Some(slot),
        }
    }
}

impl Permit {
    pub(super) fn has_address(&self) -> bool {
        self.address.is_some()
    }

    pub(super) fn set_address(&mut self, slot: Slot<AddressKey>) {
        self.address = Some(slot);
    }

    #[cfg(test)]
    pub(super) fn for_test() -> Self {
        Self {
            taken: Arc::new(AtomicUsize::new(1)),
            address: None,
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The places of a gateway.
pub(super) struct Places {
    max: usize,
    taken: Arc<AtomicUsize>,
    passing: Arc<Semaphore>,
}

impl Places {
    pub(super) fn new(limits: &Connections) -> Self {
        Self {
            max: max_connections(limits),
            taken: Arc::default(),
            passing: Arc::new(Semaphore::new(PASSING)),
        }
    }

    /// Maximum number of connections that may stay.
    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// The next connection. A full gateway goes on answering: a client that can't stay learns it at
    /// once and may go elsewhere.
    pub(super) async fn accept(
        &self,
        listener: &TcpListener,
    ) -> io::Result<(TcpStream, SocketAddr, Place)> {
        let passing = self.passing.clone().acquire_owned().await;
        let passing = passing.map_err(io::Error::other)?;
        let (stream, peer) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let place = match self.permit() {
            Some(permit) => Place::Own(permit),
            None => Place::Passing(Passing {
                _permit: passing,
                address: None,
            }),
        };
        Ok((stream, peer, place))
    }

    fn permit(&self) -> Option<Permit> {
        let take = |taken: usize| (taken < self.max).then_some(taken + 1);
        self.taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .ok()?;
        Some(Permit {
            taken: self.taken.clone(),
            address: None,
        })
    }
}

/// The configured bound, or what the process may open.
fn max_connections(limits: &Connections) -> usize {
    let allowed = getrlimit(Resource::Nofile).current;
    let files = allowed.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    limits.max.min(room_for_sockets(files)).max(1)
}

/// Sockets that so many files leave room for.
fn room_for_sockets(files: usize) -> usize {
    files.saturating_sub(SPARE_FILES).max(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_left_for_everything_else() {
        assert_eq!(
            [1_024, 100, 20_000].map(room_for_sockets),
            [512, 64, 19_488]
        );
    }

    #[test]
    fn there_are_as_many_places_as_configured_and_they_come_back() {
        let places = Places::new(&Connections {
            max: 2,
            ..Connections::default()
        });
        let (first, second) = (places.permit(), places.permit());
        assert!(first.is_some() && second.is_some() && places.permit().is_none());
        drop(first);
        assert!(places.permit().is_some());
    }

    #[test]
    fn a_permit_is_as_small_as_it_was() {
        assert!(size_of::<Option<Permit>>() <= 24);
    }
}
