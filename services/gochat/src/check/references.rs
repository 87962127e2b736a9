//! What messages refer to: how clients of the run refer to others, and what must come of it.

use std::collections::BTreeSet;

use gochat_core::message::{MessageType, Refers, excerpt};
use serde_json::Value;

use super::audit::{Truth, find};
use super::observe::{Observed, Row};

/// What a message refers to, as it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct References {
    /// Id of the message that is answered; empty when none is.
    pub(super) answered: String,
    /// Ids of the users that are named.
    pub(super) mentions: BTreeSet<String>,
}

/// What an answer says of the message that it answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Quote {
    pub(super) seq: u64,
    pub(super) excerpt: String,
    pub(super) state: String,
}

impl References {
    /// What its author wishes.
    pub(super) fn wished(refers: Option<&Refers>) -> Self {
        let Some(refers) = refers else {
            return Self::default();
        };
        let answered = refers.reply_to.map(|id| id.to_string());
        Self {
            answered: answered.unwrap_or_default(),
            mentions: refers.mentions.iter().map(ToString::to_string).collect(),
        }
    }

    /// Of a message as it is read.
    pub(super) fn read(message: &Value) -> Self {
        let answered = message["replyTo"]["messageId"].as_str().unwrap_or_default();
        let mentions = message["mentions"].as_array().into_iter().flatten();
        Self {
            answered: answered.to_owned(),
            mentions: mentions
                .filter_map(|user| user.as_str().map(str::to_owned))
                .collect(),
        }
    }
}

impl Quote {
    /// Of a message as it is read; `None` when it answers nothing.
    pub(super) fn read(message: &Value) -> Option<Self> {
        let quote = message.get("replyTo").filter(|quote| quote.is_object())?;
        let text = |field: &str| quote[field].as_str().unwrap_or_default().to_owned();
        Some(Self {
            seq: quote["seqId"].as_u64().unwrap_or(0),
            excerpt: text("excerpt"),
            state: text("state"),
        })
    }

    /// What must be said of a message as it is now.
    fn of(row: &Row) -> Self {
        let state = match (row.deleted, row.edits) {
            (true, _) => "recalled",
            (false, 0) => "normal",
            (false, _) => "edited",
        };
        Self {
            seq: row.seq,
            excerpt: excerpt(MessageType::Text, &row.content).to_owned(),
            state: state.to_owned(),
        }
    }
}

/// Messages refer to what their authors wished, quotes say what their messages say now, and
/// mentions are counted until they are read.
pub(super) fn audit(observed: &Observed, truth: &Truth<'_>, wrong: &mut Vec<String>) {
    let as_sent = |row: &Row| {
        let is_ours = observed.sent.contains_key(&row.client_id);
        let sent = observed.references.get(&row.client_id);
        let sent = sent.filter(|_| !row.deleted).cloned().unwrap_or_default();
        !is_ours || row.references == sent
    };
    for (place, rows) in truth {
        for row in rows.iter().filter(|row| !as_sent(row)) {
            wrong.push(format!(
                "message {} of conversation {place} refers to something else than it was sent with: {:?}",
                row.seq, row.references
            ));
        }
        for row in *rows {
            let Some(quote) = &row.quote else { continue };
            let answered =
                find(rows, quote.seq).filter(|m| m.message_id == row.references.answered);
            if answered.map(Quote::of).as_ref() != Some(quote) {
                wrong.push(format!(
                    "message {} of conversation {place} quotes {quote:?}, which is not what that message says",
                    row.seq
                ));
            }
        }
    }
    for connection in &observed.connections {
        for (place, row) in connection.pushes.iter().filter(|(_, row)| !as_sent(row)) {
            wrong.push(format!(
                "user {} was pushed message {} of conversation {place} with {:?}",
                connection.who, row.seq, row.references
            ));
        }
    }
    mentions_are_counted(observed, truth, wrong);
}

fn mentions_are_counted(observed: &Observed, truth: &Truth<'_>, wrong: &mut Vec<String>) {
    for ((who, place), listed) in &observed.lists {
        let Some(user) = observed.users.get(*who) else {
            continue;
        };
        let rows = truth.get(place).copied().unwrap_or_default();
        let names =
            |row: &&Row| row.seq > listed.last_read && row.references.mentions.contains(user);
        let named = rows.iter().filter(names).filter(|row| row.sender != *user);
        let expected = named.count() as u64;
        if listed.mentions != expected {
            wrong.push(format!(
                "user {who}, conversation {place}: {} unread mentions instead of {expected}",
                listed.mentions
            ));
        }
    }
}
