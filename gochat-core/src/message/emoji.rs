//! What people react with.

use std::fmt;

use unicode_properties::{EmojiStatus, UnicodeEmoji as _};
use unicode_segmentation::UnicodeSegmentation as _;

use crate::error::{Error, ErrorCode};

/// Longest emoji or name of a reaction, in bytes. The longest emoji of Unicode 17 has 35.
pub const EMOJI_BYTES_MAX: usize = 40;

/// Makes an emoji of a character that is usually shown as text.
const AS_EMOJI: char = '\u{FE0F}';
/// Makes text of a character that may be shown as an emoji.
const AS_TEXT: char = '\u{FE0E}';
const KEYCAP: char = '\u{20E3}';
const JOINER: char = '\u{200D}';

/// An emoji, or a name that stands for a picture of the application's own: the kind of a reaction.
///
/// An emoji is one grapheme. It is kept in the spelling of emoji, so that the heart of one keyboard
/// and that of another are one kind. A name has lower-case letters, digits, `_`, `+` and `-`; it
/// counts only where a group allows it.
///
/// ```
/// use gochat_core::message::Emoji;
/// let thumb: Emoji = "👍🏽".parse().unwrap();
/// assert_eq!(thumb.as_str(), "👍🏽");
/// assert_eq!("\u{2764}".parse::<Emoji>().unwrap(), "\u{2764}\u{FE0F}".parse().unwrap());
/// assert!("party_parrot".parse::<Emoji>().unwrap().is_name());
/// assert!("hello world".parse::<Emoji>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Emoji {
    /// Zeros follow the text.
    bytes: [u8; EMOJI_BYTES_MAX],
    len: u8,
}

impl Emoji {
    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }

    /// Whether it is a name and no emoji of Unicode.
    pub fn is_name(&self) -> bool {
        is_name(self.as_str())
    }

    fn new(text: &str) -> Option<Self> {
        let mut bytes = [0; EMOJI_BYTES_MAX];
        bytes
            .get_mut(..text.len())?
            .copy_from_slice(text.as_bytes());
        let len = u8::try_from(text.len()).ok()?;
        Some(Self { bytes, len })
    }
}

impl std::str::FromStr for Emoji {
    type Err = Error;

    /// Reads what a client sent.
    ///
    /// # Errors
    /// `REACTION_NOT_ALLOWED` for what is neither one emoji nor a name, or too long.
    fn from_str(text: &str) -> Result<Self, Error> {
        let found = match is_name(text) {
            true => Self::new(text),
            false => emoji(text).and_then(|normal| Self::new(&normal)),
        };
        found.ok_or_else(|| ErrorCode::ReactionNotAllowed.into())
    }
}

impl fmt::Debug for Emoji {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Emoji({})", self.as_str())
    }
}

impl fmt::Display for Emoji {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn is_name(text: &str) -> bool {
    let fits = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'+' | b'-');
    (1..=EMOJI_BYTES_MAX).contains(&text.len()) && text.bytes().all(fits)
}

/// The one emoji of a text in its usual spelling.
fn emoji(text: &str) -> Option<String> {
    if text.len() > EMOJI_BYTES_MAX || text.graphemes(true).count() != 1 {
        return None;
    }
    let is_selector = |c: &char| matches!(*c, AS_EMOJI | AS_TEXT);
    let parts: Vec<char> = text.chars().filter(|c| !is_selector(c)).collect();
    match parts[..] {
        ['0'..='9' | '#' | '*', KEYCAP] => Some([parts[0], AS_EMOJI, KEYCAP].iter().collect()),
        [one] if is_half_flag(one) => None,
        [first, ..] if !first.is_ascii() && first.is_emoji_char() => joined(&parts),
        _ => None,
    }
}

/// Puts the parts of an emoji together: each with the sign that makes an emoji of it where it needs
/// one, joiners between two of them only.
fn joined(parts: &[char]) -> Option<String> {
    let mut out = String::new();
    let mut before = JOINER;
    for (at, &part) in parts.iter().enumerate() {
        let next = parts.get(at + 1).copied();
        if !is_part(part) || (part == JOINER && (before == JOINER || next.is_none())) {
            return None;
        }
        out.push(part);
        if is_text(part) && !next.is_some_and(is_skin) {
            out.push(AS_EMOJI);
        }
        before = part;
    }
    Some(out)
}

