//! Conversations in memory: a bounded table with second-chance eviction.

use hashbrown::HashMap;

use super::facts::Facts;
use super::record::{Change, Excerpt, Looked, Quoted, Submission};
use super::targets::Targets;
use crate::error::{ErrorCode, Result};
use crate::ids::{ConversationId, MessageId, Rev, UnixMillis, UserId};
use crate::message::{Emoji, QuoteState, Reply, State, Target};
use crate::ratelimit::TokenBucket;
use crate::sequence::{Assigned, ClientKey, ConversationLog};

/// Place of a conversation in the [`Store`].
pub(super) type SlotIx = usize;

/// A conversation the partition's owner holds.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) id: ConversationId,
    pub(super) log: ConversationLog,
    /// Head and window are united with what the database knows.
    pub(super) loaded: bool,
    pub(super) facts: Option<Facts>,
    /// When they were loaded.
    pub(super) facts_at: UnixMillis,
    /// The database answered in this batch that there is no such conversation.
    pub(super) absent: bool,
    /// What the database knows of resends of this batch.
    pub(super) looked: Vec<Looked>,
    /// The newest `rev` it had when it was asked.
    pub(super) looked_to: Rev,
    /// Whether the database was asked in this batch about the messages to be changed.
    pub(super) targets_asked: bool,
    /// Users that messages of this batch name, and whether they are members, of a group too large to
    /// list. Kept apart from the authors whose standing is remembered: strangers can name anybody.
    pub(super) named: Vec<(UserId, bool)>,
    /// What is shown of messages that are answered in this batch.
    pub(super) excerpts: Vec<(MessageId, Excerpt)>,
    /// Boxed: in most conversations nothing is changed.
    targets: Option<Box<Targets>>,
    /// Batch that touched the slot last.
    pub(super) batch: u64,
    /// Plan of this batch, an index; see `machine`.
    pub(super) plan: Option<usize>,
    /// Mark of the last batch that appended: until that is saved, only this slot knows the head.
    pub(super) unsaved: u64,
    /// What its authors have used up, and as it was before the batch.
    pub(super) used_up: TokenBucket,
    pub(super) used_before: TokenBucket,
    /// Second chance: set by use, cleared by the passing hand.
    used: bool,
    weight: usize,
}

/// Fixed part of a slot's memory, in units of 8 bytes.
const SLOT_WEIGHT: usize = 32;
/// A window entry's memory, in units of 8 bytes: the entry, its place in the index, and the room
/// that both keep free.
const ENTRY_WEIGHT: usize = 8;

impl Slot {
    fn new(id: ConversationId) -> Self {
        Self {
            id,
            log: ConversationLog::default(),
            loaded: false,
            facts: None,
            facts_at: 0,
            absent: false,
            looked: Vec::new(),
            looked_to: 0,
            targets_asked: false,
            excerpts: Vec::new(),
            named: Vec::new(),
            targets: None,
            batch: 0,
            plan: None,
            unsaved: 0,
            used_up: TokenBucket::default(),
            used_before: TokenBucket::default(),
            used: true,
            weight: 0,
        }
    }

    /// Whether the database must be asked what became of this message: it may be a repeat of one that the window
    /// doesn't reach back to.
    pub(super) fn must_look_up(&self, submission: &Submission, now: UnixMillis) -> bool {
        submission.resend
            && self.log.find(&submission.key, now).is_none()
            && !(self.loaded && self.log.known_from(now) <= 1)
    }

    /// What the database knows of this message; the outer `None` when that isn't known: nobody asked, or what was
    /// stored when it was asked and what the window holds don't meet.
    pub(super) fn looked_up(&self, key: &ClientKey, now: UnixMillis) -> Option<Option<Assigned>> {
        let looked = self.looked.iter().find(|looked| looked.key == *key)?;
        let Some(first) = looked.found else {
            return (self.log.known_from(now) <= self.looked_to.saturating_add(1)).then_some(None);
        };
        Some(Some(Assigned {
            message_id: first.message_id,
            seq: first.seq,
            rev: first.rev,
            at: first.at,
        }))
    }

    /// The message that a change is about and whose facts must be looked up before it is judged.
    pub(super) fn must_ask_target(&self, wish: &Submission, now: UnixMillis) -> Option<MessageId> {
        let change = wish.change?;
        let is_known = self.remembers(change, wish.sender());
        (!is_known && self.log.find(&wish.key, now).is_none()).then_some(change.target)
    }

