//! `FriendService`: friends, friend requests, profiles.

use gochat_core::account::check_avatar_url;
use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::friendship::{Answer, Asking, Pair, Status, decide_request};
use gochat_core::ids::{ConversationId, RequestId, UserId};
use gochat_core::text;
use gochat_proto::common::v1::{Conversation, User};
use gochat_proto::im::logic::v1 as pb;
use gochat_proto::im::repo::v1 as repo;
use hashbrown::HashSet;
use pb::friend_service_server::FriendService;

use super::conversation::create::single;
use super::parse;
use crate::app::App;
use crate::clock;
use crate::repo::{People, person, present};

/// Friends one call to im-repo answers.
const FRIENDS_BATCH: i32 = 1_000;
const REQUESTS_LISTED: i32 = 100;
const SEARCH_DEFAULT: i32 = 10;
const SEARCH_MAX: i32 = 20;
/// Shortest query in characters: one letter is the beginning of too many names.
const SEARCH_MIN_CHARS: usize = 2;

super::service! {
    /// What users do with other users.
    FriendService {
        send_friend_request(SendFriendRequestRequest) -> SendFriendRequestResponse = ask;
        handle_friend_request(HandleFriendRequestRequest) -> HandleFriendRequestResponse = answer;
        get_friends(GetFriendsRequest) -> GetFriendsResponse = friends;
        get_friends_with_sync(GetFriendsWithSyncRequest) -> GetFriendsWithSyncResponse = sync;
        get_friend_requests(GetFriendRequestsRequest) -> GetFriendRequestsResponse = requests;
        search_users(SearchUsersRequest) -> SearchUsersResponse = search;
        block_user(BlockUserRequest) -> BlockUserResponse = block;
        get_blocked_users(GetBlockedUsersRequest) -> GetBlockedUsersResponse = blocked;
        remove_friend(RemoveFriendRequest) -> RemoveFriendResponse = remove;
        update_profile(UpdateProfileRequest) -> UpdateProfileResponse = update_profile;
        get_profile(GetProfileRequest) -> GetProfileResponse = profile;
    }
}

async fn ask(
    app: &App,
    mut request: pb::SendFriendRequestRequest,
) -> Result<pb::SendFriendRequestResponse> {
    request.message = text::optional(request.message);
    let requester = parse::user(&request.requester_id)?;
    let target = parse::user(&request.target_id)?;
    let people = app.repo.people(&[requester, target]).await?;
    let pair = match requester == target {
        true => Pair::default(),
        false => app.repo.relation(requester, target).await?,
    };
    let cooldown_s = app.limits.request_cooldown_s;
    let asking = Asking {
        now: clock::now_ms(),
        cooldown: cooldown_s.saturating_mul(1_000),
    };
    decide_request(
        person(requester, &people),
        person(target, &people),
        &request.message,
        pair,
        asking,
    )?;
    app.budgets.friend_request(requester, target).await?;
    let write = repo::CreateFriendRequestRequest {
        requester_id: requester.to_string(),
        target_id: target.to_string(),
        message: request.message.clone(),
        id: String::new(),
        cooldown_s: i64::try_from(cooldown_s).unwrap_or(i64::MAX),
    };
    // Judged again where it is written, so that two who ask each other at once make one request.
    let stored = present(app.repo.create_request(write).await?.request)?;
    app.events
        .friend_asked(&stored.id, requester, target, &request.message)
        .await;
    Ok(pb::SendFriendRequestResponse {
        request: Some(with_accounts(stored, &people)),
    })
}

