//! The facts the sequencer judges by, for many conversations in at most eight statements of one
//! snapshot.

use gochat_core::message::EXCERPT_CHARS;

use super::query::{At, Conn, binds, json_array, json_ids, rows, statements};
use crate::port::db::{ConversationFacts, DbResult, FactsRequest};
use crate::sql::facts::{self, Found};
use crate::sql::row::columns;
use crate::sql::text::Statement as _;

/// `[id, …]`.
macro_rules! ids {
    () => {
        "JSON_TABLE(CONVERT(?1 USING utf8mb4), '$[*]' COLUMNS \
             (n FOR ORDINALITY, id VARCHAR(64) PATH '$')) j"
    };
}

/// `[[conversation, lowest seq, lowest rev], …]`.
macro_rules! windows {
    () => {
        "JSON_TABLE(CONVERT(?1 USING utf8mb4), '$[*]' COLUMNS \
             (id VARCHAR(64) PATH '$[0]', low BIGINT PATH '$[1]', low_rev BIGINT PATH '$[2]')) j"
    };
}

/// `[[conversation, sender, client id, is a change], …]`.
macro_rules! resends {
    () => {
        "JSON_TABLE(CONVERT(?1 USING utf8mb4), '$[*]' COLUMNS \
             (id VARCHAR(64) PATH '$[0]', sender BIGINT PATH '$[1]', \
              client VARCHAR(64) PATH '$[2]', is_change INT PATH '$[3]')) j"
    };
}

statements! {
    Conversations = concat!(
        "SELECT ", columns!(conversation "c"), " FROM ", ids!(), " \
         STRAIGHT_JOIN conversations c ON c.id = j.id COLLATE utf8mb4_bin"
    );
    AllMembers = concat!(
        "SELECT ", columns!(member "m"), " FROM ", ids!(), " \
         STRAIGHT_JOIN conversation_members m ON m.conversation_id = j.id COLLATE utf8mb4_bin \
         ORDER BY j.n, m.user_id"
    );
    // ?1 [[conversation, user], …]
    SomeMembers = concat!(
        "SELECT ", columns!(member "m"), " FROM \
         JSON_TABLE(CONVERT(?1 USING utf8mb4), '$[*]' COLUMNS \
             (id VARCHAR(64) PATH '$[0]', user_id BIGINT PATH '$[1]')) j \
         STRAIGHT_JOIN conversation_members m ON m.conversation_id = j.id COLLATE utf8mb4_bin \
              AND m.user_id = j.user_id"
    );
    // ?1 [[conversation, a, b], …]. One arm per direction, so that each is a look-up.
    Blocked = "SELECT j.id FROM \
         JSON_TABLE(CONVERT(?1 USING utf8mb4), '$[*]' COLUMNS \
             (id VARCHAR(64) PATH '$[0]', a BIGINT PATH '$[1]', b BIGINT PATH '$[2]')) j \
         STRAIGHT_JOIN friendship_requests f \
              ON f.requester_id = j.a AND f.target_id = j.b AND f.status = 3 \
         UNION SELECT j.id FROM \
         JSON_TABLE(CONVERT(?1 USING utf8mb4), '$[*]' COLUMNS \
             (id VARCHAR(64) PATH '$[0]', a BIGINT PATH '$[1]', b BIGINT PATH '$[2]')) j \
         STRAIGHT_JOIN friendship_requests f \
              ON f.requester_id = j.b AND f.target_id = j.a AND f.status = 3";
    // ?1 [[conversation, lowest seq, lowest rev], …], ?2 oldest instant
    Recent = concat!(
        "SELECT ", columns!(recent_message "m"), " FROM ", windows!(), " \
         STRAIGHT_JOIN messages m ON m.conversation_id = j.id COLLATE utf8mb4_bin \
              AND m.seq_id >= j.low \
         WHERE m.created_at >= ?2 AND m.client_msg_id IS NOT NULL \
              AND ", columns!(rev "m"), " >= j.low_rev \
         UNION ALL SELECT ", columns!(recent_change "x"), " FROM ", windows!(), " \
         STRAIGHT_JOIN message_changes x ON x.conversation_id = j.id COLLATE utf8mb4_bin \
              AND x.rev >= j.low_rev \
         WHERE x.created_at >= ?2 AND x.client_msg_id IS NOT NULL"
    );
    // ?1 [[conversation, sender, client id, is a change], …]
    Resends = concat!(
        "SELECT ", columns!(recent_message "m"), " FROM ", resends!(), " \
         STRAIGHT_JOIN messages m FORCE INDEX (idx_conv_sender_client) \
              ON m.conversation_id = j.id COLLATE utf8mb4_bin AND m.sender_id = j.sender \
              AND m.client_msg_id = j.client COLLATE utf8mb4_bin \
         WHERE j.is_change = 0 \
         UNION ALL SELECT ", columns!(recent_change "x"), " FROM ", resends!(), " \
         STRAIGHT_JOIN message_changes x FORCE INDEX (idx_change_client) \
              ON x.conversation_id = j.id COLLATE utf8mb4_bin AND x.sender_id = j.sender \
              AND x.client_msg_id = j.client COLLATE utf8mb4_bin \
         WHERE j.is_change = 1"
    );
    // ?1 [[conversation, id, with an excerpt], …], ?2 characters of an excerpt
    Targets = concat!(
        "SELECT m.conversation_id, ", columns!(target "m"), ", \
         IF(j.quoted = 1, SUBSTRING(m.content, 1, ?2), NULL) FROM \
         JSON_TABLE(CONVERT(?1 USING utf8mb4), '$[*]' COLUMNS \
             (conversation_id VARCHAR(64) PATH '$[0]', id BIGINT PATH '$[1]', \
              quoted INT PATH '$[2]')) j \
         STRAIGHT_JOIN messages m ON m.id = j.id \
              AND m.conversation_id = j.conversation_id COLLATE utf8mb4_bin \
         ORDER BY m.id_copy DESC"
    );
    // ?1 [[conversation, message, user], …]
    Reactors = "SELECT r.conversation_id, r.message_id, r.user_id, r.emoji FROM \
         JSON_TABLE(CONVERT(?1 USING utf8mb4), '$[*]' COLUMNS \
             (id VARCHAR(64) PATH '$[0]', message_id BIGINT PATH '$[1]', \
              user_id BIGINT PATH '$[2]')) j \
         STRAIGHT_JOIN message_reactions r FORCE INDEX (uk_reaction) \
              ON r.conversation_id = j.id COLLATE utf8mb4_bin AND r.user_id = j.user_id \
              AND r.message_id = j.message_id";
}

