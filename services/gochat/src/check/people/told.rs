//! What the timelines of groups tell of the commands that were given.
//!
//! Commands of one round are given at once, rounds one after the other. The timeline must tell the
//! commands of every round in an order that explains its outcomes, each exactly once, and nothing
//! else.

use std::collections::BTreeSet;

use gochat_core::ids::UserId;
use gochat_core::message::SystemMessage;
use serde_json::Value;

use super::board::SPOKEN;

/// A system message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::check) struct Said {
    /// Id of the author.
    by: String,
    /// What the message says.
    pub(in crate::check) content: String,
}

impl Said {
    /// What is told of something that a user did.
    pub(in crate::check) fn new(by: UserId, message: &SystemMessage) -> Self {
        Self {
            by: by.to_string(),
            content: plain(message.clone()),
        }
    }

    /// Whether a message was pinned.
    pub(in crate::check) fn is_pin(&self) -> bool {
        matches!(
            SystemMessage::parse(&self.content),
            Some(SystemMessage::Pinned { .. })
        )
    }

    /// A message as it is read; one that isn't the system's is what it says of itself.
    fn read(message: &Value) -> Self {
        let text = |field: &str| message[field].as_str().unwrap_or_default();
        if message["messageType"] == 1 && text("content") == SPOKEN {
            return Self {
                by: text("senderId").to_owned(),
                content: SPOKEN.to_owned(),
            };
        }
        let system = (message["messageType"] == 4)
            .then(|| SystemMessage::parse(text("content")))
            .flatten();
        Self {
            by: text("senderId").to_owned(),
            content: system.map_or_else(|| message.to_string(), plain),
        }
    }
}

/// The content, with the first members of a group in one order.
fn plain(mut message: SystemMessage) -> String {
    if let SystemMessage::Created { users, .. } = &mut message {
        users.sort_unstable();
    }
    message.to_content()
}

/// A group that tells what happens to it.
#[derive(Debug, Clone, Default)]
pub(in crate::check) struct Tale {
    pub(in crate::check) group: String,
    /// For each round of commands, what may be told of it.
    pub(in crate::check) rounds: Vec<BTreeSet<Vec<Said>>>,
    /// Acknowledged pins, and one without an answer.
    pub(in crate::check) pins: Vec<Said>,
    pub(super) open_pin: Option<Said>,
    /// What its timeline tells, with the numbers of the messages; `None` when it can't be read.
    pub(in crate::check) told: Option<Vec<(u64, Said)>>,
}

impl Tale {
    /// A group that its owner made with these members.
    pub(in crate::check) fn new(
        group: String,
        owner: UserId,
        name: &str,
        members: &[UserId],
    ) -> Self {
        let created = Said::new(owner, &SystemMessage::created(name, members));
        Self {
            group,
            rounds: vec![BTreeSet::from([vec![created]])],
            ..Self::default()
        }
    }

    /// Takes a page of the timeline.
    pub(super) fn read(page: &Value) -> Vec<(u64, Said)> {
        let messages = page["messages"].as_array().into_iter().flatten();
        let numbered = |m: &Value| (m["seqId"].as_u64().unwrap_or(0), Said::read(m));
        messages.map(numbered).collect()
    }

    /// Pins are told as they were made, one after the other; one without an answer may be.
    fn fault_of_pins(&self, told: &[&Said]) -> Option<String> {
        let all: Vec<&Said> = self.pins.iter().collect();
        let with_open = all.iter().copied().chain(&self.open_pin);
        let fits = *told == all || told.iter().copied().eq(with_open);
        (!fits).then(|| {
            format!(
                "the timeline of group {} tells pins {told:?} instead of {:?}",
                self.group, self.pins
            )
        })
    }

    /// What is wrong, in words.
    pub(in crate::check) fn fault(&self) -> Option<String> {
        let group = &self.group;
        let Some(told) = &self.told else {
            return Some(format!("the timeline of group {group} can't be read"));
        };
        if let Some((n, expected)) = told.iter().map(|(n, _)| n).zip(1..).find(|(n, e)| *n != e) {
            return Some(format!(
                "the timeline of group {group} has number {n} where {expected} should be"
            ));
        }
        let said = told.iter().map(|(_, said)| said);
        let (pins, said): (Vec<&Said>, Vec<&Said>) = said
            .filter(|said| said.content != SPOKEN)
            .partition(|said| said.is_pin());
        if let Some(fault) = self.fault_of_pins(&pins) {
            return Some(fault);
        }
        // Where the messages of the rounds so far may end.
        let mut ends = BTreeSet::from([0]);
        for (n, round) in self.rounds.iter().enumerate() {
            let next = ends.iter().flat_map(|end| {
                let rest = &said[*end..];
                let fits = round
                    .iter()
                    .filter(|t| t.iter().eq(rest.iter().copied().take(t.len())));
                fits.map(move |telling| end + telling.len())
            });
            let next: BTreeSet<usize> = next.collect();
            if next.is_empty() {
                let from = ends.first().copied().unwrap_or(0);
                let rest: Vec<_> = said.iter().skip(from).take(6).collect();
                return Some(format!(
                    "the timeline of group {group} tells {rest:?} after its message {from}, where round {n} should be one of {round:?}"
                ));
            }
            ends = next;
        }
        let end = ends.last().copied().unwrap_or(0);
        (!ends.contains(&said.len())).then(|| {
            let more = &said[end..];
            format!("the timeline of group {group} tells {more:?}, which did not happen")
        })
    }
}