    /// Whether all that a change is judged by is in memory.
    fn remembers(&self, change: Change, user: UserId) -> bool {
        let targets = self.targets.as_deref();
        let id = change.target;
        let is_known = targets.is_some_and(|targets| targets.message(id).is_some());
        (is_known || self.untouched(id, user).is_some())
            && (!change.kind.is_reaction() || self.own_reactions(id, user).is_some())
            && (!change.kind.moves_pins() || targets.is_some_and(|t| t.pins().is_some()))
    }

    /// A message of a short while ago that nobody changed since.
    fn untouched(&self, id: MessageId, user: UserId) -> Option<Target> {
        let since = self.log.since_sent(id, user)?;
        (!since.is_changed).then(|| Target {
            system: since.is_system,
            ..Target::new(since.sent.seq, since.author, since.sent.at)
        })
    }

    /// The reactions of a user to a message. A user who changed nothing about the message has none.
    fn own_reactions(&self, id: MessageId, user: UserId) -> Option<Vec<Emoji>> {
        let targets = self.targets.as_deref();
        let own = targets.and_then(|targets| targets.own(id, user)).cloned();
        own.or_else(|| {
            let since = self.log.since_sent(id, user)?;
            (!since.is_changed_by).then(Vec::new)
        })
    }

    /// The message that is answered and must be looked up: what it says is never in memory.
    pub(super) fn must_ask_quote(&self, wish: &Submission, now: UnixMillis) -> Option<MessageId> {
        let id = wish.reply_to()?;
        self.log.find(&wish.key, now).is_none().then_some(id)
    }

    /// Whether the users that a message names must be looked up: of a group too large to list only
    /// authors are remembered.
    pub(super) fn must_ask_named(&self, wish: &Submission, now: UnixMillis) -> bool {
        let is_listed = |facts: &Facts| facts.members.list().is_some();
        matches!(self.id, ConversationId::Group(_))
            && !wish.mentions().is_empty()
            && !self.facts.as_ref().is_some_and(is_listed)
            && self.log.find(&wish.key, now).is_none()
    }

    /// Those of the users that a message here may name: members, and anybody in the world chat. Others
    /// are left out: whoever left a moment ago is no reason to refuse a message.
    ///
    /// # Errors
    /// `SERVICE_UNAVAILABLE` while it isn't known of one.
    pub(super) fn members_among(&self, facts: &Facts, users: &[UserId]) -> Result<Vec<UserId>> {
        let mut members = Vec::new();
        for user in users {
            let asked = self.named.iter().find(|(named, _)| named == user);
            let is_member = match (asked, facts.members.standing(self.id, *user)) {
                (_, Some(standing)) => standing.is_some(),
                (Some((_, is_member)), None) => *is_member,
                (None, None) => return Err(ErrorCode::ServiceUnavailable.into()),
            };
            if is_member {
                members.push(*user);
            }
        }
        Ok(members)
    }

    /// The message that is answered; the outer `None` when it isn't known, the inner one when there
    /// is no such message. `shown` says whether its text may be told to everybody.
    pub(super) fn quoted(
        &self,
        id: MessageId,
        shown: bool,
        now: UnixMillis,
    ) -> Option<Option<Quoted>> {
        let Some(target) = self.target(id, now)? else {
            return Some(None);
        };
        let stored = self.excerpts.iter().find(|(of, _)| *of == id);
        let stored = stored.map(|(_, excerpt)| excerpt);
        let is_current = |stored: &&Excerpt| stored.edits == target.edits && !target.recalled;
        let text = stored.filter(is_current).filter(|_| shown);
        Some(Some(Quoted {
            reply: Reply {
                id,
                seq: target.seq,
                by: target.author,
            },
            state: QuoteState::of(target.recalled, target.edits),
            kind: stored.map_or(0, |stored| stored.kind),
            excerpt: text.map(|stored| stored.text.clone()).unwrap_or_default(),
        }))
    }

    /// What a change is judged by; the outer `None` when it isn't known, the inner one when there
    /// is no such message.
    pub(super) fn state(
        &self,
        change: Change,
        user: UserId,
        now: UnixMillis,
    ) -> Option<Option<State>> {
        let target = match self.untouched(change.target, user) {
            Some(target) => target,
            None => match self.target(change.target, now)? {
                Some(target) => target,
                None => return Some(None),
            },
        };
        let own = match change.kind.is_reaction() {
            true => self
                .own_reactions(change.target, user)
                .or_else(|| self.targets_asked.then(Vec::new))?,
            false => Vec::new(),
        };
        let pins = match change.kind.moves_pins() {
            true => self.targets.as_deref().and_then(Targets::pins)?,
            false => 0,
        };
        Some(Some(State { target, own, pins }))
    }

