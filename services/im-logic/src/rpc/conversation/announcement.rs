//! Announcement of a group: what members report of reading it, and who has read it.

use gochat_core::conversation::{Announcement, may_list_announcement_readers};
use gochat_core::error::Result;
use gochat_core::ids::UserId;
use gochat_proto::common::v1 as common;
use gochat_proto::im::logic::v1 as pb;
use gochat_proto::im::repo::v1 as repo;

use super::super::parse;
use crate::app::App;

const LIMIT_DEFAULT: i32 = 50;
const LIMIT_MAX: i32 = 100;

/// `ReadAnnouncement`: members only. Only what changed is told to the user's devices.
pub(super) async fn read(
    app: &App,
    request: pb::ReadAnnouncementRequest,
) -> Result<pb::ReadAnnouncementResponse> {
    let user = parse::user(&request.user_id)?;
    let id = parse::conversation(&request.conversation_id)?;
    app.repo.facts(id, &[user]).await?.readable_by(user)?;
    let seen = repo::ReadAnnouncementRequest {
        user_id: user.to_string(),
        conversation_id: id.to_string(),
        version: request.version,
    };
    let done = app.repo.read_announcement(seen).await?;
    if let Some(my) = &done.my {
        let version = done.version;
        app.events.announcement_read(id, user, my, version).await;
    }
    Ok(pb::ReadAnnouncementResponse {
        version: done.version,
        read: done.read,
    })
}

/// `ListAnnouncementReaders`: by whom [`may_list_announcement_readers`] lets.
pub(super) async fn readers(
    app: &App,
    request: pb::ListAnnouncementReadersRequest,
) -> Result<pb::ListAnnouncementReadersResponse> {
    let user = parse::user(&request.user_id)?;
    let id = parse::conversation(&request.conversation_id)?;
    let facts = app.repo.facts(id, &[user]).await?;
    let standing = facts.readable_by(user)?;
    may_list_announcement_readers(standing, facts.group.member_count)?;
    let query = repo::ListAnnouncementReadersRequest {
        conversation_id: id.to_string(),
        cursor: request.cursor,
        limit: parse::page(1, request.limit, LIMIT_DEFAULT, LIMIT_MAX).1,
    };
    let page = app.repo.announcement_readers(query).await?;
    let reader = |reader: repo::AnnouncementReader| pb::Reader {
        user_id: reader.user_id,
        read_at: reader.read_at,
    };
    Ok(pb::ListAnnouncementReadersResponse {
        version: page.version,
        readers: page.readers.into_iter().map(reader).collect(),
        next_cursor: page.next_cursor,
    })
}

/// Completes an announcement with what `user` and the other members have read of it.
pub(super) fn with_reads(
    shown: &mut common::Announcement,
    user: UserId,
    reads: &repo::GetReadPointerResponse,
) {
    let number = |number: i64| u64::try_from(number).unwrap_or(0);
    let announcement = Announcement {
        version: number(shown.version),
        by: shown.operator_id.parse().ok(),
        ..Announcement::default()
    };
    let stored = number(reads.announcement_read_version);
    shown.read = Some(announcement.is_read_by(user, stored));
    shown.read_count = Some(reads.announcement_readers);
}
