//! The invariants of deletions: what was deleted stays away, from the one user alone.

use std::collections::BTreeSet;

use super::{Deletions, blank};
use crate::check::audit::{Truth, find};
use crate::check::observe::{Observed, Place, Row, Who};
use crate::check::references::Quote;

/// Refusals that a wish may meet: the message has no row yet, there is no room, or too many asked.
const REFUSALS: [&str; 5] = [
    "MESSAGE_NOT_FOUND",
    "TOO_MANY_HIDDEN",
    "RATE_LIMITED",
    // Nothing was done for a token that could not be renewed in time.
    "TOKEN_EXPIRED",
    "UNAUTHORIZED",
];

/// Everything that is wrong, in words.
pub(in crate::check) fn audit(observed: &Observed, truth: &Truth<'_>, wrong: &mut Vec<String>) {
    for ((who, place), rows) in &observed.history {
        let label = format!("user {who}, conversation {place}:");
        let all = truth.get(place).copied().unwrap_or_default();
        let nothing = Deletions::default();
        let deletions = observed.deletions.get(&(*who, *place));
        let is_whole = deletions.is_none();
        let mut reader = Reader {
            deletions: deletions.unwrap_or(&nothing),
            rows,
            begins: rows
                .first()
                .map_or_else(|| newest(all), |row| row.seq.saturating_sub(1)),
            faults: Vec::new(),
        };
        reader.hides_what_was_asked();
        reader.lists_what_it_says(observed, (*who, *place));
        // Where nothing was asked for, all readers were compared already.
        if !is_whole {
            reader.clears_what_was_asked();
            reader.says_the_rest(all);
            reader.says_the_same_around();
            reader.second_device();
        }
        wrong.extend(reader.faults.iter().map(|fault| format!("{label} {fault}")));
    }
    for ((who, place), deletions) in &observed.deletions {
        let label = format!("user {who}, conversation {place}:");
        wrong.extend(deletions.faults.iter().map(|f| format!("{label} {f}")));
        let codes = deletions.refused.iter();
        for code in codes.filter(|code| !REFUSALS.contains(&&***code)) {
            wrong.push(format!("{label} a deletion was refused with {code}"));
        }
    }
}

fn newest(rows: &[Row]) -> u64 {
    rows.last().map_or(0, |row| row.seq)
}

/// History of one conversation as one user reads it.
struct Reader<'a> {
    deletions: &'a Deletions,
    rows: &'a [Row],
    /// The first message that the reader sees comes after this number.
    begins: u64,
    faults: Vec<String>,
}

impl Reader<'_> {
    /// What was acknowledged is gone, and nothing is that was never asked for.
    fn hides_what_was_asked(&mut self) {
        for row in self.rows {
            let asked = self.deletions.messages.get(&row.seq);
            let asked = asked.copied().unwrap_or_default();
            if asked.done && !row.hidden {
                self.faults
                    .push(format!("deleted message {} is back", row.seq));
            }
            if row.hidden && !asked.may_hold() {
                self.faults.push(format!(
                    "message {} is hidden, which the user never asked for",
                    row.seq
                ));
            }
        }
    }

    /// History begins where it was cleared.
    fn clears_what_was_asked(&mut self) {
        let (least, most) = (self.deletions.cleared, self.deletions.cleared_at_most());
        if self.begins < least || self.begins > most {
            self.faults.push(format!(
                "history begins after {}, and was cleared up to {least} at least and {most} at most",
                self.begins
            ));
        }
    }

    /// What is left is the same for all readers, but for what it quotes of deleted messages.
    fn says_the_rest(&mut self, all: &[Row]) {
        let expected = all.iter().filter(|row| row.seq > self.begins);
        let expected: Vec<&Row> = expected.collect();
        if expected.len() != self.rows.len() {
            self.faults.push(format!(
                "history has {} messages after {}, and {} for others",
                self.rows.len(),
                self.begins,
                expected.len()
            ));
        }
        for (row, whole) in self.rows.iter().zip(expected) {
            let same = match row.hidden {
                true => *row == blank(whole),
                false => self.is_same(row, whole),
            };
            if !same {
                self.faults.push(format!(
                    "message {} reads {row:?}, and {whole:?} for others",
                    row.seq
                ));
                return;
            }
        }
    }

    fn is_same(&self, row: &Row, whole: &Row) -> bool {
        let quote = whole.quote.clone();
        let with = |quote| Row {
            quote,
            ..whole.clone()
        };
        let Some(whole_quote) = quote else {
            return row == whole;
        };
        let seq = whole_quote.seq;
        let less = match seq <= self.begins {
            true => "normal".to_owned(),
            false => whole_quote.state.clone(),
        };
        let masked = Quote {
            seq,
            excerpt: String::new(),
            state: less,
        };
        let is_open = |asked: &super::Asked| asked.open > 0 && !asked.done;
        // Pages are read one after the other, and what has no answer may come in between.
        let may_change = self.deletions.messages.get(&seq).is_some_and(is_open);
        let is_gone = seq <= self.begins || find(self.rows, seq).is_some_and(|row| row.hidden);
        match is_gone {
            true => *row == with(Some(masked)),
            false => row == whole || (may_change && *row == with(Some(masked))),
        }
    }

    /// Around a message stands what history says.
    fn says_the_same_around(&mut self) {
        let is_sure = self.deletions.is_settled();
        for row in self.deletions.around.iter().filter(|_| is_sure) {
            if find(self.rows, row.seq) != Some(row) {
                self.faults.push(format!(
                    "message {} reads otherwise when one jumps to it: {row:?}",
                    row.seq
                ));
            }
        }
    }

    /// A device that knows nothing is led to the same messages, each under a version of its own.
    fn second_device(&mut self) {
        let listed = &self.deletions.listed;
        let rises = listed.windows(2).all(|pair| pair[0].1 < pair[1].1);
        let set: BTreeSet<u64> = listed.iter().map(|(seq, _)| *seq).collect();
        let hidden = self.rows.iter().filter(|row| row.hidden);
        let hidden: BTreeSet<u64> = hidden.map(|row| row.seq).collect();
        let fits = |seq: &&u64| {
            let asked = self.deletions.messages.get(seq);
            let is_open = asked.is_some_and(|asked| asked.open > 0);
            let is_seen =
                self.deletions.clearing.is_empty() || **seq > self.deletions.cleared_at_most();
            !is_open && is_seen
        };
        let differs: Vec<u64> = set
            .symmetric_difference(&hidden)
            .filter(fits)
            .copied()
            .collect();
        if !rises || set.len() != listed.len() || !differs.is_empty() {
            self.faults.push(format!(
                "a second device is told of deleted messages {listed:?}, different in {differs:?}"
            ));
        }
    }

    /// The list of conversations says how far it was cleared and how many messages were deleted.
    fn lists_what_it_says(&mut self, observed: &Observed, of: (Who, Place)) {
        let Some(line) = observed.lists.get(&of) else {
            return;
        };
        let (least, most) = (self.deletions.cleared, self.deletions.cleared_at_most());
        let hidden = self.rows.iter().filter(|row| row.hidden).count() as u64;
        let counts = line.hidden == hidden || !self.deletions.is_settled();
        if line.cleared < least || line.cleared > most || !counts {
            self.faults.push(format!(
                "the list says {} deleted messages instead of {hidden}, cleared up to {} instead of {least} to {most}",
                line.hidden, line.cleared
            ));
        }
    }
}
