//! Who has read announcements. Loads, lets `gochat_core::conversation::Announcement` judge, and
//! writes.

use async_trait::async_trait;
use gochat_core::error::ErrorCode;
use gochat_core::ids::{ConversationId, UnixMillis, UserId};

use super::MysqlDatabase;
use super::conversations::existing;
use super::query::{At, Conn, binds, execute, first, one, rows, statements};
use super::run::work;
use crate::port::db::{
    AnnouncementOutcome, AnnouncementPage, AnnouncementQuery, AnnouncementReader,
    AnnouncementReads, AnnouncementStore, DbError, DbResult, MAX_PAGE,
};
use crate::sql::groups::refused;
use crate::sql::pages::cut;
use crate::sql::text::Statement as _;

statements! {
    // Held until the commit: reports of one member take turns, and none is stored of somebody who
    // is removed meanwhile.
    IsMember = "SELECT 1 FROM conversation_members \
         WHERE user_id = ?2 AND conversation_id = ?1 FOR UPDATE";
    Stored = "SELECT version FROM announcement_reads WHERE user_id = ?2 AND conversation_id = ?1";
    Put = "INSERT INTO announcement_reads (user_id, conversation_id, version, read_at) \
           VALUES (?2, ?1, ?3, ?4) \
           ON DUPLICATE KEY UPDATE version = VALUES(version), read_at = VALUES(read_at)";
    Drop = "DELETE FROM announcement_reads WHERE user_id = ?2 AND conversation_id = ?1";
    Reads = "SELECT COALESCE((SELECT r.version FROM announcement_reads r \
                  WHERE r.user_id = ?2 AND r.conversation_id = ?1), 0), \
             (SELECT COUNT(*) FROM announcement_reads n FORCE INDEX (idx_announcement_readers) \
                  WHERE n.conversation_id = ?1 AND n.version = ?3)";
    // A comparison of rows would not bound the index.
    Readers = "SELECT r.user_id, r.read_at \
         FROM announcement_reads r FORCE INDEX (idx_announcement_readers) \
         WHERE r.conversation_id = ?1 AND r.version = ?2 AND r.read_at >= ?3 \
              AND (r.read_at > ?3 OR r.user_id > ?4) \
         ORDER BY r.read_at, r.user_id LIMIT ?5";
}

async fn read(
    conn: &mut Conn,
    &(id, user, seen, now): &(ConversationId, UserId, u64, UnixMillis),
) -> DbResult<AnnouncementOutcome> {
    let member: Option<i64> = first::<IsMember, _>(conn, &binds![id, user]).await?;
    let announcement = existing(conn, id).await?.announcement;
    member.ok_or_else(|| DbError::not_found(ErrorCode::NotConversationMember))?;
    let stored: Option<u64> = first::<Stored, _>(conn, &binds![id, user]).await?;
    let stored = stored.unwrap_or(0);
    let next = announcement.read(user, stored, seen).map_err(refused)?;
    if let Some(next) = next {
        execute::<Put>(conn, &binds![id, user, next, At(now)]).await?;
    }
    let version = next.unwrap_or(stored);
    Ok(AnnouncementOutcome {
        version,
        is_read: announcement.is_read_by(user, version),
        changed: next.is_some(),
    })
}

/// Forgets what a user has read, who leaves.
pub(super) async fn forget(conn: &mut Conn, id: ConversationId, user: UserId) -> DbResult<()> {
    execute::<Drop>(conn, &binds![id, user]).await.map(drop)
}

async fn reads(
    conn: &mut Conn,
    &(id, user, version): &(ConversationId, UserId, u64),
) -> DbResult<AnnouncementReads> {
    one::<Reads, _>(conn, &binds![id, user, version]).await
}

async fn readers(conn: &mut Conn, query: &AnnouncementQuery) -> DbResult<AnnouncementPage> {
    let limit = query.limit.min(MAX_PAGE);
    let (at, user) = query.after.map_or((0, 0), |(at, user)| (at, user.get()));
    let binds = binds![query.conversation, query.version, At(at), user, limit + 1];
    let mut readers: Vec<AnnouncementReader> = rows::<Readers, _>(conn, &binds).await?;
    Ok(AnnouncementPage {
        has_more: cut(&mut readers, limit),
        readers,
    })
}

/// The statements that read, each with the table and the index that it must go by, for tests that
/// look at their plans.
#[doc(hidden)]
pub fn announcement_statements() -> [(&'static str, &'static str, &'static str); 2] {
    [
        (Reads::TEXT, "n", "idx_announcement_readers"),
        (Readers::TEXT, "r", "idx_announcement_readers"),
    ]
}

#[async_trait]
impl AnnouncementStore for MysqlDatabase {
    async fn read_announcement(
        &self,
        conversation: ConversationId,
        user: UserId,
        version: u64,
        now: UnixMillis,
    ) -> DbResult<AnnouncementOutcome> {
        // A second run after a lost commit would say that nothing changed, and no device would be
        // told.
        let args = (conversation, user, version, now);
        self.write(false, &[], args, work!(read)).await
    }

    async fn announcement_reads(
        &self,
        conversation: ConversationId,
        user: UserId,
        version: u64,
    ) -> DbResult<AnnouncementReads> {
        self.read((conversation, user, version), work!(reads)).await
    }

    async fn announcement_readers(&self, query: AnnouncementQuery) -> DbResult<AnnouncementPage> {
        self.read(query, work!(readers)).await
    }
}
