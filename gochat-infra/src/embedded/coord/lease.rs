//! Leases of the in-process adapter: an undo action that runs once, when the holder gives
//! the claim back or when the claim is taken away.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::port::coord::{Lease, Release};

type Undo = Box<dyn FnOnce() + Send>;

/// A claim that stands until its undo action was taken.
struct Grant {
    undo: Mutex<Option<Undo>>,
    lost: CancellationToken,
}

impl Grant {
    fn end(&self) -> bool {
        // Taken out first: the action may lock what the caller holds no lock on.
        let undo = self.undo.lock().take();
        undo.map(|undo| undo()).is_some()
    }
}

struct Holder(Arc<Grant>);

impl Release for Holder {
    fn release(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.0.end();
        Box::pin(std::future::ready(()))
    }
}

/// Leases that were given out.
#[derive(Clone, Default)]
pub(super) struct Leases {
    granted: Arc<Mutex<Vec<Weak<Grant>>>>,
}

impl Leases {
    /// A lease that runs `undo` when it ends, whichever way.
    pub(super) fn grant(&self, undo: impl FnOnce() + Send + 'static) -> Lease {
        let lost = CancellationToken::new();
        self.grant_with(lost, undo)
    }

    /// As [`Leases::grant`], with a token that others may cancel as well.
    pub(super) fn grant_with(
        &self,
        lost: CancellationToken,
        undo: impl FnOnce() + Send + 'static,
    ) -> Lease {
        let grant = Arc::new(Grant {
            undo: Mutex::new(Some(Box::new(undo))),
            lost: lost.clone(),
        });
        let mut granted = self.granted.lock();
        if granted.len() == granted.capacity() {
            granted.retain(|grant| grant.strong_count() > 0);
        }
        granted.push(Arc::downgrade(&grant));
        Lease::new(lost, Box::new(Holder(grant)))
    }

    pub(super) fn revoke_all(&self) {
        let granted = std::mem::take(&mut *self.granted.lock());
        for grant in granted.iter().filter_map(Weak::upgrade) {
            grant.lost.cancel();
            grant.end();
        }
    }
}
