//! What changes are judged by, as the owner knows it better than the database.

use std::hash::Hash;

use hashbrown::HashMap;

use super::machine::Mark;
use super::record::{Changed, Found};
use crate::ids::{MessageId, UserId};
use crate::message::{Emoji, State, Target};

/// Memory of one remembered message, in units of 8 bytes.
const TARGET_WEIGHT: usize = 40;
/// Memory of the reactions of one user to one message, in units of 8 bytes.
const OWN_WEIGHT: usize = 24;
/// So few entries are never looked through for those that are saved.
const SWEEP_FROM: usize = 64;

/// Facts of messages that are being changed, of one conversation.
#[derive(Debug, Default)]
pub(super) struct Targets {
    messages: Overlay<MessageId, Target>,
    /// A user's own reactions to a message.
    own: Overlay<(MessageId, UserId), Vec<Emoji>>,
    /// Number of pinned messages.
    pins: Overlay<(), u32>,
}

impl Targets {
    pub(super) fn message(&self, id: MessageId) -> Option<&Target> {
        self.messages.get(&id)
    }

    pub(super) fn own(&self, id: MessageId, user: UserId) -> Option<&Vec<Emoji>> {
        self.own.get(&(id, user))
    }

    pub(super) fn pins(&self) -> Option<u32> {
        self.pins.get(&()).copied()
    }

    /// Takes what the database knows, unless more is known here.
    pub(super) fn learn(&mut self, found: Found) {
        for (id, target) in found.messages {
            self.messages.learn(id, target);
        }
        for (id, user, own) in found.own {
            self.own.learn((id, user), own);
        }
        self.pins.learn((), found.pins);
    }

    /// Takes a committed change from the tail of `persist`.
    pub(super) fn recover(&mut self, id: MessageId, after: &Changed, mark: Mark) {
        let Changed {
            operator, state, ..
        } = after;
        self.messages.recover(id, state.target.clone(), mark);
        if after.kind.is_reaction() {
            self.own.recover((id, *operator), state.own.clone(), mark);
        }
        if after.kind.moves_pins() {
            self.pins.recover((), state.pins, mark);
        }
    }

    /// The running batch changes a message from one state to another.
    pub(super) fn change(&mut self, id: MessageId, from: State, to: &Changed) {
        let Changed {
            operator, state, ..
        } = to;
        self.messages.change(id, from.target, state.target.clone());
        if to.kind.is_reaction() {
            let key = (id, *operator);
            self.own.change(key, from.own, state.own.clone());
        }
        if to.kind.moves_pins() {
            self.pins.change((), from.pins, state.pins);
        }
    }

    /// The batch stands: what it changed is kept until `mark` is saved.
    pub(super) fn commit(&mut self, mark: Mark) {
        self.messages.commit(mark);
        self.own.commit(mark);
        self.pins.commit(mark);
    }

    /// The batch never was.
    pub(super) fn rollback(&mut self) {
        self.messages.rollback();
        self.own.rollback();
        self.pins.rollback();
    }

    /// Forgets what is in the database, now and then.
    pub(super) fn forget_saved(&mut self, saved: Mark) {
        self.messages.forget_saved(saved);
        self.own.forget_saved(saved);
        // There is one: it is asked for again as soon as it may be.
        self.pins.drop_saved(saved);
    }

    /// Rough memory in units of 8 bytes.
    pub(super) fn weight(&self) -> usize {
        TARGET_WEIGHT * self.messages.known.len() + OWN_WEIGHT * self.own.known.len()
    }
}

/// Facts that may not be in the database yet, and those a batch asked about.
///
/// What is not here has no change that the database lacks, so what the database answered after that
/// is true.
#[derive(Debug)]
struct Overlay<K, V> {
    known: HashMap<K, Known<V>>,
    /// What the running batch looked up or changed.
    touched: Vec<K>,
    /// With so many, saved ones are looked for.
    sweep_at: usize,
}

#[derive(Debug)]
struct Known<V> {
    now: V,
    /// As it was before the running batch, when that changed it.
    before: Option<V>,
    /// Mark of the newest committed change; `None` when it was only looked up.
    unsaved: Option<Mark>,
}

impl<K, V> Default for Overlay<K, V> {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            touched: Vec::new(),
            sweep_at: 0,
        }
    }
}

impl<K: Copy + Eq + Hash, V> Overlay<K, V> {
    fn get(&self, key: &K) -> Option<&V> {
        self.known.get(key).map(|known| &known.now)
    }

    fn learn(&mut self, key: K, found: V) {
        if !self.known.contains_key(&key) {
            let known = Known {
                now: found,
                before: None,
                unsaved: None,
            };
            self.known.insert(key, known);
            self.touched.push(key);
        }
    }

    fn recover(&mut self, key: K, after: V, mark: Mark) {
        let known = Known {
            now: after,
            before: None,
            unsaved: Some(mark),
        };
        self.known.insert(key, known);
    }

    fn change(&mut self, key: K, from: V, to: V) {
        self.learn(key, from);
        if let Some(known) = self.known.get_mut(&key) {
            let before = std::mem::replace(&mut known.now, to);
            known.before.get_or_insert(before);
            self.touched.push(key);
        }
    }

    fn commit(&mut self, mark: Mark) {
        for key in std::mem::take(&mut self.touched) {
            let Some(known) = self.known.get_mut(&key) else {
                continue;
            };
            if known.before.take().is_some() {
                known.unsaved = Some(mark);
            }
            if known.unsaved.is_none() {
                self.known.remove(&key);
            }
        }
    }

    fn rollback(&mut self) {
        for key in std::mem::take(&mut self.touched) {
            let Some(known) = self.known.get_mut(&key) else {
                continue;
            };
            if let Some(before) = known.before.take() {
                known.now = before;
            }
            if known.unsaved.is_none() {
                self.known.remove(&key);
            }
        }
    }

    fn drop_saved(&mut self, saved: Mark) {
        let is_unsaved = |known: &Known<V>| known.unsaved.is_none_or(|mark| mark > saved);
        self.known.retain(|_, known| is_unsaved(known));
    }

    fn forget_saved(&mut self, saved: Mark) {
        if self.known.len() >= self.sweep_at.max(SWEEP_FROM) {
            self.drop_saved(saved);
            self.known.shrink_to(2 * self.known.len());
            self.sweep_at = 2 * self.known.len();
        }
    }
}
