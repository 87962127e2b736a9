//! Puts the facts of many conversations together from the rows of a handful of statements.

use std::borrow::Cow;

use gochat_core::ids::{ConversationId, ConversationKind, MessageId, Rev, SeqId, UserId};
use hashbrown::{HashMap, HashSet};

use super::text::json_array;
use crate::port::db::{
    ConversationFacts, ConversationRow, FactsOf, FactsRequest, MemberRow, ReactorRow,
    RecentMessage, Resend, TargetRow,
};

/// Bytes of settings that take as much room in an answer as a row.
const SETTINGS_PER_ROW: usize = 100;
/// Rows that take as much room in an answer as a target, which brings its reactions.
const ROWS_PER_TARGET: usize = 8;
/// Rows that take as much room in an answer as a message that is answered, which brings its excerpt
/// as well.
const ROWS_PER_QUOTE: usize = 11;

/// Everything found, by conversation.
#[derive(Default)]
pub(crate) struct Found {
    rows: HashMap<ConversationId, ConversationRow>,
    members: HashMap<ConversationId, Vec<MemberRow>>,
    blocked: Vec<ConversationId>,
    recent: HashMap<ConversationId, Vec<RecentMessage>>,
    resends: HashMap<ConversationId, Vec<RecentMessage>>,
    targets: HashMap<ConversationId, Vec<TargetRow>>,
    reactors: HashMap<ConversationId, Vec<ReactorRow>>,
}

/// The resends asked for: a JSON array of `[conversation, sender, client id, 1 for a change, else 0]`; `None` when there
/// are none.
pub(crate) fn resends(request: &FactsRequest) -> Option<String> {
    let of = |asked: &FactsOf| {
        let id = asked.id;
        let entry = |resend: &Resend| {
            let (sender, is_change) = (resend.sender, u8::from(resend.is_change));
            let client = serde_json::Value::from(resend.client_msg_id.as_str());
            format!("[\"{id}\",{sender},{client},{is_change}]")
        };
        asked.resends.iter().map(entry).collect::<Vec<_>>()
    };
    let entries: Vec<String> = request.conversations.iter().flat_map(of).collect();
    (!entries.is_empty()).then(|| json_array(entries))
}

/// The targets and quotes asked for, each message once: a JSON array of `[conversation, message, 1
/// with an excerpt, else 0]`; `None` when there are none.
pub(crate) fn targets(request: &FactsRequest) -> Option<String> {
    let of = |asked: &FactsOf| {
        let id = asked.id;
        let targets = asked.targets.iter().map(|message| (id, *message, 0));
        let quotes = asked.quotes.iter().map(|message| (id, *message, 1));
        targets.chain(quotes).collect::<Vec<_>>()
    };
    let mut entries: Vec<(_, _, i32)> = request.conversations.iter().flat_map(of).collect();
    entries.sort_unstable_by_key(|(id, message, quoted)| (*id, *message, -quoted));
    entries.dedup_by_key(|(id, message, _)| (*id, *message));
    let entry = |(id, message, quoted)| format!("[\"{id}\",{message},{quoted}]");
    (!entries.is_empty()).then(|| json_array(entries.into_iter().map(entry)))
}

/// The reactors asked for, each once: a JSON array of `[conversation, message, user]`; `None` when
/// there are none.
pub(crate) fn reactors(request: &FactsRequest) -> Option<String> {
    let of = |asked: &FactsOf| {
        let id = asked.id;
        let entry = |(message, user): &(_, _)| format!("[\"{id}\",{message},{user}]");
        asked.reactors.iter().map(entry).collect::<Vec<_>>()
    };
    let mut entries: Vec<String> = request.conversations.iter().flat_map(of).collect();
    entries.sort_unstable();
    entries.dedup();
    (!entries.is_empty()).then(|| json_array(entries))
}

/// The single chats asked for, with their pair.
pub(crate) fn pairs(request: &FactsRequest) -> Vec<(ConversationId, UserId, UserId)> {
    let of = |id| match id {
        ConversationId::Single(a, b) => Some((id, a, b)),
        _ => None,
    };
    let asked = request.conversations.iter();
    let asked = asked.filter(|asked| !asked.without_members);
    asked.filter_map(|asked| of(asked.id)).collect()
}

impl Found {
    /// Takes the rows of conversations.
    pub(crate) fn conversations(&mut self, found: Vec<ConversationRow>) {
        self.rows.extend(found.into_iter().map(|row| (row.id, row)));
    }

