//! The numbers of one conversation's messages and changes as a gapless sequence.

use std::collections::BTreeMap;

use super::Millis;
use super::attempts::Attempts;
use super::timeline::MAX_ASIDE;
use crate::ids::{Rev, SeqId};

/// Highest number of the contract.
const MAX_REV: Rev = i64::MAX as Rev;

/// The numbers of one conversation's messages and changes as a gapless sequence.
///
/// Every message and every change of a message has the next `rev` of its conversation. Pushes
/// may be lost, doubled or out of order, and a number beyond a missing one is kept aside until
/// what is missing was fetched: the messages that are new or changed since
/// [`complete_to`](Self::complete_to), as they are now. Changes are handed out by ascending
/// number, each once, and not before the message that they are about. A gap between pushes gets
/// 100 ms to close by itself before it is fetched.
///
/// A page that says that more follows has what changed up to its number only of messages that
/// weren't changed again meanwhile; the others are on pages behind it. So nothing that was pushed
/// is told before the last page, and the last one is a page that reaches what the server knew when
/// it said that more follows: one that ends before was read where rows were older.
///
/// The sequence needs a *base*: a number so that whatever the caller holds of the conversation is
/// at least that new. A page of history that shows a number the caller knows of gives one. Until
/// there is a base everything waits, and nothing is fetched; so it stays with a server that gives
/// no numbers.
///
/// `C` is whatever the caller keeps per change.
///
/// ```
/// use gochat_core::sync::Revisions;
/// let mut revisions = Revisions::new(10, 7);
/// revisions.handle_change(11, 3, "edit of message 3");
/// revisions.handle_change(13, 4, "edit of message 4");
/// assert_eq!(revisions.poll_change(9), Some("edit of message 3"));
/// assert_eq!(revisions.poll_change(9), None);
/// assert_eq!(revisions.poll_fetch(0), None);
/// assert_eq!(revisions.poll_fetch(100), Some(11));
/// revisions.handle_fetched(12, 13, false, 100);
/// assert_eq!(revisions.poll_change(9), Some("edit of message 4"));
/// assert_eq!(revisions.complete_to(), Some(13));
/// ```
#[derive(Debug)]
pub struct Revisions<C> {
    /// Everything up to here is told. `None` without a base.
    complete: Option<Rev>,
    /// Part of `complete` that was told by pages, not by pushes: what is read later must be at
    /// least so new.
    floor: Rev,
    /// More pages follow the one that was fetched last: the last one reaches this number.
    pages_to: Option<Rev>,
    /// The highest number heard of.
    known: Rev,
    /// The highest number up to which the caller knows all sequence numbers.
    anchor: Rev,
    /// The oldest state of a message that was pushed while there was no base.
    oldest_push: Rev,
    /// Numbers beyond a gap, and changes whose message isn't told yet. `None` stands for a message.
    aside: BTreeMap<Rev, Option<(SeqId, C)>>,
    /// Messages that were told newer than `complete`.
    ahead: BTreeMap<SeqId, Rev>,
    attempts: Attempts,
}

impl<C> Revisions<C> {
    /// A sequence whose caller holds everything up to `complete`.
    pub const fn new(complete: Rev, seed: u64) -> Self {
        let mut revisions = Self::without_base(seed);
        revisions.complete = Some(complete);
        revisions.floor = complete;
        revisions.known = complete;
        revisions.anchor = complete;
        revisions
    }

    /// A sequence whose base isn't known yet.
    pub const fn without_base(seed: u64) -> Self {
        Self {
            complete: None,
            floor: 0,
            pages_to: None,
            known: 0,
            anchor: 0,
            oldest_push: MAX_REV,
            aside: BTreeMap::new(),
            ahead: BTreeMap::new(),
            attempts: Attempts::new(seed),
        }
    }

    /// Everything up to this number was handed out; `None` without a base.
    pub const fn complete_to(&self) -> Option<Rev> {
        self.complete
    }

    /// The highest number heard of: a read of changes must reach it.
    pub const fn known_to(&self) -> Rev {
        self.known
    }

