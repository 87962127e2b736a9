//! A client's copy of one conversation: which messages and changes it holds, and what to fetch.

use std::collections::VecDeque;

use super::{Action, Changed, ChangesPage, Event, HistoryPage, ListedConversation, Options};
use crate::ids::{ConversationId, MessageId, Rev, SeqId};
use crate::sync::timeline::MAX_ASIDE;
use crate::sync::{Message, Millis, Revisions, Timeline};

/// A client's copy of one conversation.
///
/// Messages are followed by sequence number ([`Timeline`]), their changes by `rev`
/// ([`Revisions`]). Three rules keep the two together:
///
/// * A change is told after its message, so one of a message that isn't told yet waits for it.
/// * A read of history must show what pages of changes brought before; a page that doesn't is read
///   again. What is read is then never older than what is told.
/// * One fetch at a time: while numbers are missing, by `rev`. Its messages close the gaps of
///   sequence numbers as well, so a client that was away pays one page per so many messages.
#[derive(Debug)]
pub(super) struct Replica {
    id: ConversationId,
    timeline: Timeline<Message>,
    revisions: Revisions<(MessageId, Changed)>,
    /// Messages up to here may be missing although their numbers are not: only history has them.
    history_to: SeqId,
    /// A page of changes held more than there is room for: history makes some first.
    is_full: bool,
    /// The last fetch of changes failed.
    is_refused: bool,
    /// What the fetch under way was asked with.
    asked: (SeqId, Rev),
    /// The `rev` that was told last.
    told: Option<Rev>,
    events: VecDeque<Event>,
}

impl Replica {
    /// A copy whose messages up to `base` aren't wanted.
    pub(super) const fn new(id: ConversationId, base: SeqId, seed: u64) -> Self {
        Self {
            id,
            timeline: Timeline::new(base, seed),
            revisions: Revisions::without_base(seed.rotate_left(32)),
            history_to: 0,
            is_full: false,
            is_refused: false,
            asked: (0, 0),
            told: None,
            events: VecDeque::new(),
        }
    }

    /// A copy that an earlier session left with everything up to these numbers; a `rev` of 0 isn't
    /// known.
    pub(super) fn resume(id: ConversationId, seq: SeqId, rev: Rev, seed: u64) -> Self {
        let mut replica = Self::new(id, seq, seed);
        if rev > 0 {
            replica.revisions = Revisions::new(rev, seed.rotate_left(32));
            replica.told = Some(rev);
            // What the earlier session kept aside is gone.
            replica.history_to = SeqId::MAX;
        }
        replica
    }

    pub(super) const fn complete_to(&self) -> SeqId {
        self.timeline.complete_to()
    }

    pub(super) const fn complete_rev(&self) -> Option<Rev> {
        self.revisions.complete_to()
    }

    /// Whether messages or changes are missing that are known to exist.
    pub(super) fn is_behind(&self) -> bool {
        self.timeline.has_gap() || self.revisions.is_behind()
    }

    /// Whether the first round of catching up isn't over.
    pub(super) fn is_catching_up(&self) -> bool {
        let by_rev = self.revisions.has_gap() && !self.is_blocked();
        let by_seq = !by_rev || self.needs_history();
        (by_rev && self.revisions.is_catching_up()) || (by_seq && self.timeline.is_catching_up())
    }

    pub(super) fn handle_connected(&mut self) {
        self.timeline.handle_connected();
        self.revisions.handle_connected();
    }

    pub(super) fn handle_listed(&mut self, listed: &ListedConversation) {
        self.timeline.handle_last_seq(listed.last_seq);
        self.timeline.handle_cleared(listed.cleared_up_to);
        // Servers without changes leave recalled messages out of history.
        if listed.last_recalled && listed.last_rev == 0 {
            self.timeline.handle_recalled(listed.last_seq);
        }
        self.revisions.handle_last_rev(listed.last_rev);
        self.settle();
    }

    /// The user cleared the conversation up to and with a message.
    pub(super) fn handle_cleared(&mut self, up_to: SeqId) {
        self.timeline.handle_cleared(up_to);
        self.settle();
    }

