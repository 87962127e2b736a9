//! Values that must not be printed, and the judgement of the one that signs tokens.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// Shortest secret that signs tokens, in bytes: the size of the hash it keys.
pub const JWT_SECRET_MIN_BYTES: usize = 32;

/// Values that appear in samples on the internet; never accepted in production.
const PLACEHOLDERS: [&str; 8] = [
    "secret",
    "changeme",
    "change-me",
    "change_me",
    "password",
    "jwt_secret",
    "jwt-secret",
    "example",
];

/// Text that is read from settings and never shown: it prints and serializes as `[redacted]`.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether nothing was set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn shown(&self) -> &'static str {
        if self.0.is_empty() { "" } else { "[redacted]" }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.shown())
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.shown())
    }
}

/// Whether a text is a sample value, or one that somebody forgot to replace.
pub fn is_placeholder(text: &str) -> bool {
    let plain = text.trim().to_ascii_lowercase();
    let repeated = |p: &str| plain.len() % p.len() == 0 && plain == p.repeat(plain.len() / p.len());
    plain.starts_with("your-")
        || plain.starts_with("your_")
        || plain.starts_with("<")
        || [
            "changeme",
            "change-me",
            "change_me",
            "placeholder",
            "insecure",
        ]
        .iter()
        .any(|p| plain.contains(p))
        || PLACEHOLDERS.iter().any(|p| repeated(p))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_and_never_shown() {
        let secret: Secret = serde_json::from_str(r#""hush""#).unwrap();
        assert_eq!(secret.reveal(), "hush");
        assert!(!format!("{secret:?}").contains("hush"));
        assert!(!serde_json::to_string(&secret).unwrap().contains("hush"));
        assert_eq!(serde_json::to_string(&Secret::default()).unwrap(), r#""""#);
    }

    #[test]
    fn sample_values_are_recognised() {
        for sample in [
            "changeme",
            "your-256-bit-secret-your-256-bit-secret",
            "secretsecretsecretsecretsecretsecret",
            "please-change-me-please-change-me-please",
            "<paste 48 random bytes here>",
        ] {
            assert!(is_placeholder(sample), "{sample}");
        }
        assert!(!is_placeholder("pB3vY0tq9mYb7e1qWm2L5c8Xk4Zr6Ua1"));
        assert!(!is_placeholder(&"k".repeat(40)));
    }
}
