//! Own states of users. Loads, lets `gochat_core::own_state` judge, and writes.

use async_trait::async_trait;
use gochat_core::error::ErrorCode;
use gochat_core::ids::{ConversationId, UnixMillis, UserId};
use gochat_core::own_state::{OwnChange, OwnState};

use super::MysqlDatabase;
use super::query::{At, Conn, binds, execute, first, one, statements};
use super::run::work;
use crate::port::db::{DbError, DbResult, OwnOutcome, OwnStateStore};
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
    IsMember = "SELECT 1 FROM conversation_members WHERE user_id = ?1 AND conversation_id = ?2";
    CountPinned = "SELECT COUNT(*) FROM conversation_states WHERE user_id = ?1 AND pinned = 1";
    Put = "INSERT INTO conversation_states (user_id, conversation_id, version, mute_until, pinned, \
           archived, marked_unread, draft, updated_at) \
           VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
           ON DUPLICATE KEY UPDATE version = VALUES(version), mute_until = VALUES(mute_until), \
           pinned = VALUES(pinned), archived = VALUES(archived), \
           marked_unread = VALUES(marked_unread), draft = VALUES(draft), \
           updated_at = GREATEST(updated_at, VALUES(updated_at))";
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
        At(now)
    ];
    execute::<Put>(conn, &binds).await.map(drop)
}

async fn change(
    conn: &mut Conn,
    (place, change, now): &(Place, OwnChange, UnixMillis),
) -> DbResult<OwnOutcome> {
    let (user, conversation) = *place;
    let user_row: Option<UserId> = first::<Hold, _>(conn, &binds![user]).await?;
    user_row.ok_or_else(|| DbError::not_found(ErrorCode::UserNotFound))?;
    if conversation != ConversationId::World {
        let member: Option<i64> = first::<IsMember, _>(conn, &binds![user, conversation]).await?;
        member.ok_or_else(|| DbError::not_found(ErrorCode::NotConversationMember))?;
    }
    let pinned: u32 = one::<CountPinned, _>(conn, &binds![user]).await?;
    let state = held(conn, place).await?;
    let next = state.merged(change, pinned, *now).map_err(refused)?;
    if let Some(next) = &next {
        put(conn, place, next, *now).await?;
    }
    Ok(OwnOutcome {
        changed: next.is_some(),
        state: next.unwrap_or(state),
    })
}

/// Ends the mark as unread of a conversation whose user has read; tells whether there was one.
pub(super) async fn read(conn: &mut Conn, place: &Place, now: UnixMillis) -> DbResult<bool> {
    let next = held(conn, place).await?.after_reading();
    if let Some(next) = &next {
        put(conn, place, next, now).await?;
    }
    Ok(next.is_some())
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
}
