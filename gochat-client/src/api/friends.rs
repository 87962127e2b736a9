//! Friends and requests for friendship.

use gochat_core::ids::{RequestId, UserId};
use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::{Api, Friend, FriendRequest, NO_BODY, Nothing};
use crate::Result;

/// Which requests to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// Those of others.
    Received,
    /// One's own.
    Sent,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Friends {
    friends: Vec<Friend>,
    next_cursor: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Blocked {
    blocked: Vec<Friend>,
    next_cursor: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Requests {
    requests: Vec<FriendRequest>,
    next_cursor: Option<String>,
}

impl Api {
    /// The user's friends, read page by page.
    pub async fn friends(&self) -> Result<Vec<Friend>> {
        let mut friends = Vec::new();
        let mut path = "/friends".to_owned();
        loop {
            let page = self.get::<Friends>(&path).await?;
            friends.extend(page.friends);
            match page.next_cursor {
                Some(cursor) => path = format!("/friends?cursor={cursor}"),
                None => return Ok(friends),
            }
        }
    }

    /// Pending requests, read page by page.
    pub async fn friend_requests(&self, kind: RequestKind) -> Result<Vec<FriendRequest>> {
        let kind = match kind {
            RequestKind::Received => "received",
            RequestKind::Sent => "sent",
        };
        let first = format!("/friends/requests?type={kind}&status=0");
        let (mut requests, mut path) = (Vec::new(), first.clone());
        loop {
            let page = self.get::<Requests>(&path).await?;
            requests.extend(page.requests);
            match page.next_cursor {
                Some(cursor) => path = format!("{first}&cursor={cursor}"),
                None => return Ok(requests),
            }
        }
    }

    /// Asks for friendship.
    pub async fn request_friend(&self, user: UserId, message: &str) -> Result<()> {
        let body = json!({ "targetUserId": user, "message": message });
        self.call::<Nothing>(Method::POST, "/friends/requests", Some(&body))
            .await
            .map(drop)
    }

    /// Ends a friendship; the chat of the two stays.
    pub async fn remove_friend(&self, user: UserId) -> Result<()> {
        let path = format!("/friends/{user}");
        self.call::<Nothing>(Method::DELETE, &path, NO_BODY)
            .await
            .map(drop)
    }

    /// Blocks a user: neither side reaches the other any more, and a friendship ends.
    pub async fn block_user(&self, user: UserId) -> Result<()> {
        let path = format!("/friends/{user}/block");
        self.call::<Nothing>(Method::POST, &path, NO_BODY)
            .await
            .map(drop)
    }

    /// The users whom the user blocked, read page by page.
    pub async fn blocked_users(&self) -> Result<Vec<Friend>> {
        let mut blocked = Vec::new();
        let mut path = "/friends/blocked".to_owned();
        loop {
            let page = self.get::<Blocked>(&path).await?;
            blocked.extend(page.blocked);
            match page.next_cursor {
                Some(cursor) => path = format!("/friends/blocked?cursor={cursor}"),
                None => return Ok(blocked),
            }
        }
    }

    /// Lifts a block of the user's own.
    pub async fn unblock_user(&self, user: UserId) -> Result<()> {
        let path = format!("/friends/{user}/block");
        self.call::<Nothing>(Method::DELETE, &path, NO_BODY)
            .await
            .map(drop)
    }

    /// Accepts or rejects a request.
    pub async fn answer_friend(&self, request: RequestId, accept: bool) -> Result<()> {
        let body = json!({ "action": if accept { "accept" } else { "reject" } });
        let path = format!("/friends/requests/{request}");
        self.call::<Nothing>(Method::PUT, &path, Some(&body))
            .await
            .map(drop)
    }
}
