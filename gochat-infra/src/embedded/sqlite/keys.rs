//! Signing keys.

use async_trait::async_trait;
use diesel::sqlite::SqliteConnection;
use gochat_core::ids::UnixMillis;

use super::SqliteDatabase;
use super::query::{binds, execute, first, rows, statements};
use crate::port::db::{DbResult, KeyStore, SigningKeyRow};

statements! {
    List = "SELECT generation, kid, algorithm, public_key, sealed_key, created_at, signs_from, \
            retires_at FROM signing_keys WHERE retires_at IS NULL OR retires_at > ?1 \
            ORDER BY generation";
    Newest = "SELECT generation, kid FROM signing_keys ORDER BY generation DESC LIMIT 1";
    Add = "INSERT INTO signing_keys (generation, kid, algorithm, public_key, sealed_key, \
           created_at, signs_from) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    Retire = "UPDATE signing_keys SET retires_at = ?2 WHERE generation = ?1";
    RetireBy = "UPDATE signing_keys SET retires_at = min(ifnull(retires_at, ?2), ?2) WHERE kid = ?1";
    Purge = "DELETE FROM signing_keys WHERE retires_at <= ?1";
}

fn add(
    conn: &mut SqliteConnection,
    key: &SigningKeyRow,
    previous_retires_at: UnixMillis,
) -> DbResult<bool> {
    let newest: Option<(i64, String)> = first::<Newest, _>(conn, &[])?;
    match newest {
        Some((generation, kid)) if generation == key.generation => return Ok(kid == key.kid),
        Some((generation, _)) if generation + 1 != key.generation => return Ok(false),
        None if key.generation != 1 => return Ok(false),
        _ => {}
    }
    execute::<Add>(
        conn,
        &binds![
            key.generation,
            &key.kid,
            &key.algorithm,
            &key.public_key,
            &key.sealed_key,
            key.created_at,
            key.signs_from,
        ],
    )?;
    execute::<Retire>(conn, &binds![key.generation - 1, previous_retires_at])?;
    execute::<Purge>(conn, &binds![key.created_at])?;
    Ok(true)
}

#[async_trait]
impl KeyStore for SqliteDatabase {
    async fn signing_keys(&self, now: UnixMillis) -> DbResult<Vec<SigningKeyRow>> {
        self.read(move |conn| rows::<List, _>(conn, &binds![now]))
            .await
    }

    async fn add_signing_key(
        &self,
        key: SigningKeyRow,
        previous_retires_at: UnixMillis,
    ) -> DbResult<bool> {
        self.write(3, move |conn| add(conn, &key, previous_retires_at))
            .await
    }

    async fn retire_signing_key(&self, kid: &str, at: UnixMillis) -> DbResult<bool> {
        let kid = kid.to_owned();
        self.write(1, move |conn| {
            Ok(execute::<RetireBy>(conn, &binds![&kid, at])? > 0)
        })
        .await
    }
}
