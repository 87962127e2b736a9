//! The id of a session.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::ParseIdError;

/// Id of a session: 128 random bits, written as 32 hexadecimal digits in lower case.
///
/// ```
/// use gochat_core::token::SessionId;
/// let id = SessionId::new(0xabc);
/// assert_eq!(id.to_string(), "00000000000000000000000000000abc");
/// assert_eq!(id.to_string().parse(), Ok(id));
/// assert!("ABC".parse::<SessionId>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(u128);

impl SessionId {
    /// Wraps random bits.
    pub const fn new(bits: u128) -> Self {
        Self(bits)
    }

    /// The bits.
    pub const fn get(self) -> u128 {
        self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for SessionId {
    type Err = ParseIdError;

    /// Accepts the canonical form only: 32 digits, lower case.
    fn from_str(s: &str) -> Result<Self, ParseIdError> {
        let canonical = s.len() == 32
            && s.bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let parsed = canonical
            .then(|| u128::from_str_radix(s, 16).ok())
            .flatten();
        parsed.map(Self).ok_or(ParseIdError { kind: "session" })
    }
}

impl Serialize for SessionId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SessionId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
