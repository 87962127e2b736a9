//! Domain events: facts that other services react to.
//!
//! A change is made first and told afterwards. When telling fails for good the change stays:
//! events drive pushes, and clients repair missing pushes by synchronising. The exception is the
//! end of sessions, which must reach the gateways; its failure fails the call.

mod ends;
mod group;

use std::sync::Arc;

use bytes::Bytes;
use gochat_core::error::{Error, Result};
use gochat_core::ids::{ConversationId, SeqId, UserId};
use gochat_core::membership::GroupEvent;
use gochat_core::own_state;
use gochat_core::session::frame::HiddenMessage;
use gochat_infra::port::mq::{Headers, OutRecord, Producer};
use gochat_infra::rpc::with_retry;
use gochat_infra::telemetry;
use gochat_infra::topics;
use gochat_proto::common::v1::{OwnState, User};
use gochat_proto::im::repo::v1::Invitation;
use gochat_proto::mq::v1::{FriendEvent, MessageEvent, NotificationEvent, TokenEvent, UserEvent};
use prost::Message;
use serde_json::{Value, json};

pub(crate) use ends::Ends;
pub(crate) use group::Subject;

use crate::audit::{Act, Audit};
use crate::{clock, trace};

const ATTEMPTS: u32 = 3;
/// Events written in one call.
const EVENTS_BATCH: usize = 500;

/// Publishes events. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Events {
    producer: Arc<dyn Producer>,
    audit: Audit,
}

impl Events {
    pub(crate) fn new(producer: Arc<dyn Producer>, audit: Audit) -> Self {
        Self { producer, audit }
    }

    /// `user.guest.created`
    pub(crate) async fn guest_created(&self, user: &User) {
        let payload = json!({ "username": user.username });
        self.tell(vec![user_event("user.guest.created", &user.id, &payload)])
            .await;
    }

    /// `user.profile.updated`
    pub(crate) async fn profile_updated(&self, user: UserId, old: &User, new: &User) {
        let payload = json!({
            "updated_fields": ["avatar_url"],
            "old_values": { "avatar_url": old.avatar_url },
            "new_values": { "avatar_url": new.avatar_url },
        });
        self.tell(vec![user_event(
            "user.profile.updated",
            &user.to_string(),
            &payload,
        )])
        .await;
    }

    /// `message.read`: the reader's pointer went from `before` to `after`.
    pub(crate) async fn read(
        &self,
        conversation: ConversationId,
        reader: UserId,
        before: SeqId,
        after: SeqId,
    ) {
        let payload = json!({
            "message_id": 0,
            "seq_id": after,
            "previous_seq_id": before,
            "read_at": clock::now_s(),
        });
        self.tell(vec![message_event(
            "message.read",
            conversation,
            reader,
            &payload,
        )])
        .await;
    }

    /// What happened to a conversation.
    pub(crate) async fn conversation(
        &self,
        subject: &Subject<'_>,
        by: UserId,
        events: &[GroupEvent],
    ) {
        for act in events.iter().filter_map(|e| group::act(subject, by, e)) {
            self.audit.note(act);
        }
        self.tell(
            events
                .iter()
                .map(|event| group::record(subject, by, event))
                .collect(),
        )
        .await;
    }

    /// `friend.request.sent`, and `friend.request.new` for the one who was asked.
    pub(crate) async fn friend_asked(
        &self,
        request_id: &str,
        requester: UserId,
        target: UserId,
        message: &str,
    ) {
        let fact = json!({ "request_id": request_id, "message": message });
        let told = json!({
            "request_id": request_id,
            "requester_id": requester.to_string(),
            "message": message,
        });
        let notification = NotificationEvent {
            event_id: event_id(),
            event_type: "friend.request.new".to_owned(),
            timestamp: clock::now_s(),
            target_user_id: target.to_string(),
            conversation_id: String::new(),
            operator_id: requester.to_string(),
            payload: told.to_string(),
        };
        let key = notification.target_user_id.clone();
        self.tell(vec![
            friend_event("friend.request.sent", requester, target, &fact),
            record(
                topics::NOTIFICATIONS,
                "NotificationEvent",
                key,
                &notification,
            ),
        ])
        .await;
    }

    /// `friend.request.accepted` and `friend.added`, or `friend.request.rejected`.
    pub(crate) async fn friend_answered(
        &self,
        request_id: &str,
        requester: UserId,
        target: UserId,
        chat: Option<ConversationId>,
    ) {
        let fact = json!({ "request_id": request_id, "message": "" });
        let events = match chat {
            None => vec![friend_event(
                "friend.request.rejected",
                requester,
                target,
                &fact,
            )],
            Some(chat) => {
                let added = json!({ "conversation_id": chat.to_string() });
                vec![
                    friend_event("friend.request.accepted", requester, target, &fact),
                    friend_event("friend.added", requester, target, &added),
                ]
            }
        };
        self.tell(events).await;
    }

