//! Who has read announcements. Loads, lets `gochat_core::conversation::Announcement` judge, and
//! writes.

use async_trait::async_trait;
use diesel::sqlite::SqliteConnection;
use gochat_core::error::ErrorCode;
use gochat_core::ids::{ConversationId, UnixMillis, UserId};

use super::SqliteDatabase;
use super::conversations::existing;
use super::query::{binds, execute, first, one, rows, statements};
use crate::port::db::{
    AnnouncementOutcome, AnnouncementPage, AnnouncementQuery, AnnouncementReader,
    AnnouncementReads, AnnouncementStore, DbError, DbResult, MAX_PAGE,
};
use crate::sql::groups::refused;
use crate::sql::pages::cut;

/// `?1` conversation, `?2` version, `?3` time and `?4` user of the reader before the page, `?5` rows.
macro_rules! readers {
    () => {
        "SELECT r.user_id, r.read_at FROM announcement_reads r \
         WHERE r.conversation_id = ?1 AND r.version = ?2 AND (r.read_at, r.user_id) > (?3, ?4) \
         ORDER BY r.read_at, r.user_id LIMIT 0 + ?5"
    };
}

/// `?1` conversation, `?3` version.
macro_rules! count {
    () => {
        "SELECT count(*) FROM announcement_reads n WHERE n.conversation_id = ?1 AND n.version = ?3"
    };
}

statements! {
    IsMember = "SELECT 1 FROM conversation_members WHERE user_id = ?2 AND conversation_id = ?1";
    Stored = "SELECT version FROM announcement_reads WHERE user_id = ?2 AND conversation_id = ?1";
    Put = "INSERT INTO announcement_reads (user_id, conversation_id, version, read_at) \
           VALUES (?2, ?1, ?3, ?4) \
           ON CONFLICT DO UPDATE SET version = excluded.version, read_at = excluded.read_at";
    Drop = "DELETE FROM announcement_reads WHERE user_id = ?2 AND conversation_id = ?1";
    // ?2 user
    Reads = concat!(
        "SELECT coalesce((SELECT r.version FROM announcement_reads r \
              WHERE r.user_id = ?2 AND r.conversation_id = ?1), 0), (", count!(), ")"
    );
    Readers = readers!();
}

fn read(
    conn: &mut SqliteConnection,
    id: ConversationId,
    user: UserId,
    seen: u64,
    now: UnixMillis,
) -> DbResult<AnnouncementOutcome> {
    let announcement = existing(conn, id)?.announcement;
    let member: Option<i64> = first::<IsMember, _>(conn, &binds![id, user])?;
    member.ok_or_else(|| DbError::not_found(ErrorCode::NotConversationMember))?;
    let stored: Option<u64> = first::<Stored, _>(conn, &binds![id, user])?;
    let stored = stored.unwrap_or(0);
    let next = announcement.read(user, stored, seen).map_err(refused)?;
    if let Some(next) = next {
        execute::<Put>(conn, &binds![id, user, next, now])?;
    }
    let version = next.unwrap_or(stored);
    Ok(AnnouncementOutcome {
        version,
        is_read: announcement.is_read_by(user, version),
        changed: next.is_some(),
    })
}

/// Forgets what a user has read, who leaves.
pub(super) fn forget(
    conn: &mut SqliteConnection,
    id: ConversationId,
    user: UserId,
) -> DbResult<()> {
    execute::<Drop>(conn, &binds![id, user]).map(drop)
}

fn readers(conn: &mut SqliteConnection, query: &AnnouncementQuery) -> DbResult<AnnouncementPage> {
    let limit = query.limit.min(MAX_PAGE);
    let (at, user) = query.after.map_or((0, 0), |(at, user)| (at, user.get()));
    let binds = binds![query.conversation, query.version, at, user, limit + 1];
    let mut readers: Vec<AnnouncementReader> = rows::<Readers, _>(conn, &binds)?;
    Ok(AnnouncementPage {
        has_more: cut(&mut readers, limit),
        readers,
    })
}

#[async_trait]
impl AnnouncementStore for SqliteDatabase {
    async fn read_announcement(
        &self,
        conversation: ConversationId,
        user: UserId,
        version: u64,
        now: UnixMillis,
    ) -> DbResult<AnnouncementOutcome> {
        self.write(1, move |conn| read(conn, conversation, user, version, now))
            .await
    }

    async fn announcement_reads(
        &self,
        conversation: ConversationId,
        user: UserId,
        version: u64,
    ) -> DbResult<AnnouncementReads> {
        self.read(move |conn| one::<Reads, _>(conn, &binds![conversation, user, version]))
            .await
    }

    async fn announcement_readers(&self, query: AnnouncementQuery) -> DbResult<AnnouncementPage> {
        self.read(move |conn| readers(conn, &query)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::sqlite::plan::plan;

    statements! {
        PlanOfCount = concat!("EXPLAIN QUERY PLAN ", count!());
        PlanOfReaders = concat!("EXPLAIN QUERY PLAN ", readers!());
    }

    /// Cost must grow neither with other groups nor with readers of other versions.
    #[test]
    fn readers_are_counted_and_paged_by_one_index() {
        let index =
            "USING COVERING INDEX idx_announcement_readers (conversation_id=? AND version=?";
        plan::<PlanOfCount>(&binds!["g_1", 1_i64, 2_i64], index);
        plan::<PlanOfReaders>(&binds!["g_1", 2_i64, 5_i64, 1_i64, 51_i64], index);
    }
}
