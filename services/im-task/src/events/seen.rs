//! Event ids that were reacted to, as many as memory allows.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashSet;

/// A bounded set; the oldest id goes first.
pub(super) struct Seen {
    ids: HashSet<Arc<str>>,
    order: VecDeque<Arc<str>>,
    bound: usize,
}

impl Seen {
    pub(super) fn new(bound: usize) -> Self {
        Self {
            ids: HashSet::new(),
            order: VecDeque::new(),
            bound,
        }
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    pub(super) fn insert(&mut self, id: String) {
        let id: Arc<str> = id.into();
        if self.ids.insert(id.clone()) {
            self.order.push_back(id);
        }
        while self.order.len() > self.bound {
            if let Some(oldest) = self.order.pop_front() {
                self.ids.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_ids_are_remembered() {
        let mut seen = Seen::new(2);
        ["a", "b", "b", "c"]
            .into_iter()
            .for_each(|id| seen.insert(id.to_owned()));
        assert!(!seen.contains("a") && seen.contains("b") && seen.contains("c"));
    }
}