async fn answer(
    app: &App,
    request: pb::HandleFriendRequestRequest,
) -> Result<pb::HandleFriendRequestResponse> {
    let handler = parse::user(&request.handler_id)?;
    let id: RequestId = request.request_id.parse().map_err(|_| {
        Error::new(
            ErrorCode::InvalidParams,
            "A request id is a decimal number.",
        )
    })?;
    let answer = Answer::from_i32(request.action)
        .ok_or_else(|| Error::new(ErrorCode::InvalidParams, "The action is 1 or 2."))?;
    let account = app.repo.registered(handler).await?;
    let write = repo::UpdateFriendRequestRequest {
        request_id: id.to_string(),
        status: answer.status() as i32,
        handler_id: handler.to_string(),
    };
    let stored = present(app.repo.answer_request(write).await?.request)?;
    let requester = parse::user(&stored.requester_id).map_err(|_| ErrorCode::Internal)?;
    let chat = match answer {
        Answer::Accept => chat_of_friends(app, handler, &account, requester).await,
        Answer::Reject => None,
    };
    let accepted = chat_id(answer, handler, requester);
    app.events
        .friend_answered(&stored.id, requester, handler, accepted)
        .await;
    let people = app.repo.people(&[requester, handler]).await?;
    Ok(pb::HandleFriendRequestResponse {
        request: Some(with_accounts(stored, &people)),
        conversation: chat,
    })
}

fn chat_id(answer: Answer, one: UserId, other: UserId) -> Option<ConversationId> {
    match answer {
        Answer::Accept => ConversationId::single(one, other),
        Answer::Reject => None,
    }
}

/// New friends get a chat. They are friends even if it can't be opened right now: either side
/// opens the same chat later.
async fn chat_of_friends(
    app: &App,
    handler: UserId,
    account: &User,
    requester: UserId,
) -> Option<Conversation> {
    match single(app, handler, account, requester).await {
        Ok((conversation, _)) => Some(conversation),
        Err(error) => {
            tracing::warn!(%error, "the chat of new friends could not be opened");
            None
        }
    }
}

/// `GetFriends`: the first page of `GetFriendsWithSync`, which has the others.
async fn friends(app: &App, request: pb::GetFriendsRequest) -> Result<pb::GetFriendsResponse> {
    let first = pb::GetFriendsWithSyncRequest {
        user_id: request.user_id,
        last_sync_time: request.last_sync_time,
        include_online_status: request.include_online_status,
        cursor: String::new(),
        limit: 0,
    };
    let page = sync(app, first).await?;
    Ok(pb::GetFriendsResponse {
        friends: page.friends,
        has_more: page.has_more,
        next_cursor: page.next_cursor,
    })
}

async fn sync(
    app: &App,
    request: pb::GetFriendsWithSyncRequest,
) -> Result<pb::GetFriendsWithSyncResponse> {
    let user = parse::user(&request.user_id)?;
    app.repo.registered(user).await?;
    let query = repo::GetUserFriendsWithSyncRequest {
        user_id: user.to_string(),
        status: Status::Accepted as i32,
        updated_after: request.last_sync_time.max(0),
        limit: parse::page(1, request.limit, FRIENDS_BATCH, FRIENDS_BATCH).1,
        after_id: parse::after_user(&request.cursor)?,
    };
    let sync_time = parse::sync_time();
    let page = app.repo.get_friends(query).await?;
    Ok(pb::GetFriendsWithSyncResponse {
        friends: with_people(app, user, page.friends, request.include_online_status).await?,
        removed_friend_ids: page.removed_friend_ids,
        has_more: page.has_more,
        next_cursor: parse::cursor_after(&page.next_after_id),
        sync_time,
    })
}

/// The users whom a user blocked. Nobody learns by it who blocked the user.
async fn blocked(
    app: &App,
    request: pb::GetBlockedUsersRequest,
) -> Result<pb::GetBlockedUsersResponse> {
    let user = parse::user(&request.user_id)?;
    app.repo.registered(user).await?;
    let query = repo::GetUserFriendsWithSyncRequest {
        user_id: user.to_string(),
        status: Status::Blocked as i32,
        limit: parse::page(1, request.limit, FRIENDS_BATCH, FRIENDS_BATCH).1,
        after_id: parse::after_user(&request.cursor)?,
        ..Default::default()
    };
    let page = app.repo.get_friends(query).await?;
    Ok(pb::GetBlockedUsersResponse {
        users: with_people(app, user, page.friends, false).await?,
        has_more: page.has_more,
        next_cursor: parse::cursor_after(&page.next_after_id),
    })
}

