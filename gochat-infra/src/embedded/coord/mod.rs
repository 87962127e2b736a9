//! Coordination in this process: the registry, settings, locks and instance ids of one
//! program. Leases can't run out here, because holder and store die together; fault tests
//! take them away with [`MemoryCoord::revoke_leases`].

mod config;
mod ids;
mod lease;
mod locks;
mod registry;
mod state;

use std::sync::Arc;

use crate::embedded::coord::config::Settings;
use crate::embedded::coord::lease::Leases;
use crate::embedded::coord::locks::LockTable;
use crate::embedded::coord::registry::Directory;

/// One object for all four coordination ports. Cheap to clone; clones share their state.
#[derive(Clone, Default)]
pub struct MemoryCoord {
    directory: Arc<Directory>,
    settings: Arc<Settings>,
    locks: Arc<LockTable>,
    ids: Arc<ids::Numbers>,
    leases: Leases,
}

impl MemoryCoord {
    /// Nobody registered, nothing set, all locks and numbers free.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends every lease as a server would that heard nothing for too long: holders see
    /// [`Lease::lost`](crate::port::coord::Lease::lost), others can take what they held.
    pub fn revoke_leases(&self) {
        self.leases.revoke_all();
    }
}
