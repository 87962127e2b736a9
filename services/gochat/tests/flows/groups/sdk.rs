//! SDK calls about members of groups, against a server.

use gochat_client::Credentials;
use gochat_client::api::{Api, JoinStatus};
use gochat_core::error::ErrorCode;
use gochat_core::ids::{ConversationId, UserId};
use serde_json::json;

use crate::kit::{PASSWORD, Server, User, now};

fn api(user: &User) -> Api {
    let credentials = Credentials::password(&user.name, PASSWORD);
    Api::new(user.http.base(), credentials).expect("a good address")
}

fn code<T: std::fmt::Debug>(result: gochat_client::Result<T>) -> Option<ErrorCode> {
    let error = result.expect_err("a refusal");
    error.refusal().map(|refusal| refusal.code)
}

#[tokio::test]
async fn the_sdk_mutes_invites_and_answers() {
    let [owner, b, asker] = Server::shared().await.users().await;
    let group = owner.group("by the SDK", &[]).await;
    let settings = json!({"settings": {"group_settings": {"allow_join_requests": true}}});
    owner
        .put(&format!("/conversations/{group}"), settings)
        .await
        .data();
    let id: ConversationId = group.parse().expect("an id");
    let of = |user: &User| user.id.parse::<UserId>().expect("an id");
    let (own, joining, asking) = (api(&owner), api(&b), api(&asker));

    let link = own.create_invitation_link(id, Some(1), None).await;
    let link = link.expect("a link");
    let joined = joining.join_by_link(&link.code).await.expect("joined");
    assert_eq!(joined.conversation.map(|c| c.id), Some(id));
    assert!(!joined.requested);
    assert!(own.invitation_links(id).await.expect("links").is_empty());
    let other = own.create_invitation_link(id, None, Some(now() + 60)).await;
    let other = other.expect("a link").code;
    own.revoke_invitation_link(id, &other)
        .await
        .expect("revoked");
    let refused = asking.join_by_link(&other).await;
    assert_eq!(code(refused), Some(ErrorCode::InvitationNotFound));

    let until = now() + 3_600;
    own.mute_member(id, of(&b), Some(until))
        .await
        .expect("muted");
    let seen = own.members(id, 1, 20).await.expect("members").members;
    let seen = seen.iter().find(|member| member.user_id == of(&b));
    assert_eq!(seen.and_then(|member| member.muted_until), Some(until));
    own.mute_member(id, of(&b), None).await.expect("lifted");

    let made = asking.ask_to_join(id, "please").await.expect("asked");
    let page = own.join_requests(id, None).await.expect("requests");
    assert_eq!((page.requests.len(), page.requests[0].id), (1, made.id));
    own.answer_join_request(id, of(&asker), true)
        .await
        .expect("accepted");
    let answered = asking.join_request(id, of(&asker)).await.expect("one");
    assert_eq!(answered.status, JoinStatus::Accepted);
}
