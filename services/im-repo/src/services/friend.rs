//! FriendService: friend requests and friends.

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::UserId;
use gochat_core::page::Cursor;
use gochat_infra::port::db::{
    FriendPage, FriendQuery, FriendRequestRow, FriendStatus, NewFriendRequest, RequestQuery,
    RequestSide, Respond,
};
use gochat_proto::im::repo::v1::{friend_service_server::FriendService, *};

use crate::rpc::{failed, serve};
use crate::services::api;
use crate::{args, convert, pages};

/// Longest words of a request, in characters.
const WORDS_MAX: usize = 500;
/// Most friends of a page.
const FRIENDS_MAX: u32 = 1_000;
/// Most requests of a list.
const REQUESTS_MAX: u32 = 100;

api!(
    /// Friends.
    FriendApi
);

serve!(impl FriendService => FriendApi {
    get_user_friends(GetUserFriendsRequest) -> GetUserFriendsResponse;
    create_friend_request(CreateFriendRequestRequest) -> CreateFriendRequestResponse;
    check_existing_friend_request(CheckExistingFriendRequestRequest)
        -> CheckExistingFriendRequestResponse;
    update_friend_request(UpdateFriendRequestRequest) -> UpdateFriendRequestResponse;
    get_user_friend_requests(GetUserFriendRequestsRequest) -> GetUserFriendRequestsResponse;
    get_user_friends_with_sync(GetUserFriendsWithSyncRequest) -> GetUserFriendsWithSyncResponse;
    get_relations(GetRelationsRequest) -> GetRelationsResponse;
    set_blocked(SetBlockedRequest) -> SetBlockedResponse;
    remove_friend(RemoveFriendRequest) -> RemoveFriendResponse;
});

impl FriendApi {
    async fn page(&self, request: &GetUserFriendsRequest) -> Result<FriendPage> {
        let status = match request.status {
            0 | 1 => FriendStatus::Accepted,
            3 => FriendStatus::Blocked,
            _ => {
                return Err(args::invalid(
                    "Only friends (`status` 1) and blocked users (3) can be listed.",
                ));
            }
        };
        let query = FriendQuery {
            user: args::user(&request.user_id, "user_id")?,
            status,
            updated_after: args::changed_since(request.updated_after),
            after: args::user_or_none(&request.after_id, "after_id")?,
            limit: args::limit(request.limit, FRIENDS_MAX, FRIENDS_MAX),
        };
        self.shared.db.friends(query).await.map_err(failed)
    }

    async fn get_user_friends(
        &self,
        request: GetUserFriendsRequest,
    ) -> Result<GetUserFriendsResponse> {
        let page = self.page(&request).await?;
        let (friends, next, _) = bounded(page);
        Ok(GetUserFriendsResponse {
            friends,
            has_more: next.is_some(),
        })
    }

    async fn get_user_friends_with_sync(
        &self,
        request: GetUserFriendsWithSyncRequest,
    ) -> Result<GetUserFriendsWithSyncResponse> {
        let page = self
            .page(&GetUserFriendsRequest {
                user_id: request.user_id,
                status: request.status,
                updated_after: request.updated_after,
                limit: request.limit,
                after_id: request.after_id,
            })
            .await?;
        let (friends, next, removed) = bounded(page);
        Ok(GetUserFriendsWithSyncResponse {
            friends,
            removed_friend_ids: removed.iter().map(ToString::to_string).collect(),
            has_more: next.is_some(),
            next_after_id: next.map(|user| user.to_string()).unwrap_or_default(),
        })
    }

    /// A request with the accounts of both people.
    async fn with_people(&self, row: &FriendRequestRow) -> Result<FriendRequest> {
        let people = self
            .shared
            .users
            .many(&[row.requester_id, row.target_id])
            .await?;
        let mut request = convert::friend_request(row);
        for person in people {
            if person.user.id == request.requester_id {
                request.requester = Some(person.user);
            } else {
                request.target = Some(person.user);
            }
        }
        Ok(request)
    }

    async fn create_friend_request(
        &self,
        request: CreateFriendRequestRequest,
    ) -> Result<CreateFriendRequestResponse> {
        args::optional_text(&request.message, "message", WORDS_MAX)?;
        let new = NewFriendRequest {
            requester: args::user(&request.requester_id, "requester_id")?,
            target: args::user(&request.target_id, "target_id")?,
            id: match request.id.as_str() {
                "" => self.shared.new_request_id()?,
                id => args::request(id)?,
            },
            message: request.message,
            cooldown: args::millis(request.cooldown_s),
            now: self.shared.now(),
        };
        let row = self.shared.db.create_request(new).await.map_err(failed)?;
        Ok(CreateFriendRequestResponse {
            request: Some(self.with_people(&row).await?),
        })
    }

    /// Looks in both directions, first in the one that was asked for.
    async fn check_existing_friend_request(
        &self,
        request: CheckExistingFriendRequestRequest,
    ) -> Result<CheckExistingFriendRequestResponse> {
        let a = args::user(&request.requester_id, "requester_id")?;
        let b = args::user(&request.target_id, "target_id")?;
        let mut found = self.shared.db.request_between(a, b).await.map_err(failed)?;
        if found.is_none() {
            found = self.shared.db.request_between(b, a).await.map_err(failed)?;
        }
        Ok(
            found.map_or_else(Default::default, |row| CheckExistingFriendRequestResponse {
                exists: true,
                status: row.status as i32,
                request_id: row.id.to_string(),
            }),
        )
    }

