//! Owners come and go, transactions fail, the database lags: the laws hold, for messages and for
//! changes of them.
//!
//! The oracle is the `persist` log itself: what is in it is what happened.

use std::collections::{BTreeMap, HashMap, HashSet};

use gochat_core::fanout::Budget;
use gochat_core::ids::{ConversationId, MessageId, Rev, SeqId, UserId};
use gochat_core::message::{ChangeKind, EDIT_WINDOW_MS, Emoji, State, Target};
use gochat_core::sequence::{ClientKey, Head, Recorded, WINDOW_MS};
use gochat_core::step::*;
use proptest::prelude::*;

use crate::support::*;

/// One thing that happens.
#[derive(Debug, Clone)]
enum Event {
    /// Somebody sends; small ranges make repeats and shared conversations likely.
    Produce {
        conversation: u64,
        sender: u64,
        client: u8,
    },
    /// Somebody changes a message of the conversation, known or not.
    Change {
        conversation: u64,
        sender: u64,
        client: u8,
        kind: usize,
        which: u64,
    },
    /// Membership of a user changes in the database, and a control record follows.
    ToggleMember { conversation: u64, user: u64 },
    /// The owner takes a batch; the transaction may fail, the process may die around it.
    Batch {
        most: usize,
        fate: Fate,
        database_away: bool,
    },
    /// im-task writes rows and commits its offset.
    Save { most: usize },
    /// Time passes.
    Wait { ms: u64 },
    /// The owner learns how much is saved, and may forget it.
    Learn,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Commit,
    Abort,
    CrashBefore,
    CrashAfter,
}

fn event() -> impl Strategy<Value = Event> {
    let fate = prop_oneof![
        6 => Just(Fate::Commit),
        2 => Just(Fate::Abort),
        1 => Just(Fate::CrashBefore),
        1 => Just(Fate::CrashAfter),
    ];
    prop_oneof![
        6 => (0..4u64, 1..4u64, 0..12u8).prop_map(|(conversation, sender, client)| {
            Event::Produce { conversation, sender, client }
        }),
        6 => (0..4u64, 1..4u64, 0..24u8, 0..6usize, 0..20u64)
            .prop_map(|(conversation, sender, client, kind, which)| {
                Event::Change { conversation, sender, client, kind, which }
            }),
        1 => (0..4u64, 1..4u64)
            .prop_map(|(conversation, user)| Event::ToggleMember { conversation, user }),
        4 => (1..8usize, fate, prop::bool::weighted(0.1)).prop_map(|(most, fate, database_away)| {
            Event::Batch { most, fate, database_away }
        }),
        2 => (1..10usize).prop_map(|most| Event::Save { most }),
        1 => (0..5_000u64).prop_map(|ms| Event::Wait { ms }),
        1 => (WINDOW_MS..2 * WINDOW_MS).prop_map(|ms| Event::Wait { ms }),
        1 => Just(Event::Learn),
    ]
}

#[derive(Debug, Clone, PartialEq)]
struct Row {
    conversation: ConversationId,
    recorded: Recorded,
    changed: Option<Changed>,
    change: Option<Change>,
}

/// The state of a conversation after some rows: the definition, replayed.
#[derive(Debug, Default)]
struct Truth {
    targets: BTreeMap<MessageId, Target>,
    own: BTreeMap<(MessageId, UserId), Vec<Emoji>>,
    pins: u32,
}

impl Truth {
    fn of(rows: &[Row], conversation: ConversationId) -> Self {
        let mut truth = Self::default();
        for row in rows.iter().filter(|row| row.conversation == conversation) {
            let (id, who) = (row.recorded.message_id, row.recorded.key.sender);
            match row.change {
                None => {
                    let target = Target::new(row.recorded.seq, who, row.recorded.at);
                    truth.targets.insert(id, target);
                }
                Some(change) => {
                    let before = truth.state(id, who).expect("what is changed was sent");
                    let after = before.after(change.kind, change.emoji);
                    truth.pins = after.pins;
                    truth.targets.insert(id, after.target);
                    match change.kind {
                        ChangeKind::Recall => truth.own.retain(|(of, _), _| *of != id),
                        _ => drop(truth.own.insert((id, who), after.own)),
                    }
                }
            }
        }
        truth
    }

