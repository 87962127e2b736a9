//! What changes make of stored messages.

use gochat_core::ids::{ConversationId, MessageId, Rev, SeqId, UnixMillis};
use gochat_core::message::ChangeKind;
use hashbrown::HashMap;

use super::batch;
use super::text::json_array;
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
}

/// A message that got changes: all that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changed<'c> {
    pub(crate) stand: Stand,
    pub(crate) content: &'c str,
    pub(crate) extra: Option<&'c str>,
    /// When the last change was made.
    pub(crate) at: UnixMillis,
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

/// Judges changes by what is stored, in the order of their numbers. Returns an outcome per change
/// in the order given, and the messages to write in the order of the table.
pub(crate) fn apply(
    changes: &[NewChange],
    stored: Vec<Stand>,
) -> (Vec<SaveOutcome>, Vec<Changed<'_>>) {
    let at_place = |stand: Stand| ((stand.conversation_id, stand.seq_id, stand.id), stand);
    let mut stands: HashMap<_, Stand> = stored.into_iter().map(at_place).collect();
    let mut changed: HashMap<_, Changed<'_>> = HashMap::new();
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
            stand.change(change);
            changed.insert(place, stand.after(change));
        }
    }
    let mut changed: Vec<Changed<'_>> = changed.into_values().collect();
    changed.sort_unstable_by_key(|row| (row.stand.conversation_id, row.stand.seq_id));
    (outcomes, changed)
}

impl Stand {
    fn change(&mut self, change: &NewChange) {
        self.rev = change.rev;
        match change.kind {
            ChangeKind::Recall => self.deleted = true,
            // What was recalled stays empty.
            ChangeKind::Edit if self.deleted => {}
            ChangeKind::Edit => {
                self.edited_at = Some(change.created_at);
                self.edit_count = change.edit_count;
            }
        }
    }

    /// All that is written after the last change so far.
    fn after<'c>(&self, change: &'c NewChange) -> Changed<'c> {
        let (content, extra) = match self.deleted {
            true => ("", None),
            false => (change.content.as_str(), change.extra.as_deref()),
        };
        Changed {
            stand: self.clone(),
            content,
            extra,
            at: change.created_at,
        }
    }
}