    async fn update_friend_request(
        &self,
        request: UpdateFriendRequestRequest,
    ) -> Result<UpdateFriendRequestResponse> {
        let accept = match FriendStatus::from_i32(request.status) {
            Some(FriendStatus::Accepted) => true,
            Some(FriendStatus::Rejected | FriendStatus::Blocked) => false,
            _ => {
                return Err(args::invalid(
                    "`status` is 1 accepted, 2 rejected or 3 blocked.",
                ));
            }
        };
        let handler = args::user(&request.handler_id, "handler_id")?;
        let respond = Respond {
            request: args::request(&request.request_id)?,
            handler,
            accept,
            mirror_id: self.shared.new_request_id()?,
            now: self.shared.now(),
        };
        let row = if request.status == FriendStatus::Blocked as i32 {
            self.block(handler, respond).await?
        } else {
            self.shared.db.respond(respond).await.map_err(failed)?
        };
        Ok(UpdateFriendRequestResponse {
            request: Some(self.with_people(&row).await?),
        })
    }

    /// Turns a request down and blocks who made it. Both steps are safe to repeat: after a
    /// failure between them the same call finishes the work.
    async fn block(&self, handler: UserId, respond: Respond) -> Result<FriendRequestRow> {
        let row = self
            .shared
            .db
            .request(respond.request)
            .await
            .map_err(failed)?;
        let row = row
            .filter(|row| !row.mirrored)
            .ok_or(Error::from(ErrorCode::FriendRequestNotFound))?;
        if row.target_id != handler {
            return Err(Error::from(ErrorCode::Forbidden));
        }
        let answered = match row.status {
            FriendStatus::Pending => self.shared.db.respond(respond).await.map_err(failed)?,
            _ => row,
        };
        let (row_id, now) = (respond.mirror_id, respond.now);
        let requester = answered.requester_id;
        let blocked = self
            .shared
            .db
            .set_blocked(handler, requester, true, row_id, now);
        blocked.await.map_err(failed)?;
        Ok(answered)
    }

    async fn get_relations(&self, request: GetRelationsRequest) -> Result<GetRelationsResponse> {
        let user = args::user(&request.user_id, "user_id")?;
        args::batch(request.other_ids.len(), "other_ids")?;
        let others = args::users(&request.other_ids, "other_ids")?;
        let rows = self.shared.db.relations(user, &others).await;
        let rows = rows.map_err(failed)?;
        Ok(GetRelationsResponse {
            relations: rows.iter().map(convert::relation).collect(),
        })
    }

    async fn set_blocked(&self, request: SetBlockedRequest) -> Result<SetBlockedResponse> {
        let user = args::user(&request.user_id, "user_id")?;
        let target = args::user(&request.target_id, "target_id")?;
        let (row_id, now) = (self.shared.new_request_id()?, self.shared.now());
        let done = self
            .shared
            .db
            .set_blocked(user, target, request.blocked, row_id, now);
        Ok(SetBlockedResponse {
            friendship_ended: done.await.map_err(failed)?,
        })
    }

    async fn remove_friend(&self, request: RemoveFriendRequest) -> Result<RemoveFriendResponse> {
        let user = args::user(&request.user_id, "user_id")?;
        let friend = args::user(&request.friend_id, "friend_id")?;
        let now = self.shared.now();
        let ended = self.shared.db.end_friendship(user, friend, now).await;
        Ok(RemoveFriendResponse {
            removed: ended.map_err(failed)?,
        })
    }

    async fn get_user_friend_requests(
        &self,
        request: GetUserFriendRequestsRequest,
    ) -> Result<GetUserFriendRequestsResponse> {
        let user = args::user(&request.user_id, "user_id")?;
        let side = match request.r#type {
            1 => RequestSide::Received,
            2 => RequestSide::Sent,
            _ => return Err(args::invalid("`type` is 1 received or 2 sent.")),
        };
        let status = match request.status {
            None | Some(-1) => None,
            Some(number) => Some(
                FriendStatus::from_i32(number)
                    .ok_or_else(|| args::invalid("`status` is 0, 1, 2 or absent."))?,
            ),
        };
        let query = RequestQuery {
            user,
            side,
            status,
            updated_since: args::millis_or_none(request.updated_after),
            after: pages::request(&request.cursor)?,
            limit: args::limit(request.limit, REQUESTS_MAX, REQUESTS_MAX),
        };
        let page = self.shared.db.requests(query).await.map_err(failed)?;
        let entries = page.requests.iter();
        let mut requests: Vec<_> = entries.map(convert::friend_request_entry).collect();
        let has_more = pages::bound(&mut requests) || page.has_more;
        let last = page.requests[..requests.len()].last();
        let next = last.filter(|_| has_more).map(|last| Cursor::Request {
            at: last.request.updated_at,
            id: last.request.id,
        });
        Ok(GetUserFriendRequestsResponse {
            requests,
            has_more,
            next_cursor: next.map(|next| next.to_string()).unwrap_or_default(),
        })
    }
}

/// A page of friends as it leaves, cut where it is too large: where the next one starts, and who is
/// no friend any more.
fn bounded(page: FriendPage) -> (Vec<Friend>, Option<UserId>, Vec<UserId>) {
    let mut friends: Vec<_> = page.friends.iter().map(convert::friend).collect();
    let (mut next, mut removed) = (page.next, page.removed);
    if pages::bound(&mut friends) {
        next = page.friends[..friends.len()].last().map(|f| f.friend_id);
        removed.retain(|user| next.is_some_and(|next| *user <= next));
    }
    (friends, next, removed)
}
