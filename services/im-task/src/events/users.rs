//! `user.online`, `user.offline` → friends; `user.away` → the count-down.

use gochat_core::audience::Friends;
use gochat_core::session::frame::OnlineStatus;
use gochat_core::signal::Signal;
use gochat_proto::im::repo::v1::GetUserFriendsRequest;
use serde::Deserialize;

use super::event::Event;
use super::{Events, Reaction};
use crate::repo::LOOKUP;

/// Status of a confirmed friendship.
const FRIENDS: i32 = 1;

#[derive(Deserialize)]
struct Offline {
    #[serde(default)]
    last_seen: i64,
}

#[derive(Deserialize)]
struct Gone {
    delay_ms: u64,
}

impl Events {
    pub(super) fn went_away(&self, event: &Event) -> Reaction {
        let gone: Gone = event.payload()?;
        self.away
            .note(&event.user_id, event.timestamp, gone.delay_ms);
        Ok(())
    }

    pub(super) async fn status_changed(&self, event: &Event) -> Reaction {
        let online = event.kind == "user.online";
        let last_seen = match online {
            true => None,
            false => Some(event.payload::<Offline>()?.last_seen),
        };
        let payload = OnlineStatus {
            user_id: event.user_id.as_str().into(),
            status: if online { "online" } else { "offline" }.into(),
            last_seen: last_seen.map(|at| if at == 0 { event.timestamp } else { at }),
        };
        let mut after_id = String::new();
        loop {
            let request = GetUserFriendsRequest {
                user_id: event.user_id.clone(),
                status: FRIENDS,
                limit: LOOKUP as i32,
                after_id,
                ..Default::default()
            };
            let page = self.repo.friends(request).await?;
            let ids = page.friends.iter().map(|friend| friend.friend_id.parse());
            let friends = Friends::loaded(ids.filter_map(Result::ok)).everyone();
            self.tell(event, Signal::FriendStatusChanged, &payload, &friends)
                .await?;
            match friends.users().last() {
                Some(last) if page.has_more => after_id = last.to_string(),
                _ => return Ok(()),
            }
        }
    }
}
