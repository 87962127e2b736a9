//! Who may make an account.

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorCode, Result};

/// Shortest invitation code in characters: shorter ones are guessed.
const CODE_MIN_CHARS: usize = 8;

/// Mode of registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    /// Every visitor may register.
    #[default]
    Open,
    /// Visitors with an invitation code may register.
    Invite,
    /// Registration is refused.
    Closed,
}

/// What a registration needs besides being well-formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    /// Nothing.
    Freely,
    /// A use of the presented code, of which there are this many.
    ByCode {
        /// Accounts that the code is good for.
        most: u32,
    },
}

/// Reads a setting of the form `CODE:COUNT`.
///
/// # Errors
/// `INVALID_PARAMS` for another form, a code of fewer than 8 characters, or a count of 0.
pub fn parse_code(setting: &str) -> Result<(&str, u32)> {
    let parsed = setting.rsplit_once(':').and_then(|(code, count)| {
        let count: u32 = count.trim().parse().ok()?;
        let long = code.chars().count() >= CODE_MIN_CHARS;
        (long && count > 0).then_some((code, count))
    });
    parsed.ok_or_else(|| {
        Error::new(
            ErrorCode::InvalidParams,
            "An invitation reads CODE:COUNT, with a code of 8 characters or more and a count above 0.",
        )
    })
}

/// Judges a registration. `codes` are settings of the form `CODE:COUNT`; those of another form
/// admit nobody.
///
/// ```
/// use gochat_core::admission::{Admitted, Registration, admit};
/// let codes = ["spring-2031:50".to_owned()];
/// assert_eq!(admit(Registration::Open, &codes, ""), Ok(Admitted::Freely));
/// let by_code = admit(Registration::Invite, &codes, "spring-2031");
/// assert_eq!(by_code, Ok(Admitted::ByCode { most: 50 }));
/// assert!(admit(Registration::Closed, &codes, "spring-2031").is_err());
/// ```
///
/// # Errors
/// `REGISTRATION_CLOSED`, `INVITATION_INVALID`.
pub fn admit(mode: Registration, codes: &[String], presented: &str) -> Result<Admitted> {
    match mode {
        Registration::Open => Ok(Admitted::Freely),
        Registration::Closed => Err(ErrorCode::RegistrationClosed.into()),
        Registration::Invite => {
            let mut known = codes.iter().filter_map(|setting| parse_code(setting).ok());
            match known.find(|(code, _)| *code == presented) {
                Some((_, most)) => Ok(Admitted::ByCode { most }),
                None => Err(ErrorCode::InvitationInvalid.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_a_count_and_is_long_enough_not_to_be_guessed() {
        assert_eq!(parse_code("with:colon:3"), Ok(("with:colon", 3)));
        for bad in [
            "",
            "longenough",
            "longenough:",
            "longenough:0",
            "short:3",
            "longenough:-1",
        ] {
            assert!(parse_code(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_a_code_of_the_settings_admits() {
        let codes = ["spring-2031:50".to_owned(), "broken".to_owned()];
        let refused = |presented| {
            admit(Registration::Invite, &codes, presented)
                .unwrap_err()
                .code
        };
        for bad in ["", "broken", "spring-2031:50", "SPRING-2031"] {
            assert_eq!(refused(bad), ErrorCode::InvitationInvalid, "{bad}");
        }
    }
}