    /// The number that a page of history must show, so that what is read isn't older than what was
    /// told.
    pub const fn history_must_show(&self) -> Rev {
        match self.complete {
            Some(_) => self.floor,
            None => self.anchor,
        }
    }

    /// Whether a page that may be behind is new enough all the same: `seen` is the highest number
    /// on it. Rows are written in order, so a page shows everything up to the highest number on it.
    pub const fn is_new_enough(&self, seen: Rev) -> bool {
        seen > 0 && (self.complete.is_none() || seen >= self.floor)
    }

    /// Whether more pages follow the one that was fetched last: until then messages may lack
    /// changes from before [`complete_to`](Self::complete_to).
    pub const fn goes_on(&self) -> bool {
        self.pages_to.is_some()
    }

    /// Whether a number up to the highest known one isn't handed out yet.
    pub fn is_behind(&self) -> bool {
        self.goes_on() || self.complete.is_some_and(|complete| self.known > complete)
    }

    /// Whether the next number is missing. False as well when it waits only for its message.
    pub fn has_gap(&self) -> bool {
        let mut next = self.complete.iter().map(|complete| complete + 1);
        self.goes_on() || next.any(|next| self.known >= next && !self.aside.contains_key(&next))
    }

    /// Whether the first round of catching up isn't over.
    pub fn is_catching_up(&self) -> bool {
        self.has_gap() && self.attempts.is_first_round()
    }

    /// A message arrived by push or was acknowledged. False when its number is told already: then
    /// the message may have been changed since, and only a read shows it as it is now.
    pub fn handle_message(&mut self, rev: Rev) -> bool {
        if !is_number(rev) {
            return true;
        }
        self.anchor = self.anchor.max(rev);
        if self.complete.is_none() {
            self.oldest_push = self.oldest_push.min(rev);
        }
        self.insert(rev, None)
    }

    /// A change arrived by push. Gives false when its number is told already.
    pub fn handle_change(&mut self, rev: Rev, seq: SeqId, change: C) -> bool {
        is_number(rev) && self.insert(rev, Some((seq, change)))
    }

    /// A number that needs nothing to be told: a change with a higher one stands for it.
    pub fn handle_covered(&mut self, rev: Rev) {
        if is_number(rev) {
            self.insert(rev, None);
        }
    }

    /// A number was heard of without what it stands for: it is missing.
    pub fn handle_known(&mut self, rev: Rev) {
        if is_number(rev) && rev > self.known {
            self.hear_of(rev);
        }
    }

    /// The server said how far the conversation goes, and the caller knows its sequence numbers up
    /// to there.
    pub fn handle_last_rev(&mut self, rev: Rev) {
        if is_number(rev) {
            self.anchor = self.anchor.max(rev);
            if rev > self.known {
                self.known = rev;
                self.attempts.retry_soon();
            }
        }
    }

    /// What the caller holds is at least as new as this number; 0 says nothing. Only the first base
    /// counts. Pushes that came before it may be older.
    pub fn handle_base(&mut self, rev: Rev) {
        let base = rev.min(self.oldest_push);
        if self.complete.is_none() && is_number(base) {
            self.floor = base;
            self.advance_to(base);
        }
    }

    /// The caller holds everything that it knows of without a read: what was pushed, or nothing.
    pub fn handle_no_history(&mut self) {
        self.handle_base(self.anchor);
    }

    /// A message was handed out as it was at this number.
    pub fn handle_told(&mut self, seq: SeqId, rev: Rev) {
        if !is_number(rev) {
            return;
        }
        self.known = self.known.max(rev);
        if rev > self.complete.unwrap_or(0) && self.ahead.len() < MAX_ASIDE {
            self.ahead.insert(seq, rev);
        }
    }

    /// Whether a message as of this number is newer than what was handed out.
    pub fn is_news(&self, seq: SeqId, rev: Rev) -> bool {
        let told = self.ahead.get(&seq).copied().unwrap_or(0);
        is_number(rev) && rev > self.complete.unwrap_or(0).max(told)
    }

