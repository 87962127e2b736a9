//! What frames and pages make of the copies of conversations.

use std::borrow::Cow;

use super::replica::Replica;
use super::{Action, Changed, ChangesPage, ClientSession, Event, HistoryPage, ListedConversation};
use crate::ids::{ConversationId, ParseIdError, Rev, SeqId};
use crate::message::ChangeKind;
use crate::session::frame::{MessageChanged, MessageRecalled, NewMessage, ReactionCount};
use crate::sync::{Message, Millis, Reaction};

impl ClientSession {
    /// A page of history arrived. Messages of another conversation are dropped.
    pub fn handle_fetched(
        &mut self,
        conversation: ConversationId,
        after_seq: SeqId,
        mut page: HistoryPage,
        now: Millis,
    ) {
        self.fetching = self.fetching.saturating_sub(1);
        page.messages.retain(|m| m.conversation_id == conversation);
        self.update_known(conversation, |replica| {
            replica.handle_history(after_seq, page, now);
        });
        self.settle_sync();
    }

    /// A page of changes arrived. Messages of another conversation are dropped.
    pub fn handle_changes(
        &mut self,
        conversation: ConversationId,
        after_rev: Rev,
        mut page: ChangesPage,
        now: Millis,
    ) {
        self.fetching = self.fetching.saturating_sub(1);
        page.messages.retain(|m| m.conversation_id == conversation);
        self.update_known(conversation, |replica| {
            replica.handle_changes(after_rev, page, now);
        });
        self.settle_sync();
    }

    /// A page of history or of changes could not be had. `gone` says that the user may not read the
    /// conversation (any more).
    pub fn handle_fetch_failed(&mut self, conversation: ConversationId, gone: bool, now: Millis) {
        self.fetching = self.fetching.saturating_sub(1);
        if gone {
            self.forget(conversation);
        } else if let Some(replica) = self.replicas.get_mut(&conversation) {
            replica.handle_fetch_failed(now);
        }
        self.settle_sync();
    }

    pub(super) fn poll_fetch(&mut self, now: Millis) -> Option<Action> {
        if self.fetching >= self.options.parallel_fetches {
            return None;
        }
        let action = self.gaps.iter().find_map(|conversation| {
            let replica = self.replicas.get_mut(conversation)?;
            replica.poll_fetch(&self.options, now)
        });
        self.fetching += usize::from(action.is_some());
        action
    }

    pub(super) fn fetch_timeout(&self) -> Option<Millis> {
        if self.fetching >= self.options.parallel_fetches {
            return None;
        }
        self.gaps
            .iter()
            .filter_map(|id| self.replicas.get(id)?.poll_timeout())
            .min()
    }

    pub(super) fn handle_message(&mut self, frame: &NewMessage<'_>) -> Result<(), ParseIdError> {
        let message = Message::try_from(frame)?;
        self.insert(message);
        Ok(())
    }

