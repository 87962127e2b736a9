//! Invitations to groups.

use async_trait::async_trait;
use diesel::sqlite::SqliteConnection;
use gochat_core::error::ErrorCode;
use gochat_core::ids::{RequestId, UnixMillis, UserId};
use gochat_core::membership::GroupCommand;
use gochat_core::message::Entrance;

use super::query::{binds, execute, first, json_array, one, rows, statements};
use super::{SqliteDatabase, groups};
use crate::port::db::{
    DbError, DbResult, GroupInvitationStore, GroupOutcome, InvitationRow, MAX_PAGE, NewInvitation,
};
use crate::sql::groups::acceptance;
use crate::sql::row::columns;

statements! {
    Purge = "DELETE FROM group_invitations WHERE user_id = ?1 AND expires_at <= ?2";
    CountOpen = "SELECT count(*) FROM group_invitations WHERE user_id = ?1";
    Insert = "INSERT INTO group_invitations \
              (id, conversation_id, user_id, inviter_id, created_at, expires_at) \
              VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    Extend = "UPDATE group_invitations SET expires_at = max(expires_at, ?2) WHERE id = ?1";
    Of = concat!(
        "SELECT ", columns!(invitation "i"), " FROM group_invitations i \
         WHERE i.user_id = ?1 AND i.conversation_id = ?2"
    );
    ById = concat!(
        "SELECT ", columns!(invitation "i"), " FROM group_invitations i WHERE i.id = ?1"
    );
    Page = concat!(
        "SELECT ", columns!(invitation "i"), " FROM group_invitations i \
         WHERE i.user_id = ?1 AND i.expires_at > ?2 AND i.id > ?3 ORDER BY i.id LIMIT 0 + ?4"
    );
    Delete = "DELETE FROM group_invitations WHERE id = ?1";
    Counts = "SELECT j.value, (SELECT count(*) FROM (SELECT 1 FROM conversation_members m \
              WHERE m.user_id = j.value LIMIT 0 + ?2)) AS n FROM json_each(?1) j WHERE n > 0";
}

fn invite(conn: &mut SqliteConnection, new: &NewInvitation) -> DbResult<InvitationRow> {
    execute::<Purge>(conn, &binds![new.user, new.now])?;
    let of = binds![new.user, new.conversation];
    match first::<Of, InvitationRow>(conn, &of)? {
        Some(row) => {
            execute::<Extend>(conn, &binds![row.id, new.expires_at])?;
        }
        None if one::<CountOpen, u32>(conn, &binds![new.user])? >= new.cap => {
            return Err(DbError::refused(ErrorCode::RateLimited));
        }
        None => {
            let binds = binds![
                new.id,
                new.conversation,
                new.user,
                new.inviter,
                new.now,
                new.expires_at
            ];
            execute::<Insert>(conn, &binds)?;
        }
    }
    first::<Of, _>(conn, &of)?.ok_or_else(|| DbError::internal("an invitation vanished"))
}

fn answer(
    conn: &mut SqliteConnection,
    id: RequestId,
    user: UserId,
    accept: bool,
    now: UnixMillis,
) -> DbResult<(InvitationRow, Option<GroupOutcome>)> {
    let row = first::<ById, InvitationRow>(conn, &binds![id])?;
    let row = row.filter(|row| row.user_id == user && row.expires_at > now);
    let row = row.ok_or_else(|| DbError::not_found(ErrorCode::InvitationNotFound))?;
    let joined = match accept {
        false => None,
        true => {
            let command: GroupCommand = acceptance(user);
            let brought = Some((user, Entrance::Invitation));
            let id = row.conversation_id;
            Some(groups::command(conn, id, &command, brought, now)?)
        }
    };
    execute::<Delete>(conn, &binds![id])?;
    Ok((row, joined))
}

#[async_trait]
impl GroupInvitationStore for SqliteDatabase {
    async fn invite(&self, new: NewInvitation) -> DbResult<InvitationRow> {
        self.write(2, move |conn| invite(conn, &new)).await
    }

    async fn invitations(
        &self,
        user: UserId,
        now: UnixMillis,
        after: Option<RequestId>,
        limit: u32,
    ) -> DbResult<Vec<InvitationRow>> {
        let after = after.map_or(-1, RequestId::as_i64);
        let limit = limit.min(MAX_PAGE);
        self.read(move |conn| rows::<Page, _>(conn, &binds![user, now, after, limit]))
            .await
    }

    async fn answer_invitation(
        &self,
        id: RequestId,
        user: UserId,
        accept: bool,
        now: UnixMillis,
    ) -> DbResult<(InvitationRow, Option<GroupOutcome>)> {
        self.write(4, move |conn| answer(conn, id, user, accept, now))
            .await
    }

    async fn conversation_counts(
        &self,
        users: &[UserId],
        cap: u32,
    ) -> DbResult<Vec<(UserId, u32)>> {
        let users = json_array(users);
        self.read(move |conn| rows::<Counts, _>(conn, &binds![&users, cap]))
            .await
    }
}
