//! Accounts and tokens: who may come in, and for how long.
//!
//! Tokens are JWTs that name a session. im-repo keeps the session's row, which decides about every
//! refresh; gateways hear of ended sessions as events.

mod account;
mod ends;
mod hasher;
mod keys;
mod operator;
mod sessions;
mod tokens;

pub(crate) use ends::Which;
pub(crate) use hasher::Hasher;
pub(crate) use keys::{Key, Keys, signing_key};
pub(crate) use sessions::{Auth, Client};
pub(crate) use tokens::{Pair, Place, Subject, Tokens};
