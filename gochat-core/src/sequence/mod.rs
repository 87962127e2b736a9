//! Numbering the messages of a conversation and their changes, each exactly once.
//!
//! A [`ConversationLog`] is what the owner of a conversation keeps in memory: the head (the
//! newest numbers) and the idempotency window (which client ids got which numbers).
//!
//! There are two numbers. `seq` counts messages. `rev` counts messages *and* changes of messages: a
//! message gets the next of both, a change the next `rev` alone, and names the message it is about.
//!
//! **Invariants**
//! * Both numbers are 1, 2, 3 … without gap or repeat, whatever is rolled back in between.
//! * A client id inside the window gets its first [`Assigned`] again. The window holds the last
//!   [`WINDOW_MESSAGES`] messages and changes or [`WINDOW_MS`], whichever is smaller.
//! * What is appended is *staged* until [`ConversationLog::commit`]; [`ConversationLog::rollback`]
//!   forgets it. A log that was rebuilt from storage knows committed messages only.
//!
//! Absent on purpose: contents, members, and any knowledge of where messages are stored.

mod key;
mod log;
mod window;

pub use key::ClientKey;
pub use log::{Admitted, Assigned, ConversationLog, Head, Recorded, SinceSent};
pub use window::{WINDOW_MESSAGES, WINDOW_MS};
