//! The invariants, as functions from observations to violations.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use gochat_core::membership::Role;

use super::observe::{Observed, Place, Row, WORLD};
use super::people::Tale;
use super::{audit_changes, deletions, references, sessions};

/// Everything that is wrong, in words.
pub(super) fn audit(observed: &Observed) -> Vec<String> {
    let mut wrong = Vec::new();
    let truth = one_truth(observed, &mut wrong);
    gapless(&truth, &mut wrong);
    no_duplicates(&truth, &mut wrong);
    acknowledged_is_there(observed, &truth, &mut wrong);
    contents_are_unchanged(observed, &truth, &mut wrong);
    audit_changes::audit(observed, &truth, &mut wrong);
    references::audit(observed, &truth, &mut wrong);
    deletions::audit(observed, &truth, &mut wrong);
    pushes_agree_and_are_in_order(observed, &truth, &mut wrong);
    sdk_timelines_are_complete(observed, &truth, &mut wrong);
    unread_is_exact(observed, &truth, &mut wrong);
    groups_have_one_owner(observed, &mut wrong);
    wrong.extend(observed.unexplained.iter().cloned());
    wrong.extend(observed.tales.iter().filter_map(Tale::fault));
    let signed_out = observed.signed_out.iter();
    wrong.extend(signed_out.map(|name| format!("client {name} was signed out")));
    for history in &observed.histories {
        wrong.extend(sessions::judge(history, &observed.rules));
    }
    wrong
}

/// History of each conversation.
pub(super) type Truth<'a> = BTreeMap<Place, &'a [Row]>;

/// I2: every reader sees the same history. The first one's stands for all.
fn one_truth<'a>(observed: &'a Observed, wrong: &mut Vec<String>) -> Truth<'a> {
    let mut truth = Truth::new();
    for ((who, place), rows) in &observed.history {
        // Who deleted something sees less; `deletions` judges what.
        if observed.deletions.contains_key(&(*who, *place)) {
            continue;
        }
        match truth.get(place) {
            None => drop(truth.insert(*place, rows)),
            Some(first) if *first == rows.as_slice() => {}
            Some(first) => {
                let at = first.iter().zip(rows).position(|(a, b)| a != b);
                let at = at.unwrap_or(first.len().min(rows.len()));
                wrong.push(format!(
                    "reader {who} sees another history of conversation {place}: {} rows instead of {}, different from row {at} on",
                    rows.len(), first.len(),
                ));
            }
        }
    }
    truth
}

/// I2: 1, 2, 3 …
fn gapless(truth: &Truth<'_>, wrong: &mut Vec<String>) {
    for (place, rows) in truth {
        let bad = rows
            .iter()
            .zip(1..)
            .find(|(row, expected)| row.seq != *expected);
        if let Some((row, expected)) = bad {
            wrong.push(format!(
                "conversation {place} has number {} where {expected} should be",
                row.seq
            ));
        }
    }
}

/// I3: one message per sender and client id.
fn no_duplicates(truth: &Truth<'_>, wrong: &mut Vec<String>) {
    for (place, rows) in truth {
        let (mut keys, mut ids) = (HashMap::new(), HashSet::new());
        for row in *rows {
            let key = (&row.sender, &row.client_id);
            if !row.client_id.is_empty()
                && let Some(first) = keys.insert(key, row.seq)
            {
                wrong.push(format!(
                    "conversation {place} holds client id {} twice, as {first} and {}",
                    row.client_id, row.seq
                ));
            }
            if !ids.insert(&row.message_id) {
                wrong.push(format!(
                    "conversation {place} holds message {} twice",
                    row.message_id
                ));
            }
        }
    }
}

/// I1 and I3: what was acknowledged is there under that number, and always was the same.
fn acknowledged_is_there(observed: &Observed, truth: &Truth<'_>, wrong: &mut Vec<String>) {
    let mut first = HashMap::new();
    for ack in &observed.acks {
        let told = (&ack.message_id, ack.seq);
        if *first.entry((ack.place, &ack.client_id)).or_insert(told) != told {
            wrong.push(format!(
                "client id {} was acknowledged as {} and as something else",
                ack.client_id, ack.seq
            ));
        }
        let rows = truth.get(&ack.place).copied().unwrap_or_default();
        let row = find(rows, ack.seq);
        let same = row
            .is_some_and(|row| row.message_id == ack.message_id && row.client_id == ack.client_id);
        if !same {
            wrong.push(format!(
                "client id {} was acknowledged as number {} of conversation {}, which holds {}",
                ack.client_id,
                ack.seq,
                ack.place,
                row.map_or("nothing", |row| row.client_id.as_str()),
            ));
        }
    }
}

