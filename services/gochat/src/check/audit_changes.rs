//! The invariants of changes, as functions from observations to violations.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use gochat_core::message::ChangeKind;

use super::audit::{Truth, find};
use super::changes::{ChangeAck, Counts, Wish};
use super::observe::{Observed, Place, Row, Who};

/// Refusals that a wish may meet: another change came first, there was no room, or time ran out.
const REFUSALS: [&str; 5] = [
    "MESSAGE_RECALLED",
    "RECALL_TIME_EXCEEDED",
    "TOO_MANY_REACTIONS",
    "TOO_MANY_PINS",
    "RATE_LIMITED",
];

/// Everything that is wrong, in words.
pub(super) fn audit(observed: &Observed, truth: &Truth<'_>, wrong: &mut Vec<String>) {
    let acks = one_number_each(observed, wrong);
    let fates = fates(observed, &acks);
    revs_are_gapless(observed, truth, &fates, wrong);
    states_follow_from_changes(truth, &fates, wrong);
    reactions_are_whose_they_are(observed, truth, &fates, wrong);
    pushes_tell_what_was_done(observed, &acks, &fates, wrong);
    clients_hold_the_truth(observed, truth, wrong);
    sdks_hold_the_truth(observed, truth, wrong);
    for (id, code) in &observed.changes.refused {
        if !REFUSALS.contains(&&**code) {
            wrong.push(format!("change {id} was refused with {code}"));
        }
    }
}

/// Acknowledged changes by client id; a repeat is acknowledged as the first was, and no number is
/// given twice.
fn one_number_each<'a>(
    observed: &'a Observed,
    wrong: &mut Vec<String>,
) -> HashMap<&'a str, &'a ChangeAck> {
    let mut first: HashMap<&str, &ChangeAck> = HashMap::new();
    let mut numbers: HashMap<(Place, u64), &str> = HashMap::new();
    for ack in &observed.changes.acks {
        if *first.entry(&ack.client_id).or_insert(ack) != ack {
            wrong.push(format!(
                "change {} was acknowledged as rev {} and as something else",
                ack.client_id, ack.rev
            ));
        }
        let number = (ack.place, ack.rev);
        if *numbers.entry(number).or_insert(&ack.client_id) != ack.client_id {
            wrong.push(format!(
                "rev {} of conversation {} was given to two changes",
                ack.rev, ack.place
            ));
        }
    }
    first
}

/// What is known about one message.
#[derive(Default)]
struct Fate<'a> {
    /// Acknowledged, by `rev`.
    done: BTreeMap<u64, &'a Wish>,
    /// Without an answer.
    open: Vec<&'a Wish>,
}

/// By conversation and place in it.
type Fates<'a> = BTreeMap<(Place, u64), Fate<'a>>;

fn fates<'a>(observed: &'a Observed, acks: &HashMap<&str, &ChangeAck>) -> Fates<'a> {
    let mut fates: Fates<'a> = BTreeMap::new();
    for (id, wish) in &observed.changes.wishes {
        let fate = fates.entry((wish.place, wish.seq)).or_default();
        if let Some(ack) = acks.get(id.as_str()) {
            fate.done.insert(ack.rev, wish);
        } else if !observed.changes.refused.contains_key(id) {
            fate.open.push(wish);
        }
    }
    fates
}

/// Every `rev` is a message or a change: the newest is the number of both. Wishes without an answer
/// may be among them.
fn revs_are_gapless(
    observed: &Observed,
    truth: &Truth<'_>,
    fates: &Fates<'_>,
    wrong: &mut Vec<String>,
) {
    for (place, rows) in truth {
        let of_place = fates.range((*place, 0)..=(*place, u64::MAX));
        let (mut done, mut open) = (rows.len() as u64, 0);
        for (_, fate) in of_place {
            done += fate.done.len() as u64;
            open += fate.open.len() as u64;
        }
        let head = observed.head_revs.get(place).copied().unwrap_or(done);
        if head < done || head > done + open {
            wrong.push(format!(
                "conversation {place} has rev {head}, and {done} messages and changes, {open} without an answer"
            ));
        }
    }
}

/// The state of every message follows from its changes, in the order of their numbers.
fn states_follow_from_changes(truth: &Truth<'_>, fates: &Fates<'_>, wrong: &mut Vec<String>) {
    for ((place, seq), fate) in fates {
        let rows = truth.get(place).copied().unwrap_or_default();
        let fault = match find(rows, *seq) {
            None => Some("is gone".to_owned()),
            Some(row) => fate.fault(row).or_else(|| fate.fault_of_marks(row)),
        };
        if let Some(fault) = fault {
            wrong.push(format!("message {seq} of conversation {place} {fault}"));
        }
    }
    for (place, rows) in truth {
        let untold = |row: &&Row| !row.is_new() && !fates.contains_key(&(*place, row.seq));
        if let Some(row) = rows.iter().find(untold) {
            let seq = row.seq;
            wrong.push(format!(
                "message {seq} of conversation {place} was changed by nobody"
            ));
        }
    }
}