    /// A message as it was sent.
    pub(super) fn handle_message(&mut self, message: Message) {
        let seq = message.seq_id;
        if self.revisions.handle_message(message.rev) {
            self.timeline.handle_message(seq, message);
        } else if seq > self.timeline.complete_to() {
            self.timeline.handle_last_seq(seq);
            self.history_to = self.history_to.max(seq);
        }
        self.settle();
    }

    /// A change with all that is needed to tell it.
    pub(super) fn handle_change(&mut self, message_id: MessageId, change: Changed) {
        let (seq, rev) = (change.seq_id, change.rev);
        self.timeline.handle_last_seq(seq);
        self.revisions.handle_change(rev, seq, (message_id, change));
        self.settle();
    }

    /// Changes that a later one stands for, which follows.
    pub(super) fn handle_covered(&mut self, revs: &[Rev]) {
        for rev in revs {
            self.revisions.handle_covered(*rev);
        }
    }

    /// A change of which only the number is known: it is fetched.
    pub(super) fn handle_known(&mut self, rev: Rev) {
        self.revisions.handle_known(rev);
        self.settle();
    }

    /// A recall of a server without changes.
    pub(super) fn handle_recalled(&mut self, seq: SeqId) {
        self.timeline.handle_recalled(seq);
        self.settle();
    }

    pub(super) fn handle_history(&mut self, after_seq: SeqId, page: HistoryPage, now: Millis) {
        let (asked_seq, asked_rev) = self.asked;
        if !self.timeline.is_fetching() || asked_seq != after_seq {
            return;
        }
        let seen = page.messages.iter().map(|m| m.rev).max().unwrap_or(0);
        let is_shown = !page.behind || asked_rev == 0;
        if !is_shown && !self.revisions.is_new_enough(seen) {
            self.timeline.handle_fetched(after_seq, Vec::new(), now);
            return self.settle();
        }
        let messages = page.messages.into_iter().map(|m| (m.seq_id, m)).collect();
        self.timeline.handle_fetched(after_seq, messages, now);
        // Beyond the number asked for, the page may show messages of which nothing is known yet.
        let base = if is_shown {
            asked_rev
        } else {
            seen.min(asked_rev)
        };
        self.handle_base(base);
        self.settle();
    }

    pub(super) fn handle_changes(&mut self, after_rev: Rev, page: ChangesPage, now: Millis) {
        if !self.revisions.is_fetching() || self.asked.1 != after_rev {
            return;
        }
        let mut last = 0;
        (self.is_full, self.is_refused) = (false, false);
        for message in page.messages {
            let (seq, rev) = (message.seq_id, message.rev);
            if rev <= last || !self.revisions.is_news(seq, rev) {
                continue;
            }
            last = rev;
            if seq <= self.timeline.complete_to() {
                self.tell_change(message.id, changed(message));
            } else {
                self.keep(message);
            }
        }
        let complete_to = page.complete_to.max(last);
        self.revisions
            .handle_fetched(complete_to, page.head_rev, page.has_more, now);
        self.settle();
    }

    /// Takes a message of a page of changes that isn't told yet. One without room is left to
    /// history.
    fn keep(&mut self, message: Message) {
        let seq = message.seq_id;
        if let Some(aside) = self.timeline.aside_mut(seq) {
            *aside = Some(message);
        } else if self.timeline.has_room_for(seq) {
            self.timeline.handle_message(seq, message);
            // What it freed comes before changes of it.
            self.tell_messages();
        } else {
            self.is_full = true;
            self.timeline.handle_last_seq(seq);
            self.history_to = self.history_to.max(seq);
        }
    }

