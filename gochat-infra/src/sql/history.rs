//! Pages of history.

use gochat_core::ids::SeqId;

use crate::port::db::{Direction, MessageEntry, MessagePage};

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