/// Nobody changed a word but the authors.
fn contents_are_unchanged(observed: &Observed, truth: &Truth<'_>, wrong: &mut Vec<String>) {
    for rows in truth.values() {
        for row in rows.iter().filter(|row| row.is_untouched()) {
            let sent = observed.sent.get(&row.client_id);
            if sent.is_some_and(|sent| *sent != row.content) {
                wrong.push(format!(
                    "the content of client id {} was changed",
                    row.client_id
                ));
            }
        }
    }
}

/// I2 and I5: pushes are rows of history, in order, and only of one's own conversations.
fn pushes_agree_and_are_in_order(observed: &Observed, truth: &Truth<'_>, wrong: &mut Vec<String>) {
    for connection in &observed.connections {
        let who = connection.who;
        for stranger in &connection.strangers {
            wrong.push(format!(
                "user {who} was pushed {stranger} without being a member"
            ));
        }
        let mut orders: BTreeMap<Place, Order> = BTreeMap::new();
        for (place, seq, settled) in connection.in_order() {
            orders.entry(place).or_default().push(seq, settled);
        }
        for (place, row) in &connection.pushes {
            let rows = truth.get(place).copied().unwrap_or_default();
            let sent = observed.sent.get(&row.client_id);
            let as_sent = sent.is_none_or(|sent| *sent == row.content);
            if !as_sent || !find(rows, row.seq).is_some_and(|held| held.is_same(row)) {
                wrong.push(format!(
                    "user {who} was pushed a number {} of conversation {place} that history doesn't hold like this", row.seq
                ));
            }
        }
        for (place, order) in orders {
            if let Some((late, early)) = order.disorder {
                wrong.push(format!(
                    "user {who} was pushed number {late} of conversation {place} after {early}; in all: {}",
                    order.runs()
                ));
            }
        }
    }
}

/// What pushing left to be repaired by clients: numbers that came after a later one, and numbers
/// of others that never came on a connection that got earlier and later ones.
pub(super) fn late_and_skipped(observed: &Observed) -> (usize, usize) {
    let truth = one_truth(observed, &mut Vec::new());
    let (mut late, mut skipped) = (0, 0);
    for connection in &observed.connections {
        let mut orders: BTreeMap<Place, Order> = BTreeMap::new();
        for (place, seq, settled) in connection.in_order() {
            orders.entry(place).or_default().push(seq, settled);
        }
        for (place, order) in &orders {
            late += order.late;
            let rows = truth.get(place).copied().unwrap_or_default();
            let (first, last) = (order.seen.first(), order.seen.last());
            let within = rows
                .iter()
                .filter(|row| Some(&row.seq) > first && Some(&row.seq) < last);
            skipped += within
                .filter(|row| !order.seen.contains(&row.seq) && !row.is_by(connection.who))
                .count();
        }
    }
    (late, skipped)
}

/// The order of pushes of one conversation on one connection.
///
/// Repetitions are legal: clients drop them. While a connection settles, messages from *before* it may come late, once
/// their rows are written (recipients who were offline are looked up again then), mixed with newer ones. On a settled
/// connection nothing comes late: what was overtaken is left out, for the gap tells.
#[derive(Debug, Default)]
struct Order {
    seen: BTreeSet<u64>,
    arrived: Vec<u64>,
    late: usize,
    /// First number that came late on a settled connection, and one it came after.
    disorder: Option<(u64, u64)>,
}

impl Order {
    fn push(&mut self, seq: u64, settled: bool) {
        if !self.seen.insert(seq) {
            return;
        }
        self.arrived.push(seq);
        if let Some(&early) = self.seen.range(seq + 1..).next() {
            self.late += 1;
            if settled {
                self.disorder.get_or_insert((seq, early));
            }
        }
    }

    /// What arrived, repetitions left out, as runs: `7-9 3 10-12`.
    fn runs(&self) -> String {
        let runs = self.arrived.chunk_by(|a, b| a + 1 == *b);
        let runs = runs.filter_map(|run| Some((*run.first()?, *run.last()?)));
        let texts = runs.map(|(a, b)| {
            if a == b {
                a.to_string()
            } else {
                format!("{a}-{b}")
            }
        });
        texts.collect::<Vec<_>>().join(" ")
    }
}

