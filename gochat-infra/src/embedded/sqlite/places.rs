//! Known places.

use async_trait::async_trait;
use gochat_core::ids::{UnixMillis, UserId};

use super::SqliteDatabase;
use super::query::{binds, execute, first, statements};
use crate::port::db::{DbResult, PLACES_PER_USER, PlaceStore};

statements! {
    Get = "SELECT seen_at FROM known_places WHERE user_id = ?1 AND place = ?2 AND seen_at > ?3";
    Note = "INSERT INTO known_places (user_id, place, seen_at) VALUES (?1, ?2, ?3) \
            ON CONFLICT DO UPDATE SET seen_at = max(known_places.seen_at, excluded.seen_at)";
    Trim = "DELETE FROM known_places WHERE user_id = ?1 AND place NOT IN \
            (SELECT place FROM known_places WHERE user_id = ?1 \
             ORDER BY seen_at DESC, place LIMIT 0 + ?2)";
    Purge = "DELETE FROM known_places WHERE (user_id, place) IN \
             (SELECT user_id, place FROM known_places WHERE seen_at <= ?1 LIMIT 0 + ?2)";
}

#[async_trait]
impl PlaceStore for SqliteDatabase {
    async fn known_places(
        &self,
        user: UserId,
        places: Vec<String>,
        since: UnixMillis,
    ) -> DbResult<Vec<(String, UnixMillis)>> {
        self.read(move |conn| {
            let mut known = Vec::new();
            for place in places.into_iter().take(PLACES_PER_USER as usize) {
                let seen = first::<Get, UnixMillis>(conn, &binds![user, &place, since])?;
                known.extend(seen.map(|at| (place, at)));
            }
            Ok(known)
        })
        .await
    }

    async fn note_place(&self, user: UserId, place: &str, now: UnixMillis) -> DbResult<()> {
        let place = place.to_owned();
        self.write(1, move |conn| {
            execute::<Note>(conn, &binds![user, &place, now])?;
            execute::<Trim>(conn, &binds![user, PLACES_PER_USER]).map(|_| ())
        })
        .await
    }

    async fn purge_places(&self, before: UnixMillis, limit: u32) -> DbResult<u64> {
        self.write(limit as usize, move |conn| {
            execute::<Purge>(conn, &binds![before, limit]).map(|gone| gone as u64)
        })
        .await
    }
}
