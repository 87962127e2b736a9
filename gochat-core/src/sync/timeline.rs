//! One conversation as a gapless sequence.

use std::collections::{BTreeMap, VecDeque};

use super::Millis;
use super::attempts::Attempts;
use crate::ids::SeqId;

/// Most messages kept aside while an earlier one is missing; what doesn't fit is fetched.
pub(super) const MAX_ASIDE: usize = 1024;
/// A request for history: `?after_seq=…`, ascending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetch {
    /// Messages after this number.
    pub after_seq: SeqId,
}

/// One conversation as a gapless sequence.
///
/// Pushes may be lost, doubled or out of order; history is fetched in ascending pages. The
/// timeline hands every message out once, in the order of sequence numbers. When a number is
/// missing it says what to fetch; when the fetch brings nothing although later numbers are
/// known, the row is still on its way to the database and the fetch is repeated with a back-off, which a push cuts
/// short: where messages come again, rows are written again, and what was pushed waits for what is missing.
///
/// A number that an ascending page *skips* was recalled: rows are written in order, so a later
/// row in the same answer proves that the earlier one was there.
///
/// `M` is whatever the caller keeps per message.
///
/// ```
/// use gochat_core::sync::{Fetch, Timeline};
/// let mut timeline = Timeline::new(0, 7);
/// timeline.handle_message(1, "one");
/// timeline.handle_message(3, "three");
/// assert_eq!(timeline.poll_message(), Some((1, "one")));
/// assert_eq!(timeline.poll_message(), None);
/// assert_eq!(timeline.poll_fetch(0), Some(Fetch { after_seq: 1 }));
/// timeline.handle_fetched(1, vec![(2, "two"), (3, "three")], 0);
/// assert_eq!(timeline.poll_message(), Some((2, "two")));
/// assert_eq!(timeline.poll_message(), Some((3, "three")));
/// ```
#[derive(Debug)]
pub struct Timeline<M> {
    /// Everything up to here was handed out or is in `ready`.
    complete: SeqId,
    /// The highest number heard of.
    known: SeqId,
    /// Beyond a gap. `None` marks a number that is known to be recalled.
    aside: BTreeMap<SeqId, Option<M>>,
    ready: VecDeque<(SeqId, M)>,
    attempts: Attempts,
}

impl<M> Timeline<M> {
    /// A timeline whose messages up to `complete` are already known to the caller.
    pub const fn new(complete: SeqId, seed: u64) -> Self {
        Self {
            complete,
            known: complete,
            aside: BTreeMap::new(),
            ready: VecDeque::new(),
            attempts: Attempts::new(seed),
        }
    }

    /// Everything up to this number has been handed out or waits in [`poll_message`](Self::poll_message).
    pub const fn complete_to(&self) -> SeqId {
        self.complete
    }

    /// The highest number heard of: a read must reach it.
    pub const fn known_to(&self) -> SeqId {
        self.known
    }

    /// Whether a number at or below the highest known one is missing.
    pub const fn has_gap(&self) -> bool {
        self.known > self.complete
    }

    /// Whether a gap could be fetched at once, or is being fetched: the first round of catching
    /// up isn't over. False once a fetch came back empty and its repetition waits.
    pub const fn is_catching_up(&self) -> bool {
        self.has_gap() && self.attempts.is_first_round()
    }

    /// A message arrived by push. Gives false for a repetition or a number that can't be.
    pub fn handle_message(&mut self, seq: SeqId, message: M) -> bool {
        self.insert(seq, Some(message))
    }

    /// A message was recalled before it arrived here: don't wait for it.
    pub fn handle_recalled(&mut self, seq: SeqId) {
        self.insert(seq, None);
    }

    /// The server said how far the conversation goes.
    pub fn handle_last_seq(&mut self, seq: SeqId) {
        if seq <= i64::MAX as u64 && seq > self.known {
            self.known = seq;
            // New knowledge: whatever kept an earlier fetch empty may be over.
            self.attempts.retry_soon();
        }
    }

    /// The user cleared the conversation up to and with this number: nothing from before is waited
    /// for, or told.
    ///
    /// ```
    /// use gochat_core::sync::Timeline;
    /// let mut timeline = Timeline::new(0, 7);
    /// timeline.handle_message(2, "two");
    /// timeline.handle_message(4, "four");
    /// timeline.handle_cleared(3);
    /// assert_eq!(timeline.poll_message(), Some((4, "four")));
    /// assert!(!timeline.has_gap());
    /// ```
    pub fn handle_cleared(&mut self, up_to: SeqId) {
        if up_to <= self.complete || up_to > i64::MAX as u64 {
            return;
        }
        self.aside.retain(|seq, _| *seq > up_to);
        self.advance(up_to, None);
        while let Some(message) = self.aside.remove(&(self.complete + 1)) {
            self.advance(self.complete + 1, message);
        }
    }

