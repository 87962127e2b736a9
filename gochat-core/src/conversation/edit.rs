//! Versions of what people edit: an edit that was made on an older state is refused.

use crate::error::{ErrorCode, Result};
use crate::ids::UnixMillis;

/// How far the stamp of an edit may run ahead of the clock, in milliseconds. Beyond it, edits of
/// one second share a stamp, and only the version tells them apart.
const AHEAD_MAX_MS: UnixMillis = 60_000;

/// Where the edits of a conversation or a profile stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revision {
    /// Number of edits so far.
    pub version: u64,
    /// Time of the last edit; new messages don't count.
    pub changed_at: UnixMillis,
}

/// The state that an edit was made on, as far as the client says. Both absent = whatever is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// The version the client saw.
    pub version: Option<u64>,
    /// The time of the last edit the client saw; a client that knows seconds means the last
    /// millisecond of that second.
    pub changed_at: Option<UnixMillis>,
}

/// Judges an edit against the state that it meets, and returns the revision it makes.
///
/// The stamps of two edits lie in different seconds, also when both are made within one: clients
/// that know only seconds tell the two apart.
///
/// ```
/// use gochat_core::conversation::{Revision, Seen, decide_edit};
/// let current = Revision { version: 4, changed_at: 1_000 };
/// let seen = Seen { version: Some(4), ..Seen::default() };
/// let next = decide_edit(current, seen, 1_200)?;
/// assert_eq!((next.version, next.changed_at), (5, 2_000));
/// assert!(decide_edit(next, seen, 1_300).is_err());
/// # Ok::<(), gochat_core::error::Error>(())
/// ```
///
/// # Errors
/// `VERSION_CONFLICT` when something was edited after the seen state.
pub fn decide_edit(current: Revision, seen: Seen, now: UnixMillis) -> Result<Revision> {
    let is_other = seen
        .version
        .is_some_and(|version| version != current.version);
    let is_older = seen.changed_at.is_some_and(|at| at < current.changed_at);
    if is_other || is_older {
        return Err(ErrorCode::VersionConflict.into());
    }
    let next_second = (current.changed_at / 1_000 + 1) * 1_000;
    let changed_at = if now >= next_second || next_second > now + AHEAD_MAX_MS {
        now.max(current.changed_at)
    } else {
        next_second
    };
    Ok(Revision {
        version: current.version + 1,
        changed_at,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Revision = Revision {
        version: 0,
        changed_at: 100_000,
    };

    fn seconds(at: UnixMillis) -> Seen {
        Seen {
            changed_at: Some(at / 1_000 * 1_000 + 999),
            ..Seen::default()
        }
    }

    #[test]
    fn the_second_edit_of_one_state_conflicts_within_one_second_too() {
        let seen = seconds(START.changed_at);
        let first = decide_edit(START, seen, 100_010).unwrap();
        let second = decide_edit(first, seen, 100_020).unwrap_err();
        assert_eq!(second.code, ErrorCode::VersionConflict);
        assert!(decide_edit(first, seconds(first.changed_at), 100_030).is_ok());
    }

    #[test]
    fn an_edit_without_a_seen_state_overwrites() {
        assert!(decide_edit(START, Seen::default(), 5).is_ok());
    }

    #[test]
    fn stamps_run_ahead_of_the_clock_within_a_bound() {
        let mut revision = START;
        for _ in 0..1_000 {
            revision = decide_edit(revision, Seen::default(), 100_000).unwrap();
        }
        assert_eq!(revision.version, 1_000);
        assert!(revision.changed_at <= 100_000 + AHEAD_MAX_MS);
    }

    proptest! {
        #[test]
        fn of_two_edits_of_one_version_one_is_refused(
            version in 0_u64..9, changed_at in 0_u64..5_000, now in 0_u64..9_000
        ) {
            let current = Revision { version, changed_at };
            let seen = Seen { version: Some(version), changed_at: None };
            let next = decide_edit(current, seen, now).unwrap();
            prop_assert!(next.changed_at >= changed_at);
            prop_assert!(decide_edit(next, seen, now).is_err());
        }
    }
}