/// The statement that finds reactions of those who react, for tests that look at its plan.
pub(super) fn reactors_statement() -> &'static str {
    Reactors::TEXT
}

pub(super) async fn load(
    conn: &mut Conn,
    request: &FactsRequest,
) -> DbResult<Vec<ConversationFacts>> {
    let mut found = Found::default();
    let ids = json_ids(request.conversations.iter().map(|asked| asked.id));
    found.conversations(rows::<Conversations, _>(conn, &binds![&ids]).await?);
    let request = &*found.fitting(request);
    let small = found.small(request);
    if !small.is_empty() {
        found.members(rows::<AllMembers, _>(conn, &binds![json_ids(small)]).await?);
    }
    let senders = found.senders(request);
    if !senders.is_empty() {
        let pair = |(id, user): &(_, _)| format!("[\"{id}\",{user}]");
        let pairs = json_array(senders.iter().map(pair));
        found.members(rows::<SomeMembers, _>(conn, &binds![pairs]).await?);
    }
    let pairs = facts::pairs(request);
    if !pairs.is_empty() {
        let pair = |(id, a, b): &(_, _, _)| format!("[\"{id}\",{a},{b}]");
        let pairs = json_array(pairs.iter().map(pair));
        found.blocked(rows::<Blocked, _>(conn, &binds![pairs]).await?);
    }
    let windows = found.windows(request);
    if !windows.is_empty() {
        let range = |(id, seq, rev): &(_, _, _)| format!("[\"{id}\",{seq},{rev}]");
        let ranges = json_array(windows.iter().map(range));
        let binds = binds![ranges, At(request.recent_since)];
        found.recent(rows::<Recent, _>(conn, &binds).await?);
    }
    if let Some(resends) = facts::resends(request) {
        found.resends(rows::<Resends, _>(conn, &binds![resends]).await?);
    }
    if let Some(targets) = facts::targets(request) {
        found.targets(rows::<Targets, _>(conn, &binds![targets, EXCERPT_CHARS]).await?);
    }
    if let Some(reactors) = facts::reactors(request) {
        found.reactors(rows::<Reactors, _>(conn, &binds![reactors]).await?);
    }
    Ok(found.answer(request))
}
