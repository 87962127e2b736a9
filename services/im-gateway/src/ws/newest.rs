//! The newest message of each conversation that a connection was pushed.
//!
//! A message whose row was late is pushed again to those who may have missed it. Whoever was pushed a *later* message of
//! the conversation meanwhile has seen the gap and fetches it, so on a settled connection the late one would only come out of order. It exists on
//! connections that were pushed something, and is bounded: of a conversation beyond the newest ones a late message may
//! come out of order, and clients put it in its place by its number.

use std::collections::VecDeque;

/// Conversations remembered per connection.
const MOST: usize = 64;

/// A message's conversation, as a number, and its place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    /// Hash of the conversation; 0 = not a message.
    pub(crate) conversation: u64,
    /// Place in the conversation.
    pub(crate) seq: i64,
    /// Pushed once more because it may have been missed.
    pub(crate) again: bool,
}

impl Spot {
    /// Something that is not a message and always goes out.
    pub(crate) const NONE: Self = Self {
        conversation: 0,
        seq: 0,
        again: false,
    };
}

/// Newest numbers by conversation; the one pushed last stands at the end.
#[derive(Debug, Default)]
pub(super) struct Newest(VecDeque<(u64, i64)>);

impl Newest {
    /// The conversations remembered.
    pub(super) fn conversations(&self) -> impl Iterator<Item = u64> {
        self.0.iter().map(|(conversation, _)| *conversation)
    }

    /// Notes a push; false when it is a late one that a later one has overtaken.
    pub(super) fn admits(&mut self, spot: Spot) -> bool {
        let known = self.0.iter().rposition(|(c, _)| *c == spot.conversation);
        let before = known.and_then(|at| self.0.remove(at));
        let newest = before.map_or(i64::MIN, |(_, seq)| seq);
        let late = spot.again && spot.seq < newest;
        if before.is_none() && self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back((spot.conversation, newest.max(spot.seq)));
        !late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spot(conversation: u64, seq: i64, again: bool) -> Spot {
        Spot {
            conversation,
            seq,
            again,
        }
    }

    #[test]
    fn a_late_message_goes_out_unless_a_later_one_did() {
        let mut newest = Newest::default();
        assert!(newest.admits(spot(1, 3, true)), "nothing was pushed yet");
        assert!(newest.admits(spot(1, 4, true)));
        assert!(newest.admits(spot(1, 9, false)));
        assert!(!newest.admits(spot(1, 5, true)), "the gap is known");
        assert!(newest.admits(spot(2, 5, true)), "another conversation");
        assert!(
            newest.admits(spot(1, 8, false)),
            "first pushes are not judged"
        );
        assert!(
            !newest.admits(spot(1, 8, true)),
            "and don't move the mark back"
        );
    }

    #[test]
    fn memory_is_bounded_and_keeps_what_was_pushed_last() {
        let mut newest = Newest::default();
        for conversation in 1..=1_000 {
            newest.admits(spot(conversation, 7, false));
            newest.admits(spot(1, 7, false));
        }
        assert_eq!(newest.0.len(), MOST);
        assert!(!newest.admits(spot(1, 6, true)));
        assert!(newest.admits(spot(2, 6, true)), "forgotten");
    }
}
