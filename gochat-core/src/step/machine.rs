//! The machine of one partition.

use hashbrown::HashMap;

use super::effect::{Effect, Effects, Sequenced};
use super::emit::{self, Emitter, Outgoing};
use super::judge::{judge_change, judge_references, judge_slow_mode};
use super::pace::{ToWorld, WorldPace};
use super::record::{Changed, Loaded, Need, Record, Referred, Sender, Submission, TailRecord};
use super::store::{Slot, SlotIx, Store};
use super::{Limits, Live, View};
use crate::error::{Error, ErrorCode};
use crate::fanout::Strategy;
use crate::ids::{ConversationId, MessageId, UnixMillis, UserId};
use crate::message::ChangeKind;
use crate::sequence::{Assigned, Head};

/// Maximum number of users, over the messages of a batch to a group too large to list, whose
/// membership is asked because they are named. Messages that name more are refused, retryably.
const NAMED_MAX: usize = 1_000;

/// A point in the stream of committed batches; see [`PartitionMachine::saved`].
pub type Mark = u64;

/// Sequencer and judge of one partition of `upstream`.
///
/// # Order of calls
///
/// 1. Once, when the partition is taken over: [`recover`](Self::recover) with the tail of
///    `persist` that the database doesn't hold yet, page by page.
/// 2. For every batch:
///    * [`begin`](Self::begin) with its records;
///    * [`needs`](Self::needs), load them, [`provide`](Self::provide) each answer. A need without
///      an answer is not an error: its messages are refused, retryably;
///    * [`recipients`](Self::recipients), look their presence and the authors' accounts up;
///    * [`decide`](Self::decide), write the effects and the consumed offsets in one transaction;
///    * [`committed`](Self::committed) when it stands, [`aborted`](Self::aborted) when it doesn't.
///      After the latter begin again with the same records. When nobody knows whether the
///      transaction stands, drop the machine and recover a new one.
/// 3. Now and then: [`saved`](Self::saved), so that memory can be given back.
///
/// # Invariants
///
/// * Numbers of a conversation have no gap and no repeat over all committed batches of all owners
///   the partition ever had, provided each owner recovers from `persist` and database.
/// * A repeat is acked with its first numbers before anything else is looked at: even a sender
///   who has been removed since learns what became of the message.
/// * A message that says it may be a repeat ([`Submission::resend`]) gets a number only when window and database
///   together prove that it has none yet, however long ago it was sent first. While they can't, it is refused,
///   retryably.
/// * A change is judged by the facts of its message after every change before it, saved or not: what the owner did
///   lately overrides what the database answers.
/// * A control record anywhere in a batch drops the cached facts *before* needs are computed, so
///   the whole batch is judged by facts at least as new as the change.
/// * Facts older than [`Limits::facts_ttl`] are asked for again, and used on while no answer comes: whoever
///   changed something may have died before it was announced.
/// * A group and the world chat have budgets of their own ([`Limits::pace`]), charged after
///   everything else was judged: repeats and refused messages cost nothing, nor does an aborted
///   batch. A new owner begins with full ones.
/// * A system message ([`Submission::is_system`]) is held to none of the rules for people: only a
///   group that is dissolved, and a conversation that is none, refuse it. It costs nothing.
/// * In a group in slow mode a plain member waits between two messages that got a number; a repeat
///   is acked at once.
/// * A conversation whose newest messages may not be in the database yet is never evicted: the
///   database alone would answer an old head. When such conversations fill the memory, new
///   messages are refused, retryably.
///
/// Absent on purpose: contents (effects name the record by its place in the batch), names, clocks,
/// offsets, topics. Author accounts aren't among the needs because the caller knows the authors.
#[derive(Debug)]
pub struct PartitionMachine {
    limits: Limits,
    store: Store,
    emitter: Emitter,
    batch: Vec<Record>,
    /// Slot of each record; `None` for records without one and for those that found no room.
    places: Vec<Option<SlotIx>>,
    /// Slots of the batch, each once.
    touched: Vec<SlotIx>,
    number: u64,
    /// The hand went round in this batch and found nothing to evict.
    no_room: bool,
    /// With this much saved, nothing more could be evicted.
    stuck: Option<Mark>,
    now: UnixMillis,
    mark: Mark,
    saved: Mark,
    /// What the world chat has used up, in the partition that holds it.
    world: WorldPace,
}

