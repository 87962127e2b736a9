//! What was told lately of messages, for the quotes of them that are told later.

use std::collections::BTreeMap;

use super::{Changed, Event};
use crate::ids::{ConversationId, MessageId};
use crate::message::EXCERPT_CHARS;
use crate::sync::Quote;

/// Maximum number of messages of a session that are kept in mind; those of which nothing was told
/// for the longest time are forgotten. Each takes less than a kilobyte.
const MAX_KNOWN: usize = 4096;

/// What was told lately of messages.
///
/// A quote is a view of a message at the moment at which it was read or pushed: a push may show less
/// than the client was told already, and what was told isn't told again. So a message that is told
/// quotes what was told of the quoted message, and every later change of that is told after it.
#[derive(Debug)]
pub(super) struct Told {
    known: BTreeMap<MessageId, Known>,
    /// Messages by the moment at which something was told of them last.
    order: BTreeMap<u64, MessageId>,
    clock: u64,
    capacity: usize,
}

#[derive(Debug)]
struct Known {
    conversation: ConversationId,
    at: u64,
    view: View,
}

#[derive(Debug)]
enum View {
    /// The message was told.
    Whole(Quote),
    /// Only changes of the message were told: it is from before the history that was loaded.
    Part(Changed),
}

impl Told {
    pub(super) const fn new() -> Self {
        Self::with_capacity(MAX_KNOWN)
    }

    const fn with_capacity(capacity: usize) -> Self {
        Self {
            known: BTreeMap::new(),
            order: BTreeMap::new(),
            clock: 0,
            capacity,
        }
    }

    /// Keeps in mind what an event tells, and makes the message that it tells quote what was told.
    pub(super) fn handle(&mut self, event: &mut Event) {
        match event {
            Event::Message(message) => {
                if let Some(quote) = &mut message.reply_to {
                    self.refresh(quote);
                }
                let view = View::Whole(Quote::of(message));
                self.insert(message.id, message.conversation_id, view);
            }
            Event::MessageChanged {
                conversation_id,
                message_id,
                change,
            } => {
                let view = match self.remove(*message_id) {
                    Some(View::Whole(mut quote)) => {
                        quote.apply(change);
                        View::Whole(quote)
                    }
                    Some(View::Part(before)) => View::Part(part(change, Some(before))),
                    None => View::Part(part(change, None)),
                };
                self.insert(*message_id, *conversation_id, view);
            }
            _ => {}
        }
    }

    /// What was told of a message of this conversation; `None` unless the message was told lately.
    pub(super) fn quote(&self, conversation: ConversationId, id: MessageId) -> Option<Quote> {
        let known = self.known.get(&id);
        match &known
            .filter(|known| known.conversation == conversation)?
            .view
        {
            View::Whole(quote) => Some(quote.clone()),
            View::Part(_) => None,
        }
    }

    /// Nothing more is told of a conversation; what is told of it later is read anew.
    pub(super) fn forget(&mut self, conversation: ConversationId) {
        let order = &mut self.order;
        self.known.retain(|_, known| {
            let stays = known.conversation != conversation;
            if !stays {
                order.remove(&known.at);
            }
            stays
        });
    }

    fn refresh(&self, quote: &mut Quote) {
        match self.known.get(&quote.message_id).map(|known| &known.view) {
            Some(View::Whole(told)) => quote.clone_from(told),
            Some(View::Part(change)) => drop(quote.apply(change)),
            None => {}
        }
    }

    fn insert(&mut self, id: MessageId, conversation: ConversationId, view: View) {
        self.remove(id);
        self.clock += 1;
        self.order.insert(self.clock, id);
        let known = Known {
            conversation,
            at: self.clock,
            view,
        };
        self.known.insert(id, known);
        while self.known.len() > self.capacity
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.known.remove(&oldest);
        }
    }

    fn remove(&mut self, id: MessageId) -> Option<View> {
        let known = self.known.remove(&id)?;
        self.order.remove(&known.at);
        Some(known.view)
    }
}

