//! Connections per address: an IPv4 address, or the /64 of an IPv6 customer.

use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

use gochat_core::ids::UserId;
use hashbrown::HashMap;
use parking_lot::Mutex;

/// Number of shards.
const SHARDS: usize = 16;

/// What limits are charged to: an IPv4 address, or the first 64 bits of an IPv6 address. An IPv6
/// prefix whose upper half is zero belongs to nobody but the host itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AddressKey(u64);

impl From<IpAddr> for AddressKey {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(u64::from(v4.to_bits())),
            IpAddr::V6(v6) => Self((v6.to_bits() >> 64) as u64),
        }
    }
}

/// Counts what is open, by some key. A key without anything open costs nothing.
pub(crate) struct Counts<K> {
    shards: Vec<Mutex<HashMap<K, u32, ahash::RandomState>>>,
    hasher: ahash::RandomState,
    max: u32,
}

/// Connections by address.
pub(crate) type Addresses = Counts<AddressKey>;
/// HTTP connections, or requests under way, by account.
pub(crate) type Accounts = Counts<UserId>;

/// One of those that are counted; given back when it is dropped.
pub(crate) struct Slot<K: Hash + Eq + Copy> {
    counts: Arc<Counts<K>>,
    key: K,
}

impl<K: Hash + Eq + Copy> Counts<K> {
    /// Counts up to `max` of each key.
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: ahash::RandomState::new(),
            max: u32::try_from(max).unwrap_or(u32::MAX),
        })
    }

    /// Counts one more; `None` when the key has as many as it may.
    pub(crate) fn enter(self: &Arc<Self>, key: K) -> Option<Slot<K>> {
        let mut shard = self.shard(&key).lock();
        let count = shard.entry(key).or_insert(0);
        if *count >= self.max {
            return None;
        }
        *count += 1;
        Some(Slot {
            counts: self.clone(),
            key,
        })
    }

    fn shard(&self, key: &K) -> &Mutex<HashMap<K, u32, ahash::RandomState>> {
        &self.shards[self.hasher.hash_one(key) as usize % SHARDS]
    }

    /// Keys that have something open.
    #[cfg(test)]
    fn keys(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}

impl<K: Hash + Eq + Copy> Drop for Slot<K> {
    fn drop(&mut self) {
        let mut shard = self.counts.shard(&self.key).lock();
        if let Some(count) = shard.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                shard.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> AddressKey {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn an_address_has_its_number_of_places_and_leaves_nothing_behind() {
        let addresses = Addresses::new(2);
        let first = addresses.enter(key("10.0.0.1"));
        let second = addresses.enter(key("10.0.0.1"));
        assert!(first.is_some() && second.is_some());
        assert!(addresses.enter(key("10.0.0.1")).is_none());
        let other = addresses.enter(key("10.0.0.2"));
        assert!(other.is_some());
        drop(first);
        assert!(addresses.enter(key("10.0.0.1")).is_some());
        drop((second, other));
        assert_eq!(addresses.keys(), 0);
    }

    #[test]
    fn an_ipv6_customer_is_one_address() {
        assert_eq!(key("2001:db8:1:2:3::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:10.0.0.1"), key("10.0.0.1"));
    }
}
