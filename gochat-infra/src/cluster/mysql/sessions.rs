//! Sessions.

use async_trait::async_trait;
use gochat_core::error::ErrorCode;
use gochat_core::ids::{UnixMillis, UserId};
use gochat_core::token::{EndReason, RefreshOutcome, Session, SessionId, beyond_cap, refresh};

use super::MysqlDatabase;
use super::fault::{self, Class};
use super::query::{At, Conn, binds, execute, first, rows, statements};
use super::run::work;
use crate::port::db::{
    DbError, DbResult, EndSessions, EndedAfter, EndedSession, MAX_ENDED, MAX_MEMBER_PAGE,
    NewSession, RefreshSession, SessionStore, UserStatus, Which,
};
use crate::sql::row::columns;

statements! {
    // Locked: a sign-in and a change of the password or the status take turns.
    Account = "SELECT status, password_version FROM users WHERE id = ?1 FOR UPDATE";
    Insert = concat!("INSERT INTO sessions (", columns!(session), ") \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, NULL, NULL)");
    Get = concat!("SELECT ", columns!(session), " FROM sessions WHERE id = ?1");
    // Locked: of two that present a token, the second sees what the first did.
    GetLocked = concat!("SELECT ", columns!(session), " FROM sessions WHERE id = ?1 FOR UPDATE");
    OfUser = concat!("SELECT ", columns!(session), " FROM sessions \
             WHERE user_id = ?1 AND ended_at IS NULL AND expires_at > ?2 \
             ORDER BY last_used_at DESC, id LIMIT ?3");
    Live = "SELECT id, last_used_at FROM sessions \
            WHERE user_id = ?1 AND ended_at IS NULL AND expires_at > ?2";
    Rotate = "UPDATE sessions SET generation = ?2, rotated_at = ?3, last_used_at = ?4, \
              expires_at = ?5, refresh_hash = ?6, address = IF(?7 = '', address, ?7) \
              WHERE id = ?1";
    EndOne = "UPDATE sessions SET ended_at = ?2, end_reason = ?3, expires_at = ?4 \
              WHERE id = ?1 AND ended_at IS NULL";
    EndMany = "UPDATE sessions SET ended_at = ?2, end_reason = ?3, expires_at = ?4 \
               WHERE user_id = ?1 AND ended_at IS NULL AND (?5 = '' OR id = ?5) AND id <> ?6";
    Ended = "SELECT id FROM sessions WHERE user_id = ?1 AND ended_at IS NOT NULL \
             AND expires_at > ?2 AND (?3 = '' OR id = ?3) AND id <> ?4 \
             ORDER BY ended_at DESC, id LIMIT ?5";
    Evicted = "SELECT id FROM sessions WHERE user_id = ?1 AND ended_at IS NOT NULL \
               AND expires_at > ?2 AND end_reason = ?3 ORDER BY ended_at DESC, id LIMIT ?4";
    List = "SELECT id, user_id, ended_at, expires_at FROM sessions \
            WHERE ended_at >= ?1 AND (ended_at > ?1 OR id > ?2) \
            AND expires_at > ?3 ORDER BY ended_at, id LIMIT ?4";
    Purge = "DELETE FROM sessions WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2";
}

/// Whether the account may get a session.
async fn admit(conn: &mut Conn, user: UserId, version: Option<u64>) -> DbResult<()> {
    let account: Option<(UserStatus, u64)> = first::<Account, _>(conn, &binds![user]).await?;
    match account {
        None => Err(DbError::not_found(ErrorCode::UserNotFound)),
        Some((UserStatus::Disabled, _)) => Err(DbError::refused(ErrorCode::UserDisabled)),
        Some((UserStatus::Deleted, _)) => Err(DbError::refused(ErrorCode::InvalidCredentials)),
        Some((_, now)) if version.is_some_and(|judged| judged != now) => {
            Err(DbError::refused(ErrorCode::InvalidCredentials))
        }
        Some(_) => Ok(()),
    }
}

async fn create(conn: &mut Conn, new: &NewSession) -> DbResult<Vec<SessionId>> {
    let session = &new.session;
    let (user, now) = (session.user, session.created_at);
    admit(conn, user, new.password_version).await?;
    let binds = binds![
        session.id,
        user,
        &session.device,
        &session.client,
        &session.address,
        At(session.created_at),
        At(session.last_used_at),
        At(session.expires_at),
        session.generation,
        At(session.rotated_at),
        &session.refresh_hash,
    ];
    match execute::<Insert>(conn, &binds).await {
        Err(e) if fault::class(&e) != Class::Duplicate => return Err(e),
        _ => {}
    }
    let evicted = EndReason::Evicted as i32;
    let live: Vec<(SessionId, UnixMillis)> = rows::<Live, _>(conn, &binds![user, At(now)]).await?;
    for id in beyond_cap(&live, session.id, new.cap as usize) {
        let binds = binds![id, At(now), evicted, At(new.tokens_expire_at)];
        execute::<EndOne>(conn, &binds).await?;
    }
    rows::<Evicted, _>(conn, &binds![user, At(now), evicted, MAX_ENDED + 1]).await
}

