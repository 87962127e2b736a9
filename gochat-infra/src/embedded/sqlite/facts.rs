//! The facts the sequencer judges by, for many conversations in at most five statements.

use diesel::connection::Connection as _;
use diesel::sqlite::SqliteConnection;
use gochat_core::ids::{ConversationId, ConversationKind, MessageId, SeqId, UnixMillis, UserId};
use hashbrown::{HashMap, HashSet};

use super::query::{binds, json_array, json_ids, rows, statements};
use super::row::columns;
use crate::port::db::{
    ConversationFacts, ConversationRow, DbResult, FactsRequest, MemberRow, RecentMessage,
};

statements! {
    Conversations = concat!(
        "SELECT ", columns!(conversation "c"), " FROM json_each(?1) j \
         CROSS JOIN conversations c ON c.id = j.value"
    );
    AllMembers = concat!(
        "SELECT ", columns!(member "m"), " FROM json_each(?1) j \
         CROSS JOIN conversation_members m ON m.conversation_id = j.value \
         ORDER BY j.key, m.user_id"
    );
    // ?1 [[conversation, user], …]
    SomeMembers = concat!(
        "SELECT ", columns!(member "m"), " FROM json_each(?1) j \
         CROSS JOIN conversation_members m ON m.conversation_id = j.value ->> 0 \
              AND m.user_id = j.value ->> 1"
    );
    // ?1 [[conversation, a, b], …]
    Blocked = "SELECT DISTINCT j.value ->> 0 FROM json_each(?1) j \
         CROSS JOIN friendship_requests f \
              ON (f.requester_id = j.value ->> 1 AND f.target_id = j.value ->> 2) \
              OR (f.requester_id = j.value ->> 2 AND f.target_id = j.value ->> 1) \
         WHERE f.status = 3";
    // ?1 [[conversation, lowest seq], …], ?2 oldest instant
    Recent = "SELECT m.conversation_id, m.sender_id, m.client_msg_id, m.id, m.seq_id, \
              m.created_at FROM json_each(?1) j \
         CROSS JOIN messages m ON m.conversation_id = j.value ->> 0 AND m.seq_id >= j.value ->> 1 \
         WHERE m.created_at >= ?2 AND m.client_msg_id IS NOT NULL \
         ORDER BY j.key, m.seq_id";
}

pub(super) fn load(
    conn: &mut SqliteConnection,
    request: &FactsRequest,
) -> DbResult<Vec<ConversationFacts>> {
    conn.transaction(|conn| {
        let mut found = Found::default();
        found.conversations(conn, request)?;
        found.members(conn, request)?;
        found.blocked(conn, request)?;
        found.recent(conn, request)?;
        let mut seen = HashSet::new();
        let distinct = request
            .conversations
            .iter()
            .filter(|asked| seen.insert(asked.id));
        Ok(distinct
            .map(|asked| found.take(asked.id, request))
            .collect())
    })
}

/// Everything found, by conversation.
#[derive(Default)]
struct Found {
    rows: HashMap<ConversationId, ConversationRow>,
    members: HashMap<ConversationId, Vec<MemberRow>>,
    blocked: Vec<ConversationId>,
    recent: HashMap<ConversationId, Vec<RecentMessage>>,
}

impl Found {
    fn conversations(
        &mut self,
        conn: &mut SqliteConnection,
        request: &FactsRequest,
    ) -> DbResult<()> {
        let ids = json_ids(request.conversations.iter().map(|asked| asked.id));
        let found: Vec<ConversationRow> = rows::<Conversations, _>(conn, &binds![&ids])?;
        self.rows.extend(found.into_iter().map(|row| (row.id, row)));
        Ok(())
    }

    /// Whether the answer holds all members.
    fn complete(&self, id: ConversationId, request: &FactsRequest) -> bool {
        id.kind() != ConversationKind::World
            && self
                .rows
                .get(&id)
                .is_some_and(|row| row.member_count <= request.max_members)
    }

    fn members(&mut self, conn: &mut SqliteConnection, request: &FactsRequest) -> DbResult<()> {
        // Asking for one conversation twice must not double its members.
        let mut small: Vec<ConversationId> = request.conversations.iter().map(|c| c.id).collect();
        small.retain(|id| self.complete(*id, request));
        small.sort_unstable();
        small.dedup();
        let mut senders: Vec<(ConversationId, UserId)> = request
            .conversations
            .iter()
            .filter(|asked| !self.complete(asked.id, request))
            .flat_map(|asked| asked.senders.iter().map(|sender| (asked.id, *sender)))
            .collect();
        senders.sort_unstable();
        senders.dedup();

        let mut found: Vec<MemberRow> = Vec::new();
        if !small.is_empty() {
            found.extend(rows::<AllMembers, MemberRow>(
                conn,
                &binds![json_ids(small)],
            )?);
        }
        if !senders.is_empty() {
            let pairs = json_array(
                senders
                    .iter()
                    .map(|(id, user)| format!("[\"{id}\",{user}]")),
            );
            found.extend(rows::<SomeMembers, MemberRow>(conn, &binds![&pairs])?);
        }
        for member in found {
            self.members
                .entry(member.conversation_id)
                .or_default()
                .push(member);
        }
        Ok(())
    }

    fn blocked(&mut self, conn: &mut SqliteConnection, request: &FactsRequest) -> DbResult<()> {
        let pairs = request
            .conversations
            .iter()
            .filter_map(|asked| match asked.id {
                ConversationId::Single(a, b) => Some(format!("[\"{}\",{a},{b}]", asked.id)),
                _ => None,
            });
        let pairs = json_array(pairs);
        if pairs.len() > 2 {
            self.blocked = rows::<Blocked, _>(conn, &binds![&pairs])?;
        }
        Ok(())
    }

    fn recent(&mut self, conn: &mut SqliteConnection, request: &FactsRequest) -> DbResult<()> {
        // Seqs have no gaps, so the newest N are those above head − N: a range, not a count.
        let ranges = self
            .rows
            .values()
            .filter(|row| row.last_seq_id > 0)
            .map(|row| {
                let lowest = (row.last_seq_id + 1).saturating_sub(u64::from(request.recent_max));
                format!("[\"{}\",{lowest}]", row.id)
            });
        let ranges = json_array(ranges);
        if request.recent_max == 0 || ranges.len() <= 2 {
            return Ok(());
        }
        type Line = (ConversationId, UserId, String, MessageId, SeqId, UnixMillis);
        let found: Vec<Line> = rows::<Recent, _>(conn, &binds![&ranges, request.recent_since])?;
        for (id, sender_id, client_msg_id, message_id, seq_id, created_at) in found {
            self.recent.entry(id).or_default().push(RecentMessage {
                sender_id,
                client_msg_id,
                message_id,
                seq_id,
                created_at,
            });
        }
        Ok(())
    }

    fn take(&mut self, id: ConversationId, request: &FactsRequest) -> ConversationFacts {
        ConversationFacts {
            id,
            members_complete: self.complete(id, request),
            conversation: self.rows.remove(&id),
            members: self.members.remove(&id).unwrap_or_default(),
            blocked: self.blocked.contains(&id),
            recent: self.recent.remove(&id).unwrap_or_default(),
        }
    }
}
