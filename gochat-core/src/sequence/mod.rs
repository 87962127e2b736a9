//! Numbering the messages of a conversation, each exactly once.
//!
//! A [`ConversationLog`] is what the owner of a conversation keeps in memory: the head (the
//! newest number) and the idempotency window (which client ids got which numbers).
//!
//! **Invariants**
//! * Numbers are 1, 2, 3 … without gap or repeat, whatever is rolled back in between.
//! * A client id inside the window gets its first [`Assigned`] again. The window holds the last
//!   [`WINDOW_MESSAGES`] messages or [`WINDOW_MS`], whichever is smaller.
//! * What is appended is *staged* until [`ConversationLog::commit`]; [`ConversationLog::rollback`]
//!   forgets it. A log that was rebuilt from storage knows committed messages only.
//!
//! Absent on purpose: contents, members, and any knowledge of where messages are stored.

mod key;
mod log;
mod window;

pub use key::ClientKey;
pub use log::{Admitted, Assigned, ConversationLog, Recorded};
pub use window::{WINDOW_MESSAGES, WINDOW_MS};