impl Fate<'_> {
    /// What is wrong with text and number of a message.
    fn fault(&self, row: &Row) -> Option<String> {
        let is_edit = |wish: &&&Wish| wish.kind == ChangeKind::Edit;
        let done = self.done.values().filter(is_edit).count() as u64;
        let open = self.open.iter().filter(is_edit).count() as u64;
        if row.edits < done || row.edits > done + open {
            return Some(format!(
                "says {} edits after {done}, and {open} without an answer",
                row.edits
            ));
        }
        let newest = self.done.last_key_value().map_or(0, |(rev, _)| *rev);
        let is_recall = |wish: &Wish| wish.kind == ChangeKind::Recall;
        let recalled = self.done.iter().find(|(_, wish)| is_recall(wish));
        if let Some((rev, _)) = recalled
            && newest > *rev
        {
            return Some(format!("was changed after its recall as rev {rev}"));
        }
        let may_be_recalled = self.open.iter().any(|wish| is_recall(wish));
        if row.deleted != recalled.is_some() && !(row.deleted && may_be_recalled) {
            return Some(format!("says deleted: {}", row.deleted));
        }
        // The last one rules, unless one without an answer came after it.
        if row.rev < newest || (row.rev > newest && newest > 0 && self.open.is_empty()) {
            return Some(format!(
                "is of rev {}, and changed as rev {newest}",
                row.rev
            ));
        }
        if row.deleted {
            return (!row.content.is_empty()).then(|| "keeps its text after a recall".to_owned());
        }
        let last = self.done.values().rev().find(is_edit);
        let is_last = last.is_some_and(|wish| row.content == wish.content);
        let is_open = row.edits > done && self.open.iter().any(|w| w.content == row.content);
        let fits = is_last || is_open || row.edits == 0;
        (!fits).then(|| format!("says \"{}\" as of rev {}", row.content, row.rev))
    }

    /// What is wrong with reactions and pin of a message.
    fn fault_of_marks(&self, row: &Row) -> Option<String> {
        if row.deleted {
            let is_bare = row.reactions.is_empty() && !row.pinned;
            return (!is_bare).then(|| "keeps reactions or a pin after a recall".to_owned());
        }
        let (certain, open) = (self.reacted(u64::MAX), self.unsure());
        let emoji = certain.iter().chain(&open).map(|(_, emoji)| *emoji);
        let emoji: BTreeSet<&str> = emoji
            .chain(row.reactions.keys().map(String::as_str))
            .collect();
        for emoji in emoji {
            let of = |set: &BTreeSet<(Who, &str)>| {
                set.iter().filter(|(_, e)| *e == emoji).count() as u64
            };
            let sure: BTreeSet<(Who, &str)> = certain.difference(&open).copied().collect();
            let (least, most) = (of(&sure), of(&sure) + of(&open));
            let count = row.reactions.get(emoji).copied().unwrap_or(0);
            if count < least || count > most {
                return Some(format!(
                    "counts {count} of {emoji}, which {least} to {most} users put there"
                ));
            }
        }
        let is_pin = |wish: &&&Wish| matches!(wish.kind, ChangeKind::Pin | ChangeKind::Unpin);
        let last = self.done.values().rev().find(is_pin);
        let is_pinned = last.is_some_and(|wish| wish.kind == ChangeKind::Pin);
        let is_sure = !self.open.iter().any(|wish| is_pin(&wish));
        (is_sure && row.pinned != is_pinned).then(|| format!("says pinned: {}", row.pinned))
    }

    /// Reactions that stand under the message after the acknowledged changes up to a number.
    fn reacted(&self, up_to: u64) -> BTreeSet<(Who, &str)> {
        let mut there = BTreeSet::new();
        for wish in self.done.range(..=up_to).map(|(_, wish)| wish) {
            let reaction = (wish.who, wish.content.as_str());
            match wish.kind {
                ChangeKind::React => drop(there.insert(reaction)),
                ChangeKind::Unreact => drop(there.remove(&reaction)),
                ChangeKind::Recall => there.clear(),
                ChangeKind::Edit | ChangeKind::Pin | ChangeKind::Unpin => {}
            }
        }
        there
    }

    /// Reactions that may stand there or not: a wish about them has no answer.
    fn unsure(&self) -> BTreeSet<(Who, &str)> {
        let reactions = self.open.iter().filter(|wish| wish.kind.is_reaction());
        reactions
            .map(|wish| (wish.who, wish.content.as_str()))
            .collect()
    }

    /// Counts after the changes up to a number; `None` while a wish about the message has no
    /// answer.
    fn counts(&self, up_to: u64) -> Option<Counts> {
        if !self.open.is_empty() {
            return None;
        }
        let mut counts = Counts::new();
        for (_, emoji) in self.reacted(up_to) {
            *counts.entry(emoji.to_owned()).or_default() += 1;
        }
        Some(counts)
    }
}