    fn state(&self, id: MessageId, who: UserId) -> Option<State> {
        Some(State {
            target: self.targets.get(&id)?.clone(),
            own: self.own.get(&(id, who)).cloned().unwrap_or_default(),
            pins: self.pins,
        })
    }
}

/// The partition and everything around its owner.
struct World {
    upstream: Vec<Record>,
    committed: usize,
    persist: Vec<Row>,
    saved: usize,
    members: HashMap<ConversationId, HashSet<UserId>>,
    owner: PartitionMachine,
    /// Persist length by mark, for `saved`.
    marks: Vec<(Mark, usize)>,
    /// Everything that was ever sent, so that repetitions say what they are.
    sent: HashSet<(ConversationId, ClientKey)>,
    acks: HashMap<(ConversationId, ClientKey), (MessageId, SeqId, Rev)>,
    now: u64,
    next_id: u64,
}

const LIMITS: Limits = Limits {
    conversations: 3,
    memory: 4_000,
    fanout: Budget {
        members: 10_000,
        lookups: 500,
        members_from: 1,
        ids: 200_000,
    },
    facts_ttl: 60_000,
    pace: None,
    edit_window: EDIT_WINDOW_MS,
};

/// Messages the database hands out for the window: few, so that repeats from before it are common.
const RECENT: usize = 3;

impl World {
    fn new() -> Self {
        let all = || (1..4).map(user).collect();
        Self {
            upstream: vec![],
            committed: 0,
            persist: vec![],
            saved: 0,
            members: (0..4).map(|n| (group(n), all())).collect(),
            owner: PartitionMachine::new(LIMITS),
            marks: vec![],
            sent: HashSet::new(),
            acks: HashMap::new(),
            now: NOW,
            next_id: 0,
        }
    }

    fn apply(&mut self, event: &Event) {
        match *event {
            Event::Produce {
                conversation,
                sender,
                client,
            } => {
                let key = ClientKey::new(user(sender), &client.to_string());
                self.produce(group(conversation), key, None);
            }
            Event::Change {
                conversation,
                sender,
                client,
                kind,
                which,
            } => {
                let key = ClientKey::of_change(user(sender), &client.to_string());
                let conversation = group(conversation);
                // A repeat is about the same message; the first may be about one that isn't there.
                let newest_first = self.upstream.iter().rev();
                let mut wishes = newest_first.filter_map(|record| match record {
                    Record::Submit(s) if (s.conversation, s.key) == (conversation, key) => s.change,
                    _ => None,
                });
                let sent: Vec<_> = self.messages_of(conversation).collect();
                let chosen = sent.get(usize::try_from(which).unwrap() % (sent.len() + 1));
                let unknown = MessageId::new(1 << 40).unwrap();
                let kind = ChangeKind::ALL[kind];
                let emoji = ["👍", "🎉", "😀", "🔥", "👀"][usize::from(client) % 5];
                let first = wishes.next().unwrap_or(Change {
                    kind,
                    target: chosen.map_or(unknown, |row| row.recorded.message_id),
                    emoji: kind.is_reaction().then(|| emoji.parse().unwrap()),
                });
                self.produce(conversation, key, Some(first));
            }
            Event::ToggleMember {
                conversation,
                user: who,
            } => {
                let members = self.members.get_mut(&group(conversation)).unwrap();
                if !members.remove(&user(who)) {
                    members.insert(user(who));
                }
                self.upstream
                    .push(Record::FactsChanged(group(conversation)));
            }
            Event::Batch {
                most,
                fate,
                database_away,
            } => self.batch(most, fate, database_away),
            Event::Save { most } => self.saved = (self.saved + most).min(self.persist.len()),
            Event::Wait { ms } => self.now += ms,
            Event::Learn => {
                let saved = self.marks.iter().filter(|(_, end)| *end <= self.saved);
                if let Some((mark, _)) = saved.max_by_key(|(mark, _)| *mark) {
                    self.owner.saved(*mark);
                }
            }
        }
    }

    fn produce(&mut self, conversation: ConversationId, key: ClientKey, change: Option<Change>) {
        let resend = !self.sent.insert((conversation, key));
        self.upstream.push(Record::Submit(Submission {
            conversation,
            key,
            change,
            refers: None,
            only_repeat: None,
            gateway: gateways(1)[0],
            resend,
            bytes: 20,
            long: false,
        }));
    }

