//! Sessions.

use async_trait::async_trait;
use diesel::sqlite::SqliteConnection;
use gochat_core::error::ErrorCode;
use gochat_core::ids::{UnixMillis, UserId};
use gochat_core::token::{EndReason, RefreshOutcome, Session, SessionId, beyond_cap, refresh};

use super::SqliteDatabase;
use super::query::{binds, execute, first, rows, statements};
use crate::port::db::{
    DbError, DbResult, EndSessions, EndedAfter, EndedSession, MAX_ENDED, MAX_MEMBER_PAGE,
    NewSession, RefreshSession, SessionStore, UserStatus, Which,
};
use crate::sql::row::columns;

statements! {
    Account = "SELECT status, password_version FROM users WHERE id = ?1";
    Insert = concat!("INSERT INTO sessions (", columns!(session), ") \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, NULL, NULL) \
             ON CONFLICT DO NOTHING");
    Get = concat!("SELECT ", columns!(session), " FROM sessions WHERE id = ?1");
    OfUser = concat!("SELECT ", columns!(session), " FROM sessions \
             WHERE user_id = ?1 AND ended_at IS NULL AND expires_at > ?2 \
             ORDER BY last_used_at DESC, id LIMIT 0 + ?3");
    Live = "SELECT id, last_used_at FROM sessions \
            WHERE user_id = ?1 AND ended_at IS NULL AND expires_at > ?2";
    Rotate = "UPDATE sessions SET generation = ?2, rotated_at = ?3, last_used_at = ?4, \
              expires_at = ?5, refresh_hash = ?6, \
              address = CASE WHEN ?7 = '' THEN address ELSE ?7 END WHERE id = ?1";
    EndOne = "UPDATE sessions SET ended_at = ?2, end_reason = ?3, expires_at = ?4 \
              WHERE id = ?1 AND ended_at IS NULL";
    EndMany = "UPDATE sessions SET ended_at = ?2, end_reason = ?3, expires_at = ?4 \
               WHERE user_id = ?1 AND ended_at IS NULL AND (?5 = '' OR id = ?5) AND id <> ?6";
    Ended = "SELECT id FROM sessions WHERE user_id = ?1 AND ended_at IS NOT NULL \
             AND expires_at > ?2 AND (?3 = '' OR id = ?3) AND id <> ?4 \
             ORDER BY ended_at DESC, id LIMIT 0 + ?5";
    Evicted = "SELECT id FROM sessions WHERE user_id = ?1 AND ended_at IS NOT NULL \
               AND expires_at > ?2 AND end_reason = ?3 ORDER BY ended_at DESC, id LIMIT 0 + ?4";
    List = "SELECT id, user_id, ended_at, expires_at FROM sessions \
            WHERE ended_at IS NOT NULL AND ended_at >= ?1 AND (ended_at > ?1 OR id > ?2) \
            AND expires_at > ?3 ORDER BY ended_at, id LIMIT 0 + ?4";
    Purge = "DELETE FROM sessions WHERE id IN \
             (SELECT id FROM sessions WHERE expires_at <= ?1 LIMIT 0 + ?2)";
}

/// Whether the account may get a session.
fn admit(conn: &mut SqliteConnection, user: UserId, version: Option<u64>) -> DbResult<()> {
    let account: Option<(UserStatus, u64)> = first::<Account, _>(conn, &binds![user])?;
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

fn create(conn: &mut SqliteConnection, new: &NewSession) -> DbResult<Vec<SessionId>> {
    let session = &new.session;
    let (user, now) = (session.user, session.created_at);
    admit(conn, user, new.password_version)?;
    execute::<Insert>(
        conn,
        &binds![
            session.id,
            user,
            &session.device,
            &session.client,
            &session.address,
            session.created_at,
            session.last_used_at,
            session.expires_at,
            session.generation,
            session.rotated_at,
            &session.refresh_hash,
        ],
    )?;
    let evicted = EndReason::Evicted as i32;
    let live: Vec<(SessionId, UnixMillis)> = rows::<Live, _>(conn, &binds![user, now])?;
    for id in beyond_cap(&live, session.id, new.cap as usize) {
        execute::<EndOne>(conn, &binds![id, now, evicted, new.tokens_expire_at])?;
    }
    rows::<Evicted, _>(conn, &binds![user, now, evicted, MAX_ENDED + 1])
}

fn renew(conn: &mut SqliteConnection, asked: &RefreshSession) -> DbResult<Option<RefreshOutcome>> {
    let found: Option<Session> = first::<Get, _>(conn, &binds![asked.id])?;
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
                row.rotated_at,
                row.last_used_at,
                row.expires_at,
                &row.refresh_hash,
                &asked.address,
            ];
            execute::<Rotate>(conn, &binds)?;
        }
        RefreshOutcome::Reuse => {
            let reason = EndReason::Reuse as i32;
            let binds = binds![row.id, asked.now, reason, asked.tokens_expire_at];
            execute::<EndOne>(conn, &binds)?;
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

pub(super) fn end(conn: &mut SqliteConnection, asked: &EndSessions) -> DbResult<Vec<SessionId>> {
    let (one, but) = named(asked.which);
    let reason = asked.reason as i32;
    let binds = binds![
        asked.user,
        asked.now,
        reason,
        asked.tokens_expire_at,
        &one,
        &but
    ];
    execute::<EndMany>(conn, &binds)?;
    let binds = binds![asked.user, asked.now, &one, &but, MAX_ENDED + 1];
    rows::<Ended, _>(conn, &binds)
}

#[async_trait]
impl SessionStore for SqliteDatabase {
    async fn create_session(&self, new: NewSession) -> DbResult<Vec<SessionId>> {
        self.write(1, move |conn| create(conn, &new)).await
    }

    async fn refresh_session(&self, asked: RefreshSession) -> DbResult<Option<RefreshOutcome>> {
        self.write(1, move |conn| renew(conn, &asked)).await
    }

    async fn session(&self, id: SessionId) -> DbResult<Option<Session>> {
        self.read(move |conn| first::<Get, _>(conn, &binds![id]))
            .await
    }

    async fn sessions_of(&self, user: UserId, now: UnixMillis) -> DbResult<Vec<Session>> {
        self.read(move |conn| rows::<OfUser, _>(conn, &binds![user, now, MAX_MEMBER_PAGE]))
            .await
    }

    async fn end_sessions(&self, asked: EndSessions) -> DbResult<Vec<SessionId>> {
        self.write(2, move |conn| end(conn, &asked)).await
    }

    async fn ended_sessions(
        &self,
        now: UnixMillis,
        after: Option<EndedAfter>,
        limit: u32,
    ) -> DbResult<Vec<EndedSession>> {
        let (at, id) = after.map_or((0, String::new()), |a| (a.ended_at, a.id.to_string()));
        let limit = limit.min(MAX_MEMBER_PAGE);
        self.read(move |conn| rows::<List, _>(conn, &binds![at, &id, now, limit]))
            .await
    }

    async fn purge_sessions(&self, now: UnixMillis, limit: u32) -> DbResult<u64> {
        self.write(limit as usize, move |conn| {
            Ok(execute::<Purge>(conn, &binds![now, limit])? as u64)
        })
        .await
    }
}
