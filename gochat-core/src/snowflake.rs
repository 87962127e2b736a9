//! Snowflake ids: 41 bits of milliseconds, 10 bits of instance, 12 bits of sequence.
//!
//! The caller passes the time in. Ids of one instance strictly increase, and ids of different
//! instances never meet.
//!
//! # Clocks that step
//!
//! An id is unique for as long as no millisecond is used twice under one instance number, whatever
//! the wall clock does and however often the process starts. The generator therefore makes ids
//! inside a [`Lease`] of time only. A lease begins at the *floor*: the end of every earlier lease
//! of that number, which the caller has stored. The end of the new lease is stored before the first
//! id of the lease is made.
//!
//! * A clock **behind the floor** stops nothing: ids go on from the floor, in logical time, until
//!   the clock has caught up. A millisecond holds 4096 ids, so logical time moves slower than any
//!   clock.
//! * A clock **far ahead of the floor** ([`LeaseRules::max_jump_ms`]) is not followed: ids go on
//!   from the floor. Otherwise one wrong clock would use up the 41 bits for ever.
//!
//! [`Snowflake::drift_ms`] says how far ids are away from the clock, for an alert.

use crate::ids::UnixMillis;

/// Unix milliseconds that the time bits count from.
pub const EPOCH: UnixMillis = 1_288_834_974_657;

/// Instance numbers are below this.
pub const INSTANCES: u16 = 1 << INSTANCE_BITS;

/// The first start of all believes a clock between 2024-01-01 and 2060-01-01.
const EARLIEST: UnixMillis = 1_704_067_200_000;
const LATEST: UnixMillis = 2_840_140_800_000;

const INSTANCE_BITS: u32 = 10;
const SEQUENCE_BITS: u32 = 12;
const SEQUENCES: u16 = 1 << SEQUENCE_BITS;
const TIME_LIMIT: u64 = 1 << 41;

/// Why no id can be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SnowflakeError {
    /// The leased time is used up, or there is no lease yet. An id can be made after
    /// [`Snowflake::grant`].
    #[error("no time is leased for ids")]
    NoLease,
    /// The 41 bits are used up: no id can be made any more under this instance number.
    #[error("the time can't be expressed in an id")]
    OutOfRange,
}

/// How much time is leased, and how far the clock is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseRules {
    /// Length of a lease beyond the clock in milliseconds; it is renewed after half of it.
    pub step_ms: u64,
    /// Length of a lease beyond the floor in milliseconds while the clock is not followed.
    pub room_ms: u64,
    /// A clock further ahead of the floor than this many milliseconds is not followed.
    pub max_jump_ms: u64,
}

impl Default for LeaseRules {
    /// 20 s, 1 s, 180 days.
    fn default() -> Self {
        Self {
            step_ms: 20_000,
            room_ms: 1_000,
            max_jump_ms: 180 * 24 * 3_600_000,
        }
    }
}

/// A span of time in which one process makes the ids of an instance number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// First millisecond, Unix time.
    pub from: UnixMillis,
    /// The millisecond behind the last one.
    pub until: UnixMillis,
}

/// What the clock is worth for ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockState {
    /// Ids carry the clock's time.
    Followed,
    /// The clock is behind the newest id: ids go on from that id.
    Behind,
    /// The clock is too far ahead of the floor, or was never set: ids go on from the floor.
    Implausible,
}

impl LeaseRules {
    /// The same rules with another bound for a clock that is ahead, in days.
    pub const fn max_jump_days(self, days: u64) -> Self {
        Self {
            max_jump_ms: days.saturating_mul(24 * 3_600_000),
            ..self
        }
    }

    /// The first lease of a process, to be stored before it is [granted](Snowflake::grant).
    ///
    /// `floor` is the stored end of all earlier leases; without one the clock is all there is.
    /// `None` when there is neither: no id was ever made, and the clock was never set.
    pub fn first(&self, floor: Option<UnixMillis>, now: UnixMillis) -> Option<Lease> {
        let from = match floor {
            Some(floor) => floor,
            None if (EARLIEST..LATEST).contains(&now) => now,
            None => return None,
        };
        let until = match self.judge(from, from, now) {
            ClockState::Followed => now.saturating_add(self.step_ms),
            _ => from.saturating_add(self.room_ms),
        };
        Some(Lease { from, until })
    }

