//! Invitations to groups.

use async_trait::async_trait;
use gochat_core::error::ErrorCode;
use gochat_core::ids::{RequestId, UnixMillis, UserId};
use gochat_core::message::Entrance;

use super::query::{At, Conn, binds, execute, first, json_array, one, rows, statements};
use super::replica::Key;
use super::run::work;
use super::{MysqlDatabase, groups};
use crate::port::db::{
    DbError, DbResult, GroupInvitationStore, GroupOutcome, InvitationRow, MAX_PAGE, NewInvitation,
};
use crate::sql::groups::acceptance;
use crate::sql::row::columns;

statements! {
    // Invitations of one user take turns on the user's row.
    Hold = "SELECT id FROM users WHERE id = ?1 FOR UPDATE";
    Purge = "DELETE FROM group_invitations WHERE user_id = ?1 AND expires_at <= ?2";
    CountOpen = "SELECT COUNT(*) FROM group_invitations WHERE user_id = ?1";
    Insert = "INSERT INTO group_invitations \
              (id, conversation_id, user_id, inviter_id, created_at, expires_at) \
              VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    Extend = "UPDATE group_invitations SET expires_at = GREATEST(expires_at, ?2) WHERE id = ?1";
    Of = concat!(
        "SELECT ", columns!(invitation "i"), " FROM group_invitations i \
         WHERE i.user_id = ?1 AND i.conversation_id = ?2"
    );
    ById = concat!(
        "SELECT ", columns!(invitation "i"), " FROM group_invitations i WHERE i.id = ?1 FOR UPDATE"
    );
    Page = concat!(
        "SELECT ", columns!(invitation "i"), " FROM group_invitations i \
         WHERE i.user_id = ?1 AND i.expires_at > ?2 AND i.id > ?3 ORDER BY i.id LIMIT ?4"
    );
    Delete = "DELETE FROM group_invitations WHERE id = ?1";
    // ?1 JSON array of users, ?2 cap
    Counts = "SELECT j.id, LEAST(COUNT(*), ?2) FROM \
        JSON_TABLE(CONVERT(?1 USING utf8mb4), '$[*]' COLUMNS (id BIGINT PATH '$')) j \
        STRAIGHT_JOIN conversation_members m ON m.user_id = j.id GROUP BY j.id";
}

async fn invite(conn: &mut Conn, new: &NewInvitation) -> DbResult<InvitationRow> {
    let held: Option<UserId> = first::<Hold, _>(conn, &binds![new.user]).await?;
    held.ok_or_else(|| DbError::not_found(ErrorCode::UserNotFound))?;
    execute::<Purge>(conn, &binds![new.user, At(new.now)]).await?;
    let of = binds![new.user, new.conversation];
    let known: Option<InvitationRow> = first::<Of, _>(conn, &of).await?;
    match known {
        Some(row) => {
            execute::<Extend>(conn, &binds![row.id, At(new.expires_at)]).await?;
        }
        None => {
            if one::<CountOpen, u32>(conn, &binds![new.user]).await? >= new.cap {
                return Err(DbError::refused(ErrorCode::RateLimited));
            }
            let binds = binds![
                new.id,
                new.conversation,
                new.user,
                new.inviter,
                At(new.now),
                At(new.expires_at)
            ];
            execute::<Insert>(conn, &binds).await?;
        }
    }
    let row = first::<Of, _>(conn, &of).await?;
    row.ok_or_else(|| DbError::internal("an invitation vanished"))
}

type Listed = (UserId, UnixMillis, i64, u32);

async fn page(
    conn: &mut Conn,
    &(user, now, after, limit): &Listed,
) -> DbResult<Vec<InvitationRow>> {
    rows::<Page, _>(conn, &binds![user, At(now), after, limit]).await
}

async fn answer(
    conn: &mut Conn,
    &(id, user, accept, now): &(RequestId, UserId, bool, UnixMillis),
) -> DbResult<(InvitationRow, Option<GroupOutcome>)> {
    let row: Option<InvitationRow> = first::<ById, _>(conn, &binds![id]).await?;
    let row = row.filter(|row| row.user_id == user && row.expires_at > now);
    let row = row.ok_or_else(|| DbError::not_found(ErrorCode::InvitationNotFound))?;
    let joined = match accept {
        false => None,
        true => {
            let brought = Some((user, Entrance::Invitation));
            let args = (row.conversation_id, acceptance(user), brought, now);
            Some(groups::command(conn, &args).await?)
        }
    };
    execute::<Delete>(conn, &binds![id]).await?;
    Ok((row, joined))
}

async fn counts(conn: &mut Conn, (users, cap): &(String, u32)) -> DbResult<Vec<(UserId, u32)>> {
    rows::<Counts, _>(conn, &binds![users, *cap]).await
}

#[async_trait]
impl GroupInvitationStore for MysqlDatabase {
    async fn invite(&self, new: NewInvitation) -> DbResult<InvitationRow> {
        self.write(true, &[], new, work!(invite)).await
    }

    async fn invitations(
        &self,
        user: UserId,
        now: UnixMillis,
        after: Option<RequestId>,
        limit: u32,
    ) -> DbResult<Vec<InvitationRow>> {
        let after = after.map_or(-1, RequestId::as_i64);
        let args = (user, now, after, limit.min(MAX_PAGE));
        self.read(args, work!(page)).await
    }

    async fn answer_invitation(
        &self,
        id: RequestId,
        user: UserId,
        accept: bool,
        now: UnixMillis,
    ) -> DbResult<(InvitationRow, Option<GroupOutcome>)> {
        let done = self
            .write(false, &[], (id, user, accept, now), work!(answer))
            .await;
        if let Ok((row, _)) = &done {
            self.wrote(&[Key::Conversation(row.conversation_id)]);
        }
        done
    }

    async fn conversation_counts(
        &self,
        users: &[UserId],
        cap: u32,
    ) -> DbResult<Vec<(UserId, u32)>> {
        self.read((json_array(users), cap), work!(counts)).await
    }
}
