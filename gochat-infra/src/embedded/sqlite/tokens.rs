//! Refresh tokens and revocations.

use async_trait::async_trait;
use diesel::sqlite::SqliteConnection;
use gochat_core::ids::{UnixMillis, UserId};

use super::SqliteDatabase;
use super::query::{binds, execute, first, one, rows, statements};
use crate::port::db::{
    ConsumeOutcome, ConsumeRefresh, DbResult, MAX_MEMBER_PAGE, RefreshRecord, Revocation,
    RevocationKey, TokenStore,
};
use crate::sql::tokens::key_text;

statements! {
    Store = "INSERT INTO refresh_tokens (hash, user_id, client_info, created_at, expires_at, \
             access_hash, access_jti, access_expires_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING";
    Get = "SELECT hash, user_id, client_info, created_at, expires_at, access_hash, access_jti, \
           access_expires_at, consumed_at FROM refresh_tokens WHERE hash = ?1";
    Consume = "UPDATE refresh_tokens SET consumed_at = ?2 WHERE hash = ?1";
    Delete = "DELETE FROM refresh_tokens WHERE hash = ?1";
    DeleteOfAccess = "DELETE FROM refresh_tokens WHERE access_hash = ?1 AND access_hash <> ''";
    CountGood = "SELECT count(*) FROM refresh_tokens \
                 WHERE user_id = ?1 AND consumed_at IS NULL AND expires_at > ?2";
    DeleteAll = "DELETE FROM refresh_tokens WHERE user_id = ?1";
    Revoke = "INSERT INTO token_revocations (token, revoked_at, expires_at) VALUES (?1, ?2, ?3) \
              ON CONFLICT DO UPDATE SET \
              revoked_at = max(token_revocations.revoked_at, excluded.revoked_at), \
              expires_at = max(token_revocations.expires_at, excluded.expires_at)";
    IsRevoked = "SELECT EXISTS (SELECT 1 FROM token_revocations WHERE expires_at > ?4 \
                 AND (token = ?1 OR (token = ?2 AND revoked_at >= ?3)))";
    List = "SELECT token, revoked_at, expires_at FROM token_revocations \
            WHERE token > ?1 AND expires_at > ?2 ORDER BY token LIMIT 0 + ?3";
    PurgeRefresh = "DELETE FROM refresh_tokens WHERE hash IN \
                    (SELECT hash FROM refresh_tokens WHERE expires_at <= ?1 LIMIT 0 + ?2)";
    PurgeRevocations = "DELETE FROM token_revocations WHERE token IN \
                    (SELECT token FROM token_revocations WHERE expires_at <= ?1 LIMIT 0 + ?2)";
}

fn consume(conn: &mut SqliteConnection, asked: &ConsumeRefresh) -> DbResult<ConsumeOutcome> {
    let found: Option<(RefreshRecord, Option<UnixMillis>)> =
        first::<Get, _>(conn, &binds![&asked.hash])?;
    Ok(match found {
        None => ConsumeOutcome::Unknown,
        Some((record, _)) if record.expires_at <= asked.now => ConsumeOutcome::Expired,
        Some((record, Some(_))) => {
            revoke_user(conn, record.user_id, asked.now, asked.revoke_until)?;
            ConsumeOutcome::Reused {
                user_id: record.user_id,
            }
        }
        Some((record, None)) => {
            execute::<Consume>(conn, &binds![&asked.hash, asked.now])?;
            ConsumeOutcome::Consumed(record)
        }
    })
}

fn revoke_user(
    conn: &mut SqliteConnection,
    user: UserId,
    now: UnixMillis,
    until: UnixMillis,
) -> DbResult<u64> {
    let good = one::<CountGood, _>(conn, &binds![user, now])?;
    execute::<DeleteAll>(conn, &binds![user])?;
    let key = key_text(&RevocationKey::User(user));
    execute::<Revoke>(conn, &binds![&key, now, until])?;
    Ok(good)
}

#[async_trait]
impl TokenStore for SqliteDatabase {
    async fn store_refresh(&self, record: RefreshRecord) -> DbResult<()> {
        self.write(1, move |conn| {
            execute::<Store>(
                conn,
                &binds![
                    &record.hash,
                    record.user_id,
                    &record.client_info,
                    record.created_at,
                    record.expires_at,
                    &record.access_hash,
                    &record.access_jti,
                    record.access_expires_at,
                ],
            )
            .map(|_| ())
        })
        .await
    }

    async fn consume_refresh(&self, asked: ConsumeRefresh) -> DbResult<ConsumeOutcome> {
        self.write(1, move |conn| consume(conn, &asked)).await
    }

    async fn delete_refresh(&self, hash: &str) -> DbResult<()> {
        let hash = hash.to_owned();
        self.write(1, move |conn| {
            execute::<Delete>(conn, &binds![&hash]).map(|_| ())
        })
        .await
    }

    async fn delete_refresh_of_access(&self, access_hash: &str) -> DbResult<()> {
        let hash = access_hash.to_owned();
        self.write(1, move |conn| {
            execute::<DeleteOfAccess>(conn, &binds![&hash]).map(|_| ())
        })
        .await
    }

    async fn revoke_user(&self, user: UserId, now: UnixMillis, until: UnixMillis) -> DbResult<u64> {
        self.write(2, move |conn| revoke_user(conn, user, now, until))
            .await
    }

    async fn add_revocation(&self, revocation: Revocation) -> DbResult<()> {
        self.write(1, move |conn| {
            let key = key_text(&revocation.key);
            execute::<Revoke>(
                conn,
                &binds![&key, revocation.revoked_at, revocation.expires_at],
            )
            .map(|_| ())
        })
        .await
    }

    async fn is_revoked(
        &self,
        token_hash: &str,
        user: UserId,
        issued_at: UnixMillis,
        now: UnixMillis,
    ) -> DbResult<bool> {
        let token = key_text(&RevocationKey::Token(token_hash.to_owned()));
        let whole = key_text(&RevocationKey::User(user));
        self.read(move |conn| one::<IsRevoked, _>(conn, &binds![&token, &whole, issued_at, now]))
            .await
    }

    async fn revocations(
        &self,
        now: UnixMillis,
        after: Option<RevocationKey>,
        limit: u32,
    ) -> DbResult<Vec<Revocation>> {
        let after = after.as_ref().map(key_text).unwrap_or_default();
        let limit = limit.min(MAX_MEMBER_PAGE);
        self.read(move |conn| rows::<List, _>(conn, &binds![&after, now, limit]))
            .await
    }

    async fn purge_tokens(&self, now: UnixMillis, limit: u32) -> DbResult<u64> {
        self.write(limit as usize, move |conn| {
            let refresh = execute::<PurgeRefresh>(conn, &binds![now, limit])?;
            let left = (limit as usize).saturating_sub(refresh);
            let revoked = execute::<PurgeRevocations>(conn, &binds![now, left])?;
            Ok((refresh + revoked) as u64)
        })
        .await
    }
}