    /// A page arrived, ascending, asked for with `after_seq`.
    pub fn handle_fetched(&mut self, after_seq: SeqId, page: Vec<(SeqId, M)>, now: Millis) {
        let before = self.complete;
        let mut cursor = after_seq;
        for (seq, message) in page {
            if seq > i64::MAX as u64 || seq <= cursor {
                continue;
            }
            if cursor <= self.complete && seq > self.complete {
                // Whatever lies between cursor and seq doesn't exist any more.
                self.release_below(seq);
                self.insert_next(seq, Some(message));
            } else if let Some(aside) = self.aside.get_mut(&seq) {
                // What is read now is no older than what was pushed: it may have been changed since.
                *aside = Some(message);
            } else {
                self.insert(seq, Some(message));
            }
            cursor = seq;
        }
        if self.complete > before {
            self.attempts.handle_progress(now);
        } else {
            self.attempts.handle_nothing(now);
        }
    }

    /// A fetch failed; it will be repeated later.
    pub fn handle_fetch_failed(&mut self, now: Millis) {
        self.attempts.handle_failure(now);
    }

    /// The connection is new: what kept fetches from working may be over.
    pub const fn handle_connected(&mut self) {
        self.attempts.retry_soon();
    }

    /// The next message in order.
    pub fn poll_message(&mut self) -> Option<(SeqId, M)> {
        self.ready.pop_front()
    }

    /// What to fetch now, if anything. Answer it with [`handle_fetched`](Self::handle_fetched) or
    /// [`handle_fetch_failed`](Self::handle_fetch_failed); until then it isn't asked for again.
    pub fn poll_fetch(&mut self, now: Millis) -> Option<Fetch> {
        self.poll_timeout()?;
        let after_seq = self.complete;
        self.attempts.poll_start(now).then_some(Fetch { after_seq })
    }

    /// When [`poll_fetch`](Self::poll_fetch) will next have something.
    pub const fn poll_timeout(&self) -> Option<Millis> {
        match self.attempts.due() {
            Some(at) if self.has_gap() => Some(at),
            _ => None,
        }
    }

    /// Whether a fetch is under way.
    pub(super) const fn is_fetching(&self) -> bool {
        self.attempts.is_waiting()
    }

    /// What is kept aside under a number; the inner `None` stands for a recalled message.
    pub(super) fn aside_mut(&mut self, seq: SeqId) -> Option<&mut Option<M>> {
        self.aside.get_mut(&seq)
    }

    /// Number of messages kept aside.
    pub(super) fn aside_len(&self) -> usize {
        self.aside.len()
    }

    /// Whether a message would be kept: it is the next one, or there is room aside.
    pub(super) fn has_room_for(&self, seq: SeqId) -> bool {
        seq == self.complete + 1 || self.aside.len() < MAX_ASIDE
    }

    fn insert(&mut self, seq: SeqId, message: Option<M>) -> bool {
        if seq <= self.complete || seq > i64::MAX as u64 || self.aside.contains_key(&seq) {
            return false;
        }
        if seq == self.complete + 1 {
            self.insert_next(seq, message);
            return true;
        }
        self.known = self.known.max(seq);
        self.attempts.handle_news();
        if self.aside.len() < MAX_ASIDE {
            self.aside.insert(seq, message);
        }
        true
    }

    /// `seq` is the next one; it may free others that were kept aside.
    fn insert_next(&mut self, seq: SeqId, message: Option<M>) {
        self.aside.remove(&seq);
        self.advance(seq, message);
        while let Some(message) = self.aside.remove(&(self.complete + 1)) {
            self.advance(self.complete + 1, message);
        }
    }

    /// Hands out what is kept aside below `seq`; the numbers between don't exist any more.
    fn release_below(&mut self, seq: SeqId) {
        while let Some(entry) = self.aside.first_entry().filter(|e| *e.key() < seq) {
            let (at, message) = entry.remove_entry();
            self.advance(at, message);
        }
    }