/// What a quote needs of a change and of those before it.
fn part(change: &Changed, before: Option<Changed>) -> Changed {
    let content = change.content.as_ref();
    let content = content.map(|text| text.chars().take(EXCERPT_CHARS).collect());
    Changed {
        seq_id: change.seq_id,
        deleted: change.deleted,
        edit_count: change.edit_count,
        content: content.or(before.and_then(|before| before.content)),
        ..Changed::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::UserId;
    use crate::message::QuoteState;
    use crate::sync::Message;

    fn id(n: u64) -> MessageId {
        MessageId::new(n).unwrap()
    }

    /// A message, perhaps with an answer to another one of which nothing is known but its place.
    fn message(n: u64, answers: Option<u64>) -> Message {
        let author = UserId::new(1).unwrap();
        let reply_to = answers.map(|seq_id| Quote {
            message_id: id(seq_id),
            seq_id,
            sender_id: author,
            message_type: None,
            excerpt: None,
            state: QuoteState::Normal,
        });
        Message {
            seq_id: n,
            rev: n,
            content: format!("message {n}"),
            reply_to,
            ..Message::new(ConversationId::World, id(n), author)
        }
    }

    fn tell(told: &mut Told, message: Message) -> Option<Quote> {
        let mut event = Event::Message(message);
        told.handle(&mut event);
        match event {
            Event::Message(message) => message.reply_to,
            _ => None,
        }
    }

    fn change(told: &mut Told, seq_id: u64, content: Option<&str>, deleted: bool) {
        let change = Changed {
            seq_id,
            rev: 100,
            deleted,
            content: content.map(str::to_owned),
            edit_count: 1,
            ..Changed::default()
        };
        told.handle(&mut Event::MessageChanged {
            conversation_id: ConversationId::World,
            message_id: id(seq_id),
            change,
        });
    }

    #[test]
    fn an_answer_quotes_what_was_told() {
        let mut told = Told::new();
        tell(&mut told, message(1, None));
        let quote = tell(&mut told, message(2, Some(1))).unwrap();
        assert_eq!(quote, Quote::of(&message(1, None)));
        change(&mut told, 1, Some("edited"), false);
        let quote = tell(&mut told, message(3, Some(1))).unwrap();
        assert_eq!(
            (quote.excerpt.as_deref(), quote.state),
            (Some("edited"), QuoteState::Edited)
        );
        assert_eq!(told.quote(ConversationId::World, id(1)), Some(quote));
        change(&mut told, 1, Some(""), true);
        let quote = tell(&mut told, message(4, Some(1))).unwrap();
        assert_eq!((quote.excerpt, quote.state), (None, QuoteState::Recalled));
    }

    #[test]
    fn a_change_of_a_message_that_was_not_told_is_kept_in_mind() {
        let mut told = Told::new();
        change(&mut told, 1, Some("edited"), false);
        change(&mut told, 1, None, false);
        let mut answer = message(2, Some(1));
        if let Some(quote) = &mut answer.reply_to {
            (quote.message_type, quote.excerpt) = (Some(1), Some("old".into()));
        }
        let quote = tell(&mut told, answer).unwrap();
        assert_eq!(
            (quote.excerpt.as_deref(), quote.state),
            (Some("edited"), QuoteState::Edited)
        );
        assert_eq!(told.quote(ConversationId::World, id(1)), None);
    }

    #[test]
    fn what_was_told_longest_ago_is_forgotten() {
        let mut told = Told::with_capacity(3);
        (1..=3).for_each(|n| drop(tell(&mut told, message(n, None))));
        change(&mut told, 1, None, false);
        tell(&mut told, message(4, None));
        let world = ConversationId::World;
        let known: Vec<u64> = (1..=4)
            .filter(|n| told.quote(world, id(*n)).is_some())
            .collect();
        assert_eq!(known, [1, 3, 4]);
        assert_eq!((told.known.len(), told.order.len()), (3, 3));
        told.forget(world);
        assert_eq!((told.known.len(), told.order.len()), (0, 0));
    }
}
