//! What a message may be: types, limits, and what may happen to it later.
//!
//! A [`Draft`] is a message that passed the form checks. It borrows its text, so checking
//! copies nothing. Whether the author may send it is judged later, by [`crate::step`].

mod change;
mod draft;
mod emoji;
mod former;
mod kind;
mod references;
mod state;
mod system;
mod tally;

pub use change::{ChangeKind, EDIT_WINDOW_MS, EDITS_MAX, RECALL_WINDOW_MS, Windows};
pub use draft::{ChangeForm, Draft, DraftLimits, Writer};
pub use emoji::{EMOJI_BYTES_MAX, Emoji};
pub use former::{FORMER_TEXTS_MAX, FormerText, oldest_kept};
pub use kind::MessageType;
pub use references::{
    EXCERPT_CHARS, Forwarded, MENTIONS_MAX, QuoteState, References, Refers, Reply, excerpt,
};
pub use state::{PINS_MAX, State, Target, Wish};
pub use system::{
    Entrance, SYSTEM_BYTES_MAX, SYSTEM_ID_PREFIX, SYSTEM_USERS_MAX, SystemMessage, system_client_id,
};
pub use tally::{REACTION_KINDS_MAX, REACTIONS_PER_USER_MAX, Tally};
