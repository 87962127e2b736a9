//! The invariants of changes, as functions from observations to violations.

use std::collections::{BTreeMap, HashMap};

use super::audit::{Truth, find};
use super::changes::{ChangeAck, Wish};
use super::observe::{Observed, Place, Row};

/// Refusals that a wish may meet: another one of the author's came first, or time ran out.
const REFUSALS: [&str; 3] = ["MESSAGE_RECALLED", "RECALL_TIME_EXCEEDED", "RATE_LIMITED"];

/// Everything that is wrong, in words.
pub(super) fn audit(observed: &Observed, truth: &Truth<'_>, wrong: &mut Vec<String>) {
    let acks = one_number_each(observed, wrong);
    revs_are_gapless(observed, truth, wrong);
    states_follow_from_changes(observed, truth, &acks, wrong);
    pushes_tell_what_was_done(observed, &acks, wrong);
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

/// Every `rev` is a message or a change: the newest is the number of both.
fn revs_are_gapless(observed: &Observed, truth: &Truth<'_>, wrong: &mut Vec<String>) {
    for (place, rows) in truth {
        let changes = rows.iter().map(|row| row.edits + u64::from(row.deleted));
        let expected = rows.len() as u64 + changes.sum::<u64>();
        let head = observed.head_revs.get(place).copied().unwrap_or(expected);
        if head != expected {
            wrong.push(format!(
                "conversation {place} has rev {head}, and {expected} messages and changes"
            ));
        }
    }
}

/// What is known about one message.
#[derive(Default)]
struct Fate<'a> {
    /// Acknowledged, by `rev`.
    done: BTreeMap<u64, &'a Wish>,
    /// Without an answer.
    open: Vec<&'a Wish>,
}

/// The state of every message follows from its changes, in the order of their numbers.
fn states_follow_from_changes(
    observed: &Observed,
    truth: &Truth<'_>,
    acks: &HashMap<&str, &ChangeAck>,
    wrong: &mut Vec<String>,
) {
    let mut fates: BTreeMap<(Place, u64), Fate<'_>> = BTreeMap::new();
    for (id, wish) in &observed.changes.wishes {
        let fate = fates.entry((wish.place, wish.seq)).or_default();
        if let Some(ack) = acks.get(id.as_str()) {
            fate.done.insert(ack.rev, wish);
        } else if !observed.changes.refused.contains_key(id) {
            fate.open.push(wish);
        }
    }
    for ((place, seq), fate) in &fates {
        let rows = truth.get(place).copied().unwrap_or_default();
        let fault = match find(rows, *seq) {
            None => Some("is gone".to_owned()),
            Some(row) => fault(row, fate),
        };
        if let Some(fault) = fault {
            wrong.push(format!("message {seq} of conversation {place} {fault}"));
        }
    }
    for (place, rows) in truth {
        let untold = |row: &&Row| !row.is_untouched() && !fates.contains_key(&(*place, row.seq));
        if let Some(row) = rows.iter().find(untold) {
            let seq = row.seq;
            wrong.push(format!(
                "message {seq} of conversation {place} was changed by nobody"
            ));
        }
    }
}

/// What is wrong with the state of a message.
fn fault(row: &Row, fate: &Fate<'_>) -> Option<String> {
    let edits = |wishes: &mut dyn Iterator<Item = &&Wish>| wishes.filter(|w| !w.recall).count();
    let (done, open) = (
        edits(&mut fate.done.values()) as u64,
        edits(&mut fate.open.iter()) as u64,
    );
    if row.edits < done || row.edits > done + open {
        return Some(format!(
            "says {} edits after {done}, and {open} without an answer",
            row.edits
        ));
    }
    let newest = fate.done.last_key_value();
    let recalled = fate.done.iter().find(|(_, wish)| wish.recall);
    if let Some((rev, _)) = recalled
        && newest.is_some_and(|(last, _)| last > rev)
    {
        return Some(format!("was changed after its recall as rev {rev}"));
    }
    let may_be_recalled = fate.open.iter().any(|wish| wish.recall);
    if row.deleted != recalled.is_some() && !(row.deleted && may_be_recalled) {
        return Some(format!("says deleted: {}", row.deleted));
    }
    if row.deleted {
        return (!row.content.is_empty()).then(|| "keeps its text after a recall".to_owned());
    }
    // With all edits acknowledged the last one rules; an open one may have come after it.
    let is_last = newest.is_some_and(|(rev, w)| row.content == w.content && row.rev == *rev);
    let is_open = row.edits > done && fate.open.iter().any(|w| w.content == row.content);
    let is_as_sent = row.edits == 0;
    let ahead = newest.is_none_or(|(rev, _)| row.rev >= *rev);
    let fits = ahead && (is_last || is_open || is_as_sent);
    (!fits).then(|| format!("says \"{}\" as of rev {}", row.content, row.rev))
}

/// A pushed change is one that somebody made, and everybody is told the same.
fn pushes_tell_what_was_done(
    observed: &Observed,
    acks: &HashMap<&str, &ChangeAck>,
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
                (wish.seq, &wish.message_id, wish.recall)
                    == (told.seq, &told.message_id, told.recall)
                    && wish.content == told.content
            });
            if !agrees || !as_wished {
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
        let same = |row: &&Row| {
            let held = replica.messages.get(&row.seq);
            held.is_some_and(|held| {
                (held.rev, held.deleted) == (row.rev, row.deleted) && held.content == row.content
            })
        };
        if let Some(row) = rows.iter().find(|row| !same(row)) {
            wrong.push(format!(
                "user {who} holds {:?} as number {} of conversation {place}, history holds rev {}",
                replica.messages.get(&row.seq),
                row.seq,
                row.rev
            ));
        } else if replica.messages.len() != rows.len() {
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
        let state = |row: &Row| (row.rev, row.deleted, row.edits, row.content.clone());
        let same = |held: &&Row| find(all, held.seq).is_none_or(|row| state(row) == state(held));
        if let Some(held) = rows.iter().find(|held| !same(held)) {
            wrong.push(format!(
                "the SDK of user {who} holds {held:?} of conversation {place}, history {:?}",
                find(all, held.seq)
            ));
        }
    }
}