    /// Judges a clock by the newest id and the end of the lease.
    fn judge(&self, newest: UnixMillis, until: UnixMillis, now: UnixMillis) -> ClockState {
        if now < newest {
            ClockState::Behind
        } else if now > until.saturating_add(self.max_jump_ms) {
            ClockState::Implausible
        } else {
            ClockState::Followed
        }
    }
}

/// Makes ids for one instance.
///
/// ```
/// use gochat_core::snowflake::{Lease, Parts, Snowflake};
/// let mut ids = Snowflake::new(7).unwrap();
/// let now = 1_700_000_000_000;
/// assert!(ids.next(now).is_err(), "no time is leased yet");
/// ids.grant(Lease { from: now, until: now + 1_000 });
/// let (a, b) = (ids.next(now).unwrap(), ids.next(now).unwrap());
/// assert!(a < b);
/// assert_eq!(Parts::of(b), Parts { at: now, instance: 7, sequence: 1 });
/// ```
#[derive(Debug, Clone)]
pub struct Snowflake {
    instance: u16,
    /// Milliseconds since [`EPOCH`] of the last id.
    last: u64,
    /// Ids made in that millisecond; [`SEQUENCES`] means it is used up.
    used: u16,
    /// End of the lease, in milliseconds since [`EPOCH`].
    until: u64,
}

impl Snowflake {
    /// A generator for this instance, without a lease; `None` when the number has more than 10
    /// bits.
    pub const fn new(instance: u16) -> Option<Self> {
        if instance < INSTANCES {
            Some(Self {
                instance,
                last: 0,
                used: 0,
                until: 0,
            })
        } else {
            None
        }
    }

    /// Adds leased time. A lease that begins behind the end of the last one (another process made
    /// ids in between) moves the generator there; time never moves back.
    pub fn grant(&mut self, lease: Lease) {
        let from = lease.from.saturating_sub(EPOCH);
        if from > self.until && from > self.last {
            (self.last, self.used) = (from, 0);
        }
        let until = lease.until.saturating_sub(EPOCH).min(TIME_LIMIT);
        self.until = self.until.max(until);
    }

    /// Ends the lease; returns the first millisecond that was not used, if any id could be made.
    pub fn end(&mut self) -> Option<UnixMillis> {
        let unused = (self.until > 0).then(|| (self.last + 1).min(self.until) + EPOCH);
        self.until = 0;
        unused
    }

    /// Whether any time is leased.
    pub const fn has_lease(&self) -> bool {
        self.until > 0
    }

    /// The earliest time of the next id.
    pub const fn newest(&self) -> UnixMillis {
        self.last + EPOCH
    }

    /// The end of the lease.
    pub const fn until(&self) -> UnixMillis {
        self.until + EPOCH
    }

    /// What the clock is worth now.
    pub fn clock(&self, rules: &LeaseRules, now: UnixMillis) -> ClockState {
        rules.judge(self.last + EPOCH, self.until + EPOCH, now)
    }

    /// The end of the lease to be stored next, when the present one has to be renewed.
    pub fn due(&self, rules: &LeaseRules, now: UnixMillis) -> Option<UnixMillis> {
        let (newest, until) = (self.last + EPOCH, self.until + EPOCH);
        let (half, next) = match self.clock(rules, now) {
            ClockState::Followed => (now + rules.step_ms / 2, now + rules.step_ms),
            _ => (newest + rules.room_ms / 2, newest + rules.room_ms),
        };
        (half >= until && next > until).then_some(next)
    }

    /// How far ids are ahead of the clock in milliseconds; negative while an implausible clock is
    /// not followed.
    pub fn drift_ms(&self, rules: &LeaseRules, now: UnixMillis) -> i64 {
        let newest = self.last + EPOCH;
        let bound = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        match self.clock(rules, now) {
            ClockState::Followed => 0,
            ClockState::Behind => bound(newest - now),
            ClockState::Implausible => -bound(now - newest),
        }
    }