    /// A change that doesn't say what became of the message is fetched.
    pub(super) fn handle_changed(&mut self, frame: MessageChanged<'_>) -> Result<(), ParseIdError> {
        let conversation = frame.conversation_id.parse()?;
        let message_id = frame.message_id.parse()?;
        let is = |kind: ChangeKind| frame.kind == kind.name();
        let is_told = (is(ChangeKind::Edit) && frame.message.content.is_some())
            || is(ChangeKind::Recall)
            || (is(ChangeKind::React) && frame.message.reactions.is_some())
            || frame.message.pinned.is_some();
        if !is_told || frame.seq_id == 0 || !self.replicas.contains_key(&conversation) {
            self.handle_known(conversation, frame.rev);
            return Ok(());
        }
        let operator_id = frame.operator_id.parse().ok();
        let is_own = operator_id.is_some() && operator_id == self.user;
        let own_reaction = frame.emoji.filter(|_| is_own);
        let reaction = |r: ReactionCount<'_>| Reaction {
            emoji: r.emoji.into_owned(),
            count: r.count,
            mine: false,
        };
        let reactions = frame.message.reactions;
        let change = Changed {
            reactions: reactions.map(|all| all.into_iter().map(reaction).collect()),
            own_reaction: own_reaction.map(|emoji| (emoji.into_owned(), !frame.removed)),
            pinned: frame.message.pinned,
            seq_id: frame.seq_id,
            rev: frame.rev,
            deleted: frame.message.deleted,
            hidden: false,
            content: frame.message.content.map(Cow::into_owned),
            extra: frame.message.extra.map(Cow::into_owned),
            edited_at: frame.message.edited_at,
            edit_count: frame.message.edit_count,
            kind: Some(frame.kind.into_owned()),
            operator_id,
        };
        let others: Vec<Rev> = frame
            .revs
            .into_iter()
            .filter(|rev| *rev < change.rev)
            .collect();
        self.update_known(conversation, |replica| {
            replica.handle_covered(&others);
            replica.handle_change(message_id, change);
        });
        Ok(())
    }

    /// Comes behind a change that says more; alone it comes from servers without changes.
    pub(super) fn handle_recalled(
        &mut self,
        frame: &MessageRecalled<'_>,
    ) -> Result<(), ParseIdError> {
        let conversation_id = frame.conversation_id.parse()?;
        let (message_id, seq_id) = (frame.message_id.parse()?, frame.seq_id);
        if frame.rev > 0 {
            self.handle_known(conversation_id, frame.rev);
            return Ok(());
        }
        if seq_id > 0 {
            self.update_known(conversation_id, |r| r.handle_recalled(seq_id));
        }
        self.events.push_back(Event::Recalled {
            conversation_id,
            message_id,
            seq_id,
        });
        Ok(())
    }

    /// The user cleared a conversation up to and with a message.
    pub(super) fn handle_cleared(&mut self, conversation: ConversationId, up_to: SeqId) {
        self.update_known(conversation, |replica| replica.handle_cleared(up_to));
    }

    /// A number was heard of. A conversation that isn't known yet is read later, and then as it is:
    /// unless it is being read already.
    pub(super) fn handle_known(&mut self, conversation: ConversationId, rev: Rev) {
        if self.replicas.contains_key(&conversation) {
            self.update_known(conversation, |replica| replica.handle_known(rev));
        } else if !self.is_listed() && self.heard.len() < self.options.max_conversations {
            let heard = self.heard.entry(conversation).or_default();
            *heard = rev.max(*heard);
        }
    }

    pub(super) fn insert(&mut self, message: Message) {
        let before = message.seq_id.saturating_sub(1);
        let base = before.saturating_sub(self.options.initial_history);
        let conversation = message.conversation_id;
        let heard = self.heard.remove(&conversation).unwrap_or(0);
        self.update(conversation, base, |replica| {
            replica.handle_message(message);
            replica.handle_known(heard);
        });
    }

    /// The user's own message was acknowledged, and what it refers to isn't known here as the server
    /// has it: the message is read.
    pub(super) fn read_back(&mut self, id: ConversationId, last_seq: SeqId, last_rev: Rev) {
        let before = last_seq.saturating_sub(1);
        let base = before.saturating_sub(self.options.initial_history);
        let heard = self.heard.remove(&id).unwrap_or(0);
        let place = ListedConversation {
            id,
            last_seq,
            last_recalled: false,
            last_rev,
            cleared_up_to: 0,
        };
        self.update(id, base, |replica| {
            replica.handle_listed(&place);
            replica.handle_known(heard);
        });
    }

    /// Changes a copy, making it when it is new, without the messages up to `base`.
    pub(super) fn update(
        &mut self,
        id: ConversationId,
        base: SeqId,
        change: impl FnOnce(&mut Replica),
    ) {
        let seed = self.next_seed();
        let has_room = self.replicas.len() < self.options.max_conversations;
        if has_room && !self.replicas.contains_key(&id) {
            self.replicas.insert(id, Replica::new(id, base, seed));
        }
        self.update_known(id, change);
    }

    /// Changes a copy, if there is one, and hands out what became ready.
    fn update_known(&mut self, id: ConversationId, change: impl FnOnce(&mut Replica)) {
        let Some(replica) = self.replicas.get_mut(&id) else {
            return;
        };
        change(replica);
        while let Some(mut event) = replica.poll_event() {
            self.told.handle(&mut event);
            self.events.push_back(event);
        }
        if replica.is_behind() {
            self.gaps.insert(id);
        } else {
            self.gaps.remove(&id);
        }
    }

    pub(super) fn forget(&mut self, id: ConversationId) {
        self.gaps.remove(&id);
        self.told.forget(id);
        if self.replicas.remove(&id).is_some() {
            self.events.push_back(Event::Left(id));
        }
    }
}