    fn messages_of(&self, conversation: ConversationId) -> impl Iterator<Item = &Row> {
        let rows = self.persist.iter();
        rows.filter(move |row| row.conversation == conversation && row.change.is_none())
    }

    /// What `LoadConversationFacts` answers: only what im-task has written, and of that only the newest for the window.
    fn load(&self, need: &Need, records: &[Record]) -> Loaded {
        let conversation = need.conversation;
        let rows = self.persist[..self.saved]
            .iter()
            .filter(|row| row.conversation == conversation);
        let stored: Vec<Recorded> = rows.map(|row| row.recorded).collect();
        let head = Head {
            seq: stored.iter().map(|r| r.seq).max().unwrap_or(0),
            rev: stored.iter().map(|r| r.rev).max().unwrap_or(0),
        };
        let truth = Truth::of(&self.persist[..self.saved], conversation);
        let target = |id: &MessageId| Some((*id, truth.targets.get(id)?.clone()));
        let own = |(id, who): &(MessageId, UserId)| {
            let own = truth.own.get(&(*id, *who))?;
            Some((*id, *who, own.clone()))
        };
        let targets = Some(Found {
            messages: need.targets.iter().filter_map(target).collect(),
            own: need.reactors.iter().filter_map(own).collect(),
            pins: truth.pins,
            ..Found::default()
        });
        let resends = need.resends.iter().map(|at| {
            let Record::Submit(Submission { key, .. }) = records[*at] else {
                panic!("only messages are repeated");
            };
            let found = stored.iter().find(|row| row.key == key).copied();
            Looked { key, found }
        });
        let resends = resends.collect();
        let recent = stored[stored.len().saturating_sub(RECENT)..].to_vec();
        let members = self.members[&conversation]
            .iter()
            .map(|m| Standing::plain(*m));
        Loaded {
            head,
            recent,
            resends,
            named: Vec::new(),
            targets,
            facts: need.with_facts.then(|| Facts::open(Members::all(members))),
            keeps_facts: !need.with_facts,
        }
    }

    fn batch(&mut self, most: usize, fate: Fate, database_away: bool) {
        let end = (self.committed + most).min(self.upstream.len());
        let records = self.upstream[self.committed..end].to_vec();
        self.owner.tick(self.now);
        self.owner.begin(records.clone());
        if !database_away {
            for need in self.owner.needs() {
                let loaded = self.load(&need, &records);
                self.owner.provide(need.conversation, loaded);
            }
        }
        let mut effects = Effects::default();
        let ids = || {
            self.next_id += 1;
            MessageId::new(self.next_id).ok_or(())
        };
        let gateways = gateways(2);
        let live = Live {
            gateways: &gateways,
            is_current: true,
        };
        self.owner
            .decide(self.now, &Lookups::default(), live, ids, &mut effects)
            .unwrap();
        if matches!(fate, Fate::Commit | Fate::CrashAfter) {
            self.write(&records, &effects);
            self.committed = end;
        }
        match fate {
            Fate::Commit => {
                let mark = self.owner.committed();
                self.marks.push((mark, self.persist.len()));
            }
            Fate::Abort => self.owner.aborted(),
            Fate::CrashBefore | Fate::CrashAfter => self.take_over(),
        }
    }

    /// The transaction: everything in it becomes visible.
    fn write(&mut self, records: &[Record], effects: &Effects) {
        for effect in &effects.list {
            let Record::Submit(submission) = &records[effect.record()] else {
                panic!("only messages have effects here");
            };
            let (key, conversation) = (submission.key, submission.conversation);
            match effect {
                Effect::Persist {
                    message, changed, ..
                } => {
                    assert!(
                        self.members[&conversation].contains(&key.sender)
                            || self.control_pending(conversation)
                    );
                    let Sequenced {
                        message_id,
                        seq,
                        rev,
                        at,
                        ..
                    } = *message;
                    let recorded = Recorded {
                        key,
                        message_id,
                        seq,
                        rev,
                        at,
                    };
                    if let Some(Change { kind, emoji, .. }) = submission.change {
                        let truth = Truth::of(&self.persist, conversation);
                        let before = truth.state(message_id, key.sender);
                        let before = before.expect("only what was sent is changed");
                        assert!(!before.target.recalled, "nothing follows a recall");
                        let is_own = before.target.author == key.sender;
                        let for_all = !matches!(kind, ChangeKind::Edit | ChangeKind::Recall);
                        assert!(is_own || for_all, "nobody edits the messages of others");
                        let (made, after) = (changed.as_ref().unwrap(), before.after(kind, emoji));
                        assert_eq!(made.state.target, after.target);
                        if kind.is_reaction() {
                            assert_eq!(made.state.own, after.own);
                        }
                        if kind.moves_pins() {
                            assert_eq!(made.state.pins, after.pins);
                        }
                    }
                    self.persist.push(Row {
                        conversation,
                        recorded,
                        changed: changed.as_deref().cloned(),
                        change: submission.change,
                    });
                    let ack = (message_id, seq, rev);
                    let first = self.acks.insert((conversation, key), ack);
                    assert_eq!(first, None, "a client id had effect twice");
                }
                Effect::Ack {
                    message,
                    replay: true,
                    ..
                } => {
                    let first = self.acks[&(conversation, key)];
                    assert_eq!(
                        (message.message_id, message.seq, message.rev),
                        first,
                        "a repeat is a repeat"
                    );
                }
                _ => {}
            }
        }
    }

