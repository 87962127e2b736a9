//! Revocations as the table names them.

use crate::port::db::RevocationKey;

/// The key as the table has it.
pub(crate) fn key_text(key: &RevocationKey) -> String {
    match key {
        RevocationKey::Token(hash) => format!("t:{hash}"),
        RevocationKey::User(user) => format!("u:{user}"),
    }
}

/// What [`key_text`] says, read back.
pub(crate) fn parse_key(text: &str) -> Option<RevocationKey> {
    match text.split_once(':')? {
        ("t", hash) => Some(RevocationKey::Token(hash.to_owned())),
        ("u", user) => user.parse().ok().map(RevocationKey::User),
        _ => None,
    }
}
