//! What all parts of a gateway share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use gochat_core::error::Error;
use gochat_core::ids::{ConnId, ConversationId, SeqId, UserId};
use gochat_core::session::machine::{CloseCode, Rules};
use gochat_core::session::wire;
use gochat_infra::port::mq::Mq;
use gochat_proto::common::v1::User;
use gochat_proto::im::logic::v1::{GetProfileRequest, MarkAsReadRequest};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::TaskTracker;

use crate::backend::Backend;
use crate::broadcast::Broadcasts;
use crate::config::Config;
use crate::frames;
use crate::groups::Groups;
use crate::health::Health;
use crate::limits::Limits;
use crate::metrics as names;
use crate::peers::Peers;
use crate::presence::Presence;
use crate::reactions::Reactions;
use crate::recents::Recents;
use crate::revocations::Revocations;
use crate::tokens::Verifier;
use crate::told::{Numbers, Told};
use crate::turns::Turns;
use crate::typing::Typing;
use crate::upstream::Queued;
use crate::waiters::Waiters;
use crate::ws::backlog::Backlog;
use crate::ws::conn::{Conn, QueueLimits, Sent};
use crate::ws::io::HeldBytes;
use crate::ws::table::Table;

/// The shared state, as every part holds it.
pub(crate) type Gw = Arc<Shared>;

/// See [`Gw`].
pub(crate) struct Shared {
    pub(crate) id: Arc<str>,
    pub(crate) config: Config,
    pub(crate) ws_rules: Rules,
    pub(crate) ws_limits: wire::Limits,
    pub(crate) queue: QueueLimits,
    /// Bytes that wait for slow readers.
    pub(crate) backlog: Arc<Backlog>,
    pub(crate) mq: Arc<dyn Mq>,
    pub(crate) peers: Arc<dyn Peers>,
    pub(crate) backend: Backend,
    pub(crate) verifier: Verifier,
    pub(crate) revocations: Revocations,
    pub(crate) limits: Limits,
    pub(crate) table: Table,
    pub(crate) broadcasts: Broadcasts,
    pub(crate) recents: Recents,
    pub(crate) groups: Groups,
    /// Reactions that are told together.
    pub(crate) reactions: Reactions,
    /// Numbers users were told of that may not be stored yet.
    pub(crate) told: Told,
    /// Where numbered pages of lists ended.
    pub(crate) turns: Turns,
    /// Hashes conversation ids to numbers that connections remember.
    pub(crate) conversations: ahash::RandomState,
    pub(crate) held_bytes: HeldBytes,
    pub(crate) presence: Presence,
    pub(crate) typing: Typing,
    pub(crate) waiters: Waiters,
    /// Room for messages that are read to be passed on.
    pub(crate) forwards: Semaphore,
    pub(crate) upstream: mpsc::Sender<Queued>,
    pub(crate) upstream_topic: Arc<str>,
    pub(crate) health: Health,
    /// Connection tasks: a stop waits for them.
    pub(crate) conn_tasks: TaskTracker,
    pub(crate) reads: Arc<Semaphore>,
    /// The lowest connection id of this run; those of earlier runs are lower.
    pub(crate) first_conn_id: ConnId,
    pub(crate) next_conn_id: AtomicU64,
    /// Connections whose close frame is out; see the sweeper.
    pub(crate) closing: Mutex<Vec<Weak<Conn>>>,
}

impl Shared {
    /// A connection id no earlier run of this instance has used: they begin at the time of the start.
    pub(crate) fn new_conn_id(&self) -> ConnId {
        self.next_conn_id.fetch_add(1, Ordering::Relaxed)
    }

    /// A conversation as a number other than 0.
    pub(crate) fn hash_of(&self, conversation: &str) -> u64 {
        self.conversations.hash_one(conversation) | 1
    }

    /// The highest number of a conversation that a read must reach: what this gateway told somebody
    /// lately, or what the reader says; 0 = none.
    pub(crate) fn told_of(&self, conversation: ConversationId, said: Option<i64>) -> i64 {
        let hash = self.hash_of(&conversation.to_string());
        self.told.head(hash).seq.max(said.unwrap_or(0))
    }

    /// The same for the `rev` of messages and changes.
    pub(crate) fn told_rev_of(&self, conversation: ConversationId, said: Option<i64>) -> i64 {
        let hash = self.hash_of(&conversation.to_string());
        self.told.head(hash).rev.max(said.unwrap_or(0))
    }

    /// The same for changes alone: what shows messages shows them as they are since then.
    pub(crate) fn told_change_of(&self, conversation: ConversationId) -> i64 {
        let hash = self.hash_of(&conversation.to_string());
        self.told.head(hash).changed
    }

