//! Who has read the announcement of a group.

use gochat_core::error::{ErrorCode, Result};
use gochat_infra::port::db::{AnnouncementQuery, MAX_PAGE};
use gochat_proto::im::repo::v1::*;

use super::ConversationApi;
use crate::rpc::failed;
use crate::{args, convert, pages};

/// Readers of a page when the caller names no number.
const PAGE: u32 = 50;

impl ConversationApi {
    pub(super) async fn read_announcement(
        &self,
        request: ReadAnnouncementRequest,
    ) -> Result<ReadAnnouncementResponse> {
        let user = args::user(&request.user_id, "user_id")?;
        let id = args::conversation(&request.conversation_id)?;
        let version = args::seq(request.version, "version")?;
        let now = self.shared.now();
        let db = &self.shared.db;
        let done = db.read_announcement(id, user, version, now).await;
        let done = done.map_err(failed)?;
        let my = match done.changed {
            true => Some(self.own_state(id, user).await?),
            false => None,
        };
        Ok(ReadAnnouncementResponse {
            version: convert::wide(done.version),
            read: done.is_read,
            changed: done.changed,
            my,
        })
    }

    /// A page of the readers of a text that was replaced meanwhile is refused: they are to be asked
    /// for anew.
    pub(super) async fn list_announcement_readers(
        &self,
        request: ListAnnouncementReadersRequest,
    ) -> Result<ListAnnouncementReadersResponse> {
        let id = args::conversation(&request.conversation_id)?;
        let start = pages::reader(&request.cursor)?;
        let (conversation, _) = self.shared.conversations.one(id).await?;
        let Some(announcement) = conversation.announcement else {
            return Ok(ListAnnouncementReadersResponse::default());
        };
        let version = args::version(announcement.version);
        if start.is_some_and(|(of, ..)| of != version) {
            return Err(ErrorCode::VersionConflict.into());
        }
        let query = AnnouncementQuery {
            conversation: id,
            version,
            after: start.map(|(_, at, user)| (at, user)),
            limit: args::limit(request.limit, PAGE, MAX_PAGE),
        };
        let page = self.shared.db.announcement_readers(query).await;
        let page = page.map_err(failed)?;
        let last = page.readers.last().filter(|_| page.has_more);
        let next = last.map(|last| pages::after_reader(version, last.read_at, last.user));
        let readers = page.readers.iter().map(|reader| AnnouncementReader {
            user_id: reader.user.to_string(),
            read_at: convert::seconds(reader.read_at),
        });
        Ok(ListAnnouncementReadersResponse {
            version: announcement.version,
            readers: readers.collect(),
            next_cursor: next.unwrap_or_default(),
        })
    }
}
