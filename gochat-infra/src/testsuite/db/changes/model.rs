//! Histories of messages and changes as a sequencer writes them, and what is to be stored after
//! them: the state of each message as `gochat_core` defines it.

use std::collections::BTreeMap;

use gochat_core::message::{FormerText, References, Reply, State, Target};

use super::former::kept;
use super::pins::pinned;
use super::reactions::{told, who};
use super::*;

const EMOJI: [&str; 4] = ["👍", "❤️", "🎉", "parrot"];
const USERS: u64 = 3;

/// Messages and changes of one record.
pub(super) type Record = (Vec<NewMessage>, Vec<NewChange>);

/// A sequencer of one conversation that does anything.
pub(super) struct Model {
    id: ConversationId,
    seed: u64,
    rev: u64,
    /// By position, from 1 on.
    targets: Vec<Target>,
    /// What each of them refers to; nothing once it was recalled.
    references: Vec<Option<Box<References>>>,
    /// (message, user, emoji), and the number of the reaction.
    reactions: BTreeMap<(SeqId, u64, Emoji), u64>,
    /// Number of the last pin, by message.
    pins: BTreeMap<SeqId, u64>,
    /// What each message says, and what it said before and is kept.
    texts: Vec<(FormerText, Vec<FormerText>)>,
}

impl Model {
    pub(super) fn new(id: ConversationId, seed: u64) -> Self {
        Self {
            id,
            seed,
            rev: 0,
            targets: Vec::new(),
            references: Vec::new(),
            reactions: BTreeMap::new(),
            pins: BTreeMap::new(),
            texts: Vec::new(),
        }
    }

