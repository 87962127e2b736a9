//! Messages for the members of a group, as the sequencer lists them: those of them who are
//! connected here get them.
//!
//! One task writes them, so that an acknowledgement never waits behind thousands of sockets.
//! Messages of one group that wait are written to each connection in one call. What waits is
//! bounded by the sockets it has to be written to; beyond the bound the reader of the log waits,
//! and with it the authors.
//!
//! The last seconds of it are remembered for connections that are registering meanwhile: once for
//! the whole group, not for each member ([`crate::recents`] asks here as well).

mod memory;
mod run;

use std::sync::Arc;

use bytes::Bytes;
use gochat_core::audience::{Audience, Roster};
use gochat_core::ids::{ConnId, UserId};
use gochat_infra::telemetry::Span;
use hashbrown::HashMap;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, mpsc};

use crate::config::Replay;
use crate::recents::About;
use memory::Memory;

pub(crate) use run::run;

/// Messages that may wait, however small their groups are.
const MESSAGES_MAX: usize = 1_024;
/// Messages that may wait however large their groups are, so that several can be written in one
/// call.
const MESSAGES_MIN: usize = 8;
/// Members whom messages may wait for beyond that.
const DELIVERIES_MAX: usize = 16_384;
/// Groups whose list of members is kept to be shared by their messages.
const LISTS: usize = 256;

/// A frame for the members of a group, or for some users behind such frames.
#[derive(Debug, Clone)]
pub(crate) struct Push {
    pub(crate) about: About,
    /// Pushed once more because it may have been missed.
    pub(crate) again: bool,
    pub(crate) frame: Bytes,
    /// The connection it came from; 0 = none.
    pub(crate) skip: ConnId,
    pub(crate) audience: Arc<Audience>,
}

/// A push with the span that ends when it is written.
type Item = (Push, Option<Span>);

/// Where pushes wait.
pub(crate) type Queue = mpsc::Receiver<Item>;

/// The queue of pushes and the memory of recent ones.
pub(crate) struct Groups {
    queue: mpsc::Sender<Item>,
    waiting: Mutex<Waiting>,
    /// Told when something was written.
    room: Notify,
    memory: Mutex<Memory>,
    /// Lists of members of recent messages, by conversation.
    lists: Mutex<HashMap<u64, Arc<Audience>>>,
}

/// Numbers of queued pushes that are not written yet.
#[derive(Debug, Default)]
struct Waiting {
    messages: usize,
    deliveries: usize,
    by_conversation: HashMap<u64, usize>,
}

impl Waiting {
    const fn has_room(&self) -> bool {
        self.messages < MESSAGES_MIN
            || self.messages < MESSAGES_MAX && self.deliveries < DELIVERIES_MAX
    }

    fn add(&mut self, push: &Push) {
        self.messages += 1;
        self.deliveries += push.audience.users().len();
        *self
            .by_conversation
            .entry(push.about.conversation)
            .or_default() += 1;
    }

    fn remove(&mut self, push: &Push) {
        self.messages -= 1;
        self.deliveries -= push.audience.users().len();
        let conversation = push.about.conversation;
        if let Some(count) = self.by_conversation.get_mut(&conversation) {
            *count -= 1;
            if *count == 0 {
                self.by_conversation.remove(&conversation);
            }
        }
    }
}

impl Groups {
    pub(crate) fn new(limits: &Replay) -> (Self, Queue) {
        let (queue, rx) = mpsc::channel(MESSAGES_MAX);
        let groups = Self {
            queue,
            waiting: Mutex::default(),
            room: Notify::new(),
            memory: Mutex::new(Memory::new(limits)),
            lists: Mutex::default(),
        };
        (groups, rx)
    }

    /// The members that the sequencer lists, shared with the messages of the group before.
    pub(crate) fn members(&self, conversation: u64, ids: &[u64]) -> Arc<Audience> {
        let mut lists = self.lists.lock();
        if let Some(known) = lists.get(&conversation)
            && known
                .users()
                .iter()
                .map(|user| user.get())
                .eq(ids.iter().copied())
        {
            return Arc::clone(known);
        }
        if lists.len() >= LISTS {
            lists.clear();
        }
        let roster = Roster::loaded(ids.iter().filter_map(|id| UserId::new(*id)));
        let audience = Arc::new(roster.everyone());
        lists.insert(conversation, Arc::clone(&audience));
        audience
    }

    /// Whether a push is queued without waiting.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting.lock().has_room()
    }

    /// Whether pushes of this conversation wait: what comes after them has to wait behind them.
    pub(crate) fn holds(&self, conversation: u64) -> bool {
        let waiting = self.waiting.lock();
        waiting.messages > 0 && waiting.by_conversation.contains_key(&conversation)
    }

    /// Whether nothing waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.lock().messages == 0
    }

    /// Queues a push; waits while too much waits already.
    pub(crate) async fn publish(&self, push: Push, span: Option<Span>) {
        while !self.has_room() {
            self.room.notified().await;
        }
        self.waiting.lock().add(&push);
        // The receiver lives as long as the gateway: a failure means that it stops.
        let _ = self.queue.send((push, span)).await;
    }

    /// Notes that pushes are written.
    fn written(&self, pushes: &[Push]) {
        let mut waiting = self.waiting.lock();
        pushes.iter().for_each(|push| waiting.remove(push));
        drop(waiting);
        self.room.notify_one();
    }

    /// Whether the connections of a user had this message with their group lately, or found it
    /// here.
    pub(crate) fn has(&self, user: UserId, message: i64) -> bool {
        self.memory.lock().has(user, message)
    }

    /// What was pushed lately. While it is held, nothing is added: a connection that enters the
    /// table meanwhile either finds a message here or is found by it.
    pub(crate) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock()
    }
}

impl Push {
    /// Whether both can be written to the same connections in one call, this one first.
    fn goes_with(&self, other: &Self) -> bool {
        self.about.conversation == other.about.conversation
            && (Arc::ptr_eq(&self.audience, &other.audience) || self.audience == other.audience)
    }

    fn is_signal(&self) -> bool {
        self.about.conversation == 0
    }
}
