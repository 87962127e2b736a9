//! The JSON frames of the WebSocket protocol.
//!
//! [`ClientFrame::parse`] reads what a client sent, borrowing from the text; unknown fields
//! are skipped without building them and nesting can't exhaust the stack. The server frames
//! are plain structs, written with [`encode`] (one text per message, shared by all
//! receivers) and read back by clients with [`ServerFrame::parse`].

mod client;
mod client_encode;
mod objects;
mod refusal;
mod server;
#[cfg(test)]
mod tests;

pub use client::{AccessToken, ChangeMessage, ClientFrame, Forward, FrameError, SendMessage};
pub use objects::{
    AnnouncementText, ChangedMessage, ConversationChange, ForwardedFrom, HiddenMessage, Member,
    Quote, ReactionCount, Sender, User,
};
pub use server::{
    Authenticated, ChangeAck, ConversationState, ConversationUpdated, ErrorDetails, ErrorFrame,
    FriendAdded, FriendRemoved, FriendRequest, GroupInvitation, IDS_MAX, JoinRequest,
    JoinRequestAnswered, MemberAdded, MemberRemoved, MessageAck, MessageChanged, MessageRead,
    MessageRecalled, NewMessage, OnlineStatus, PROFILES_MAX, Pong, Restarting, ServerFrame,
    ServerFrameError, ServerPayload, TypingIndicator, encode,
};
