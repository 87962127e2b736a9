//! What a message may be: types, limits, and what may happen to it later.
//!
//! A [`Draft`] is a message that passed the form checks. It borrows its text, so checking
//! copies nothing. Whether the author may send it is judged later, by [`crate::step`].

mod change;
mod draft;
mod kind;

pub use change::{ChangeKind, EDIT_WINDOW_MS, EDITS_MAX, RECALL_WINDOW_MS, Target, Windows};
pub use draft::{Draft, DraftLimits, Writer};
pub use kind::MessageType;
