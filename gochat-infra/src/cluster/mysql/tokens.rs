//! Refresh tokens and revocations.

use async_trait::async_trait;
use gochat_core::ids::{UnixMillis, UserId};

use super::MysqlDatabase;
use super::fault::{self, Class};
use super::query::{At, Conn, binds, execute, first, one, rows, statements};
use super::run::work;
use crate::port::db::{
    ConsumeOutcome, ConsumeRefresh, DbResult, MAX_MEMBER_PAGE, RefreshRecord, Revocation,
    RevocationKey, TokenStore,
};
use crate::sql::tokens::key_text;

statements! {
    Store = "INSERT INTO refresh_tokens (hash, user_id, client_info, created_at, expires_at, \
             access_hash, access_jti, access_expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    // Locked: of two that use a token up, the second sees what the first did.
    Get = "SELECT hash, user_id, client_info, created_at, expires_at, access_hash, access_jti, \
           access_expires_at, consumed_at FROM refresh_tokens WHERE hash = ?1 FOR UPDATE";
    Consume = "UPDATE refresh_tokens SET consumed_at = ?2 WHERE hash = ?1";
    Delete = "DELETE FROM refresh_tokens WHERE hash = ?1";
    DeleteOfAccess = "DELETE FROM refresh_tokens WHERE access_hash = ?1 AND access_hash <> ''";
    CountGood = "SELECT COUNT(*) FROM refresh_tokens \
                 WHERE user_id = ?1 AND consumed_at IS NULL AND expires_at > ?2";
    DeleteAll = "DELETE FROM refresh_tokens WHERE user_id = ?1";
    Revoke = "INSERT INTO token_revocations (token, revoked_at, expires_at) VALUES (?1, ?2, ?3) \
              ON DUPLICATE KEY UPDATE revoked_at = GREATEST(revoked_at, VALUES(revoked_at)), \
              expires_at = GREATEST(expires_at, VALUES(expires_at))";
    IsRevoked = "SELECT EXISTS (SELECT 1 FROM token_revocations WHERE expires_at > ?4 \
                 AND token IN (?1, ?2) AND (token = ?1 OR revoked_at >= ?3))";
    List = "SELECT token, revoked_at, expires_at FROM token_revocations \
            WHERE token > ?1 AND expires_at > ?2 ORDER BY token LIMIT ?3";
    PurgeRefresh = "DELETE FROM refresh_tokens WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2";
    PurgeRevocations =
        "DELETE FROM token_revocations WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2";
}

async fn store(conn: &mut Conn, record: &RefreshRecord) -> DbResult<()> {
    let binds = binds![
        &record.hash,
        record.user_id,
        &record.client_info,
        At(record.created_at),
        At(record.expires_at),
        &record.access_hash,
        &record.access_jti,
        At(record.access_expires_at),
    ];
    match execute::<Store>(conn, &binds).await {
        Err(e) if fault::class(&e) != Class::Duplicate => Err(e),
        _ => Ok(()),
    }
}

async fn consume(conn: &mut Conn, asked: &ConsumeRefresh) -> DbResult<ConsumeOutcome> {
    let found: Option<(RefreshRecord, Option<UnixMillis>)> =
        first::<Get, _>(conn, &binds![&asked.hash]).await?;
    Ok(match found {
        None => ConsumeOutcome::Unknown,
        Some((record, _)) if record.expires_at <= asked.now => ConsumeOutcome::Expired,
        Some((record, Some(_))) => {
            let user_id = record.user_id;
            revoke_user(conn, &(user_id, asked.now, asked.revoke_until)).await?;
            ConsumeOutcome::Reused { user_id }
        }
        Some((record, None)) => {
            execute::<Consume>(conn, &binds![&asked.hash, At(asked.now)]).await?;
            ConsumeOutcome::Consumed(record)
        }
    })
}

async fn delete(conn: &mut Conn, hash: &String) -> DbResult<()> {
    execute::<Delete>(conn, &binds![hash]).await.map(|_| ())
}

async fn delete_of_access(conn: &mut Conn, hash: &String) -> DbResult<()> {
    let done = execute::<DeleteOfAccess>(conn, &binds![hash]).await;
    done.map(|_| ())
}

async fn revoke_user(
    conn: &mut Conn,
    &(user, now, until): &(UserId, UnixMillis, UnixMillis),
) -> DbResult<u64> {
    let good = one::<CountGood, _>(conn, &binds![user, At(now)]).await?;
    execute::<DeleteAll>(conn, &binds![user]).await?;
    let key = key_text(&RevocationKey::User(user));
    execute::<Revoke>(conn, &binds![&key, At(now), At(until)]).await?;
    Ok(good)
}

async fn revoke(conn: &mut Conn, revocation: &Revocation) -> DbResult<()> {
    let key = key_text(&revocation.key);
    let binds = binds![&key, At(revocation.revoked_at), At(revocation.expires_at)];
    execute::<Revoke>(conn, &binds).await.map(|_| ())
}

type Asked = (String, String, UnixMillis, UnixMillis);

async fn is_revoked(conn: &mut Conn, (token, user, issued, now): &Asked) -> DbResult<bool> {
    one::<IsRevoked, _>(conn, &binds![token, user, At(*issued), At(*now)]).await
}

async fn list(
    conn: &mut Conn,
    (after, now, limit): &(String, UnixMillis, u32),
) -> DbResult<Vec<Revocation>> {
    rows::<List, _>(conn, &binds![after, At(*now), *limit]).await
}

async fn purge(conn: &mut Conn, &(now, limit): &(UnixMillis, u32)) -> DbResult<u64> {
    let refresh = execute::<PurgeRefresh>(conn, &binds![At(now), limit]).await?;
    let left = (limit as usize).saturating_sub(refresh);
    let revoked = execute::<PurgeRevocations>(conn, &binds![At(now), left]).await?;
    Ok((refresh + revoked) as u64)
}

#[async_trait]
impl TokenStore for MysqlDatabase {
    async fn store_refresh(&self, record: RefreshRecord) -> DbResult<()> {
        self.write(true, &[], record, work!(store)).await
    }

    /// Not run again when a commit got lost: the second run would see a reused token and revoke
    /// everything the user holds. The caller gets a retryable error and signs in again at worst.
    async fn consume_refresh(&self, asked: ConsumeRefresh) -> DbResult<ConsumeOutcome> {
        self.write(false, &[], asked, work!(consume)).await
    }

    async fn delete_refresh(&self, hash: &str) -> DbResult<()> {
        self.write(true, &[], hash.to_owned(), work!(delete)).await
    }

    async fn delete_refresh_of_access(&self, access_hash: &str) -> DbResult<()> {
        let hash = access_hash.to_owned();
        self.write(true, &[], hash, work!(delete_of_access)).await
    }

    async fn revoke_user(&self, user: UserId, now: UnixMillis, until: UnixMillis) -> DbResult<u64> {
        self.write(false, &[], (user, now, until), work!(revoke_user))
            .await
    }

    async fn add_revocation(&self, revocation: Revocation) -> DbResult<()> {
        self.write(true, &[], revocation, work!(revoke)).await
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
        self.read((token, whole, issued_at, now), work!(is_revoked))
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
        self.read((after, now, limit), work!(list)).await
    }

    async fn purge_tokens(&self, now: UnixMillis, limit: u32) -> DbResult<u64> {
        self.write(false, &[], (now, limit), work!(purge)).await
    }
}
