//! Names of groups.

use super::invisible::{is_blank, is_invisible, is_needed};
use super::nfc;

/// Returns a name as it is stored: normal form C, every kind of space a plain one, no spaces at the
/// ends and no two in a row (RFC 8266).
///
/// ```
/// use gochat_core::text::title;
/// assert_eq!(title(" Tea\u{3000} room "), "Tea room");
/// ```
pub fn title(name: &str) -> String {
    let normal = nfc(name);
    let words = normal.split(super::is_space_separator);
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// Whether a name may be shown in a list: not blank, no control characters, no invisible characters
/// but those of emoji and of scripts that need joiners, and no word of several scripts.
pub fn check_title(name: &str) -> bool {
    if is_blank(name) {
        return false;
    }
    if name.is_ascii() {
        return !name.bytes().any(|b| b.is_ascii_control());
    }
    let chars: Vec<char> = name.chars().collect();
    let hidden = chars
        .iter()
        .enumerate()
        .any(|(at, c)| is_invisible(*c) && !is_needed(&chars, at));
    !hidden && name.split(is_border).all(super::username::has_one_script)
}

/// Whether words end at the character.
fn is_border(c: char) -> bool {
    !c.is_alphanumeric() && unicode_normalization::char::canonical_combining_class(c) == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_people_give_are_taken() {
        for name in [
            "Team",
            "Москва–Berlin 2026",
            "日本語 room",
            "カタカナと漢字",
            "Café ☕️",
            "👨‍👩‍👧 Family",
            "🏴󠁧󠁢󠁳󠁣󠁴󠁿 trip",
            "नमस्ते क्‍ष",
            "می‌خواهم",
            "1️⃣ first",
            "✌🏽 peace",
            "I ❤️ Rust",
            "שלום",
        ] {
            assert!(check_title(name), "{name}");
            assert!(check_title(&title(name)), "{name}");
        }
    }

    #[test]
    fn names_that_deceive_are_refused() {
        for name in [
            "",
            "   ",
            "\u{200b}\u{200b}",
            "\u{3164}",
            "\u{202e}gnp.exe",
            "Te\u{ad}am",
            "a\u{7}b",
            "Tea\u{200b}m",
            "\u{feff}Team",
            "Team\u{fe0f}",
            "Te\u{200d}am",
            "p\u{430}ypal support",
            "line\nbreak",
            "a\u{2028}b",
            "\u{2800}",
            "Team\u{e0041}",
        ] {
            assert!(!check_title(name), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn the_stored_form_is_stable_and_no_worse(name in "\\PC{0,40}") {
            let stored = title(&name);
            prop_assert_eq!(title(&stored), stored.clone());
            prop_assert_eq!(stored.is_empty(), name.chars().all(super::super::is_space_separator));
        }
    }
}
