//! Requests to join groups. Whatever changes a request holds the group first; a new one then holds
//! the asker, whose open requests are counted.

use async_trait::async_trait;
use gochat_core::error::ErrorCode;
use gochat_core::ids::{ConversationId, RequestId, UnixMillis, UserId};
use gochat_core::membership::{
    Ask, AskLimits, JoinAnswer, JoinStatus, decide_ask, decide_join_answer,
};
use gochat_core::message::Entrance;

use super::query::{At, Conn, binds, execute, first, one, rows, statements};
use super::replica::Key;
use super::run::work;
use super::{MysqlDatabase, groups, links};
use crate::port::db::{
    DbError, DbResult, JoinAnswered, JoinRequestRow, JoinRequestStore, MAX_PAGE, NewJoinRequest,
};
use crate::sql::groups::{acceptance, join_status, leads_to, refused, standing};
use crate::sql::row::columns;

statements! {
    Hold = "SELECT id FROM users WHERE id = ?1 FOR UPDATE";
    Purge = "DELETE FROM join_requests WHERE conversation_id = ?1 AND expires_at <= ?2";
    CountOfUser = "SELECT COUNT(*) FROM join_requests \
                   WHERE user_id = ?1 AND status = 0 AND expires_at > ?2";
    CountOfGroup = "SELECT COUNT(*) FROM join_requests WHERE conversation_id = ?1 AND status = 0";
    Upsert = "INSERT INTO join_requests \
        (conversation_id, user_id, id, status, text, created_at, changed_at, expires_at) \
        VALUES (?1, ?2, ?3, 0, ?4, ?5, ?5, ?6) ON DUPLICATE KEY UPDATE id = VALUES(id), \
        status = 0, text = VALUES(text), created_at = VALUES(created_at), \
        changed_at = VALUES(changed_at), expires_at = VALUES(expires_at)";
    Of = concat!(
        "SELECT ", columns!(join_request "j"), " FROM join_requests j \
         WHERE j.conversation_id = ?1 AND j.user_id = ?2 AND j.expires_at > ?3"
    );
    Page = concat!(
        "SELECT ", columns!(join_request "j"), " FROM join_requests j \
         WHERE j.conversation_id = ?1 AND j.status = 0 AND j.id > ?2 AND j.expires_at > ?3 \
         AND NOT EXISTS (SELECT 1 FROM conversation_members m \
         WHERE m.conversation_id = j.conversation_id AND m.user_id = j.user_id) \
         ORDER BY j.id LIMIT ?4"
    );
    Answer = "UPDATE join_requests SET status = ?3, changed_at = ?4 \
              WHERE conversation_id = ?1 AND user_id = ?2";
}

type Asker = (ConversationId, UserId, UnixMillis);

async fn of(conn: &mut Conn, &(id, user, now): &Asker) -> DbResult<Option<JoinRequestRow>> {
    first::<Of, _>(conn, &binds![id, user, At(now)]).await
}

async fn ask(conn: &mut Conn, new: &NewJoinRequest) -> DbResult<(JoinRequestRow, bool)> {
    let (id, user, now) = (new.conversation, new.user, new.now);
    let (_, state) = groups::loaded(conn, id, &[user], false).await?;
    let by_link = match &new.link {
        Some(code) => {
            leads_to(id, links::judged(conn, code, user, now).await?)?;
            true
        }
        None => false,
    };
    let held: Option<UserId> = first::<Hold, _>(conn, &binds![user]).await?;
    held.ok_or_else(|| DbError::not_found(ErrorCode::UserNotFound))?;
    execute::<Purge>(conn, &binds![id, At(now)]).await?;
    let current = of(conn, &(id, user, now)).await?;
    let of_user = one::<CountOfUser, u32>(conn, &binds![user, At(now)]).await?;
    let of_group = one::<CountOfGroup, u32>(conn, &binds![id]).await?;
    let limits = AskLimits {
        of_user: (of_user, new.cap_user),
        of_group: (of_group, new.cap_group),
        cooldown: new.cooldown,
    };
    let request = current.as_ref().map(JoinRequestRow::request);
    let user_standing = standing(&state, user);
    let verdict = decide_ask(
        &state.facts,
        user_standing,
        by_link,
        request.as_ref(),
        &limits,
        now,
    );
    match (verdict.map_err(refused)?, current) {
        (Ask::Keep, Some(row)) => return Ok((row, false)),
        _ => {
            let end = At(new.expires_at);
            let binds = binds![id, user, new.id, &new.text, At(now), end];
            execute::<Upsert>(conn, &binds).await?;
        }
    }
    if let Some(code) = &new.link {
        links::count(conn, code).await?;
    }
    let row = of(conn, &(id, user, now)).await?;
    let row = row.ok_or_else(|| DbError::internal("a request vanished"))?;
    Ok((row, true))
}

