//! Own states of users. Loads, lets `gochat_core::own_state` judge, and writes.

use async_trait::async_trait;
use gochat_core::error::ErrorCode;
use gochat_core::ids::{ConversationId, MessageId, SeqId, UnixMillis, UserId};
use gochat_core::own_state::{OwnChange, OwnState};

use super::query::{At, Conn, binds, execute, first, json_array, one, rows, statements};
use super::run::work;
use super::{MysqlDatabase, pointers};
use crate::port::db::{ClearOutcome, DbError, DbResult, HiddenRow, OwnOutcome, OwnStateStore};
use crate::sql::groups::refused;
use crate::sql::row::columns;

statements! {
    // Changes of one user take turns on the user's row.
    Hold = "SELECT id FROM users WHERE id = ?1 FOR UPDATE";
    Get = concat!(
        "SELECT ", columns!(own "st"), " FROM conversation_states st \
         WHERE st.user_id = ?1 AND st.conversation_id = ?2"
    );
    Held = concat!(
        "SELECT ", columns!(own "st"), " FROM conversation_states st \
         WHERE st.user_id = ?1 AND st.conversation_id = ?2 FOR UPDATE"
    );
    // Held, so that a removal that runs meanwhile finds what is written here, and deletes it.
    IsMember = "SELECT 1 FROM conversation_members WHERE user_id = ?1 AND conversation_id = ?2 \
                LOCK IN SHARE MODE";
    CountPinned = "SELECT COUNT(*) FROM conversation_states WHERE user_id = ?1 AND pinned = 1";
    Put = "INSERT INTO conversation_states (user_id, conversation_id, version, mute_until, pinned, \
           archived, marked_unread, draft, cleared_up_to, hidden_count, updated_at) \
           VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) \
           ON DUPLICATE KEY UPDATE version = VALUES(version), mute_until = VALUES(mute_until), \
           pinned = VALUES(pinned), archived = VALUES(archived), \
           marked_unread = VALUES(marked_unread), draft = VALUES(draft), \
           cleared_up_to = VALUES(cleared_up_to), hidden_count = VALUES(hidden_count), \
           updated_at = GREATEST(updated_at, VALUES(updated_at))";
    IsHidden = "SELECT 1 FROM hidden_messages \
                WHERE user_id = ?1 AND conversation_id = ?2 AND seq_id = ?3";
    Hide = "INSERT INTO hidden_messages (user_id, conversation_id, seq_id, message_id, version) \
            VALUES (?1, ?2, ?3, ?4, ?5) ON DUPLICATE KEY UPDATE version = VALUES(version)";
    Forget = "DELETE FROM hidden_messages \
              WHERE user_id = ?1 AND conversation_id = ?2 AND seq_id <= ?3";
    Among = "SELECT h.seq_id FROM JSON_TABLE(CONVERT(?3 USING utf8mb4), '$[*]' COLUMNS \
                 (seq BIGINT PATH '$')) j \
             STRAIGHT_JOIN hidden_messages h ON h.user_id = ?1 AND h.conversation_id = ?2 \
                 AND h.seq_id = j.seq ORDER BY h.seq_id";
    HiddenAfter = "SELECT seq_id, message_id, version FROM hidden_messages \
                   WHERE user_id = ?1 AND conversation_id = ?2 AND version > ?3 \
                   ORDER BY version LIMIT ?4";
}

type Place = (UserId, ConversationId);

async fn get(conn: &mut Conn, &(user, conversation): &Place) -> DbResult<OwnState> {
    let stored = first::<Get, _>(conn, &binds![user, conversation]).await?;
    Ok(stored.unwrap_or_default())
}

/// The state, held until the commit where there is a row.
async fn held(conn: &mut Conn, &(user, conversation): &Place) -> DbResult<OwnState> {
    let stored = first::<Held, _>(conn, &binds![user, conversation]).await?;
    Ok(stored.unwrap_or_default())
}

async fn put(
    conn: &mut Conn,
    &(user, conversation): &Place,
    state: &OwnState,
    now: UnixMillis,
) -> DbResult<()> {
    let binds = binds![
        user,
        conversation,
        state.version,
        state.mute_until,
        state.is_pinned,
        state.is_archived,
        state.is_marked_unread,
        &state.draft,
        state.cleared_up_to,
        state.hidden_count,
        At(now)
    ];
    execute::<Put>(conn, &binds).await.map(drop)
}

/// Waits for the user's turn, and refuses strangers. Everybody is in the world chat.
async fn take_turn(conn: &mut Conn, &(user, conversation): &Place) -> DbResult<()> {
    let user_row: Option<UserId> = first::<Hold, _>(conn, &binds![user]).await?;
    user_row.ok_or_else(|| DbError::not_found(ErrorCode::UserNotFound))?;
    if conversation != ConversationId::World {
        let member: Option<i64> = first::<IsMember, _>(conn, &binds![user, conversation]).await?;
        member.ok_or_else(|| DbError::not_found(ErrorCode::NotConversationMember))?;
    }
    Ok(())
}