    /// A change that the owner hasn't come to yet doesn't bind it.
    fn control_pending(&self, conversation: ConversationId) -> bool {
        self.upstream[self.committed..].contains(&Record::FactsChanged(conversation))
    }

    /// A new owner: nothing but the two stores.
    fn take_over(&mut self) {
        self.owner = PartitionMachine::new(LIMITS);
        let tail = self.persist[self.saved..].iter();
        let mark = self.owner.recover(tail.map(|row| TailRecord {
            conversation: row.conversation,
            recorded: row.recorded,
            changed: row.changed.clone(),
        }));
        self.marks = vec![(mark, self.persist.len())];
    }

    /// I2: in every conversation both numbers are 1, 2, 3 … in the order of the log.
    fn check(&self) {
        let mut heads: BTreeMap<ConversationId, Head> = BTreeMap::new();
        let mut ids = HashSet::new();
        for row in &self.persist {
            let head = heads.entry(row.conversation).or_default();
            let place = row.conversation;
            head.rev += 1;
            assert_eq!(row.recorded.rev, head.rev, "gap or repeat in {place}");
            if row.change.is_none() {
                head.seq += 1;
                assert_eq!(row.recorded.seq, head.seq, "gap or repeat in {place}");
                let is_new = ids.insert(row.recorded.message_id);
                assert!(is_new, "a message id was used twice");
            }
        }
        assert!(self.owner.conversations() <= LIMITS.conversations.max(self.members.len()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn numbers_are_gapless_and_repeats_harmless_whatever_fails(
        events in prop::collection::vec(event(), 1..120),
    ) {
        let mut world = World::new();
        for event in &events {
            world.apply(event);
            world.check();
        }
    }

    #[test]
    fn hostile_batches_never_panic(
        seqs in prop::collection::vec((0..4u64, any::<u64>(), any::<u64>()), 0..20),
        heads in prop::collection::vec(any::<u64>(), 4),
        senders in prop::collection::vec((0..4u64, any::<u32>(), ".{0,80}"), 0..40),
        now in any::<u64>(),
    ) {
        let mut bench = Bench::with(LIMITS);
        bench.now = now;
        bench.machine.recover(seqs.iter().map(|(conversation, seq, at)| TailRecord {
            conversation: group(*conversation),
            recorded: Recorded {
                key: ClientKey::new(user(1), &seq.to_string()),
                message_id: MessageId::new(seq >> 1).unwrap(),
                seq: *seq,
                rev: *at,
                at: *at,
            },
            changed: None,
        }));
        for (n, head) in heads.iter().enumerate() {
            bench.store_group(n as u64, &[1, 2]);
            bench.stored.get_mut(&group(n as u64)).unwrap().head = Head { seq: *head, rev: *head };
        }
        let batch: Vec<_> = senders
            .iter()
            .map(|(conversation, sender, id)| bench.submit(group(*conversation), (*sender).into(), id))
            .collect();
        let answers = bench.run(batch.clone()).iter().filter_map(outcome).count();
        prop_assert!(answers >= batch.len());
        let head = Head { seq: 1, rev: 1 };
        bench.machine.provide(group(9), Loaded { head, ..Loaded::default() });
        bench.machine.aborted();
        bench.machine.committed();
    }
}
