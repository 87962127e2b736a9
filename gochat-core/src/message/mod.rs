//! What a message may be: types, limits, and who may take one back.
//!
//! A [`Draft`] is a message that passed the form checks. It borrows its text, so checking
//! copies nothing. Whether the author may send it is judged later, by [`crate::step`].

mod draft;
mod kind;
mod recall;

pub use draft::{Draft, DraftLimits, Writer};
pub use kind::MessageType;
pub use recall::{RECALL_WINDOW_MS, Recall};
