//! What changes make of stored messages.

use gochat_core::ids::{ConversationId, MessageId, Rev, SeqId, UnixMillis};
use gochat_core::message::{ChangeKind, Tally};
use hashbrown::{HashMap, HashSet};

use super::former::{self, Former};
use super::reactions::{Collector, Writes};
use super::text::json_array;
use super::{batch, mentions};
use crate::port::db::{NewChange, SaveOutcome};

/// A stored message as changes meet it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stand {
    pub(crate) conversation_id: ConversationId,
    pub(crate) seq_id: SeqId,
    pub(crate) id: MessageId,
    /// Number of its last change.
    pub(crate) rev: Rev,
    pub(crate) deleted: bool,
    pub(crate) edited_at: Option<UnixMillis>,
    pub(crate) edit_count: u32,
    pub(crate) pinned: bool,
    pub(crate) reactions: Tally,
}

/// Content and extra.
pub(crate) type Text<'c> = (&'c str, Option<&'c str>);

/// A message that got changes: all that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changed<'c> {
    pub(crate) stand: Stand,
    /// What replaces content and extra; `None` leaves them as they are.
    pub(crate) text: Option<Text<'c>>,
    /// When the last change was made.
    pub(crate) at: UnixMillis,
}

/// What becomes of changes.
pub(crate) struct Applied<'c> {
    /// An outcome per change, in the order given.
    pub(crate) outcomes: Vec<SaveOutcome>,
    /// The messages to write, in the order of the table.
    pub(crate) changed: Vec<Changed<'c>>,
    /// Texts to keep before the messages are written.
    pub(crate) former: Vec<Former<'c>>,
    /// The reactions and pins to write.
    pub(crate) writes: Writes<'c>,
}

/// Places of the messages that are changed, each once, in the order of the table: a JSON array of
/// `[conversation, seq, id]`.
pub(crate) fn places(changes: &[NewChange]) -> String {
    let mut places: Vec<_> = changes.iter().map(place).collect();
    places.sort_unstable();
    places.dedup();
    let entry = |(conversation, seq, id)| format!("[\"{conversation}\",{seq},{id}]");
    json_array(places.into_iter().map(entry))
}

fn place(change: &NewChange) -> (ConversationId, SeqId, MessageId) {
    (change.conversation_id, change.seq_id, change.message_id)
}

/// Judges changes by what is stored, in the order of their numbers.
pub(crate) fn apply(changes: &[NewChange], stored: Vec<Stand>) -> Applied<'_> {
    let at_place = |stand: Stand| ((stand.conversation_id, stand.seq_id, stand.id), stand);
    let mut stands: HashMap<_, Stand> = stored.into_iter().map(at_place).collect();
    let mut written: HashMap<_, (Option<Text<'_>>, UnixMillis)> = HashMap::new();
    let mut collector = Collector::default();
    let mut former = Vec::new();
    let mut outcomes = vec![SaveOutcome::Duplicate; changes.len()];
    let mut order: Vec<usize> = (0..changes.len()).collect();
    order.sort_by_key(|&at| changes[at].rev);
    for at in order {
        let change = &changes[at];
        let place = place(change);
        let Some(stand) = stands.get_mut(&place) else {
            batch::alert_missing(change);
            outcomes[at] = SaveOutcome::Missing;
            continue;
        };
        if stand.rev < change.rev {
            outcomes[at] = SaveOutcome::Stored;
            collector.note(change, stand);
            let (text, made_at) = written.entry(place).or_default();
            former.extend(stand.former(change, *text));
            *text = stand.change(change).or(*text);
            *made_at = change.created_at;
        }
    }
    let changed = written.into_iter().filter_map(|(place, (text, at))| {
        let stand = stands.remove(&place)?;
        Some(Changed { stand, text, at })
    });
    let mut changed: Vec<Changed<'_>> = changed.collect();
    changed.sort_unstable_by_key(|row| (row.stand.conversation_id, row.stand.seq_id));
    // A recall behind the edits leaves nothing of them.
    let recalled: HashSet<former::Of> = mentions::erased(&changed).into_iter().collect();
    former.retain(|text: &Former<'_>| !recalled.contains(&text.of));
    Applied {
        former,
        outcomes,
        changed,
        writes: collector.finish(),
    }
}

impl Stand {
    /// Moves to the state after a change. Returns what replaces content and extra, if anything
    /// does. Each kind writes its own part of the row alone: a sequencer that doesn't know the
    /// other parts can't erase them.
    fn change<'c>(&mut self, change: &'c NewChange) -> Option<Text<'c>> {
        self.rev = change.rev;
        match change.kind {
            // What was recalled stays empty.
            _ if self.deleted => {}
            ChangeKind::Recall => self.deleted = true,
            ChangeKind::Edit => {
                self.edited_at = Some(change.created_at);
                self.edit_count = change.edit_count;
                return Some((&change.content, change.extra.as_deref()));
            }
            ChangeKind::React | ChangeKind::Unreact => {
                self.reactions.clone_from(&change.reactions);
            }
            ChangeKind::Pin | ChangeKind::Unpin => self.pinned = change.pinned,
        }
        if !self.deleted {
            return None;
        }
        (self.pinned, self.reactions) = (false, Tally::default());
        Some(("", None))
    }

    /// The text that a change replaces, if it is kept; `text` is what an earlier change of the batch
    /// made of it.
    fn former<'c>(&self, change: &NewChange, text: Option<Text<'c>>) -> Option<Former<'c>> {
        let is_kept = change.kind == ChangeKind::Edit && change.keeps_former && !self.deleted;
        is_kept.then(|| Former {
            of: (self.conversation_id, self.seq_id),
            edit_no: self.edit_count,
            text: text.zip(self.edited_at),
        })
    }

    /// The reactions as the row keeps them; `None` without any.
    pub(crate) fn reactions_json(&self) -> Option<String> {
        Some(self.reactions.to_json()).filter(|json| !json.is_empty())
    }
}
