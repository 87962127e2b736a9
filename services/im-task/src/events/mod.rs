//! Reactions to domain events: who has to be told what.
//!
//! An event is a fact somebody else has finished; here it becomes a signal for the users it concerns. Offsets are
//! committed after the push calls. Events that come again are dropped by their id; one that slips through (another
//! instance, a restart) only repeats a signal, and signals are idempotent for clients.
//!
//! Member changes are told from `notifications` only; the same facts on `conversation-events` are for others.

mod conversations;
mod event;
mod friends;
mod groups;
mod messages;
mod seen;
mod users;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use gochat_core::audience::{Audience, Roster};
use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::ConversationId;
use gochat_core::signal::Signal;
use gochat_infra::port::mq::{Batch, InRecord, OutRecord};
use gochat_infra::telemetry::{self, Context, Kind, Span};
use gochat_infra::topics::TASK_EVENTS_GROUP;
use gochat_proto::common::v1::Conversation;
use gochat_proto::im::repo::v1::BatchGetConversationsRequest;
use parking_lot::Mutex;
use serde::Serialize;

use self::event::Event;
use self::seen::Seen;
use crate::away::Away;
use crate::config::Events as Config;
use crate::push::Notice;
use crate::repo::{LOOKUP, Repo, roster_of_page};
use crate::signals::Signals;
use crate::worker::{Done, Handler};
use crate::{dead_letter, metrics};

/// Turns events into signals.
pub(crate) struct Events {
    repo: Repo,
    signals: Signals,
    away: Arc<Away>,
    config: Config,
    seen: Mutex<Seen>,
}

/// Why a reaction did not happen.
#[derive(Debug)]
enum Failure {
    /// Something is away.
    Later(Error),
    /// The event makes no sense.
    Never(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if error.is_retryable() {
            Self::Later(error)
        } else {
            Self::Never(error.to_string())
        }
    }
}

type Reaction = std::result::Result<(), Failure>;

impl Events {
    pub(crate) fn new(repo: Repo, signals: Signals, away: Arc<Away>, config: Config) -> Self {
        let seen = Mutex::new(Seen::new(config.remembered));
        Self {
            repo,
            signals,
            away,
            config,
            seen,
        }
    }

    /// Works off the events of one partition in order; gives the dead letters.
    async fn partition(&self, batch: &Batch) -> Result<Vec<OutRecord>> {
        let mut dead = Vec::new();
        for record in &batch.records {
            let outcome = match Event::decode(&batch.tp.topic, &record.record) {
                Ok(event) => self.traced(record, &event).await,
                Err(reason) => Err(Failure::Never(reason)),
            };
            match outcome {
                Ok(()) => {}
                Err(Failure::Later(error)) => return Err(error),
                Err(Failure::Never(reason)) => {
                    dead.push(dead_letter::record(
                        TASK_EVENTS_GROUP,
                        &batch.tp,
                        record,
                        &reason,
                        1,
                    ));
                }
            }
        }
        Ok(dead)
    }

    /// Reacts, under a span of its own when what caused the event is traced.
    async fn traced(&self, record: &InRecord, event: &Event) -> Reaction {
        let Some(parent) = Context::of(&record.record.headers) else {
            return self.once(event).await;
        };
        let mut span = Span::child(parent, "event", Kind::Consumer);
        span.set("gochat.event", event.kind.clone());
        telemetry::within(Some(span.context()), self.once(event)).await?;
        span.end();
        Ok(())
    }

    /// Reacts unless this event was reacted to before.
    async fn once(&self, event: &Event) -> Reaction {
        if self.seen.lock().contains(&event.id) {
            metrics::consumed(&event.kind, "repeat", 1);
            return Ok(());
        }
        self.react(event).await?;
        self.seen.lock().insert(event.id.clone());
        Ok(())
    }

