//! Page numbers on lists that move.
//!
//! Lists are paged by key: each page names where the next one starts. A client that turns pages by
//! number asks for "page 2", and the rows before it may have moved since page 1. So the gateway
//! remembers where each numbered page ended, and answers the next number from there. What was
//! forgotten (another gateway answered, or too much time went by) is answered by counting rows, in
//! the same order. Cursors need none of this.

use std::hash::Hash;

use gochat_core::ids::UserId;
use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::clock;

/// Pages remembered per generation; there are two.
const PAGES: usize = 16_384;
/// How long the end of a page is remembered, in milliseconds.
const AGE_MS: u64 = 10 * 60 * 1_000;

struct End {
    cursor: String,
    at_ms: u64,
}

type Pages = HashMap<u64, End, ahash::RandomState>;

#[derive(Default)]
struct Ends {
    now: Pages,
    before: Pages,
}

/// Where numbered pages ended.
pub(crate) struct Turns {
    ends: Mutex<Ends>,
    hasher: ahash::RandomState,
}

/// A list as one user turns its pages: the list, its filters and the size of its pages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn(u64);

impl Turns {
    pub(crate) fn new() -> Self {
        Self {
            ends: Mutex::default(),
            hasher: ahash::RandomState::new(),
        }
    }

    /// The list that is described by a name, its filters and the size of its pages.
    pub(crate) fn of(&self, user: UserId, list: impl Hash) -> Turn {
        Turn(self.hasher.hash_one((user, list)))
    }

    fn key(&self, turn: Turn, page: i32) -> u64 {
        self.hasher.hash_one((turn.0, page))
    }

    /// The cursor a page is to be read from: what the client says, else where the page before
    /// ended, as far as that is known. Empty = by counting.
    pub(crate) fn cursor(&self, turn: Turn, page: i32, said: Option<String>) -> String {
        if let Some(said) = said.filter(|cursor| !cursor.is_empty()) {
            return said;
        }
        if page <= 1 {
            return String::new();
        }
        let key = self.key(turn, page - 1);
        let ends = self.ends.lock();
        let end = ends.now.get(&key).or_else(|| ends.before.get(&key));
        let now = clock::ticks_ms();
        let end = end.filter(|end| now.saturating_sub(end.at_ms) < AGE_MS);
        end.map(|end| end.cursor.clone()).unwrap_or_default()
    }

    /// Notes where a page ended; `cursor` is empty at the end of the list.
    pub(crate) fn note(&self, turn: Turn, page: i32, cursor: &str) {
        if cursor.is_empty() {
            return;
        }
        let key = self.key(turn, page);
        let end = End {
            cursor: cursor.to_owned(),
            at_ms: clock::ticks_ms(),
        };
        let mut ends = self.ends.lock();
        if ends.now.len() >= PAGES {
            ends.before = std::mem::take(&mut ends.now);
        }
        ends.now.insert(key, end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(n: u64) -> UserId {
        UserId::new(n).unwrap()
    }

    #[test]
    fn a_page_starts_where_the_one_before_ended() {
        let turns = Turns::new();
        let list = turns.of(user(1), ("members", 20));
        assert_eq!(turns.cursor(list, 2, None), "", "nothing is known");
        turns.note(list, 1, "a");
        turns.note(list, 2, "");
        assert_eq!(turns.cursor(list, 2, None), "a");
        assert_eq!(turns.cursor(list, 3, None), "", "there was no more");
        assert_eq!(turns.cursor(list, 1, None), "");
        assert_eq!(turns.cursor(list, 2, Some("said".into())), "said");
        let others = [
            turns.of(user(2), ("members", 20)),
            turns.of(user(1), ("members", 10)),
        ];
        for other in others {
            assert_eq!(turns.cursor(other, 2, None), "", "another list");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let turns = Turns::new();
        let list = turns.of(user(1), "all");
        for page in 1..=(3 * PAGES as i32) {
            turns.note(list, page, "x");
        }
        let ends = turns.ends.lock();
        assert!(ends.now.len() <= PAGES && ends.before.len() <= PAGES);
        drop(ends);
        assert_eq!(turns.cursor(list, 3 * PAGES as i32 + 1, None), "x");
        assert_eq!(turns.cursor(list, 2, None), "");
    }
}