    pub(super) fn handle_fetch_failed(&mut self, now: Millis) {
        if self.revisions.is_fetching() {
            self.is_refused = true;
            self.revisions.handle_fetch_failed(now);
        } else if self.timeline.is_fetching() {
            self.timeline.handle_fetch_failed(now);
        }
    }

    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next fetch, if one is due.
    pub(super) fn poll_fetch(&mut self, options: &Options, now: Millis) -> Option<Action> {
        let (conversation_id, limit) = (self.id, options.page_limit);
        let (by_rev, by_seq) = self.due();
        if by_rev.is_some_and(|at| at <= now)
            && let Some(after_rev) = self.revisions.poll_fetch(now)
        {
            self.asked = (0, after_rev);
            return Some(Action::FetchChanges {
                conversation_id,
                after_rev,
                limit,
                at_least: self.revisions.known_to(),
            });
        }
        by_seq.filter(|at| *at <= now)?;
        let fetch = self.timeline.poll_fetch(now)?;
        let at_least_rev = self.revisions.history_must_show();
        self.asked = (fetch.after_seq, at_least_rev);
        Some(Action::FetchMessages {
            conversation_id,
            after_seq: fetch.after_seq,
            limit,
            at_least: self.timeline.known_to(),
            at_least_rev,
        })
    }

    /// When [`poll_fetch`](Self::poll_fetch) will next have something.
    pub(super) fn poll_timeout(&self) -> Option<Millis> {
        let (by_rev, by_seq) = self.due();
        by_rev.into_iter().chain(by_seq).min()
    }

    /// When changes and when messages are to be fetched; nothing while a fetch is under way.
    fn due(&self) -> (Option<Millis>, Option<Millis>) {
        if self.timeline.is_fetching() || self.revisions.is_fetching() {
            return (None, None);
        }
        let by_rev = self.revisions.poll_timeout();
        let by_rev = by_rev.filter(|_| !self.is_blocked());
        let by_seq = self.timeline.poll_timeout();
        let by_seq = by_seq.filter(|_| by_rev.is_none() || self.needs_history());
        (by_rev, by_seq)
    }

    /// Whether pages of changes wait until history made room for them.
    fn is_blocked(&self) -> bool {
        self.is_full && self.timeline.aside_len() > MAX_ASIDE / 2
    }

    /// Whether history may bring what changes don't.
    const fn needs_history(&self) -> bool {
        self.is_refused || self.timeline.complete_to() < self.history_to
    }

    fn handle_base(&mut self, rev: Rev) {
        if self.revisions.complete_to().is_none() {
            self.revisions.handle_base(rev);
            // The rest of what was missing then is older than the base.
            self.history_to = self.history_to.max(self.timeline.known_to());
        }
    }

    /// Tells everything that can be told.
    fn settle(&mut self) {
        if !self.timeline.has_gap() && self.revisions.complete_to().is_none() {
            self.revisions.handle_no_history();
        }
        self.tell_messages();
        while let Some((id, change)) = self.revisions.poll_change(self.timeline.complete_to()) {
            self.tell_change(id, change);
        }
        if let Some(complete_rev) = self.revisions.complete_to()
            && self.told != Some(complete_rev)
            && !self.revisions.goes_on()
        {
            self.told = Some(complete_rev);
            self.events.push_back(Event::Progress {
                conversation_id: self.id,
                complete_to: self.timeline.complete_to(),
                complete_rev,
            });
        }
    }

    fn tell_messages(&mut self) {
        while let Some((seq, message)) = self.timeline.poll_message() {
            self.revisions.handle_told(seq, message.rev);
            self.events.push_back(Event::Message(message));
        }
    }

    fn tell_change(&mut self, message_id: MessageId, change: Changed) {
        let (conversation_id, seq_id) = (self.id, change.seq_id);
        let recalled = change.deleted.then_some(Event::Recalled {
            conversation_id,
            message_id,
            seq_id,
        });
        self.events.push_back(Event::MessageChanged {
            conversation_id,
            message_id,
            change,
        });
        self.events.extend(recalled);
    }
}

/// What a client that has an older state of a message needs to know.
fn changed(message: Message) -> Changed {
    Changed {
        seq_id: message.seq_id,
        rev: message.rev,
        deleted: message.deleted,
        hidden: message.hidden,
        content: Some(message.content),
        extra: message.extra,
        edited_at: message.edited_at,
        edit_count: message.edit_count,
        reactions: Some(message.reactions),
        own_reaction: None,
        pinned: Some(message.pinned),
        kind: None,
        operator_id: None,
    }
}