async fn change(
    conn: &mut Conn,
    (place, change, now): &(Place, OwnChange, UnixMillis),
) -> DbResult<OwnOutcome> {
    take_turn(conn, place).await?;
    let (user, _) = *place;
    let pinned: u32 = one::<CountPinned, _>(conn, &binds![user]).await?;
    let state = held(conn, place).await?;
    let next = state.merged(change, pinned, *now).map_err(refused)?;
    if let Some(next) = &next {
        put(conn, place, next, *now).await?;
    }
    Ok(OwnOutcome::of(state, next))
}

/// Ends the mark as unread of a conversation whose user has read; tells whether there was one.
pub(super) async fn read(conn: &mut Conn, place: &Place, now: UnixMillis) -> DbResult<bool> {
    let next = held(conn, place).await?.after_reading();
    if let Some(next) = &next {
        put(conn, place, next, now).await?;
    }
    Ok(next.is_some())
}

async fn hide(
    conn: &mut Conn,
    &(place, (seq, message), now): &(Place, (SeqId, MessageId), UnixMillis),
) -> DbResult<OwnOutcome> {
    take_turn(conn, &place).await?;
    let (user, conversation) = place;
    let state = held(conn, &place).await?;
    // An older program that removed the member before left such a row, and no count.
    let hidden: Option<i64> = match state.hidden_count {
        0 => None,
        _ => first::<IsHidden, _>(conn, &binds![user, conversation, seq]).await?,
    };
    let next = match hidden {
        Some(_) => None,
        None => state.after_hiding(seq).map_err(refused)?,
    };
    if let Some(next) = &next {
        put(conn, &place, next, now).await?;
        let row = binds![user, conversation, seq, message, next.version];
        execute::<Hide>(conn, &row).await?;
    }
    Ok(OwnOutcome::of(state, next))
}

async fn clear(
    conn: &mut Conn,
    &(place, up_to, now): &(Place, SeqId, UnixMillis),
) -> DbResult<ClearOutcome> {
    take_turn(conn, &place).await?;
    let (user, conversation) = place;
    let read = pointers::advance(conn, &(user, conversation, up_to, now)).await?;
    let state = held(conn, &place).await?;
    let up_to = read.wanted(up_to);
    let forgotten = execute::<Forget>(conn, &binds![user, conversation, up_to]).await?;
    let left = state.hidden_count.saturating_sub(forgotten as u32);
    let next = state.after_clearing(up_to, left);
    if let Some(next) = &next {
        put(conn, &place, next, now).await?;
    }
    let mut own = OwnOutcome::of(state, next);
    // Reading ends a mark as unread, and that is a change as well.
    own.changed |= read.unmarked;
    Ok(ClearOutcome { own, read })
}

async fn among(conn: &mut Conn, (place, seqs): &(Place, String)) -> DbResult<Vec<SeqId>> {
    rows::<Among, _>(conn, &binds![place.0, place.1, seqs]).await
}

async fn hidden_after(
    conn: &mut Conn,
    &((user, conversation), after, limit): &(Place, u64, u32),
) -> DbResult<Vec<HiddenRow>> {
    rows::<HiddenAfter, _>(conn, &binds![user, conversation, after, limit]).await
}

#[async_trait]
impl OwnStateStore for MysqlDatabase {
    async fn change_own_state(
        &self,
        user: UserId,
        conversation: ConversationId,
        own: OwnChange,
        now: UnixMillis,
    ) -> DbResult<OwnOutcome> {
        // A second run after a lost commit would say that nothing changed, and no device would be
        // told.
        let args = ((user, conversation), own, now);
        self.write(false, &[], args, work!(change)).await
    }

    async fn own_state(&self, user: UserId, conversation: ConversationId) -> DbResult<OwnState> {
        self.read((user, conversation), work!(get)).await
    }

    async fn hide_message(
        &self,
        user: UserId,
        conversation: ConversationId,
        message: (SeqId, MessageId),
        now: UnixMillis,
    ) -> DbResult<OwnOutcome> {
        let args = ((user, conversation), message, now);
        self.write(false, &[], args, work!(hide)).await
    }

    async fn clear_history(
        &self,
        user: UserId,
        conversation: ConversationId,
        up_to: SeqId,
        now: UnixMillis,
    ) -> DbResult<ClearOutcome> {
        let args = ((user, conversation), up_to, now);
        self.write(false, &[], args, work!(clear)).await
    }

    async fn hidden_among(
        &self,
        user: UserId,
        conversation: ConversationId,
        seqs: &[SeqId],
    ) -> DbResult<Vec<SeqId>> {
        let args = ((user, conversation), json_array(seqs));
        self.read(args, work!(among)).await
    }

    async fn hidden_messages(
        &self,
        user: UserId,
        conversation: ConversationId,
        after: u64,
        limit: u32,
    ) -> DbResult<Vec<HiddenRow>> {
        let args = ((user, conversation), after, limit);
        self.read(args, work!(hidden_after)).await
    }
}
