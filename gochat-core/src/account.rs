//! Rules for names and passwords, and how a guest gets a name.

use crate::error::{Error, ErrorCode, Result};
use crate::text::{self, UsernameFault};

/// Shortest and longest username, in characters.
pub const USERNAME_CHARS: std::ops::RangeInclusive<usize> = 3..=50;
/// Shortest and longest password, in characters.
pub const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 8..=128;
/// Longest avatar address, in characters.
pub const AVATAR_URL_MAX_CHARS: usize = 255;
/// Every guest's name begins so, and nobody else's.
pub const GUEST_PREFIX: &str = "guest_";

/// Names that would be ambiguous in a path or in a sentence.
const RESERVED: [&str; 5] = ["profile", "search", "info", "status", "world"];
/// Characters of a wished guest name that are kept.
const GUEST_BASE_MAX_CHARS: usize = 20;
/// No vowels, no look-alikes.
const SUFFIX_ALPHABET: &[u8; 32] = b"0123456789bcdfghjkmnpqrstvwxyzlu";

/// Longest text that is looked at as a username, in bytes: the longest name, decomposed.
const USERNAME_MAX_BYTES: usize = 1_024;

/// Returns the name of a new account as it is stored: see [`text::username`].
///
/// 3 to 50 characters, letters and digits of one writing system and ASCII signs, nothing invisible,
/// not reserved, not a guest's name, none that looks like those. Refuses with `INVALID_USERNAME`.
///
/// ```
/// use gochat_core::account::username;
/// assert_eq!(username("Ｊｏｓｅ\u{301}")?, "José");
/// # Ok::<(), gochat_core::error::Error>(())
/// ```
pub fn username(name: &str) -> Result<String> {
    let refused = |why: &'static str| Error::new(ErrorCode::InvalidUsername, why);
    if name.is_empty() || name.len() > USERNAME_MAX_BYTES {
        return Err(ErrorCode::InvalidUsername.into());
    }
    let stored = text::username(name).map_err(|fault| {
        refused(match fault {
            UsernameFault::Invisible => "A username has no invisible characters.",
            UsernameFault::Character => {
                "A username has letters, digits and ASCII signs only, and no blanks."
            }
            UsernameFault::MixedScripts => "The letters of a username belong to one script.",
        })
    })?;
    if !USERNAME_CHARS.contains(&stored.chars().count()) {
        return Err(ErrorCode::InvalidUsername.into());
    }
    let (key, looks) = (text::username_key(&stored), text::skeleton(&stored));
    let is_reserved = RESERVED.iter().any(|name| text::skeleton(name) == looks);
    if is_reserved || key.starts_with(GUEST_PREFIX) || looks.starts_with(GUEST_PREFIX) {
        return Err(refused("This username is reserved."));
    }
    Ok(stored)
}

/// Checks the name of a new account; see [`username`].
pub fn check_username(name: &str) -> Result<()> {
    username(name).map(drop)
}

/// Checks a new password: 8 to 128 characters. Refuses with `WEAK_PASSWORD`.
pub fn check_password(password: &str) -> Result<()> {
    // Bytes first: four bytes are the longest character, so nobody makes us count megabytes.
    let plausible = password.len() <= 4 * PASSWORD_CHARS.end();
    if plausible && PASSWORD_CHARS.contains(&text::password(password).chars().count()) {
        Ok(())
    } else {
        Err(ErrorCode::WeakPassword.into())
    }
}

/// Whether a password presented at sign-in is worth hashing at all.
pub fn is_plausible_password(password: &str) -> bool {
    !password.is_empty() && password.len() <= 4 * PASSWORD_CHARS.end()
}

/// Checks an avatar address: empty, or at most 255 characters starting with `http://`,
/// `https://` or `/`. Refuses with `INVALID_PARAMS`.
pub fn check_avatar_url(url: &str) -> Result<()> {
    let harmless = ["https://", "http://", "/"]
        .iter()
        .any(|start| url.starts_with(start))
        && !url.chars().any(|c| c.is_control() || c.is_whitespace());
    if url.is_empty() || (harmless && url.chars().count() <= AVATAR_URL_MAX_CHARS) {
        Ok(())
    } else {
        Err(Error::new(
            ErrorCode::InvalidParams,
            "An avatar address is a web address of at most 255 characters.",
        ))
    }
}

/// Derives a guest's name from the wished name and random bits. Two guests with the same
/// wish get different names as long as `random` differs in its lower 40 bits. A wish that no
/// account could be called is dropped.
///
/// ```
/// use gochat_core::account::guest_name;
/// assert_eq!(guest_name("", 0), "guest_00000000");
/// assert_eq!(guest_name("Ann Lee", 31), "guest_AnnLee_0000000u");
/// ```
pub fn guest_name(wish: &str, random: u64) -> String {
    let base: String = text::nfc(wish)
        .chars()
        .filter(|c| c.is_alphanumeric())
        .take(GUEST_BASE_MAX_CHARS)
        .collect();
    let mut name = String::from(GUEST_PREFIX);
    name.push_str(&text::username(&base).unwrap_or_default());
    if name.len() > GUEST_PREFIX.len() {
        name.push('_');
    }
    let digit = |i: u32| char::from(SUFFIX_ALPHABET[(random >> (5 * i)) as usize & 31]);
    name.extend((0..8).rev().map(digit));
    name
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn usernames_have_three_to_fifty_characters_not_bytes() {
        assert!(check_username("äöü").is_ok());
        assert!(check_username(&"ж".repeat(50)).is_ok());
        assert!(check_username("ab").is_err());
        assert!(check_username(&"a".repeat(51)).is_err());
    }

    #[test]
    fn reserved_names_and_guest_names_are_refused_in_any_case() {
        for name in [
            "world",
            "World",
            "PROFILE",
            "guest_7",
            "gue\u{ff53}t_7",
            "wor1d",
            "Guest_x",
            "a b",
            "tab\there",
        ] {
            assert_eq!(
                check_username(name).unwrap_err().code,
                ErrorCode::InvalidUsername,
                "{name}"
            );
        }
        assert!(check_username("guesthouse").is_ok());
    }

    #[test]
    fn passwords_have_eight_to_128_characters() {
        assert!(check_password("12345678").is_ok());
        assert!(check_password(&"語".repeat(128)).is_ok());
        assert_eq!(
            check_password("1234567").unwrap_err().code,
            ErrorCode::WeakPassword
        );
        assert!(check_password(&"x".repeat(129)).is_err());
        assert!(check_password(&"x".repeat(1_000_000)).is_err());
    }

    #[test]
    fn avatar_addresses_are_web_addresses() {
        assert!(check_avatar_url("").is_ok());
        assert!(check_avatar_url("https://example.org/a.png").is_ok());
        assert!(check_avatar_url("javascript:alert(1)").is_err());
        assert!(check_avatar_url(&format!("https://{}", "a".repeat(255))).is_err());
    }

    proptest! {
        #[test]
        fn guest_names_fit_and_carry_the_prefix(wish in ".*", random: u64) {
            let name = guest_name(&wish, random);
            prop_assert!(name.starts_with(GUEST_PREFIX));
            prop_assert!(USERNAME_CHARS.contains(&name.chars().count()));
            prop_assert!(check_username(&name).is_err(), "only guests are called so");
        }

        #[test]
        fn different_random_bits_give_different_names(a in 0u64..1 << 40, b in 0u64..1 << 40) {
            prop_assert_eq!(guest_name("x", a) == guest_name("x", b), a == b);
        }
    }
}
