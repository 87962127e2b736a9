//! Invitation links of groups.

use async_trait::async_trait;
use diesel::sqlite::SqliteConnection;
use gochat_core::error::{Error, ErrorCode};
use gochat_core::ids::{ConversationId, UnixMillis, UserId};
use gochat_core::membership::{Entry, decide_link, decide_link_use, decide_revoke};
use gochat_core::message::Entrance;

use super::query::{binds, execute, first, one, rows, statements};
use super::{SqliteDatabase, groups};
use crate::port::db::{
    DbError, DbResult, GroupOutcome, InvitationLinkStore, LinkRow, MAX_PAGE, NewLink,
};
use crate::sql::groups::{acceptance, direct, refused, standing};
use crate::sql::row::columns;

statements! {
    Purge = "DELETE FROM invitation_links WHERE conversation_id = ?1 \
             AND (expires_at <= ?2 OR (max_uses > 0 AND used >= max_uses))";
    CountOpen = "SELECT count(*) FROM invitation_links WHERE conversation_id = ?1";
    Insert = "INSERT INTO invitation_links \
              (code, conversation_id, creator_id, max_uses, used, created_at, expires_at) \
              VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6)";
    ByCode = concat!(
        "SELECT ", columns!(link "l"), " FROM invitation_links l WHERE l.code = ?1"
    );
    Open = concat!(
        "SELECT ", columns!(link "l"), " FROM invitation_links l \
         WHERE l.conversation_id = ?1 AND (?2 IS NULL OR l.creator_id = ?2) \
         AND l.expires_at > ?3 AND (l.max_uses = 0 OR l.used < l.max_uses) \
         ORDER BY l.created_at, l.code LIMIT 0 + ?4"
    );
    Delete = "DELETE FROM invitation_links WHERE code = ?1";
    CountUse = "UPDATE invitation_links SET used = used + 1 WHERE code = ?1";
}

fn create(conn: &mut SqliteConnection, new: &NewLink) -> DbResult<LinkRow> {
    let id = new.conversation;
    let (_, state) = groups::loaded(conn, id, &[new.creator], false)?;
    execute::<Purge>(conn, &binds![id, new.now])?;
    let open = one::<CountOpen, u32>(conn, &binds![id])?;
    let operator = standing(&state, new.creator);
    let counts = (open, new.cap);
    decide_link(&state.facts, operator, new.terms, counts, new.now).map_err(refused)?;
    let (max_uses, expires_at) = (new.terms.max_uses, new.terms.expires_at);
    let binds = binds![&new.code, id, new.creator, max_uses, new.now, expires_at];
    execute::<Insert>(conn, &binds)?;
    first::<ByCode, _>(conn, &binds![&new.code])?
        .ok_or_else(|| DbError::internal("a link vanished"))
}

fn revoke(
    conn: &mut SqliteConnection,
    id: ConversationId,
    code: &str,
    by: UserId,
) -> DbResult<bool> {
    let (_, state) = groups::loaded(conn, id, &[by], false)?;
    let link = first::<ByCode, LinkRow>(conn, &binds![code])?;
    let link = link.filter(|link| link.conversation_id == id);
    let creator = link.as_ref().map_or(by, |link| link.creator_id);
    decide_revoke(by, standing(&state, by), creator).map_err(refused)?;
    if link.is_some() {
        execute::<Delete>(conn, &binds![code])?;
    }
    Ok(link.is_some())
}

/// A link that is good for a user, and how the user comes in by it.
pub(super) fn judged(
    conn: &mut SqliteConnection,
    code: &str,
    user: UserId,
    now: UnixMillis,
) -> DbResult<(LinkRow, Result<Entry, Error>)> {
    let link = first::<ByCode, LinkRow>(conn, &binds![code])?;
    let link = link.ok_or_else(|| DbError::not_found(ErrorCode::InvitationNotFound))?;
    let names = [link.creator_id, user];
    let (_, state) = groups::loaded(conn, link.conversation_id, &names, false)?;
    let (maker, user) = (standing(&state, link.creator_id), standing(&state, user));
    let verdict = decide_link_use(&state.facts, &link.link(), maker, user, now);
    Ok((link, verdict))
}

/// Counts a use.
pub(super) fn count(conn: &mut SqliteConnection, code: &str) -> DbResult<()> {
    execute::<CountUse>(conn, &binds![code]).map(drop)
}

fn join(
    conn: &mut SqliteConnection,
    code: &str,
    user: UserId,
    now: UnixMillis,
) -> DbResult<(LinkRow, Option<GroupOutcome>)> {
    let (mut link, verdict) = judged(conn, code, user, now)?;
    match verdict {
        Err(e) if e.code == ErrorCode::UserAlreadyInConversation => return Ok((link, None)),
        verdict => direct(verdict)?,
    }
    let done = groups::command(
        conn,
        link.conversation_id,
        &acceptance(user),
        Some((user, Entrance::Link)),
        now,
    )?;
    if !done.decision.added().is_empty() {
        count(conn, code)?;
        link.used += 1;
    }
    Ok((link, Some(done)))
}

#[async_trait]
impl InvitationLinkStore for SqliteDatabase {
    async fn create_link(&self, new: NewLink) -> DbResult<LinkRow> {
        self.grow(2, move |conn| create(conn, &new)).await
    }

    async fn link(&self, code: &str) -> DbResult<Option<LinkRow>> {
        let code = code.to_owned();
        self.read(move |conn| first::<ByCode, _>(conn, &binds![&code]))
            .await
    }

    async fn links(
        &self,
        conversation: ConversationId,
        creator: Option<UserId>,
        now: UnixMillis,
    ) -> DbResult<Vec<LinkRow>> {
        self.read(move |conn| rows::<Open, _>(conn, &binds![conversation, creator, now, MAX_PAGE]))
            .await
    }

    async fn revoke_link(
        &self,
        conversation: ConversationId,
        code: &str,
        by: UserId,
    ) -> DbResult<bool> {
        let code = code.to_owned();
        self.write(1, move |conn| revoke(conn, conversation, &code, by))
            .await
    }

    async fn use_link(
        &self,
        code: &str,
        user: UserId,
        now: UnixMillis,
    ) -> DbResult<(LinkRow, Option<GroupOutcome>)> {
        let code = code.to_owned();
        self.write(4, move |conn| join(conn, &code, user, now))
            .await
    }
}
