//! Names of users.

use precis_profiles::UsernameCasePreserved;
use precis_profiles::precis_core::profile::{PrecisFastInvocation as _, Rules as _};
use unicode_script::Script;
use unicode_security::MixedScript as _;
use unicode_security::mixed_script::AugmentedScriptSet;

use super::{fold_case, into_nfc, is_invisible};

/// Longest skeleton that is kept, in characters: what the column of the database holds.
const SKELETON_MAX_CHARS: usize = 750;

/// Why a text is no name of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsernameFault {
    /// A character that shows nothing.
    Invisible,
    /// A character that the identifier class of RFC 8264 excludes: spaces, symbols, emoji,
    /// compatibility forms; or letters of both directions in an order that can't be displayed.
    Character,
    /// Letters of several scripts that aren't written together.
    MixedScripts,
}

/// Returns a name as it is stored and shown: RFC 8265 UsernameCasePreserved, so half- and
/// full-width letters are the plain ones and the text is in normal form C. Length and reserved
/// names are judged by [`account::check_username`](crate::account::check_username).
///
/// ```
/// use gochat_core::text::{UsernameFault, username};
/// assert_eq!(username("Ａｎｎ").as_deref(), Ok("Ann"));
/// assert_eq!(username("p\u{430}ypal"), Err(UsernameFault::MixedScripts));
/// ```
pub fn username(name: &str) -> Result<String, UsernameFault> {
    if name.contains(is_invisible) {
        return Err(UsernameFault::Invisible);
    }
    let stored = UsernameCasePreserved::enforce(name)
        .map_err(|_| UsernameFault::Character)?
        .into_owned();
    if has_one_script(&stored) {
        Ok(stored)
    } else {
        Err(UsernameFault::MixedScripts)
    }
}

/// Returns the form in which names are looked up: width and case don't matter, nor does the normal
/// form. Defined for every text, so that names from before these rules are found.
pub fn username_key(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    let mapped = UsernameCasePreserved::new()
        .width_mapping_rule(name)
        .map_or_else(|_| name.to_owned(), |mapped| mapped.into_owned());
    fold_case(&into_nfc(mapped))
}

/// Returns what a name looks like: two names with one skeleton can't be told apart on a screen (UTS
/// 39, section 4). Names of users are unique by it.
///
/// ```
/// use gochat_core::text::skeleton;
/// assert_eq!(skeleton("Alice"), skeleton("\u{430}lice"));
/// assert_ne!(skeleton("alice"), skeleton("alicia"));
/// ```
pub fn skeleton(name: &str) -> String {
    let key = username_key(name);
    unicode_security::skeleton(&key)
        .filter(|c| !is_invisible(*c))
        .take(SKELETON_MAX_CHARS)
        .collect()
}

/// Whether all letters belong to one writing system. Latin may stand beside Chinese, Japanese and
/// Korean, as it does there (UTS 39, "highly restrictive").
pub(super) fn has_one_script(text: &str) -> bool {
    if text.is_ascii() || text.is_single_script() {
        return true;
    }
    let mut others = AugmentedScriptSet::default();
    for c in text.chars() {
        let scripts = AugmentedScriptSet::for_char(c);
        if !scripts.base.contains_script(Script::Latin) {
            others.intersect_with(scripts);
        }
    }
    others.jpan || others.kore || others.hanb
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_every_language_are_names() {
        for name in [
            "ann",
            "Ann.Lee-7",
            "josé",
            "Ångström",
            "Мария",
            "Ελένη",
            "李雷",
            "山田taro",
            "さくら桜",
            "김철수",
            "مريم",
            "רחל",
            "อรุณ",
            "a_b+c@d",
            "ĳsbeer2",
            "O'Neil",
        ] {
            // The ligature is a compatibility form, which the identifier class excludes.
            assert_eq!(username(name).is_ok(), name != "ĳsbeer2", "{name}");
        }
    }

    #[test]
    fn names_that_deceive_are_refused() {
        use UsernameFault::*;
        for (name, fault) in [
            ("ann\u{200b}", Invisible),
            ("a\u{200d}nn", Invisible),
            ("\u{feff}ann", Invisible),
            ("\u{202e}ann", Invisible),
            ("a\u{ad}nn", Invisible),
            ("ann\u{fe0f}", Invisible),
            ("ann\u{e0041}", Invisible),
            ("\u{3164}\u{3164}\u{3164}", Invisible),
            ("\u{2800}\u{2800}\u{2800}", Invisible),
            ("ann lee", Character),
            ("ann\u{a0}lee", Character),
            ("ann👋", Character),
            ("ﬁona", Character),
            ("p\u{430}ypal", MixedScripts),
            ("\u{430}lice", MixedScripts),
            ("αlpha", MixedScripts),
        ] {
            assert_eq!(username(name), Err(fault), "{name:?}");
        }
    }

    #[test]
    fn look_alikes_have_one_skeleton() {
        for (a, b) in [
            ("alice", "\u{430}lice"),
            ("Alice", "alice"),
            ("paypal", "раураӏ"),
            ("anna1", "annal"),
            ("modern", "modem"),
            ("e\u{301}ric", "\u{e9}ric"),
            ("ann", "ＡＮＮ"),
            ("ann", "a\u{200b}nn"),
        ] {
            assert_eq!(skeleton(a), skeleton(b), "{a} {b}");
        }
        for (a, b) in [
            ("ann", "anna"),
            ("u10", "u20"),
            ("bob", "rob"),
            ("jose", "josé"),
        ] {
            assert_ne!(skeleton(a), skeleton(b), "{a} {b}");
        }
    }

    #[test]
    fn a_skeleton_fits_its_column() {
        assert!(skeleton(&"\u{fdfa}".repeat(50)).chars().count() <= SKELETON_MAX_CHARS);
    }

    proptest! {
        #[test]
        fn what_is_stored_is_stable_and_found_by_its_key(name in "\\PC{1,20}|[a-zA-Zа-яё0-9]{3,20}") {
            prop_assert_eq!(username_key(&username_key(&name)), username_key(&name));
            if let Ok(stored) = username(&name) {
                prop_assert_eq!(username(&stored), Ok(stored.clone()));
                prop_assert_eq!(username_key(&stored), username_key(&name));
                prop_assert_eq!(skeleton(&stored), skeleton(&name));
                prop_assert!(!super::super::is_blank(&stored));
            }
        }
    }
}
