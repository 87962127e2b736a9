//! Names of users: the two columns by which they are unique.

use gochat_core::ids::UserId;
use gochat_core::text;

/// What the columns `username_key` and `name_skeleton` hold for a name.
pub(crate) struct NameKeys {
    /// How the name is looked up.
    pub(crate) key: String,
    /// What the name looks like.
    pub(crate) skeleton: String,
}

impl NameKeys {
    /// The columns of a name.
    pub(crate) fn of(username: &str) -> Self {
        Self {
            key: text::username_key(username),
            skeleton: text::skeleton(username),
        }
    }
}

/// Stands in for the skeleton of an older row that looks like another one. No name begins with a
/// space.
pub(crate) fn no_skeleton(id: UserId) -> String {
    format!(" {id}")
}