/// I6: what the SDK hands out is the history, from its first message on. Messages that were taken
/// back before they came are left out.
fn sdk_timelines_are_complete(observed: &Observed, truth: &Truth<'_>, wrong: &mut Vec<String>) {
    for (who, timeline) in &observed.timelines {
        for (place, rows) in timeline {
            let Some(first) = rows.first() else { continue };
            let all = truth.get(place).copied().unwrap_or_default();
            let from = usize::try_from(first.seq.saturating_sub(1)).unwrap_or(usize::MAX);
            let expected = all.get(from..).unwrap_or_default();
            let came: BTreeSet<u64> = rows.iter().map(|row| row.seq).collect();
            let due = expected.iter();
            let due = due.filter(|row| !row.deleted || came.contains(&row.seq));
            let here = rows.iter().map(|r| (r.seq, &r.message_id));
            if !here.eq(due.map(|r| (r.seq, &r.message_id))) {
                wrong.push(format!(
                    "the SDK of user {who} has {} messages of conversation {place} from number {} on, history has {}",
                    rows.len(), first.seq, expected.len()
                ));
            }
        }
    }
}

/// I4: unread = head − pointer; the pointer never went back and never passed the head.
fn unread_is_exact(observed: &Observed, truth: &Truth<'_>, wrong: &mut Vec<String>) {
    for ((who, place), listed) in &observed.lists {
        let head = truth
            .get(place)
            .and_then(|rows| rows.last())
            .map_or(0, |row| row.seq);
        let read = observed.read.get(&(*who, *place)).copied().unwrap_or(0);
        let label = format!("user {who}, conversation {place}:");
        if listed.last_seq != head {
            wrong.push(format!(
                "{label} the list says {}, history ends at {head}",
                listed.last_seq
            ));
        }
        if listed.last_read < read || listed.last_read > listed.last_seq {
            wrong.push(format!(
                "{label} the read pointer stands at {} after {read} was confirmed",
                listed.last_read
            ));
        }
        let expected = i64::try_from(listed.last_seq.saturating_sub(listed.last_read));
        // Whoever never opened the world chat isn't told about everything ever said there.
        let newcomer = *place == WORLD && listed.last_read == 0 && listed.unread == 0;
        if expected != Ok(listed.unread) && !newcomer {
            wrong.push(format!(
                "{label} {} unread instead of {expected:?}",
                listed.unread
            ));
        }
    }
}

/// I14: a living group has exactly one owner, who is a member, and counts its members.
fn groups_have_one_owner(observed: &Observed, wrong: &mut Vec<String>) {
    for (id, crew) in &observed.crews {
        let Some(crew) = crew else {
            wrong.push(format!("group {id} is seen by nobody who was in it"));
            continue;
        };
        if crew.is_dissolved {
            continue;
        }
        let owners = crew
            .members
            .iter()
            .filter(|(_, role)| **role == Role::Owner);
        let owners: Vec<_> = owners.map(|(user, _)| *user).collect();
        if crew.owner.is_none() || owners != Vec::from_iter(crew.owner) {
            wrong.push(format!(
                "group {id} names {:?} as owner, and its members say {owners:?}",
                crew.owner
            ));
        }
        if crew.count != crew.members.len() as u64 {
            wrong.push(format!(
                "group {id} counts {} members and has {}",
                crew.count,
                crew.members.len()
            ));
        }
    }
}

/// Rows are in order, so a number is found by its place or not at all.
pub(super) fn find(rows: &[Row], seq: u64) -> Option<&Row> {
    let at = rows.binary_search_by_key(&seq, |row| row.seq).ok()?;
    rows.get(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disorder(settling: &[u64], settled: &[u64]) -> bool {
        let mut order = Order::default();
        settling.iter().for_each(|seq| order.push(*seq, false));
        settled.iter().for_each(|seq| order.push(*seq, true));
        order.disorder.is_some()
    }

    #[test]
    fn messages_from_before_the_connection_may_come_late() {
        assert!(!disorder(&[], &[5, 6, 7]));
        assert!(!disorder(&[], &[5, 5, 6, 5]));
        assert!(!disorder(&[7, 3, 8, 4, 9, 5], &[10]));
    }

    #[test]
    fn on_a_settled_connection_everything_is_in_order() {
        assert!(disorder(&[], &[7, 9, 8]));
        assert!(disorder(&[7, 9], &[8]));
    }

    #[test]
    fn what_arrived_is_told_in_runs() {
        let mut order = Order::default();
        [7, 8, 9, 3, 9, 10]
            .iter()
            .for_each(|seq| order.push(*seq, true));
        assert_eq!(order.runs(), "7-9 3 10");
    }
}