    /// `group.invitation`: each invited user is told.
    pub(crate) async fn invited(&self, invitations: &[Invitation], name: &str) {
        let record = |invitation: &Invitation| {
            let told = json!({
                "invitation_id": invitation.id,
                "name": name,
                "expires_at": invitation.expires_at,
            });
            let event = NotificationEvent {
                event_id: event_id(),
                event_type: "group.invitation".to_owned(),
                timestamp: clock::now_s(),
                target_user_id: invitation.user_id.clone(),
                conversation_id: invitation.conversation_id.clone(),
                operator_id: invitation.inviter_id.clone(),
                payload: told.to_string(),
            };
            let key = invitation.user_id.clone();
            record(topics::NOTIFICATIONS, "NotificationEvent", key, &event)
        };
        self.tell(invitations.iter().map(record).collect()).await;
    }

    /// `conversation.state`: what the user keeps about a conversation alone has changed; the user's
    /// devices are told. Events of one user keep their order.
    pub(crate) async fn own_state(
        &self,
        id: ConversationId,
        user: UserId,
        my: &OwnState,
        hidden: Option<HiddenMessage<'_>>,
    ) {
        let told = json!({ "hidden": hidden });
        self.tell_state(id, user, my, told).await;
    }

    /// The same event: the user has read a version of the announcement.
    pub(crate) async fn announcement_read(
        &self,
        id: ConversationId,
        user: UserId,
        my: &OwnState,
        version: i64,
    ) {
        let told = json!({ "announcement_read": version });
        self.tell_state(id, user, my, told).await;
    }

    async fn tell_state(
        &self,
        id: ConversationId,
        user: UserId,
        my: &OwnState,
        mut payload: Value,
    ) {
        let state = own_state::OwnState {
            mute_until: my.mute_until,
            is_pinned: my.pinned,
            is_archived: my.archived,
            is_marked_unread: my.marked_unread,
            draft: my.draft.clone(),
            cleared_up_to: u64::try_from(my.cleared_up_to).unwrap_or(0),
            hidden_count: my.hidden_count,
            version: u64::try_from(my.version).unwrap_or(0),
        };
        payload["my"] = json!(state);
        let event = NotificationEvent {
            event_id: event_id(),
            event_type: "conversation.state".to_owned(),
            timestamp: clock::now_s(),
            target_user_id: user.to_string(),
            conversation_id: id.to_string(),
            operator_id: user.to_string(),
            payload: payload.to_string(),
        };
        let key = user.to_string();
        self.tell(vec![record(
            topics::NOTIFICATIONS,
            "NotificationEvent",
            key,
            &event,
        )])
        .await;
    }

    /// `group.join.requested`: the admins are told.
    pub(crate) async fn join_asked(&self, group: ConversationId, user: UserId, text: &str) {
        let told = json!({ "message": text });
        let event = NotificationEvent {
            event_id: event_id(),
            event_type: "group.join.requested".to_owned(),
            timestamp: clock::now_s(),
            target_user_id: String::new(),
            conversation_id: group.to_string(),
            operator_id: user.to_string(),
            payload: told.to_string(),
        };
        let key = group.to_string();
        let record = record(topics::NOTIFICATIONS, "NotificationEvent", key, &event);
        self.tell(vec![record]).await;
    }

    /// `group.join.answered`: the asker is told.
    pub(crate) async fn join_answered(
        &self,
        group: ConversationId,
        name: &str,
        asker: UserId,
        by: UserId,
        accepted: bool,
    ) {
        let told = json!({ "name": name, "accepted": accepted });
        let event = NotificationEvent {
            event_id: event_id(),
            event_type: "group.join.answered".to_owned(),
            timestamp: clock::now_s(),
            target_user_id: asker.to_string(),
            conversation_id: group.to_string(),
            operator_id: by.to_string(),
            payload: told.to_string(),
        };
        let key = group.to_string();
        let record = record(topics::NOTIFICATIONS, "NotificationEvent", key, &event);
        self.tell(vec![record]).await;
    }

    /// `friend.removed`: a friendship ended, by the first of the two.
    pub(crate) async fn friend_removed(&self, user: UserId, friend: UserId) {
        let fact = json!({});
        self.tell(vec![friend_event("friend.removed", user, friend, &fact)])
            .await;
    }

    /// `friend.removed`, for every friend of a user.
    pub(crate) async fn friends_removed(&self, user: UserId, friends: &[UserId]) {
        let fact = json!({});
        for some in friends.chunks(EVENTS_BATCH) {
            let event = |friend: &UserId| friend_event("friend.removed", user, *friend, &fact);
            self.tell(some.iter().map(event).collect()).await;
        }
    }

    /// `friend.blocked`: only the user's own devices are told.
    pub(crate) async fn user_blocked(&self, user: UserId, target: UserId) {
        let fact = json!({});
        self.tell(vec![friend_event("friend.blocked", user, target, &fact)])
            .await;
    }

