//! Facts of messages that are being changed, as the owner knows them better than the database.

use hashbrown::HashMap;

use super::machine::Mark;
use crate::ids::MessageId;
use crate::message::Target;

/// Memory of one remembered message, in units of 8 bytes.
const WEIGHT: usize = 16;
/// So few messages are never looked through for those that are saved.
const SWEEP_FROM: usize = 64;

/// Messages of one conversation whose changes may not be in the database yet, and those a batch asked about.
///
/// A message that is not here has no change that the database lacks, so what the database answered
/// after that is true.
#[derive(Debug, Default)]
pub(super) struct Targets {
    known: HashMap<MessageId, Known>,
    /// Messages the running batch looked up or changed.
    touched: Vec<MessageId>,
    /// With so many, saved ones are looked for.
    sweep_at: usize,
}

#[derive(Debug)]
struct Known {
    now: Target,
    /// As it was before the running batch.
    before: Target,
    /// Mark of the newest committed change; `None` when it was only looked up.
    unsaved: Option<Mark>,
    changed: bool,
}

impl Targets {
    pub(super) fn get(&self, id: MessageId) -> Option<Target> {
        self.known.get(&id).map(|known| known.now)
    }

    /// Takes what the database knows of a message, unless more is known here.
    pub(super) fn learn(&mut self, id: MessageId, found: Target) {
        if !self.known.contains_key(&id) {
            let known = Known {
                now: found,
                before: found,
                unsaved: None,
                changed: false,
            };
            self.known.insert(id, known);
            self.touched.push(id);
        }
    }

    /// Takes a committed change from the tail of `persist`.
    pub(super) fn recover(&mut self, id: MessageId, after: Target, mark: Mark) {
        let known = Known {
            now: after,
            before: after,
            unsaved: Some(mark),
            changed: false,
        };
        self.known.insert(id, known);
    }

    /// The running batch changes a message from one state to another.
    pub(super) fn change(&mut self, id: MessageId, from: Target, to: Target) {
        self.learn(id, from);
        if let Some(known) = self.known.get_mut(&id) {
            (known.now, known.changed) = (to, true);
            self.touched.push(id);
        }
    }

    /// The batch stands: what it changed is kept until `mark` is saved.
    pub(super) fn commit(&mut self, mark: Mark) {
        for id in std::mem::take(&mut self.touched) {
            let Some(known) = self.known.get_mut(&id) else {
                continue;
            };
            if known.changed {
                (known.before, known.changed) = (known.now, false);
                known.unsaved = Some(mark);
            }
            if known.unsaved.is_none() {
                self.known.remove(&id);
            }
        }
    }

    /// The batch never was.
    pub(super) fn rollback(&mut self) {
        for id in std::mem::take(&mut self.touched) {
            let Some(known) = self.known.get_mut(&id) else {
                continue;
            };
            (known.now, known.changed) = (known.before, false);
            if known.unsaved.is_none() {
                self.known.remove(&id);
            }
        }
    }

    /// Forgets messages whose changes are in the database, now and then.
    pub(super) fn forget_saved(&mut self, saved: Mark) {
        if self.known.len() >= self.sweep_at.max(SWEEP_FROM) {
            let is_unsaved = |known: &Known| known.unsaved.is_none_or(|mark| mark > saved);
            self.known.retain(|_, known| is_unsaved(known));
            self.known.shrink_to(2 * self.known.len());
            self.sweep_at = 2 * self.known.len();
        }
    }

    /// Rough memory in units of 8 bytes.
    pub(super) fn weight(&self) -> usize {
        WEIGHT * self.known.len()
    }
}
