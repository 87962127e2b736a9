//! What is kept of the texts that edits replace.

use gochat_core::ids::{ConversationId, SeqId, UnixMillis};
use gochat_core::message::oldest_kept;
use hashbrown::{HashMap, HashSet};

use super::changes::Text;
use super::text::json_array;

/// A message of a conversation.
pub(crate) type Of = (ConversationId, SeqId);

/// A text that an edit replaces and that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Former<'c> {
    pub(crate) of: Of,
    /// The edit that made it.
    pub(crate) edit_no: u32,
    /// The text and since when, where an edit of the same batch made it; `None` = what the row says.
    pub(crate) text: Option<(Text<'c>, UnixMillis)>,
}

/// All that is written: numbers are deleted, and texts inserted that aren't there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Writes<'c> {
    /// Rows whose text is copied before it is replaced.
    pub(crate) copied: Vec<(Of, u32)>,
    /// Texts that only this batch knows.
    pub(crate) added: Vec<(Of, u32, Text<'c>, UnixMillis)>,
    /// Messages whose texts below a number are deleted.
    pub(crate) dropped: Vec<(Of, u32)>,
}

/// Messages of which texts are kept, each once, in the order of the table.
pub(crate) fn messages(former: &[Former<'_>]) -> Vec<Of> {
    let mut messages: Vec<Of> = former.iter().map(|text| text.of).collect();
    messages.sort_unstable();
    messages.dedup();
    messages
}

/// A JSON array of `[conversation, seq]`.
pub(crate) fn places(of: &[Of]) -> String {
    json_array(of.iter().map(|(id, seq)| format!("[\"{id}\",{seq}]")))
}

/// Decides what is written, by the numbers of the texts that are kept already.
pub(crate) fn plan<'c>(
    former: Vec<Former<'c>>,
    stored: &[(ConversationId, SeqId, u32)],
) -> Writes<'c> {
    let mut numbers: HashMap<Of, Vec<u32>> = HashMap::new();
    let there: HashSet<(Of, u32)> = stored
        .iter()
        .map(|(id, seq, n)| ((*id, *seq), *n))
        .collect();
    let new = former.iter().map(|text| (text.of, text.edit_no));
    for (of, number) in there.iter().copied().chain(new) {
        numbers.entry(of).or_default().push(number);
    }
    let oldest: HashMap<Of, u32> = numbers
        .into_iter()
        .map(|(of, numbers)| (of, oldest_kept(numbers)))
        .collect();
    let mut writes = Writes::default();
    let mut known = there.clone();
    for Former { of, edit_no, text } in former {
        if edit_no < oldest[&of] || !known.insert((of, edit_no)) {
            continue;
        }
        match text {
            None => writes.copied.push((of, edit_no)),
            Some((text, at)) => writes.added.push((of, edit_no, text, at)),
        }
    }
    let is_crowded = |of: &Of, oldest: u32| {
        let mut there = there.iter().filter(|(other, _)| other == of);
        there.any(|(_, number)| *number < oldest)
    };
    let mut dropped: Vec<(Of, u32)> = oldest.into_iter().collect();
    dropped.retain(|(of, oldest)| is_crowded(of, *oldest));
    dropped.sort_unstable();
    writes.dropped = dropped;
    writes
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF: Of = (ConversationId::World, 3);

    fn former(edit_no: u32, text: Option<&str>) -> Former<'_> {
        Former {
            of: OF,
            edit_no,
            text: text.map(|text| ((text, None), 7)),
        }
    }

    #[test]
    fn what_is_there_stays_and_the_oldest_beyond_twenty_go() {
        let stored: Vec<_> = (0..19).map(|n| (OF.0, OF.1, n)).collect();
        let new = vec![
            former(18, None),
            former(19, Some("a")),
            former(20, Some("b")),
        ];
        let writes = plan(new, &stored);
        let expected = Writes {
            copied: vec![],
            added: vec![(OF, 19, ("a", None), 7), (OF, 20, ("b", None), 7)],
            dropped: vec![(OF, 1)],
        };
        assert_eq!(writes, expected);
        // What would go at once isn't written.
        let many: Vec<_> = (0..30).map(|n| former(n, None)).collect();
        let writes = plan(many, &[]);
        let kept: Vec<u32> = writes.copied.iter().map(|(_, n)| *n).collect();
        assert_eq!(kept, (10..30).collect::<Vec<_>>());
        assert!(writes.dropped.is_empty());
    }
}
