//! Planning who gets a message through which gateway.
//!
//! Pure: kind and size of the conversation, its members, who is connected where, and which
//! gateways live go in; a [`Plan`] comes out. Four ways, by what they cost:
//!
//! | way | when | cost per message |
//! |---|---|---|
//! | [`Strategy::Direct`] | single chats, small groups | one look-up per member; one record per gateway with its targets |
//! | [`Strategy::Members`] | groups, as long as members × gateways fit the [`Budget`] | one record per live gateway with all members, 8 bytes each; no look-up |
//! | [`Strategy::Deferred`] | groups beyond the budget | one task; members are paged elsewhere |
//! | [`Strategy::Broadcast`] | the world chat | one record per gateway, no targets |
//!
//! The author is a recipient like everybody else: their other devices get the message, and the
//! gateway that holds the sending connection gives that one the ack instead. So all messages of a
//! conversation in one batch share one plan.

mod gateway;
mod plan;
mod presence;

pub use gateway::{GatewayIx, GatewayTable};
pub use plan::{Budget, Delivery, Plan, Planner, Strategy};
pub use presence::{Presence, PresenceMap};