impl PartitionMachine {
    /// A machine that knows nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            store: Store::default(),
            emitter: Emitter::default(),
            batch: Vec::new(),
            places: Vec::new(),
            touched: Vec::new(),
            number: 0,
            no_room: false,
            stuck: None,
            now: 0,
            mark: 0,
            saved: 0,
            world: WorldPace::default(),
        }
    }

    /// Conversations in memory.
    pub fn conversations(&self) -> usize {
        self.store.len()
    }

    /// Rough memory of the conversations, in bytes.
    pub fn memory(&self) -> usize {
        self.store.weight() * 8
    }

    /// Takes in messages of `persist` that the database may not hold yet.
    ///
    /// Returns the mark to call [`saved`](Self::saved) with once it holds them.
    pub fn recover(&mut self, tail: impl IntoIterator<Item = TailRecord>) -> Mark {
        self.aborted();
        self.mark += 1;
        // Sorted rather than hashed: a simulation must take the same course every time.
        let mut tail: Vec<TailRecord> = tail.into_iter().collect();
        // Stable: changes of one message stay in their order.
        tail.sort_by_key(|record| record.conversation);
        for records in tail.chunk_by(|a, b| a.conversation == b.conversation) {
            let conversation = records[0].conversation;
            let known = self.store.find(conversation);
            let ix = known.unwrap_or_else(|| self.store.insert(conversation));
            let slot = self.store.slot_mut(ix);
            let recorded = records.iter().map(|record| record.recorded);
            slot.log.recover(Head::default(), recorded);
            for TailRecord {
                recorded, changed, ..
            } in records
            {
                if let Some(after) = changed {
                    slot.targets()
                        .recover(recorded.message_id, after, self.mark);
                }
            }
            slot.unsaved = self.mark;
            self.store.weigh(ix);
        }
        self.mark
    }

    /// Says what time it is, before a batch begins: facts age by it.
    pub fn tick(&mut self, now: UnixMillis) {
        self.now = self.now.max(now);
    }

    /// Takes a batch. One that is still open is aborted first.
    pub fn begin(&mut self, records: impl IntoIterator<Item = Record>) {
        self.aborted();
        self.number += 1;
        self.no_room = false;
        self.emitter.begin();
        self.batch.extend(records);
        for record in &self.batch {
            if let Record::FactsChanged(conversation) = record
                && let Some(ix) = self.store.find(*conversation)
            {
                self.store.slot_mut(ix).facts = None;
                self.store.weigh(ix);
            }
        }
        for i in 0..self.batch.len() {
            let place = match &self.batch[i] {
                Record::Submit(submission) => self.place(submission.conversation),
                _ => None,
            };
            self.places.push(place);
        }
    }

    fn place(&mut self, conversation: ConversationId) -> Option<SlotIx> {
        let ix = match self.store.find(conversation) {
            Some(ix) => ix,
            None if self.has_room() => self.store.insert(conversation),
            None => return None,
        };
        if self.store.touch(ix, self.number) {
            self.touched.push(ix);
        }
        Some(ix)
    }

    fn has_room(&mut self) -> bool {
        if self.store.len() < self.limits.conversations {
            return true;
        }
        self.no_room = self.no_room || !self.store.evict_one(self.number, self.saved);
        !self.no_room
    }

    /// What has to be loaded before the batch can be decided, in order of first mention.
    pub fn needs(&self) -> Vec<Need> {
        let mut needs: Vec<Need> = Vec::new();
        let mut by_slot: HashMap<SlotIx, usize> = HashMap::new();
        for (place, submission, ix) in self.submissions() {
            let slot = self.store.slot(ix);
            let resend = slot.must_look_up(submission, self.now);
            let target = slot.must_ask_target(submission, self.now);
            let quote = slot.must_ask_quote(submission, self.now);
            let (conversation, sender) = (submission.conversation, submission.sender());
            let known = slot
                .facts
                .as_ref()
                .is_some_and(|f| f.covers(conversation, sender));
            let usable = slot.loaded && known;
            let names = slot.must_ask_named(submission, self.now);
            let asks = resend || names || target.is_some() || quote.is_some();
            if usable && !asks && !self.is_old(slot) {
                continue;
            }
            let need = *by_slot.entry(ix).or_insert_with(|| {
                needs.push(Need {
                    conversation,
                    with_recent: !slot.loaded,
                    with_facts: false,
                    senders: Vec::new(),
                    named: Vec::new(),
                    resends: Vec::new(),
                    targets: Vec::new(),
                    quotes: Vec::new(),
                    reactors: Vec::new(),
                    refresh: true,
                });
                needs.len() - 1
            });
            needs[need].refresh &= usable && !asks;
            needs[need].with_facts |= !usable || names || self.is_old(slot);
            needs[need].targets.extend(target);
            needs[need].quotes.extend(quote);
            let is_reaction = submission.change.is_some_and(|c| c.kind.is_reaction());
            let reactor = target.filter(|_| is_reaction).map(|id| (id, sender));
            needs[need].reactors.extend(reactor);
            if resend {
                needs[need].resends.push(place);
            }
            if matches!(conversation, ConversationId::Group(_)) {
                needs[need].senders.push(sender);
                let room = NAMED_MAX.saturating_sub(needs[need].named.len());
                let named = submission.mentions().iter().take(room);
                needs[need].named.extend(named);
            }
        }
        for need in &mut needs {
            need.senders.sort_unstable();
            need.senders.dedup();
            need.named.sort_unstable();
            need.named.dedup();
            need.targets.sort_unstable();
            need.targets.dedup();
            need.quotes.sort_unstable();
            need.quotes.dedup();
            need.reactors.sort_unstable();
            need.reactors.dedup();
        }
        needs
    }

    /// Takes the answer to a need; answers nobody asked for are ignored.
    pub fn provide(&mut self, conversation: ConversationId, loaded: Loaded) {
        let Some(ix) = self.store.find(conversation) else {
            return;
        };
        let (number, now) = (self.number, self.now);
        let old = self.is_old(self.store.slot(ix));
        let slot = self.store.slot_mut(ix);
        if slot.batch != number || self.touched.is_empty() {
            return;
        }
        slot.looked_to = loaded.head.rev.max(loaded.head.seq);
        slot.looked = loaded.resends;
        slot.named = loaded.named;
        if let Some(mut found) = loaded.targets {
            slot.targets_asked = true;
            slot.excerpts = std::mem::take(&mut found.excerpts);
            slot.targets().learn(found);
        }
        let Some(facts) = loaded.facts else {
            slot.absent = !loaded.keeps_facts;
            return;
        };
        if !slot.loaded {
            slot.log.recover(loaded.head, loaded.recent);
            slot.loaded = true;
        }
        match &mut slot.facts {
            Some(known) if !old => known.extend(facts),
            none => {
                *none = Some(facts);
                slot.facts_at = now;
            }
        }
    }

    /// Whether facts were loaded so long ago that a change may have gone by unannounced: its announcer may have died.
    fn is_old(&self, slot: &Slot) -> bool {
        self.now >= slot.facts_at.saturating_add(self.limits.facts_ttl)
    }

    /// Whether the batch sends to a group, for which the live gateways should be known.
    pub fn sends_to_groups(&self) -> bool {
        let mut touched = self.touched.iter().map(|ix| self.store.slot(*ix));
        touched.any(|slot| matches!(slot.id, ConversationId::Group(_)))
    }

    /// Appends everybody whose presence the batch depends on while this many gateways live; repeats
    /// are possible.
    pub fn recipients(&self, gateways: usize, users: &mut Vec<UserId>) {
        let strategy = |slot| emit::strategy(slot, gateways, &self.limits.fanout);
        let mut deferred = false;
        for slot in self.touched.iter().map(|ix| self.store.slot(*ix)) {
            match strategy(slot) {
                _ if slot.facts.is_none() => {}
                Strategy::Direct => emit::with_members(slot, |m| users.extend_from_slice(m)),
                Strategy::Deferred => deferred = true,
                Strategy::Members | Strategy::Broadcast => {}
            }
        }
        if deferred {
            let pages = |ix| strategy(self.store.slot(ix)) == Strategy::Deferred;
            users.extend(
                self.submissions()
                    .filter(|(_, _, ix)| pages(*ix))
                    .map(|(_, s, _)| s.sender()),
            );
        }
    }

    /// Messages that found a slot, each with its place in the batch.
    fn submissions(&self) -> impl Iterator<Item = (usize, &Submission, SlotIx)> {
        let records = self.batch.iter().zip(&self.places).enumerate();
        records.filter_map(|(at, (record, slot))| match record {
            Record::Submit(submission) => Some((at, submission, (*slot)?)),
            _ => None,
        })
    }

    /// Numbers the batch. `effects` is cleared and filled in the order of the records.
    ///
    /// `live` are the gateways a broadcast or a list of members goes to. What is assigned here is
    /// staged until [`committed`](Self::committed).
    ///
    /// # Errors
    /// Whatever `ids` fails with; the batch is aborted then.
    pub fn decide<E>(
        &mut self,
        now: UnixMillis,
        view: &impl View,
        live: Live<'_>,
        mut ids: impl FnMut() -> Result<MessageId, E>,
        effects: &mut Effects,
    ) -> Result<(), E> {
        effects.clear();
        self.now = now;
        for record in 0..self.batch.len() {
            let submission = match &self.batch[record] {
                Record::Submit(submission) => submission.clone(),
                Record::Refused { gateway, error } => {
                    let (gateway, error) = (*gateway, error.clone());
                    effects.list.push(Effect::Nack {
                        record,
                        gateway,
                        error,
                    });
                    continue;
                }
                Record::Poison { reason } => {
                    effects.list.push(Effect::DeadLetter { record, reason });
                    continue;
                }
                Record::FactsChanged(_) => continue,
            };
            let outcome = self.admit(record, &submission, view, &mut ids);
            let gateway = submission.gateway;
            match outcome {
                Ok(Admission::New(ix, message, changed, referred)) => {
                    let author = submission.sender();
                    let out = Outgoing {
                        message,
                        changed,
                        referred,
                        author,
                        gateway,
                        view,
                        live,
                    };
                    let slot = self.store.slot_mut(ix);
                    self.emitter.emit(slot, &self.limits.fanout, out, effects);
                }
                Ok(Admission::Replay(message)) => {
                    effects.list.push(Effect::Ack {
                        message,
                        gateway,
                        replay: true,
                    });
                }
                Ok(Admission::Refused(error)) => {
                    effects.list.push(Effect::Nack {
                        record,
                        gateway,
                        error,
                    });
                }
                Err(failed) => {
                    effects.clear();
                    self.aborted();
                    return Err(failed);
                }
            }
        }
        Ok(())
    }

    /// The order of checks is the contract: repeats first, then standing, then a number.
    fn admit<E>(
        &mut self,
        record: usize,
        submission: &Submission,
        view: &impl View,
        ids: &mut impl FnMut() -> Result<MessageId, E>,
    ) -> Result<Admission, E> {
        let saturated = self.memory() / 2 >= self.limits.memory;
        let Some(ix) = self.places[record] else {
            return Ok(Admission::Refused(ErrorCode::ServiceUnavailable.into()));
        };
        let slot = self.store.slot_mut(ix);
        let sequenced = |given: Assigned| Sequenced {
            record,
            message_id: given.message_id,
            seq: given.seq,
            rev: given.rev,
            at: given.at,
        };
        if let Some(first) = slot.log.find(&submission.key, self.now) {
            return Ok(Admission::Replay(sequenced(first)));
        }
        if slot.must_look_up(submission, self.now) {
            match slot.looked_up(&submission.key, self.now) {
                Some(Some(first)) => return Ok(Admission::Replay(sequenced(first))),
                Some(None) => {}
                None if slot.absent => {}
                None => return Ok(Admission::Refused(ErrorCode::ServiceUnavailable.into())),
            }
        }
        if let Some(code) = submission.only_repeat {
            return Ok(Admission::Refused(code.into()));
        }
        let facts = match &slot.facts {
            _ if slot.absent => {
                return Ok(Admission::Refused(ErrorCode::ConversationNotFound.into()));
            }
            Some(facts) if slot.loaded && !saturated => facts,
            _ => return Ok(Admission::Refused(ErrorCode::ServiceUnavailable.into())),
        };
        if submission.is_system() {
            return match facts.judge_system(slot.id) {
                Err(error) => Ok(Admission::Refused(error)),
                Ok(()) => {
                    let message_id = ids()?;
                    let assigned = slot.log.append(submission.key, message_id, self.now);
                    Ok(Admission::New(ix, sequenced(assigned), None, None))
                }
            };
        }
        let user = submission.sender();
        let sender = view.sender(user);
        let judged = match submission.change {
            None => facts.judge(slot.id, user, sender, self.now).map(|()| None),
            Some(change) => {
                let edit = self.limits.edit_window;
                judge_change(slot, facts, change, user, sender, self.now, edit).map(Some)
            }
        };
        let changed = match judged {
            Ok(changed) => changed,
            Err(error) => return Ok(Admission::Refused(error)),
        };
        let referred = match judge_references(slot, facts, submission, self.now) {
            Ok(referred) => referred,
            Err(error) => return Ok(Admission::Refused(error)),
        };
        let is_guest = matches!(sender, Sender::Known { guest: true, .. });
        if is_guest && submission.long {
            return Ok(Admission::Refused(Error::new(
                ErrorCode::MessageTooLarge,
                "A guest's message is too long; register an account to write more.",
            )));
        }
        if submission.change.is_none()
            && let Err(error) = judge_slow_mode(slot, facts, user, self.now)
        {
            return Ok(Admission::Refused(error));
        }
        // A recall takes away, and a message is taken back once: it costs nothing.
        let is_free = submission
            .change
            .is_some_and(|change| change.kind == ChangeKind::Recall);
        if let Some(pace) = self.limits.pace.as_ref().filter(|_| !is_free) {
            let charged = match slot.id {
                ConversationId::World => {
                    let message = ToWorld {
                        author: user,
                        guest: is_guest || sender == Sender::Unknown,
                        bytes: submission.bytes,
                        per_minute: facts.messages_per_minute,
                    };
                    self.world.charge(pace, message, self.now)
                }
                ConversationId::Group(_) => {
                    let listed = facts.members.list().map(<[_]>::len);
                    let members = listed.unwrap_or(self.limits.fanout.members + 1);
                    let (bucket, bytes) = (&mut slot.used_up, submission.bytes);
                    pace.charge_group(bucket, bytes, members, self.now)
                }
                ConversationId::Single(..) => Ok(()),
            };
            if let Err(error) = charged {
                return Ok(Admission::Refused(error));
            }
        }
        let Some((change, (from, to))) = submission.change.zip(changed) else {
            let message_id = ids()?;
            let assigned = slot.log.append(submission.key, message_id, self.now);
            return Ok(Admission::New(ix, sequenced(assigned), None, referred));
        };
        let (key, target) = (submission.key, change.target);
        let seq = to.state.target.seq;
        let assigned = slot.log.append_change(key, target, seq, self.now);
        slot.targets().change(target, from, &to);
        let changed = Some(Box::new(to));
        Ok(Admission::New(ix, sequenced(assigned), changed, None))
    }

    /// The transaction stands: what was assigned is final.
    ///
    /// Returns the mark to call [`saved`](Self::saved) with once the database holds the batch.
    pub fn committed(&mut self) -> Mark {
        self.mark += 1;
        for ix in std::mem::take(&mut self.touched) {
            let slot = self.store.slot_mut(ix);
            if slot.log.head() != slot.log.committed() {
                slot.unsaved = self.mark;
            }
            slot.log.commit(self.now);
            if let Some(targets) = slot.targets_if_any() {
                targets.commit(self.mark);
                targets.forget_saved(self.saved);
            }
            slot.used_before = slot.used_up;
            self.close(ix);
        }
        self.world.commit();
        self.end();
        self.mark
    }

    /// The transaction failed: what was assigned is forgotten.
    pub fn aborted(&mut self) {
        for ix in std::mem::take(&mut self.touched) {
            let slot = self.store.slot_mut(ix);
            slot.log.rollback();
            if let Some(targets) = slot.targets_if_any() {
                targets.rollback();
            }
            slot.used_up = slot.used_before;
            self.close(ix);
        }
        self.world.rollback();
        self.end();
    }

    /// Everything up to this mark is in the database: it may be forgotten here.
    pub fn saved(&mut self, mark: Mark) {
        self.saved = self.saved.max(mark);
    }

    fn close(&mut self, ix: SlotIx) {
        let slot = self.store.slot_mut(ix);
        slot.absent = false;
        slot.targets_asked = false;
        slot.excerpts.clear();
        slot.named.clear();
        slot.looked.clear();
        // Nothing was learned about it, so nothing needs to be kept: a flood of made-up ids
        // must not push real conversations out.
        if !slot.loaded && slot.log.head() == Head::default() {
            self.store.remove(ix);
        } else {
            self.store.weigh(ix);
        }
    }

    fn end(&mut self) {
        self.batch.clear();
        self.places.clear();
        // A number of its own for the time between batches: no slot belongs to it.
        self.number += 1;
        while self.memory() > self.limits.memory && self.stuck != Some(self.saved) {
            if !self.store.evict_one(self.number, self.saved) {
                self.stuck = Some(self.saved);
            }
        }
    }
}

enum Admission {
    /// The third is there for a change: what it makes of its message. The fourth is what a message
    /// refers to.
    New(
        SlotIx,
        Sequenced,
        Option<Box<Changed>>,
        Option<Box<Referred>>,
    ),
    Replay(Sequenced),
    Refused(Error),
}
