//! Requests to join groups.

use async_trait::async_trait;
use diesel::sqlite::SqliteConnection;
use gochat_core::ids::{ConversationId, RequestId, UnixMillis, UserId};
use gochat_core::membership::{
    Ask, AskLimits, JoinAnswer, JoinStatus, decide_ask, decide_join_answer,
};
use gochat_core::message::Entrance;

use super::query::{binds, execute, first, one, rows, statements};
use super::{SqliteDatabase, groups, links};
use crate::port::db::{
    DbError, DbResult, JoinAnswered, JoinRequestRow, JoinRequestStore, MAX_PAGE, NewJoinRequest,
};
use crate::sql::groups::{acceptance, join_status, leads_to, refused, standing};
use crate::sql::row::columns;

statements! {
    Purge = "DELETE FROM join_requests WHERE conversation_id = ?1 AND expires_at <= ?2";
    CountOfUser = "SELECT count(*) FROM join_requests \
                   WHERE user_id = ?1 AND status = 0 AND expires_at > ?2";
    CountOfGroup = "SELECT count(*) FROM join_requests WHERE conversation_id = ?1 AND status = 0";
    Upsert = "INSERT INTO join_requests \
        (conversation_id, user_id, id, status, text, created_at, changed_at, expires_at) \
        VALUES (?1, ?2, ?3, 0, ?4, ?5, ?5, ?6) ON CONFLICT DO UPDATE SET id = excluded.id, \
        status = 0, text = excluded.text, created_at = excluded.created_at, \
        changed_at = excluded.changed_at, expires_at = excluded.expires_at";
    Of = concat!(
        "SELECT ", columns!(join_request "j"), " FROM join_requests j \
         WHERE j.conversation_id = ?1 AND j.user_id = ?2 AND j.expires_at > ?3"
    );
    Page = concat!(
        "SELECT ", columns!(join_request "j"), " FROM join_requests j \
         WHERE j.conversation_id = ?1 AND j.status = 0 AND j.id > ?2 AND j.expires_at > ?3 \
         AND NOT EXISTS (SELECT 1 FROM conversation_members m \
         WHERE m.conversation_id = j.conversation_id AND m.user_id = j.user_id) \
         ORDER BY j.id LIMIT 0 + ?4"
    );
    Answer = "UPDATE join_requests SET status = ?3, changed_at = ?4 \
              WHERE conversation_id = ?1 AND user_id = ?2";
}

fn ask(conn: &mut SqliteConnection, new: &NewJoinRequest) -> DbResult<(JoinRequestRow, bool)> {
    let (id, user, now) = (new.conversation, new.user, new.now);
    let by_link = match &new.link {
        Some(code) => {
            leads_to(id, links::judged(conn, code, user, now)?)?;
            true
        }
        None => false,
    };
    let (_, state) = groups::loaded(conn, id, &[user], false)?;
    execute::<Purge>(conn, &binds![id, now])?;
    let current = first::<Of, JoinRequestRow>(conn, &binds![id, user, now])?;
    let limits = AskLimits {
        of_user: (
            one::<CountOfUser, u32>(conn, &binds![user, now])?,
            new.cap_user,
        ),
        of_group: (one::<CountOfGroup, u32>(conn, &binds![id])?, new.cap_group),
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
            let binds = binds![id, user, new.id, &new.text, now, new.expires_at];
            execute::<Upsert>(conn, &binds)?;
        }
    }
    if let Some(code) = &new.link {
        links::count(conn, code)?;
    }
    let row = first::<Of, _>(conn, &binds![id, user, now])?;
    let row = row.ok_or_else(|| DbError::internal("a request vanished"))?;
    Ok((row, true))
}

fn answer(
    conn: &mut SqliteConnection,
    (id, user, by): (ConversationId, UserId, UserId),
    accept: bool,
    now: UnixMillis,
) -> DbResult<JoinAnswered> {
    let (_, state) = groups::loaded(conn, id, &[by], false)?;
    let current = first::<Of, JoinRequestRow>(conn, &binds![id, user, now])?;
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
            let done = groups::command(conn, id, &acceptance(user), brought, now)?;
            let status = join_status(&done);
            (status, Some(done))
        }
    };
    let changed = status != row.status;
    if changed {
        execute::<Answer>(conn, &binds![id, user, status as i32, now])?;
        (row.status, row.changed_at) = (status, now);
    }
    Ok(JoinAnswered {
        request: row,
        changed,
        outcome,
    })
}

#[async_trait]
impl JoinRequestStore for SqliteDatabase {
    async fn ask_to_join(&self, new: NewJoinRequest) -> DbResult<(JoinRequestRow, bool)> {
        self.grow(2, move |conn| ask(conn, &new)).await
    }

    async fn join_request(
        &self,
        conversation: ConversationId,
        user: UserId,
        now: UnixMillis,
    ) -> DbResult<Option<JoinRequestRow>> {
        self.read(move |conn| first::<Of, _>(conn, &binds![conversation, user, now]))
            .await
    }

    async fn join_requests(
        &self,
        conversation: ConversationId,
        now: UnixMillis,
        after: Option<RequestId>,
        limit: u32,
    ) -> DbResult<Vec<JoinRequestRow>> {
        let after = after.map_or(-1, RequestId::as_i64);
        let limit = limit.min(MAX_PAGE);
        self.read(move |conn| rows::<Page, _>(conn, &binds![conversation, after, now, limit]))
            .await
    }

    async fn answer_join_request(
        &self,
        conversation: ConversationId,
        user: UserId,
        by: UserId,
        accept: bool,
        now: UnixMillis,
    ) -> DbResult<JoinAnswered> {
        self.write(4, move |conn| {
            answer(conn, (conversation, user, by), accept, now)
        })
        .await
    }
}
