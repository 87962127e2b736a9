//! What a token says of itself, without proof: the checker only names what it was given.

use serde_json::Value;

/// Session and generation of a token; access tokens have no generation.
pub(super) fn of(token: &str) -> Option<(String, u64)> {
    let claims: Value = serde_json::from_slice(&decode(token.split('.').nth(1)?)?).ok()?;
    let sid = claims["sid"].as_str()?.to_owned();
    Some((sid, claims["gen"].as_u64().unwrap_or(0)))
}

/// Base64 with the alphabet of URLs, without padding.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut held) = (0u32, 0u32);
    for letter in text.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_session_and_generation() {
        // {"sid":"0a1b","gen":7}
        let token = "eyJhIjoxfQ.eyJzaWQiOiIwYTFiIiwiZ2VuIjo3fQ.c2ln";
        assert_eq!(of(token), Some(("0a1b".to_owned(), 7)));
        assert_eq!(of("x.!.y"), None);
        assert_eq!(of("nothing"), None);
        assert_eq!(decode("-_8").unwrap(), [0xfb, 0xff]);
    }
}
