//! How long a token lives, read from the token. Nothing is verified here: the server does that.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;

/// When a token was made and when it ends; Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Lifespan {
    iat: u64,
    exp: u64,
}

impl Lifespan {
    /// The whole life in milliseconds.
    pub(super) fn whole_ms(self) -> u64 {
        self.exp.saturating_sub(self.iat).saturating_mul(1_000)
    }

    /// What is left of it, by this clock.
    pub(super) fn rest_ms(self, now: SystemTime) -> u64 {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let rest = self.exp.saturating_sub(now).saturating_mul(1_000);
        rest.min(self.whole_ms())
    }
}

impl Lifespan {
    /// What is left of it, for a token that an earlier run of the app left; nothing once half of it
    /// has passed. That run may have exchanged the refresh token and stopped before it kept the new
    /// pair: the server gives it again for a minute, so it is to be asked for at once.
    pub(super) fn rest_of_earlier_run_ms(self, now: SystemTime) -> u64 {
        let rest = self.rest_ms(now);
        match rest.saturating_mul(2) < self.whole_ms() {
            true => 0,
            false => rest,
        }
    }
}

/// The lifespan of a JWT; `None` for anything else.
pub(super) fn of(token: &str) -> Option<Lifespan> {
    let claims = token.split('.').nth(1)?;
    serde_json::from_slice(&decode(claims)?).ok()
}

/// Base64 with the alphabet of URLs, without padding.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut held, mut bits) = (0_u32, 0);
    for c in text.bytes() {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        held = (held << 6 | u32::from(value)) & 0xFF_FFFF;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits & 0xFF) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_token_says_how_long_it_lives() {
        // {"alg":"none"}.{"iat":1700000000,"exp":1700000900,"sub":"7?~"}
        let token =
            "eyJhbGciOiJub25lIn0.eyJpYXQiOjE3MDAwMDAwMDAsImV4cCI6MTcwMDAwMDkwMCwic3ViIjoiNz9-In0.x";
        let span = of(token).unwrap();
        assert_eq!(span.whole_ms(), 900_000);
        let at = |s| UNIX_EPOCH + Duration::from_secs(s);
        assert_eq!(span.rest_ms(at(1_700_000_600)), 300_000);
        assert_eq!(span.rest_ms(at(1_800_000_000)), 0);
        assert_eq!(span.rest_of_earlier_run_ms(at(1_700_000_450)), 450_000);
        // As of a run that stopped while it renewed the pair.
        assert_eq!(span.rest_of_earlier_run_ms(at(1_700_000_600)), 0);
        assert_eq!(
            span.rest_ms(at(1_600_000_000)),
            900_000,
            "a clock that is wrong"
        );
        for bad in ["", "a.b", "a.!!.c", "opaque"] {
            assert_eq!(of(bad), None);
        }
    }
}
