//! Who is connected where, as far as the caller found out.

use hashbrown::HashMap;

use super::GatewayIx;
use crate::ids::UserId;

/// Answers where a user's sessions are.
pub trait Presence {
    /// The gateways that hold a session of the user, each once; empty when the user is offline;
    /// `None` when it isn't known because the lookup failed.
    fn gateways_of(&self, user: UserId) -> Option<&[GatewayIx]>;
}

/// Presence of the users of one batch, looked up in bulk.
///
/// ```
/// use gochat_core::fanout::{GatewayTable, Presence, PresenceMap};
/// use gochat_core::ids::UserId;
/// let (mut table, mut map) = (GatewayTable::default(), PresenceMap::default());
/// let (a, b) = (UserId::new(1).unwrap(), UserId::new(2).unwrap());
/// map.insert(a, [table.intern("gateway-1")]);
/// map.insert(b, []);
/// assert_eq!(map.gateways_of(a).map(<[_]>::len), Some(1));
/// assert_eq!(map.gateways_of(b).map(<[_]>::len), Some(0));
/// assert_eq!(map.gateways_of(UserId::new(3).unwrap()), None);
/// ```
#[derive(Debug, Clone, Default)]
pub struct PresenceMap {
    /// Start and length of the user's gateways in `gateways`.
    users: HashMap<UserId, (u32, u32)>,
    gateways: Vec<GatewayIx>,
}

impl PresenceMap {
    /// Notes a user's gateways; none means offline. The last note wins.
    pub fn insert(&mut self, user: UserId, gateways: impl IntoIterator<Item = GatewayIx>) {
        let start = self.gateways.len();
        self.gateways.extend(gateways);
        self.users
            .insert(user, (start as u32, (self.gateways.len() - start) as u32));
    }

    /// Forgets everything and keeps the memory for the next batch.
    pub fn clear(&mut self) {
        self.users.clear();
        self.gateways.clear();
    }

    /// How many users are known.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether no user is known.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }
}

impl Presence for PresenceMap {
    fn gateways_of(&self, user: UserId) -> Option<&[GatewayIx]> {
        let (start, len) = *self.users.get(&user)?;
        Some(&self.gateways[start as usize..(start + len) as usize])
    }
}