    /// The messages behind the number of [`poll_fetch`](Self::poll_fetch) arrived and were handed
    /// out: with them everything up to `complete_to` is known, and the server knows of `head`.
    /// `goes_on` says that more pages follow.
    pub fn handle_fetched(&mut self, complete_to: Rev, head: Rev, goes_on: bool, now: Millis) {
        let head = if is_number(head) { head } else { 0 };
        self.known = self.known.max(head);
        self.pages_to = match self.pages_to {
            _ if self.complete.is_none() => None,
            before if goes_on => before.max(Some(head)),
            before => before.filter(|reaches| complete_to < *reaches),
        };
        match self.complete {
            Some(complete) if complete_to > complete && is_number(complete_to) => {
                self.attempts.handle_progress(now);
                self.floor = self.floor.max(complete_to);
                self.advance_to(complete_to);
            }
            _ => self.attempts.handle_nothing(now),
        }
    }

    /// A fetch failed; it will be repeated later.
    pub fn handle_fetch_failed(&mut self, now: Millis) {
        self.attempts.handle_failure(now);
    }

    /// Whatever kept fetches from working may be over.
    pub const fn handle_connected(&mut self) {
        self.attempts.retry_soon();
    }

    /// The next change in order, unless its message, by the place given, lies beyond `reached`.
    pub fn poll_change(&mut self, reached: SeqId) -> Option<C> {
        loop {
            if self.goes_on() {
                return None;
            }
            let next = self.complete? + 1;
            if let Some((seq, _)) = self.aside.get(&next)?
                && *seq > reached
            {
                return None;
            }
            let entry = self.aside.remove(&next)?;
            let news = entry.filter(|(seq, _)| self.is_news(*seq, next));
            self.advance_to(next);
            self.attempts.handle_gap();
            if let Some((_, change)) = news {
                return Some(change);
            }
        }
    }

    /// After which number to fetch changes now, if at all. Answer it with
    /// [`handle_fetched`](Self::handle_fetched) or
    /// [`handle_fetch_failed`](Self::handle_fetch_failed); until then it isn't asked for again.
    pub fn poll_fetch(&mut self, now: Millis) -> Option<Rev> {
        self.poll_timeout()?;
        let complete = self.complete;
        complete.filter(|_| self.attempts.poll_start(now))
    }

    /// When to ask [`poll_fetch`](Self::poll_fetch) next. A gap that is new gets its time when it
    /// was asked.
    pub fn poll_timeout(&self) -> Option<Millis> {
        self.attempts.due().filter(|_| self.has_gap())
    }

    /// Whether a fetch is under way.
    pub const fn is_fetching(&self) -> bool {
        self.attempts.is_waiting()
    }

    /// A number arrived by push: those below it that are missing may follow.
    fn hear_of(&mut self, rev: Rev) {
        match self.has_gap() {
            true => self.attempts.handle_news(),
            false => self.attempts.handle_gap(),
        }
        self.known = self.known.max(rev);
    }

    fn insert(&mut self, rev: Rev, entry: Option<(SeqId, C)>) -> bool {
        let complete = self.complete.unwrap_or(0);
        if rev <= complete {
            return false;
        }
        self.hear_of(rev);
        if self.aside.len() < MAX_ASIDE || rev == complete + 1 {
            self.aside.entry(rev).or_insert(entry);
        }
        true
    }

    fn advance_to(&mut self, rev: Rev) {
        self.complete = Some(rev);
        self.known = self.known.max(rev);
        while let Some(old) = self.aside.first_entry().filter(|e| *e.key() <= rev) {
            old.remove();
        }
        if self.known == rev {
            self.ahead.clear();
            self.attempts.retry_soon();
        }
    }
}

