//! Text that people type: one normal form, what counts as blank, and names.
//!
//! Every text that is stored passes [`nfc`], so that the same word typed on two keyboards is the
//! same bytes. Names follow stricter rules: [`username`] for user names, [`title`] for names of
//! groups.

mod invisible;
mod title;
mod username;

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

pub use invisible::{is_blank, is_invisible};
pub use title::{check_title, title};
pub use username::{UsernameFault, skeleton, username, username_key};

/// Returns the text in Unicode normal form C; borrows the text when it already is.
///
/// ```
/// use gochat_core::text::nfc;
/// assert_eq!(nfc("cafe\u{301}"), "caf\u{e9}");
/// ```
pub fn nfc(text: &str) -> Cow<'_, str> {
    // Most messages are ASCII, and most others are normalised: neither is copied.
    if text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.nfc().collect())
    }
}

/// Returns an owned text in normal form C without a copy when it already is.
pub fn into_nfc(text: String) -> String {
    match nfc(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(normal) => normal,
    }
}

/// Returns a text that may be missing as it is stored: normal form C, empty when it shows nothing.
pub fn optional(text: String) -> String {
    if is_blank(&text) {
        String::new()
    } else {
        into_nfc(text)
    }
}

/// Returns a password as it is hashed: RFC 8265 OpaqueString, so that the same password typed on
/// another keyboard signs in. Spaces of other scripts become U+0020, the rest becomes normal form
/// C. No character is refused, so that a password from before this rule stays usable.
pub fn password(text: &str) -> Cow<'_, str> {
    let is_foreign_space = |c: char| !c.is_ascii() && is_space_separator(c);
    if text.contains(is_foreign_space) {
        let mapped: String = text
            .chars()
            .map(|c| if is_foreign_space(c) { ' ' } else { c })
            .collect();
        Cow::Owned(into_nfc(mapped))
    } else {
        nfc(text)
    }
}

/// Returns the form in which texts are compared when letters of either case are the same.
pub fn folded(text: &str) -> String {
    fold_case(&nfc(text))
}

/// Lower-cases a text; both forms of the Greek sigma become one.
fn fold_case(text: &str) -> String {
    let lower = text.to_lowercase();
    let lower = if lower.contains('ς') {
        lower.replace('ς', "σ")
    } else {
        lower
    };
    into_nfc(lower)
}

/// Whether the character has general category Zs.
fn is_space_separator(c: char) -> bool {
    matches!(
        c,
        ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'
            ..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn normal_text_is_borrowed() {
        assert!(matches!(nfc("plain"), Cow::Borrowed(_)));
        assert!(matches!(nfc("caf\u{e9} 語 👋🏽"), Cow::Borrowed(_)));
        assert!(matches!(nfc("e\u{301}"), Cow::Owned(_)));
    }

    #[test]
    fn a_password_has_one_form_on_every_keyboard() {
        assert_eq!(password("pa\u{308}ss\u{3000}wort"), "p\u{e4}ss wort");
        assert_eq!(password("plain pass"), "plain pass");
        assert_eq!(password("tab\tstays\u{0}"), "tab\tstays\u{0}");
    }

    #[test]
    fn case_and_normal_form_do_not_tell_texts_apart() {
        assert_eq!(folded("E\u{301}"), "\u{e9}");
        assert_eq!(folded("ΟΔΟΣ"), folded("οδος"));
        assert_eq!(folded("ΟΔΟΣ"), folded("οδοσ"));
    }

    proptest! {
        #[test]
        fn every_mapping_is_stable(text in "\\PC{0,40}|.{0,40}") {
            let once = nfc(&text).into_owned();
            prop_assert_eq!(nfc(&once), once.as_str());
            let once = folded(&text);
            prop_assert_eq!(folded(&once), once.clone());
            let once = password(&text).into_owned();
            prop_assert_eq!(password(&once), once.as_str());
        }

        #[test]
        fn other_normal_forms_of_a_text_end_in_the_same(text in "\\PC{0,40}") {
            let decomposed: String = text.nfd().collect();
            prop_assert_eq!(nfc(&decomposed), nfc(&text));
            prop_assert_eq!(folded(&decomposed), folded(&text));
            prop_assert_eq!(password(&decomposed), password(&text));
        }
    }
}