async fn renew(conn: &mut Conn, asked: &RefreshSession) -> DbResult<Option<RefreshOutcome>> {
    let found: Option<Session> = first::<GetLocked, _>(conn, &binds![asked.id]).await?;
    let Some(mut row) = found.filter(|row| row.user == asked.user) else {
        return Ok(None);
    };
    let outcome = refresh(&row, asked.generation, asked.now, &asked.policy);
    match outcome {
        RefreshOutcome::Rotated(to) => {
            row.rotate(to, &asked.refresh_hash, &asked.policy);
            let binds = binds![
                row.id,
                row.generation,
                At(row.rotated_at),
                At(row.last_used_at),
                At(row.expires_at),
                &row.refresh_hash,
                &asked.address,
            ];
            execute::<Rotate>(conn, &binds).await?;
        }
        RefreshOutcome::Reuse => {
            let reason = EndReason::Reuse as i32;
            let binds = binds![row.id, At(asked.now), reason, At(asked.tokens_expire_at)];
            execute::<EndOne>(conn, &binds).await?;
        }
        RefreshOutcome::Repeat(_) | RefreshOutcome::Ended(_) | RefreshOutcome::Expired => {}
    }
    Ok(Some(outcome))
}

/// The session that is meant and the session that is left out; empty texts mean none.
fn named(which: Which) -> (String, String) {
    match which {
        Which::One(id) => (id.to_string(), String::new()),
        Which::AllBut(id) => (String::new(), id.to_string()),
        Which::All => (String::new(), String::new()),
    }
}

pub(super) async fn end(conn: &mut Conn, asked: &EndSessions) -> DbResult<Vec<SessionId>> {
    let (one, but) = named(asked.which);
    let reason = asked.reason as i32;
    let binds = binds![
        asked.user,
        At(asked.now),
        reason,
        At(asked.tokens_expire_at),
        &one,
        &but,
    ];
    execute::<EndMany>(conn, &binds).await?;
    let binds = binds![asked.user, At(asked.now), &one, &but, MAX_ENDED + 1];
    rows::<Ended, _>(conn, &binds).await
}

async fn get(conn: &mut Conn, id: &SessionId) -> DbResult<Option<Session>> {
    first::<Get, _>(conn, &binds![*id]).await
}

async fn of_user(conn: &mut Conn, &(user, now): &(UserId, UnixMillis)) -> DbResult<Vec<Session>> {
    rows::<OfUser, _>(conn, &binds![user, At(now), MAX_MEMBER_PAGE]).await
}

async fn list(
    conn: &mut Conn,
    (at, id, now, limit): &(UnixMillis, String, UnixMillis, u32),
) -> DbResult<Vec<EndedSession>> {
    rows::<List, _>(conn, &binds![At(*at), id, At(*now), *limit]).await
}

async fn purge(conn: &mut Conn, &(now, limit): &(UnixMillis, u32)) -> DbResult<u64> {
    Ok(execute::<Purge>(conn, &binds![At(now), limit]).await? as u64)
}

#[async_trait]
impl SessionStore for MysqlDatabase {
    async fn create_session(&self, new: NewSession) -> DbResult<Vec<SessionId>> {
        self.write(true, &[], new, work!(create)).await
    }

    /// Run again when a commit got lost: the second run finds the successor of the first and
    /// answers it as a repeat.
    async fn refresh_session(&self, asked: RefreshSession) -> DbResult<Option<RefreshOutcome>> {
        self.write(true, &[], asked, work!(renew)).await
    }

    async fn session(&self, id: SessionId) -> DbResult<Option<Session>> {
        self.read(id, work!(get)).await
    }

    async fn sessions_of(&self, user: UserId, now: UnixMillis) -> DbResult<Vec<Session>> {
        self.read((user, now), work!(of_user)).await
    }

    async fn end_sessions(&self, asked: EndSessions) -> DbResult<Vec<SessionId>> {
        self.write(true, &[], asked, work!(end)).await
    }

    async fn ended_sessions(
        &self,
        now: UnixMillis,
        after: Option<EndedAfter>,
        limit: u32,
    ) -> DbResult<Vec<EndedSession>> {
        let (at, id) = after.map_or((0, String::new()), |a| (a.ended_at, a.id.to_string()));
        let limit = limit.min(MAX_MEMBER_PAGE);
        self.read((at, id, now, limit), work!(list)).await
    }

    async fn purge_sessions(&self, now: UnixMillis, limit: u32) -> DbResult<u64> {
        self.write(false, &[], (now, limit), work!(purge)).await
    }
}
