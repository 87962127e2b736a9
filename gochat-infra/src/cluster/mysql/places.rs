//! Known places.

use async_trait::async_trait;
use gochat_core::ids::{UnixMillis, UserId};

use super::MysqlDatabase;
use super::query::{At, Conn, binds, execute, first, statements};
use super::run::work;
use crate::port::db::{DbResult, PLACES_PER_USER, PlaceStore};

statements! {
    Get = "SELECT seen_at FROM known_places WHERE user_id = ?1 AND place = ?2 AND seen_at > ?3";
    Note = "INSERT INTO known_places (user_id, place, seen_at) VALUES (?1, ?2, ?3) \
            ON DUPLICATE KEY UPDATE seen_at = GREATEST(seen_at, VALUES(seen_at))";
    Trim = "DELETE FROM known_places WHERE user_id = ?1 AND place NOT IN \
            (SELECT place FROM (SELECT place FROM known_places WHERE user_id = ?1 \
             ORDER BY seen_at DESC, place LIMIT ?2) AS kept)";
    Purge = "DELETE FROM known_places WHERE seen_at <= ?1 ORDER BY seen_at LIMIT ?2";
}

async fn known(
    conn: &mut Conn,
    (user, places, since): &(UserId, Vec<String>, UnixMillis),
) -> DbResult<Vec<(String, UnixMillis)>> {
    let mut known = Vec::new();
    for place in places.iter().take(PLACES_PER_USER as usize) {
        let seen = first::<Get, UnixMillis>(conn, &binds![*user, place, At(*since)]).await?;
        known.extend(seen.map(|at| (place.clone(), at)));
    }
    Ok(known)
}

async fn note(conn: &mut Conn, (user, place, now): &(UserId, String, UnixMillis)) -> DbResult<()> {
    execute::<Note>(conn, &binds![*user, place, At(*now)]).await?;
    let done = execute::<Trim>(conn, &binds![*user, PLACES_PER_USER]).await;
    done.map(|_| ())
}

async fn purge(conn: &mut Conn, &(before, limit): &(UnixMillis, u32)) -> DbResult<u64> {
    let gone = execute::<Purge>(conn, &binds![At(before), limit]).await?;
    Ok(gone as u64)
}

#[async_trait]
impl PlaceStore for MysqlDatabase {
    async fn known_places(
        &self,
        user: UserId,
        places: Vec<String>,
        since: UnixMillis,
    ) -> DbResult<Vec<(String, UnixMillis)>> {
        self.read((user, places, since), work!(known)).await
    }

    async fn note_place(&self, user: UserId, place: &str, now: UnixMillis) -> DbResult<()> {
        self.write(true, &[], (user, place.to_owned(), now), work!(note))
            .await
    }

    async fn purge_places(&self, before: UnixMillis, limit: u32) -> DbResult<u64> {
        self.write(false, &[], (before, limit), work!(purge)).await
    }
}
