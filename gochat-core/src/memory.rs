//! How one memory budget is divided between the parts of a process that keep things for speed.
//!
//! Half of the budget goes to these parts. The other half is for what is bounded by counts and
//! queues of its own: code, connections, requests under way, and the room an allocator needs.
//!
//! ```
//! use gochat_core::memory::Shares;
//! let shares = Shares::of(1 << 30).unwrap();
//! assert_eq!(shares.windows, 192 << 20);
//! assert!(Shares::of(1 << 20).is_err());
//! ```

use crate::error::{Error, ErrorCode, Result};

/// Smallest budget in bytes; with less, caches are too small to be of use.
pub const MIN_BUDGET: u64 = 64 << 20;

/// Maximum number of bytes of each part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// Conversations that their owner holds, with the windows of client ids.
    pub windows: u64,
    /// Records of the log that a consumer has not committed yet.
    pub log: u64,
    /// Cached rows.
    pub rows: u64,
    /// Pages of the database, over all its connections.
    pub database: u64,
}

impl Shares {
    /// Divides a budget.
    ///
    /// # Errors
    /// `INVALID_PARAMS` for a budget below [`MIN_BUDGET`].
    pub fn of(budget: u64) -> Result<Self> {
        if budget < MIN_BUDGET {
            let text = format!("A memory budget has at least {MIN_BUDGET} bytes (64 MiB).");
            return Err(Error::new(ErrorCode::InvalidParams, text));
        }
        let part = budget / 32;
        Ok(Self {
            windows: 6 * part,
            log: 4 * part,
            rows: 4 * part,
            database: 2 * part,
        })
    }

    /// Sum of all parts.
    pub fn total(&self) -> u64 {
        self.windows + self.log + self.rows + self.database
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn too_little_is_refused_with_the_smallest_that_is_not() {
        let error = Shares::of(MIN_BUDGET - 1).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidParams);
        assert!(error.message.contains("67108864"), "{}", error.message);
        assert!(Shares::of(MIN_BUDGET).is_ok());
    }

    proptest! {
        #[test]
        fn parts_have_half_of_the_budget_and_never_shrink_as_it_grows(
            budget in MIN_BUDGET..u64::MAX / 2, more in 0..u64::MAX / 2,
        ) {
            let (shares, larger) = (Shares::of(budget).unwrap(), Shares::of(budget + more).unwrap());
            prop_assert!(shares.total() <= budget / 2 && shares.total() > budget / 2 - 32);
            for (part, of_more) in [
                (shares.windows, larger.windows),
                (shares.log, larger.log),
                (shares.rows, larger.rows),
                (shares.database, larger.database),
            ] {
                prop_assert!(part >= 4 << 20 && part <= of_more);
            }
        }
    }
}