const fn is_number(rev: Rev) -> bool {
    rev > 0 && rev <= MAX_REV
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(revisions: &mut Revisions<Rev>, reached: SeqId) -> Vec<Rev> {
        std::iter::from_fn(|| revisions.poll_change(reached)).collect()
    }

    /// What is asked for once a gap that is new had its time.
    fn fetch(revisions: &mut Revisions<Rev>, now: Millis) -> Option<Rev> {
        let first = revisions.poll_fetch(now);
        first.or_else(|| revisions.poll_fetch(revisions.poll_timeout()?))
    }

    #[test]
    fn pushes_in_order_need_no_fetch() {
        let mut revisions = Revisions::new(4, 0);
        assert!(revisions.handle_message(5));
        assert!(revisions.handle_change(6, 1, 6));
        assert!(!revisions.handle_message(4));
        assert_eq!(drain(&mut revisions, 1), [6]);
        assert!(!revisions.handle_change(6, 1, 6));
        assert_eq!(revisions.complete_to(), Some(6));
        assert_eq!(
            (revisions.poll_fetch(0), revisions.is_behind()),
            (None, false)
        );
    }

    #[test]
    fn a_change_that_stands_for_several_leaves_no_gap() {
        let mut revisions = Revisions::new(4, 0);
        for rev in [5, 7] {
            revisions.handle_covered(rev);
        }
        revisions.handle_change(8, 1, 8);
        revisions.handle_change(6, 2, 6);
        assert_eq!(drain(&mut revisions, 9), [6, 8]);
        assert_eq!(revisions.poll_fetch(0), None);
    }

    #[test]
    fn a_gap_is_fetched_once_and_what_is_beyond_it_follows() {
        let mut revisions = Revisions::new(4, 0);
        revisions.handle_change(6, 1, 6);
        assert_eq!(drain(&mut revisions, 9), [0; 0]);
        assert_eq!(
            (revisions.poll_fetch(7), revisions.poll_fetch(106)),
            (None, None)
        );
        assert_eq!(revisions.poll_timeout(), Some(107));
        assert_eq!(revisions.poll_fetch(107), Some(4));
        assert_eq!(revisions.poll_fetch(108), None);
        revisions.handle_fetched(5, 5, false, 0);
        assert_eq!(drain(&mut revisions, 9), [6]);
        assert!(!revisions.has_gap());
    }

    #[test]
    fn nothing_that_was_pushed_is_told_between_pages() {
        let mut revisions = Revisions::new(4, 0);
        revisions.handle_change(6, 1, 6);
        assert_eq!(fetch(&mut revisions, 0), Some(4));
        // What happened to message 1 as number 5 is on the next page, with its state of then.
        revisions.handle_fetched(5, 7, true, 0);
        assert_eq!(drain(&mut revisions, 9), [0; 0]);
        assert!(revisions.has_gap() && revisions.is_behind());
        assert_eq!(revisions.poll_fetch(0), Some(5));
        revisions.handle_change(8, 1, 8);
        revisions.handle_fetched(7, 7, false, 0);
        assert_eq!(drain(&mut revisions, 9), [8]);
        assert!(!revisions.is_behind());
    }

    #[test]
    fn a_page_of_older_rows_is_not_the_last_one() {
        let mut revisions = Revisions::new(4, 0);
        revisions.handle_change(7, 1, 7);
        assert_eq!(fetch(&mut revisions, 0), Some(4));
        // Message 1 was edited as number 5 and is left to the next page, as number 7.
        revisions.handle_fetched(6, 7, true, 0);
        assert_eq!(revisions.poll_fetch(0), Some(6));
        revisions.handle_fetched(6, 8, false, 0);
        assert_eq!(drain(&mut revisions, 9), [0; 0], "number 7 lacks number 5");
        assert!(revisions.has_gap() && revisions.is_behind());
        assert_eq!(fetch(&mut revisions, 0), Some(6));
        revisions.handle_fetched(7, 8, false, 0);
        assert!(!revisions.goes_on());
    }

    #[test]
    fn a_change_waits_for_its_message_and_asks_for_nothing() {
        let mut revisions = Revisions::new(4, 0);
        revisions.handle_change(5, 7, 5);
        revisions.handle_change(6, 1, 6);
        assert_eq!(drain(&mut revisions, 6), [0; 0]);
        assert!(revisions.is_behind() && !revisions.has_gap());
        assert_eq!(drain(&mut revisions, 7), [5, 6]);
    }

    #[test]
    fn a_message_that_was_told_newer_is_not_changed_back() {
        let mut revisions = Revisions::new(4, 0);
        revisions.handle_told(7, 9);
        for rev in 5..=9 {
            revisions.handle_change(rev, if rev == 6 { 1 } else { 7 }, rev);
        }
        assert_eq!(drain(&mut revisions, 7), [6]);
        revisions.handle_change(10, 7, 10);
        assert_eq!(drain(&mut revisions, 7), [10]);
    }

    #[test]
    fn without_a_base_everything_waits() {
        let mut revisions = Revisions::without_base(0);
        revisions.handle_last_rev(8);
        revisions.handle_change(8, 1, 8);
        revisions.handle_change(9, 1, 9);
        assert_eq!(drain(&mut revisions, 9), [0; 0]);
        assert_eq!(
            (revisions.poll_fetch(0), revisions.history_must_show()),
            (None, 8)
        );
        revisions.handle_base(0);
        revisions.handle_base(8);
        revisions.handle_base(3);
        assert_eq!(drain(&mut revisions, 9), [9]);
    }

    #[test]
    fn a_push_before_the_base_is_no_newer_than_its_number() {
        let mut revisions = Revisions::<Rev>::without_base(0);
        revisions.handle_message(5);
        revisions.handle_last_rev(8);
        revisions.handle_base(8);
        assert_eq!(fetch(&mut revisions, 0), Some(5));
    }

    #[test]
    fn a_server_without_numbers_leaves_it_asleep() {
        let mut revisions = Revisions::without_base(0);
        assert!(revisions.handle_message(0));
        assert!(!revisions.handle_change(0, 1, 0));
        revisions.handle_last_rev(0);
        revisions.handle_no_history();
        revisions.handle_told(1, 0);
        assert_eq!(
            (revisions.complete_to(), revisions.poll_timeout()),
            (None, None)
        );
        assert!(!revisions.is_behind());
    }

    #[test]
    fn what_does_not_fit_aside_is_fetched() {
        let mut revisions = Revisions::new(0, 0);
        let last = 2 + MAX_ASIDE as Rev + 10;
        for rev in 2..=last {
            revisions.handle_change(rev, 1, rev);
        }
        revisions.handle_change(1, 1, 1);
        assert_eq!(drain(&mut revisions, 1).len(), MAX_ASIDE + 1);
        assert_eq!(fetch(&mut revisions, 0), Some(1 + MAX_ASIDE as Rev));
    }

    #[test]
    fn a_gap_that_stays_empty_is_asked_for_again_with_growing_delay() {
        let mut revisions = Revisions::<Rev>::new(3, 0);
        revisions.handle_last_rev(4);
        let (mut now, mut waits) = (0, Vec::new());
        for _ in 0..4 {
            assert_eq!(revisions.poll_fetch(now), Some(3));
            revisions.handle_fetched(3, 3, false, now);
            let next = revisions.poll_timeout().unwrap();
            waits.push(next - now);
            now = next;
        }
        assert!(waits.windows(2).all(|w| w[0] < w[1]), "{waits:?}");
        assert!(!revisions.is_catching_up());
    }

    #[test]
    fn absurd_numbers_are_ignored() {
        let mut revisions = Revisions::new(3, 0);
        assert!(revisions.handle_message(Rev::MAX));
        assert!(!revisions.handle_change(Rev::MAX, 1, 0));
        revisions.handle_known(Rev::MAX);
        revisions.handle_last_rev(Rev::MAX);
        revisions.handle_told(1, Rev::MAX);
        revisions.handle_fetched(Rev::MAX, Rev::MAX, false, Millis::MAX);
        assert_eq!(
            (revisions.known_to(), revisions.complete_to()),
            (3, Some(3))
        );
        revisions.handle_fetched(MAX_REV, MAX_REV, false, 0);
        revisions.handle_change(MAX_REV, 1, 0);
        assert_eq!(drain(&mut revisions, 1), [0; 0]);
    }
}
