//! The facts the sequencer judges by, for many conversations in at most eight statements.

use diesel::connection::Connection as _;
use diesel::sqlite::SqliteConnection;
use gochat_core::message::EXCERPT_CHARS;

use super::query::{binds, json_array, json_ids, rows, statements};
use crate::port::db::{ConversationFacts, DbResult, FactsRequest};
use crate::sql::facts::{self, Found};
use crate::sql::row::columns;

/// `?1` `[[conversation, message, user], …]`.
macro_rules! reactors {
    () => {
        "SELECT r.conversation_id, r.message_id, r.user_id, r.emoji FROM json_each(?1) j \
         CROSS JOIN message_reactions r INDEXED BY uk_reaction \
              ON r.conversation_id = j.value ->> 0 AND r.message_id = j.value ->> 1 \
              AND r.user_id = j.value ->> 2"
    };
}

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
    // ?1 [[conversation, lowest seq, lowest rev], …], ?2 oldest instant
    Recent = concat!(
        "SELECT ", columns!(recent_message "m"), " FROM json_each(?1) j \
         CROSS JOIN messages m ON m.conversation_id = j.value ->> 0 AND m.seq_id >= j.value ->> 1 \
         WHERE m.created_at >= ?2 AND m.client_msg_id IS NOT NULL \
              AND ", columns!(rev "m"), " >= j.value ->> 2 \
         UNION ALL SELECT ", columns!(recent_change "x"), " FROM json_each(?1) j \
         CROSS JOIN message_changes x ON x.conversation_id = j.value ->> 0 \
              AND x.rev >= j.value ->> 2 \
         WHERE x.created_at >= ?2 AND x.client_msg_id IS NOT NULL"
    );
    // ?1 [[conversation, sender, client id, is a change], …]
    Resends = concat!(
        "SELECT ", columns!(recent_message "m"), " FROM json_each(?1) j \
         CROSS JOIN messages m ON m.conversation_id = j.value ->> 0 AND m.sender_id = j.value ->> 1 \
              AND m.client_msg_id = j.value ->> 2 \
         WHERE j.value ->> 3 = 0 \
         UNION ALL SELECT ", columns!(recent_change "x"), " FROM json_each(?1) j \
         CROSS JOIN message_changes x ON x.conversation_id = j.value ->> 0 \
              AND x.sender_id = j.value ->> 1 AND x.client_msg_id = j.value ->> 2 \
         WHERE j.value ->> 3 = 1"
    );
    // ?1 [[conversation, id, with an excerpt], …], ?2 characters of an excerpt
    Targets = concat!(
        "SELECT m.conversation_id, ", columns!(target "m"), ", \
         iif(j.value ->> 2, substr(m.content, 1, ?2), NULL) FROM json_each(?1) j \
         CROSS JOIN messages m ON m.id = j.value ->> 1 AND m.conversation_id = j.value ->> 0 \
         ORDER BY m.id_copy DESC"
    );
    // ?1 [[conversation, message, user], …]
    Reactors = reactors!();
}

pub(super) fn load(
    conn: &mut SqliteConnection,
    request: &FactsRequest,
) -> DbResult<Vec<ConversationFacts>> {
    conn.transaction(|conn| {
        let mut found = Found::default();
        let ids = json_ids(request.conversations.iter().map(|asked| asked.id));
        found.conversations(rows::<Conversations, _>(conn, &binds![&ids])?);
        let request = &*found.fitting(request);
        let small = found.small(request);
        if !small.is_empty() {
            found.members(rows::<AllMembers, _>(conn, &binds![json_ids(small)])?);
        }
        let senders = found.senders(request);
        if !senders.is_empty() {
            let pairs = senders
                .iter()
                .map(|(id, user)| format!("[\"{id}\",{user}]"));
            found.members(rows::<SomeMembers, _>(conn, &binds![json_array(pairs)])?);
        }
        let pairs = facts::pairs(request);
        if !pairs.is_empty() {
            let pairs = pairs.iter().map(|(id, a, b)| format!("[\"{id}\",{a},{b}]"));
            found.blocked(rows::<Blocked, _>(conn, &binds![json_array(pairs)])?);
        }
        let windows = found.windows(request);
        if !windows.is_empty() {
            let ranges = windows
                .iter()
                .map(|(id, seq, rev)| format!("[\"{id}\",{seq},{rev}]"));
            let binds = binds![json_array(ranges), request.recent_since];
            found.recent(rows::<Recent, _>(conn, &binds)?);
        }
        if let Some(resends) = facts::resends(request) {
            found.resends(rows::<Resends, _>(conn, &binds![resends])?);
        }
        if let Some(targets) = facts::targets(request) {
            found.targets(rows::<Targets, _>(conn, &binds![targets, EXCERPT_CHARS])?);
        }
        if let Some(reactors) = facts::reactors(request) {
            found.reactors(rows::<Reactors, _>(conn, &binds![reactors])?);
        }
        Ok(found.answer(request))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::sqlite::plan::plan;

    statements! {
        PlanOfReactors = concat!("EXPLAIN QUERY PLAN ", reactors!());
    }

    #[test]
    fn reactions_of_reactors_are_found_by_their_users() {
        let step = "uk_reaction (conversation_id=? AND user_id=? AND message_id=?)";
        plan::<PlanOfReactors>(&binds![r#"[["g_1",1,2]]"#], step);
    }
}