async fn with_people(
    app: &App,
    user: UserId,
    rows: Vec<repo::Friend>,
    with_online: bool,
) -> Result<Vec<pb::Friend>> {
    let ids: Vec<UserId> = rows
        .iter()
        .filter_map(|row| row.friend_id.parse().ok())
        .collect();
    let people = app.repo.people(&ids).await?;
    let online = match with_online {
        // The list is worth having without the lamps.
        true => app.repo.online_among(&ids).await.unwrap_or_default(),
        false => HashSet::new(),
    };
    let friend = |row: repo::Friend| {
        let id: Option<UserId> = row.friend_id.parse().ok();
        pb::Friend {
            user_id: user.to_string(),
            status: row.status,
            created_at: row.created_at,
            updated_at: row.updated_at,
            friend: id.and_then(|id| people.get(&id)).cloned(),
            online: id.is_some_and(|id| online.contains(&id)),
            friend_id: row.friend_id,
        }
    };
    Ok(rows.into_iter().map(friend).collect())
}

async fn requests(
    app: &App,
    request: pb::GetFriendRequestsRequest,
) -> Result<pb::GetFriendRequestsResponse> {
    let user = parse::user(&request.user_id)?;
    app.repo.registered(user).await?;
    let query = repo::GetUserFriendRequestsRequest {
        user_id: user.to_string(),
        r#type: if request.r#type == 2 { 2 } else { 1 },
        status: request.status.filter(|status| *status >= 0),
        limit: parse::page(1, request.limit, REQUESTS_LISTED, REQUESTS_LISTED).1,
        cursor: request.cursor,
        updated_after: request.last_sync_time.max(0),
    };
    let sync_time = parse::sync_time();
    let page = app.repo.get_requests(query).await?;
    let nobody = People::new();
    let requests = page.requests.into_iter();
    Ok(pb::GetFriendRequestsResponse {
        requests: requests.map(|r| with_accounts(r, &nobody)).collect(),
        has_more: page.has_more,
        next_cursor: page.next_cursor,
        sync_time,
    })
}

/// Adds the accounts that im-repo left out.
fn with_accounts(stored: repo::FriendRequest, people: &People) -> pb::FriendRequest {
    let account = |text: &str| {
        text.parse()
            .ok()
            .and_then(|id: UserId| people.get(&id).cloned())
    };
    pb::FriendRequest {
        requester: stored.requester.or_else(|| account(&stored.requester_id)),
        target: stored.target.or_else(|| account(&stored.target_id)),
        id: stored.id,
        requester_id: stored.requester_id,
        target_id: stored.target_id,
        status: stored.status,
        message: stored.message,
        created_at: stored.created_at,
        updated_at: stored.updated_at,
    }
}

async fn search(app: &App, request: pb::SearchUsersRequest) -> Result<pb::SearchUsersResponse> {
    let user = parse::user(&request.user_id)?;
    app.repo.registered(user).await?;
    check_query(request.query.trim())?;
    app.budgets.search(user).await?;
    if text::is_blank(&request.query) {
        return Err(ErrorCode::MissingQuery.into());
    }
    let query = repo::SearchUsersByUsernameRequest {
        query: text::username_key(request.query.trim()),
        limit: parse::page(1, request.limit, SEARCH_DEFAULT, SEARCH_MAX).1,
        exclude_user_id: user.to_string(),
        include_guests: false,
        cursor: request.cursor,
    };
    let page = app.repo.search_users(query).await?;
    Ok(pb::SearchUsersResponse {
        users: page.users,
        has_more: !page.next_cursor.is_empty(),
        next_cursor: page.next_cursor,
    })
}