/// What history calls a reader's own reactions are those that the reader made.
fn reactions_are_whose_they_are(
    observed: &Observed,
    truth: &Truth<'_>,
    fates: &Fates<'_>,
    wrong: &mut Vec<String>,
) {
    for ((who, place), mine) in &observed.mine {
        let (mut expected, mut unsure) = (BTreeSet::new(), BTreeSet::new());
        let deletions = observed.deletions.get(&(*who, *place));
        let lacks = |seq: u64| deletions.is_some_and(|d| d.may_lack(seq));
        for ((_, seq), fate) in fates.range((*place, 0)..=(*place, u64::MAX)) {
            let rows = truth.get(place).copied().unwrap_or_default();
            if find(rows, *seq).is_some_and(|row| row.deleted) {
                continue;
            }
            let own = |set: BTreeSet<(Who, &str)>| -> Vec<(u64, String)> {
                let own = set.into_iter().filter(|(by, _)| by == who);
                own.map(|(_, emoji)| (*seq, emoji.to_owned())).collect()
            };
            expected.extend(own(fate.reacted(u64::MAX)));
            unsure.extend(own(fate.unsure()));
        }
        let differs = mine.symmetric_difference(&expected);
        let mut differs = differs.filter(|(seq, _)| !lacks(*seq));
        if let Some((seq, emoji)) = differs.find(|one| !unsure.contains(one)) {
            wrong.push(format!(
                "history is wrong about whether user {who} put {emoji} under message {seq} of conversation {place}"
            ));
        }
    }
}

/// A pushed change is one that somebody made, and everybody is told the same.
fn pushes_tell_what_was_done(
    observed: &Observed,
    acks: &HashMap<&str, &ChangeAck>,
    fates: &Fates<'_>,
    wrong: &mut Vec<String>,
) {
    let by_number: HashMap<(Place, u64), &Wish> = acks
        .values()
        .filter_map(|ack| {
            let wish = observed.changes.wishes.get(&ack.client_id)?;
            Some(((ack.place, ack.rev), wish))
        })
        .collect();
    let mut first = HashMap::new();
    for connection in &observed.connections {
        for (place, told) in &connection.changes {
            let number = (*place, told.rev);
            let agrees = *first.entry(number).or_insert(told) == told;
            let as_wished = by_number.get(&number).is_none_or(|wish| {
                let text = if wish.kind == ChangeKind::Edit {
                    &*wish.content
                } else {
                    ""
                };
                (wish.seq, &wish.message_id, wish.kind.name())
                    == (told.seq, &told.message_id, &*told.kind)
                    && text == told.content
            });
            let fate = fates.get(&(*place, told.seq));
            let counts = fate.and_then(|fate| fate.counts(told.rev));
            let counted = told.kind != "reaction" || counts.is_none_or(|c| c == told.reactions);
            if !agrees || !as_wished || !counted {
                wrong.push(format!(
                    "user {} was pushed another change as rev {} of conversation {place}",
                    connection.who, told.rev
                ));
            }
        }
    }
}

/// What a client holds after catching up is what history says.
fn clients_hold_the_truth(observed: &Observed, truth: &Truth<'_>, wrong: &mut Vec<String>) {
    for ((who, place), replica) in &observed.replicas {
        let rows = truth.get(place).copied().unwrap_or_default();
        let deletions = observed.deletions.get(&(*who, *place));
        let same = |row: &&Row| {
            let held = replica.messages.get(&row.seq);
            if deletions.is_some_and(|d| row.seq <= d.cleared_at_most()) {
                return true;
            }
            // Pushes tell what was deleted, pages of changes don't and were judged when they came.
            if deletions.is_some_and(|d| d.may_lack(row.seq)) {
                return held.is_some_and(|held| (held.rev, held.deleted) == (row.rev, row.deleted));
            }
            held.is_some_and(|held| {
                (held.rev, held.deleted, held.pinned) == (row.rev, row.deleted, row.pinned)
                    && held.content == row.content
                    && held.reactions == row.reactions
            })
        };
        if let Some(row) = rows.iter().find(|row| !same(row)) {
            wrong.push(format!(
                "user {who} holds {:?} as number {} of conversation {place}, history holds rev {}",
                replica.messages.get(&row.seq),
                row.seq,
                row.rev
            ));
        } else if deletions.is_none() && replica.messages.len() != rows.len() {
            wrong.push(format!(
                "user {who} holds {} messages of conversation {place}, history {}",
                replica.messages.len(),
                rows.len()
            ));
        }
    }
}

/// The state of every message that an SDK told is the one that history says.
fn sdks_hold_the_truth(observed: &Observed, truth: &Truth<'_>, wrong: &mut Vec<String>) {
    let timelines = observed.timelines.iter();
    let timelines =
        timelines.flat_map(|(who, t)| t.iter().map(move |(place, rows)| (who, place, rows)));
    for (who, place, rows) in timelines {
        let all = truth.get(place).copied().unwrap_or_default();
        let state = |row: &Row| {
            let marks = (row.reactions.clone(), row.pinned);
            (row.rev, row.deleted, row.edits, row.content.clone(), marks)
        };
        let same = |held: &&Row| find(all, held.seq).is_none_or(|row| state(row) == state(held));
        if let Some(held) = rows.iter().find(|held| !same(held)) {
            wrong.push(format!(
                "the SDK of user {who} holds {held:?} of conversation {place}, history {:?}",
                find(all, held.seq)
            ));
        }
    }
}
