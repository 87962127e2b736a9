//! Read pointers and unread arithmetic.
//!
//! A [`ReadPointer`] is a join-semilattice: [`ReadPointer::join`] takes the larger of two
//! pointers, so it is commutative, associative and idempotent. Reports of reading may
//! arrive twice, late or in any order, from several devices; the outcome is the same and a
//! pointer never moves back.

use crate::ids::SeqId;

/// How far a user has read in one conversation; zero means nothing yet.
///
/// ```
/// use gochat_core::read::ReadPointer;
/// let phone = ReadPointer::at(7);
/// let laptop = ReadPointer::at(4);
/// assert_eq!(phone.join(laptop), ReadPointer::at(7));
/// assert_eq!(phone.unread(10), 3);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ReadPointer(SeqId);

/// What a report of reading did to the pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advance {
    /// Where the pointer stood.
    pub before: ReadPointer,
    /// Where it stands now.
    pub after: ReadPointer,
    /// Messages still unread.
    pub unread: u64,
}

impl Advance {
    /// Whether the report said anything new; only then others are told.
    pub fn moved(self) -> bool {
        self.after > self.before
    }
}

impl ReadPointer {
    /// Nothing read.
    pub const START: Self = Self(0);

    /// A pointer at this sequence number.
    pub const fn at(seq: SeqId) -> Self {
        Self(seq)
    }

    /// The pointer of somebody who joins now: what was said before counts as read.
    pub const fn joining(head: SeqId) -> Self {
        Self(head)
    }

    /// The sequence number of the newest message read.
    pub const fn seq(self) -> SeqId {
        self.0
    }

    /// The least upper bound of two pointers.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        self.max(other)
    }

    /// Messages beyond the pointer. Zero when the caller's `head` is older than the pointer.
    pub const fn unread(self, head: SeqId) -> u64 {
        head.saturating_sub(self.0)
    }

    /// Applies a report "read up to `reported`" in a conversation whose newest message is
    /// `head`. Zero means "everything". The pointer never passes the head by a report.
    pub fn advance(self, reported: SeqId, head: SeqId) -> Advance {
        let wanted = if reported == 0 {
            head
        } else {
            reported.min(head)
        };
        let after = self.join(Self(wanted));
        Advance {
            before: self,
            after,
            unread: after.unread(head),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pointer() -> impl Strategy<Value = ReadPointer> {
        (0u64..1_000).prop_map(ReadPointer::at)
    }

    proptest! {
        #[test]
        fn joining_is_commutative_associative_and_idempotent(a in pointer(), b in pointer(), c in pointer()) {
            prop_assert_eq!(a.join(b), b.join(a));
            prop_assert_eq!(a.join(b).join(c), a.join(b.join(c)));
            prop_assert_eq!(a.join(a), a);
            prop_assert_eq!(a.join(ReadPointer::START), a);
        }

        #[test]
        fn joining_is_monotone(a in pointer(), b in pointer(), c in pointer()) {
            prop_assert!(a.join(b) >= a);
            if a <= b {
                prop_assert!(a.join(c) <= b.join(c));
            }
        }

        #[test]
        fn the_order_of_reports_does_not_matter(mut reports in prop::collection::vec(1u64..200, 0..12), head in 0u64..150) {
            let apply = |reports: &[u64]| {
                reports.iter().fold(ReadPointer::START, |p, r| p.advance(*r, head).after)
            };
            let forward = apply(&reports);
            reports.reverse();
            prop_assert_eq!(apply(&reports), forward);
            reports.sort_unstable();
            prop_assert_eq!(apply(&reports), forward);
        }

        #[test]
        fn a_report_never_moves_back_nor_past_the_head(start in 0u64..100, reported in 0u64..300, more in 0u64..100) {
            let head = start + more;
            let step = ReadPointer::at(start).advance(reported, head);
            prop_assert!(step.after >= step.before);
            prop_assert!(step.after.seq() <= head);
            prop_assert_eq!(step.unread, head - step.after.seq());
            prop_assert_eq!(step.moved(), step.after != step.before);
        }
    }

    #[test]
    fn zero_reads_everything() {
        assert_eq!(ReadPointer::at(3).advance(0, 9).after, ReadPointer::at(9));
    }

    #[test]
    fn who_joins_has_nothing_unread() {
        assert_eq!(ReadPointer::joining(41).unread(41), 0);
        assert_eq!(ReadPointer::joining(41).unread(42), 1);
    }

    #[test]
    fn unread_is_never_negative() {
        assert_eq!(ReadPointer::at(5).unread(3), 0);
    }
}