fn is_half_flag(c: char) -> bool {
    ('\u{1F1E6}'..='\u{1F1FF}').contains(&c)
}

fn is_skin(c: char) -> bool {
    ('\u{1F3FB}'..='\u{1F3FF}').contains(&c)
}

/// Whether it is shown as text unless it is said otherwise.
fn is_text(c: char) -> bool {
    matches!(
        c.emoji_status(),
        EmojiStatus::EmojiOther | EmojiStatus::EmojiModifierBase
    )
}

/// What an emoji may consist of: characters that are emoji, joiners, and the tags of some flags.
fn is_part(c: char) -> bool {
    let is_tag = ('\u{E0020}'..='\u{E007F}').contains(&c);
    c == JOINER || is_tag || (!c.is_ascii() && c.is_emoji_char())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<String> {
        let emoji = text.parse::<Emoji>();
        emoji.ok().map(|emoji| emoji.as_str().to_owned())
    }

    #[test]
    fn emoji_of_all_kinds_are_read() {
        let family = "👨\u{200D}👩\u{200D}👧\u{200D}👦";
        let england = "🏴\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F}";
        let kiss = "🧑🏿\u{200D}❤\u{FE0F}\u{200D}💋\u{200D}🧑🏿";
        for whole in [
            "👍",
            "👍🏽",
            "🇩🇪",
            "🫠",
            family,
            england,
            kiss,
            "👁\u{FE0F}\u{200D}🗨\u{FE0F}",
        ] {
            assert_eq!(read(whole).as_deref(), Some(whole));
        }
    }

    #[test]
    fn one_emoji_has_one_spelling() {
        for heart in ["\u{2764}", "\u{2764}\u{FE0F}", "\u{2764}\u{FE0E}"] {
            assert_eq!(read(heart).as_deref(), Some("\u{2764}\u{FE0F}"));
        }
        assert_eq!(read("👍\u{FE0F}").as_deref(), Some("👍"));
        for key in ["1\u{20E3}", "1\u{FE0F}\u{20E3}"] {
            assert_eq!(read(key).as_deref(), Some("1\u{FE0F}\u{20E3}"));
        }
        let eye = "\u{1F441}\u{FE0F}\u{200D}\u{1F5E8}\u{FE0F}";
        for spelling in [
            eye,
            "\u{1F441}\u{200D}\u{1F5E8}",
            "\u{1F441}\u{FE0F}\u{200D}\u{1F5E8}",
        ] {
            assert_eq!(read(spelling).as_deref(), Some(eye));
        }
        let runner = "\u{1F3C3}\u{1F3FD}\u{200D}\u{2642}\u{FE0F}";
        assert_eq!(
            read("\u{1F3C3}\u{1F3FD}\u{200D}\u{2642}").as_deref(),
            Some(runner)
        );
        assert_eq!(read("👍\u{FE0F}\u{FE0F}").as_deref(), Some("👍"));
        for more in ["👍\u{200D}", "👍\u{200D}\u{200D}", "👩\u{200D}\u{200D}🚀"] {
            assert_eq!(read(more), None, "{more:?}");
        }
    }

    #[test]
    fn what_is_no_emoji_and_no_name_is_refused() {
        let half_flag = "\u{1F1E9}";
        for text in [
            "",
            " ",
            "A",
            "ä",
            "👍👍",
            "👍 ",
            "a b",
            "Ok",
            "\u{200D}",
            "\u{FE0F}",
            half_flag,
            "👍\u{200D}a",
            "\u{0}",
            "e\u{301}",
            "<b>",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert_eq!(read(&"👍\u{200D}".repeat(20)), None);
        assert_eq!(read(&"a".repeat(41)), None);
        assert_eq!(read(&"a".repeat(40)), Some("a".repeat(40)));
    }

    proptest! {
        #[test]
        fn what_was_read_is_read_again_as_the_same(text in any::<String>()) {
            if let Ok(emoji) = text.parse::<Emoji>() {
                prop_assert_eq!(emoji.as_str().parse::<Emoji>().unwrap(), emoji);
                prop_assert!(!emoji.as_str().chars().any(char::is_control));
            }
        }
    }
}
