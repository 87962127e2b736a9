//! Who is connected, and when the others hear of it.
//!
//! [`Sessions`] is the set of connections of one user: registration with replacement and
//! eviction, removal by compare-and-delete, expiry. [`OfflineDebounce`] keeps a short
//! disconnection from being told to anybody. [`Typist`] bounds how often "is writing" is told.

mod debounce;
mod sessions;
mod typing;

pub use debounce::{OFFLINE_DELAY_MS, OfflineDebounce};
pub use sessions::{
    Edge, REFUSAL_MS, REPLACEMENTS_MAX, REPLACEMENTS_WINDOW_MS, Registered, Session, Sessions,
    TTL_MS,
};
pub use typing::{TypingRule, Typist};