    /// Tells every gateway that sessions of a user have ended, each by its name. Too many to be
    /// named are told as "every token issued until now must be renewed": the row then judges each.
    ///
    /// # Errors
    /// Retryable ones of the log: the caller must not answer as if it had worked.
    pub(crate) async fn sessions_ended(
        &self,
        user: UserId,
        sessions: Vec<String>,
        moment: Ends,
    ) -> Result<()> {
        let events = ends::events(user, &sessions, moment);
        let record = |event: &TokenEvent| {
            let key = user.to_string();
            record(topics::TOKEN_EVENTS, "TokenEvent", key, event)
        };
        let records: Vec<OutRecord> = events.iter().map(record).collect();
        if records.is_empty() {
            return Ok(());
        }
        self.send(records).await
    }

    /// Tells every gateway that tokens which were issued until now must be renewed, whoever holds
    /// them; sockets that such tokens opened are closed.
    ///
    /// # Errors
    /// Retryable ones of the log.
    pub(crate) async fn renew_all_tokens(&self, moment: Ends) -> Result<()> {
        let event = ends::covering_all(String::new(), moment);
        let key = String::new();
        self.send(vec![record(
            topics::TOKEN_EVENTS,
            "TokenEvent",
            key,
            &event,
        )])
        .await
    }

    /// An old refresh token was presented: somebody has copied it. For the audit records only.
    pub(crate) fn refresh_reused(&self, user: UserId, session: &str, address: &str) {
        self.audit.note_refusal(Act {
            actor: String::new(),
            action: "session.reuse",
            target: user.to_string(),
            address: address.to_owned(),
            outcome: gochat_core::error::ErrorCode::InvalidToken.code(),
            detail: Some(json!({ "session": session })),
        });
    }

    /// A refresh was refused because of the state of the account. For the audit records only.
    pub(crate) fn refresh_refused(&self, user: UserId, address: &str, error: &Error) {
        self.audit.note_refusal(Act {
            actor: user.to_string(),
            action: "session.refresh_refused",
            target: user.to_string(),
            address: address.to_owned(),
            outcome: error.code.code(),
            detail: None,
        });
    }

    async fn tell(&self, records: Vec<OutRecord>) {
        let count = records.len() as u64;
        if count == 0 {
            return;
        }
        if let Err(error) = self.send(records).await {
            metrics::counter!("gochat_logic_events_lost_total").increment(count);
            tracing::error!(%error, count, "events could not be published: pushes will be missing");
        }
    }

    async fn send(&self, records: Vec<OutRecord>) -> Result<()> {
        with_retry(ATTEMPTS, || {
            let records = records.clone();
            async {
                self.producer
                    .send(records)
                    .await
                    .map(drop)
                    .map_err(Error::from)
            }
        })
        .await
    }
}

fn event_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// `name` is the event's Protobuf message in package `gochat.mq.v1`.
fn record(topic: &'static str, name: &str, key: String, event: &impl Message) -> OutRecord {
    let headers = Headers::none()
        .with(
            "content-type",
            format!("application/x-protobuf; type=gochat.mq.v1.{name}"),
        )
        .with(
            "X-Trace-ID",
            Bytes::copy_from_slice(trace::current().as_bytes()),
        )
        .with("X-Source", Bytes::from_static(b"im-logic"));
    let headers = match telemetry::current() {
        Some(context) => context.on(headers),
        None => headers,
    };
    OutRecord::new(topic, key, event.encode_to_vec()).with_headers(headers)
}

fn user_event(event_type: &str, user_id: &str, payload: &Value) -> OutRecord {
    let event = UserEvent {
        event_id: event_id(),
        event_type: event_type.to_owned(),
        timestamp: clock::now_s(),
        user_id: user_id.to_owned(),
        payload: payload.to_string(),
    };
    record(topics::USER_EVENTS, "UserEvent", user_id.to_owned(), &event)
}

fn message_event(
    event_type: &str,
    conversation: ConversationId,
    by: UserId,
    payload: &Value,
) -> OutRecord {
    let event = MessageEvent {
        event_id: event_id(),
        event_type: event_type.to_owned(),
        timestamp: clock::now_s(),
        conversation_id: conversation.to_string(),
        operator_id: by.to_string(),
        payload: payload.to_string(),
    };
    record(
        topics::MESSAGE_EVENTS,
        "MessageEvent",
        conversation.to_string(),
        &event,
    )
}

fn friend_event(event_type: &str, user: UserId, friend: UserId, payload: &Value) -> OutRecord {
    let event = FriendEvent {
        event_id: event_id(),
        event_type: event_type.to_owned(),
        timestamp: clock::now_s(),
        user_id: user.to_string(),
        friend_id: friend.to_string(),
        payload: payload.to_string(),
    };
    record(
        topics::FRIEND_EVENTS,
        "FriendEvent",
        user.to_string(),
        &event,
    )
}