    /// Facts of a message that is to be changed; the outer `None` when they aren't known: nobody
    /// asked, or what is stored and what the window holds don't meet.
    fn target(&self, id: MessageId, now: UnixMillis) -> Option<Option<Target>> {
        if let Some(known) = self
            .targets
            .as_ref()
            .and_then(|targets| targets.message(id))
        {
            return Some(Some(known.clone()));
        }
        if !self.targets_asked {
            return None;
        }
        // Not stored: a message of this moment, or none.
        if let Some((author, sent, system)) = self.log.message(id, self.looked_to, now) {
            return Some(Some(Target {
                system,
                ..Target::new(sent.seq, author, sent.at)
            }));
        }
        (self.log.known_from(now) <= self.looked_to.saturating_add(1)).then_some(None)
    }

    /// What is remembered of messages that are changed.
    pub(super) fn targets(&mut self) -> &mut Targets {
        self.targets.get_or_insert_default()
    }

    /// The same, when there is anything.
    pub(super) fn targets_if_any(&mut self) -> Option<&mut Targets> {
        self.targets.as_deref_mut()
    }

    /// Nothing would be lost by forgetting it.
    fn is_disposable(&self, batch: u64, saved: u64) -> bool {
        self.batch != batch && self.unsaved <= saved
    }
}

#[derive(Debug, Default)]
pub(super) struct Store {
    by_id: HashMap<ConversationId, SlotIx>,
    slots: Vec<Option<Slot>>,
    free: Vec<SlotIx>,
    hand: SlotIx,
    weight: usize,
}

impl Store {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Memory in units of 8 bytes, as of the last [`Store::weigh`] of each slot.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    pub(super) fn find(&self, id: ConversationId) -> Option<SlotIx> {
        self.by_id.get(&id).copied()
    }

    pub(super) fn slot(&self, ix: SlotIx) -> &Slot {
        self.slots[ix]
            .as_ref()
            .expect("slots of the running batch are never evicted")
    }

    pub(super) fn slot_mut(&mut self, ix: SlotIx) -> &mut Slot {
        self.slots[ix]
            .as_mut()
            .expect("slots of the running batch are never evicted")
    }

    /// Notes that a batch uses the slot; true when it is the first time in this batch.
    pub(super) fn touch(&mut self, ix: SlotIx, batch: u64) -> bool {
        let slot = self.slot_mut(ix);
        slot.used = true;
        let first = slot.batch != batch;
        (slot.batch, slot.plan) = if first {
            (batch, None)
        } else {
            (batch, slot.plan)
        };
        first
    }

    pub(super) fn insert(&mut self, id: ConversationId) -> SlotIx {
        let slot = Some(Slot::new(id));
        let ix = match self.free.pop() {
            Some(ix) => {
                self.slots[ix] = slot;
                ix
            }
            None => {
                self.slots.push(slot);
                self.slots.len() - 1
            }
        };
        self.by_id.insert(id, ix);
        self.weigh(ix);
        ix
    }

    pub(super) fn remove(&mut self, ix: SlotIx) {
        if let Some(slot) = self.slots[ix].take() {
            self.by_id.remove(&slot.id);
            self.weight -= slot.weight;
            self.free.push(ix);
        }
    }

    /// Measures a slot that grew or shrank.
    pub(super) fn weigh(&mut self, ix: SlotIx) {
        let slot = self.slots[ix]
            .as_mut()
            .expect("slots of the running batch are never evicted");
        let facts = slot.facts.as_ref().map_or(0, Facts::weight);
        let targets = slot.targets.as_ref().map_or(0, |targets| targets.weight());
        let weight = SLOT_WEIGHT + ENTRY_WEIGHT * slot.log.remembered() + facts + targets;
        self.weight = self.weight + weight - slot.weight;
        slot.weight = weight;
    }

    /// Forgets one conversation that wasn't used for long and is safe in the database.
    /// False when there is none, after two rounds of the hand.
    pub(super) fn evict_one(&mut self, batch: u64, saved: u64) -> bool {
        for _ in 0..2 * self.slots.len() {
            self.hand = if self.hand + 1 < self.slots.len() {
                self.hand + 1
            } else {
                0
            };
            let Some(slot) = &mut self.slots[self.hand] else {
                continue;
            };
            if !slot.is_disposable(batch, saved) {
                continue;
            }
            if std::mem::take(&mut slot.used) {
                continue;
            }
            self.remove(self.hand);
            return true;
        }
        false
    }
}