/// Blocks a user or lifts the block. Once it is answered, the sequencer refuses what either of the
/// two writes in their chat.
async fn block(app: &App, request: pb::BlockUserRequest) -> Result<pb::BlockUserResponse> {
    let user = parse::user(&request.user_id)?;
    let target = parse::user(&request.target_id)?;
    app.repo.registered(user).await?;
    let Some(chat) = ConversationId::single(user, target) else {
        return Err(Error::new(
            ErrorCode::InvalidParams,
            "You can't block yourself.",
        ));
    };
    // Accounts that are disabled or deleted may be blocked: they may come back.
    app.repo.user(target).await?;
    let write = repo::SetBlockedRequest {
        user_id: user.to_string(),
        target_id: target.to_string(),
        blocked: request.blocked,
    };
    let ended = app.repo.set_blocked(write).await?.friendship_ended;
    let tell = async {
        if ended {
            app.events.friend_removed(user, target).await;
        }
        if request.blocked {
            app.events.user_blocked(user, target).await;
        }
    };
    let (announced, ()) = tokio::join!(app.facts.announce(chat), tell);
    announced?;
    Ok(pb::BlockUserResponse { success: true })
}

/// Ends a friendship. The chat of the two stays.
async fn remove(app: &App, request: pb::RemoveFriendRequest) -> Result<pb::RemoveFriendResponse> {
    let user = parse::user(&request.user_id)?;
    let friend = parse::user(&request.friend_id)?;
    app.repo.registered(user).await?;
    let write = repo::RemoveFriendRequest {
        user_id: user.to_string(),
        friend_id: friend.to_string(),
    };
    if !app.repo.remove_friend(write).await?.removed {
        return Err(ErrorCode::NotFriends.into());
    }
    app.events.friend_removed(user, friend).await;
    Ok(pb::RemoveFriendResponse { success: true })
}

/// A query by which few enough names are found.
fn check_query(query: &str) -> Result<()> {
    match query.chars().count() {
        0 => Err(ErrorCode::MissingQuery.into()),
        1..SEARCH_MIN_CHARS => Err(Error::new(
            ErrorCode::InvalidParams,
            "A search takes at least 2 characters.",
        )),
        _ => Ok(()),
    }
}

async fn update_profile(
    app: &App,
    request: pb::UpdateProfileRequest,
) -> Result<pb::UpdateProfileResponse> {
    let user = parse::user(&request.user_id)?;
    let before = app.repo.registered(user).await?;
    let names = ["avatar_url", "avatarUrl"];
    let wanted = parse::masked(&request.update_mask, &names, &request.avatar_url);
    // What changes nothing isn't written, and so not judged with the write.
    if request
        .expected_version
        .is_some_and(|seen| seen != before.version)
    {
        return Err(ErrorCode::VersionConflict.into());
    }
    let avatar_url = wanted.filter(|url| *url != before.avatar_url);
    let added_by = request
        .added_by
        .filter(|setting| *setting != before.added_by);
    if avatar_url.is_none() && added_by.is_none() {
        return Ok(pb::UpdateProfileResponse { user: Some(before) });
    }
    check_avatar_url(avatar_url.as_deref().unwrap_or_default())?;
    let mask = avatar_url.iter().map(|_| "avatar_url".to_owned());
    let mut update_mask: Vec<_> = mask.collect();
    if added_by.is_some() {
        update_mask.push("added_by".to_owned());
    }
    let write = repo::UpdateUserRequest {
        user_id: user.to_string(),
        avatar_url: avatar_url.unwrap_or_default(),
        update_mask,
        expected_version: request.expected_version,
        added_by,
        ..Default::default()
    };
    let after = present(app.repo.update_user(write).await?.user)?;
    app.events.profile_updated(user, &before, &after).await;
    Ok(pb::UpdateProfileResponse { user: Some(after) })
}

async fn profile(app: &App, request: pb::GetProfileRequest) -> Result<pb::GetProfileResponse> {
    let user = app.repo.user(parse::user(&request.user_id)?).await?;
    Ok(pb::GetProfileResponse { user: Some(user) })
}