    async fn react(&self, event: &Event) -> Reaction {
        match event.kind.as_str() {
            "user.online" | "user.offline" => self.status_changed(event).await,
            "user.away" => self.went_away(event),
            "message.read" => self.read(event).await,
            "message.recalled" => self.recalled(event).await,
            "group.member.joined" => self.joined(event).await,
            "group.member.left" | "group.member.removed" => self.gone(event).await,
            "conversation.member.role.updated" => self.role_changed(event).await,
            "conversation.member.mute.updated" => self.muted(event).await,
            "conversation.created" => self.created(event).await,
            "conversation.info.updated" => self.info_updated(event).await,
            "conversation.invited" | "group.invited" => self.invited(event).await,
            "group.invitation" => self.invitation(event).await,
            "conversation.state" => self.own_state_changed(event).await,
            "group.join.requested" => self.join_requested(event).await,
            "group.join.answered" => self.join_answered(event).await,
            "group.announcement" => self.announced(event).await,
            "friend.request.sent" => self.friend_requested(event).await,
            "friend.added" => self.friend_added(event).await,
            "friend.removed" => self.friend_removed(event).await,
            "friend.blocked" => self.user_blocked(event).await,
            // Facts nobody is told about, among them those that are told from another topic.
            _ => Ok(()),
        }
    }

    /// One conversation; `None` when it is gone.
    async fn conversation(&self, id: &str) -> Result<Option<Conversation>> {
        let request = BatchGetConversationsRequest {
            conversation_ids: vec![id.to_owned()],
        };
        Ok(self
            .repo
            .conversations(request)
            .await?
            .conversations
            .into_iter()
            .next())
    }

    /// Tells an audience.
    async fn tell(
        &self,
        event: &Event,
        signal: Signal,
        payload: &impl Serialize,
        audience: &Audience,
    ) -> Reaction {
        let notice = notice(event, signal, payload);
        Ok(self.signals.call(&notice, audience).await?)
    }

    /// Tells one user, at all devices, about the user's own affairs.
    async fn tell_own(
        &self,
        event: &Event,
        signal: Signal,
        payload: &impl Serialize,
        user: &str,
    ) -> Reaction {
        let user = user
            .parse()
            .map_err(|_| Failure::Never("names no user".to_owned()))?;
        self.tell(event, signal, payload, &Audience::own(user))
            .await
    }

    /// Tells all members; everybody, when it is about the world chat.
    async fn tell_members(
        &self,
        event: &Event,
        signal: Signal,
        payload: &impl Serialize,
        conversation_id: &str,
    ) -> Reaction {
        let notice = notice(event, signal, payload);
        match conversation_id.parse() {
            Err(_) => return Err(Failure::Never("names no conversation".to_owned())),
            Ok(ConversationId::World) => {
                return Ok(self.signals.broadcast(&notice, conversation_id).await?);
            }
            Ok(ConversationId::Single(a, b)) => {
                let both = Roster::pair(a, b).everyone();
                return Ok(self.signals.call(&notice, &both).await?);
            }
            Ok(ConversationId::Group(_)) => {}
        }
        let size = self.config.members_page.clamp(1, LOOKUP as u32);
        let mut after = String::new();
        loop {
            let page = match self.repo.page(conversation_id, &after, size).await {
                Err(error) if is_gone(&error) => return Ok(()),
                page => page?,
            };
            let audience = roster_of_page(&page).everyone();
            // A group of several pages is told by records: its gateways would be called page after page.
            if page.has_more || !after.is_empty() {
                self.signals
                    .write(&notice, conversation_id, &audience)
                    .await?;
            } else {
                self.signals.call(&notice, &audience).await?;
            }
            match audience.users().last() {
                Some(last) if page.has_more => after = last.to_string(),
                _ => return Ok(()),
            }
        }
    }
}

#[async_trait]
impl Handler for Events {
    /// Partitions side by side, events of one partition one after the other.
    async fn handle(&mut self, batches: &[Batch]) -> Result<Done> {
        let this = &*self;
        let dead = try_join_all(batches.iter().map(|batch| this.partition(batch))).await?;
        let dead: Vec<OutRecord> = dead.into_iter().flatten().collect();
        Ok(dead.into())
    }
}

fn notice(event: &Event, signal: Signal, payload: &impl Serialize) -> Notice {
    Notice {
        signal,
        payload: serde_json::to_vec(payload)
            .expect("plain structs written to memory can't fail")
            .into(),
        trace_id: event.trace_id.clone(),
        timestamp: event.timestamp,
    }
}

/// Whether an error says that the subject of an event does not exist any more.
fn is_gone(error: &Error) -> bool {
    use ErrorCode::{ConversationDissolved, ConversationNotFound, NotFound, UserNotFound};
    matches!(
        error.code,
        NotFound | ConversationNotFound | ConversationDissolved | UserNotFound
    )
}
