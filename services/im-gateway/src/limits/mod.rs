//! Token buckets per address, per account and for the instance; those at the doors are shared by
//! all gateways.

mod buckets;
mod shared;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use gochat_core::error::{Error, ErrorCode};
use gochat_core::ids::{ConversationId, UnixMillis, UserId};
use gochat_core::ratelimit::{Rule, TokenBucket, rules};
use gochat_proto::im::repo::v1::AllowRequest;
use parking_lot::Mutex;

use crate::backend::Backend;
use crate::clock;
use crate::config::{RateMode, Rates};
use buckets::Buckets;
use shared::Shared;

/// Largest part of an address's burst that must be left for a request that may be a guess.
const GUESS_SHARE_MAX: f64 = 0.5;

/// All buckets of this instance, and the way to those it shares.
pub(crate) struct Limits {
    rates: ArcSwap<Rates>,
    instance: Mutex<TokenBucket>,
    connect: Buckets<IpAddr>,
    probe: Buckets<IpAddr>,
    http: Buckets<IpAddr>,
    account: Buckets<UserId>,
    login: Buckets<IpAddr>,
    register: Buckets<IpAddr>,
    send: Buckets<UserId>,
    world_send: Buckets<UserId>,
    shared: Shared,
}

/// Which bucket of an address a request without an account draws from besides the general one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// Login, guest login, refresh.
    Login,
    /// Registration.
    Register,
}

/// Over a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Milliseconds until a token will be there.
    pub(crate) retry_after_ms: u64,
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        Error::from(ErrorCode::RateLimited).after(refused.retry_after_ms.max(1))
    }
}

/// The verdict of a bucket that knows milliseconds.
fn verdict(taken: Result<(), u64>) -> Result<(), Refused> {
    taken.map_err(|retry_after_ms| Refused { retry_after_ms })
}

impl Limits {
    pub(crate) fn new(rates: Rates) -> Self {
        let max = rates.max_buckets;
        Self {
            instance: Mutex::default(),
            connect: Buckets::new(max),
            probe: Buckets::new(max),
            http: Buckets::new(max),
            account: Buckets::new(max),
            login: Buckets::new(max),
            register: Buckets::new(max),
            send: Buckets::new(max),
            world_send: Buckets::new(max),
            shared: Shared::default(),
            rates: ArcSwap::from_pointee(rates),
        }
    }

    /// Judges by other rates from now on. Buckets keep their state, and their number.
    pub(crate) fn set_rates(&self, rates: Rates) {
        self.rates.store(Arc::new(rates));
    }

    /// Judges a new connection by its address.
    pub(crate) fn admit_connection(&self, address: IpAddr) -> Result<(), Refused> {
        self.of_address(&self.connect, address, |rates| rates.connect)
    }

    /// Judges a probe of the instance's health by its address.
    pub(crate) fn admit_probe(&self, address: IpAddr) -> Result<(), Refused> {
        self.of_address(&self.probe, address, |rates| rates.probe)
    }

    /// Judges any other request by its address, before anything else is looked at. What may turn
    /// out to be a guess passes only while the address could pay for it.
    pub(crate) fn admit_address(&self, address: IpAddr, may_guess: bool) -> Result<(), Refused> {
        let rates = self.rates.load();
        if rates.disabled {
            return Ok(());
        }
        let (rule, now) = (rates.http, clock::now_ms());
        let kept = if may_guess {
            ((rates.guess_cost - 1.0) / rule.capacity).min(GUESS_SHARE_MAX)
        } else {
            0.0
        };
        verdict(self.http.take_leaving(network_of(address), rule, kept, now))
    }

    fn of_address(
        &self,
        buckets: &Buckets<IpAddr>,
        address: IpAddr,
        rule: impl FnOnce(&Rates) -> Rule,
    ) -> Result<(), Refused> {
        let rates = self.rates.load();
        if rates.disabled {
            return Ok(());
        }
        verdict(buckets.take(network_of(address), rule(&rates), clock::now_ms()))
    }

