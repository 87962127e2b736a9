//! Invitation links of groups. Whatever changes a link holds the group first, so that links are
//! judged one after the other and locks are taken in one order.

use async_trait::async_trait;
use gochat_core::error::{Error, ErrorCode};
use gochat_core::ids::{ConversationId, UnixMillis, UserId};
use gochat_core::membership::{Entry, decide_link, decide_link_use, decide_revoke};
use gochat_core::message::Entrance;

use super::query::{At, Conn, binds, execute, first, one, rows, statements};
use super::replica::Key;
use super::run::work;
use super::{MysqlDatabase, groups};
use crate::port::db::{
    DbError, DbResult, GroupOutcome, InvitationLinkStore, LinkRow, MAX_PAGE, NewLink,
};
use crate::sql::groups::{acceptance, direct, refused, standing};
use crate::sql::row::columns;

statements! {
    Purge = "DELETE FROM invitation_links WHERE conversation_id = ?1 \
             AND (expires_at <= ?2 OR (max_uses > 0 AND used >= max_uses))";
    CountOpen = "SELECT COUNT(*) FROM invitation_links WHERE conversation_id = ?1";
    // A repeat after a lost commit finds its own row.
    Insert = "INSERT IGNORE INTO invitation_links \
              (code, conversation_id, creator_id, max_uses, used, created_at, expires_at) \
              VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6)";
    ByCode = concat!(
        "SELECT ", columns!(link "l"), " FROM invitation_links l WHERE l.code = ?1"
    );
    Open = concat!(
        "SELECT ", columns!(link "l"), " FROM invitation_links l \
         WHERE l.conversation_id = ?1 AND (?2 IS NULL OR l.creator_id = ?2) \
         AND l.expires_at > ?3 AND (l.max_uses = 0 OR l.used < l.max_uses) \
         ORDER BY l.created_at, l.code LIMIT ?4"
    );
    Delete = "DELETE FROM invitation_links WHERE code = ?1";
    CountUse = "UPDATE invitation_links SET used = used + 1 WHERE code = ?1";
}

async fn by_code(conn: &mut Conn, code: &String) -> DbResult<Option<LinkRow>> {
    first::<ByCode, _>(conn, &binds![code]).await
}

async fn create(conn: &mut Conn, new: &NewLink) -> DbResult<LinkRow> {
    let id = new.conversation;
    let (_, state) = groups::loaded(conn, id, &[new.creator], false).await?;
    if let Some(row) = by_code(conn, &new.code).await? {
        return Ok(row);
    }
    execute::<Purge>(conn, &binds![id, At(new.now)]).await?;
    let open = one::<CountOpen, u32>(conn, &binds![id]).await?;
    let operator = standing(&state, new.creator);
    let counts = (open, new.cap);
    decide_link(&state.facts, operator, new.terms, counts, new.now).map_err(refused)?;
    let (max_uses, end) = (new.terms.max_uses, At(new.terms.expires_at));
    let binds = binds![&new.code, id, new.creator, max_uses, At(new.now), end];
    execute::<Insert>(conn, &binds).await?;
    let row = by_code(conn, &new.code).await?;
    row.ok_or_else(|| DbError::internal("a link vanished"))
}

async fn revoke(
    conn: &mut Conn,
    (id, code, by): &(ConversationId, String, UserId),
) -> DbResult<bool> {
    let (_, state) = groups::loaded(conn, *id, &[*by], false).await?;
    let link = by_code(conn, code).await?;
    let link = link.filter(|link| link.conversation_id == *id);
    let creator = link.as_ref().map_or(*by, |link| link.creator_id);
    decide_revoke(*by, standing(&state, *by), creator).map_err(refused)?;
    if link.is_some() {
        execute::<Delete>(conn, &binds![code]).await?;
    }
    Ok(link.is_some())
}

/// A link that is good for a user, and how the user comes in by it; the group is held.
pub(super) async fn judged(
    conn: &mut Conn,
    code: &String,
    user: UserId,
    now: UnixMillis,
) -> DbResult<(LinkRow, Result<Entry, Error>)> {
    let unknown = || DbError::not_found(ErrorCode::InvitationNotFound);
    // Tells which group to hold; the link is judged as it is once the group is held.
    let found = by_code(conn, code).await?.ok_or_else(unknown)?;
    let names = [found.creator_id, user];
    let (_, state) = groups::loaded(conn, found.conversation_id, &names, false).await?;
    let link = by_code(conn, code).await?.ok_or_else(unknown)?;
    let (maker, user) = (standing(&state, link.creator_id), standing(&state, user));
    let verdict = decide_link_use(&state.facts, &link.link(), maker, user, now);
    Ok((link, verdict))
}

/// Counts a use.
pub(super) async fn count(conn: &mut Conn, code: &String) -> DbResult<()> {
    execute::<CountUse>(conn, &binds![code]).await.map(drop)
}

async fn join(
    conn: &mut Conn,
    (code, user, now): &(String, UserId, UnixMillis),
) -> DbResult<(LinkRow, Option<GroupOutcome>)> {
    let (mut link, verdict) = judged(conn, code, *user, *now).await?;
    match verdict {
        Err(e) if e.code == ErrorCode::UserAlreadyInConversation => return Ok((link, None)),
        verdict => direct(verdict)?,
    }
    let brought = Some((*user, Entrance::Link));
    let args = (link.conversation_id, acceptance(*user), brought, *now);
    let done = groups::command(conn, &args).await?;
    if !done.decision.added().is_empty() {
        count(conn, code).await?;
        link.used += 1;
    }
    Ok((link, Some(done)))
}

type Listed = (ConversationId, Option<UserId>, UnixMillis);

async fn open(conn: &mut Conn, &(id, creator, now): &Listed) -> DbResult<Vec<LinkRow>> {
    rows::<Open, _>(conn, &binds![id, creator, At(now), MAX_PAGE]).await
}

#[async_trait]
impl InvitationLinkStore for MysqlDatabase {
    async fn create_link(&self, new: NewLink) -> DbResult<LinkRow> {
        self.write(true, &[], new, work!(create)).await
    }

    async fn link(&self, code: &str) -> DbResult<Option<LinkRow>> {
        self.read(code.to_owned(), work!(by_code)).await
    }

    async fn links(
        &self,
        conversation: ConversationId,
        creator: Option<UserId>,
        now: UnixMillis,
    ) -> DbResult<Vec<LinkRow>> {
        self.read((conversation, creator, now), work!(open)).await
    }

    async fn revoke_link(
        &self,
        conversation: ConversationId,
        code: &str,
        by: UserId,
    ) -> DbResult<bool> {
        let args = (conversation, code.to_owned(), by);
        self.write(false, &[], args, work!(revoke)).await
    }

    /// Not run again when a commit got lost: the caller repeats, and finds a member.
    async fn use_link(
        &self,
        code: &str,
        user: UserId,
        now: UnixMillis,
    ) -> DbResult<(LinkRow, Option<GroupOutcome>)> {
        let done = self
            .write(false, &[], (code.to_owned(), user, now), work!(join))
            .await;
        if let Ok((row, Some(_))) = &done {
            self.wrote(&[Key::Conversation(row.conversation_id)]);
        }
        done
    }
}