type Answering = (ConversationId, UserId, UserId, bool, UnixMillis);

async fn answer(
    conn: &mut Conn,
    &(id, user, by, accept, now): &Answering,
) -> DbResult<JoinAnswered> {
    let (_, state) = groups::loaded(conn, id, &[by], false).await?;
    let current = of(conn, &(id, user, now)).await?;
    let request = current.as_ref().map(JoinRequestRow::request);
    let operator = standing(&state, by);
    let verdict = decide_join_answer(&state.facts, operator, request.as_ref(), accept, now);
    let (verdict, mut row) = match (verdict.map_err(refused)?, current) {
        (verdict, Some(row)) => (verdict, row),
        (_, None) => return Err(DbError::internal("a request was answered that isn't there")),
    };
    let (status, outcome) = match verdict {
        JoinAnswer::Nothing => (row.status, None),
        JoinAnswer::Refuse => (JoinStatus::Rejected, None),
        JoinAnswer::Admit => {
            let brought = Some((by, Entrance::Request));
            let done = groups::command(conn, &(id, acceptance(user), brought, now)).await?;
            (join_status(&done), Some(done))
        }
    };
    let changed = status != row.status;
    if changed {
        execute::<Answer>(conn, &binds![id, user, status as i32, At(now)]).await?;
        (row.status, row.changed_at) = (status, now);
    }
    Ok(JoinAnswered {
        request: row,
        changed,
        outcome,
    })
}

type Listed = (ConversationId, UnixMillis, i64, u32);

async fn page(conn: &mut Conn, &(id, now, after, limit): &Listed) -> DbResult<Vec<JoinRequestRow>> {
    rows::<Page, _>(conn, &binds![id, after, At(now), limit]).await
}

#[async_trait]
impl JoinRequestStore for MysqlDatabase {
    /// Not run again when a commit got lost: the caller repeats, and finds the open request.
    async fn ask_to_join(&self, new: NewJoinRequest) -> DbResult<(JoinRequestRow, bool)> {
        self.write(false, &[], new, work!(ask)).await
    }

    async fn join_request(
        &self,
        conversation: ConversationId,
        user: UserId,
        now: UnixMillis,
    ) -> DbResult<Option<JoinRequestRow>> {
        self.read((conversation, user, now), work!(of)).await
    }

    async fn join_requests(
        &self,
        conversation: ConversationId,
        now: UnixMillis,
        after: Option<RequestId>,
        limit: u32,
    ) -> DbResult<Vec<JoinRequestRow>> {
        let after = after.map_or(-1, RequestId::as_i64);
        let args = (conversation, now, after, limit.min(MAX_PAGE));
        self.read(args, work!(page)).await
    }

    async fn answer_join_request(
        &self,
        conversation: ConversationId,
        user: UserId,
        by: UserId,
        accept: bool,
        now: UnixMillis,
    ) -> DbResult<JoinAnswered> {
        let args = (conversation, user, by, accept, now);
        let done = self.write(false, &[], args, work!(answer)).await;
        if done.as_ref().is_ok_and(|done| done.outcome.is_some()) {
            self.wrote(&[Key::Conversation(conversation)]);
        }
        done
    }
}
