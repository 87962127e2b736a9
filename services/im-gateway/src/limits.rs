//! Token buckets per address, per user and for the instance; bounded, in process.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use gochat_core::error::{Error, ErrorCode};
use gochat_core::ids::{ConversationId, UnixMillis, UserId};
use gochat_core::ratelimit::{Rule, TokenBucket};
use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::config::Rates;

const SHARDS: usize = 16;

/// All buckets of this instance.
pub(crate) struct Limits {
    rates: ArcSwap<Rates>,
    instance: Mutex<TokenBucket>,
    http: Buckets<IpAddr>,
    login: Buckets<IpAddr>,
    register: Buckets<IpAddr>,
    send: Buckets<UserId>,
    world_send: Buckets<UserId>,
}

/// Which bucket of an address a request draws from besides the general one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// Nothing special.
    Open,
    /// Login, guest login, refresh.
    Login,
    /// Registration.
    Register,
}

impl Limits {
    pub(crate) fn new(rates: Rates) -> Self {
        let max = rates.max_buckets;
        Self {
            instance: Mutex::default(),
            http: Buckets::new(max),
            login: Buckets::new(max),
            register: Buckets::new(max),
            send: Buckets::new(max),
            world_send: Buckets::new(max),
            rates: ArcSwap::from_pointee(rates),
        }
    }

    /// Judges by other rates from now on. Buckets keep their state, and their number.
    pub(crate) fn set_rates(&self, rates: Rates) {
        self.rates.store(Arc::new(rates));
    }

    /// Judges an HTTP request.
    ///
    /// # Errors
    /// `RATE_LIMITED`.
    pub(crate) fn admit_http(
        &self,
        address: IpAddr,
        door: Door,
        now: UnixMillis,
    ) -> Result<(), Error> {
        let rates = self.rates.load();
        if rates.disabled {
            return Ok(());
        }
        let address = network_of(address);
        // The address first: one loud neighbour must not use up the instance's tokens.
        let passed = self.http.take(address, rates.http, now)
            && match door {
                Door::Open => true,
                Door::Login => self.login.take(address, rates.login, now),
                Door::Register => self.register.take(address, rates.register, now),
            }
            && self.instance.lock().try_take(rates.instance, now).is_ok();
        verdict(passed)
    }

    /// Judges a message by its author.
    ///
    /// # Errors
    /// `RATE_LIMITED`.
    pub(crate) fn admit_send(
        &self,
        user: UserId,
        conversation: ConversationId,
        now: UnixMillis,
    ) -> Result<(), Error> {
        let rates = self.rates.load();
        if rates.disabled {
            return Ok(());
        }
        let passed = self.send.take(user, rates.send, now)
            && (conversation != ConversationId::World
                || self.world_send.take(user, rates.world_send, now));
        verdict(passed)
    }
}

fn verdict(passed: bool) -> Result<(), Error> {
    if passed {
        Ok(())
    } else {
        Err(ErrorCode::RateLimited.into())
    }
}

/// An IPv6 customer has a whole /64: it counts as one address.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

/// A sharded map of buckets. When a shard is full, buckets that are full again are forgotten
/// (they say nothing), and if none is, all of them: forgetting is lenient, growing is not.
struct Buckets<K> {
    shards: Vec<Mutex<HashMap<K, TokenBucket, ahash::RandomState>>>,
    max_per_shard: usize,
    hasher: ahash::RandomState,
}

impl<K: Hash + Eq> Buckets<K> {
    fn new(max: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            max_per_shard: (max / SHARDS).max(1),
            hasher: ahash::RandomState::new(),
        }
    }

    fn take(&self, key: K, rule: Rule, now: UnixMillis) -> bool {
        let shard = self.hasher.hash_one(&key) as usize % SHARDS;
        let mut buckets = self.shards[shard].lock();
        if buckets.len() >= self.max_per_shard && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| !bucket.is_full(now));
            if buckets.len() >= self.max_per_shard {
                buckets.clear();
            }
        }
        buckets.entry(key).or_default().try_take(rule, now).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_do_not_grow_memory() {
        let limits = Limits::new(Rates {
            max_buckets: 160,
            ..Rates::default()
        });
        for i in 0..10_000u32 {
            let address = IpAddr::from(i.to_be_bytes());
            let _ = limits.admit_http(address, Door::Login, u64::from(i));
        }
        let held: usize = limits.http.shards.iter().map(|s| s.lock().len()).sum();
        assert!(held <= 160);
    }

    #[test]
    fn other_rates_hold_at_once() {
        let limits = Limits::new(Rates::default());
        let address = IpAddr::from([10, 0, 0, 1]);
        let ask = || limits.admit_http(address, Door::Register, 1_000).is_ok();
        assert_eq!((0..10).filter(|_| ask()).count(), 3);
        limits.set_rates(Rates {
            register: Rule::new(1.0, 8.0),
            ..Rates::default()
        });
        assert_eq!((0..10).filter(|_| ask()).count(), 5);
    }

    #[test]
    fn one_customer_of_ipv6_is_one_address() {
        let a: IpAddr = "2001:db8:1:2:3::1".parse().unwrap();
        let b: IpAddr = "2001:db8:1:2:ffff::9".parse().unwrap();
        assert_eq!(network_of(a), network_of(b));
        let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
        assert_eq!(network_of(mapped), "10.0.0.1".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn the_world_chat_has_a_rate_of_its_own() {
        let limits = Limits::new(Rates::default());
        let user = UserId::new(1).unwrap();
        let world = (0..30).filter(|_| {
            limits
                .admit_send(user, ConversationId::World, 1_000)
                .is_ok()
        });
        assert_eq!(world.count(), 10);
        let other = UserId::new(2).unwrap();
        let single = ConversationId::single(user, other).unwrap();
        assert_eq!(
            (0..40)
                .filter(|_| limits.admit_send(other, single, 1_000).is_ok())
                .count(),
            30
        );
    }
}
