//! The facts the sequencer judges by, for many conversations in at most six statements of one
//! snapshot.

use super::query::{At, Conn, binds, json_array, json_ids, rows, statements};
use crate::port::db::{ConversationFacts, DbResult, FactsRequest};
use crate::sql::facts::{self, Found};
use crate::sql::row::columns;

/// `[id, …]`.
macro_rules! ids {
    () => {
        "JSON_TABLE(CONVERT(?1 USING utf8mb4), '$[*]' COLUMNS \
             (n FOR ORDINALITY, id VARCHAR(64) PATH '$')) j"
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
    // ?1 [[conversation, lowest seq], …], ?2 oldest instant
    Recent = "SELECT m.conversation_id, m.sender_id, m.client_msg_id, m.id, m.seq_id, \
              m.created_at FROM \
         JSON_TABLE(CONVERT(?1 USING utf8mb4), '$[*]' COLUMNS \
             (n FOR ORDINALITY, id VARCHAR(64) PATH '$[0]', low BIGINT PATH '$[1]')) j \
         STRAIGHT_JOIN messages m ON m.conversation_id = j.id COLLATE utf8mb4_bin \
              AND m.seq_id >= j.low \
         WHERE m.created_at >= ?2 AND m.client_msg_id IS NOT NULL \
         ORDER BY j.n, m.seq_id";
    // ?1 [[conversation, sender, client id], …]
    Resends = "SELECT m.conversation_id, m.sender_id, m.client_msg_id, m.id, m.seq_id, \
              m.created_at FROM \
         JSON_TABLE(CONVERT(?1 USING utf8mb4), '$[*]' COLUMNS \
             (id VARCHAR(64) PATH '$[0]', sender BIGINT PATH '$[1]', \
              client VARCHAR(64) PATH '$[2]')) j \
         STRAIGHT_JOIN messages m FORCE INDEX (idx_conv_sender_client) \
              ON m.conversation_id = j.id COLLATE utf8mb4_bin AND m.sender_id = j.sender \
              AND m.client_msg_id = j.client COLLATE utf8mb4_bin \
         ORDER BY m.seq_id";
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
        let range = |(id, lowest): &(_, _)| format!("[\"{id}\",{lowest}]");
        let ranges = json_array(windows.iter().map(range));
        let binds = binds![ranges, At(request.recent_since)];
        found.recent(rows::<Recent, _>(conn, &binds).await?);
    }
    if let Some(resends) = facts::resends(request) {
        found.resends(rows::<Resends, _>(conn, &binds![resends]).await?);
    }
    Ok(found.answer(request))
}