    fn advance(&mut self, seq: SeqId, message: Option<M>) {
        self.complete = seq;
        self.known = self.known.max(seq);
        self.ready.extend(message.map(|m| (seq, m)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain<M>(timeline: &mut Timeline<M>) -> Vec<SeqId> {
        std::iter::from_fn(|| timeline.poll_message().map(|(seq, _)| seq)).collect()
    }

    #[test]
    fn pushes_in_order_need_no_fetch() {
        let mut timeline = Timeline::new(4, 0);
        assert!(timeline.handle_message(5, ()));
        assert!(!timeline.handle_message(5, ()));
        assert!(!timeline.handle_message(3, ()));
        assert_eq!(drain(&mut timeline), [5]);
        assert_eq!(
            (timeline.poll_fetch(0), timeline.poll_timeout()),
            (None, None)
        );
    }

    #[test]
    fn a_gap_is_fetched_once_and_closed_by_a_late_push() {
        let mut timeline = Timeline::new(0, 0);
        timeline.handle_message(2, ());
        assert_eq!(timeline.poll_fetch(0), Some(Fetch { after_seq: 0 }));
        assert_eq!(timeline.poll_fetch(0), None);
        timeline.handle_message(1, ());
        assert_eq!(drain(&mut timeline), [1, 2]);
        timeline.handle_fetched(0, vec![(1, ()), (2, ())], 0);
        assert_eq!(drain(&mut timeline), [0; 0]);
        assert!(!timeline.has_gap());
    }

    #[test]
    fn a_gap_that_stays_empty_is_asked_for_again_with_growing_delay() {
        let mut timeline = Timeline::<()>::new(0, 0);
        timeline.handle_last_seq(1);
        let (mut now, mut waits) = (0, Vec::new());
        for _ in 0..4 {
            assert!(timeline.poll_fetch(now).is_some());
            timeline.handle_fetched(0, Vec::new(), now);
            let next = timeline.poll_timeout().unwrap();
            waits.push(next - now);
            now = next;
        }
        assert!(
            waits.windows(2).all(|w| w[0] < w[1]) && waits[0] <= 125,
            "{waits:?}"
        );
        assert!(timeline.has_gap() && !timeline.is_catching_up());
        timeline.handle_last_seq(2);
        assert_eq!(timeline.poll_timeout(), Some(0));
    }

    #[test]
    fn a_push_cuts_the_wait_of_a_gap_short_but_not_to_nothing() {
        for (failed, again_after) in [(false, 1_000), (true, 5_000)] {
            let mut timeline = Timeline::<()>::new(0, 0);
            timeline.handle_last_seq(1);
            let mut now = 0;
            // Up to the top of the ladder, as in an outage of a minute.
            for pushed in 2..11 {
                assert!(timeline.poll_fetch(now).is_some());
                match failed {
                    true => timeline.handle_fetch_failed(now),
                    false => timeline.handle_fetched(0, Vec::new(), now),
                }
                let alone = timeline.poll_timeout().unwrap();
                timeline.handle_message(pushed, ());
                let with_news = timeline.poll_timeout().unwrap();
                let part = again_after.max((alone - now) / 8);
                assert_eq!(with_news, alone.min(now + part));
                assert_eq!(timeline.poll_fetch(with_news - 1), None);
                now = alone;
            }
            assert!(now > 50_000, "{now}");
        }
    }

    #[test]
    fn numbers_a_page_skips_are_recalled() {
        let mut timeline = Timeline::new(0, 0);
        timeline.handle_message(4, ());
        timeline.poll_fetch(0);
        timeline.handle_fetched(0, vec![(1, ()), (3, ())], 0);
        assert_eq!(drain(&mut timeline), [1, 3, 4]);
        timeline.handle_message(7, ());
        timeline.poll_fetch(0);
        timeline.handle_fetched(4, vec![(9, ())], 0);
        assert_eq!(drain(&mut timeline), [7, 9]);
    }

    #[test]
    fn a_recalled_number_is_not_waited_for() {
        let mut timeline = Timeline::new(0, 0);
        timeline.handle_recalled(2);
        timeline.handle_message(3, ());
        timeline.handle_message(1, ());
        assert_eq!(drain(&mut timeline), [1, 3]);
        assert!(!timeline.has_gap());
    }

    #[test]
    fn what_does_not_fit_aside_is_fetched() {
        let mut timeline = Timeline::new(0, 0);
        let last = 2 + MAX_ASIDE as u64 + 10;
        for seq in 2..=last {
            timeline.handle_message(seq, ());
        }
        timeline.handle_message(1, ());
        assert_eq!(timeline.complete_to(), 1 + MAX_ASIDE as u64);
        let after = timeline.poll_fetch(0).unwrap().after_seq;
        timeline.handle_fetched(after, (after + 1..=last).map(|s| (s, ())).collect(), 0);
        assert_eq!(drain(&mut timeline), (1..=last).collect::<Vec<_>>());
    }

    #[test]
    fn absurd_numbers_are_ignored() {
        let mut timeline = Timeline::new(0, 0);
        assert!(!timeline.handle_message(u64::MAX, ()));
        timeline.handle_last_seq(u64::MAX);
        timeline.handle_recalled(u64::MAX);
        timeline.handle_fetched(u64::MAX, vec![(1, ()), (u64::MAX, ())], u64::MAX);
        assert!(!timeline.has_gap());
        timeline.handle_fetched(0, vec![(i64::MAX as u64, ())], 0);
        assert_eq!(timeline.complete_to(), i64::MAX as u64);
    }
}
