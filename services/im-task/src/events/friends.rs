//! `friend.request.sent` → the one who was asked; `friend.added`, `friend.removed` → both;
//! `friend.blocked` → own devices.

use gochat_core::session::frame::{FriendAdded, FriendRemoved, FriendRequest, User};
use gochat_core::signal::Signal;
use gochat_proto::common::v1::User as Account;
use gochat_proto::im::repo::v1::GetUsersRequest;
use serde::Deserialize;

use super::event::Event;
use super::{Events, Failure, Reaction};

#[derive(Deserialize)]
struct Requested {
    request_id: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct Added {
    #[serde(default)]
    conversation_id: String,
}

impl Events {
    pub(super) async fn friend_requested(&self, event: &Event) -> Reaction {
        let Requested {
            request_id,
            message,
        } = event.payload()?;
        let [requester, _] = self.both(event).await?;
        let Some(requester) = requester else {
            return Ok(());
        };
        let payload = FriendRequest {
            request_id: request_id.into(),
            requester_id: event.user_id.as_str().into(),
            requester: user(&requester),
            message: message.into(),
            created_at: event.timestamp,
        };
        self.tell_own(
            event,
            Signal::FriendRequestReceived,
            &payload,
            &event.friend_id,
        )
        .await
    }

    /// Each side is told about the other.
    pub(super) async fn friend_added(&self, event: &Event) -> Reaction {
        let Added { conversation_id } = event.payload()?;
        let [one, other] = self.both(event).await?;
        for (teller, told) in [(&one, &event.friend_id), (&other, &event.user_id)] {
            let Some(friend) = teller else { continue };
            let payload = FriendAdded {
                friend_id: friend.id.as_str().into(),
                friend: user(friend),
                conversation_id: conversation_id.as_str().into(),
            };
            self.tell_own(event, Signal::FriendAdded, &payload, told)
                .await?;
        }
        Ok(())
    }

    /// Each side is told that the other is no friend any more.
    pub(super) async fn friend_removed(&self, event: &Event) -> Reaction {
        let sides = [
            (&event.user_id, &event.friend_id),
            (&event.friend_id, &event.user_id),
        ];
        for (told, other) in sides {
            let payload = FriendRemoved {
                friend_id: other.as_str().into(),
                blocked: false,
            };
            self.tell_own(event, Signal::FriendRemoved, &payload, told)
                .await?;
        }
        Ok(())
    }

    /// The devices of the one who blocked; the other side hears nothing.
    pub(super) async fn user_blocked(&self, event: &Event) -> Reaction {
        let payload = FriendRemoved {
            friend_id: event.friend_id.as_str().into(),
            blocked: true,
        };
        self.tell_own(event, Signal::FriendRemoved, &payload, &event.user_id)
            .await
    }

    /// The two users of an event, as far as they still exist.
    async fn both(&self, event: &Event) -> Result<[Option<Account>; 2], Failure> {
        let request = GetUsersRequest {
            user_ids: vec![event.user_id.clone(), event.friend_id.clone()],
        };
        let mut users = self.repo.users(request).await?.users;
        let mut take = |id: &str| {
            let at = users.iter().position(|user| user.id == id)?;
            Some(users.swap_remove(at))
        };
        Ok([take(&event.user_id), take(&event.friend_id)])
    }
}

/// An account as other users see it.
pub(super) fn user(account: &Account) -> User<'_> {
    User {
        id: account.id.as_str().into(),
        username: account.username.as_str().into(),
        avatar_url: (!account.avatar_url.is_empty()).then(|| account.avatar_url.as_str().into()),
        is_guest: account.is_guest,
        created_at: account.created_at,
    }
}