    /// Makes an address pay for a token that was never good, or a password that was wrong.
    pub(crate) fn charge_guess(&self, address: IpAddr) {
        let rates = self.rates.load();
        // The request itself has cost one.
        let cost = rates.guess_cost - 1.0;
        if !rates.disabled && cost > 0.0 {
            let address = network_of(address);
            self.http.charge(address, rates.http, cost, clock::now_ms());
        }
    }

    /// Judges a request at a door by the buckets of this process, and then by the one that all
    /// gateways share.
    ///
    /// The own ones first: a flood is refused without a call, and they are the verdict when nobody answers.
    pub(crate) async fn admit_door(
        &self,
        backend: &Backend,
        address: IpAddr,
        door: Door,
        trace: &str,
    ) -> Result<(), Refused> {
        self.admit_at(address, door, clock::now_ms())?;
        match self.question(address, door) {
            Some(question) => {
                let wait = Duration::from_millis(self.rates.load().shared_wait_ms);
                self.shared.judge(backend, trace, question, wait).await
            }
            None => Ok(()),
        }
    }

    /// Judges a request at a door by the buckets of this process.
    fn admit_at(&self, address: IpAddr, door: Door, now: UnixMillis) -> Result<(), Refused> {
        let rates = self.rates.load();
        if rates.disabled {
            return Ok(());
        }
        let address = network_of(address);
        // The address first: one loud neighbour must not use up the instance's tokens.
        verdict(match door {
            Door::Login => self.login.take(address, rates.login, now),
            Door::Register => self.register.take(address, rates.register, now),
        })?;
        self.of_instance(&rates, rates.share_sign_in, now)
    }

    /// Judges a request of somebody who is signed in, by the account.
    pub(crate) fn admit_account(&self, user: UserId) -> Result<(), Refused> {
        let rates = self.rates.load();
        if rates.disabled {
            return Ok(());
        }
        verdict(self.account.take(user, rates.account, clock::now_ms()))
    }

    /// Judges a request of somebody who is signed in, by what the instance can do.
    pub(crate) fn admit_signed_in(&self) -> Result<(), Refused> {
        self.of_instance(&self.rates.load(), 1.0, clock::now_ms())
    }

    /// Judges a request of somebody unknown, by what the instance can do for strangers.
    pub(crate) fn admit_stranger(&self) -> Result<(), Refused> {
        let rates = self.rates.load();
        self.of_instance(&rates, rates.share_strangers, clock::now_ms())
    }

    /// Takes a token of the instance for a caller who may use this share of its burst. The rest is
    /// there for callers of a higher rank, whatever those of lower ranks send.
    fn of_instance(&self, rates: &Rates, share: f64, now: UnixMillis) -> Result<(), Refused> {
        if rates.disabled {
            return Ok(());
        }
        let mut instance = self.instance.lock();
        verdict(instance.try_take_leaving(rates.instance, 1.0 - share, now))
    }

    /// What to ask im-repo about a request at a door; nothing where buckets are not shared.
    fn question(&self, address: IpAddr, door: Door) -> Option<AllowRequest> {
        let rates = self.rates.load();
        if rates.disabled || rates.mode == RateMode::Local {
            return None;
        }
        let (name, rule): (&str, Rule) = match door {
            Door::Login => (rules::LOGIN, rates.login),
            Door::Register => (rules::REGISTER, rates.register),
        };
        Some(AllowRequest {
            resource: format!("ip:{}", network_of(address)),
            rule: name.to_owned(),
            rate: rule.rate,
            burst: rule.capacity,
            ..Default::default()
        })
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
        verdict(self.send.take(user, rates.send, now))?;
        if conversation == ConversationId::World {
            verdict(self.world_send.take(user, rates.world_send, now))?;
        }
        Ok(())
    }
}

/// An IPv6 customer has a whole /64: it counts as one address.
pub(crate) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}
