//! Pages of history, and of what changed in it, held against what their reader was told of.

use crate::ids::{Rev, SeqId};

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

/// A page of the messages that are new or changed behind a number, each as it is now, by ascending
/// number of its last change; all of one snapshot of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatchUp {
    /// The reader has everything up to and with this number.
    pub after: Rev,
    /// Number of the last message on the page; `None` for an empty page.
    pub last: Option<Rev>,
    /// More follows the last message.
    pub has_more: bool,
    /// Newest number of the store.
    pub head: Rev,
}

impl CatchUp {
    /// The number up to which the reader has everything with this page. A message that changes
    /// between two pages gets a greater number, so it is met again behind this one.
    ///
    /// ```
    /// use gochat_core::history::CatchUp;
    /// let page = CatchUp { after: 3, last: Some(8), has_more: true, head: 20 };
    /// assert_eq!(page.complete_to(), 8);
    /// // The numbers behind the last message belong to older changes of messages on the page.
    /// assert_eq!(CatchUp { has_more: false, ..page }.complete_to(), 20);
    /// // A store that is behind its reader takes nothing back.
    /// assert_eq!(CatchUp { after: 30, last: None, has_more: false, head: 20 }.complete_to(), 30);
    /// ```
    pub fn complete_to(self) -> Rev {
        match self.last {
            Some(last) if self.has_more => last,
            last => self.head.max(last.unwrap_or(0)).max(self.after),
        }
    }

    /// Whether the page lacks something although its reader knows the conversation to reach
    /// `at_least`.
    pub fn lacks(self, at_least: Rev) -> bool {
        !self.has_more && self.head < at_least && self.after < at_least
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

    /// A conversation: the number of the last change of each message, and the newest number.
    #[derive(Default)]
    struct Store {
        states: Vec<Rev>,
        head: Rev,
    }

    impl Store {
        /// A new message, or a change of the one that `dice` names.
        fn write(&mut self, dice: usize) {
            self.head += 1;
            let at = dice % (self.states.len() + 1);
            match self.states.get_mut(at) {
                Some(state) => *state = self.head,
                None => self.states.push(self.head),
            }
        }

        /// (number, message) of what changed behind `after`.
        fn page(&self, after: Rev, limit: usize) -> (Vec<(Rev, usize)>, CatchUp) {
            let numbered = self.states.iter().copied().zip(0..);
            let mut found: Vec<_> = numbered.filter(|(rev, _)| *rev > after).collect();
            found.sort_unstable();
            let has_more = found.len() > limit;
            found.truncate(limit);
            let catch_up = CatchUp {
                after,
                last: found.last().map(|(rev, _)| *rev),
                has_more,
                head: self.head,
            };
            (found, catch_up)
        }
    }

    proptest! {
        /// A reader who pages while messages come and change has the newest state of every message
        /// at the end, and at any time the newest one of what was complete when it was read.
        #[test]
        fn a_reader_that_pages_ends_with_the_newest_state_of_every_message(
            before in prop::collection::vec(0usize..50, 0..40),
            during in prop::collection::vec(prop::collection::vec(0usize..50, 0..5), 0..20),
            limit in 1usize..8,
        ) {
            let mut store = Store::default();
            before.into_iter().for_each(|dice| store.write(dice));
            let mut held = std::collections::BTreeMap::new();
            let mut during = during.into_iter();
            let mut after = 0;
            loop {
                let (page, catch_up) = store.page(after, limit);
                held.extend(page.into_iter().map(|(rev, message)| (message, rev)));
                prop_assert!(catch_up.complete_to() >= after);
                prop_assert!(catch_up.complete_to() > after || !catch_up.has_more);
                after = catch_up.complete_to();
                for (message, state) in store.states.iter().enumerate() {
                    prop_assert!(*state > after || held.get(&message) == Some(state));
                }
                match during.next() {
                    Some(writes) => writes.into_iter().for_each(|dice| store.write(dice)),
                    None if !catch_up.has_more => break,
                    None => {}
                }
            }
            prop_assert_eq!(after, store.head);
            let held: Vec<Rev> = held.into_values().collect();
            prop_assert_eq!(held, store.states);
        }

        /// A page is found out to be behind when one of its store as the reader knows it would
        /// reach further.
        #[test]
        fn a_store_that_is_behind_its_reader_is_found_out(
            writes in prop::collection::vec(0usize..50, 1..60),
            stored in 0usize..60, after in 0u64..60, limit in 1usize..8,
        ) {
            let (mut behind, mut whole) = (Store::default(), Store::default());
            writes.iter().for_each(|dice| whole.write(*dice));
            writes.iter().take(stored).for_each(|dice| behind.write(*dice));
            let page = behind.page(after, limit).1;
            prop_assert!(!whole.page(after, limit).1.lacks(whole.head));
            if page.complete_to() < whole.head {
                prop_assert_eq!(page.lacks(whole.head), !page.has_more);
            }
        }

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
