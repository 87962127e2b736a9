//! Authentication tags of what the server hands out and gets back, such as challenges.

use std::fmt;

use ring::{hkdf, hmac};

/// Separates this use of the secret from every other one.
const SALT: &[u8] = b"gochat tags";
/// Bytes of a tag.
const TAG_BYTES: usize = 32;

/// Makes and verifies tags with HMAC-SHA-256.
///
/// The key is derived from the secret of im-logic (`auth.secret`) with HKDF-SHA-256, so that every
/// instance verifies what any of them made.
pub struct TagKey(hmac::Key);

impl TagKey {
    /// Derives the key for one use of it.
    pub fn derive(secret: &[u8], usage: &[u8]) -> Self {
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(secret);
        let info = [usage];
        // Fails for outputs of 255 hashes and more only; this one is as long as one hash.
        let okm = prk.expand(&info, hmac::HMAC_SHA256);
        Self(okm.map_or_else(
            |_| hmac::Key::new(hmac::HMAC_SHA256, secret),
            hmac::Key::from,
        ))
    }

    /// The tag of these bytes.
    pub fn tag(&self, bytes: &[u8]) -> [u8; TAG_BYTES] {
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(hmac::sign(&self.0, bytes).as_ref());
        tag
    }

    /// Whether the tag is that of these bytes, in constant time.
    pub fn verify(&self, bytes: &[u8], tag: &[u8]) -> bool {
        hmac::verify(&self.0, bytes, tag).is_ok()
    }
}

impl fmt::Debug for TagKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TagKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_belongs_to_its_bytes_its_secret_and_its_use() {
        let key = TagKey::derive(b"secret", b"one");
        let tag = key.tag(b"bytes");
        assert!(TagKey::derive(b"secret", b"one").verify(b"bytes", &tag));
        assert!(!key.verify(b"other", &tag) && !key.verify(b"bytes", &tag[..31]));
        assert!(!TagKey::derive(b"secret", b"two").verify(b"bytes", &tag));
        assert!(!TagKey::derive(b"Secret", b"one").verify(b"bytes", &tag));
        assert_eq!(format!("{key:?}"), "TagKey");
    }
}