    /// Notes that a user was answered with a change of a conversation.
    pub(crate) fn note_change(&self, conversation: ConversationId, seq: i64, rev: i64) {
        let id = conversation.to_string();
        let numbers = Numbers {
            seq,
            rev,
            changed: rev,
        };
        self.told.note(self.hash_of(&id), &id, numbers);
    }

    /// Conversations with the numbers that the list of a user must reach: of what this gateway
    /// acknowledged or pushed to the user, what may not be stored yet.
    pub(crate) fn told_to(&self, user: UserId) -> Vec<(ConversationId, Numbers)> {
        let mut pushed = self.table.with_user(user, |conns| {
            let pushed = conns.iter().flat_map(|conn| conn.pushed());
            pushed.collect::<Vec<u64>>()
        });
        // Everybody is pushed the world chat, and no connection remembers it.
        pushed.push(self.hash_of(&ConversationId::World.to_string()));
        self.told.to_user(user, pushed)
    }

    /// Whether the connections of a user had this message lately: alone, or with a group.
    pub(crate) fn had(&self, user: UserId, message: i64) -> bool {
        self.recents.has(user, message) || self.groups.has(user, message)
    }

    /// Sends a frame to one connection; false when it is closing.
    pub(crate) fn send(&self, conn: &Arc<Conn>, frame: &Bytes) -> bool {
        let sent = conn.send(frame, self.queue);
        if sent == Sent::Overflow {
            self.note_overflow(conn);
        }
        sent == Sent::Accepted
    }

    /// A connection's queue ran over and it is closing.
    pub(crate) fn note_overflow(&self, conn: &Arc<Conn>) {
        names::dropped("overflow", 1);
        names::count(names::WS_CLOSED, "reason", "overflow");
        tracing::debug!(conn = conn.id(), user = %conn.user(), "closing a slow consumer");
        self.see_off(conn);
    }

    /// Closes a connection.
    pub(crate) fn close(&self, conn: &Arc<Conn>, code: CloseCode, reason: &'static str) {
        self.close_with(conn, code, None, reason);
    }

    /// Closes a connection after a last frame.
    pub(crate) fn close_with(
        &self,
        conn: &Arc<Conn>,
        code: CloseCode,
        last_words: Option<&Bytes>,
        reason: &'static str,
    ) {
        if conn.close(code, last_words) {
            names::count(names::WS_CLOSED, "reason", reason);
            self.see_off(conn);
        }
    }

    /// A connection says goodbye: nobody finds it any more, the sweeper sees that it goes.
    fn see_off(&self, conn: &Arc<Conn>) {
        self.retire(conn);
        self.closing.lock().push(Arc::downgrade(conn));
    }

    /// Forgets a connection here and in presence; once.
    pub(crate) fn retire(&self, conn: &Conn) {
        if conn.retire() {
            self.table.remove(conn);
            self.presence.leave(conn.user(), conn.id(), conn.gone());
        }
    }

    /// The profile of a user.
    ///
    /// # Errors
    /// What im-logic refused with.
    pub(crate) async fn profile(&self, user: UserId, trace: &str) -> Result<User, Error> {
        let request = GetProfileRequest {
            user_id: user.to_string(),
        };
        let call = self.backend.read(
            &self.backend.friends,
            trace,
            request,
            |mut c, r| async move { c.get_profile(r).await },
        );
        Ok(call.await?.user.unwrap_or_default())
    }
}

/// Handles a `mark-read` frame: no answer on success. Beyond the bound a mark is refused; the client's
/// next one covers it, because pointers only move forward.
pub(crate) fn mark_read(gw: &Gw, conn: &Arc<Conn>, conversation: ConversationId, seq: SeqId) {
    let Ok(permit) = Arc::clone(&gw.reads).try_acquire_owned() else {
        let busy = gochat_core::error::ErrorCode::ServiceUnavailable.into();
        gw.send(conn, &frames::error(&busy, None));
        return;
    };
    let (gw, conn) = (gw.clone(), conn.clone());
    tokio::spawn(async move {
        let request = MarkAsReadRequest {
            user_id: conn.user().to_string(),
            conversation_id: conversation.to_string(),
            seq_id: i64::try_from(seq).unwrap_or(i64::MAX),
            at_least_seq_id: gw.told_of(conversation, None),
        };
        let trace = crate::upstream::new_trace();
        let clients = &gw.backend.conversations;
        let call = gw
            .backend
            .read(clients, &trace, request, |mut c, r| async move {
                c.mark_as_read(r).await
            });
        if let Err(error) = call.await {
            gw.send(&conn, &frames::error(&error, None));
        }
        drop(permit);
    });
}
