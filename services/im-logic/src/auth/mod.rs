//! Accounts and tokens: who may come in, and for how long.
//!
//! Tokens are JWTs that any holder of a public key can check without asking; im-repo keeps what a
//! token can't say itself: which refresh tokens were used up, and which tokens are revoked.

mod hasher;
mod keys;
mod sessions;
mod tokens;

pub(crate) use hasher::Hasher;
pub(crate) use keys::Keys;
pub(crate) use sessions::Auth;
pub(crate) use tokens::{Pair, Subject, Tokens};
