//! Snowflake ids: 41 bits of milliseconds, 10 bits of instance, 12 bits of sequence.
//!
//! The caller passes the time in. Ids of one instance strictly increase, ids of different
//! instances never meet; that the instance number is held by one process at a time is the
//! business of whoever hands the numbers out.

use crate::ids::UnixMillis;

/// Unix milliseconds that the time bits count from.
pub const EPOCH: UnixMillis = 1_288_834_974_657;

/// How far, in milliseconds, the generator may be ahead of the clock: because the clock went
/// back, or because more than 4096 ids were wanted in one millisecond.
pub const MAX_AHEAD_MS: u64 = 5;

/// Instance numbers are below this.
pub const INSTANCES: u16 = 1 << INSTANCE_BITS;

const INSTANCE_BITS: u32 = 10;
const SEQUENCE_BITS: u32 = 12;
const SEQUENCES: u16 = 1 << SEQUENCE_BITS;
const TIME_LIMIT: u64 = 1 << 41;

/// Why no id can be made now. Trying again a little later helps, except for [`Self::OutOfRange`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SnowflakeError {
    /// The clock is further behind the last id than [`MAX_AHEAD_MS`].
    #[error("the clock is {behind_ms} ms behind the last id")]
    ClockBehind {
        /// Distance in milliseconds.
        behind_ms: u64,
    },
    /// More ids were wanted in this moment than the layout holds.
    #[error("all ids of this millisecond are used")]
    Exhausted,
    /// The time is before [`EPOCH`] or needs more than 41 bits.
    #[error("the time can't be expressed in an id")]
    OutOfRange,
}

/// Makes ids for one instance.
///
/// ```
/// use gochat_core::snowflake::{Parts, Snowflake};
/// let mut ids = Snowflake::new(7).unwrap();
/// let now = 1_700_000_000_000;
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
}

impl Snowflake {
    /// A generator for this instance; `None` when the number has more than 10 bits.
    pub const fn new(instance: u16) -> Option<Self> {
        if instance < INSTANCES {
            Some(Self {
                instance,
                last: 0,
                used: 0,
            })
        } else {
            None
        }
    }

    /// The next id. Fits a signed 64-bit column.
    ///
    /// # Errors
    /// See [`SnowflakeError`]; the generator stays usable.
    pub fn next(&mut self, now: UnixMillis) -> Result<u64, SnowflakeError> {
        let since = now
            .checked_sub(EPOCH)
            .filter(|since| *since < TIME_LIMIT - MAX_AHEAD_MS);
        let now = since.ok_or(SnowflakeError::OutOfRange)?;
        if now > self.last {
            (self.last, self.used) = (now, 0);
        }
        let behind = self.last - now;
        if behind > MAX_AHEAD_MS {
            return Err(SnowflakeError::ClockBehind { behind_ms: behind });
        }
        if self.used == SEQUENCES {
            if behind == MAX_AHEAD_MS {
                return Err(SnowflakeError::Exhausted);
            }
            (self.last, self.used) = (self.last + 1, 0);
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

    const NOW: UnixMillis = 1_700_000_000_000;

    #[test]
    fn a_clock_that_goes_back_a_little_is_waited_out() {
        let mut ids = Snowflake::new(1).unwrap();
        let first = ids.next(NOW).unwrap();
        let second = ids.next(NOW - 5).unwrap();
        assert!(second > first);
        assert_eq!(Parts::of(second).at, NOW);
        assert_eq!(
            ids.next(NOW - 6),
            Err(SnowflakeError::ClockBehind { behind_ms: 6 })
        );
        assert!(ids.next(NOW).is_ok(), "the generator survives an error");
    }

    #[test]
    fn a_full_millisecond_borrows_from_the_next_ones_up_to_the_limit() {
        let mut ids = Snowflake::new(1).unwrap();
        let room = usize::from(SEQUENCES) * (MAX_AHEAD_MS as usize + 1);
        let made: Vec<u64> = (0..room).map(|_| ids.next(NOW).unwrap()).collect();
        assert!(made.is_sorted_by(|a, b| a < b));
        assert_eq!(ids.next(NOW), Err(SnowflakeError::Exhausted));
        assert!(ids.next(NOW + 1).unwrap() > made[room - 1]);
    }

    #[test]
    fn times_outside_the_layout_are_refused() {
        let mut ids = Snowflake::new(1).unwrap();
        assert_eq!(ids.next(EPOCH - 1), Err(SnowflakeError::OutOfRange));
        assert_eq!(ids.next(u64::MAX), Err(SnowflakeError::OutOfRange));
        assert!(
            ids.next(NOW).is_ok(),
            "a wild clock doesn't spoil the generator"
        );
        assert!(Snowflake::new(INSTANCES).is_none());
    }

    proptest! {
        #[test]
        fn ids_increase_and_name_their_instance(
            instance in 0..INSTANCES,
            steps in prop::collection::vec(-8i64..8, 1..300),
        ) {
            let mut ids = Snowflake::new(instance).unwrap();
            let (mut now, mut last) = (NOW, 0);
            for step in steps {
                now = now.saturating_add_signed(step);
                if let Ok(id) = ids.next(now) {
                    prop_assert!(id > last && id <= i64::MAX as u64);
                    prop_assert_eq!(Parts::of(id).instance, instance);
                    prop_assert!(Parts::of(id).at <= now + MAX_AHEAD_MS);
                    last = id;
                }
            }
        }
    }
}
