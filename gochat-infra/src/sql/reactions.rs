//! What changes write to the tables of reactions and pins, and what is read from them.

use gochat_core::ids::{ConversationId, MessageId, Rev, UnixMillis, UserId};
use gochat_core::message::{ChangeKind, Emoji};
use hashbrown::HashMap;

use super::changes::Stand;
use super::text::json_array;
use crate::port::db::{MessageEntry, NewChange, PinsPage, ReactionEntry, ReactionsPage, UserBrief};

/// A message of a conversation.
pub(crate) type Of = (ConversationId, MessageId);

/// All that changes write to both tables: at most one entry per row and list, in the order of the
/// conversations and messages. Rows are deleted before others are inserted.
#[derive(Debug, Default)]
pub(crate) struct Writes<'c> {
    /// Recalled messages, whose reactions are deleted.
    pub(crate) erased: Vec<Of>,
    /// Reactions that are deleted.
    pub(crate) removed: Vec<&'c NewChange>,
    /// Reactions that are inserted unless the user has them.
    pub(crate) added: Vec<&'c NewChange>,
    /// Messages whose pins are deleted.
    pub(crate) unpinned: Vec<Of>,
    /// Pins that are inserted or replaced.
    pub(crate) pinned: Vec<&'c NewChange>,
    /// Conversations whose pins are to be counted, each once.
    pub(crate) counted: Vec<ConversationId>,
}

/// What the changes of one transaction do to one message.
#[derive(Default)]
struct OfMessage<'c> {
    is_erased: bool,
    reactions: HashMap<(UserId, &'c str), OfReaction<'c>>,
    /// The last change of its pin.
    pin: Option<&'c NewChange>,
    moves_pins: bool,
}

/// What they do to one reaction: it may be taken away and then made anew.
#[derive(Default)]
struct OfReaction<'c> {
    removed: Option<&'c NewChange>,
    added: Option<&'c NewChange>,
}

/// Collects what changes do, in the order of their numbers.
#[derive(Default)]
pub(crate) struct Collector<'c> {
    messages: HashMap<Of, OfMessage<'c>>,
}

impl<'c> Collector<'c> {
    /// Takes a change that meets its message as it stands `before`.
    pub(crate) fn note(&mut self, change: &'c NewChange, before: &Stand) {
        if before.deleted || change.kind == ChangeKind::Edit {
            return;
        }
        let of = (change.conversation_id, change.message_id);
        let message = self.messages.entry(of).or_default();
        let reaction = (change.sender_id, change.content.as_str());
        match change.kind {
            ChangeKind::Edit => {}
            ChangeKind::Recall => {
                *message = OfMessage {
                    is_erased: true,
                    moves_pins: message.moves_pins || before.pinned,
                    ..OfMessage::default()
                }
            }
            // A second one of the same user changes nothing.
            ChangeKind::React => {
                let reaction = message.reactions.entry(reaction).or_default();
                reaction.added.get_or_insert(change);
            }
            ChangeKind::Unreact => {
                let removed = OfReaction {
                    removed: Some(change),
                    added: None,
                };
                message.reactions.insert(reaction, removed);
            }
            ChangeKind::Pin | ChangeKind::Unpin => {
                (message.pin, message.moves_pins) = (Some(change), true);
            }
        }
    }

    /// What is written after all of them.
    pub(crate) fn finish(self) -> Writes<'c> {
        let mut messages: Vec<_> = self.messages.into_iter().collect();
        messages.sort_unstable_by_key(|(of, _)| *of);
        let mut writes = Writes::default();
        for (of, message) in messages {
            if message.is_erased {
                writes.erased.push(of);
            }
            match message.pin {
                Some(pin) if pin.pinned => writes.pinned.push(pin),
                None if !message.is_erased => {}
                _ => writes.unpinned.push(of),
            }
            if message.moves_pins {
                writes.counted.push(of.0);
            }
            for reaction in message.reactions.into_values() {
                writes.removed.extend(reaction.removed);
                writes.added.extend(reaction.added);
            }
        }
        let by_place =
            |change: &&NewChange| (change.conversation_id, change.message_id, change.rev);
        writes.removed.sort_unstable_by_key(by_place);
        writes.added.sort_unstable_by_key(by_place);
        writes.counted.dedup();
        writes
    }
}

/// A JSON array of `[conversation, message]`.
#[cfg(feature = "mysql")]
pub(crate) fn messages(of: &[Of]) -> String {
    json_array(
        of.iter()
            .map(|(id, message)| format!("[\"{id}\",{message}]")),
    )
}

/// A JSON array of `[conversation, user, message, emoji]`.
#[cfg(feature = "mysql")]
pub(crate) fn reactions(changes: &[&NewChange]) -> String {
    let entry = |change: &&NewChange| {
        let (id, user, message) = (change.conversation_id, change.sender_id, change.message_id);
        let emoji = serde_json::Value::from(change.content.as_str());
        format!("[\"{id}\",{user},{message},{emoji}]")
    };
    json_array(changes.iter().map(entry))
}

/// A JSON array of messages, each once.
pub(crate) fn ids(messages: &[MessageId]) -> String {
    let mut messages = messages.to_vec();
    messages.sort_unstable();
    messages.dedup();
    json_array(messages)
}

/// A line of a page of reactions.
pub(crate) type Line = (Rev, UserId, String, UnixMillis, Option<UserBrief>);

/// Puts a page together from its lines, one more than `limit`. An emoji of a newer program is left
/// out.
pub(crate) fn page(mut lines: Vec<Line>, limit: u32) -> ReactionsPage {
    let has_more = super::pages::cut(&mut lines, limit);
    let entry = |(rev, user_id, emoji, created_at, user): Line| {
        Some(ReactionEntry {
            rev,
            user_id,
            emoji: emoji.parse().ok()?,
            created_at,
            user,
        })
    };
    ReactionsPage {
        reactions: lines.into_iter().filter_map(entry).collect(),
        has_more,
    }
}

/// What a user reacted with. An emoji of a newer program is left out.
pub(crate) fn known(found: Vec<(MessageId, String)>) -> Vec<(MessageId, Emoji)> {
    let known = |(message, emoji): (MessageId, String)| Some((message, emoji.parse().ok()?));
    found.into_iter().filter_map(known).collect()
}

/// Puts the pinned messages together from lines of the head, the number of the pin and the message.
/// Without a pin there is one line with the head, without a conversation none.
pub(crate) fn pins(mut lines: Vec<(Rev, Option<Rev>, Option<MessageEntry>)>) -> PinsPage {
    let head_rev = lines.first().map_or(0, |(head, ..)| *head);
    // A join delivers its rows in any order.
    lines.sort_unstable_by_key(|(_, pin, _)| std::cmp::Reverse(*pin));
    PinsPage {
        messages: lines.into_iter().filter_map(|line| line.2).collect(),
        head_rev,
    }
}
