//! Pages of history held against what their reader was told of.

use crate::ids::SeqId;

/// A question for a stretch of a conversation; both bounds are inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// Lowest sequence number asked for.
    pub from: SeqId,
    /// Highest sequence number asked for.
    pub to: SeqId,
    /// The lowest numbers come first, so a full page ends at its highest number.
    pub ascending: bool,
}

/// What a page of history holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Highest sequence number on the page; `None` for an empty page.
    pub newest: Option<SeqId>,
    /// The page is full and the stretch goes on behind it.
    pub has_more: bool,
}

impl Stretch {
    /// The number that a page lacks although its reader knows the conversation to reach
    /// `at_least`. `None` for a page that holds everything its reader can expect on it.
    ///
    /// ```
    /// use gochat_core::history::{Held, Stretch};
    /// let newest_first = Stretch { from: 1, to: u64::MAX, ascending: false };
    /// let page = Held { newest: Some(41), has_more: true };
    /// assert_eq!(newest_first.lacks(42, page), Some(42));
    /// assert_eq!(newest_first.lacks(41, page), None);
    /// // A page of older messages owes nothing to the newest one.
    /// let older = Stretch { to: 30, ..newest_first };
    /// assert_eq!(older.lacks(42, Held { newest: Some(30), has_more: true }), None);
    /// ```
    pub fn lacks(self, at_least: SeqId, page: Held) -> Option<SeqId> {
        let owed = at_least.min(self.to);
        let is_owed = owed > 0 && owed >= self.from;
        let goes_on = self.ascending && page.has_more;
        let has_it = page.newest.is_some_and(|newest| newest >= owed);
        (is_owed && !goes_on && !has_it).then_some(owed)
    }
}

/// The stretch of at most `limit` numbers around `seq`, about half of them before it; the two
/// bounds are inclusive. What one half lacks because the conversation begins at `first` or ends
/// at `head` comes from the other side. A `seq` outside stands for the nearest number inside.
/// `None` when there is nothing between `first` and `head`.
///
/// ```
/// use gochat_core::history::around;
/// assert_eq!(around(50, 5, 1, 100), Some((48, 52)));
/// assert_eq!(around(2, 5, 1, 100), Some((1, 5)));
/// assert_eq!(around(100, 5, 1, 100), Some((96, 100)));
/// assert_eq!(around(7, 5, 1, 0), None);
/// ```
pub fn around(seq: SeqId, limit: u32, first: SeqId, head: SeqId) -> Option<(SeqId, SeqId)> {
    let first = first.max(1);
    if first > head || limit == 0 {
        return None;
    }
    let seq = seq.clamp(first, head);
    let others = u64::from(limit) - 1;
    let before = seq - first;
    let after = head - seq;
    // The half before, or more where there are too few numbers after.
    let taken = before.min((others / 2).max(others.saturating_sub(after)));
    let from = seq - taken;
    let to = seq + after.min(others - taken);
    Some((from, to))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A page as a store with all numbers up to `head` gives it.
    fn page(stretch: Stretch, head: SeqId, limit: u64) -> Held {
        let (low, high) = (stretch.from.max(1), stretch.to.min(head));
        if low > high {
            return Held {
                newest: None,
                has_more: false,
            };
        }
        let has_more = high - low + 1 > limit;
        let newest = if stretch.ascending && has_more {
            low + limit - 1
        } else {
            high
        };
        Held {
            newest: Some(newest),
            has_more,
        }
    }

    proptest! {
        #[test]
        fn a_page_around_a_number_is_as_long_as_it_can_be_and_holds_it(
            seq in 0u64..80, limit in 1u32..12, first in 0u64..60, head in 0u64..60,
        ) {
            let lowest = first.max(1);
            let Some((from, to)) = around(seq, limit, first, head) else {
                prop_assert!(lowest > head);
                return Ok(());
            };
            prop_assert!(lowest <= from && from <= to && to <= head);
            let wanted = u64::from(limit).min(head - lowest + 1);
            prop_assert_eq!(to - from + 1, wanted);
            prop_assert!((from..=to).contains(&seq.clamp(lowest, head)));
        }

        #[test]
        fn far_from_the_ends_both_halves_are_alike(
            seq in 1_000u64..2_000, limit in 1u32..100,
        ) {
            let (from, to) = around(seq, limit, 1, 10_000).unwrap();
            prop_assert!((to - seq) - (seq - from) <= 1);
        }

        #[test]
        fn a_store_that_reaches_the_number_lacks_nothing(
            from in 0u64..60, to in 0u64..60, head in 0u64..60, known in 0u64..60,
            limit in 1u64..10, ascending: bool,
        ) {
            prop_assume!(known <= head);
            let stretch = Stretch { from, to, ascending };
            prop_assert_eq!(stretch.lacks(known, page(stretch, head, limit)), None);
        }

        #[test]
        fn a_store_that_is_behind_is_found_out_when_the_page_would_differ(
            from in 0u64..60, to in 0u64..60, head in 0u64..60, known in 0u64..60,
            limit in 1u64..10, ascending: bool,
        ) {
            prop_assume!(known > head);
            let stretch = Stretch { from, to, ascending };
            let (stale, fresh) = (page(stretch, head, limit), page(stretch, known, limit));
            if stale.newest != fresh.newest {
                prop_assert_eq!(stretch.lacks(known, stale), Some(known.min(to)));
            }
        }
    }
}
