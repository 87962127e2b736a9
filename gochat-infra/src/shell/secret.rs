//! The judgement of the secret that signs tokens.

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

/// Whether a text is a sample value, or one that somebody forgot to replace.
pub fn is_placeholder(text: &str) -> bool {
    let plain = text.trim().to_ascii_lowercase();
    let repeated = |p: &str| !plain.is_empty() && plain.replace(p, "").is_empty();
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
