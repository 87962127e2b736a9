//! The batch step of im-logic: records in, needs out, facts in, effects out.
//!
//! A [`PartitionMachine`] holds what the owner of one `upstream` partition must remember and
//! decides each batch. It never waits and never asks: the worker around it loads facts, looks up
//! presence, writes transactions, and tells the machine how they went. The same machine runs in
//! the service, in property tests and in the simulator.
//!
//! ```
//! use gochat_core::fanout::{GatewayIx, GatewayTable, Presence};
//! use gochat_core::ids::{ConversationId, MessageId, UserId};
//! use gochat_core::sequence::{ClientKey, Head};
//! use gochat_core::step::*;
//!
//! struct Everybody(GatewayIx);
//! impl Presence for Everybody {
//!     fn gateways_of(&self, _: UserId) -> Option<&[GatewayIx]> {
//!         Some(std::slice::from_ref(&self.0))
//!     }
//! }
//! impl View for Everybody {
//!     fn sender(&self, _: UserId) -> Sender {
//!         Sender::Known { guest: false, active: true }
//!     }
//! }
//!
//! let (a, b) = (UserId::new(1).unwrap(), UserId::new(2).unwrap());
//! let conversation = ConversationId::single(a, b).unwrap();
//! let gateway = GatewayTable::default().intern("gateway-1");
//! let mut machine = PartitionMachine::new(Limits::default());
//!
//! let key = ClientKey::new(a, "c-1");
//! let (change, refers, only_repeat) = (None, None, None);
//! machine.begin([Record::Submit(Submission { conversation, key, change, refers, only_repeat, gateway, resend: false, bytes: 5, long: false })]);
//! assert_eq!(machine.needs().len(), 1);
//! let facts = Some(Facts::open(Members::Implicit));
//! let head = Head { seq: 41, rev: 50 };
//! machine.provide(conversation, Loaded { head, facts, ..Loaded::default() });
//!
//! let mut effects = Effects::default();
//! let id = || MessageId::new(7).ok_or(());
//! let live = Live { gateways: &[gateway], is_current: true };
//! machine.decide(1_000, &Everybody(gateway), live, id, &mut effects).unwrap();
//! let Effect::Persist { message, .. } = &effects.list[0] else { panic!() };
//! assert_eq!((message.seq, message.rev), (42, 51));
//! let Effect::Deliver { to_origin, targets, .. } = &effects.list[1] else { panic!() };
//! assert!(to_origin);
//! assert_eq!(effects.users(targets), [a, b]);
//! machine.committed();
//! ```

mod effect;
mod emit;
mod facts;
mod judge;
mod machine;
mod pace;
mod record;
mod store;
mod targets;

pub use effect::{Effect, Effects, Later, Sequenced, Users};
pub use facts::{Facts, MemberList, Members, Standing};
pub use machine::{Mark, PartitionMachine};
pub use pace::Pace;
pub use record::{
    Change, Changed, Excerpt, Found, Loaded, Looked, Need, Quoted, Record, Referred, Sender,
    Submission, TailRecord,
};

use crate::fanout::{Budget, GatewayIx, Presence};
use crate::ids::UserId;
use crate::message::EDIT_WINDOW_MS;

/// Bounds of a [`PartitionMachine`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Most conversations in memory; must exceed the largest batch.
    pub conversations: usize,
    /// Bytes of conversations to aim for. Messages are refused at twice as many.
    pub memory: usize,
    /// Maximum cost of the fan-out of one message to a group.
    pub fanout: Budget,
    /// Milliseconds after which facts are loaded again although nobody announced a change.
    pub facts_ttl: u64,
    /// Budgets of conversations; `None` is no limit.
    pub pace: Option<Pace>,
    /// Milliseconds for which authors may edit their messages.
    pub edit_window: u64,
}

impl Default for Limits {
    /// 100,000 conversations, 64 MiB, the default fan-out, a minute, no budgets of conversations, 48
    /// hours.
    fn default() -> Self {
        Self {
            conversations: 100_000,
            memory: 64 << 20,
            fanout: Budget::default(),
            facts_ttl: 60_000,
            pace: None,
            edit_window: EDIT_WINDOW_MS,
        }
    }
}

/// The gateways that hold sessions, as far as the caller knows.
#[derive(Debug, Clone, Copy)]
pub struct Live<'a> {
    /// Each of them once.
    pub gateways: &'a [GatewayIx],
    /// Whether the list is about as old as the batch. With an older one the members of a group
    /// are looked up once the row is written.
    pub is_current: bool,
}

/// What the caller found out about the users of a batch.
pub trait View: Presence {
    /// An author's account.
    fn sender(&self, user: UserId) -> Sender;
}