    /// The part of the request that one answer has room for: what is asked first, at least one
    /// conversation. All that follows reads and answers only this part.
    pub(crate) fn fitting<'r>(&self, request: &'r FactsRequest) -> Cow<'r, FactsRequest> {
        let mut rows = 0;
        let fits = request.conversations.iter().take_while(|asked| {
            rows += self.rows_of(asked, request);
            rows <= request.max_rows
        });
        let fits = fits.count().max(1);
        if fits >= request.conversations.len() {
            return Cow::Borrowed(request);
        }
        Cow::Owned(FactsRequest {
            conversations: request.conversations[..fits].to_vec(),
            ..*request
        })
    }

    /// Maximum number of rows one conversation is answered with. Its settings count by their
    /// length.
    fn rows_of(&self, asked: &FactsOf, request: &FactsRequest) -> usize {
        let Some(row) = self.rows.get(&asked.id) else {
            return 1;
        };
        let members = match self.complete(asked.id, request) {
            _ if asked.without_members => 0,
            true => u64::from(row.member_count),
            false => asked.senders.len() as u64,
        };
        // The row is stamped with every message, but not with every change.
        let is_recent = row.updated_at >= request.recent_since;
        let recent = match is_recent {
            true => row.last_rev,
            false => row.last_rev.saturating_sub(row.last_seq_id),
        };
        let recent = recent.min(u64::from(request.recent_max));
        let rows = usize::try_from(members + recent).unwrap_or(usize::MAX);
        let asked_for = asked.resends.len()
            + ROWS_PER_TARGET * asked.targets.len()
            + ROWS_PER_QUOTE * asked.quotes.len()
            + asked.reactors.len();
        1 + rows + asked_for + row.settings.len() / SETTINGS_PER_ROW
    }

    /// Whether the answer holds all members.
    fn complete(&self, id: ConversationId, request: &FactsRequest) -> bool {
        id.kind() != ConversationKind::World
            && self
                .rows
                .get(&id)
                .is_some_and(|row| row.member_count <= request.max_members)
    }

    /// Conversations whose members are all wanted, each once.
    pub(crate) fn small(&self, request: &FactsRequest) -> Vec<ConversationId> {
        // Asking for one conversation twice must not double its members.
        let asked = request.conversations.iter();
        let asked = asked.filter(|asked| !asked.without_members);
        let mut small: Vec<ConversationId> = asked.map(|asked| asked.id).collect();
        small.retain(|id| self.complete(*id, request));
        small.sort_unstable();
        small.dedup();
        small
    }

    /// Members wanted of the other conversations, each once.
    pub(crate) fn senders(&self, request: &FactsRequest) -> Vec<(ConversationId, UserId)> {
        let mut senders: Vec<(ConversationId, UserId)> = request
            .conversations
            .iter()
            .filter(|asked| !asked.without_members && !self.complete(asked.id, request))
            .flat_map(|asked| asked.senders.iter().map(|sender| (asked.id, *sender)))
            .collect();
        senders.sort_unstable();
        senders.dedup();
        senders
    }

    /// Takes the rows of members; those of one conversation in the order of their ids.
    pub(crate) fn members(&mut self, found: Vec<MemberRow>) {
        for member in found {
            let of = self.members.entry(member.conversation_id).or_default();
            of.push(member);
        }
    }

    /// Takes the blocked single chats.
    pub(crate) fn blocked(&mut self, found: Vec<ConversationId>) {
        self.blocked = found;
    }

    /// Where the wanted newest messages and changes begin: a seq and a rev. Neither has gaps, so
    /// the newest N are those above head − N: a range, not a count.
    pub(crate) fn windows(&self, request: &FactsRequest) -> Vec<(ConversationId, SeqId, Rev)> {
        if request.recent_max == 0 {
            return Vec::new();
        }
        let lowest = |head: u64| (head + 1).saturating_sub(u64::from(request.recent_max));
        self.rows
            .values()
            .filter(|row| row.last_rev > 0)
            .map(|row| (row.id, lowest(row.last_seq_id), lowest(row.last_rev)))
            .collect()
    }

    /// Takes recent messages and changes in any order.
    pub(crate) fn recent(&mut self, mut found: Vec<(ConversationId, RecentMessage)>) {
        found.sort_unstable_by_key(|(_, message)| message.rev);
        for (id, message) in found {
            self.recent.entry(id).or_default().push(message);
        }
    }

    /// Takes stored messages and changes that were looked for: the first of each counts.
    pub(crate) fn resends(&mut self, mut found: Vec<(ConversationId, RecentMessage)>) {
        found.sort_unstable_by_key(|(_, message)| message.rev);
        let mut seen = HashSet::new();
        for (id, message) in found {
            let client = message.client_msg_id.clone();
            if seen.insert((id, message.sender_id, client, message.is_change)) {
                self.resends.entry(id).or_default().push(message);
            }
        }
    }

    /// Takes messages that are to be changed, newest copies of an id first: the first of each
    /// counts.
    pub(crate) fn targets(&mut self, found: Vec<(ConversationId, TargetRow)>) {
        let mut seen = HashSet::new();
        for (id, target) in found {
            if seen.insert((id, target.message_id)) {
                self.targets.entry(id).or_default().push(target);
            }
        }
    }

    /// Takes reactions of those who are about to react. An emoji of a newer program is left out.
    pub(crate) fn reactors(&mut self, found: Vec<(ConversationId, MessageId, UserId, String)>) {
        for (id, message_id, user_id, emoji) in found {
            if let Ok(emoji) = emoji.parse() {
                let row = ReactorRow {
                    message_id,
                    user_id,
                    emoji,
                };
                self.reactors.entry(id).or_default().push(row);
            }
        }
    }

    /// One answer per distinct conversation, in the order first asked.
    pub(crate) fn answer(mut self, request: &FactsRequest) -> Vec<ConversationFacts> {
        let listed: HashSet<ConversationId> = self.small(request).into_iter().collect();
        let mut seen = HashSet::new();
        let asked = request.conversations.iter().map(|asked| asked.id);
        let distinct: Vec<_> = asked.filter(|id| seen.insert(*id)).collect();
        distinct
            .into_iter()
            .map(|id| self.take(id, listed.contains(&id)))
            .collect()
    }

    fn take(&mut self, id: ConversationId, members_complete: bool) -> ConversationFacts {
        ConversationFacts {
            id,
            members_complete,
            conversation: self.rows.remove(&id),
            members: self.members.remove(&id).unwrap_or_default(),
            blocked: self.blocked.contains(&id),
            recent: self.recent.remove(&id).unwrap_or_default(),
            resends: self.resends.remove(&id).unwrap_or_default(),
            targets: self.targets.remove(&id).unwrap_or_default(),
            reactors: self.reactors.remove(&id).unwrap_or_default(),
        }
    }
}