    fn dice(&mut self, sides: u64) -> u64 {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) % sides
    }

    /// The next record.
    pub(super) fn record(&mut self) -> Record {
        self.rev += 1;
        let kind = match self.dice(14) {
            _ if self.targets.is_empty() => None,
            0..=2 => None,
            3..=4 => Some(ChangeKind::Edit),
            5 => Some(ChangeKind::Recall),
            6..=8 => Some(ChangeKind::React),
            9..=10 => Some(ChangeKind::Unreact),
            11..=12 => Some(ChangeKind::Pin),
            _ => Some(ChangeKind::Unpin),
        };
        match kind {
            Some(kind) => (Vec::new(), vec![self.change(kind)]),
            None => (vec![self.message()], Vec::new()),
        }
    }

    fn message(&mut self) -> NewMessage {
        let seq = self.targets.len() as u64 + 1;
        let mut new = message(self.id, seq, 1);
        new.rev = self.rev;
        new.references = self.references(seq);
        self.references.push(new.references.clone());
        self.targets.push(Target::new(seq, user(1), new.created_at));
        let sent = FormerText {
            edit_no: 0,
            content: new.content.clone(),
            extra: None,
            written_at: new.created_at,
        };
        self.texts.push((sent, Vec::new()));
        new
    }

    /// Half of the messages refer to something.
    fn references(&mut self, seq: SeqId) -> Option<Box<References>> {
        if seq == 1 || self.dice(2) == 0 {
            return None;
        }
        let answered = 1 + self.dice(seq - 1);
        let names = |bits: u64| (1..=USERS).filter(move |n| bits >> n & 1 == 1).map(user);
        let references = References {
            reply: (self.dice(2) == 0).then(|| Reply {
                id: message(self.id, answered, 1).id,
                seq: answered,
                by: user(1),
            }),
            mentions: names(self.dice(2 << USERS)).collect(),
            mention_all: self.dice(4) == 0,
            forwarded: None,
        };
        (!references.is_empty()).then(|| Box::new(references))
    }

    fn change(&mut self, kind: ChangeKind) -> NewChange {
        let seq = 1 + self.dice(self.targets.len() as u64);
        let operator = 1 + self.dice(USERS);
        let text = EMOJI[self.dice(EMOJI.len() as u64) as usize];
        let mut new = NewChange {
            sender_id: user(operator),
            ..change(self.id, self.rev, kind, seq)
        };
        if kind.is_reaction() {
            new.content = emoji(text).to_string();
        }
        let at = seq as usize - 1;
        // The setting of the group changes now and then.
        new.keeps_former = self.rev % 40 > 8;
        if self.targets[at].recalled {
            // The sequencer refuses these; the store must do nothing with them all the same.
            (new.pinned, new.reactions) = (true, tally(&[(text, 1)]));
            return new;
        }
        let own = self.reactions.keys();
        let own = own.filter(|(of, who, _)| (*of, *who) == (seq, operator));
        let before = State {
            target: self.targets[at].clone(),
            own: own.map(|(.., emoji)| *emoji).collect(),
            pins: self.pins.len() as u32,
        };
        let after = before.after(kind, kind.is_reaction().then(|| emoji(text)));
        self.remember(kind, (seq, operator, emoji(text)));
        assert_eq!(after.pins as usize, self.pins.len());
        (new.edit_count, new.pinned) = (after.target.edits, after.target.pinned);
        new.reactions = after.target.reactions.clone();
        self.targets[at] = after.target;
        self.note_text(&new);
        new
    }

    fn note_text(&mut self, change: &NewChange) {
        let (now, former) = &mut self.texts[change.seq_id as usize - 1];
        match change.kind {
            ChangeKind::Recall => former.clear(),
            ChangeKind::Edit => {
                let next = FormerText {
                    edit_no: change.edit_count,
                    content: change.content.clone(),
                    extra: change.extra.clone(),
                    written_at: change.created_at,
                };
                let before = std::mem::replace(now, next);
                former.extend(Some(before).filter(|_| change.keeps_former));
            }
            _ => {}
        }
    }

    fn remember(&mut self, kind: ChangeKind, key: (SeqId, u64, Emoji)) {
        match kind {
            ChangeKind::Edit => {}
            ChangeKind::React => drop(self.reactions.entry(key).or_insert(self.rev)),
            ChangeKind::Unreact => drop(self.reactions.remove(&key)),
            ChangeKind::Pin => drop(self.pins.insert(key.0, self.rev)),
            ChangeKind::Unpin => drop(self.pins.remove(&key.0)),
            ChangeKind::Recall => {
                self.references[key.0 as usize - 1] = None;
                self.pins.remove(&key.0);
                self.reactions.retain(|(of, ..), _| *of != key.0);
            }
        }
    }

    /// Asserts that all of it is stored in conversation `id`, and nothing else.
    pub(super) async fn is_stored(&self, db: &SharedDatabase, id: ConversationId) {
        let rows = all(db, id).await;
        self.mentions_are_stored(db, id, &rows).await;
        let shown = rows.iter().map(|row| Target {
            recalled: row.deleted,
            edits: row.edit_count,
            pinned: row.pinned,
            reactions: row.reactions.clone(),
            ..Target::new(row.seq_id, row.sender_id, row.created_at)
        });
        assert_eq!(shown.collect::<Vec<_>>(), self.targets, "{id}");
        for seq in 1..=self.targets.len() as u64 {
            let of = self.reactions.iter().filter(|((of, ..), _)| *of == seq);
            let mut of: Vec<_> = of
                .map(|((_, who, emoji), rev)| (*rev, *who, emoji.to_string()))
                .collect();
            of.sort_unstable();
            let page = who(db, id, seq, None, (0, 100)).await;
            assert_eq!(told(&page), of, "{id}, message {seq}");
            let former = &self.texts[seq as usize - 1].1;
            assert_eq!(&kept(db, id, seq).await, former, "{id}, message {seq}");
        }
        let mut pins: Vec<_> = self.pins.iter().map(|(seq, rev)| (*rev, *seq)).collect();
        pins.sort_unstable_by(|a, b| b.cmp(a));
        let pins: Vec<_> = pins.into_iter().map(|(_, seq)| seq).collect();
        assert_eq!(pinned(db, id).await, (pins, self.rev), "{id}");
        let row = row(db, id).await;
        assert_eq!(row.pinned_count as usize, self.pins.len(), "{id}");
        self.own_is_stored(db, id).await;
    }

    /// The rows show what they refer to, and each user has the mentions of the messages that stand.
    async fn mentions_are_stored(
        &self,
        db: &SharedDatabase,
        id: ConversationId,
        rows: &[MessageRow],
    ) {
        for (row, expected) in rows.iter().zip(&self.references) {
            let expected = expected.clone().map(|references| of(id, references));
            assert_eq!(row.references, expected, "{id}, message {}", row.seq_id);
        }
        let half = rows.len() as u64 / 2;
        for (who, read) in (1..=USERS).flat_map(|who| [(who, 0), (who, half)]) {
            let unread = self.references.iter().skip(read as usize).flatten();
            let named = unread.filter(|r| r.mention_all || r.mentions.contains(&user(who)));
            // All messages are of the first user, who isn't told of them.
            let expected = if who == 1 { 0 } else { named.count() as u64 };
            let found = db.unread_mentions(user(who), &[(id, read)]).await;
            let found = found
                .expect("counts")
                .first()
                .map_or(0, |(_, count)| *count);
            assert_eq!(found, expected, "{id}, user {who} beyond {read}");
        }
    }

    async fn own_is_stored(&self, db: &SharedDatabase, id: ConversationId) {
        let ids: Vec<_> = (1..=self.targets.len() as u64)
            .map(|seq| message(id, seq, 1).id)
            .collect();
        for operator in 1..=USERS {
            let own = self.reactions.keys().filter(|(_, who, _)| *who == operator);
            let mut own: Vec<_> = own
                .map(|(seq, _, emoji)| (message(id, *seq, 1).id, *emoji))
                .collect();
            own.sort_unstable();
            let found = db.own_reactions(id, user(operator), &ids).await;
            let mut found = found.expect("read");
            found.sort_unstable();
            assert_eq!(found, own, "{id}, user {operator}");
        }
    }
}

/// What a message of another conversation refers to with the same history.
fn of(id: ConversationId, mut references: Box<References>) -> Box<References> {
    if let Some(reply) = &mut references.reply {
        reply.id = message(id, reply.seq, 1).id;
    }
    references
}