    /// The next id. Fits a signed 64-bit column.
    ///
    /// # Errors
    /// See [`SnowflakeError`]; the generator stays usable.
    pub fn next(&mut self, now: UnixMillis) -> Result<u64, SnowflakeError> {
        let now = now.saturating_sub(EPOCH);
        // A clock outside the lease is not followed: the rest of the lease is used up first.
        if now > self.last && now < self.until {
            (self.last, self.used) = (now, 0);
        }
        if self.used == SEQUENCES && self.last < self.until {
            (self.last, self.used) = (self.last + 1, 0);
        }
        if self.last >= self.until {
            return Err(match self.until {
                TIME_LIMIT => SnowflakeError::OutOfRange,
                _ => SnowflakeError::NoLease,
            });
        }
        let sequence = self.used;
        self.used += 1;
        let time = self.last << (INSTANCE_BITS + SEQUENCE_BITS);
        Ok(time | u64::from(self.instance) << SEQUENCE_BITS | u64::from(sequence))
    }
}

/// What an id is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// When it was made.
    pub at: UnixMillis,
    /// By whom.
    pub instance: u16,
    /// Which of that millisecond.
    pub sequence: u16,
}

impl Parts {
    /// Takes an id apart. Every number is somebody's id, so this never fails.
    pub const fn of(id: u64) -> Self {
        Self {
            at: (id >> (INSTANCE_BITS + SEQUENCE_BITS)) + EPOCH,
            instance: ((id >> SEQUENCE_BITS) & (INSTANCES as u64 - 1)) as u16,
            sequence: (id & (SEQUENCES as u64 - 1)) as u16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: UnixMillis = 1_720_000_000_000;
    const RULES: LeaseRules = LeaseRules {
        step_ms: 20_000,
        room_ms: 1_000,
        max_jump_ms: 180 * DAY,
    };
    const DAY: u64 = 24 * 3_600_000;

    /// A generator that begins at `floor`.
    fn started(floor: Option<UnixMillis>, now: UnixMillis) -> Snowflake {
        let mut ids = Snowflake::new(1).unwrap();
        ids.grant(RULES.first(floor, now).unwrap());
        ids
    }

    #[test]
    fn a_clock_that_goes_back_stops_no_ids() {
        let mut ids = started(None, NOW);
        let mut last = ids.next(NOW).unwrap();
        for _ in 0..10_000 {
            let id = ids.next(NOW - 3 * DAY).unwrap();
            assert!(id > last);
            last = id;
        }
        assert_eq!(ids.clock(&RULES, NOW - DAY), ClockState::Behind);
        assert_eq!(Parts::of(last).at, NOW + 2, "4096 ids a millisecond");
        assert!(ids.drift_ms(&RULES, NOW - DAY) > i64::try_from(DAY).unwrap());
        assert_eq!(
            Parts::of(ids.next(NOW + 9).unwrap()).at,
            NOW + 9,
            "caught up"
        );
        assert_eq!(ids.drift_ms(&RULES, NOW + 9), 0);
    }

    #[test]
    fn no_id_is_made_beyond_the_lease() {
        let mut ids = Snowflake::new(1).unwrap();
        assert_eq!(ids.next(NOW), Err(SnowflakeError::NoLease));
        let until = NOW + 2;
        ids.grant(Lease { from: NOW, until });
        let made: Vec<u64> = std::iter::from_fn(|| ids.next(NOW).ok()).collect();
        assert_eq!(made.len(), 2 * usize::from(SEQUENCES));
        assert!(made.is_sorted_by(|a, b| a < b));
        assert_eq!(ids.next(NOW + 50), Err(SnowflakeError::NoLease));
        ids.grant(Lease {
            from: until,
            until: until + 100,
        });
        assert_eq!(Parts::of(ids.next(NOW + 50).unwrap()).at, NOW + 50);
        assert_eq!(ids.end(), Some(NOW + 51), "the rest can be leased again");
        assert_eq!(ids.next(NOW + 50), Err(SnowflakeError::NoLease));
    }

    #[test]
    fn a_clock_far_ahead_is_not_followed_and_spoils_nothing() {
        let year = 365 * DAY;
        let mut ids = started(Some(NOW), NOW + year);
        assert_eq!(ids.clock(&RULES, NOW + year), ClockState::Implausible);
        assert!(Parts::of(ids.next(NOW + year).unwrap()).at < NOW + RULES.room_ms);
        assert!(ids.drift_ms(&RULES, NOW + year) < 0);
        // Set right again: ids carry the clock's time.
        let until = ids.due(&RULES, NOW + 5_000).unwrap();
        ids.grant(Lease { from: NOW, until });
        assert_eq!(Parts::of(ids.next(NOW + 5_000).unwrap()).at, NOW + 5_000);
        // A machine that was off for a month is believed.
        let mut ids = started(Some(NOW), NOW + 30 * DAY);
        assert_eq!(
            Parts::of(ids.next(NOW + 30 * DAY).unwrap()).at,
            NOW + 30 * DAY
        );
    }

    #[test]
    fn the_first_start_of_all_needs_a_clock_that_was_set() {
        assert_eq!(RULES.first(None, 0), None);
        assert_eq!(RULES.first(None, u64::MAX), None);
        assert!(RULES.first(Some(NOW), 0).is_some(), "later ones go on");
        assert!(Snowflake::new(INSTANCES).is_none());
    }

    #[test]
    fn the_end_of_the_layout_is_an_error_and_no_repeat() {
        let end = EPOCH + TIME_LIMIT;
        let mut ids = Snowflake::new(1).unwrap();
        ids.grant(Lease {
            from: end - 1,
            until: end + 500,
        });
        let made = std::iter::from_fn(|| ids.next(NOW).ok()).last().unwrap();
        assert!(i64::try_from(made).is_ok());
        assert_eq!(ids.next(end + 3), Err(SnowflakeError::OutOfRange));
    }

    /// What happens to a process that makes ids.
    #[derive(Debug, Clone)]
    enum Event {
        /// The clock moves by this many milliseconds.
        Step(i64),
        /// So many ids are wanted.
        Make(u16),
        /// The process is killed and starts again from what is stored.
        Restart,
        /// The process ends in order: the rest of its lease is given back.
        Stop,
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            3 => (-10_000i64..30_000).prop_map(Event::Step),
            1 => (-400_000_000_000i64..400_000_000_000).prop_map(Event::Step),
            4 => (0u16..6_000).prop_map(Event::Make),
            2 => Just(Event::Restart),
            1 => Just(Event::Stop),
        ]
    }

    proptest! {
        #[test]
        fn ids_strictly_increase_over_all_lives_whatever_the_clock_does(
            instance in 0..INSTANCES,
            events in prop::collection::vec(event(), 1..60),
        ) {
            let (mut now, mut stored, mut newest) = (NOW, None, 0);
            let life = |stored: &mut Option<UnixMillis>, now| {
                let mut ids = Snowflake::new(instance).unwrap();
                let lease = RULES.first(*stored, now);
                if let Some(lease) = lease {
                    *stored = Some(lease.until);
                    ids.grant(lease);
                }
                ids
            };
            let mut ids = life(&mut stored, now);
            for event in events {
                match event {
                    Event::Step(by) => now = now.saturating_add_signed(by),
                    Event::Restart => ids = life(&mut stored, now),
                    Event::Stop => {
                        stored = ids.end().or(stored);
                        ids = life(&mut stored, now);
                    }
                    Event::Make(count) => for _ in 0..count {
                        if let Some(until) = ids.due(&RULES, now) {
                            let from = stored.unwrap_or(now);
                            stored = Some(until);
                            ids.grant(Lease { from, until });
                        }
                        let id = ids.next(now).expect("ids can always be made");
                        prop_assert!(id > newest && id <= i64::MAX as u64);
                        let parts = Parts::of(id);
                        prop_assert_eq!(parts.instance, instance);
                        prop_assert!(parts.at < stored.unwrap(), "within what is stored");
                        newest = id;
                    },
                }
            }
        }
    }
}
