//! Signing keys.

use async_trait::async_trait;
use gochat_core::ids::UnixMillis;

use super::MysqlDatabase;
use super::fault::{self, Class};
use super::query::{At, Conn, binds, execute, first, one, rows, statements};
use super::run::work;
use crate::port::db::{DbResult, KeyStore, SigningKeyRow};

statements! {
    List = "SELECT generation, kid, algorithm, public_key, sealed_key, created_at, signs_from, \
            retires_at FROM signing_keys WHERE retires_at IS NULL OR retires_at > ?1 \
            ORDER BY generation";
    // Locked: of two that add a key, the second sees what the first did.
    Newest = "SELECT generation, kid FROM signing_keys ORDER BY generation DESC LIMIT 1 FOR UPDATE";
    Add = "INSERT INTO signing_keys (generation, kid, algorithm, public_key, sealed_key, \
           created_at, signs_from) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    Retire = "UPDATE signing_keys SET retires_at = ?2 WHERE generation = ?1";
    RetireBy = "UPDATE signing_keys SET retires_at = LEAST(IFNULL(retires_at, ?2), ?2) WHERE kid = ?1";
    IsThere = "SELECT EXISTS (SELECT 1 FROM signing_keys WHERE kid = ?1)";
    Purge = "DELETE FROM signing_keys WHERE retires_at <= ?1";
}

async fn list(conn: &mut Conn, &now: &UnixMillis) -> DbResult<Vec<SigningKeyRow>> {
    rows::<List, _>(conn, &binds![At(now)]).await
}

async fn add(
    conn: &mut Conn,
    (key, previous_retires_at): &(SigningKeyRow, UnixMillis),
) -> DbResult<bool> {
    let newest: Option<(i64, String)> = first::<Newest, _>(conn, &[]).await?;
    match newest {
        Some((generation, kid)) if generation == key.generation => return Ok(kid == key.kid),
        Some((generation, _)) if generation + 1 != key.generation => return Ok(false),
        None if key.generation != 1 => return Ok(false),
        _ => {}
    }
    let binds = binds![
        key.generation,
        &key.kid,
        &key.algorithm,
        &key.public_key,
        &key.sealed_key,
        At(key.created_at),
        At(key.signs_from),
    ];
    match execute::<Add>(conn, &binds).await {
        // An empty table has no row to lock: two first keys meet here.
        Err(e) if fault::class(&e) == Class::Duplicate => return Ok(false),
        other => other?,
    };
    execute::<Retire>(conn, &binds![key.generation - 1, At(*previous_retires_at)]).await?;
    execute::<Purge>(conn, &binds![At(key.created_at)]).await?;
    Ok(true)
}

/// Rows that stay as they are don't count as changed, so whether there is one is asked.
async fn retire(conn: &mut Conn, (kid, at): &(String, UnixMillis)) -> DbResult<bool> {
    execute::<RetireBy>(conn, &binds![kid, At(*at)]).await?;
    one::<IsThere, bool>(conn, &binds![kid]).await
}

#[async_trait]
impl KeyStore for MysqlDatabase {
    async fn signing_keys(&self, now: UnixMillis) -> DbResult<Vec<SigningKeyRow>> {
        self.read(now, work!(list)).await
    }

    /// Run again when a commit got lost: the second run finds the key and says so.
    async fn add_signing_key(
        &self,
        key: SigningKeyRow,
        previous_retires_at: UnixMillis,
    ) -> DbResult<bool> {
        self.write(true, &[], (key, previous_retires_at), work!(add))
            .await
    }

    async fn retire_signing_key(&self, kid: &str, at: UnixMillis) -> DbResult<bool> {
        self.write(true, &[], (kid.to_owned(), at), work!(retire))
            .await
    }
}
