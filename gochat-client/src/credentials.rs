//! Who the user is.

use std::fmt;

/// How to sign in. Its `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credentials {
    /// A registered account.
    Password {
        /// Its name.
        username: String,
        /// Its password.
        password: String,
    },
    /// A new guest account. Where the server asks guests for a proof of work, the client solves
    /// the challenge by itself.
    Guest {
        /// Base of its name.
        name: Option<String>,
    },
    /// Tokens of an earlier sign-in.
    Tokens {
        /// Short-lived.
        access: String,
        /// Exchanged for a new pair when the access token has expired; works once.
        refresh: String,
    },
}

impl Credentials {
    /// A registered account.
    pub fn password(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self::Password {
            username: username.into(),
            password: password.into(),
        }
    }

    /// A new guest account.
    pub const fn guest() -> Self {
        Self::Guest { name: None }
    }

    /// Tokens of an earlier sign-in.
    pub fn tokens(access: impl Into<String>, refresh: impl Into<String>) -> Self {
        Self::Tokens {
            access: access.into(),
            refresh: refresh.into(),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { username, .. } => f
                .debug_struct("Password")
                .field("username", username)
                .finish_non_exhaustive(),
            Self::Guest { name } => f.debug_struct("Guest").field("name", name).finish(),
            Self::Tokens { .. } => f.debug_struct("Tokens").finish_non_exhaustive(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_holds_no_secret() {
        let shown = format!(
            "{:?} {:?}",
            Credentials::password("ann", "s3cret"),
            Credentials::tokens("s3cret", "s3cret")
        );
        assert!(shown.contains("ann") && !shown.contains("s3cret"));
    }
}
