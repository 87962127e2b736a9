//! Pages of history.

use gochat_core::ids::{Rev, SeqId};

use crate::port::db::{ChangesPage, Direction, MessageEntry, MessagePage};

/// Messages a read with a type filter looks at.
const FILTER_SPAN: u64 = 5_000;

/// Cuts a filtered range to [`FILTER_SPAN`]; returns where the rest goes on.
pub(crate) fn narrow(low: &mut SeqId, high: &mut SeqId, direction: Direction) -> Option<SeqId> {
    if high.saturating_sub(*low) < FILTER_SPAN {
        return None;
    }
    match direction {
        Direction::Ascending => {
            *high = *low + FILTER_SPAN - 1;
            Some(*high + 1)
        }
        Direction::Descending => {
            *low = *high - FILTER_SPAN + 1;
            Some(*low - 1)
        }
    }
}

/// Cuts one row more than `limit` to a page. `cut` is where a narrowed range goes on.
pub(crate) fn page(mut messages: Vec<MessageEntry>, limit: u32, cut: Option<SeqId>) -> MessagePage {
    let next_seq_id = match messages.get(limit as usize) {
        Some(beyond) => Some(beyond.message.seq_id),
        None => cut,
    };
    messages.truncate(limit as usize);
    MessagePage {
        messages,
        has_more: next_seq_id.is_some(),
        next_seq_id,
    }
}

/// Puts a page of changes together from lines of the head and a message, one more than `limit`.
/// Without a message there is one line with the head, without a conversation none.
pub(crate) fn changes(lines: Vec<(Rev, Option<MessageEntry>)>, limit: u32) -> ChangesPage {
    let head_rev = lines.first().map_or(0, |(head, _)| *head);
    let mut messages: Vec<MessageEntry> = lines.into_iter().filter_map(|line| line.1).collect();
    // A join delivers its rows in any order.
    messages.sort_unstable_by_key(|entry| entry.message.rev);
    let has_more = messages.len() > limit as usize;
    messages.truncate(limit as usize);
    ChangesPage {
        messages,
        head_rev,
        has_more,
    }
}
